//! The release statement: what stands together, signed once. `docs/signing.md` describes it for its readers.

use crate::{AttestError, Statement, Subject};
use kiln_record::{ArtifactKind, ArtifactName, Digest, Epoch, FormatVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The type of the predicate. It is described in `docs/signing.md`.
pub const RELEASE_TYPE: &str = "urn:kiln:release:1";

/// What is said of a release. Its subjects are all of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The version of this predicate.
    pub format: FormatVersion,
    /// When it was signed, by the clock of whoever signed.
    pub signed_at: Epoch,
    /// The kiln that wrote it.
    pub kiln: String,
    /// The artifacts in it, by name.
    pub artifacts: BTreeMap<ArtifactName, ReleasedArtifact>,
    /// The files with signatures that were written beside the subjects, by path, with their digests: all but the one that this
    /// statement is in. Absent in statements of before version 1.1, which do not tell that one was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<BTreeMap<String, Digest>>,
    /// The ledger that they are in; none where there was none, so that nothing was held against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatement>,
}

/// One artifact of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleasedArtifact {
    /// Its kind.
    pub kind: ArtifactKind,
    /// The digest of its record.
    pub record: Digest,
    /// The digest of its archive.
    pub archive: Digest,
    /// The digest of its tree, which no compressor changes.
    pub tree: Digest,
    /// The number of the build in the ledger, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
    /// The commit that it was built of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatement>,
    /// How many findings there were, by the level that the policy gave them.
    pub findings: FindingCounts,
}

/// The commit that something was built of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SourceStatement {
    /// The address of the repository, without login; absent where that is a folder of one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit, in full.
    pub commit: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// How many files that the build read are not as the commit has them; 0 of a clean checkout.
    pub changed: u64,
}

/// How many findings there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FindingCounts {
    /// Denied: a build with one is not published.
    pub deny: u64,
    /// Warnings.
    pub warn: u64,
    /// Notes.
    pub note: u64,
}

/// What a ledger was when a release was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerStatement {
    /// The digest of the newest entry of each artifact, after its number.
    pub heads: BTreeMap<ArtifactName, (u64, Digest)>,
    /// The log over all of its entries.
    pub log: LogStatement,
}

/// The size and root of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogStatement {
    /// What the log is called.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of its tree.
    pub root: Digest,
}

impl Release {
    /// The version of the predicate.
    pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 1 };

    /// The statement about these files.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if it has no form as JSON.
    pub fn statement(&self, subjects: Vec<Subject>) -> Result<Statement, AttestError> {
        let predicate =
            serde_json::to_value(self).map_err(|error| AttestError::malformed("a release", error))?;
        Ok(Statement { subjects, predicate_type: RELEASE_TYPE.to_owned(), predicate })
    }

    /// What a statement says of a release.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if it is about something else, or of another version.
    pub fn of(statement: &Statement) -> Result<Self, AttestError> {
        let malformed = |reason: String| AttestError::malformed("a release statement", reason);
        if statement.predicate_type != RELEASE_TYPE {
            return Err(malformed(format!("its predicate type is `{}`", statement.predicate_type)));
        }
        let release =
            Self::deserialize(&statement.predicate).map_err(|error| malformed(error.to_string()))?;
        if release.format.major != Self::FORMAT.major {
            return Err(malformed(format!(
                "it has version {}, and this kiln reads {}: use a newer kiln",
                release.format,
                Self::FORMAT
            )));
        }
        Ok(release)
    }
}
