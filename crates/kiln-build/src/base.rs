//! Bases: assembled or pulled, in the engine, and probed. Each is done once in a run, and what can be remembered by
//! digest is remembered across runs.

use crate::base_image::{BaseImage, read_base};
use crate::environment::{Context, blocking};
use crate::{BuildError, Event};
use kiln_engine::{EngineError, GuestPath, Limits, RunSpec};
use kiln_fetch::{Archive, ArchiveFile, FetchError, Index, Mirror, Reopened};
use kiln_image::debian::{RootFs, RootFsRules, UnpackedPackage};
use kiln_image::{Image, ImageSpec, Layer, Reference, write_archive};
use kiln_plan::{BaseDefinition, BaseKind, DebianDefinition, LockedPackage, PinnedBase};
use kiln_python::{Interpreter, PROBE};
use kiln_record::{BaseName, Digest, Epoch, Platform, digest_of_value};
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// The one time in a base image: packages decide its content, not when it was assembled.
const IMAGE_EPOCH: u64 = 0;
/// Who the probe runs as.
const USER: &str = "65534:65534";

/// Bases that this run has made ready, by digests of what decides them.
#[derive(Default)]
pub(crate) struct ReadyBases {
    images: Mutex<BTreeMap<Digest, Arc<OnceCell<String>>>>,
    interpreters: Mutex<BTreeMap<Digest, Arc<OnceCell<Arc<Interpreter>>>>>,
    runnable: Mutex<BTreeMap<Digest, Arc<OnceCell<bool>>>>,
    contents: Mutex<BTreeMap<Digest, Arc<OnceCell<Arc<BaseImage>>>>>,
}

impl ReadyBases {
    /// The base's image in the engine, by the id to run it with.
    pub(crate) async fn image(&self, context: &Context, base: &PinnedBase) -> Result<String, BuildError> {
        let cell = slot(&self.images, digest_of_value(&(base.lock.manifest, base.platform))?);
        cell.get_or_try_init(|| async {
            match &base.definition.kind {
                BaseKind::Debian(debian) => load(context, base, debian).await,
                BaseKind::Registry(registry) => pull(context, base, &registry.reference).await,
                BaseKind::Scratch => Err(io::Error::other(
                    "`scratch` has no program that could be started: name a `base` for what runs, under [[step]]",
                )
                .into()),
            }
        })
        .await
        .cloned()
    }

