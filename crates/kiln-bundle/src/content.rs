//! What a bundle holds, and the document in it that says so.

use crate::BundleError;
use kiln_record::{ArtifactName, Digest, FormatVersion};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format version of bundles that this kiln writes.
pub(crate) const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The format version.
    pub format: FormatVersion,
    /// The artifacts that can be built with it, sorted.
    pub artifacts: BTreeSet<ArtifactName>,
    /// The kiln that made it, as a program that can be run.
    pub kiln: Program,
    /// The files, by digest, with the name that each has where it is from.
    pub files: BTreeMap<Digest, String>,
    /// What was chosen among what locks name, sorted.
    pub remembered: BTreeSet<Remembered>,
}

/// A program among the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// The machine that it runs on, such as `linux/amd64`.
    pub platform: String,
    /// The file.
    pub digest: Digest,
}

/// A value that a store remembers: which of several locked files was chosen, or which files a tree has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// The kind, as stores name it.
    pub kind: String,
    /// What it is remembered by.
    pub key: Digest,
    /// The value, as canonical JSON.
    pub value: String,
}

impl Content {
    /// The content of a bundle for artifacts, with nothing in it yet.
    #[must_use]
    pub fn new(artifacts: BTreeSet<ArtifactName>, kiln: Program) -> Self {
        let files = BTreeMap::from([(kiln.digest, "kiln".to_owned())]);
        Self { format: FORMAT, artifacts, kiln, files, remembered: BTreeSet::new() }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct Versioned {
            format: FormatVersion,
        }
        let broken = |error: serde_json::Error| BundleError::Foreign {
            why: format!("its description is none: {error}"),
        };
        let Versioned { format } = serde_json::from_slice(bytes).map_err(broken)?;
        if format.major != FORMAT.major {
            return Err(BundleError::Later { found: format, known: FORMAT });
        }
        serde_json::from_slice(bytes).map_err(broken)
    }
}
