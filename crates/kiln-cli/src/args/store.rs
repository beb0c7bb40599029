//! The command line of `kiln store`.

use super::time::time;
use clap::{Args, Subcommand};
use kiln_plan::parse_size;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct StoreCommand {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Says how much of the store is what, and which workspaces need it
    Du,
    /// Removes what neither the locks nor the newest builds of the workspaces that use the store need; waits for runs that do
    Gc(Gc),
    /// Reads everything in the store, removes what is damaged, and says which artifacts and locks it concerns
    Check,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// How many builds of each artifact keep what they are made of
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) builds: u16,
    /// How long results are remembered that nobody asked for, such as 30d or 12h
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time)]
    pub(crate) unused: Duration,
    /// The most that may be left, such as 5GB: what is needed least goes first, and locks are followed longest
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_size: Option<u64>,
    /// Removes the images of bases, too, that kiln gave to the engine and that none of these locks and builds names. Others who
    /// use the engine load theirs again
    #[arg(long)]
    pub(crate) images: bool,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
