//! What a base is made of, for artifacts that are built on top of it: its config, its layers in the store, and what they
//! hold. Each is done once in a run and remembered by digest.

use crate::debian::{assemble, stored_image};
use crate::{GuestError, SavedImage};
use kiln_engine::Engine;
use kiln_image::{BaseConfig, CONTENTS_RULES, ContentsReader, ImageContents, LAMBDA_ENTRYPOINT};
use kiln_invocation::{Network, blocking};
use kiln_pack::PackError;
use kiln_plan::{DebianDefinition, PinnedBase};
use kiln_record::{Digest, ImageRuns, LongHasher, Platform, TreePath, counted, digest_of_value};
use kiln_store::{Store, has_room};
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader};

/// A base as something to build on.
pub struct BaseImage {
    /// What its config says.
    pub config: BaseConfig,
    /// Its layers, bottom first. The store has the tar of each.
    pub layers: Vec<BaseLayer>,
    /// What its layers hold together.
    pub contents: ImageContents,
    /// The SHA-512 of its manifest, where that was made here.
    pub manifest_sha512: Option<String>,
}

/// A layer of a base, as a tar in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseLayer {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The length of the tar in bytes.
    pub size: u64,
}

/// The kind of cache value: what is remembered of a base from a registry.
const CACHE: &str = "registry-base";

/// What is remembered of a base from a registry.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: Digest,
    layers: Vec<BaseLayer>,
}

impl BaseImage {
    /// The base that has nothing.
    pub(crate) fn scratch(platform: Platform) -> Self {
        let config = BaseConfig {
            platform,
            variant: None,
            runs: ImageRuns::default(),
            diff_ids: Vec::new(),
            history: Vec::new(),
        };
        Self { config, layers: Vec::new(), contents: ImageContents::default(), manifest_sha512: None }
    }

    /// A base of Debian packages, assembled unless the store has it.
    pub(crate) async fn of_debian(
        network: &Network,
        base: &PinnedBase,
        debian: &DebianDefinition,
    ) -> Result<Self, GuestError> {
        let image = match stored_image(network.store(), base)? {
            Some(image) => image,
            None => assemble(network, &base.definition, debian, base.platform, &base.lock.packages).await?,
        };
        if image.manifest_digest != base.lock.manifest {
            return Err(GuestError::BaseDiffers {
                base: base.definition.name.clone(),
                expected: base.lock.manifest,
                found: image.manifest_digest,
            });
        }
        let layers = image.layers.iter();
        let layers = layers.map(|layer| BaseLayer { diff_id: layer.diff_id, size: layer.size }).collect();
        let of_layers = Self::of_layers(network.store(), base, &image.config, layers).await?;
        Ok(Self { manifest_sha512: Some(LongHasher::of(&image.manifest)), ..of_layers })
    }

    /// A registry's base that an earlier run took out of an engine, if the store still has all of it.
    pub(crate) async fn remembered(store: &Store, base: &PinnedBase) -> Result<Option<Self>, GuestError> {
        let saved = store.cache_get::<Saved>(CACHE, &key(base)?)?.filter(|saved| {
            saved.layers.iter().all(|layer| store.contains(&layer.diff_id)) && store.contains(&saved.config)
        });
        let Some(saved) = saved else { return Ok(None) };
        Self::of_layers(store, base, &store.read_blob(&saved.config)?, saved.layers).await.map(Some)
    }

    /// A registry's base comes out of the engine, which pulled it by its digest: the engine has the credentials, and every
    /// layer is checked here against the config.
    pub(crate) async fn of_engine(
        engine: &Engine,
        store: &Store,
        base: &PinnedBase,
        id: &str,
    ) -> Result<Self, GuestError> {
        let image = SavedImage::export(engine, store, id).await?;
        let (keeping, key) = (store.clone(), key(base)?);
        let (config, layers) = blocking::<_, GuestError>(move || {
            let layers = take_apart(&keeping, &image)?;
            let saved = Saved { config: keeping.put(&image.config)?, layers: layers.clone() };
            keeping.cache_put(CACHE, &key, &saved)?;
            Ok((image.config, layers))
        })
        .await?;
        Self::of_layers(store, base, &config, layers).await
    }

    async fn of_layers(
        store: &Store,
        base: &PinnedBase,
        config: &[u8],
        layers: Vec<BaseLayer>,
    ) -> Result<Self, GuestError> {
        let config = BaseConfig::read(config)?;
        let same = config.diff_ids.iter().eq(layers.iter().map(|layer| &layer.diff_id));
        if !same || config.platform != base.platform {
            return Err(GuestError::EngineImageDiffers {
                base: base.definition.name.clone(),
                expected: format!("{} with the layers of its config", base.platform),
                found: format!("{} with {}", config.platform, counted(layers.len(), "layers")),
            });
        }
        let store = store.clone();
        blocking(move || {
            let contents = contents(&store, &layers)?;
            Ok(Self { config, layers, contents, manifest_sha512: None })
        })
        .await
    }
}

fn key(base: &PinnedBase) -> Result<Digest, GuestError> {
    Ok(base.content()?)
}

/// Puts the layers of an image that an engine saved into the store.
fn take_apart(store: &Store, saved: &SavedImage) -> Result<Vec<BaseLayer>, GuestError> {
    let mut layers = Vec::new();
    has_room(store.root(), "the layers of a base that the engine saved", saved.size())?;
    for (index, diff_id) in saved.read.diff_ids.iter().enumerate() {
        let mut writer = store.writer()?;
        let size = io::copy(&mut saved.layer(index)?, &mut writer)?;
        writer.commit(Some(diff_id))?;
        layers.push(BaseLayer { diff_id: *diff_id, size });
    }
    Ok(layers)
}

/// What layers of the store hold together.
pub fn contents(store: &Store, layers: &[BaseLayer]) -> Result<ImageContents, GuestError> {
    const CACHE: &str = "image-contents";
    let key = digest_of_value(&(CONTENTS_RULES, layers))?;
    if let Some(contents) = store.cache_get(CACHE, &key)? {
        return Ok(contents);
    }
    let mut reader = ContentsReader::new();
    for layer in layers {
        reader.add(BufReader::with_capacity(1 << 18, store.open_blob(&layer.diff_id)?))?;
    }
    let contents = reader.finish()?;
    store.cache_put(CACHE, &key, &contents)?;
    Ok(contents)
}

/// Whether a program is in an image: by its path, or in a folder of the search path.
pub fn finds(contents: &ImageContents, program: &str, path: Option<&String>) -> bool {
    if program.contains('/') {
        return contents.has_file(program);
    }
    // What engines search where an image says nothing.
    let path = path.map_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", String::as_str);
    path.split(':').any(|folder| contents.has_file(&format!("{folder}/{program}")))
}

/// Where a path of the tree is in the image.
///
/// # Errors
/// If the two together are no path.
pub fn in_image(path: &TreePath, mount: &str) -> Result<TreePath, GuestError> {
    if mount.is_empty() {
        return Ok(path.clone());
    }
    path.below(mount).map_err(|error| PackError::Name(error).into())
}

/// Whether a base is made for Lambda: it has AWS's entrypoint, and with it a runtime client.
#[must_use]
pub fn is_lambda_base(base: &BaseImage) -> bool {
    base.contents.has_file(LAMBDA_ENTRYPOINT)
}
