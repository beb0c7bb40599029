//! What an action left: lists of folders from a server, held against their digests and limits, and written as tars.

use crate::tree::read_digest;
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kiln_record::{Digest, excerpt};
use prost::Message as _;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// The deepest that folders lie in each other.
pub(crate) const DEPTH: usize = 256;

/// Something that is to be written, by its path in the tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File { digest: Digest, size: u64, executable: bool },
    Link(String),
}

/// Why a list of what was left cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// It has more files, folders and links than there may be.
    TooMany,
    /// It makes no sense, for this reason.
    Wrong(String),
}

/// Reads the list of a folder with all that is below it. There may be so many files, folders and links.
pub(crate) fn read(bytes: &[u8], most: u64) -> Result<Vec<Left>, Untaken> {
    let tree = reapi::Tree::decode(bytes).map_err(|error| Untaken::Wrong(error.to_string()))?;
    let Some(root) = tree.root else { return Err(Untaken::Wrong("it has no root".to_owned())) };
    let lists: BTreeMap<Digest, reapi::Directory> =
        tree.children.into_iter().map(|list| (Digest::of(&list.encode_to_vec()), list)).collect();
    let mut reading = Reading { lists, most, left: Vec::new() };
    reading.folder(&root, ".", 0)?;
    Ok(reading.left)
}

/// The list of a folder that is not there.
pub(crate) fn nothing() -> Vec<u8> {
    let tree = reapi::Tree { root: Some(reapi::Directory::default()), children: Vec::new() };
    tree.encode_to_vec()
}

struct Reading {
    lists: BTreeMap<Digest, reapi::Directory>,
    most: u64,
    left: Vec<Left>,
}

impl Reading {
    fn add(&mut self, path: String, kind: Kind) -> Result<(), Untaken> {
        if self.left.len() as u64 >= self.most {
            return Err(Untaken::TooMany);
        }
        self.left.push(Left { path, kind });
        Ok(())
    }

    fn folder(&mut self, list: &reapi::Directory, at: &str, depth: usize) -> Result<(), Untaken> {
        if depth > DEPTH {
            return Err(Untaken::Wrong("its folders are too deep".to_owned()));
        }
        self.add(format!("{at}/"), Kind::Folder)?;
        for file in &list.files {
            let path = below(at, &file.name)?;
            let (digest, size) = read_digest(file.digest.as_ref())
                .ok_or_else(|| Untaken::Wrong(format!("{} has no digest", excerpt(&path))))?;
            self.add(path, Kind::File { digest, size, executable: file.is_executable })?;
        }
        for link in &list.symlinks {
            let path = below(at, &link.name)?;
            if link.target.is_empty() || link.target.contains('\0') {
                return Err(Untaken::Wrong(format!("the link {} leads nowhere", excerpt(&path))));
            }
            self.add(path, Kind::Link(link.target.clone()))?;
        }
        for folder in &list.directories {
            let path = below(at, &folder.name)?;
            let named = read_digest(folder.digest.as_ref()).map(|(digest, _)| digest);
            let Some(list) = named.and_then(|digest| self.lists.get(&digest)).cloned() else {
                return Err(Untaken::Wrong(format!("it lacks the list of {}", excerpt(&path))));
            };
            self.folder(&list, &path, depth + 1)?;
        }
        Ok(())
    }
}

/// The path of a name in a folder, if it is one.
pub(crate) fn below(folder: &str, name: &str) -> Result<String, Untaken> {
    let is_name = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    if is_name {
        Ok(format!("{folder}/{name}"))
    } else {
        Err(Untaken::Wrong(format!("`{}` is no name of a file", excerpt(name))))
    }
}

/// Writes a tar of what was left, file by file as their content comes.
pub(crate) struct Writing<W: Write> {
    tar: Builder<W>,
    left: std::vec::IntoIter<Left>,
}

impl<W: Write> Writing<W> {
    pub(crate) fn new(left: Vec<Left>, to: W) -> Self {
        Self { tar: Builder::new(to), left: left.into_iter() }
    }

    /// Takes the content of the next file, after everything that stands before it.
    pub(crate) fn content(&mut self, content: impl Read) -> io::Result<()> {
        loop {
            match self.left.next() {
                Some(Left { path, kind: Kind::File { size, executable, .. } }) => {
                    let mut header = header(EntryType::Regular, if executable { 0o755 } else { 0o644 });
                    header.set_size(size);
                    return self.tar.append_data(&mut header, path, content);
                }
                Some(other) => self.other(other)?,
                None => return Err(io::Error::other("a file that nothing names")),
            }
        }
    }

    fn other(&mut self, left: Left) -> io::Result<()> {
        match left.kind {
            Kind::Folder => {
                self.tar.append_data(&mut header(EntryType::Directory, 0o755), left.path, io::empty())
            }
            Kind::Link(target) => {
                self.tar.append_link(&mut header(EntryType::Symlink, 0o777), left.path, target)
            }
            Kind::File { .. } => Err(io::Error::other(format!("the content of {} is missing", left.path))),
        }
    }

    /// Ends the tar.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        while let Some(left) = self.left.next() {
            self.other(left)?;
        }
        self.tar.into_inner()?.flush()
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_size(0);
    header
}
