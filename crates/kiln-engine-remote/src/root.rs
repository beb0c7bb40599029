//! What a program changed of its root: the list of what it left, held against what it was given, and written as a layer.

use crate::outputs::{DEPTH, Untaken, below};
use crate::tree::{Folder, Node, read_digest};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kiln_engine::backend::User;
use kiln_record::{Digest, excerpt};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// What a worker puts in the way of a root, below which nothing that a program does is told.
const OF_WORKER: [&str; 4] = ["dev", "proc", "sys", "tmp"];
/// What removes a file of the layers below (OCI image specification, layer.md).
const WHITEOUT: &str = ".wh.";

/// Something that a program changed, by its path in the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    path: String,
    mode: u32,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File { digest: Digest, size: u64 },
    Link(String),
    Removed,
}

/// What is other in the list of a root, of which there may be so many entries, than in what a program was given.
pub(crate) fn changed(given: &Folder, list: &[u8], most: u64) -> Result<Vec<Changed>, Untaken> {
    let tree = reapi::Tree::decode(list).map_err(|error| Untaken::Wrong(error.to_string()))?;
    let Some(root) = tree.root else { return Err(Untaken::Wrong("it has no root".to_owned())) };
    let lists = tree.children.into_iter().map(|list| (Digest::of(&list.encode_to_vec()), list)).collect();
    let mut comparing = Comparing { lists, left: most, changed: Vec::new() };
    comparing.folder(Some(given), &root, ".", 0)?;
    Ok(comparing.changed)
}

/// The content that is wanted, in the order in which it is written.
pub(crate) fn files(changed: &[Changed]) -> Vec<(Digest, u64)> {
    let files = changed.iter().filter_map(|changed| match changed.kind {
        Kind::File { digest, size } => Some((digest, size)),
        _ => None,
    });
    files.collect()
}

/// How many bytes they are as a tar: a block for each name, and content in blocks.
pub(crate) fn size(changed: &[Changed]) -> u64 {
    let content = files(changed).into_iter().map(|(_, size)| size.div_ceil(512).saturating_mul(512));
    content.fold(changed.len() as u64 * 512, u64::saturating_add)
}

struct Comparing {
    lists: BTreeMap<Digest, reapi::Directory>,
    /// How many entries there may still be.
    left: u64,
    changed: Vec<Changed>,
}

impl Comparing {
    fn folder(
        &mut self,
        given: Option<&Folder>,
        list: &reapi::Directory,
        at: &str,
        depth: usize,
    ) -> Result<(), Untaken> {
        if depth > DEPTH {
            return Err(Untaken::Wrong("its folders are too deep".to_owned()));
        }
        let of_worker = |name: &str| depth == 0 && OF_WORKER.contains(&name);
        let before = |name: &str| given.and_then(|given| given.nodes.get(name));
        let mut there = BTreeSet::new();
        for file in list.files.iter().filter(|file| !of_worker(&file.name)) {
            let path = self.count(at, &file.name, &mut there)?;
            let (digest, size) = read_digest(file.digest.as_ref())
                .ok_or_else(|| Untaken::Wrong(format!("{} has no digest", excerpt(&path))))?;
            let mode = mode(file.node_properties.as_ref(), &path)?;
            match before(&file.name) {
                Some(Node::File(given)) if given.digest == digest && given.mode == mode => {}
                _ => self.changed.push(Changed { path, mode, kind: Kind::File { digest, size } }),
            }
        }
        for link in list.symlinks.iter().filter(|link| !of_worker(&link.name)) {
            let path = self.count(at, &link.name, &mut there)?;
            if link.target.is_empty() || link.target.contains('\0') {
                return Err(Untaken::Wrong(format!("the link {} leads nowhere", excerpt(&path))));
            }
            match before(&link.name) {
                Some(Node::Link(target)) if *target == link.target => {}
                _ => {
                    self.changed.push(Changed { path, mode: 0o777, kind: Kind::Link(link.target.clone()) });
                }
            }
        }
        for folder in list.directories.iter().filter(|folder| !of_worker(&folder.name)) {
            let path = self.count(at, &folder.name, &mut there)?;
            let named = read_digest(folder.digest.as_ref()).map(|(digest, _)| digest);
            let Some(list) = named.and_then(|digest| self.lists.get(&digest)).cloned() else {
                return Err(Untaken::Wrong(format!("it lacks the list of {}", excerpt(&path))));
            };
            let mode = mode(list.node_properties.as_ref(), &path)?;
            let given = match before(&folder.name) {
                Some(Node::Folder(given)) => Some(given.as_ref()),
                _ => None,
            };
            if given.is_none_or(|given| given.mode != mode) {
                self.changed.push(Changed { path: path.clone(), mode, kind: Kind::Folder });
            }
            self.folder(given, &list, &path, depth + 1)?;
        }
        let given = given.into_iter().flat_map(|given| given.nodes.keys());
        for name in given.filter(|name| !there.contains(name.as_str()) && !of_worker(name)) {
            let path = format!("{at}/{WHITEOUT}{name}");
            self.changed.push(Changed { path, mode: 0o644, kind: Kind::Removed });
        }
        Ok(())
    }

