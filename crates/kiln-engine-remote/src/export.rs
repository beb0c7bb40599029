//! Images as they leave the engine: their archives, and their files.

use crate::image::LoadedImage;
use crate::tree::{Folder, Node};
use std::io::{self, Write};
use std::path::Path;

/// Gives the archive that an image came in.
pub(crate) fn archive(
    image: &LoadedImage,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> io::Result<()> {
    io::copy(&mut image.archive.reader(), &mut Sink(sink)).map(drop)
}

/// Gives the files of an image as a tar.
pub(crate) fn files(
    image: &LoadedImage,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> io::Result<()> {
    let mut tar = tar::Builder::new(Sink(sink));
    add_all(&mut tar, image, &image.root, Path::new("")).and_then(|()| tar.finish())
}

struct Sink<'a>(&'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send));

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the files of an image below a folder of it.
fn add_all<W: Write>(
    tar: &mut tar::Builder<W>,
    image: &LoadedImage,
    folder: &Folder,
    at: &Path,
) -> io::Result<()> {
    for (name, node) in &folder.nodes {
        let path = at.join(name);
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        match node {
            Node::Folder(below) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(below.mode);
                header.set_mtime(below.time);
                tar.append_data(&mut header, &path, io::empty())?;
                add_all(tar, image, below, &path)?;
            }
            Node::File(file) => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(file.mode);
                header.set_mtime(file.time);
                header.set_size(file.size);
                let source = image.sources.get(&file.digest);
                let source = source.ok_or_else(|| io::Error::other(format!("{} is nowhere", file.digest)))?;
                tar.append_data(&mut header, &path, source.open()?)?;
            }
            Node::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                tar.append_link(&mut header, &path, target)?;
            }
        }
    }
    Ok(())
}
