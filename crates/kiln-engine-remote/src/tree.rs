//! The files of a root as the Remote Execution API has them: folders by the digests of their lists.

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::protobuf::{Timestamp, UInt32Value};
use kiln_record::{Digest, excerpt};
use prost::Message as _;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

/// How many links a path may go through.
const MOST_LINKS: u32 = 40;
/// The modes of what nobody stated one for.
const FOLDER_MODE: u32 = 0o755;

/// Something in a folder.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(File),
    Folder(Arc<Folder>),
    /// A link, with where it leads.
    Link(String),
}

/// A file, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) time: u64,
}

/// A folder. Copies share what is below until one of them is changed.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) mode: u32,
    pub(crate) time: u64,
}

/// What a tree is made of: the lists of its folders, and everything that it names, with sizes.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    pub(crate) lists: BTreeMap<Digest, Vec<u8>>,
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new(mode: u32, time: u64) -> Self {
        Self { nodes: BTreeMap::new(), mode, time }
    }

    /// Where a path leads, as names from the root: through the links of this tree, as a process in it would go.
    /// What is not there ends as it is stated.
    pub(crate) fn resolve(&self, path: &str, through_last: bool) -> io::Result<Vec<String>> {
        let mut left: VecDeque<String> = names(path).map(str::to_owned).collect();
        let (mut found, mut links) = (Vec::new(), 0);
        while let Some(name) = left.pop_front() {
            if name == ".." {
                found.pop();
                continue;
            }
            let target = match self.at(&found).and_then(|folder| folder.nodes.get(&name)) {
                Some(Node::Link(target)) if through_last || !left.is_empty() => target.clone(),
                _ => {
                    found.push(name);
                    continue;
                }
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::other(format!("{} goes through too many links", excerpt(path))));
            }
            if target.starts_with('/') {
                found.clear();
            }
            names(&target).rev().for_each(|name| left.push_front(name.to_owned()));
        }
        Ok(found)
    }

    /// The folder at resolved names.
    pub(crate) fn at(&self, place: &[String]) -> Option<&Self> {
        place.iter().try_fold(self, |folder, name| match folder.nodes.get(name)? {
            Node::Folder(below) => Some(below.as_ref()),
            _ => None,
        })
    }

    /// The folder at resolved names, made where it is not there. A file in its way is an error.
    pub(crate) fn make(&mut self, place: &[String]) -> io::Result<&mut Self> {
        let mut folder = self;
        for name in place {
            let (mode, time) = (FOLDER_MODE, folder.time);
            let node = folder.nodes.entry(name.clone());
            match node.or_insert_with(|| Node::Folder(Arc::new(Self::new(mode, time)))) {
                Node::Folder(below) => folder = Arc::make_mut(below),
                _ => return Err(io::Error::other(format!("/{} is no folder", excerpt(&place.join("/"))))),
            }
        }
        Ok(folder)
    }

    /// Puts something at a path, whose folders are made where they are not there. A folder over a folder keeps what is in it.
    pub(crate) fn put(&mut self, path: &str, node: Node) -> io::Result<()> {
        let mut place = self.resolve(path, false)?;
        let Some(name) = place.pop() else {
            if let Node::Folder(folder) = node {
                (self.mode, self.time) = (folder.mode, folder.time);
            }
            return Ok(());
        };
        let folder = self.make(&place)?;
        match (folder.nodes.get_mut(&name), &node) {
            (Some(Node::Folder(there)), Node::Folder(new)) => {
                let there = Arc::make_mut(there);
                (there.mode, there.time) = (new.mode, new.time);
            }
            _ => drop(folder.nodes.insert(name, node)),
        }
        Ok(())
    }

    /// What is at a path.
    pub(crate) fn get(&self, path: &str) -> io::Result<Option<&Node>> {
        let mut place = self.resolve(path, false)?;
        let Some(name) = place.pop() else { return Ok(None) };
        Ok(self.at(&place).and_then(|folder| folder.nodes.get(&name)))
    }

    /// Takes away what is at a path.
    pub(crate) fn remove(&mut self, path: &str) -> io::Result<()> {
        let mut place = self.resolve(path, false)?;
        if let Some(name) = place.pop()
            && self.at(&place).is_some_and(|folder| folder.nodes.contains_key(&name))
        {
            self.make(&place)?.nodes.remove(&name);
        }
        Ok(())
    }

    /// The message of this folder and of all below it, and what they name. Gives its digest and size.
    pub(crate) fn seal(&self, sealed: &mut Sealed) -> (Digest, u64) {
        let mut list = reapi::Directory {
            node_properties: Some(properties(self.mode, self.time)),
            ..reapi::Directory::default()
        };
        for (name, node) in &self.nodes {
            let name = name.clone();
            match node {
                Node::File(file) => {
                    sealed.blobs.insert(file.digest, file.size);
                    list.files.push(reapi::FileNode {
                        name,
                        digest: Some(digest(file.digest, file.size)),
                        is_executable: file.mode & 0o111 != 0,
                        node_properties: Some(properties(file.mode, file.time)),
                    });
                }
                Node::Folder(below) => {
                    let (found, size) = below.seal(sealed);
                    let digest = Some(digest(found, size));
                    list.directories.push(reapi::DirectoryNode { name, digest });
                }
                Node::Link(target) => {
                    let target = target.clone();
                    list.symlinks.push(reapi::SymlinkNode { name, target, node_properties: None });
                }
            }
        }
        let bytes = list.encode_to_vec();
        let (found, size) = (Digest::of(&bytes), bytes.len() as u64);
        sealed.blobs.insert(found, size);
        sealed.lists.insert(found, bytes);
        (found, size)
    }
}

/// The names of a path, without what means the same folder.
fn names(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|name| !matches!(*name, "" | "."))
}

fn properties(mode: u32, time: u64) -> reapi::NodeProperties {
    let seconds = i64::try_from(time).unwrap_or(i64::MAX);
    reapi::NodeProperties {
        properties: Vec::new(),
        mtime: Some(Timestamp { seconds, nanos: 0 }),
        unix_mode: Some(UInt32Value { value: mode & 0o7777 }),
    }
}

/// A digest as the API has it.
pub(crate) fn digest(digest: Digest, size: u64) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: i64::try_from(size).unwrap_or(i64::MAX) }
}

/// A digest of the API, if it is one.
pub(crate) fn read_digest(digest: Option<&reapi::Digest>) -> Option<(Digest, u64)> {
    let digest = digest?;
    Some((Digest::from_hex(&digest.hash).ok()?, u64::try_from(digest.size_bytes).ok()?))
}
