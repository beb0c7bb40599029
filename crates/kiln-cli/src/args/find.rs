//! The command line of `kiln find`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Find {
    /// What to look for: `urllib3<2.5`, pkg:pypi/urllib3@2.4.0, license:GPL-3.0*, base:NAME or base:sha256:…, file:sha256:…,
    /// library:libssl.so*
    pub(crate) query: String,
    /// Folders to look in instead of the workspace's ledger: published artifacts, records, other workspaces
    pub(crate) places: Vec<PathBuf>,
    /// A ledger to look in; may be given more than once
    #[arg(long, value_name = "FOLDER")]
    pub(crate) ledger: Vec<PathBuf>,
    /// A reference in a registry whose record to look in, or a repository, of which all tags are; may be given more than once
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) registry: Vec<String>,
    /// Connects without TLS; registries on this machine need no leave for that
    #[arg(long, requires = "registry")]
    pub(crate) plain_http: bool,
}