    /// The path of a name in a folder, which counts as an entry.
    fn count<'l>(
        &mut self,
        at: &str,
        name: &'l str,
        there: &mut BTreeSet<&'l str>,
    ) -> Result<String, Untaken> {
        let path = below(at, name)?;
        if name.starts_with(WHITEOUT) {
            let why = format!("{} is what a layer calls something that is gone", excerpt(&path));
            return Err(Untaken::Wrong(why));
        }
        if !there.insert(name) {
            return Err(Untaken::Wrong(format!("{} is there twice", excerpt(&path))));
        }
        self.left = self.left.checked_sub(1).ok_or(Untaken::TooMany)?;
        Ok(path)
    }
}

fn mode(properties: Option<&reapi::NodeProperties>, path: &str) -> Result<u32, Untaken> {
    let mode = properties.and_then(|properties| properties.unix_mode.as_ref());
    let mode = mode.ok_or_else(|| {
        Untaken::Wrong(format!("it does not tell the mode of {}, which `unix_mode` asks for", excerpt(path)))
    })?;
    Ok(mode.value & 0o7777)
}

/// Writes a layer of what was changed, file by file as their content comes.
pub(crate) struct Writing<W: Write> {
    tar: Builder<W>,
    user: User,
    changed: std::vec::IntoIter<Changed>,
}

impl<W: Write> Writing<W> {
    pub(crate) fn new(changed: Vec<Changed>, user: User, to: W) -> Self {
        Self { tar: Builder::new(to), user, changed: changed.into_iter() }
    }

    /// Takes the content of the next file, after everything that stands before it.
    pub(crate) fn content(&mut self, content: impl Read) -> io::Result<()> {
        loop {
            match self.changed.next() {
                Some(Changed { path, mode, kind: Kind::File { size, .. } }) => {
                    let mut header = self.header(EntryType::Regular, mode);
                    header.set_size(size);
                    return self.tar.append_data(&mut header, path, content);
                }
                Some(other) => self.other(other)?,
                None => return Err(io::Error::other("a file that nothing names")),
            }
        }
    }

    fn other(&mut self, Changed { path, mode, kind }: Changed) -> io::Result<()> {
        match kind {
            Kind::Folder => {
                let mut header = self.header(EntryType::Directory, mode);
                self.tar.append_data(&mut header, format!("{path}/"), io::empty())
            }
            Kind::Link(target) => {
                let mut header = self.header(EntryType::Symlink, mode);
                self.tar.append_link(&mut header, path, target)
            }
            Kind::Removed => {
                let mut header = self.header(EntryType::Regular, mode);
                self.tar.append_data(&mut header, path, io::empty())
            }
            Kind::File { .. } => Err(io::Error::other(format!("the content of {path} is missing"))),
        }
    }

