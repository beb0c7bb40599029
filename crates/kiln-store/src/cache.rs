//! Small values by what they were computed from.
//!
//! A cached value can be lost at any time without harm: whatever cannot be read back exactly as written counts as
//! absent. The file is a line with the digest of the rest, then JSON, so that a torn write cannot pass for a value.

use crate::atomic::{Unfinished, create_new, read_bounded};
use crate::{Result, Store, StoreError};
use fs_err as fs;
use kiln_record::{Digest, excerpt};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write as _;
use std::path::PathBuf;

/// The largest value that is read back, in bytes: an installed tree of 50,000 files is about 15 MB.
const MAX_VALUE: u64 = 256 << 20;

/// The kernel's time.
const NOW: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
};

/// The value in a file of the cache, if it is what was written.
pub(crate) fn intact(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(80).position(|byte| *byte == b'\n')?;
    let (head, value) = (&bytes[..end], &bytes[end + 1..]);
    let digest: Digest = std::str::from_utf8(head).ok()?.parse().ok()?;
    (digest == Digest::of(value)).then_some(value)
}

impl Store {
    /// Looks up a value of a kind (`probe`, `wheel`, `step`) by the digest of what it was computed from. A value that is
    /// damaged, or no longer has the shape of `T`, counts as absent.
    ///
    /// # Errors
    /// [`StoreError::CacheKind`] if the kind is not lower-case letters, digits and `-`; [`StoreError::Io`] if the file is
    /// there but cannot be opened.
    pub fn cache_get<T: DeserializeOwned>(&self, kind: &str, key: &Digest) -> Result<Option<T>> {
        let path = self.cache_path(kind, key)?;
        let Some(bytes) = read_bounded(&path, MAX_VALUE)? else { return Ok(None) };
        let Some(value) = intact(&bytes) else { return Ok(None) };
        // What is asked for is needed; that this cannot be noted keeps nobody from using it.
        let _ = utimensat(CWD, &path, &NOW, AtFlags::SYMLINK_NOFOLLOW);
        Ok(serde_json::from_slice(value).ok())
    }

    /// Stores a value, replacing what was there.
    ///
    /// # Errors
    /// [`StoreError::CacheKind`], [`StoreError::Serialize`], [`StoreError::Io`].
    pub fn cache_put<T: Serialize>(&self, kind: &str, key: &Digest, value: &T) -> Result<()> {
        let path = self.cache_path(kind, key)?;
        let json = serde_json::to_vec(value)
            .map_err(|source| StoreError::Serialize { what: format!("a cached {kind} value"), source })?;
        if let Some(folder) = path.parent()
            && !folder.is_dir()
        {
            fs::create_dir_all(folder)?;
        }
        let (_run, temporary) = self.temporary_path()?;
        let unfinished = Unfinished(temporary);
        let mut file = create_new(&unfinished.0)?;
        file.write_all(format!("{}\n", Digest::of(&json)).as_bytes())?;
        file.write_all(&json)?;
        // Not synced: a value that a power failure tears is recognised and computed anew.
        fs::rename(&unfinished.0, path)?;
        Ok(())
    }

    fn cache_path(&self, kind: &str, key: &Digest) -> Result<PathBuf> {
        let valid = !kind.is_empty()
            && kind.len() <= 64
            && kind.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !valid {
            return Err(StoreError::CacheKind(excerpt(kind)));
        }
        let hex = key.hex();
        let (first, rest) = hex.split_at(2);
        Ok(self.cache_folder(kind).join(first).join(rest))
    }
}
