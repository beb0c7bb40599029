//! What a base is made of, for artifacts that are built on top of it: its config, its layers in the store, and what they
//! hold. Each is done once in a run and remembered by digest.

use crate::BuildError;
use crate::base::{assemble, stored_image};
use crate::environment::{Context, blocking};
use flate2::read::MultiGzDecoder;
use kiln_image::{BaseConfig, CONTENTS_RULES, ContentsReader, Image, ImageContents};
use kiln_plan::{ArtifactPlan, BaseKind, PinnedBase};
use kiln_record::{Digest, DistributionName, OperatingSystem, Provided, Runtime, digest_of_value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

/// The largest document of an archive that an engine saves, in bytes.
const DOCUMENT_LIMIT: u64 = 8 << 20;

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
        BaseKind::Registry(_) => of_registry(context, base).await?,
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
    let mut file = tempfile::tempfile_in(context.store.root())?;
    context.engine().await?.export(&id, |chunk| file.write_all(chunk)).await?;
    let context = context.clone();
    blocking(move || {
        let (config, layers) = take_apart(&context, file)?;
        let saved = Saved { config: context.store.put(&config)?, layers: layers.clone() };
        context.store.cache_put(CACHE, &key, &saved)?;
        Ok((config, layers))
    })
    .await
}

/// Reads an archive as `docker save` writes it, and puts its layers into the store.
fn take_apart(context: &Context, mut file: std::fs::File) -> Result<(Vec<u8>, Vec<BaseLayer>), BuildError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        config: String,
        layers: Vec<String>,
    }
    let broken = |why: String| io::Error::other(format!("the archive that the engine saved: {why}"));
    file.seek(SeekFrom::Start(0))?;
    // Where each file of the archive is, and where links between equal layers lead.
    let (mut places, mut links) = (BTreeMap::new(), BTreeMap::new());
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 16, &file));
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if let Some(target) = entry.link_name()? {
            let target = target.to_string_lossy().trim_start_matches("../").to_owned();
            links.insert(name, target);
        } else {
            places.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    let open = |name: &str| -> Result<io::Take<std::fs::File>, BuildError> {
        let name = links.get(name).map_or(name, String::as_str);
        let (offset, size) = places.get(name).ok_or_else(|| broken(format!("it has no {name}")))?;
        let mut part = file.try_clone()?;
        part.seek(SeekFrom::Start(*offset))?;
        Ok(part.take(*size))
    };
    let document = |name: &str| -> Result<Vec<u8>, BuildError> {
        let mut bytes = Vec::new();
        open(name)?.take(DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let entries: Vec<Entry> = serde_json::from_slice(&document("manifest.json")?)?;
    let [entry] = entries.as_slice() else {
        return Err(broken(format!("it holds {} images", entries.len())).into());
    };
    let config = document(&entry.config)?;
    let diff_ids = BaseConfig::read(&config)?.diff_ids;
    if diff_ids.len() != entry.layers.len() {
        return Err(broken("its config and its list of layers do not agree".to_owned()).into());
    }
    let mut layers = Vec::new();
    for (diff_id, name) in diff_ids.into_iter().zip(&entry.layers) {
        let mut blob = BufReader::with_capacity(1 << 18, open(name)?);
        let mut start = [0; 2];
        let compressed = blob.get_mut().read(&mut start)? == 2 && start == [0x1f, 0x8b];
        let blob = BufReader::with_capacity(1 << 18, open(name)?);
        let mut tar: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(blob)) } else { Box::new(blob) };
        let mut writer = context.store.writer()?;
        let size = io::copy(&mut tar, &mut writer)?;
        writer.commit(Some(&diff_id))?;
        layers.push(BaseLayer { diff_id, size });
    }
    Ok((config, layers))
}

fn contents(context: &Context, layers: &[BaseLayer]) -> Result<ImageContents, BuildError> {
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

/// Gives an image the runtime that its base is: what native code finds there, which Python, which distributions. Other
/// artifacts state theirs.
pub(crate) async fn with_runtime(
    context: &Context,
    mut plan: ArtifactPlan,
) -> Result<ArtifactPlan, BuildError> {
    if plan.manifest.kind.is_image() {
        plan.manifest.runtime = runtime_of(context, &plan.base).await?;
    }
    Ok(plan)
}

/// The runtime that a base is.
pub(crate) async fn runtime_of(context: &Context, base: &PinnedBase) -> Result<Arc<Runtime>, BuildError> {
    let image = context.bases.base_image(context, base).await?;
    let environment = &image.config.runs.environment;
    let python = &base.definition.image.python;
    let interpreter = match finds(&image.contents, python, environment.get("PATH")) {
        true => Some(context.bases.interpreter(context, base).await?),
        false => None,
    };
    let name = base.definition.name.to_string();
    let glibc = match &interpreter {
        Some(interpreter) => interpreter.glibc,
        None => image.contents.interfaces.get("GLIBC").and_then(|version| {
            let (major, rest) = version.split_once('.')?;
            Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
        }),
    };
    let searched = environment.get("LD_LIBRARY_PATH").map_or("", String::as_str);
    let searched: Vec<&str> = searched.split(':').filter(|folder| !folder.is_empty()).collect();
    let mut interfaces = image.contents.interfaces.clone();
    interfaces.remove("GLIBC");
    Ok(Arc::new(Runtime {
        system: OperatingSystem {
            name: image.contents.system.clone().unwrap_or_else(|| format!("the base {name}")),
            glibc: glibc.unwrap_or((0, 0)),
            interfaces,
            libraries: image.contents.libraries(&searched).into_iter().collect(),
            loaders: image.contents.loaders(),
        },
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
fn finds(contents: &ImageContents, program: &str, path: Option<&String>) -> bool {
    if program.contains('/') {
        return contents.has_file(program);
    }
    // What engines search where an image says nothing.
    let path = path.map_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", String::as_str);
    path.split(':').any(|folder| contents.has_file(&format!("{folder}/{program}")))
}
