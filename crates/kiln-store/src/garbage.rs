//! Removing from a store what nothing needs.
//!
//! A store is a cache: whatever is removed is brought or made again. So what counts is that nothing is removed that a run is
//! about to read, which holds because whoever removes is alone in the store; and that what is needed stays, as far as the
//! caller knows what that is.

use crate::contents::{Held, Stored, digests_in, held_below};
use crate::presence::Company;
use crate::{Result, Store};
use fs_err as fs;
use kiln_record::{Digest, Epoch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What is to stay.
#[derive(Clone, Debug)]
pub struct Keep {
    /// What locks name.
    pub locked: BTreeSet<Digest>,
    /// What builds name that are kept.
    pub built: BTreeSet<Digest>,
    /// What is remembered and was used in this time stays, with the blobs that it names; unpacked trees do, too.
    pub used_within: Duration,
    /// The most that may be left, in bytes.
    pub most: Option<u64>,
    /// The time of the run.
    pub now: Epoch,
}

/// What nothing needs.
#[derive(Debug, Default)]
pub struct Garbage {
    files: Vec<PathBuf>,
    trees: bool,
    /// Blobs.
    pub blobs: Held,
    /// Of these, the ones that something needs, and that go for want of room.
    pub needed: Held,
    /// What is remembered.
    pub cached: Held,
    /// Unpacked trees, if all of them go.
    pub unpacked: Held,
    /// Bytes that are left.
    pub left: u64,
}

/// A store that no other run uses until this is dropped.
#[derive(Debug)]
pub struct AloneStore(Store);

impl AloneStore {
    /// Opens a store once no run uses it any more. Runs that begin later wait.
    ///
    /// # Errors
    /// [`StoreError::Locked`](crate::StoreError::Locked) if one still does after `wait`; as [`Store::open`].
    pub fn open(root: &Path, wait: Duration) -> Result<Self> {
        Store::opened(root, None, Company::Nobody, wait).map(Self)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0
    }

    /// Removes what was found to be needed by nothing, and what killed runs left.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn remove(&self, garbage: &Garbage) -> Result<()> {
        for file in &garbage.files {
            match fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        if garbage.trees {
            crate::atomic::remove_folder(&self.0.root().join("unpacked"))?;
        }
        self.0.sweep()?;
        Ok(())
    }
}

impl Store {
    /// What nothing needs. Nothing is removed.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn garbage(&self, keep: &Keep) -> Result<Garbage> {
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(keep.now.seconds());
        let oldest = before.checked_sub(keep.used_within).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut garbage = Garbage::default();
        let mut remembered = BTreeSet::new();
        let mut left = 0;
        for stored in self.cached()?.into_values().flatten() {
            if stored.used < oldest {
                garbage.cached.add(stored.bytes);
                garbage.files.push(stored.path);
            } else {
                left += stored.bytes;
                remembered.extend(digests_in(&fs::read(&stored.path)?));
            }
        }
        let unpacked = held_below(&self.root().join("unpacked"))?;
        let mut candidates: BTreeMap<(Need, SystemTime, Digest), Stored> = BTreeMap::new();
        for (digest, stored) in self.blobs()? {
            let need = match () {
                () if keep.locked.contains(&digest) => Need::Locked,
                () if keep.built.contains(&digest) => Need::Built,
                () if remembered.contains(&digest) => Need::Remembered,
                () => Need::Nothing,
            };
            if need == Need::Nothing {
                garbage.blobs.add(stored.bytes);
                garbage.files.push(stored.path);
            } else {
                left += stored.bytes;
                candidates.insert((need, stored.used, digest), stored);
            }
        }
        let is_too_much = |left: u64| keep.most.is_some_and(|most| left > most);
        if is_too_much(left + unpacked.bytes) {
            // They are made again from blobs that are here.
            (garbage.trees, garbage.unpacked) = (true, unpacked);
        } else {
            left += unpacked.bytes;
        }
        // What is needed least goes first, and of that the oldest.
        for stored in candidates.into_values() {
            if !is_too_much(left) {
                break;
            }
            left -= stored.bytes;
            garbage.blobs.add(stored.bytes);
            garbage.needed.add(stored.bytes);
            garbage.files.push(stored.path);
        }
        garbage.left = left;
        Ok(garbage)
    }

    /// Removes cached values that are not what was written, and says of which kinds they are. They are made again.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn scrub_cached(&self) -> Result<BTreeMap<String, u64>> {
        let mut damaged = BTreeMap::new();
        for (kind, values) in self.cached()? {
            for stored in values {
                let Ok(bytes) = fs::read(&stored.path) else { continue };
                if crate::cache::intact(&bytes).is_none() {
                    fs::remove_file(stored.path)?;
                    *damaged.entry(kind.clone()).or_default() += 1;
                }
            }
        }
        Ok(damaged)
    }
}

