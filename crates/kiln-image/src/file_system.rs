//! The file system that layers make, with all that a layer can say of a path, and what one file system has over another:
//! the layer that follows from two states, whoever made them and how.

use crate::ImageError;
use crate::contents_reader::layer_path;
use kiln_pack::BoundedTar;
use kiln_record::{Digest, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// Entries of all layers together.
const ENTRY_LIMIT: usize = 1_000_000;
/// The largest sparse file in bytes: a few bytes of a tar can say any size.
const SPARSE_LIMIT: u64 = 4 << 30;
/// The prefix of a whiteout (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// The name of the whiteout that hides all that lower layers have in a folder.
const OPAQUE: &str = ".wh..wh..opq";
/// Length of a link target that fits into a header, in bytes.
const SHORT: usize = 100;
/// How PAX headers carry extended attributes (pax(1) of star, as engines write it).
const XATTR: &str = "SCHILY.xattr.";
/// The extended attributes that decide how a file can be used. Others belong to the host or the engine.
const KEPT_XATTRS: [&str; 2] = ["security.capability", "user."];

/// What is at a path, with its owner and mode. There are no times: no layer of kiln's has any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it is.
    pub content: NodeContent,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner's number.
    pub user: u64,
    /// The group's number.
    pub group: u64,
    /// Extended attributes, in hexadecimal: capabilities and those of users.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NodeContent {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// The digest of its bytes.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// A device, pipe or socket: by what tar calls it.
    Special {
        /// Its type in words.
        what: String,
    },
}

impl Node {
    /// A folder that is only implied by what is in it.
    fn implied() -> Self {
        Self { content: NodeContent::Folder, mode: 0o755, user: 0, group: 0, xattrs: BTreeMap::new() }
    }
}

/// What becomes of a path from one state to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is this now.
    Put(Node),
    /// It is gone, with all that was below.
    Remove,
}

/// A file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    nodes: BTreeMap<TreePath, Node>,
    /// Folders of which there is no entry: they follow from what is in them.
    implied: BTreeSet<TreePath>,
}

impl FileSystem {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a layer over what is there (OCI image specification, "Image Layer Filesystem Changeset"). `keep` takes the bytes
    /// of each file and gives their digest. Hard links become files of their own.
    ///
    /// # Errors
    /// [`ImageError::Image`] if the tar is damaged or names paths outside of the root; what `keep` says.
    pub fn add(
        &mut self,
        tar: impl Read,
        mut keep: impl FnMut(&TreePath, &mut dyn Read) -> io::Result<(Digest, u64)>,
    ) -> Result<(), ImageError> {
        let error = |reason: String| ImageError::Image { reason: format!("a layer: {reason}") };
        let mut archive = BoundedTar::new(tar);
        let mut layer: BTreeMap<TreePath, Node> = BTreeMap::new();
        let (mut gone, mut opaque) = (BTreeSet::new(), BTreeSet::new());
        for entry in archive.entries().map_err(|e| error(e.to_string()))? {
            let mut entry = entry.map_err(|e| error(format!("it is damaged: {e}")))?;
            if self.nodes.len() + layer.len() > ENTRY_LIMIT {
                return Err(error(format!("there are more than {ENTRY_LIMIT} entries")));
            }
            let Some(path) = layer_path(&entry.path_bytes()).map_err(&error)? else { continue };
            let name = path.file_name();
            if name == OPAQUE {
                opaque.insert(path.parent().to_owned());
                continue;
            }
            if let Some(name) = name.strip_prefix(WHITEOUT) {
                let parent = path.parent();
                gone.insert(if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") });
                continue;
            }
            let xattrs = xattrs(&mut entry).map_err(|e| error(format!("it is damaged: {e}")))?;
            let header = entry.header().clone();
            let number = |number: io::Result<u64>| number.map_err(|e| error(format!("`{path}`: {e}")));
            let mut node = Node {
                content: NodeContent::Folder,
                mode: header.mode().map_err(|e| error(format!("`{path}`: {e}")))? & 0o7777,
                user: number(header.uid())?,
                group: number(header.gid())?,
                xattrs,
            };
            node.content = match header.entry_type() {
                EntryType::Directory => NodeContent::Folder,
                EntryType::GNUSparse if entry.size() > SPARSE_LIMIT => {
                    return Err(error(format!(
                        "`{path}` is a sparse file of {} bytes, more than {SPARSE_LIMIT}",
                        entry.size()
                    )));
                }
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let (digest, size) =
                        keep(&path, &mut entry).map_err(|e| error(format!("`{path}`: {e}")))?;
                    NodeContent::File { digest, size }
                }
                EntryType::Symlink => {
                    node.mode = 0o777;
                    NodeContent::Symlink { target: link_target(&entry, &path)? }
                }
                EntryType::Link => {
                    let target = layer_path(&entry.link_name_bytes().unwrap_or_default())
                        .map_err(&error)?
                        .ok_or_else(|| error(format!("`{path}` is a hard link to nothing")))?;
                    let linked = layer.get(&target).or_else(|| self.nodes.get(&target)).cloned();
                    node = linked.ok_or_else(|| {
                        error(format!("`{path}` is a hard link to `{target}`, which is not there"))
                    })?;
                    node.content
                }
                other => NodeContent::Special { what: special(other).to_owned() },
            };
            layer.insert(path, node);
        }
        for path in &gone {
            self.remove(path, true);
        }
        for folder in &opaque {
            self.remove(folder, false);
        }
        for (path, node) in layer {
            if node.content != NodeContent::Folder {
                self.remove(path.as_str(), true);
            }
            self.put(path, node);
        }
        Ok(())
    }

