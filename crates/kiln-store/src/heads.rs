//! The ledger's heads: which entry is the newest of each artifact, stated outside of the entries.
//!
//! A chain of digests tells when an entry was changed that another one follows. Nothing follows the newest, so its number
//! and its digest are stated in a file of their own. What is stated may be one entry behind: a process may end between
//! the two.

use crate::atomic::read_bounded;
use crate::{Result, StoreError, write_atomically};
use kiln_record::{ArtifactName, Digest, FormatVersion, canonical_json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest file that is read, in bytes.
const MAX_HEADS: u64 = 16 << 20;

/// The newest entry of each artifact, in `.kiln/heads.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heads {
    /// The version of this format.
    pub format: FormatVersion,
    /// By artifact.
    pub artifacts: BTreeMap<ArtifactName, Head>,
}

/// The newest entry of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Head {
    /// How many builds the history has: the newest one's number.
    pub number: u64,
    /// The digest of its `entry.json`, or of the `lost.json` in its place.
    pub entry: Digest,
}

/// Whether the newest entry of an artifact is the one that is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// It is.
    Stated,
    /// It continues the one that is stated: a process ended before it could state it.
    Ahead,
    /// Nothing is stated of any artifact, so that a change of the newest entry would not be noticed.
    NotStated,
}

impl Heads {
    /// The file's name, beside the ledger's folder.
    pub const FILE: &str = "heads.json";
    /// The version of the format.
    pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

    /// The bytes of a file; none if it is not there.
    pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
        Ok(read_bounded(path, MAX_HEADS)?)
    }

    /// What these bytes state; `path` is where they are from.
    ///
    /// # Errors
    /// [`StoreError::StateDamaged`] if they cannot be understood; [`StoreError::Format`].
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let heads: Self = serde_json::from_slice(bytes)
            .map_err(|error| StoreError::StateDamaged { path: path.clone(), reason: error.to_string() })?;
        if heads.format.major != Self::FORMAT.major {
            return Err(StoreError::Format {
                path,
                found: heads.format.to_string(),
                known: Self::FORMAT.to_string(),
            });
        }
        Ok(heads)
    }

    /// Its one form as JSON.
    ///
    /// # Errors
    /// [`StoreError::Serialize`].
    pub fn to_json(&self) -> Result<Vec<u8>> {
        canonical_json(self)
            .map_err(|source| StoreError::Serialize { what: "the ledger's heads".to_owned(), source })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.to_json()?)
    }
}
