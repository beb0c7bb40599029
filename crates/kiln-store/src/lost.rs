//! Entries of the ledger that cannot be had any more: the gap is stated, and the chain goes on over it.

use crate::atomic::read_bounded;
use crate::{Result, StoreError};
use kiln_record::{ArtifactName, Digest, Epoch, FormatVersion};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The largest file that is read, in bytes.
const MAX_LOST: u64 = 64 << 10;

/// What stands in the place of an entry that is damaged or gone, in `lost.json`. Nothing in it is made up: it says what
/// others say of the entry. The damaged file stays beside it, as `entry.json.damaged`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LostEntry {
    /// The version of this format.
    pub format: FormatVersion,
    /// The artifact.
    pub artifact: ArtifactName,
    /// Its place in the history, from 1.
    pub number: u64,
    /// When it was found to be lost, by the clock of whoever looked.
    pub found: Epoch,
    /// What was wrong with the entry.
    pub reason: String,
    /// The digest that the entry had, as the next one or the ledger's head names it.
    pub entry: Option<Digest>,
    /// What its successor continues over the gap: the digest of the place before; none for the first.
    pub previous: Option<Digest>,
    /// The digest of the `record.json` that is still there. Nothing vouches for it.
    pub record: Option<Digest>,
}

/// What the next place in a chain may name.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The digest of the file at this place.
    pub(crate) digest: Digest,
    /// What was there before it was lost.
    pub(crate) stated: Option<Digest>,
}

impl LostEntry {
    /// The version of the format.
    pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

    pub(crate) fn read(path: &Path, artifact: &ArtifactName, number: u64) -> Result<Option<(Self, Link)>> {
        let path = path.to_owned();
        let Some(bytes) = read_bounded(&path, MAX_LOST)? else { return Ok(None) };
        let broken = |reason: String| StoreError::LedgerBroken { path: path.clone(), reason };
        let lost: Self = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        if lost.format.major != Self::FORMAT.major {
            return Err(StoreError::Format {
                path,
                found: lost.format.to_string(),
                known: Self::FORMAT.to_string(),
            });
        }
        if lost.artifact != *artifact || lost.number != number {
            return Err(broken(format!("it is about build {} of {}", lost.number, lost.artifact)));
        }
        let link = Link { digest: Digest::of(&bytes), stated: lost.entry };
        Ok(Some((lost, link)))
    }
}

/// Whether what a place names is the place before it; if not, why.
pub(crate) fn continues(before: Option<&Link>, named: Option<Digest>) -> Result<(), String> {
    let fits = match (before, named) {
        (None, None) => true,
        (Some(link), Some(named)) => link.digest == named || link.stated == Some(named),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let shown = |d: Option<Digest>| d.map_or_else(|| "no entry".to_owned(), |d| d.to_string());
    Err(format!(
        "it continues {}, but the entry before it is {}: one of the two was changed",
        shown(named),
        shown(before.map(|link| link.digest))
    ))
}
