//! Files of a container: owners, modes, links, and mounts on a read-only root.

use kiln_engine::backend::User;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use tar::{Archive, Builder, EntryType, Header};

/// What is mounted on the read-only root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// Empty, belongs to root until an archive says otherwise.
    Volume,
    /// Everyone may write.
    Scratch,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(Arc<[u8]>),
    Folder,
    Link(String),
}

/// Why a file cannot be used, in the words of libc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Missing,
    Denied,
    ReadOnly,
    IsFolder,
    NotFolder,
    Loop,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "No such file or directory",
            Self::Denied => "Permission denied",
            Self::ReadOnly => "Read-only file system",
            Self::IsFolder => "Is a directory",
            Self::NotFolder => "Not a directory",
            Self::Loop => "Too many levels of symbolic links",
        })
    }
}

/// All files, by absolute path; the root itself is `/`.
#[derive(Clone, Debug)]
pub(crate) struct Filesystem {
    nodes: BTreeMap<String, Node>,
    mounts: BTreeMap<String, Mount>,
}

const MOST_LINKS: u32 = 40;
const LARGEST_FILE: u64 = 256 << 20;

impl Filesystem {
    pub(crate) fn new() -> Self {
        let mut files = Self { nodes: BTreeMap::new(), mounts: BTreeMap::new() };
        for path in ["/", "/sys/class/net/lo"] {
            files.make_folder(path);
        }
        files
    }

    /// Creates a folder of root, and those above it, where nothing is.
    pub(crate) fn make_folder(&mut self, path: &str) {
        let folder = Node { kind: Kind::Folder, mode: 0o755, uid: 0, gid: 0 };
        for above in ancestors(path) {
            self.nodes.entry(above).or_insert_with(|| folder.clone());
        }
        self.nodes.entry(path.to_owned()).or_insert(folder);
    }

    pub(crate) fn mount(&mut self, path: &str, mount: Mount) {
        let below = format!("{path}/");
        self.nodes.retain(|there, _| there != path && !there.starts_with(&below));
        self.make_folder(path);
        if let (Mount::Scratch, Some(node)) = (mount, self.nodes.get_mut(path)) {
            node.mode = 0o1777;
        }
        self.mounts.insert(path.to_owned(), mount);
    }

