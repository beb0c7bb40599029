//! The command line of `kiln restore`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The build to give back: ARTIFACT@N, ARTIFACT@previous, or a record.json
    pub(crate) build: String,
    /// The folder to write; it must not be there yet [default: restored/ARTIFACT@N]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    /// A reference in a registry that may have it, as kiln pull takes it
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) registry: Option<String>,
    /// Connects without TLS; registries on this machine need no leave for that
    #[arg(long, requires = "registry")]
    pub(crate) plain_http: bool,
    /// The workspace to build it from if it is nowhere else, as for kiln rebuild
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
}
