//! The command line of `kiln pins`.

use super::time::time;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Pins {
    /// Asks what is upstream of each pin now, and of the distributions that kiln locks: what moved, what is newer, and what the
    /// target keeps from it. Nothing is written
    #[arg(long)]
    pub(crate) check: bool,
    /// Ends with exit code 10 if something was pinned longer ago than this, such as 30d; a lock of distributions only where --check
    /// finds something newer
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) max_age: Option<Duration>,
}
