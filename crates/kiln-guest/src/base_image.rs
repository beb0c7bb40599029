//! What a base is made of, for artifacts that are built on top of it: its config, its layers in the store, and what they
//! hold. Each is done once in a run and remembered by digest.

use crate::debian::{assemble, stored_image};
use crate::{Bases, SavedImage};
use kiln_image::{BaseConfig, CONTENTS_RULES, ContentsReader, Image, ImageContents, LAMBDA_ENTRYPOINT};
use kiln_invocation::{BuildError, blocking};
use kiln_plan::{BaseKind, Manifest, PinnedBase};
use kiln_record::{
    Digest, DistributionName, ImageRuns, OperatingSystem, Provided, Runtime, TreePath, digest_of_value,
};
use kiln_store::Store;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader};
use std::sync::Arc;

/// A base as something to build on.
pub struct BaseImage {
    /// What its config says.
    pub config: BaseConfig,
    /// Its layers, bottom first. The store has the tar of each.
    pub layers: Vec<BaseLayer>,
    /// What its layers hold together.
    pub contents: ImageContents,
}

/// A layer of a base, as a tar in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseLayer {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The length of the tar in bytes.
    pub size: u64,
}

/// What is remembered of a base from a registry.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: Digest,
    layers: Vec<BaseLayer>,
}

/// Makes a base ready to be built on. `crate::base::ReadyBases::base_image` calls this once for each base.
pub(crate) async fn read_base(bases: &Bases, base: &PinnedBase) -> Result<BaseImage, BuildError> {
    if base.definition.kind == BaseKind::Scratch {
        let config = BaseConfig {
            platform: base.platform,
            variant: None,
            runs: ImageRuns::default(),
            diff_ids: Vec::new(),
            history: Vec::new(),
        };
        return Ok(BaseImage { config, layers: Vec::new(), contents: ImageContents::default() });
    }
    let (config, layers) = match &base.definition.kind {
        BaseKind::Debian(debian) => {
            let image = match stored_image(bases, base)? {
                Some(image) => image,
                None => assemble(bases, &base.definition, debian, base.platform, &base.lock.packages).await?,
            };
            of_debian(base, image)?
        }
        BaseKind::Registry(_) | BaseKind::Scratch => of_registry(bases, base).await?,
    };
    let config = BaseConfig::read(&config)?;
    let same = config.diff_ids.iter().eq(layers.iter().map(|layer| &layer.diff_id));
    if !same || config.platform != base.platform {
        return Err(BuildError::EngineImageDiffers {
            base: base.definition.name.clone(),
            expected: format!("{} with the layers of its config", base.platform),
            found: format!("{} with {} layers", config.platform, layers.len()),
        });
    }
    let bases = bases.clone();
    blocking(move || {
        let contents = contents(bases.store(), &layers)?;
        Ok(BaseImage { config, layers, contents })
    })
    .await
}

fn of_debian(base: &PinnedBase, image: Image) -> Result<(Vec<u8>, Vec<BaseLayer>), BuildError> {
    if image.manifest_digest != base.lock.manifest {
        return Err(BuildError::BaseDiffers {
            base: base.definition.name.clone(),
            expected: base.lock.manifest,
            found: image.manifest_digest,
        });
    }
    let layers =
        image.layers.iter().map(|layer| BaseLayer { diff_id: layer.diff_id, size: layer.size }).collect();
    Ok((image.config, layers))
}

/// A registry's base comes out of the engine, which pulled it by its digest: the engine has the credentials, and every
/// layer is checked here against the config.
async fn of_registry(bases: &Bases, base: &PinnedBase) -> Result<(Vec<u8>, Vec<BaseLayer>), BuildError> {
    const CACHE: &str = "registry-base";
    let key = digest_of_value(&(base.lock.manifest, base.platform))?;
    if let Some(saved) = bases.store().cache_get::<Saved>(CACHE, &key)?
        && saved.layers.iter().all(|layer| bases.store().contains(&layer.diff_id))
        && bases.store().contains(&saved.config)
    {
        return Ok((bases.store().read_blob(&saved.config)?, saved.layers));
    }
    let id = bases.image(base).await?;
    let image = SavedImage::export(bases, &id).await?;
    let bases = bases.clone();
    blocking(move || {
        let layers = take_apart(&bases, &image)?;
        let saved = Saved { config: bases.store().put(&image.config)?, layers: layers.clone() };
        bases.store().cache_put(CACHE, &key, &saved)?;
        Ok((image.config, layers))
    })
    .await
}

