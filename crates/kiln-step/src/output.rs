//! What a step left: taken out of the container's folders, brought into one form, and compared.
//!
//! The form: files with mode 0644 or 0755, links that stay inside their output, nothing else. Owners, times, empty
//! folders and the order of a folder are not part of it; hard links become files.

use crate::StepError;
use kiln_collect::{how_differ, link_stays_inside};
use kiln_engine::GuestPath;
use kiln_guest::Difference;
use kiln_pack::{Limits, PackError, TarContent, stream_tar};
use kiln_plan::{StepOutput, StepSection};
use kiln_record::{Entry, Mode, Tree, TreePath};
use kiln_store::{Batch, Spool, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the folders of a step may hold. Whole build folders are read, of which little is taken.
const LIMITS: Limits =
    Limits { max_members: 500_000, max_member_size: 1 << 30, max_total_size: 4 << 30, max_ratio: u64::MAX };
/// Files up to this size are looked into for what differs in them.
const COMPARED: u64 = 64 << 20;

/// A file of an output, under its path in the step's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeFile {
    /// Where it is in the tree that other steps are given, and in the artifact if it is shipped.
    pub(crate) path: TreePath,
    pub(crate) entry: Entry,
    /// Whether the artifact takes it.
    pub(crate) shipped: bool,
}

/// Why what a step left cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// An output that is not there.
    NotMade(String),
    /// An output that is an empty folder.
    Empty(String),
    /// Something in a folder, with what is wrong with it.
    Unusable { folder: String, why: String },
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMade(path) => write!(f, "made no {path}"),
            Self::Empty(path) => write!(f, "left nothing in {path}"),
            Self::Unusable { folder, why } => {
                write!(f, "left something in {folder} that cannot be taken: {why}")
            }
        }
    }
}

/// Takes what the outputs name out of the folders of a run, and puts its content into the store. Sorted by path.
pub(crate) fn take(
    section: &StepSection,
    folders: &[(GuestPath, Spool)],
    store: &Store,
) -> Result<Result<Vec<MadeFile>, Untaken>, StepError> {
    let mut taking = Taking {
        batch: store.batch(),
        files: BTreeMap::new(),
        seen: vec![Seen::Nothing; section.outputs.len()],
    };
    for (folder, spool) in folders {
        let each = section.outputs.iter().enumerate().filter(|(_, output)| output.folder == folder.as_str());
        let outputs: Vec<Named<'_>> = each
            .map(|(index, output)| {
                let below = output.path.strip_prefix(folder.as_str()).unwrap_or_default();
                Named { index, output, below: below.trim_start_matches('/') }
            })
            .collect();
        match taking.folder(&outputs, spool) {
            Ok(()) => {}
            Err(Fault::Refused(error)) => {
                return Ok(Err(Untaken::Unusable { folder: folder.to_string(), why: error.to_string() }));
            }
            Err(Fault::Store(error)) => return Err(error.into()),
        }
    }
    for (output, seen) in section.outputs.iter().zip(&taking.seen) {
        match seen {
            Seen::Files => {}
            Seen::Nothing => return Ok(Err(Untaken::NotMade(output.path.clone()))),
            Seen::Folder => return Ok(Err(Untaken::Empty(output.path.clone()))),
        }
    }
    taking.batch.commit()?;
    let files = taking.files.into_iter();
    Ok(Ok(files.map(|(path, (shipped, entry))| MadeFile { path, entry, shipped }).collect()))
}

/// An output, and where it is in its folder.
struct Named<'a> {
    index: usize,
    output: &'a StepOutput,
    below: &'a str,
}

/// Outputs on their way into the store.
struct Taking {
    batch: Batch,
    files: BTreeMap<TreePath, (bool, Entry)>,
    seen: Vec<Seen>,
}

/// Why taking ends early.
enum Fault {
    /// What the program left is no good.
    Refused(PackError),
    /// The store cannot take it.
    Store(StoreError),
}

