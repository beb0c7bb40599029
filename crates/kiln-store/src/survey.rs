//! Whether a history is whole, entry by entry, and setting it right from what is left.

use crate::atomic::{FOLDER_MODE, read_bounded, read_or_reason, sync_folder};
use crate::ledger::{MAX_RECORD, Place};
use crate::lost::{Link, continues};
use crate::{Head, HeadState, Heads, Ledger, LostEntry, Result, StoreError, write_atomically};
use fs_err as fs;
use kiln_record::{ArtifactName, Digest, Epoch, canonical_json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// What a look at every entry and record of an artifact told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// How many places the history has, with those that are known to be lost.
    pub places: u64,
    /// The entries that are known to be lost.
    pub lost: Vec<LostEntry>,
    /// Whether the newest entry is the one that is stated; none if it is not, which is among the damage.
    pub head: Option<HeadState>,
    /// What is wrong, oldest first.
    pub damage: Vec<Damage>,
}

/// Something that is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Ledger {
    /// Looks at every entry and every record of an artifact, past the first thing that is wrong.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn survey(&self, artifact: &ArtifactName) -> Result<Survey> {
        let heads = self.heads().ok().flatten();
        let stated = heads.and_then(|heads| heads.artifacts.get(artifact).copied());
        let places = self.newest(artifact)?.unwrap_or(0).max(stated.map_or(0, |head| head.number));
        let mut survey = Survey { places, lost: Vec::new(), head: None, damage: Vec::new() };
        let mut before: Option<Option<Link>> = Some(None);
        for number in 1..=places {
            let path = self.entry_path(artifact, number);
            let (place, link) = match self.place(artifact, number) {
                Ok(place) => place,
                Err(error) => {
                    survey.damage.push(damage(path, error));
                    before = None;
                    continue;
                }
            };
            // What the place before it was is not known where that cannot be read.
            if let Some(Err(reason)) = before.map(|before| continues(before.as_ref(), place.previous())) {
                survey.damage.push(Damage { path, reason });
            }
            before = Some(Some(link));
            match place {
                Place::Lost(lost) => survey.lost.push(lost),
                Place::Entry(entry) => {
                    if let Err(reason) = self.record_is(artifact, number, &entry.record)? {
                        survey.damage.push(Damage { path: self.record_path(artifact, number), reason });
                    }
                }
            }
        }
        match self.head(artifact) {
            Ok(state) => survey.head = Some(state),
            // That the file of all heads cannot be read is no news about this artifact.
            Err(StoreError::StateDamaged { .. }) => {}
            Err(error) => {
                let told = damage(self.entry_path(artifact, places), error);
                if !survey.damage.iter().any(|one| one.path == told.path) {
                    survey.damage.push(told);
                }
            }
        }
        Ok(survey)
    }

    /// What earlier heads state that the ledger does not have any more: each entry that was the newest then must be in its
    /// place, or be known to be lost from there.
    #[must_use]
    pub fn departs_from(&self, earlier: &Heads) -> Vec<Damage> {
        let differs = |artifact: &ArtifactName, head: &Head| {
            let path = self.entry_path(artifact, head.number);
            let reason = match self.place(artifact, head.number) {
                Ok((_, link)) if link.digest == head.entry || link.stated == Some(head.entry) => return None,
                Ok((_, link)) => format!("its digest is {}, but it was {}", link.digest, head.entry),
                Err(error) => match self.newest(artifact) {
                    Ok(newest) if newest.unwrap_or(0) < head.number => {
                        format!("it is missing: {} was the newest build of {artifact}", head.number)
                    }
                    _ => damage(path.clone(), error).reason,
                },
            };
            Some(Damage { path, reason })
        };
        earlier.artifacts.iter().filter_map(|(artifact, head)| differs(artifact, head)).collect()
    }

    /// Sets the history of an artifact right from what is left, and says what was done. A record comes back where
    /// `records` gives the bytes that the entry names; an entry that is gone, or is not the one that others name, is
    /// recorded as lost. The caller holds the workspace's lock.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn repair(
        &self,
        artifact: &ArtifactName,
        found: Epoch,
        records: &dyn Fn(&Digest) -> Option<Vec<u8>>,
    ) -> Result<Vec<String>> {
        let heads = self.heads().ok().flatten();
        let stated = heads.and_then(|heads| heads.artifacts.get(artifact).copied());
        let places = self.newest(artifact)?.unwrap_or(0).max(stated.map_or(0, |head| head.number));
        let mut done = Vec::new();
        let mut before = None;
        for number in 1..=places {
            // What others say that this entry was.
            let named = match stated.filter(|head| head.number == number) {
                Some(head) => Some(head.entry),
                None => self.place(artifact, number + 1).ok().and_then(|(next, _)| next.previous()),
            };
            let reason = match self.place(artifact, number) {
                Err(error) => Some(damage(self.entry_path(artifact, number), error).reason),
                Ok((_, link)) => match named {
                    Some(named) if link.digest != named && link.stated != Some(named) => Some(format!(
                        "its digest is {}, but {named} is what it was when it was entered",
                        link.digest
                    )),
                    _ => None,
                },
            };
            if let Some(reason) = reason {
                done.push(format!("build {number} of {artifact} is recorded as lost: {reason}"));
                let previous = before.as_ref().map(|link: &Link| link.digest);
                self.lose(artifact, number, found, reason, named, previous)?;
            }
            let (place, link) = self.place(artifact, number)?;
            if let Place::Entry(entry) = place
                && self.record_is(artifact, number, &entry.record)?.is_err()
            {
                let path = self.record_path(artifact, number);
                match records(&entry.record).filter(|bytes| Digest::of(bytes) == entry.record) {
                    Some(bytes) => {
                        write_atomically(&path, &bytes)?;
                        done.push(format!("{} is back, from what is published", path.display()));
                    }
                    None => done.push(format!(
                        "{} cannot be had again: the history keeps what its entry says of it",
                        path.display()
                    )),
                }
            }
            before = Some(link);
        }
        Ok(done)
    }

    /// States the newest entries anew, as they are. Says whether that changed anything.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn restate_heads(&self) -> Result<bool> {
        let heads = self.newest_entries()?;
        let there = self.heads();
        if matches!(&there, Ok(Some(there)) if *there == heads)
            || (matches!(there, Ok(None)) && heads.artifacts.is_empty())
        {
            return Ok(false);
        }
        heads.write(&self.heads_path())?;
        Ok(true)
    }

    fn lose(
        &self,
        artifact: &ArtifactName,
        number: u64,
        found: Epoch,
        reason: String,
        entry: Option<Digest>,
        previous: Option<Digest>,
    ) -> Result<()> {
        let path = self.lost_path(artifact, number);
        let damaged = self.entry_path(artifact, number);
        if let Some(folder) = path.parent()
            && !folder.is_dir()
        {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, std::fs::Permissions::from_mode(FOLDER_MODE))?;
        }
        let record = read_bounded(&self.record_path(artifact, number), MAX_RECORD).ok().flatten();
        let lost = LostEntry {
            format: LostEntry::FORMAT,
            artifact: artifact.clone(),
            number,
            found,
            reason,
            entry,
            previous,
            record: record.map(|bytes| Digest::of(&bytes)),
        };
        let json = canonical_json(&lost).map_err(|source| StoreError::Serialize {
            what: format!("what is left of build {number} of {artifact}"),
            source,
        })?;
        write_atomically(&path, &json)?;
        // The statement is there before the entry is out of its way, so that a reader always finds one of them.
        if damaged.exists() {
            fs::rename(&damaged, damaged.with_extension("json.damaged"))?;
            if let Some(folder) = damaged.parent() {
                sync_folder(folder)?;
            }
        }
        Ok(())
    }

    /// Whether a record is the one that its entry names; if not, why.
    fn record_is(
        &self,
        artifact: &ArtifactName,
        number: u64,
        expected: &Digest,
    ) -> Result<std::result::Result<(), String>> {
        let bytes = match read_or_reason(&self.record_path(artifact, number), MAX_RECORD)? {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Err("it is missing".to_owned())),
            Err(reason) => return Ok(Err(reason)),
        };
        let found = Digest::of(&bytes);
        if found == *expected {
            return Ok(Ok(()));
        }
        Ok(Err(format!("its digest is {found}, but its entry names {expected}")))
    }
}

fn damage(path: PathBuf, error: StoreError) -> Damage {
    match error {
        StoreError::LedgerBroken { path, reason } => Damage { path, reason },
        error => Damage { path, reason: error.to_string() },
    }
}
