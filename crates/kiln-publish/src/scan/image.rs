//! The files of an image in a layout or an archive, and the packages of its system.

use super::Files;
use crate::PublishError;
use fs_err as fs;
use kiln_image::{
    BaseConfig, ContentsReader, FileSystem, ImageContents, Laid, LaidOut, NodeContent, archived_files,
    read_laid_out,
};
use kiln_pack::{LayerCodec, layer_tar};
use kiln_record::{Digest, Entry, Hasher, Mode, TreePath};
use kiln_store::open_regular;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// The largest document that is read, in bytes; whoever reads it says what is too large.
const LARGEST_DOCUMENT: u64 = (8 << 20) + 1;
/// The most bytes that all layers may unpack to.
const LARGEST_IMAGE: u64 = 16 << 30;

/// What is read of a layer for its header of gzip, in bytes; a name or comment in it that is longer is not compared.
const LARGEST_HEADER: u64 = 64 << 10;

/// Where an image is.
#[derive(Clone, Debug)]
pub(crate) enum ImagePlace {
    /// A folder with an OCI layout.
    Folder(PathBuf),
    /// A tar, with the places of its files.
    Archive(PathBuf, BTreeMap<String, (u64, u64)>),
}

/// An image that was read.
pub(crate) struct ImageFiles {
    pub(crate) files: Files,
    pub(crate) contents: ImageContents,
    pub(crate) config: BaseConfig,
    /// The config as it is written.
    pub(crate) config_document: Vec<u8>,
    pub(crate) manifest: Option<Digest>,
    /// Bytes of its layers as they are kept.
    pub(crate) size: u64,
}

impl ImagePlace {
    /// Finds the files of a layout or a tar.
    pub(crate) fn open(path: &Path) -> Result<Self, PublishError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let files = archived_files(BufReader::new(open_regular(path)?))?;
        Ok(Self::Archive(path.to_owned(), files))
    }

    /// Opens one of its files. Names are of documents, which are anybody's: none leads out of the folder.
    fn file(&self, name: &str) -> io::Result<Option<(Box<dyn Read>, u64)>> {
        match self {
            Self::Folder(root) => {
                let Ok(inside) = TreePath::new(name) else { return Ok(None) };
                let path = root.join(inside.as_str());
                if !path.is_file() {
                    return Ok(None);
                }
                let size = fs::metadata(&path)?.len();
                Ok(Some((Box::new(open_regular(path)?), size)))
            }
            Self::Archive(path, places) => {
                let Some((offset, size)) = places.get(name).copied() else { return Ok(None) };
                let mut file = open_regular(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(Some((Box::new(file.take(size)), size)))
            }
        }
    }

    fn document(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some((file, _)) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(LARGEST_DOCUMENT).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// A reader that knows the digest of what was read, and ends what is too long.
struct Counted<R> {
    inner: R,
    hasher: Hasher,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it unpacks to more than {LARGEST_IMAGE} bytes"),
            )
        })?;
        Ok(n)
    }
}

/// Reads an image: each layer must be what the config says. The content of `wanted` is kept, by paths from the root.
pub(crate) fn image_files(
    place: &ImagePlace,
    what: &str,
    wanted_manifest: Option<&Digest>,
    wanted: &BTreeSet<TreePath>,
) -> Result<ImageFiles, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: what.to_owned(), reason };
    let LaidOut { manifest, config: config_document, layers } = documents(place, what, wanted_manifest)?;
    let config = BaseConfig::read(&config_document)?;
    if config.diff_ids.len() != layers.len() {
        return Err(error("its config and its list of layers do not agree".to_owned()));
    }
    let (mut files, mut file_system, mut contents) =
        (Files::default(), FileSystem::new(), ContentsReader::new());
    let (mut size, mut left) = (0, LARGEST_IMAGE);
    for (name, expected) in layers.iter().zip(&config.diff_ids) {
        let mut tar = Counted { inner: layer(place, name, &error)?.0, hasher: Hasher::default(), left };
        file_system.add(&mut tar, |path, content| {
            files.take(path, wanted, |sink| io::copy(content, sink).map(drop))
        })?;
        io::copy(&mut tar, &mut io::sink())?;
        left = tar.left;
        let found = tar.hasher.finish();
        if found != *expected {
            return Err(error(format!(
                "its layer {name} unpacks to {found}, and its config says {expected}"
            )));
        }
        size += place.file(name)?.map_or(0, |(_, bytes)| bytes);
        contents.add(layer(place, name, &error)?.0)?;
    }
    for (path, node) in file_system.iter() {
        let (entry, usual) = match &node.content {
            NodeContent::File { digest, size } => {
                let mode = Mode::from_bits(node.mode);
                (Entry::File { digest: *digest, size: *size, mode }, mode.bits())
            }
            NodeContent::Symlink { target } => (Entry::Symlink { target: target.clone() }, 0o777),
            NodeContent::Folder | NodeContent::Special { .. } => continue,
        };
        let attributes = kiln_record::Attributes {
            mode: node.mode,
            user: node.user,
            group: node.group,
            xattrs: node.xattrs.clone(),
        };
        if attributes.are_unusual(usual) {
            files.attributes.insert(path.clone(), attributes);
        }
        files.tree.insert(path.clone(), entry).map_err(|reason| error(reason.to_string()))?;
    }
    // What a later layer removed or replaced says nothing any more.
    let tree = &files.tree;
    files.metadata.retain(|path, _| tree.get(path).is_some());
    files.elf.retain(|path| tree.get(path).is_some());
    Ok(ImageFiles { files, contents: contents.finish()?, config, config_document, manifest, size })
}

