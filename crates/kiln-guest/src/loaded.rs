//! An assembled image in the engine, as it will run: loaded for the checks and taken away again.

use crate::loaded_bases::{LOADED, ending_of};
use crate::{Bases, GuestError, guest};
use kiln_engine::GuestPath;
use kiln_image::{Image, LAYER_MEDIA_TYPE, Layer, write_archive};
use kiln_invocation::blocking;
use kiln_pack::{LayerCodec, layer_tar};
use kiln_plan::{Manifest, PinnedBase};
use kiln_record::{BaseName, Component, Digest, ImageRecord, ImageRuns};
use kiln_store::{Store, has_room};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use tokio::sync::OnceCell;

/// An image whose layers are in the store and whose documents are made.
#[derive(Clone)]
pub struct AssembledImage {
    /// Its documents and layers.
    pub image: Image,
    /// How its layers are compressed.
    pub codec: LayerCodec,
    /// What the record says of it.
    pub record: ImageRecord,
    /// What the base brings, as components.
    pub components: Vec<Component>,
    /// The user that it runs as, in numbers, if that can be told.
    pub user: Option<String>,
    /// The Python that its program runs in, where a Dockerfile decides that.
    pub python: Option<String>,
}

/// An image for the engine, which gets it when something first needs it there. It goes away with [`Loaded::remove`].
pub struct Loaded {
    bases: Bases,
    base: BaseName,
    assembled: AssembledImage,
    tag: String,
    id: OnceCell<String>,
    /// What it is, whatever the engine calls it: the digest of its config, which names its layers.
    pub content: Digest,
    /// How it is started.
    pub runs: ImageRuns,
    /// As whom, in numbers; none if only the image knows who that is.
    pub user: Option<String>,
    /// The Python of its program, where that is not its base's.
    pub python: Option<String>,
}

impl Loaded {
    /// Makes an image known; none if the engine's containers are of another architecture.
    pub async fn new(
        bases: &Bases,
        manifest: &Manifest,
        base: &PinnedBase,
        assembled: &AssembledImage,
    ) -> Result<Option<Self>, GuestError> {
        let engine = bases.engine().await?;
        if engine.info().await?.platform.architecture != manifest.target.architecture {
            return Ok(None);
        }
        // References have no capitals.
        let name = manifest.name.as_str().to_ascii_lowercase().replace('_', "-");
        // Another kiln may check an equal image at the same time: each takes only its own name away.
        let ending = ending_of(engine.session());
        let tag = format!("{LOADED}{name}:{}{ending}", &assembled.image.config_digest.hex()[..12]);
        Ok(Some(Self {
            bases: bases.clone(),
            base: base.definition.name.clone(),
            assembled: assembled.clone(),
            tag,
            id: OnceCell::new(),
            content: assembled.image.config_digest,
            user: assembled.user.clone(),
            python: assembled.python.clone(),
            runs: assembled.record.runs.clone(),
        }))
    }

    /// What the engine calls it. The first call brings it there.
    ///
    /// # Errors
    /// If it cannot be brought, or is another one then.
    pub async fn id(&self) -> Result<&str, GuestError> {
        let id = self.id.get_or_try_init(|| async {
            let engine = self.bases.engine().await?;
            let archive = {
                let (store, assembled) = (self.bases.store().clone(), self.assembled.clone());
                let tag = self.tag.clone();
                blocking(move || archive(&store, &assembled, &tag)).await?
            };
            engine.load(BufReader::with_capacity(1 << 18, archive)).await?;
            let image = &self.assembled.image;
            let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
            match engine.image(&self.tag).await? {
                Some(found) if found.diff_ids == diff_ids => Ok(found.id),
                other => Err(GuestError::EngineImageDiffers {
                    base: self.base.clone(),
                    expected: image.config_digest.to_string(),
                    found: other.map_or_else(|| "none".to_owned(), |found| found.id),
                }),
            }
        });
        Ok(id.await?)
    }

    /// Takes the image away again. It is only a copy, and what the engine does not let go is loaded over by the next run.
    pub async fn remove(self) {
        if self.id.initialized()
            && let Ok(engine) = self.bases.engine().await
        {
            let _ = engine.remove_image(&self.tag).await;
        }
    }
}

/// The image as every engine loads it. Engines of the time of Docker 20.10 read no zstd, so its layers go in as tars; the
/// config, and with it what runs, is the same.
fn archive(store: &Store, assembled: &AssembledImage, tag: &str) -> Result<std::fs::File, GuestError> {
    let mut image = assembled.image.clone();
    let mut blobs = std::collections::BTreeMap::new();
    if assembled.codec == LayerCodec::Zstd {
        for layer in &mut image.layers {
            let blob = BufReader::with_capacity(1 << 18, store.open_blob(&layer.digest)?);
            let size = io::copy(&mut layer_tar(blob, LayerCodec::Zstd)?, &mut io::sink())?;
            blobs.insert(layer.diff_id, layer.digest);
            *layer = Layer {
                digest: layer.diff_id,
                size,
                diff_id: layer.diff_id,
                media_type: LAYER_MEDIA_TYPE.to_owned(),
            };
        }
    }
    let size = image.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    has_room(store.root(), &format!("image {tag}, which the engine is given,"), size)?;
    let mut file = tempfile::tempfile_in(store.root())?;
    let mut writer = BufWriter::with_capacity(1 << 18, &mut file);
    write_archive(&mut writer, &image, Some(tag), |digest| -> io::Result<Box<dyn Read>> {
        let stored = blobs.get(digest).unwrap_or(digest);
        let blob = store.open_blob(stored).map_err(io::Error::other)?;
        let blob = BufReader::with_capacity(1 << 18, blob);
        if blobs.contains_key(digest) {
            layer_tar(blob, LayerCodec::Zstd).map_err(io::Error::other)
        } else {
            Ok(Box::new(blob))
        }
    })?;
    writer.flush()?;
    drop(writer);
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Folders that a service can write to when it is checked: `/tmp`, and the volumes that it states.
pub fn writable(runs: &ImageRuns) -> Result<Vec<GuestPath>, GuestError> {
    let mut folders = vec![guest("/tmp")?];
    for volume in &runs.volumes {
        let volume = guest(volume)?;
        let overlaps = |other: &GuestPath| volume.is_within(other) || other.is_within(&volume);
        if !folders.iter().any(overlaps) {
            folders.push(volume);
        }
    }
    Ok(folders)
}

/// The user that an image states, if it is in numbers: a name means whatever its `/etc/passwd` says.
pub fn numeric_user(runs: &ImageRuns) -> Option<String> {
    let user = match runs.user.as_deref() {
        None | Some("") | Some("root") => "0:0",
        Some(user) => user,
    };
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    let number = |text: &str| text.parse::<u32>().is_ok();
    (number(uid) && number(gid)).then(|| format!("{uid}:{gid}"))
}