    /// Whether the engine can run the base's programs: its own architecture's, and others' where the host emulates them,
    /// which one trial tells.
    pub(crate) async fn can_run(&self, context: &Context, base: &PinnedBase) -> Result<bool, BuildError> {
        let engine = context.engine().await?;
        if engine.info().await?.platform == base.platform {
            return Ok(true);
        }
        let cell = slot(&self.runnable, digest_of_value(&(base.lock.manifest, base.platform))?);
        cell.get_or_try_init(|| async {
            let argv = [&*base.definition.image.python, "-I", "-S", "-c", "pass"];
            let spec = question(context, base, "trial", argv.map(str::to_owned).to_vec()).await?;
            match engine.run(spec, |_| {}).await {
                Ok(outcome) => Ok(outcome.exit_code == 0),
                // What the kernel says of a program for another machine, in the engine's words.
                Err(error) if error.to_string().contains("exec format error") => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
        .copied()
    }

    /// What the probe says about the base's Python. Where the engine cannot run the base, its twin for the engine's own
    /// architecture is asked.
    pub(crate) async fn interpreter(
        &self,
        context: &Context,
        base: &PinnedBase,
    ) -> Result<Arc<Interpreter>, BuildError> {
        if let Some(known) = self.probed(context, base)? {
            return Ok(known);
        }
        if self.can_run(context, base).await? {
            return self.probe_once(context, base).await;
        }
        let here = context.engine().await?.info().await?.platform.architecture;
        let foreign = |reason: String| BuildError::ForeignBase {
            base: base.definition.name.clone(),
            platform: base.platform,
            here: here.lambda(),
            reason,
        };
        let twin = base.twin(here).map_err(foreign)?;
        let known = self.probe_once(context, &twin).await?;
        let transposed =
            known.transposed(base.platform.architecture).map_err(|error| foreign(error.to_string()))?;
        Ok(Arc::new(transposed))
    }

    /// What an earlier run was told by the base itself.
    fn probed(&self, context: &Context, base: &PinnedBase) -> Result<Option<Arc<Interpreter>>, BuildError> {
        Ok(context.store.cache_get::<Interpreter>("interpreter", &probe_key(base)?)?.map(Arc::new))
    }

    async fn probe_once(&self, context: &Context, base: &PinnedBase) -> Result<Arc<Interpreter>, BuildError> {
        let key = probe_key(base)?;
        let cell = slot(&self.interpreters, key);
        cell.get_or_try_init(|| async {
            if let Some(known) = context.store.cache_get::<Interpreter>("interpreter", &key)? {
                return Ok(Arc::new(known));
            }
            let interpreter = probe(context, base).await?;
            context.store.cache_put("interpreter", &key, &interpreter)?;
            Ok(Arc::new(interpreter))
        })
        .await
        .cloned()
    }

    /// The base as something to build on.
    pub(crate) async fn base_image(
        &self,
        context: &Context,
        base: &PinnedBase,
    ) -> Result<Arc<BaseImage>, BuildError> {
        let cell = slot(&self.contents, digest_of_value(&(base.lock.manifest, base.platform))?);
        cell.get_or_try_init(|| async { Ok(Arc::new(read_base(context, base).await?)) }).await.cloned()
    }

    /// The Python index: the workspace's, else the environment's, else the one that the base's pip is configured for.
    pub(crate) async fn index(&self, context: &Context, base: &PinnedBase) -> Result<Index, BuildError> {
        if let Some(index) = context.configured_index().await? {
            return Ok(index);
        }
        let interpreter = self.interpreter(context, base).await?;
        let url = interpreter.index.as_ref().and_then(|text| text.parse().ok());
        match url {
            Some(url) => Ok(Index { url, from: format!("pip in base {}", base.definition.name) }),
            None => Err(BuildError::NoIndex),
        }
    }
}

fn slot<T>(map: &Mutex<BTreeMap<Digest, Arc<OnceCell<T>>>>, key: Digest) -> Arc<OnceCell<T>> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(map.entry(key).or_default())
}

/// What decides the answer of the probe.
fn probe_key(base: &PinnedBase) -> Result<Digest, BuildError> {
    let image = &base.definition.image;
    Ok(digest_of_value(&(base.lock.manifest, base.platform, PROBE, &image.python, &image.env))?)
}

fn tell(context: &Context, base: &BaseName, activity: &'static str) {
    context.events.send(Event::Base { base: base.clone(), activity });
}

/// A name in the engine that says what an image is; it is found by this name and then compared.
pub(crate) fn engine_name(base: &BaseName, manifest: &Digest) -> String {
    format!("localhost/kiln/{base}:{}", &manifest.hex()[..12])
}

/// Makes sure that the engine has the image of a Debian base, and that it is the one of the lock.
async fn load(context: &Context, base: &PinnedBase, debian: &DebianDefinition) -> Result<String, BuildError> {
    let name = &base.definition.name;
    let engine = context.engine().await?;
    let tag = engine_name(name, &base.lock.manifest);
    let expected = [Some(base.lock.manifest), base.lock.config];
    let is_ours = |id: &str| expected.iter().flatten().any(|digest| digest.to_string() == id);
    if let Some(there) = engine.image(&tag).await?
        && is_ours(&there.id)
    {
        return Ok(there.id);
    }
    let image = match stored_image(context, base)? {
        Some(image) => image,
        None => assemble(context, &base.definition, debian, base.platform, &base.lock.packages).await?,
    };
    if image.manifest_digest != base.lock.manifest {
        return Err(BuildError::BaseDiffers {
            base: name.clone(),
            expected: base.lock.manifest,
            found: image.manifest_digest,
        });
    }
    tell(context, name, "load");
    let archive = {
        let (context, image, tag) = (context.clone(), image.clone(), tag.clone());
        blocking(move || {
            let mut file = tempfile::tempfile_in(context.store.root())?;
            let mut writer = BufWriter::with_capacity(1 << 18, &mut file);
            write_archive(&mut writer, &image, Some(&tag), |digest| {
                let blob = context.store.open_blob(digest).map_err(io::Error::other)?;
                Ok(Box::new(BufReader::with_capacity(1 << 18, blob)))
            })?;
            writer.flush()?;
            drop(writer);
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        })
        .await?
    };
    engine.load(BufReader::with_capacity(1 << 18, archive)).await?;
    let found = engine.image(&tag).await?;
    let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
    match found {
        Some(found) if is_ours(&found.id) && found.diff_ids == diff_ids => Ok(found.id),
        other => Err(BuildError::EngineImageDiffers {
            base: name.clone(),
            expected: image.config_digest.to_string(),
            found: other.map_or_else(|| "none".to_owned(), |found| found.id),
        }),
    }
}

/// The image documents and layers of an earlier assembly, if the store still has all of them.
pub(crate) fn stored_image(context: &Context, base: &PinnedBase) -> Result<Option<Image>, BuildError> {
    let Some(layers) = context.store.cache_get::<Vec<StoredLayer>>("base-layers", &base.lock.manifest)?
    else {
        return Ok(None);
    };
    if !layers.iter().all(|layer| context.store.contains(&layer.digest)) {
        return Ok(None);
    }
    let layers = layers
        .into_iter()
        .map(|layer| Layer {
            digest: layer.digest,
            diff_id: layer.digest,
            size: layer.size,
            media_type: kiln_image::LAYER_MEDIA_TYPE.to_owned(),
        })
        .collect();
    let image = Image::assemble(&spec(&base.definition, base.platform)?, layers)?;
    Ok((image.manifest_digest == base.lock.manifest).then_some(image))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredLayer {
    digest: Digest,
    size: u64,
}

fn spec(definition: &BaseDefinition, platform: Platform) -> Result<ImageSpec, BuildError> {
    Ok(ImageSpec {
        platform,
        env: definition.image.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        user: None,
        working_dir: None,
        entrypoint: Vec::new(),
        command: vec![definition.image.python.clone()],
        labels: BTreeMap::new(),
        created: image_epoch()?,
    })
}

fn image_epoch() -> Result<Epoch, BuildError> {
    Epoch::from_seconds(IMAGE_EPOCH).map_err(|error| io::Error::other(error).into())
}

/// Downloads the packages that are missing, unpacks them side by side, and writes the layer into the store.
pub(crate) async fn assemble(
    context: &Context,
    definition: &BaseDefinition,
    debian: &DebianDefinition,
    platform: Platform,
    packages: &[LockedPackage],
) -> Result<Image, BuildError> {
    bring_packages(context, &definition.name, debian, packages).await?;
    tell(context, &definition.name, "assemble");
    let mut unpacking = JoinSet::new();
    for package in packages {
        let (store, package) = (context.store.clone(), image_package(package));
        unpacking.spawn_blocking(move || -> Result<UnpackedPackage, BuildError> {
            let blob = store.open_blob(&package.digest)?;
            Ok(UnpackedPackage::read(&package, BufReader::with_capacity(1 << 16, blob))?)
        });
    }
    let mut root = RootFs::new();
    while let Some(unpacked) = unpacking.join_next().await {
        match unpacked {
            Ok(package) => root.add(package?)?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(BuildError::Interrupted),
        }
    }
    let rules = RootFsRules { epoch: image_epoch()?, architecture: platform.architecture };
    let spec = spec(definition, platform)?;
    let context = context.clone();
    blocking(move || {
        let assembled = root.finish(&rules)?;
        let mut writer = context.store.writer()?;
        let layer = assembled.write_layer(&mut writer)?;
        writer.commit(Some(&layer.digest))?;
        let stored = vec![StoredLayer { digest: layer.digest, size: layer.size }];
        let image = Image::assemble(&spec, vec![layer])?;
        context.store.cache_put("base-layers", &image.manifest_digest, &stored)?;
        Ok(image)
    })
    .await
}

fn image_package(package: &LockedPackage) -> kiln_image::debian::LockedPackage {
    kiln_image::debian::LockedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        size: package.size,
        digest: package.digest,
    }
}

async fn bring_packages(
    context: &Context,
    base: &BaseName,
    debian: &DebianDefinition,
    packages: &[LockedPackage],
) -> Result<(), BuildError> {
    let missing: Vec<&LockedPackage> =
        packages.iter().filter(|package| !context.store.contains(&package.digest)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    tell(context, base, "download");
    let archive = archive(context, base, debian)?;
    let client = context.client().await?;
    let archive = &archive;
    let each = missing.into_iter().map(|package| async move {
        let file = package.path.rsplit('/').next().unwrap_or(&package.path).to_owned();
        let _flight = context.flight(&package.digest).await;
        if context.store.contains(&package.digest) {
            return Ok(());
        }
        context.events.send(Event::DownloadStarted { file: file.clone(), size: Some(package.size) });
        let store = context.store.clone();
        let mut sink = Reopened::new(move || store.writer().map_err(io::Error::other));
        let progress = |bytes| context.events.send(Event::Downloaded { file: file.clone(), bytes });
        let wanted = ArchiveFile { path: &package.path, digest: package.digest, size: package.size };
        let outcome = archive.deb(client, &wanted, &mut sink, &progress).await;
        context.events.send(Event::DownloadEnded { file: file.clone() });
        outcome.map_err(|source| match source {
            FetchError::PackageGone { .. } => {
                BuildError::PackageGone { base: base.clone(), file: file.clone(), source: Box::new(source) }
            }
            other => other.into(),
        })?;
        let Some(writer) = sink.into_inner() else { return Err(BuildError::Interrupted) };
        let digest = package.digest;
        blocking(move || Ok(writer.commit(Some(&digest))?)).await?;
        Ok(())
    });
    futures_util::future::try_join_all(each).await?;
    Ok(())
}

/// Where a base's packages come from: its own mirror, the workspace's, or the environment's.
pub(crate) fn archive(
    context: &Context,
    base: &BaseName,
    debian: &DebianDefinition,
) -> Result<Archive, BuildError> {
    let named = |text: &Option<String>, from: &str| -> Result<Option<Mirror>, BuildError> {
        let Some(text) = text else { return Ok(None) };
        let url = text.parse().map_err(|error| {
            let message = format!("the mirror or snapshot is not a URL: {error}");
            BuildError::Input(vec![kiln_plan::Problem::in_file(&format!("images/{base}.toml"), message)])
        })?;
        Ok(Some(Mirror { url, from: from.to_owned() }))
    };
    let mirror = match named(&debian.mirror, "the base's definition")? {
        Some(mirror) => mirror,
        None => match context.environment.debian_mirrors.first() {
            Some(mirror) => mirror.clone(),
            None => return Err(BuildError::NoMirror { base: base.clone() }),
        },
    };
    let snapshots = named(&debian.snapshot, "the base's definition")?.into_iter().collect();
    Ok(Archive { mirror, snapshots })
}

/// Pulls a registry base by digest.
async fn pull(context: &Context, base: &PinnedBase, reference: &str) -> Result<String, BuildError> {
    let reference: Reference = reference.parse()?;
    let Some(pinned) = reference.pinned(base.lock.manifest).by_digest() else {
        return Err(BuildError::Interrupted);
    };
    tell(context, &base.definition.name, "pull");
    let engine = context.engine().await?;
    let credentials = engine.credentials(&pinned).await?;
    let image =
        engine.pull(&pinned, credentials, |_| {}).await.map_err(|e| of_registry(&base.definition.name, e))?;
    if image.platform != base.platform {
        return Err(BuildError::EngineImageDiffers {
            base: base.definition.name.clone(),
            expected: base.platform.to_string(),
            found: image.platform.to_string(),
        });
    }
    Ok(image.id)
}

/// Tells what a registry did from what became of the engine.
pub(crate) fn of_registry(base: &BaseName, error: EngineError) -> BuildError {
    match error {
        EngineError::PullFailed { .. }
        | EngineError::ResolveFailed { .. }
        | EngineError::DigestMismatch { .. } => {
            BuildError::Registry { base: base.clone(), source: Box::new(error) }
        }
        other => other.into(),
    }
}

async fn probe(context: &Context, base: &PinnedBase) -> Result<Interpreter, BuildError> {
    let name = &base.definition.name;
    let argv = [&*base.definition.image.python, "-I", "-B", "-c", PROBE];
    let spec = question(context, base, "probe", argv.map(str::to_owned).to_vec()).await?;
    tell(context, name, "probe");
    let outcome = context.engine().await?.run(spec, |_| {}).await?;
    if outcome.exit_code != 0 {
        let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let lines: Vec<String> = text.lines().rev().take(8).map(str::to_owned).collect();
        return Err(BuildError::Guest {
            what: "the probe",
            base: name.clone(),
            code: outcome.exit_code,
            lines: lines.into_iter().rev().collect(),
        });
    }
    Ok(Interpreter::from_probe(&outcome.stdout)?)
}

/// A short program in a base that gets nothing but its arguments.
async fn question(
    context: &Context,
    base: &PinnedBase,
    what: &str,
    argv: Vec<String>,
) -> Result<RunSpec, BuildError> {
    let image = context.bases.image(context, base).await?;
    let scratch = GuestPath::new("/tmp").map_err(|error| io::Error::other(error.to_string()))?;
    Ok(RunSpec {
        name: format!("{} {what}", base.definition.name),
        image,
        argv,
        env: base.definition.image.env.clone(),
        working_dir: "/".to_owned(),
        user: USER.to_owned(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        scratch: vec![scratch],
        limits: Limits {
            memory_bytes: 512 << 20,
            pids: 64,
            cpus: None,
            output_bytes: 16 << 20,
            deadline: Duration::from_secs(60),
        },
    })
}
