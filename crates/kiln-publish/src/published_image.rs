//! The blobs of a published image, wherever they are in its folder: parts of the one archive, or the files of a layout.

use crate::PublishError;
use crate::published::{not_as_recorded, published_file};
use kiln_image::{CONFIG_MEDIA_TYPE, Image, archived_blobs};
use kiln_record::{Digest, ImageRecord, Record};
use kiln_store::{Store, open_regular};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Cursor, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// A blob of a manifest, and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A part of a file, from an offset on.
    File(PathBuf, u64),
    Bytes(Vec<u8>),
}

impl Blob {
    /// Bytes that are at hand.
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            content: Content::Bytes(bytes.to_vec()),
        }
    }

    /// Its bytes, which the reader has yet to check.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read>> {
        match &self.content {
            Content::Bytes(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Content::File(path, offset) => {
                let mut file = open_regular(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Ok(Box::new(BufReader::with_capacity(1 << 18, file.take(self.size))))
            }
        }
    }
}

/// The manifest of a published image with its layers and its config. Every file must still be what the record says.
pub(crate) fn manifest_and_blobs(
    folder: &Path,
    record: &Record,
    image: &ImageRecord,
) -> Result<(Vec<u8>, Vec<Blob>), PublishError> {
    let mut places: BTreeMap<Digest, (PathBuf, u64, u64)> = BTreeMap::new();
    for output in &record.outputs {
        let file = published_file(folder, record, output)?;
        if output.media_type == "application/x-tar" {
            let parts = archived_blobs(BufReader::new(open_regular(&file)?))?;
            places.extend(parts.into_iter().map(|(digest, (at, size))| (digest, (file.clone(), at, size))));
        } else {
            places.insert(output.digest, (file, 0, output.size));
        }
    }
    let blob = |digest: Digest, media_type: &str| {
        let place = places.get(&digest);
        let (file, at, size) = place.ok_or_else(|| not_as_recorded(record, &folder.join("record.json")))?;
        let content = Content::File(file.clone(), *at);
        Ok::<_, PublishError>(Blob { media_type: media_type.to_owned(), digest, size: *size, content })
    };
    let mut manifest = Vec::new();
    blob(image.manifest, "")?.open()?.read_to_end(&mut manifest)?;
    if Digest::of(&manifest) != image.manifest {
        return Err(not_as_recorded(record, &folder.join("record.json")));
    }
    let layers = image.layers.iter().map(|layer| blob(layer.digest, &layer.media_type));
    let blobs = layers.chain([blob(image.config, CONFIG_MEDIA_TYPE)]).collect::<Result<_, _>>()?;
    Ok((manifest, blobs))
}

/// A published image, with its layers in the store. Every file must still be what the record says.
///
/// # Errors
/// [`PublishError::NotAsRecorded`] and [`PublishError::Gone`]; what is wrong with its documents; [`PublishError::Store`].
pub fn stored_image(
    folder: &Path,
    record: &Record,
    image: &ImageRecord,
    store: &Store,
) -> Result<Image, PublishError> {
    let (manifest, blobs) = manifest_and_blobs(folder, record, image)?;
    let mut config = Vec::new();
    for blob in blobs {
        if blob.digest == image.config {
            blob.open()?.read_to_end(&mut config)?;
        } else if !store.contains(&blob.digest) {
            let mut writer = store.writer()?;
            io::copy(&mut blob.open()?, &mut writer)?;
            writer.commit(Some(&blob.digest))?;
        }
    }
    if Digest::of(&config) != image.config {
        return Err(not_as_recorded(record, &folder.join("record.json")));
    }
    Ok(Image::read(manifest, config)?)
}
