//! Images as others keep them: OCI layouts, and archives of Docker, whoever wrote them.

use crate::media_type::{INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE};
use crate::{ImageError, blob_path, manifest_blobs, read_image_index};
use kiln_pack::BoundedTar;
use kiln_record::{Digest, counted};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;

/// The largest document that is read, in bytes.
const DOCUMENT_LIMIT: usize = 8 << 20;
/// Indexes that lead to indexes.
const DEEPEST: usize = 4;
/// Files of an archive, and the longest name of one in bytes, as on Linux.
const MOST_FILES: usize = 1_000_000;
const LONGEST_NAME: usize = 4096;

/// An image in a layout or archive: its documents, and the files that hold its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidOut {
    /// The digest of its manifest; Docker's own archives have none.
    pub manifest: Option<Digest>,
    /// Its config.
    pub config: Vec<u8>,
    /// The files that hold its layers, bottom first.
    pub layers: Vec<String>,
}

/// What a layout or archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Laid {
    /// One image.
    Image(LaidOut),
    /// Images for several platforms, each with the digest of its manifest.
    Several(Vec<(String, Digest)>),
}

/// Reads the documents of a layout (OCI image layout specification) or of an archive as `docker save` writes it. `read` gives the
/// bytes of a file by its name, if it is there. Of several images the one whose manifest has the digest `wanted` is taken.
///
/// # Errors
/// [`ImageError::Image`] if it is neither, or a document is not what the digest that names it says; what `read` says.
pub fn read_laid_out(
    wanted: Option<&Digest>,
    read: &mut dyn FnMut(&str) -> io::Result<Option<Vec<u8>>>,
) -> Result<Laid, ImageError> {
    let error = |reason: String| ImageError::Image { reason };
    let mut document = |name: &str| -> Result<Option<Vec<u8>>, ImageError> {
        let bytes = read(name).map_err(ImageError::io(&format!("read {name}")))?;
        match bytes {
            Some(bytes) if bytes.len() > DOCUMENT_LIMIT => {
                Err(error(format!("{name} is larger than {DOCUMENT_LIMIT} bytes")))
            }
            bytes => Ok(bytes),
        }
    };
    if let Some(index) = document("index.json")? {
        let mut blob = |digest: &Digest| -> Result<Vec<u8>, ImageError> {
            let path = blob_path(digest);
            let bytes = document(&path)?.ok_or_else(|| error(format!("it has no {path}")))?;
            if Digest::of(&bytes) != *digest {
                return Err(error(format!("{path} has other bytes than its name says")));
            }
            Ok(bytes)
        };
        let mut manifests = BTreeMap::new();
        leads_to(&index, 0, &mut blob, &mut manifests)?;
        let chosen = match (wanted, manifests.len()) {
            (Some(wanted), _) => manifests.keys().find(|digest| *digest == wanted).copied(),
            (None, 1) => manifests.keys().next().copied(),
            (None, 0) => return Err(error("its index leads to no image".to_owned())),
            (None, _) => None,
        };
        let Some(digest) = chosen else {
            return Ok(Laid::Several(
                manifests.into_iter().map(|(digest, platform)| (platform, digest)).collect(),
            ));
        };
        let (config, layers) = manifest_blobs(&blob(&digest)?)?;
        let config = blob(&config.digest)?;
        let layers = layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        return Ok(Laid::Image(LaidOut { manifest: Some(digest), config, layers }));
    }
    let Some(bytes) = document("manifest.json")? else {
        return Err(error("it is neither an OCI layout nor an archive of an image: it has no index.json and no manifest.json".to_owned()));
    };
    let entries: Value =
        serde_json::from_slice(&bytes).map_err(|reason| error(format!("manifest.json is none: {reason}")))?;
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    let [entry] = entries else {
        return Err(error(format!("it holds {}, and one is compared", counted(entries.len(), "images"))));
    };
    let config = entry.get("Config").and_then(Value::as_str).unwrap_or_default();
    let layers = entry.get("Layers").and_then(Value::as_array).into_iter().flatten();
    let layers = layers.filter_map(|layer| layer.as_str().map(str::to_owned)).collect();
    let config = document(config)?.ok_or_else(|| error(format!("it has no {config}")))?;
    Ok(Laid::Image(LaidOut { manifest: None, config, layers }))
}

/// The manifests of images that an index leads to, by digest, each with its platform as it is stated. What is attached to an image
/// (attestations) is none.
fn leads_to(
    index: &[u8],
    depth: usize,
    blob: &mut dyn FnMut(&Digest) -> Result<Vec<u8>, ImageError>,
    manifests: &mut BTreeMap<Digest, String>,
) -> Result<(), ImageError> {
    for entry in read_image_index(index)?.unwrap_or_default() {
        let (kind, digest) = (entry.descriptor.media_type.as_str(), entry.descriptor.digest);
        let is_list =
            kind == INDEX_MEDIA_TYPE || kind == "application/vnd.docker.distribution.manifest.list.v2+json";
        let is_image =
            kind == MANIFEST_MEDIA_TYPE || kind == "application/vnd.docker.distribution.manifest.v2+json";
        if is_list && depth < DEEPEST {
            leads_to(&blob(&digest)?, depth + 1, blob, manifests)?;
        } else if is_image && entry.platform != "unknown/unknown" {
            manifests.insert(digest, entry.platform);
        }
    }
    Ok(())
}

/// Where the files of a tar are: the offset of each one's first byte and its length, by name; links lead to the place of what they
/// name.
///
/// # Errors
/// [`ImageError::Io`] if it cannot be read, or is no archive; [`ImageError::Image`] if it names more than an image has.
pub fn archived_files<R: io::Read + io::Seek>(
    archive: R,
) -> Result<BTreeMap<String, (u64, u64)>, ImageError> {
    let failed = || ImageError::io("read the archive");
    let mut archive = BoundedTar::new(archive);
    let (mut places, mut links) = (BTreeMap::new(), BTreeMap::new());
    for entry in archive.entries_with_seek().map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.path().map_err(failed())?.to_string_lossy().trim_start_matches("./").to_owned();
        if name.len() > LONGEST_NAME || places.len() + links.len() == MOST_FILES {
            let reason =
                format!("it has more than {MOST_FILES} files, or a name of more than {LONGEST_NAME} bytes");
            return Err(ImageError::Image { reason });
        }
        match entry.link_name().map_err(failed())? {
            // Docker writes equal layers once, and leads from `<id>/layer.tar` to the other one.
            Some(target) => {
                links.insert(name, target.to_string_lossy().trim_start_matches("../").to_owned());
            }
            None => {
                places.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
    }
    for (name, target) in links {
        if let Some(place) = places.get(&target).copied() {
            places.insert(name, place);
        }
    }
    Ok(places)
}
