//! A root file system as the tar of an image layer.

use super::nodes::Node;
use super::rootfs::AssembledRootFs;
use crate::{ImageError, LAYER_MEDIA_TYPE, Layer};
use kiln_record::{HashingWriter, TreePath};
use std::collections::BTreeMap;
use std::io::{self, Write};

impl AssembledRootFs {
    /// Writes the layer: an uncompressed tar, so that no compressor's version can change its digest.
    ///
    /// Entries are in path order, so folders come before what is in them; the format is GNU's; owner and group are 0 without
    /// names; the time is the epoch of the rules. The first name of hard-linked files holds the content.
    ///
    /// # Errors
    /// [`ImageError::Io`] if the writer fails.
    pub fn write_layer<W: Write>(&self, writer: W) -> Result<Layer, ImageError> {
        let hashing = HashingWriter::new(io::BufWriter::with_capacity(1 << 16, writer));
        let hashing = self.write_entries(hashing).map_err(ImageError::io("write the layer"))?;
        let (mut writer, digest, size) = hashing.finish();
        writer.flush().map_err(ImageError::io("write the layer"))?;
        Ok(Layer { digest, diff_id: digest, size, media_type: LAYER_MEDIA_TYPE.to_owned() })
    }

    fn write_entries<W: Write>(&self, writer: W) -> io::Result<W> {
        let mut builder = tar::Builder::new(writer);
        let mut written: BTreeMap<usize, &TreePath> = BTreeMap::new();
        for (path, placed) in &self.root.nodes {
            let mut header = tar::Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(self.epoch.seconds());
            header.set_size(0);
            match &placed.node {
                Node::Folder { mode } => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(*mode);
                    builder.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
                Node::Symlink { target } => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    append_link(&mut builder, &mut header, path, target)?;
                }
                Node::File { content, mode } => {
                    header.set_mode(mode.bits());
                    if let Some(first) = written.get(content) {
                        header.set_entry_type(tar::EntryType::Link);
                        append_link(&mut builder, &mut header, path, first.as_str())?;
                        continue;
                    }
                    let bytes = self.root.contents.get(*content).map_or(&[][..], Vec::as_slice);
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, path.as_str(), bytes)?;
                    written.insert(*content, path);
                }
            }
        }
        builder.into_inner()
    }
}

/// Writes a link with its target exactly as given: the tar crate's own way drops `./` and doubled slashes, except where
/// the target is too long for the header.
fn append_link<W: Write>(
    builder: &mut tar::Builder<W>,
    header: &mut tar::Header,
    path: &TreePath,
    target: &str,
) -> io::Result<()> {
    if target.len() <= 100 {
        header.set_link_name_literal(target)?;
        builder.append_data(header, path.as_str(), io::empty())
    } else {
        builder.append_link(header, path.as_str(), target)
    }
}
