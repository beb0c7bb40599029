//! Which folders of this machine containers were seen to have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The folders that were tried, and whether containers see them.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<BTreeMap<PathBuf, bool>>);

impl Seen {
    pub(super) fn get(&self, folder: &Path) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(folder).copied()
    }

    pub(super) fn set(&self, folder: &Path, seen: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned(), seen);
    }

    /// Whether a folder, or one that it is in, was seen.
    pub(super) fn has(&self, folder: &Path) -> bool {
        folder.ancestors().any(|folder| self.get(folder) == Some(true))
    }
}
