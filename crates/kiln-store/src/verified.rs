//! Which blobs were read and found to be what their names say.
//!
//! A blob is verified before it is used: once in a run, and not again in later ones while its length, times, inode and mode
//! stay as they were ([`StatCache`]). What a disk changes behind the file system's back does not show there;
//! [`crate::Store::scrub`] reads everything.

use crate::{Result, StatCache};
use fs_err as fs;
use kiln_record::{Digest, Epoch};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What is known about the blobs of a store.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Where it is kept.
    path: PathBuf,
    /// From earlier runs and this one. Read when the first blob is asked for.
    stat: OnceLock<StatCache>,
    here: Mutex<Here>,
}

/// What this run learnt.
#[derive(Debug, Default)]
struct Here {
    /// Written or read, with their lengths in bytes.
    intact: BTreeMap<Digest, u64>,
    /// Found damaged, and removed.
    damaged: Vec<Digest>,
}

/// What a look at a blob told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is what its name says.
    Intact,
    /// It is not there.
    Absent,
    /// It had another digest, and was removed.
    Damaged(Digest),
}

impl Verified {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), stat: OnceLock::new(), here: Mutex::default() }
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        // What is there is true, whoever panicked.
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That a blob was written by this run, which hashed it on the way.
    pub(crate) fn trust(&self, digest: Digest, size: u64) {
        self.here().intact.insert(digest, size);
    }

    /// That a blob is there no more.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.here().intact.remove(digest);
    }

    /// Looks at the blob of a digest. One that is not what its name says is removed, and noted.
    pub(crate) fn look(&self, path: &Path, digest: &Digest) -> Result<Look> {
        let size = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => return Ok(Look::Absent),
        };
        if self.here().intact.get(digest) == Some(&size) {
            return Ok(Look::Intact);
        }
        let stat = self.stat.get_or_init(|| StatCache::load(&self.path));
        let (found, _) = stat.digest_of(path)?;
        if found == *digest {
            self.trust(*digest, size);
            return Ok(Look::Intact);
        }
        fs::remove_file(path)?;
        self.here().damaged.push(*digest);
        Ok(Look::Damaged(found))
    }

    pub(crate) fn take_damaged(&self) -> Vec<Digest> {
        std::mem::take(&mut self.here().damaged)
    }

    /// Keeps what was learnt for the next run. Only a cache: what is not kept is read again.
    pub(crate) fn save(&self) {
        // Of file systems with whole seconds nothing is kept, as nobody here knows when the run began.
        if let (Some(stat), Ok(began)) = (self.stat.get(), Epoch::from_seconds(0)) {
            let _ = stat.save(began);
        }
    }
}