impl From<PackError> for Fault {
    fn from(error: PackError) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Taking {
    /// Takes what the outputs name out of one folder.
    fn folder(&mut self, outputs: &[Named<'_>], spool: &Spool) -> Result<(), Fault> {
        // A file that is taken may be another name of one that is not.
        let mut linked: BTreeMap<TreePath, Option<Entry>> = BTreeMap::new();
        stream_tar(spool.reader()?, &LIMITS, |item| {
            if let TarContent::HardLink(first) = item.content {
                linked.insert(first, None);
            }
            Ok::<(), PackError>(())
        })?;
        stream_tar(spool.reader()?, &LIMITS, |item| {
            let path = item.path;
            let named = outputs.iter().find(|named| path.is_within(named.below) || named.below.is_empty());
            let entry = match item.content {
                TarContent::Folder => {
                    for named in outputs.iter().filter(|named| path.as_str() == named.below) {
                        self.seen[named.index] = self.seen[named.index].max(Seen::Folder);
                    }
                    return Ok(());
                }
                TarContent::File(content) => {
                    let kept = linked.get_mut(&path);
                    if named.is_none() && kept.is_none() {
                        return Ok(());
                    }
                    let (digest, size) = self.batch.put_from(content)?;
                    let entry = Entry::File { digest, size, mode: Mode::from_bits(item.mode) };
                    if let Some(kept) = kept {
                        *kept = Some(entry.clone());
                    }
                    entry
                }
                TarContent::Symlink(target) => Entry::Symlink { target },
                TarContent::HardLink(first) => match linked.get(&first) {
                    Some(Some(entry)) => entry.clone(),
                    _ => return Err(refused(&path, "it is a link to what is not there").into()),
                },
            };
            match named {
                Some(named) => self.entry(named, &path, entry),
                None => Ok(()),
            }
        })
    }

    /// Takes one file or link of an output.
    fn entry(&mut self, named: &Named<'_>, path: &TreePath, entry: Entry) -> Result<(), Fault> {
        let rest = path.as_str().strip_prefix(named.below).map(|rest| rest.trim_start_matches('/'));
        let inside = match rest {
            Some("") | None => {
                if matches!(entry, Entry::Symlink { .. }) {
                    return Err(refused(path, "an output is a file or a folder, and it is a link").into());
                }
                path.file_name()
            }
            Some(rest) => rest,
        };
        if let Entry::Symlink { target } = &entry {
            link_stays_inside(inside, target)
                .map_err(|_| refused(path, &format!("it is a link out of the output, to {target}")))?;
        }
        self.seen[named.index] = Seen::Files;
        let inside = TreePath::new(inside).map_err(PackError::from)?;
        let made = match named.output.into.as_deref() {
            None | Some(".") => inside,
            Some(into) => inside.below(into).map_err(PackError::from)?,
        };
        if self.files.contains_key(&made) {
            return Err(refused(path, &format!("another output has `{made}` already")).into());
        }
        self.files.insert(made, (named.output.into.is_some(), entry));
        Ok(())
    }
}

/// What differs between the files of two runs, whose content is in the store.
pub(crate) fn difference(
    store: &Store,
    first: &[MadeFile],
    second: &[MadeFile],
) -> Result<Option<Difference>, StepError> {
    let by_path = |files: &[MadeFile]| -> BTreeMap<TreePath, Entry> {
        files.iter().map(|file| (file.path.clone(), file.entry.clone())).collect()
    };
    let (before, now) = (by_path(first), by_path(second));
    let paths: BTreeSet<&TreePath> = before.keys().chain(now.keys()).collect();
    let differing: Vec<&TreePath> =
        paths.into_iter().filter(|path| before.get(path) != now.get(path)).collect();
    let Some(path) = differing.first() else { return Ok(None) };
    let how = match (before.get(path), now.get(path)) {
        (Some(_), None) => "only the first run made it".to_owned(),
        (None, _) => "only the second run made it".to_owned(),
        (Some(Entry::File { digest: a, mode, .. }), Some(Entry::File { digest: b, mode: other, .. }))
            if a == b =>
        {
            format!("it has mode {mode} once and {other} once")
        }
        (Some(Entry::File { digest: a, size, .. }), Some(Entry::File { digest: b, size: other, .. })) => {
            match (*size).max(*other) {
                0..=COMPARED => how_differ(&store.read_blob(a)?, &store.read_blob(b)?),
                _ if size == other => format!("its {size} bytes are not the same"),
                _ => format!("it has {size} bytes once and {other} bytes once"),
            }
        }
        (Some(_), Some(_)) => "it is a link, or leads elsewhere, in one of them".to_owned(),
    };
    Ok(Some(Difference { path: path.to_string(), how, files: differing.len() }))
}

/// What was seen at the path of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Nothing,
    Folder,
    Files,
}

fn refused(path: &TreePath, reason: &str) -> PackError {
    PackError::Malformed { place: format!("`{path}`"), reason: reason.to_owned() }
}

/// The files as a tree: all of them, or those that the artifact takes.
pub(crate) fn tree(files: &[MadeFile], only_shipped: bool) -> Tree {
    let taken = files.iter().filter(|file| file.shipped || !only_shipped);
    taken.map(|file| (file.path.clone(), file.entry.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Digest;
    use std::io::{self, Write as _};
    use tar::{Builder, EntryType, Header};

    /// An entry of a tar: path, kind, mode, and content or target.
    type Item<'a> = (&'a str, EntryType, u32, &'a str);

    fn read(
        outputs: &[(&str, Option<&str>)],
        items: &[Item<'_>],
    ) -> Result<Vec<(String, bool, Entry)>, Untaken> {
        let mut archive = Builder::new(Vec::new());
        for (path, kind, mode, text) in items {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            match kind {
                EntryType::Regular => {
                    header.set_size(text.len() as u64);
                    archive.append_data(&mut header, path, text.as_bytes()).unwrap();
                }
                EntryType::Symlink | EntryType::Link => {
                    header.set_size(0);
                    archive.append_link(&mut header, path, text).unwrap();
                }
                _ => {
                    header.set_size(0);
                    archive.append_data(&mut header, path, io::empty()).unwrap();
                }
            }
        }
        let each = outputs.iter().map(|(path, into)| StepOutput {
            path: (*path).to_owned(),
            into: into.map(str::to_owned),
            folder: "/out".to_owned(),
        });
        let section = StepSection {
            name: "make".to_owned(),
            base: None,
            argv: vec!["true".to_owned()],
            env: BTreeMap::new(),
            inputs: Vec::new(),
            outputs: each.collect(),
            working_dir: "/".to_owned(),
            memory: 1 << 30,
            timeout: 1,
            reproducible: kiln_plan::Reproducible::Check,
            spans: kiln_plan::StepSpans::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let spool = store.spool().unwrap();
        spool.writer().unwrap().write_all(&archive.into_inner().unwrap()).unwrap();
        let taken = take(&section, &[(GuestPath::new("/out").unwrap(), spool)], &store).unwrap()?;
        let stored = |entry: &Entry| match entry {
            Entry::File { digest, .. } => store.contains(digest),
            Entry::Symlink { .. } => true,
        };
        assert!(taken.iter().all(|file| stored(&file.entry)), "{taken:?}");
        Ok(taken.into_iter().map(|file| (file.path.to_string(), file.shipped, file.entry)).collect())
    }

    fn file(text: &str, mode: Mode) -> Entry {
        Entry::File { digest: Digest::of(text.as_bytes()), size: text.len() as u64, mode }
    }

    #[test]
    fn only_what_is_named_is_taken_in_one_form() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let items = [
            ("target/deps/app-1", Regular, 0o775, "app"),
            ("target/app", Link, 0o775, "target/deps/app-1"),
            ("site/a/b", Regular, 0o4600, "b"),
            ("site/a/empty", Directory, 0o700, ""),
            ("site/link", Symlink, 0o777, "a/b"),
            ("sitemap", Regular, 0o644, "not below site"),
        ];
        let found = read(&[("/out/target/app", Some("bin")), ("/out/site", None)], &items).unwrap();
        assert_eq!(
            found,
            [
                ("a/b".to_owned(), false, file("b", Mode::Plain)),
                ("bin/app".to_owned(), true, file("app", Mode::Executable)),
                ("link".to_owned(), false, Entry::Symlink { target: "a/b".to_owned() }),
            ]
        );
        let whole = read(&[("/out", Some("."))], &items).unwrap();
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[4].0, "target/deps/app-1");
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        use EntryType::{Directory, Fifo, Regular, Symlink};
        let told = |outputs: &[(&str, Option<&str>)], items: &[Item<'_>]| {
            read(outputs, items).unwrap_err().to_string()
        };
        let one: &[(&str, Option<&str>)] = &[("/out/x", Some("."))];
        assert_eq!(told(one, &[("y", Regular, 0o644, "")]), "made no /out/x");
        assert_eq!(told(one, &[("x", Directory, 0o755, "")]), "left nothing in /out/x");
        assert!(told(one, &[("x", Symlink, 0o777, "y")]).contains("it is a link"));
        assert!(told(one, &[("x/l", Symlink, 0o777, "../y")]).contains("out of the output"));
        assert!(told(one, &[("x/p", Fifo, 0o644, "")]).contains("cannot be taken"));
        let two = &[("/out/x", Some("d")), ("/out/y", Some("d"))];
        let items = [("x/f", Regular, 0o644, "1"), ("y/f", Regular, 0o644, "2")];
        assert!(told(two, &items).contains("another output has `d/f` already"));
    }

    #[test]
    fn what_differs_between_two_runs_is_told_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = |files: &[(&str, &str)]| -> Vec<MadeFile> {
            let made = files.iter().map(|(path, text)| MadeFile {
                path: TreePath::new(path).unwrap(),
                entry: Entry::File {
                    digest: store.put(text.as_bytes()).unwrap(),
                    size: text.len() as u64,
                    mode: Mode::Plain,
                },
                shipped: true,
            });
            made.collect()
        };
        let first = run(&[("a", "1\n"), ("b", "2\n")]);
        assert_eq!(difference(&store, &first, &first).unwrap(), None);
        let told = |second: &[(&str, &str)]| difference(&store, &first, &run(second)).unwrap().unwrap();
        let other = told(&[("a", "1\n"), ("b", "3\n"), ("c", "4\n")]);
        assert_eq!((other.path.as_str(), other.files), ("b", 2));
        assert!(other.how.contains("line 1 is `2` and then `3`"), "{}", other.how);
        assert!(told(&[("b", "2\n")]).how.contains("only the first"));
    }
}
