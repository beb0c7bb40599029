//! What a step left: taken out of the container's folders, brought into one form, and compared.
//!
//! The form: files with mode 0644 or 0755, links that stay inside their output, nothing else. Owners, times, empty
//! folders and the order of a folder are not part of it; hard links become files.

use crate::StepError;
use kiln_collect::{how_differ, link_stays_inside};
use kiln_engine::GuestPath;
use kiln_guest::Difference;
use kiln_pack::{Limits, PackError, TarContent, read_tar};
use kiln_plan::{StepOutput, StepSection};
use kiln_record::{Digest, Entry, Mode, Tree, TreePath};
use kiln_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the folders of a step may hold. Whole build folders are read, of which little is taken.
const LIMITS: Limits =
    Limits { max_members: 500_000, max_member_size: 1 << 30, max_total_size: 4 << 30, max_ratio: u64::MAX };
/// As many bytes are stored at once.
const BATCH: usize = 64 << 20;

/// A file of an output, under its path in the step's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeFile {
    /// Where it is in the tree that other steps are given, and in the artifact if it is shipped.
    pub(crate) path: TreePath,
    pub(crate) entry: Entry,
    /// Whether the artifact takes it.
    pub(crate) shipped: bool,
}

/// An entry with its content.
#[derive(Debug)]
enum Found {
    File { mode: Mode, content: Vec<u8> },
    Symlink { target: String },
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

/// Everything that the outputs of a run hold, sorted.
pub(crate) struct Outputs(BTreeMap<TreePath, (bool, Found)>);

impl Outputs {
    pub(crate) fn read(section: &StepSection, folders: &[(GuestPath, Vec<u8>)]) -> Result<Self, Untaken> {
        let mut all = Self(BTreeMap::new());
        let mut seen = vec![Seen::Nothing; section.outputs.len()];
        for (folder, tar) in folders {
            let each =
                section.outputs.iter().enumerate().filter(|(_, output)| output.folder == folder.as_str());
            let outputs: Vec<(usize, &StepOutput, &str)> = each
                .map(|(index, output)| {
                    let below = output.path.strip_prefix(folder.as_str()).unwrap_or_default();
                    (index, output, below.trim_start_matches('/'))
                })
                .collect();
            all.take(&outputs, tar, &mut seen)
                .map_err(|error| Untaken::Unusable { folder: folder.to_string(), why: error.to_string() })?;
        }
        for (output, seen) in section.outputs.iter().zip(&seen) {
            match seen {
                Seen::Files => {}
                Seen::Nothing => return Err(Untaken::NotMade(output.path.clone())),
                Seen::Folder => return Err(Untaken::Empty(output.path.clone())),
            }
        }
        Ok(all)
    }

    /// Takes what the outputs name out of one folder.
    fn take(
        &mut self,
        outputs: &[(usize, &StepOutput, &str)],
        tar: &[u8],
        seen: &mut [Seen],
    ) -> Result<(), PackError> {
        // A file that is taken may be another name of one that is not.
        let mut linked: BTreeMap<TreePath, Option<(Mode, Vec<u8>)>> = BTreeMap::new();
        read_tar(tar, &LIMITS, |item| {
            if let TarContent::HardLink(first) = item.content {
                linked.insert(first, None);
            }
            Ok::<(), PackError>(())
        })?;
        read_tar(tar, &LIMITS, |item| {
            let found = match item.content {
                TarContent::Folder => {
                    for (index, _, below) in outputs {
                        if item.path.as_str() == *below {
                            seen[*index] = seen[*index].max(Seen::Folder);
                        }
                    }
                    return Ok(());
                }
                TarContent::File(content) => {
                    let mode = Mode::from_bits(item.mode);
                    if let Some(kept) = linked.get_mut(&item.path) {
                        *kept = Some((mode, content.clone()));
                    }
                    Found::File { mode, content }
                }
                TarContent::Symlink(target) => Found::Symlink { target },
                TarContent::HardLink(first) => match linked.get(&first) {
                    Some(Some((mode, content))) => Found::File { mode: *mode, content: content.clone() },
                    _ => return Err(refused(&item.path, "it is a link to what is not there")),
                },
            };
            let Some((index, output, below)) =
                outputs.iter().find(|(_, _, below)| item.path.is_within(below) || below.is_empty())
            else {
                return Ok(());
            };
            let inside = match item.path.as_str().strip_prefix(below).map(|rest| rest.trim_start_matches('/'))
            {
                Some("") | None => {
                    if matches!(found, Found::Symlink { .. }) {
                        return Err(refused(&item.path, "an output is a file or a folder, and it is a link"));
                    }
                    item.path.file_name()
                }
                Some(rest) => rest,
            };
            if let Found::Symlink { target } = &found {
                link_stays_inside(inside, target).map_err(|_| {
                    refused(&item.path, &format!("it is a link out of the output, to {target}"))
                })?;
            }
            seen[*index] = Seen::Files;
            let inside = TreePath::new(inside)?;
            let path = match output.into.as_deref() {
                None | Some(".") => inside,
                Some(into) => inside.below(into)?,
            };
            if self.0.contains_key(&path) {
                return Err(refused(&item.path, &format!("another output has `{path}` already")));
            }
            self.0.insert(path, (output.into.is_some(), found));
            Ok(())
        })
    }

