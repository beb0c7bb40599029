//! Digests of unchanged files without reading them, as git's index and Mercurial's dirstate do it.
//!
//! A file whose length, times, inode and device are those of last time is taken to have the content of last time. One
//! case defeats that ("racy" in git's words): a file that changes again within the tick of the file system's clock in
//! which it changed before, having been read in between. Then nothing but its content tells. So a digest is remembered
//! only if that clock had moved past the file's change time before the reading began: any later change then shows. The
//! clock is asked by creating a file beside the cache, because the system's clock may run ahead of it.

use crate::atomic::{Unfinished, create_new, read_bounded, unique, write_cache};
use crate::{Result, StoreError};
use fs_err as fs;
use kiln_record::{Digest, Epoch, HashingWriter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Format number of the file. Another number is an empty cache.
const FORMAT: u32 = 1;
/// The largest cache that is read, in bytes: about 500,000 files.
const MAX_CACHE: u64 = 128 << 20;
/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;
/// Seconds within which a change time without a fraction is not trusted; the coarsest clock in use is that of FAT.
const COARSE: i64 = 2;
/// How long to wait for the next tick, and how often: a tick is at most 10 ms on Linux.
const TICK: (Duration, usize) = (Duration::from_millis(3), 8);

/// What is known about files, from earlier runs and this one. Cheap to clone and shared by everything that works side by
/// side: files are read without waiting for each other.
#[derive(Clone, Debug)]
pub struct StatCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    known: Mutex<Knowledge>,
}

#[derive(Debug, Default)]
struct Knowledge {
    // Sorted, so that equal knowledge gives equal bytes.
    files: BTreeMap<String, Known>,
    /// What the file system's clock said when it was last asked.
    clock: Option<Time>,
    content_reads: u64,
    changed: bool,
}

/// Seconds and nanoseconds since 1970.
type Time = (i64, i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: Digest,
    /// Whether every later change must show in the stamp. What is not certain is not saved.
    #[serde(skip, default = "certain")]
    certain: bool,
}

/// Everything about a file that changes when its content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified: Time,
    /// Moves with every change of content, mode or owner, and cannot be set back.
    changed: Time,
    inode: u64,
    device: u64,
    mode: u32,
}

#[derive(Deserialize)]
struct Saved {
    format: u32,
    files: BTreeMap<String, Known>,
}

#[derive(Serialize)]
struct Saving<'a> {
    format: u32,
    files: BTreeMap<&'a str, &'a Known>,
}

impl StatCache {
    /// Reads the cache. One that is missing or damaged is empty: the only cost is reading files again.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let saved = read_bounded(path, MAX_CACHE)
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice::<Saved>(&bytes).ok())
            .filter(|saved| saved.format == FORMAT);
        let files = saved.map(|saved| saved.files).unwrap_or_default();
        let known = Mutex::new(Knowledge { files, ..Knowledge::default() });
        Self(Arc::new(Shared { path: path.to_owned(), known }))
    }

    /// The digest and length in bytes of a file, read only if it may have changed. Symbolic links are followed. A path
    /// should always be given in the same form, since the form is the key.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`]; [`StoreError::Unstable`] if the file changes whenever it is read; [`StoreError::Io`].
    pub fn digest_of(&self, file: &Path) -> Result<(Digest, u64)> {
        let metadata = fs::metadata(file)?;
        // Opening a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err(StoreError::NotAFile(file.to_owned()));
        }
        let stamp = Stamp::of(&metadata);
        let known = file.to_str().and_then(|key| self.0.known().files.get(key).copied());
        if let Some(known) = known
            && known.stamp == stamp
            && known.certain
        {
            return Ok((known.digest, stamp.size));
        }
        let known = self.0.read(file, &stamp)?;
        if let Some(key) = file.to_str() {
            let mut all = self.0.known();
            all.files.insert(key.to_owned(), known);
            all.changed = true;
        }
        Ok((known.digest, known.stamp.size))
    }

    /// How many times a file's content was read.
    #[must_use]
    pub fn content_reads(&self) -> u64 {
        self.0.known().content_reads
    }

    /// Keeps what was learnt for the next run; nothing is written if nothing was. `started` is when this run began. It
    /// decides only where a file system keeps times without fractions of a second: files changed less than two seconds
    /// before it are left out.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn save(&self, started: Epoch) -> Result<()> {
        let known = self.0.known();
        if !known.changed {
            return Ok(());
        }
        let limit = i64::try_from(started.seconds()).unwrap_or(i64::MAX) - COARSE;
        let files = known
            .files
            .iter()
            .filter(
                |(_, known)| {
                    if known.stamp.is_coarse() { known.stamp.changed.0 < limit } else { known.certain }
                },
            )
            .map(|(path, known)| (path.as_str(), known))
            .collect();
        let json = serde_json::to_vec(&Saving { format: FORMAT, files }).map_err(|source| {
            StoreError::Serialize { what: "the cache of file digests".to_owned(), source }
        })?;
        write_cache(&self.0.path, &json)
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Knowledge> {
        // What is there is true, whoever panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, path: &Path, stamp: &Stamp) -> Result<Known> {
        let mut certain = self.clock_is_past(stamp.changed);
        for _ in 0..ATTEMPTS {
            let mut file = fs::File::open(path)?;
            let before = Stamp::of(&file.metadata()?);
            if before.changed != stamp.changed {
                // It changed since the clock was asked, which is rare: the next run reads it again.
                certain = false;
            }
            self.known().content_reads += 1;
            let mut sink = HashingWriter::new(io::sink());
            io::copy(&mut file, &mut sink)?;
            let (_, digest, size) = sink.finish();
            let after = Stamp::of(&file.metadata()?);
            if before == after && size == after.size {
                return Ok(Known { stamp: after, digest, certain });
            }
        }
        Err(StoreError::Unstable(path.to_owned()))
    }

    /// Whether the file system's clock has moved past a time; waits for the next tick if the time is now.
    fn clock_is_past(&self, time: Time) -> bool {
        for attempt in 0..TICK.1 {
            if self.clock_says(time) {
                return true;
            }
            if attempt > 0 {
                std::thread::sleep(TICK.0);
            }
            // Where the clock cannot be asked, nothing is certain, and files are read again next time.
            let Ok(now) = self.ask_clock() else { return false };
            self.known().clock = Some(now);
            // A time in the future would be a long wait.
            if time.0 > now.0 + 1 {
                return false;
            }
        }
        self.clock_says(time)
    }

    /// Whether the clock was past a time when it was last asked.
    fn clock_says(&self, time: Time) -> bool {
        self.known().clock.is_some_and(|clock| clock > time)
    }

    fn ask_clock(&self) -> io::Result<Time> {
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
        }
        let probe = Unfinished(folder.join(format!(".clock.{}.tmp", unique())));
        let metadata = create_new(&probe.0)?.metadata()?;
        Ok((metadata.ctime(), metadata.ctime_nsec()))
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
            mode: metadata.mode(),
        }
    }

    /// Whether the file system seems to keep whole seconds only. A finer clock says so once in a few hundred ticks.
    fn is_coarse(&self) -> bool {
        self.changed.1 == 0
    }
}

fn certain() -> bool {
    true
}