/// What is laid out there: one image, or several.
pub(crate) fn laid(place: &ImagePlace, wanted: Option<&Digest>) -> Result<Laid, PublishError> {
    Ok(read_laid_out(wanted, &mut |name| place.document(name))?)
}

/// The documents of the one image that is there, or that is asked for.
fn documents(place: &ImagePlace, what: &str, wanted: Option<&Digest>) -> Result<LaidOut, PublishError> {
    match laid(place, wanted)? {
        Laid::Image(image) => Ok(image),
        Laid::Several(all) => {
            let all: Vec<String> =
                all.iter().map(|(platform, digest)| format!("{platform} {digest}")).collect();
            Err(PublishError::NotUsable {
                what: what.to_owned(),
                reason: format!(
                    "it holds an image for each of several platforms, and one is compared: {}",
                    all.join(", ")
                ),
            })
        }
    }
}

/// A layer as it is kept.
pub(crate) struct KeptLayer {
    pub(crate) tar: Box<dyn Read>,
    /// How it is compressed.
    pub(crate) codec: LayerCodec,
    /// The first bytes of what is kept, which a header of gzip fits in.
    pub(crate) start: Vec<u8>,
    /// The digest and the length of what is kept.
    pub(crate) kept: (Digest, u64),
}

/// The layers of an image, bottom first.
pub(crate) fn kept_layers(
    place: &ImagePlace,
    what: &str,
    wanted: Option<&Digest>,
) -> Result<Vec<KeptLayer>, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: what.to_owned(), reason };
    let documents = documents(place, what, wanted)?;
    let kept = |name: &String| -> Result<KeptLayer, PublishError> {
        let open = || -> Result<(Box<dyn Read>, u64), PublishError> {
            place.file(name)?.ok_or_else(|| error(format!("it has no layer {name}")))
        };
        let (mut start, (file, size)) = (Vec::new(), open()?);
        file.take(LARGEST_HEADER).read_to_end(&mut start)?;
        let mut counted = Counted { inner: open()?.0, hasher: Hasher::default(), left: LARGEST_IMAGE };
        io::copy(&mut counted, &mut io::sink())?;
        let (tar, codec) = layer(place, name, &error)?;
        Ok(KeptLayer { tar, codec, start, kept: (counted.hasher.finish(), size) })
    };
    documents.layers.iter().map(kept).collect()
}

/// The tar of a layer, and how what is kept of it is compressed.
fn layer(
    place: &ImagePlace,
    name: &str,
    error: &dyn Fn(String) -> PublishError,
) -> Result<(Box<dyn Read>, LayerCodec), PublishError> {
    let open = || -> Result<(Box<dyn Read>, u64), PublishError> {
        place.file(name)?.ok_or_else(|| error(format!("it has no layer {name}")))
    };
    let (mut start, _) = open()?;
    let mut magic = [0; 4];
    let codec = match start.read(&mut magic)? {
        2.. if magic[..2] == [0x1f, 0x8b] => LayerCodec::Gzip,
        4 if magic == [0x28, 0xb5, 0x2f, 0xfd] => LayerCodec::Zstd,
        _ => LayerCodec::None,
    };
    let tar = layer_tar(BufReader::with_capacity(1 << 18, open()?.0), codec);
    Ok((tar.map_err(|reason| error(reason.to_string()))?, codec))
}
