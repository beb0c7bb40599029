//! Refuses paths that cannot be together in one tree.

use crate::{PackError, Result};
use kiln_record::TreePath;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The paths of an archive so far.
#[derive(Debug)]
pub(crate) struct PathGuard {
    ignore_case: bool,
    seen: BTreeMap<String, Seen>,
    /// The path before: what both lie in is known already.
    last: String,
}

#[derive(Debug)]
enum Seen {
    /// A file or link at this path.
    File(TreePath),
    /// A folder, with a path that needs it to be one.
    Folder(TreePath),
}

impl PathGuard {
    /// `ignore_case` refuses two files whose paths differ only in case, as for an archive that may be unpacked anywhere.
    pub(crate) fn new(ignore_case: bool) -> Self {
        Self { ignore_case, seen: BTreeMap::new(), last: String::new() }
    }

    /// Adds a file or link and returns the folders that appear with it for the first time, outermost first.
    pub(crate) fn add_file(&mut self, path: &TreePath) -> Result<Vec<TreePath>> {
        let folders = self.add_parents(path)?;
        match self.seen.entry(key(self.ignore_case, path.as_str())) {
            Entry::Vacant(slot) => {
                slot.insert(Seen::File(path.clone()));
                Ok(folders)
            }
            Entry::Occupied(slot) => Err(match slot.get() {
                Seen::File(other) if other == path => PackError::Duplicate(path.clone()),
                Seen::File(other) => PackError::Case { path: path.clone(), other: other.clone() },
                Seen::Folder(below) => PackError::FileAsFolder { file: path.clone(), below: below.clone() },
            }),
        }
    }

    /// Adds a folder; one that is known already is fine. Returns the folders above it that appear with it, as
    /// [`PathGuard::add_file`] does.
    pub(crate) fn add_folder(&mut self, path: &TreePath) -> Result<Vec<TreePath>> {
        let folders = self.add_parents(path)?;
        self.add_one_folder(path, path)?;
        Ok(folders)
    }

    fn add_parents(&mut self, path: &TreePath) -> Result<Vec<TreePath>> {
        let mut new = Vec::new();
        let last = std::mem::replace(&mut self.last, path.as_str().to_owned());
        let is_known = |folder: &&str| last.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        for folder in path.folders().skip_while(is_known) {
            let folder = TreePath::new(folder)?;
            if self.add_one_folder(&folder, path)? {
                new.push(folder);
            }
        }
        Ok(new)
    }

    fn add_one_folder(&mut self, folder: &TreePath, below: &TreePath) -> Result<bool> {
        match self.seen.entry(key(self.ignore_case, folder.as_str())) {
            Entry::Vacant(slot) => {
                slot.insert(Seen::Folder(below.clone()));
                Ok(true)
            }
            Entry::Occupied(slot) => match slot.get() {
                Seen::Folder(_) => Ok(false),
                Seen::File(file) => Err(PackError::FileAsFolder { file: file.clone(), below: below.clone() }),
            },
        }
    }
}

fn key(ignore_case: bool, path: &str) -> String {
    if ignore_case { path.to_lowercase() } else { path.to_owned() }
}

/// Refuses a path that does not come after the last one.
pub(crate) fn check_order(last: Option<&TreePath>, path: &TreePath) -> Result<()> {
    match last {
        Some(last) if last == path => Err(PackError::Duplicate(path.clone())),
        Some(last) if last > path => Err(PackError::Order { path: path.clone(), after: last.clone() }),
        _ => Ok(()),
    }
}

/// Refuses link targets that an archive cannot hold safely. Whether a target leaves the tree is judged elsewhere.
pub(crate) fn check_target(path: &TreePath, target: &str) -> Result<()> {
    if target.is_empty() || target.len() > 4096 || target.chars().any(char::is_control) {
        return Err(PackError::LinkTarget { path: path.clone() });
    }
    Ok(())
}
