//! What a base is made of, for artifacts that are built on top of it: its config, its layers in the store, and what they
//! hold. Each is done once in a run and remembered by digest.

use crate::BuildError;
use crate::base::{assemble, stored_image};
use crate::dockerfile::Made;
use crate::environment::{Context, blocking};
use crate::saved_image::SavedImage;
use kiln_image::{BaseConfig, CONTENTS_RULES, ContentsReader, Image, ImageContents};
use kiln_plan::{BaseKind, Manifest, PinnedBase};
use kiln_record::{Digest, DistributionName, ImageRuns, OperatingSystem, Provided, Runtime, digest_of_value};
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader};
use std::sync::Arc;

/// A base as something to build on.
pub(crate) struct BaseImage {
    pub(crate) config: BaseConfig,
    /// Its layers, bottom first. The store has the tar of each.
    pub(crate) layers: Vec<BaseLayer>,
    pub(crate) contents: ImageContents,
}

/// A layer of a base, as a tar in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseLayer {
    pub(crate) diff_id: Digest,
    pub(crate) size: u64,
}

/// What is remembered of a base from a registry.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: Digest,
    layers: Vec<BaseLayer>,
}

/// Makes a base ready to be built on. `crate::base::ReadyBases::base_image` calls this once for each base.
pub(crate) async fn read_base(context: &Context, base: &PinnedBase) -> Result<BaseImage, BuildError> {
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
            let image = match stored_image(context, base)? {
                Some(image) => image,
                None => {
                    assemble(context, &base.definition, debian, base.platform, &base.lock.packages).await?
                }
            };
            of_debian(base, image)?
        }
        BaseKind::Registry(_) | BaseKind::Scratch => of_registry(context, base).await?,
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
    let context = context.clone();
    blocking(move || {
        let contents = contents(&context, &layers)?;
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
async fn of_registry(context: &Context, base: &PinnedBase) -> Result<(Vec<u8>, Vec<BaseLayer>), BuildError> {
    const CACHE: &str = "registry-base";
    let key = digest_of_value(&(base.lock.manifest, base.platform))?;
    if let Some(saved) = context.store.cache_get::<Saved>(CACHE, &key)?
        && saved.layers.iter().all(|layer| context.store.contains(&layer.diff_id))
        && context.store.contains(&saved.config)
    {
        return Ok((context.store.read_blob(&saved.config)?, saved.layers));
    }
    let id = context.bases.image(context, base).await?;
    let image = SavedImage::export(context, &id).await?;
    let context = context.clone();
    blocking(move || {
        let layers = take_apart(&context, &image)?;
        let saved = Saved { config: context.store.put(&image.config)?, layers: layers.clone() };
        context.store.cache_put(CACHE, &key, &saved)?;
        Ok((image.config, layers))
    })
    .await
}

/// Puts the layers of an image that an engine saved into the store.
fn take_apart(context: &Context, saved: &SavedImage) -> Result<Vec<BaseLayer>, BuildError> {
    let mut layers = Vec::new();
    for (index, diff_id) in saved.read.diff_ids.iter().enumerate() {
        let mut writer = context.store.writer()?;
        let size = io::copy(&mut saved.layer(index)?, &mut writer)?;
        writer.commit(Some(diff_id))?;
        layers.push(BaseLayer { diff_id: *diff_id, size });
    }
    Ok(layers)
}

/// What layers of the store hold together.
pub(crate) fn contents(context: &Context, layers: &[BaseLayer]) -> Result<ImageContents, BuildError> {
    const CACHE: &str = "image-contents";
    let key = digest_of_value(&(CONTENTS_RULES, layers))?;
    if let Some(contents) = context.store.cache_get(CACHE, &key)? {
        return Ok(contents);
    }
    let mut reader = ContentsReader::new();
    for layer in layers {
        reader.add(BufReader::with_capacity(1 << 18, context.store.open_blob(&layer.diff_id)?))?;
    }
    let contents = reader.finish()?;
    context.store.cache_put(CACHE, &key, &contents)?;
    Ok(contents)
}

/// The runtime that an artifact is judged against: the one that its manifest states, or what the base of an image is,
/// which has its system inside.
pub(crate) async fn target_runtime(
    context: &Context,
    manifest: &Manifest,
    base: &PinnedBase,
) -> Result<Arc<Runtime>, BuildError> {
    match &manifest.target.runtime {
        Some(stated) => Ok(Arc::clone(stated)),
        None => runtime_of(context, base).await,
    }
}

/// Native code of what a Dockerfile made is judged against what that has itself: libraries, and the C library above all.
pub(crate) fn with_system_of(runtime: Arc<Runtime>, made: Option<&Made>) -> Arc<Runtime> {
    let Some(made) = made else { return runtime };
    Arc::new(Runtime { system: system(&made.whole, &runtime.name, None), ..Runtime::clone(&runtime) })
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
async fn runtime_of(context: &Context, base: &PinnedBase) -> Result<Arc<Runtime>, BuildError> {
    let image = context.bases.base_image(context, base).await?;
    let environment = &image.config.runs.environment;
    let python = &base.definition.image.python;
    let interpreter = match finds(&image.contents, python, environment.get("PATH")) {
        true => Some(context.bases.interpreter(context, base).await?),
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
pub(crate) fn finds(contents: &ImageContents, program: &str, path: Option<&String>) -> bool {
    if program.contains('/') {
        return contents.has_file(program);
    }
    // What engines search where an image says nothing.
    let path = path.map_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", String::as_str);
    path.split(':').any(|folder| contents.has_file(&format!("{folder}/{program}")))
}