    /// Puts one thing, and the folders on the way to it.
    pub fn put(&mut self, path: TreePath, node: Node) {
        for (end, _) in path.as_str().match_indices('/') {
            if let Ok(folder) = TreePath::new(&path.as_str()[..end])
                && self.nodes.get(&folder).is_none_or(|there| there.content != NodeContent::Folder)
            {
                self.nodes.insert(folder.clone(), Node::implied());
                self.implied.insert(folder);
            }
        }
        self.implied.remove(&path);
        self.nodes.insert(path, node);
    }

    /// Forgets everything below a path, and the path itself if asked.
    pub fn remove(&mut self, path: &str, itself: bool) {
        if path.is_empty() {
            self.nodes.clear();
            self.implied.clear();
            return;
        }
        let below = format!("{path}/");
        let Ok(start) = TreePath::new(path) else { return };
        // `a.b` orders between `a` and `a/b`, so the range is looked through until nothing can follow.
        let gone: Vec<TreePath> = self
            .nodes
            .range(start..)
            .map(|(found, _)| found)
            .take_while(|found| found.as_str().starts_with(path))
            .filter(|found| (itself && found.as_str() == path) || found.as_str().starts_with(&below))
            .cloned()
            .collect();
        for path in gone {
            self.nodes.remove(&path);
            self.implied.remove(&path);
        }
    }

    /// Whether a folder only follows from what is in it, so that its mode and owner are anybody's guess.
    #[must_use]
    pub fn is_implied(&self, path: &TreePath) -> bool {
        self.implied.contains(path)
    }

    /// What is at a path.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Everything, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// What this has over another: the paths that are other there or not there, and those that are gone.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> BTreeMap<TreePath, Change> {
        let mut changes: BTreeMap<TreePath, Change> = self
            .nodes
            .iter()
            .filter(|(path, node)| before.nodes.get(*path) != Some(*node))
            .map(|(path, node)| (path.clone(), Change::Put(node.clone())))
            .collect();
        for path in before.nodes.keys().filter(|path| !self.nodes.contains_key(*path)) {
            // Below what is gone, or is no folder any more, nothing needs to be said.
            let parent = TreePath::new(path.parent()).ok();
            let implied = parent.is_some_and(|parent| {
                self.nodes.get(&parent).is_none_or(|node| node.content != NodeContent::Folder)
            });
            if !implied {
                changes.insert(path.clone(), Change::Remove);
            }
        }
        changes
    }
}

fn link_target(entry: &tar::Entry<'_, impl Read>, path: &TreePath) -> Result<String, ImageError> {
    let bytes = entry.link_name_bytes().unwrap_or_default();
    String::from_utf8(bytes.into_owned()).map_err(|_| ImageError::Image {
        reason: format!("a layer: the link `{path}` leads to a name that is not UTF-8"),
    })
}

/// The extended attributes that are kept.
fn xattrs(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<BTreeMap<String, String>> {
    let mut xattrs = BTreeMap::new();
    let Some(extensions) = entry.pax_extensions()? else { return Ok(xattrs) };
    for extension in extensions {
        let extension = extension?;
        let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix(XATTR)) else { continue };
        if KEPT_XATTRS.iter().any(|kept| name.starts_with(kept)) {
            xattrs.insert(name.to_owned(), hex::encode(extension.value_bytes()));
        }
    }
    Ok(xattrs)
}

fn special(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Block => "a block device",
        EntryType::Char => "a character device",
        EntryType::Fifo => "a named pipe",
        _ => "neither a file nor a folder",
    }
}

/// Writes changes as a layer: sorted by path, with one time, owners in numbers, and whiteouts for what is gone. What is
/// neither file, folder nor link is left out. `content` gives the bytes of a file by their digest.
///
/// # Errors
/// [`ImageError::Io`] if reading or writing fails.
pub fn write_changes<W: Write>(
    writer: W,
    changes: &BTreeMap<TreePath, Change>,
    time: u64,
    content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<W, ImageError> {
    write_tar(writer, changes, time, content).map_err(ImageError::io("write a layer"))
}

fn write_tar<W: Write>(
    writer: W,
    changes: &BTreeMap<TreePath, Change>,
    time: u64,
    mut content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> io::Result<W> {
    let mut builder = Builder::new(writer);
    for (path, change) in changes {
        let mut header = Header::new_gnu();
        header.set_mtime(time);
        header.set_size(0);
        let Change::Put(node) = change else {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            let parent = path.parent();
            let slash = if parent.is_empty() { "" } else { "/" };
            let name = format!("{parent}{slash}{WHITEOUT}{}", path.file_name());
            builder.append_data(&mut header, name, io::empty())?;
            continue;
        };
        if matches!(node.content, NodeContent::Special { .. }) {
            continue;
        }
        header.set_mode(node.mode);
        header.set_uid(node.user);
        header.set_gid(node.group);
        if !node.xattrs.is_empty() {
            let values: Vec<(String, Vec<u8>)> = node
                .xattrs
                .iter()
                .map(|(name, value)| Ok((format!("{XATTR}{name}"), hex::decode(value)?)))
                .collect::<Result<_, hex::FromHexError>>()
                .map_err(io::Error::other)?;
            builder.append_pax_extensions(
                values.iter().map(|(name, value)| (name.as_str(), value.as_slice())),
            )?;
        }
        match &node.content {
            NodeContent::Folder => {
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            NodeContent::File { digest, size } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
                builder.append_data(&mut header, path.as_str(), content(digest)?)?;
            }
            NodeContent::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                if target.len() <= SHORT {
                    // As it was written: `append_link` tidies it.
                    header.set_link_name_literal(target)?;
                    builder.append_data(&mut header, path.as_str(), io::empty())?;
                } else {
                    builder.append_link(&mut header, path.as_str(), target)?;
                }
            }
            NodeContent::Special { .. } => {}
        }
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests;
