//! What is published, held against the ledger: a record, its archive and its documents can all be made to fit each other,
//! and then only the entry of the build tells that they were not what was built.

use crate::PublishError;
use kiln_record::{ArtifactName, Digest};
use kiln_store::{Ledger, StoreError, read_regular};
use std::path::Path;

/// What the ledger says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is that of the newest build that was published there, which has this number.
    Newest(u64),
    /// There is no ledger here: what is published was built elsewhere, and could not be held against anything.
    NoLedger,
}

/// Holds the record in a folder of `dist/` against the newest build that the ledger says was published there.
///
/// # Errors
/// [`PublishError::NotInLedger`], [`PublishError::NeverBuilt`]; as [`Ledger::head`] if the newest entry itself is not what
/// it was.
pub(crate) fn held(ledger: &Ledger, folder: &Path, artifact: &ArtifactName) -> Result<Held, PublishError> {
    let path = folder.join("record.json");
    let found = Digest::of(&read_regular(&path)?);
    ledger.head(artifact)?;
    if let Some(newest) = ledger.published(artifact)? {
        if newest.record == found {
            return Ok(Held::Newest(newest.number));
        }
        return Err(PublishError::NotInLedger {
            artifact: artifact.clone(),
            path: path.display().to_string(),
            found,
            number: newest.number,
            expected: newest.record,
        });
    }
    if let Some(lost) = ledger.lost(artifact)?.pop() {
        let (artifact, number, found, reason) = (lost.artifact, lost.number, lost.found, lost.reason);
        return Err(StoreError::EntryLost { artifact, number, found, reason }.into());
    }
    // A checkout that only deploys has no ledger at all.
    if ledger.artifacts()?.is_empty() {
        return Ok(Held::NoLedger);
    }
    Err(PublishError::NeverBuilt { artifact: artifact.clone(), path: path.display().to_string(), found })
}
