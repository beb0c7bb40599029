//! Which entries of the tree differ.

use crate::difference::FirstDifference;
use kiln_record::{ComponentId, Digest, Entry, FileRecord, Mode, Record, TreePath};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// One entry that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileChange {
    /// Where it is; where it is now, if it moved.
    pub path: TreePath,
    /// What happened to it.
    pub kind: FileChangeKind,
    /// Where it was, if it moved.
    pub from: Option<TreePath>,
    /// What was there.
    pub before: Option<FileState>,
    /// What is there.
    pub after: Option<FileState>,
    /// Who owns it now, or owned it.
    pub component: ComponentId,
    /// Where the contents differ first, if both were at hand and were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<FirstDifference>,
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FileChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content, or a link's target, is another.
    Content,
    /// Only its mode is another.
    Mode,
    /// A file became a link, or a link a file.
    Kind,
    /// The same content was at another path, which is gone.
    Moved,
}

/// The measurable part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileState {
    /// Bytes: a file's length, a link's target's length.
    pub size: u64,
    /// A file's mode; links have none.
    pub mode: Option<Mode>,
    /// A file's content.
    pub digest: Option<Digest>,
}

impl FileState {
    fn of(entry: &Entry) -> Self {
        match entry {
            Entry::File { digest, size, mode } => {
                Self { size: *size, mode: Some(*mode), digest: Some(*digest) }
            }
            Entry::Symlink { .. } => Self { size: entry.size(), mode: None, digest: None },
        }
    }
}

/// All entries that differ, in path order.
pub(crate) fn changes(before: &Record, after: &Record) -> Vec<FileChange> {
    fn index(record: &Record) -> BTreeMap<&TreePath, &FileRecord> {
        record.files.iter().map(|file| (&file.path, file)).collect()
    }
    let (old, new) = (index(before), index(after));
    let mut changes: BTreeMap<&TreePath, FileChange> = BTreeMap::new();
    // Files that are gone, by content and mode, to recognise them where they reappear. Empty files prove nothing.
    let mut gone: BTreeMap<(Digest, Mode), VecDeque<&FileRecord>> = BTreeMap::new();
    for (path, file) in &old {
        match new.get(path) {
            None => {
                if let Entry::File { digest, size, mode } = file.entry
                    && size > 0
                {
                    gone.entry((digest, mode)).or_default().push_back(file);
                }
                changes.insert(path, change(file, FileChangeKind::Removed, Some(file), None));
            }
            Some(now) => {
                if let Some(kind) = kind(&file.entry, &now.entry) {
                    changes.insert(path, change(now, kind, Some(file), Some(now)));
                }
            }
        }
    }
    for (path, file) in new.iter().filter(|(path, _)| !old.contains_key(*path)) {
        let moved = match file.entry {
            Entry::File { digest, mode, .. } => gone.get_mut(&(digest, mode)).and_then(VecDeque::pop_front),
            Entry::Symlink { .. } => None,
        };
        let mut added = change(file, FileChangeKind::Added, moved, Some(file));
        if let Some(moved) = moved {
            changes.remove(&moved.path);
            added.kind = FileChangeKind::Moved;
            added.from = Some(moved.path.clone());
        }
        changes.insert(path, added);
    }
    changes.into_values().collect()
}

fn kind(before: &Entry, after: &Entry) -> Option<FileChangeKind> {
    match (before, after) {
        (Entry::File { digest: a, mode: m, .. }, Entry::File { digest: b, mode: n, .. }) => {
            if a != b {
                Some(FileChangeKind::Content)
            } else {
                (m != n).then_some(FileChangeKind::Mode)
            }
        }
        (Entry::Symlink { target: a }, Entry::Symlink { target: b }) => {
            (a != b).then_some(FileChangeKind::Content)
        }
        _ => Some(FileChangeKind::Kind),
    }
}

fn change(
    owner: &FileRecord,
    kind: FileChangeKind,
    before: Option<&FileRecord>,
    after: Option<&FileRecord>,
) -> FileChange {
    FileChange {
        path: owner.path.clone(),
        kind,
        from: None,
        before: before.map(|f| FileState::of(&f.entry)),
        after: after.map(|f| FileState::of(&f.entry)),
        component: owner.component.clone(),
        difference: None,
    }
}