    /// Puts the content into the store.
    pub(crate) fn store(self, store: &Store) -> Result<Vec<MadeFile>, StepError> {
        let mut files = Vec::new();
        let mut batch: Vec<(TreePath, bool, Mode, Vec<u8>)> = Vec::new();
        let mut pending = 0;
        let flush = |batch: &mut Vec<(TreePath, bool, Mode, Vec<u8>)>, files: &mut Vec<MadeFile>| {
            let contents: Vec<&Vec<u8>> = batch.iter().map(|(.., content)| content).collect();
            let digests = store.put_all(&contents)?;
            for ((path, shipped, mode, content), digest) in batch.drain(..).zip(digests) {
                let entry = Entry::File { digest, size: content.len() as u64, mode };
                files.push(MadeFile { path, entry, shipped });
            }
            Ok::<(), StepError>(())
        };
        for (path, (shipped, found)) in self.0 {
            match found {
                Found::Symlink { target } => {
                    files.push(MadeFile { path, entry: Entry::Symlink { target }, shipped });
                }
                Found::File { mode, content } => {
                    pending += content.len();
                    batch.push((path, shipped, mode, content));
                }
            }
            if pending > BATCH {
                pending = 0;
                flush(&mut batch, &mut files)?;
            }
        }
        flush(&mut batch, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// What differs from the files of an earlier run, whose content is in the store.
    pub(crate) fn difference(
        &self,
        store: &Store,
        first: &[MadeFile],
    ) -> Result<Option<Difference>, StepError> {
        let before: BTreeMap<&TreePath, &Entry> =
            first.iter().map(|file| (&file.path, &file.entry)).collect();
        let now: BTreeMap<&TreePath, Entry> =
            self.0.iter().map(|(path, (_, found))| (path, found.entry())).collect();
        let paths: BTreeSet<&TreePath> = before.keys().chain(now.keys()).copied().collect();
        let differing: Vec<&TreePath> =
            paths.into_iter().filter(|path| before.get(path).copied() != now.get(path)).collect();
        let Some(path) = differing.first() else { return Ok(None) };
        let how = match (before.get(path), self.0.get(*path).map(|(_, found)| found)) {
            (Some(_), None) => "only the first run made it".to_owned(),
            (None, _) => "only the second run made it".to_owned(),
            (Some(Entry::File { digest, mode, .. }), Some(Found::File { mode: other, content })) => {
                if *digest == Digest::of(content) {
                    format!("it has mode {mode} once and {other} once")
                } else {
                    how_differ(&store.read_blob(digest)?, content)
                }
            }
            (Some(_), Some(_)) => "it is a link, or leads elsewhere, in one of them".to_owned(),
        };
        Ok(Some(Difference { path: path.to_string(), how, files: differing.len() }))
    }
}

impl Found {
    fn entry(&self) -> Entry {
        match self {
            Self::File { mode, content } => {
                Entry::File { digest: Digest::of(content), size: content.len() as u64, mode: *mode }
            }
            Self::Symlink { target } => Entry::Symlink { target: target.clone() },
        }
    }
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
    use std::io;
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
        let folders = [(GuestPath::new("/out").unwrap(), archive.into_inner().unwrap())];
        let all = Outputs::read(&section, &folders)?.0;
        Ok(all
            .into_iter()
            .map(|(path, (shipped, found))| (path.to_string(), shipped, found.entry()))
            .collect())
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
}
