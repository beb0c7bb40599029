//! Images: archives as `docker save` writes them, read into trees.

use crate::content::Sources;
use crate::tree::Folder;
use crate::unpack::{Is, Tar, spooled};
use flate2::read::MultiGzDecoder;
use kiln_engine::ImageInfo;
use kiln_record::{Digest, HashingWriter, Platform, excerpt};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use tar::{Archive, EntryType};

/// The most bytes of a document of an archive.
const DOCUMENT: u64 = 8 << 20;
/// The most bytes of a layer.
const LAYER: u64 = 64 << 30;

/// An image with its files.
#[derive(Debug)]
pub(crate) struct LoadedImage {
    pub(crate) info: ImageInfo,
    /// Its root, with all layers over each other.
    pub(crate) root: Arc<Folder>,
    /// Where the content of its files is.
    pub(crate) sources: Arc<Sources>,
    /// The archive that it came in.
    pub(crate) archive: Tar,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    rootfs: RootFs,
    #[serde(default)]
    config: Option<Runs>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Runs {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    on_build: Option<Vec<String>>,
    #[serde(default)]
    shell: Option<Vec<String>>,
}

/// All images of an archive, each with its names. It is kept in a file of `folder` without a name.
pub(crate) fn read(archive: impl Read, folder: &Path) -> io::Result<Vec<(LoadedImage, Vec<String>)>> {
    let archive = spooled(folder, archive)?;
    let mut members: BTreeMap<String, Tar> = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    let mut reading = Archive::new(BufReader::new(archive.reader()));
    for entry in reading.entries()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        match entry.header().entry_type() {
            EntryType::Regular => {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                members.insert(name, Tar { file: Arc::clone(&archive.file), offset, size });
            }
            // Equal layers are links in archives of engines.
            EntryType::Symlink => {
                let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
                links.push((name, target.unwrap_or_default()));
            }
            _ => {}
        }
    }
    for (name, target) in links {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let target = target.strip_prefix("../").map_or_else(|| format!("{folder}/{target}"), str::to_owned);
        if let Some(there) = members.get(&target).cloned() {
            members.insert(name, there);
        }
    }
    let member = |name: &str| {
        members.get(name).ok_or_else(|| io::Error::other(format!("the archive has no {}", excerpt(name))))
    };
    let document = |name: &str| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let member = member(name)?;
        if member.size > DOCUMENT {
            return Err(io::Error::other(format!("{} has more than {DOCUMENT} bytes", excerpt(name))));
        }
        member.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let entries: Vec<Entry> = serde_json::from_slice(&document("manifest.json")?)?;
    let mut images = Vec::new();
    for entry in entries {
        let config_bytes = document(&entry.config)?;
        let config: Config = serde_json::from_slice(&config_bytes)?;
        let platform: Platform =
            format!("{}/{}", config.os, config.architecture).parse().map_err(io::Error::other)?;
        if config.rootfs.diff_ids.len() != entry.layers.len() {
            return Err(io::Error::other("the config and the manifest name different numbers of layers"));
        }
        let (mut root, mut sources) = (Folder::new(0o755, 0), Sources::new());
        for (name, diff_id) in entry.layers.iter().zip(&config.rootfs.diff_ids) {
            let tar = plain(member(name)?, folder)?;
            let mut hashed = HashingWriter::new(io::sink());
            io::copy(&mut BufReader::with_capacity(1 << 18, tar.reader()), &mut hashed)?;
            let (_, found, _) = hashed.finish();
            if found != *diff_id {
                return Err(io::Error::other(format!("layer {} is not {diff_id}", excerpt(name))));
            }
            tar.unpack(Is::Layer, "", &mut root, &mut sources)?;
        }
        let runs = config.config.unwrap_or_default();
        let info = ImageInfo {
            id: Digest::of(&config_bytes).to_string(),
            diff_ids: config.rootfs.diff_ids,
            repo_digests: Vec::new(),
            platform,
            config_env: runs.env.unwrap_or_default(),
            on_build: runs.on_build.unwrap_or_default(),
            shell: runs.shell.unwrap_or_default(),
            size: Some(archive.size),
        };
        let (root, sources) = (Arc::new(root), Arc::new(sources));
        let image = LoadedImage { info, root, sources, archive: archive.clone() };
        images.push((image, entry.repo_tags.unwrap_or_default()));
    }
    Ok(images)
}

/// A layer as a tar, uncompressed into a file if it is not one.
fn plain(layer: &Tar, folder: &Path) -> io::Result<Tar> {
    let mut start = [0; 2];
    let is_gzip = layer.size > 2 && layer.reader().read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    if !is_gzip {
        return Ok(layer.clone());
    }
    let mut content = MultiGzDecoder::new(BufReader::new(layer.reader())).take(LAYER + 1);
    let tar = spooled(folder, &mut content)?;
    if tar.size > LAYER {
        return Err(io::Error::other(format!("a layer has more than {LAYER} bytes")));
    }
    Ok(tar)
}