/// Why a blob is there, the weakest reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    Remembered,
    Built,
    Locked,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreError;

    fn keep(locked: &[Digest], built: &[Digest]) -> Keep {
        Keep {
            locked: locked.iter().copied().collect(),
            built: built.iter().copied().collect(),
            used_within: Duration::from_secs(3600),
            most: None,
            // Every file here is older than that.
            now: Epoch::from_seconds(100_000_000_000).unwrap(),
        }
    }

    #[test]
    fn what_locks_builds_and_recent_results_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [locked, built, remembered, nothing] =
            [b"locked" as &[u8], b"built", b"remembered", b"nothing"].map(|bytes| store.put(bytes).unwrap());
        store.cache_put("step", &Digest::of(b"key"), &vec![remembered]).unwrap();
        let mut keep = keep(&[locked], &[built]);
        let old = store.garbage(&keep).unwrap();
        assert_eq!((old.blobs, old.cached.files), (Held { files: 2, bytes: 17 }, 1));
        keep.used_within = Duration::from_secs(200_000_000_000);
        let garbage = store.garbage(&keep).unwrap();
        assert_eq!((garbage.blobs, garbage.cached.files), (Held { files: 1, bytes: 7 }, 0));
        drop(store);
        let alone = AloneStore::open(folder.path(), Duration::ZERO).unwrap();
        alone.remove(&garbage).unwrap();
        let there = [locked, built, remembered, nothing].map(|digest| alone.store().contains(&digest));
        assert_eq!(there, [true, true, true, false]);
        assert_eq!(alone.store().usage().unwrap().bytes(), garbage.left);
    }

    #[test]
    fn where_room_is_short_what_is_needed_least_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [locked, built] = [b"locked" as &[u8], b"built"].map(|bytes| store.put(bytes).unwrap());
        for (most, left, needed) in [(11, 11, 0), (10, 6, 1), (6, 6, 1), (5, 0, 2)] {
            let garbage = store.garbage(&Keep { most: Some(most), ..keep(&[locked], &[built]) }).unwrap();
            assert_eq!((garbage.left, garbage.needed.files), (left, needed), "of {most} bytes");
        }
    }

    #[test]
    fn nobody_else_is_there_while_something_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        let locked = AloneStore::open(folder.path(), Duration::ZERO);
        assert!(matches!(locked, Err(StoreError::Locked { .. })), "{locked:?}");
        drop((one, other));
        let alone = AloneStore::open(folder.path(), Duration::ZERO).unwrap();
        let root = folder.path().to_owned();
        let waits = std::thread::spawn(move || Store::open(&root).map(|_| ()));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waits.is_finished(), "a run that begins waits");
        drop(alone);
        waits.join().unwrap().unwrap();
    }

    #[test]
    fn digests_are_found_in_whatever_format() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let text =
            format!("x = \"{one}\"\n--hash=sha256:{}\n{}0 {}", other.hex(), one.hex(), "ab".repeat(64));
        assert_eq!(digests_in(text.as_bytes()).collect::<Vec<_>>(), [one, other]);
    }

    #[test]
    fn a_damaged_result_is_removed_and_told_by_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for (kind, key) in [("step", b"1"), ("step", b"2"), ("wheel", b"3")] {
            store.cache_put(kind, &Digest::of(key), &"value").unwrap();
        }
        assert!(store.scrub_cached().unwrap().is_empty());
        let hex = Digest::of(b"2").hex();
        fs::write(folder.path().join("cache/step").join(&hex[..2]).join(&hex[2..]), b"torn").unwrap();
        assert_eq!(store.scrub_cached().unwrap(), BTreeMap::from([("step".to_owned(), 1)]));
        assert_eq!(store.cache_get::<String>("step", &Digest::of(b"2")).unwrap(), None);
        assert_eq!(store.cache_get::<String>("wheel", &Digest::of(b"3")).unwrap(), Some("value".to_owned()));
    }
}
