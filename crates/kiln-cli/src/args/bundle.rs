//! The command line of `kiln bundle`.

use clap::{Args, Subcommand};
use kiln_record::Digest;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct BundleCommand {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Brings everything that builds of artifacts need, and writes it with this kiln into one file
    #[command(
        override_usage = "kiln bundle create [OPTIONS] <ARTIFACTS>... <FILE>\n       kiln bundle create [OPTIONS] --all <FILE>"
    )]
    Create(Create),
    /// Checks every digest of a bundle and fills the store with it
    Use(Use),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The artifacts, with the layers that they use, and at the end the file to write
    #[arg(required = true, value_name = "ARTIFACTS... FILE")]
    pub(crate) names_and_file: Vec<String>,
    /// Takes every artifact of the workspace
    #[arg(long)]
    pub(crate) all: bool,
    /// Writes the folder of an OCI layout, and no tar
    #[arg(long)]
    pub(crate) folder: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Use {
    /// The bundle: a tar or a folder
    pub(crate) file: PathBuf,
    /// The digest that kiln bundle create printed: another bundle is refused
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Digest>,
}
