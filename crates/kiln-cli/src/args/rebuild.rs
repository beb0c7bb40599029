//! The command line of `kiln rebuild`.

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
