//! Reading image archives: `manifest.json`, the config it names, and the layers (Docker image specification 1.2, and
//! the OCI image spec for the blobs).

use crate::filesystem::Filesystem;
use kiln_engine::ImageInfo;
use kiln_record::{Digest, Platform};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use tar::{Archive, EntryType};

/// An image and its files.
#[derive(Debug)]
pub(crate) struct LoadedImage {
    pub(crate) info: ImageInfo,
    pub(crate) files: Filesystem,
    /// The archive that it came in.
    pub(crate) archive: Arc<[u8]>,
}

#[derive(Deserialize)]
struct ManifestEntry {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    rootfs: RootFs,
    #[serde(default)]
    config: Option<Execution>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

#[derive(Default, Deserialize)]
struct Execution {
    #[serde(rename = "Env", default)]
    env: Option<Vec<String>>,
}

// Everything is held in memory: enough for test images, not for a flood.
const LARGEST_ARCHIVE: u64 = 1 << 30;

/// All images of an archive, each with its tags.
pub(crate) fn read(archive: impl Read) -> io::Result<Vec<(LoadedImage, Vec<String>)>> {
    let mut blobs = BTreeMap::new();
    let mut whole = Vec::new();
    archive.take(LARGEST_ARCHIVE).read_to_end(&mut whole)?;
    let whole: Arc<[u8]> = whole.into();
    let mut archive = Archive::new(&*whole);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() == EntryType::Regular {
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            blobs.insert(name, bytes);
        }
    }
    let blob = |name: &str| {
        blobs.get(name).ok_or_else(|| io::Error::other(format!("the archive has no {}", name.escape_debug())))
    };
    let manifest: Vec<ManifestEntry> =
        serde_json::from_slice(blob("manifest.json")?).map_err(io::Error::other)?;
    let mut images = Vec::new();
    for entry in manifest {
        let config_bytes = blob(&entry.config)?;
        let config: Config = serde_json::from_slice(config_bytes).map_err(io::Error::other)?;
        let platform: Platform =
            format!("{}/{}", config.os, config.architecture).parse().map_err(io::Error::other)?;
        if config.rootfs.diff_ids.len() != entry.layers.len() {
            return Err(io::Error::other("the config and the manifest name different numbers of layers"));
        }
        let mut files = Filesystem::new();
        for (layer, diff_id) in entry.layers.iter().zip(&config.rootfs.diff_ids) {
            let tar = plain(blob(layer)?)?;
            if Digest::of(&tar) != *diff_id {
                return Err(io::Error::other(format!("layer {layer} is not {diff_id}")));
            }
            files.unpack(tar.as_slice())?;
        }
        let info = ImageInfo {
            id: Digest::of(config_bytes).to_string(),
            diff_ids: config.rootfs.diff_ids,
            repo_digests: Vec::new(),
            platform,
            config_env: config.config.unwrap_or_default().env.unwrap_or_default(),
            on_build: Vec::new(),
            shell: Vec::new(),
            size: u64::try_from(whole.len()).ok(),
        };
        images
            .push((LoadedImage { info, files, archive: Arc::clone(&whole) }, entry.tags.unwrap_or_default()));
    }
    Ok(images)
}

fn plain(layer: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if layer.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(layer).take(LARGEST_ARCHIVE).read_to_end(&mut bytes)?;
    } else {
        bytes.extend_from_slice(layer);
    }
    Ok(bytes)
}
