//! The command line of what looks at earlier builds and makes them again.

use super::signing::SigningKey;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// What to build again: a record.json, its .intoto.jsonl, an artifact with its record.json beside it, or ARTIFACT@N
    pub(crate) build: String,
    /// The workspace to build from: FOLDER, or git:URL@COMMIT [default: the commit that the ledger knows]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Judges this file, such as a downloaded release, instead of what the record says
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Builds under other users, zones, file orders and so on as well, and names what the result depends on
    #[arg(long)]
    pub(crate) vary: bool,
    /// Varies the engine as well: another one, as DOCKER_HOST names it
    #[arg(long, value_name = "HOST", requires = "vary")]
    pub(crate) second_engine: Option<String>,
    /// Writes what was found as a signed verification summary to this file, such as ARTIFACT.NAME.vsa.intoto.jsonl; needs
    /// a key
    #[arg(long, value_name = "FILE", requires = "signing-key")]
    pub(crate) attest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) key: SigningKey,
}

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
