//! Tars laid into a tree: layers of images over each other, and what a program is given.

use crate::content::{Part, Source, Sources};
use crate::tree::{File, Folder, Node};
use kiln_record::{HashingWriter, excerpt};
use std::fs;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use tar::{Archive, EntryType};

/// Tars are read in pieces of this many bytes.
const BUFFER: usize = 1 << 18;
/// What removes a file of the layers below (OCI image specification, layer.md), and what removes all of a folder.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Whether a tar may take away what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    /// A layer: it has marks for what it removes.
    Layer,
    /// What a program is given: every name is a name.
    Input,
}

/// A tar in a part of a file, from its offset.
#[derive(Clone, Debug)]
pub(crate) struct Tar {
    pub(crate) file: Arc<fs::File>,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Tar {
    pub(crate) fn reader(&self) -> Part {
        Part::new(Arc::clone(&self.file), self.offset, self.size)
    }

    /// Lays its entries into a tree below `at`, and notes where their content is.
    pub(crate) fn unpack(
        &self,
        is: Is,
        at: &str,
        tree: &mut Folder,
        sources: &mut Sources,
    ) -> io::Result<()> {
        let mut archive = Archive::new(BufReader::with_capacity(BUFFER, self.reader()));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let named = entry.path()?.into_owned();
            let Some(name) = named.to_str().filter(|name| !name.split('/').any(|part| part == "..")) else {
                return Err(io::Error::other(format!(
                    "the name `{}` cannot be one of a file here",
                    excerpt(&named.to_string_lossy())
                )));
            };
            let path = format!("{at}/{name}");
            let path = path.trim_end_matches('/');
            let last = path.rsplit('/').next().unwrap_or_default();
            if is == Is::Layer && last.starts_with(WHITEOUT) {
                let folder = path.strip_suffix(last).unwrap_or_default();
                if last == OPAQUE {
                    let place = tree.resolve(folder, true)?;
                    tree.make(&place)?.nodes.clear();
                } else {
                    tree.remove(&format!("{folder}{}", &last[WHITEOUT.len()..]))?;
                }
                continue;
            }
            let (mode, time) = (entry.header().mode()? & 0o7777, entry.header().mtime()?);
            match entry.header().entry_type() {
                EntryType::Directory => {
                    tree.put(path, Node::Folder(Arc::new(Folder::new(mode, time))))?;
                }
                EntryType::Regular | EntryType::Continuous => {
                    let offset = self.offset + entry.raw_file_position();
                    let mut hashed = HashingWriter::new(io::sink());
                    let size = io::copy(&mut entry, &mut hashed)?;
                    let (_, digest, _) = hashed.finish();
                    let file = Arc::clone(&self.file);
                    sources.insert(digest, Source::Part { file, offset, size });
                    tree.put(path, Node::File(File { digest, size, mode, time }))?;
                }
                EntryType::Symlink => {
                    let target = entry.link_name()?;
                    let Some(target) = target.as_deref().and_then(|target| target.to_str()) else {
                        return Err(io::Error::other(format!("the link {} leads nowhere", excerpt(path))));
                    };
                    tree.put(path, Node::Link(target.to_owned()))?;
                }
                EntryType::Link => {
                    let target = entry.link_name()?;
                    let target = target.as_deref().and_then(|target| target.to_str()).unwrap_or_default();
                    match tree.get(&format!("{at}/{target}"))?.cloned() {
                        Some(node @ (Node::File(_) | Node::Link(_))) => tree.put(path, node)?,
                        _ => {
                            let why = format!("{} is a second name of nothing", excerpt(path));
                            return Err(io::Error::other(why));
                        }
                    }
                }
                // Devices and pipes: a worker has its own, and no action could have others.
                _ => {}
            }
        }
        Ok(())
    }
}

/// Copies what is read into a file without a name, in a folder.
pub(crate) fn spooled(folder: &std::path::Path, mut from: impl Read) -> io::Result<Tar> {
    let mut file = tempfile::tempfile_in(folder)?;
    let size = io::copy(&mut from, &mut file)?;
    Ok(Tar { file: Arc::new(file), offset: 0, size })
}
