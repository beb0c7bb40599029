//! The statement of a run: when and on what something was built, which no document that must be reproducible can say.
//! `docs/evidence.md` describes it for its readers.

use crate::{AttestError, SourceStatement, Statement, Subject};
use kiln_record::{Digest, Epoch, FormatVersion};
use serde::{Deserialize, Serialize};

/// The type of the predicate.
pub const RUN_TYPE: &str = "urn:kiln:run:1";

/// What is said of the run that built something. Its subjects are what was built, and its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunStatement {
    /// The version of this predicate.
    pub format: FormatVersion,
    /// What no other run has: the digest of the build's entry in the ledger.
    pub invocation_id: String,
    /// The number of that entry.
    pub build: u64,
    /// The kiln that ran, with its commit where that is known.
    pub kiln: String,
    /// When the artifact was begun, by the clock of whoever built; not known of a run by an older kiln.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_on: Option<Epoch>,
    /// When it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_on: Option<Epoch>,
    /// How long that took, in milliseconds, by a clock that never goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What it was built on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostStatement>,
    /// The commit that it was built of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatement>,
    /// What the run did not make, but took on the word of a cache that machines share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<ToldStatement>,
}

/// What something was built on. Which machine that was is not said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HostStatement {
    /// Its operating system, such as `linux`.
    pub os: String,
    /// Its architecture, such as `x86_64`.
    pub architecture: String,
    /// The engine that ran containers; absent where none was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// A result that was taken on another's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ToldStatement {
    /// What it is of, in words.
    pub what: String,
    /// The digest of everything that decides it.
    pub key: Digest,
}

impl RunStatement {
    /// The version of the predicate.
    pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

    /// The statement about these files.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if it has no form as JSON.
    pub fn statement(&self, subjects: Vec<Subject>) -> Result<Statement, AttestError> {
        let predicate = serde_json::to_value(self).map_err(|error| AttestError::malformed("a run", error))?;
        Ok(Statement { subjects, predicate_type: RUN_TYPE.to_owned(), predicate })
    }

    /// What a statement says of a run.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if it is about something else, or of another version.
    pub fn of(statement: &Statement) -> Result<Self, AttestError> {
        let malformed = |reason: String| AttestError::malformed("a statement of a run", reason);
        if statement.predicate_type != RUN_TYPE {
            return Err(malformed(format!("its predicate type is `{}`", statement.predicate_type)));
        }
        let run = Self::deserialize(&statement.predicate).map_err(|error| malformed(error.to_string()))?;
        if run.format.major != Self::FORMAT.major {
            return Err(malformed(format!(
                "it has version {}, and this kiln reads {}: use a newer kiln",
                run.format,
                Self::FORMAT
            )));
        }
        Ok(run)
    }
}
