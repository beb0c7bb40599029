//! What is in a store: how much of which kind, and what names what.

use crate::atomic::names_in;
use crate::{Result, Store};
use fs_err as fs;
use kiln_record::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Held {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// How much of a store is what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What has a digest: wheels, packages, layers, and what was made.
    pub blobs: Held,
    /// What is remembered, by kind.
    pub cached: BTreeMap<String, Held>,
    /// Trees that containers are given. A file that several trees have counts once.
    pub unpacked: Held,
    /// What runs write at the moment, or left when they were killed.
    pub unfinished: Held,
}

impl Usage {
    /// All of it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let cached: u64 = self.cached.values().map(|held| held.bytes).sum();
        self.blobs.bytes + cached + self.unpacked.bytes + self.unfinished.bytes
    }
}

/// A file of the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// When it was written, or used last where that is noted.
    pub(crate) used: SystemTime,
}

impl Store {
    /// How much of the store is what.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for stored in self.blobs()?.values() {
            usage.blobs.add(stored.bytes);
        }
        for (kind, values) in self.cached()? {
            let held = usage.cached.entry(kind).or_default();
            values.iter().for_each(|stored| held.add(stored.bytes));
        }
        usage.unpacked = held_below(&self.root().join("unpacked"))?;
        usage.unfinished = held_below(&self.root().join("temp"))?;
        Ok(usage)
    }

    /// The digests of all blobs, with their lengths in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn blob_sizes(&self) -> Result<BTreeMap<Digest, u64>> {
        Ok(self.blobs()?.into_iter().map(|(digest, stored)| (digest, stored.bytes)).collect())
    }

    pub(crate) fn blobs(&self) -> Result<BTreeMap<Digest, Stored>> {
        let root = self.root().join("blobs/sha256");
        let mut blobs = BTreeMap::new();
        for first in names_in(&root)? {
            for rest in names_in(&root.join(&first))? {
                let path = root.join(&first).join(&rest);
                if let (Ok(digest), Some(stored)) =
                    (Digest::from_hex(&format!("{first}{rest}")), stored(path)?)
                {
                    blobs.insert(digest, stored);
                }
            }
        }
        Ok(blobs)
    }

    /// Cached values, by kind.
    pub(crate) fn cached(&self) -> Result<BTreeMap<String, Vec<Stored>>> {
        let root = self.root().join("cache");
        let mut kinds: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
        for kind in names_in(&root)? {
            if !root.join(&kind).is_dir() {
                continue;
            }
            let values = kinds.entry(kind.clone()).or_default();
            for first in names_in(&root.join(&kind))? {
                for rest in names_in(&root.join(&kind).join(&first))? {
                    values.extend(stored(root.join(&kind).join(&first).join(rest))?);
                }
            }
        }
        Ok(kinds)
    }
}

/// A regular file; none if it is gone by now, or is something else.
fn stored(path: PathBuf) -> Result<Option<Stored>> {
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => {
            Ok(Some(Stored { path, bytes: found.len(), used: found.modified()? }))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(None),
    }
}

/// All regular files below a folder; those with several names count once. What goes away meanwhile is not counted.
pub(crate) fn held_below(folder: &Path) -> Result<Held> {
    let (mut held, mut seen, mut open) = (Held::default(), BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for name in names_in(&folder)? {
            let path = folder.join(name);
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            if found.is_dir() {
                open.push(path);
            } else if found.is_file() && (found.nlink() == 1 || seen.insert((found.dev(), found.ino()))) {
                held.add(found.len());
            }
        }
    }
    Ok(held)
}

/// Every digest that a text names, whatever format it has: 64 hexadecimal digits with none before or after them.
pub fn digests_in(text: &[u8]) -> impl Iterator<Item = Digest> {
    text.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() == 64).filter_map(|run| {
        let hex = std::str::from_utf8(run).ok()?.to_ascii_lowercase();
        Digest::from_hex(&hex).ok()
    })
}
