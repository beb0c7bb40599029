//! The history of an artifact from its newest builds back, read only as far as it is asked for: most questions are about the last
//! few of many builds.

use crate::ledger::Place;
use crate::lost::{Link, continues};
use crate::{Ledger, LedgerEntry, Result, StoreError};
use kiln_record::{ArtifactName, Digest};

/// What the place after one that is read names as the place before it.
struct Successor {
    number: u64,
    previous: Option<Digest>,
}

impl Ledger {
    /// The entries of an artifact from the newest back, each held against the one after it when it is read. Entries that are known to
    /// be lost are passed over. Nothing is said of those that are not read: the whole chain is verified by [`Ledger::entries`].
    ///
    /// # Errors
    /// [`StoreError::Io`] if the ledger cannot be listed. The items: [`StoreError::LedgerBroken`] naming the first entry on the way back
    /// that is missing, unreadable or not the one its successor names; nothing follows it.
    pub fn back<'a>(
        &'a self,
        artifact: &'a ArtifactName,
    ) -> Result<impl Iterator<Item = Result<LedgerEntry>> + 'a> {
        self.back_from(artifact, u64::MAX)
    }

    /// The same from the build of a number back, or from the newest if that is older.
    ///
    /// # Errors
    /// As [`Ledger::back`].
    pub fn back_from<'a>(
        &'a self,
        artifact: &'a ArtifactName,
        number: u64,
    ) -> Result<impl Iterator<Item = Result<LedgerEntry>> + 'a> {
        let newest = self.newest(artifact)?.unwrap_or(0);
        let last = newest.min(number);
        let mut after = match last < newest {
            true => {
                Some(Successor { number: last + 1, previous: self.place(artifact, last + 1)?.0.previous() })
            }
            false => None,
        };
        let mut numbers = (1..=last).rev();
        let mut is_broken = false;
        Ok(std::iter::from_fn(move || {
            while let Some(number) = numbers.next().filter(|_| !is_broken) {
                match self.place_before(artifact, number, after.as_ref()) {
                    Ok(place) => {
                        after = Some(Successor { number, previous: place.previous() });
                        if let Some(entry) = place.entry() {
                            return Some(Ok(entry));
                        }
                    }
                    Err(error) => {
                        is_broken = true;
                        return Some(Err(error));
                    }
                }
            }
            None
        }))
    }

    /// What is at a place, held against what the place after it names.
    fn place_before(&self, artifact: &ArtifactName, number: u64, after: Option<&Successor>) -> Result<Place> {
        let broken = |number: u64, reason: String| StoreError::LedgerBroken {
            path: self.entry_path(artifact, number),
            reason,
        };
        let (place, link): (Place, Link) = self.place(artifact, number)?;
        if let Some(after) = after {
            continues(Some(&link), after.previous).map_err(|reason| broken(after.number, reason))?;
        }
        if number == 1 {
            continues(None, place.previous()).map_err(|reason| broken(number, reason))?;
        }
        Ok(place)
    }
}
