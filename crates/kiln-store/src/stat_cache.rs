//! Digests of unchanged files without reading them, as git's index does it.
//!
//! A file whose length, modification time, change time, inode and device are those of last time is taken to have the
//! content of last time. One case defeats that: a file that is changed twice within one tick of the file system's clock,
//! read in between. So nothing is remembered about a file that was modified at, or less than two seconds before, the
//! start of the run that read it (git: "racy" entries).

use crate::atomic::read_bounded;
use crate::{Result, StoreError, write_atomically};
use fs_err as fs;
use kiln_record::{Digest, Epoch, HashingWriter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Format number of the file. Another number is an empty cache.
const FORMAT: u32 = 1;
/// The largest cache that is read, in bytes: about 500,000 files.
const MAX_CACHE: u64 = 128 << 20;
/// Seconds within which a modification time is not trusted; the coarsest clock in use is that of FAT.
const RACY: i64 = 2;
/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// What is known about files from earlier runs.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    // Sorted, so that equal knowledge gives equal bytes.
    files: BTreeMap<String, Known>,
    content_reads: u64,
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: Digest,
}

/// Everything about a file that changes when its content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// Seconds and nanoseconds since 1970; moves with every change of content, mode or owner, and cannot be set back.
    changed: (i64, i64),
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
        Self {
            path: path.to_owned(),
            files: saved.map(|saved| saved.files).unwrap_or_default(),
            content_reads: 0,
            changed: false,
        }
    }

    /// The digest and length in bytes of a file, read only if it may have changed. Symbolic links are followed. Within
    /// one run a path should be given in one form, since the form is the key.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`]; [`StoreError::Unstable`] if the file changes whenever it is read; [`StoreError::Io`].
    pub fn digest_of(&mut self, file: &Path) -> Result<(Digest, u64)> {
        let metadata = fs::metadata(file)?;
        // Opening a pipe would wait for its other end.
        if !metadata.is_file() {
            return Err(StoreError::NotAFile(file.to_owned()));
        }
        let stamp = Stamp::of(&metadata);
        if let Some(known) = file.to_str().and_then(|key| self.files.get(key))
            && known.stamp == stamp
        {
            return Ok((known.digest, stamp.size));
        }
        let known = self.read(file)?;
        if let Some(key) = file.to_str() {
            self.files.insert(key.to_owned(), known);
            self.changed = true;
        }
        Ok((known.digest, known.stamp.size))
    }

    /// How many times a file's content was read.
    #[must_use]
    pub fn content_reads(&self) -> u64 {
        self.content_reads
    }

    /// Keeps what was learnt for the next run. `started` is when this run began, before its first
    /// [`StatCache::digest_of`]; files modified less than two seconds before that, or later, are left out. Nothing is
    /// written if nothing was learnt.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn save(&self, started: Epoch) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        let limit = i64::try_from(started.seconds()).unwrap_or(i64::MAX) - RACY;
        let files = self
            .files
            .iter()
            .filter(|(_, known)| known.stamp.modified.0 < limit && known.stamp.changed.0 < limit)
            .map(|(path, known)| (path.as_str(), known))
            .collect();
        let json = serde_json::to_vec(&Saving { format: FORMAT, files }).map_err(|source| {
            StoreError::Serialize { what: "the cache of file digests".to_owned(), source }
        })?;
        write_atomically(&self.path, &json)
    }

    fn read(&mut self, path: &Path) -> Result<Known> {
        for _ in 0..ATTEMPTS {
            let mut file = fs::File::open(path)?;
            let before = Stamp::of(&file.metadata()?);
            self.content_reads += 1;
            let mut sink = HashingWriter::new(io::sink());
            io::copy(&mut file, &mut sink)?;
            let (_, digest, size) = sink.finish();
            let after = Stamp::of(&file.metadata()?);
            if before == after && size == after.size {
                return Ok(Known { stamp: after, digest });
            }
        }
        Err(StoreError::Unstable(path.to_owned()))
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
}