/// Puts the layers of an image that an engine saved into the store.
fn take_apart(bases: &Bases, saved: &SavedImage) -> Result<Vec<BaseLayer>, BuildError> {
    let mut layers = Vec::new();
    for (index, diff_id) in saved.read.diff_ids.iter().enumerate() {
        let mut writer = bases.store().writer()?;
        let size = io::copy(&mut saved.layer(index)?, &mut writer)?;
        writer.commit(Some(diff_id))?;
        layers.push(BaseLayer { diff_id: *diff_id, size });
    }
    Ok(layers)
}

/// What layers of the store hold together.
pub fn contents(store: &Store, layers: &[BaseLayer]) -> Result<ImageContents, BuildError> {
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

/// The runtime that an artifact is judged against: the one that its manifest states, or what the base of an image is,
/// which has its system inside.
///
/// # Errors
/// If the base cannot be had or asked.
pub async fn target_runtime(
    bases: &Bases,
    manifest: &Manifest,
    base: &PinnedBase,
) -> Result<Arc<Runtime>, BuildError> {
    match &manifest.target.runtime {
        Some(stated) => Ok(Arc::clone(stated)),
        None => runtime_of(bases, base).await,
    }
}

/// Native code of what a Dockerfile made is judged against what that has itself: libraries, and the C library above all.
#[must_use]
pub fn with_system_of(runtime: Arc<Runtime>, made: Option<&BaseImage>) -> Arc<Runtime> {
    let Some(made) = made else { return runtime };
    Arc::new(Runtime { system: system(made, &runtime.name, None), ..Runtime::clone(&runtime) })
}

/// What native code finds in an image.
fn system(image: &BaseImage, name: &str, glibc: Option<(u32, u32)>) -> OperatingSystem {
    let contents = &image.contents;
    let glibc = glibc.or_else(|| {
        contents.interfaces.get("GLIBC").and_then(|version| {
            let (major, rest) = version.split_once('.')?;
            Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
        })
    });
    let searched = image.config.runs.environment.get("LD_LIBRARY_PATH").map_or("", String::as_str);
    let searched: Vec<&str> = searched.split(':').filter(|folder| !folder.is_empty()).collect();
    let mut interfaces = contents.interfaces.clone();
    interfaces.remove("GLIBC");
    OperatingSystem {
        name: contents.system.clone().unwrap_or_else(|| format!("the base {name}")),
        glibc: glibc.unwrap_or((0, 0)),
        interfaces,
        libraries: contents.libraries(&searched).into_iter().collect(),
        loaders: contents.loaders(),
    }
}

/// The runtime that a base is: what native code finds there, which Python, which distributions.
async fn runtime_of(bases: &Bases, base: &PinnedBase) -> Result<Arc<Runtime>, BuildError> {
    let image = bases.base_image(base).await?;
    let environment = &image.config.runs.environment;
    let python = &base.definition.image.python;
    let interpreter = match finds(&image.contents, python, environment.get("PATH")) {
        true => Some(bases.interpreter(base).await?),
        false => None,
    };
    let name = base.definition.name.to_string();
    Ok(Arc::new(Runtime {
        system: system(&image, &name, interpreter.as_ref().and_then(|interpreter| interpreter.glibc)),
        name,
        python: interpreter.as_ref().map(|interpreter| interpreter.python()),
        provides: interpreter
            .iter()
            .flat_map(|interpreter| &interpreter.distributions)
            .filter_map(|(name, _)| name.parse::<DistributionName>().ok())
            .map(|name| Provided { distribution: name.to_string(), modules: Vec::new() })
            .collect(),
    }))
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
pub fn in_image(path: &TreePath, mount: &str) -> Result<TreePath, BuildError> {
    if mount.is_empty() {
        return Ok(path.clone());
    }
    path.below(mount).map_err(|error| io::Error::other(error.to_string()).into())
}

/// Whether a base is made for Lambda: it has AWS's entrypoint, and with it a runtime client.
#[must_use]
pub fn is_lambda_base(base: &BaseImage) -> bool {
    base.contents.has_file(LAMBDA_ENTRYPOINT)
}