    /// Ends the tar.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        while let Some(changed) = self.changed.next() {
            self.other(changed)?;
        }
        self.tar.into_inner()?.flush()
    }

    fn header(&self, kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(u64::from(self.user.uid));
        header.set_gid(u64::from(self.user.gid));
        header.set_mtime(0);
        header.set_size(0);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;
    use bazel_remote_apis::google::protobuf::UInt32Value;
    use std::sync::Arc;

    fn properties(mode: u32) -> Option<reapi::NodeProperties> {
        let unix_mode = Some(UInt32Value { value: mode });
        Some(reapi::NodeProperties { unix_mode, ..reapi::NodeProperties::default() })
    }

    fn file(name: &str, text: &str, mode: u32) -> reapi::FileNode {
        reapi::FileNode {
            name: name.to_owned(),
            digest: Some(crate::tree::digest(Digest::of(text.as_bytes()), text.len() as u64)),
            is_executable: false,
            node_properties: properties(mode),
        }
    }

    fn given(text: &str, mode: u32) -> Node {
        Node::File(File { digest: Digest::of(text.as_bytes()), size: text.len() as u64, mode, time: 0 })
    }

    fn tree(root: reapi::Directory, below: reapi::Directory) -> Vec<u8> {
        let digest = Digest::of(&below.encode_to_vec());
        let node = reapi::DirectoryNode {
            name: "etc".to_owned(),
            digest: Some(crate::tree::digest(digest, below.encode_to_vec().len() as u64)),
        };
        let root = reapi::Directory { directories: vec![node], ..root };
        reapi::Tree { root: Some(root), children: vec![below] }.encode_to_vec()
    }

    #[test]
    fn what_is_other_is_told_and_nothing_else() {
        let mut root = Folder::new(0o755, 0);
        let mut etc = Folder::new(0o755, 0);
        for (name, node) in [
            ("same", given("s", 0o644)),
            ("mode", given("m", 0o644)),
            ("content", given("c", 0o644)),
            ("gone", given("g", 0o644)),
            ("link", Node::Link("a".to_owned())),
        ] {
            etc.nodes.insert(name.to_owned(), node);
        }
        root.nodes.insert("etc".to_owned(), Node::Folder(Arc::new(etc)));
        root.nodes.insert("tmp".to_owned(), Node::Folder(Arc::new(Folder::new(0o1777, 0))));
        let etc = reapi::Directory {
            files: vec![file("same", "s", 0o644), file("mode", "m", 0o4755), file("content", "d", 0o644)],
            symlinks: vec![reapi::SymlinkNode {
                name: "link".to_owned(),
                target: "b".to_owned(),
                node_properties: None,
            }],
            node_properties: properties(0o755),
            ..reapi::Directory::default()
        };
        let top = reapi::Directory { files: vec![file("new", "n", 0o600)], ..reapi::Directory::default() };
        let list = tree(top, etc.clone());
        let changes = changed(&root, &list, 100).unwrap();
        let told: Vec<(&str, u32)> = changes.iter().map(|one| (one.path.as_str(), one.mode)).collect();
        let expected = [
            ("./new", 0o600),
            ("./etc/mode", 0o4755),
            ("./etc/content", 0o644),
            ("./etc/link", 0o777),
            ("./etc/.wh.gone", 0o644),
        ];
        assert_eq!(told, expected, "nothing of /tmp, which workers cover");
        assert_eq!(files(&changes).len(), 3);
        assert_eq!(changed(&root, &list, 4), Err(Untaken::TooMany));

        let refused =
            |etc: reapi::Directory| match changed(&root, &tree(reapi::Directory::default(), etc), 100) {
                Err(Untaken::Wrong(why)) => why,
                other => panic!("{other:?}"),
            };
        let with = |file: reapi::FileNode| reapi::Directory { files: vec![file], ..etc.clone() };
        let without_mode = reapi::FileNode { node_properties: None, ..file("x", "", 0) };
        assert!(refused(with(without_mode)).contains("does not tell the mode of ./etc/x"));
        assert!(refused(with(file(".wh.x", "", 0o644))).contains("something that is gone"));
        assert!(refused(with(file("..", "", 0o644))).contains("no name of a file"));
        assert!(refused(with(file("link", "", 0o644))).contains("is there twice"));
    }
}
