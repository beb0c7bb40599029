//! An archive as an engine saves an image: its config, and its layers as tars.

use crate::GuestError;
use flate2::read::MultiGzDecoder;
use kiln_engine::{Engine, EngineError};
use kiln_image::BaseConfig;
use kiln_invocation::blocking;
use kiln_record::{Defect, counted};
use kiln_store::{Store, has_room};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};

/// The largest document of an archive, in bytes.
const DOCUMENT_LIMIT: u64 = 8 << 20;

/// The archive, on disk until this is dropped.
pub struct SavedImage {
    file: File,
    /// The config, as the engine has it.
    pub config: Vec<u8>,
    /// What the config says.
    pub read: BaseConfig,
    /// Where each layer is in the file, bottom first.
    layers: Vec<(u64, u64)>,
}

impl SavedImage {
    /// Takes an image out of the engine.
    pub async fn export(engine: &Engine, store: &Store, image: &str) -> Result<Self, GuestError> {
        let mut file = room_for(engine, store, image).await?;
        engine.export(image, |chunk| file.write_all(chunk)).await?;
        let image = image.to_owned();
        blocking(move || Self::open(&image, file)).await
    }

    /// Reads the archive's documents and finds its layers.
    fn open(image: &str, mut file: File) -> Result<Self, GuestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Entry {
            config: String,
            layers: Vec<String>,
        }
        let broken = |why: String| EngineError::ImageUnusable {
            reference: image.to_owned(),
            why: format!("the archive that the engine saved: {why}"),
        };
        let unreadable = |error: io::Error| match error.raw_os_error() {
            Some(_) => GuestError::from(error),
            None => broken(error.to_string()).into(),
        };
        file.seek(SeekFrom::Start(0))?;
        // Where each file of the archive is, and where links between equal layers lead.
        let (mut places, mut links) = (BTreeMap::new(), BTreeMap::new());
        let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 16, &file));
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
            if let Some(target) = entry.link_name().map_err(unreadable)? {
                let target = target.to_string_lossy().trim_start_matches("../").to_owned();
                links.insert(name, target);
            } else {
                places.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        let place = |name: &str| -> Result<(u64, u64), EngineError> {
            let name = links.get(name).map_or(name, String::as_str);
            places.get(name).copied().ok_or_else(|| broken(format!("it has no {name}")))
        };
        let document = |name: &str| -> Result<Vec<u8>, GuestError> {
            let mut bytes = Vec::new();
            part(&file, place(name)?)?.take(DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let entries: Vec<Entry> = serde_json::from_slice(&document("manifest.json")?)
            .map_err(|error| broken(format!("its manifest.json is none: {error}")))?;
        let [entry] = entries.as_slice() else {
            return Err(broken(format!("it holds {}", counted(entries.len(), "images"))).into());
        };
        let config = document(&entry.config)?;
        let read = BaseConfig::read(&config)?;
        if read.diff_ids.len() != entry.layers.len() {
            return Err(broken("its config and its list of layers do not agree".to_owned()).into());
        }
        let layers = entry.layers.iter().map(|name| place(name)).collect::<Result<_, _>>()?;
        Ok(Self { file, config, read, layers })
    }

    /// How long its layers are together, as the engine keeps them.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|(_, size)| *size).fold(0, u64::saturating_add)
    }

    /// The tar of a layer, unpacked if the engine keeps it compressed.
    pub fn layer(&self, index: usize) -> Result<Box<dyn Read + '_>, GuestError> {
        let place = *self
            .layers
            .get(index)
            .ok_or_else(|| Defect::new(format!("layer {index} is asked for of {}", self.layers.len())))?;
        let mut start = [0; 2];
        let mut blob = part(&self.file, place)?;
        let compressed = blob.read(&mut start)? == 2 && start == [0x1f, 0x8b];
        let blob = BufReader::with_capacity(1 << 18, part(&self.file, place)?);
        Ok(if compressed { Box::new(MultiGzDecoder::new(blob)) } else { Box::new(blob) })
    }
}

/// The files that a container of an image has, as a tar on disk until the file is closed.
pub async fn container_files(engine: &Engine, store: &Store, image: &str) -> Result<File, GuestError> {
    let mut file = room_for(engine, store, image).await?;
    engine.file_system(image, |chunk| file.write_all(chunk)).await?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A file for what the engine has of an image, once there is room for as much as it says that this is.
async fn room_for(engine: &Engine, store: &Store, image: &str) -> Result<File, GuestError> {
    if let Some(size) = engine.image(image).await?.and_then(|info| info.size) {
        has_room(store.root(), &format!("image {image}, which the engine gives,"), size)?;
    }
    Ok(tempfile::tempfile_in(store.root())?)
}

/// A part of a file. Parts share the place at which they read, so one is read after the other.
fn part(file: &File, (offset, size): (u64, u64)) -> Result<io::Take<File>, io::Error> {
    let mut part = file.try_clone()?;
    part.seek(SeekFrom::Start(offset))?;
    Ok(part.take(size))
}
