//! What one run measured of a build: beside the ledger's entry, and in no digest.
//!
//! A record says what follows from the inputs. Times and memory do not: they differ from run to run and from machine to
//! machine. They are kept in `run.json` beside the entry, replaced by the next run that measures the same build, and
//! never published.

use crate::atomic::read_bounded;
use crate::{Ledger, Result, SourceLink, StoreError, write_atomically};
use kiln_record::{ArtifactName, Digest, Epoch, FormatVersion};
use serde::{Deserialize, Serialize};

/// The version of the file's format.
pub const RUN_DETAILS_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 2 };

/// The largest file that is read, in bytes.
const MAX_DETAILS: u64 = 4 << 20;

/// What one run measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunDetails {
    /// The version of this format.
    pub format: FormatVersion,
    /// When the run began.
    pub at: Epoch,
    /// From when to when the artifact was made, if a run of this kiln published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<RunTimes>,
    /// What it was made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<RunHost>,
    /// What the smoke check measured.
    pub smoke: Option<SmokeMeasure>,
    /// The commit that this run was of: another than the entry's where later commits gave the same build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLink>,
    /// What this run did not make and took on the word of a shared cache, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<ToldResult>,
}

/// From when to when an artifact was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunTimes {
    /// When its plan was done.
    pub started: Epoch,
    /// When it was published.
    pub finished: Epoch,
    /// What lies between, in milliseconds.
    pub took_ms: u64,
}

/// What an artifact was made on. Which machine it was is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunHost {
    /// Its operating system, such as `linux`.
    pub os: String,
    /// Its architecture, such as `x86_64`.
    pub architecture: String,
    /// The engine and what its containers run on, such as `28.1.0 on linux/amd64`; absent where none was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// A result that a run took on another's word. That its files are those that were told is certain; that they are what
/// running it here would have made is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToldResult {
    /// What it is of, in words: `the step site`.
    pub what: String,
    /// The digest of everything that decides it: what it is kept by.
    pub key: Digest,
    /// The address of the cache, whose word it is.
    pub from: String,
}

/// What the smoke check measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SmokeMeasure {
    /// What ran the handler: `awslambdaric 3.0.0`, `kiln` or `bootstrap`.
    pub client: String,
    /// Each event, in order.
    pub events: Vec<EventMeasure>,
    /// What is worth a word, such as a start that took longer than Lambda waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What was measured of one event. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventMeasure {
    /// Its name in the manifest.
    pub name: String,
    /// How it ended, in a word: `answered`, `failed`, `timeout` and others.
    pub outcome: String,
    /// Whether a new process handled it.
    pub cold: bool,
    /// From the start of the process until it asked for an event: its imports, mostly.
    pub init_us: Option<u64>,
    /// From the event's delivery until the answer.
    pub invoke_us: Option<u64>,
    /// The most memory that the process had until then, in KiB.
    pub peak_kib: Option<u64>,
    /// What was wrong, and the last lines of the function's output; empty where all was well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

impl Ledger {
    /// Keeps what a run measured beside the entry of the build, in place of what an earlier run measured.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put_run_details(&self, artifact: &ArtifactName, number: u64, details: &RunDetails) -> Result<()> {
        let json = serde_json::to_vec_pretty(details).map_err(|source| StoreError::Serialize {
            what: format!("the run details of {artifact}"),
            source,
        })?;
        write_atomically(&self.run_details_path(artifact, number), &json)
    }

    /// What the latest run measured of a build, if any did. A file that this kiln cannot read counts as none: nothing
    /// depends on it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn run_details(&self, artifact: &ArtifactName, number: u64) -> Result<Option<RunDetails>> {
        let bytes = read_bounded(&self.run_details_path(artifact, number), MAX_DETAILS)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps what is stated of the run that made a build, beside the details that it is from.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put_run_statement(&self, artifact: &ArtifactName, number: u64, statement: &[u8]) -> Result<()> {
        write_atomically(&self.run_statement_path(artifact, number), statement)
    }

    /// What is stated of the run that made a build, if it is.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn run_statement(&self, artifact: &ArtifactName, number: u64) -> Result<Option<Vec<u8>>> {
        Ok(read_bounded(&self.run_statement_path(artifact, number), MAX_DETAILS)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_replaced_and_what_is_damaged_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path());
        let artifact: ArtifactName = "app".parse().unwrap();
        fs_err::create_dir_all(folder.path().join("app/000001")).unwrap();
        assert_eq!(ledger.run_details(&artifact, 1).unwrap(), None);
        let mut details = RunDetails {
            format: RUN_DETAILS_FORMAT,
            at: Epoch::from_seconds(5).unwrap(),
            times: None,
            host: None,
            smoke: Some(SmokeMeasure { client: "kiln".to_owned(), events: Vec::new(), notes: Vec::new() }),
            source: None,
            told: Vec::new(),
        };
        ledger.put_run_details(&artifact, 1, &details).unwrap();
        details.smoke = None;
        ledger.put_run_details(&artifact, 1, &details).unwrap();
        assert_eq!(ledger.run_details(&artifact, 1).unwrap(), Some(details));
        fs_err::write(folder.path().join("app/000001/run.json"), b"{").unwrap();
        assert_eq!(ledger.run_details(&artifact, 1).unwrap(), None);
    }
}
