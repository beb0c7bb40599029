//! Which commit a build was made of: beside the build, and in no document that must be reproducible.
//!
//! Equal files give equal records, whichever commit has them, or none. So what git knows of the files is in the ledger's
//! entry and in a run's details, as the time of a build is.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What git knows of the files that a build was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SourceLink {
    /// The workspace is in a checkout of this commit.
    Commit(SourceCommit),
    /// Nothing is known.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// A commit, and how the files that were built differ from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceCommit {
    /// The address that the repository was cloned from, without credentials, if it was and from another machine.
    pub repository: Option<String>,
    /// The commit, in full.
    pub commit: String,
    /// Tags of it, sorted.
    pub tags: Vec<String>,
    /// The workspace's folder in the repository; `.` for its root.
    pub workspace: String,
    /// For each folder of the artifact's own source, by its path in the workspace, the git tree of it in the commit. A folder
    /// that the commit does not have is not listed.
    pub trees: BTreeMap<String, String>,
    /// Whether each file of the artifact's own source and of what its steps were given is in the commit with the same bytes
    /// and mode, and none that the commit has there is gone: then the commit alone gives these inputs again.
    pub source_is_committed: bool,
    /// How many files that the build read (those, manifests, locks, definitions) are not as the commit has them.
    pub changed: u64,
    /// The first twenty of them, as paths in the workspace.
    pub changed_paths: Vec<String>,
}

impl SourceLink {
    /// The commit, if it is known.
    #[must_use]
    pub fn commit(&self) -> Option<&SourceCommit> {
        if let Self::Commit(commit) = self { Some(commit) } else { None }
    }
}

impl SourceCommit {
    /// The most paths that are kept of those that differ.
    pub const SHOWN_PATHS: usize = 20;

    /// Whether the commit has every file that the build read, as it was read.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.changed == 0
    }
}

impl fmt::Display for SourceLink {
    /// One line for people: `v1.2 (0123456789ab), clean`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { reason } => write!(f, "commit not known: {reason}"),
            Self::Commit(commit) => commit.fmt(f),
        }
    }
}

impl fmt::Display for SourceCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = &self.commit[..self.commit.len().min(12)];
        match self.tags.as_slice() {
            [] => write!(f, "commit {short}")?,
            tags => write!(f, "commit {short} ({})", tags.join(", "))?,
        }
        match self.changed {
            0 => f.write_str(", clean"),
            1 => f.write_str(", dirty: 1 file is not as it has it"),
            count => write!(f, ", dirty: {count} files are not as it has them"),
        }
    }
}
