//! How many files and bytes each package accounts for.

use crate::contents::{ContentEntry, ImageContents, OsPackage};
use kiln_record::TreePath;
use std::collections::BTreeSet;

/// Files that were counted. A path that two packages list belongs to the first, as two shares of one file would be counted
/// twice.
pub(crate) struct PackageFiles<'a> {
    contents: &'a ImageContents,
    counted: BTreeSet<TreePath>,
}

impl<'a> PackageFiles<'a> {
    /// None yet.
    pub(crate) fn of(contents: &'a ImageContents) -> Self {
        Self { contents, counted: BTreeSet::new() }
    }

    /// Counts a path that a package's database lists, if it is there and is no folder.
    pub(crate) fn count(&mut self, package: &mut OsPackage, line: &str) {
        let Some(path) = self.place(line) else { return };
        let bytes = match self.contents.entries.get(&path) {
            Some(ContentEntry::File { size, .. }) => *size,
            Some(ContentEntry::Symlink { .. }) => 0,
            _ => return,
        };
        if self.counted.insert(path) {
            package.bytes += bytes;
            package.files += 1;
        }
    }

    /// Where a listed path is: links on the way to it are followed (merged `/usr`), and the path itself is not.
    fn place(&self, line: &str) -> Option<TreePath> {
        let line = line.strip_prefix('/')?;
        match line.rsplit_once('/') {
            None => TreePath::new(line).ok(),
            Some((folder, name)) => TreePath::new(&format!("{}/{name}", self.contents.resolve(folder)?)).ok(),
        }
    }
}