    /// Unpacks a tar at the root, as engines unpack layers (OCI image spec, whiteouts included).
    pub(crate) fn unpack(&mut self, tar: impl Read) -> io::Result<()> {
        let mut archive = Archive::new(tar);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = normal(&entry.path()?.to_string_lossy(), "/");
            if path == "/" {
                continue;
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                let below = format!("{folder}/");
                self.nodes.retain(|there, _| !there.starts_with(&below));
                continue;
            }
            if let Some(hidden) = name.strip_prefix(".wh.") {
                let hidden = format!("{folder}/{hidden}");
                let below = format!("{hidden}/");
                self.nodes.retain(|there, _| *there != hidden && !there.starts_with(&below));
                continue;
            }
            let link = entry.link_name()?.map(|link| link.to_string_lossy().into_owned());
            let header = entry.header();
            let (mode, uid, gid) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
            let kind = match header.entry_type() {
                EntryType::Directory => Kind::Folder,
                EntryType::Symlink => Kind::Link(link.unwrap_or_default()),
                EntryType::Link => {
                    let target = normal(&link.unwrap_or_default(), "/");
                    match self.nodes.get(&target) {
                        Some(node) => node.kind.clone(),
                        None => return Err(io::Error::other(format!("hard link {path} to a missing file"))),
                    }
                }
                EntryType::Regular => {
                    if entry.size() > LARGEST_FILE {
                        return Err(io::Error::other(format!("{path} is larger than {LARGEST_FILE} bytes")));
                    }
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    Kind::File(bytes.into())
                }
                // Devices and pipes exist in images, but no program here opens one.
                _ => continue,
            };
            self.make_folder(if folder.is_empty() { "/" } else { folder });
            if !matches!(kind, Kind::Folder) {
                let below = format!("{path}/");
                self.nodes.retain(|there, _| !there.starts_with(&below));
            }
            self.nodes.insert(path, Node { kind, mode, uid, gid });
        }
        Ok(())
    }

    /// A tar of everything.
    pub(crate) fn pack_all(&self) -> Vec<u8> {
        self.pack("")
    }

    /// A tar of a folder, entries relative to it and in path order.
    pub(crate) fn pack(&self, folder: &str) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        let below = format!("{folder}/");
        let inside = self.nodes.iter().filter(|(path, _)| *path == folder || path.starts_with(&below));
        for (path, node) in inside {
            let relative = format!(".{}", path.strip_prefix(folder).unwrap_or(path));
            let name = match (&node.kind, relative.as_str()) {
                (_, "." | "./") => "./".to_owned(),
                (Kind::Folder, relative) => format!("{relative}/"),
                (_, relative) => relative.to_owned(),
            };
            let mut header = Header::new_gnu();
            header.set_mode(node.mode);
            header.set_uid(node.uid);
            header.set_gid(node.gid);
            header.set_mtime(0);
            header.set_size(0);
            // Writing to memory fails only for names that no tar can hold, and those came from a tar.
            let _ = match &node.kind {
                Kind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, name, io::empty())
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, name, target)
                }
                Kind::File(bytes) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, name, bytes.as_ref())
                }
            };
        }
        archive.into_inner().unwrap_or_default()
    }

    /// Follows links to what is at a path.
    pub(crate) fn find(&self, path: &str, from: &str) -> Result<(String, &Node), Fault> {
        let mut path = normal(path, from);
        for _ in 0..MOST_LINKS {
            // The first component that is a link decides.
            let link = ancestors(&path).into_iter().chain([path.clone()]).find_map(|prefix| {
                match &self.nodes.get(&prefix)?.kind {
                    Kind::Link(target) => Some((prefix, target.clone())),
                    Kind::File(_) | Kind::Folder => None,
                }
            });
            let Some((prefix, target)) = link else {
                return self.nodes.get(&path).map(|node| (path, node)).ok_or(Fault::Missing);
            };
            let rest = path[prefix.len()..].to_owned();
            let folder = prefix
                .rsplit_once('/')
                .map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
            path = normal(&format!("{}{rest}", normal(&target, folder)), "/");
        }
        Err(Fault::Loop)
    }

    pub(crate) fn read(&self, path: &str, from: &str, user: User) -> Result<Arc<[u8]>, Fault> {
        let (_, node) = self.find(path, from)?;
        match &node.kind {
            Kind::File(bytes) if node.allows(user, 0o4) => Ok(Arc::clone(bytes)),
            Kind::File(_) => Err(Fault::Denied),
            Kind::Folder | Kind::Link(_) => Err(Fault::IsFolder),
        }
    }

    /// Names in a folder, sorted.
    pub(crate) fn list(&self, path: &str, from: &str) -> Result<Vec<String>, Fault> {
        let (path, node) = self.find(path, from)?;
        if !matches!(node.kind, Kind::Folder) {
            return Err(Fault::NotFolder);
        }
        let below = if path == "/" { path } else { format!("{path}/") };
        let names = self.nodes.keys().filter_map(|there| there.strip_prefix(&below));
        Ok(names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect())
    }

    /// Creates or replaces a file's content, under the rules of the mount and the folder.
    pub(crate) fn write(
        &mut self,
        path: &str,
        from: &str,
        user: User,
        bytes: Arc<[u8]>,
    ) -> Result<(), Fault> {
        let there = match self.find(path, from) {
            Ok((path, node)) => Some((path, node.clone())),
            Err(Fault::Missing) => None,
            Err(fault) => return Err(fault),
        };
        if let Some((path, mut node)) = there {
            if matches!(node.kind, Kind::Folder) {
                return Err(Fault::IsFolder);
            }
            if !self.is_mounted(&path) {
                return Err(Fault::ReadOnly);
            }
            if !node.allows(user, 0o2) {
                return Err(Fault::Denied);
            }
            node.kind = Kind::File(bytes);
            self.nodes.insert(path, node);
            return Ok(());
        }
        let path = self.place(&normal(path, from), user)?;
        let node = Node { kind: Kind::File(bytes), mode: 0o644, uid: user.uid.into(), gid: user.gid.into() };
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Makes what is missing of a folder and those above it, under the rules of the mount and the folder.
    pub(crate) fn make_folders(&mut self, path: &str, from: &str, user: User) -> Result<(), Fault> {
        let path = normal(path, from);
        for path in ancestors(&path).into_iter().chain([path.clone()]) {
            match self.find(&path, "/") {
                Ok((_, node)) if matches!(node.kind, Kind::Folder) => continue,
                Ok(_) => return Err(Fault::NotFolder),
                Err(Fault::Missing) => {}
                Err(fault) => return Err(fault),
            }
            let path = self.place(&path, user)?;
            let folder = Node { kind: Kind::Folder, mode: 0o755, uid: user.uid.into(), gid: user.gid.into() };
            self.nodes.insert(path, folder);
        }
        Ok(())
    }

    /// Where something new goes, links of its folder followed, if the user may put it there.
    fn place(&self, path: &str, user: User) -> Result<String, Fault> {
        let (folder, name) = path.rsplit_once('/').ok_or(Fault::Missing)?;
        let (folder, node) = self.find(if folder.is_empty() { "/" } else { folder }, "/")?;
        if !matches!(node.kind, Kind::Folder) {
            return Err(Fault::NotFolder);
        }
        if !self.is_mounted(&folder) {
            return Err(Fault::ReadOnly);
        }
        if !node.allows(user, 0o3) {
            return Err(Fault::Denied);
        }
        Ok(format!("{}/{name}", folder.trim_end_matches('/')))
    }

    fn is_mounted(&self, path: &str) -> bool {
        self.mounts.keys().any(|mount| {
            path.strip_prefix(mount.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl Node {
    /// Whether all wanted permission bits (4 read, 2 write, 1 search) are granted. Root is held to them too: it runs
    /// without capabilities.
    fn allows(&self, user: User, wanted: u32) -> bool {
        let granted = if self.uid == u64::from(user.uid) {
            self.mode >> 6
        } else if self.gid == u64::from(user.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        granted & wanted == wanted
    }
}

/// An absolute path without `.`, `..` and empty components.
pub(crate) fn normal(path: &str, from: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{from}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folders above a path, the root first.
fn ancestors(path: &str) -> Vec<String> {
    let mut all = vec!["/".to_owned()];
    all.extend(path.match_indices('/').filter(|(i, _)| *i > 0).map(|(i, _)| path[..i].to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        assert_eq!(normal("../a/./b//", "/x"), "/a/b");
        assert_eq!(normal("/../..", "/"), "/");
        assert_eq!(ancestors("/a/b/c"), ["/", "/a", "/a/b"]);
    }

    #[test]
    fn links_are_followed_but_not_for_ever() {
        let mut files = Filesystem::new();
        let mut archive = Builder::new(Vec::new());
        for (name, target) in [("bin", "usr/bin"), ("loop", "loop")] {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            archive.append_link(&mut header, name, target).unwrap();
        }
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(1);
        archive.append_data(&mut header, "usr/bin/x", b"1".as_slice()).unwrap();
        files.unpack(archive.into_inner().unwrap().as_slice()).unwrap();
        let user = User { uid: 1, gid: 1 };
        assert_eq!(files.read("/bin/x", "/", user).unwrap().as_ref(), b"1");
        assert_eq!(files.read("/loop/x", "/", user), Err(Fault::Loop));
        assert_eq!(files.write("/bin/x", "/", user, Arc::default()), Err(Fault::ReadOnly));
    }
}
