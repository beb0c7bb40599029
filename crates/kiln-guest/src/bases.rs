//! Bases: assembled or pulled, in the engine, and probed. Each is done once in a run, and what can be remembered by
//! digest is remembered across runs.

use crate::base_image::BaseImage;
use crate::debian::{assemble, stored_image};
use crate::registry_layers::stored_registry_image;
use crate::{GuestError, Program};
use kiln_engine::{Engine, EngineError, EngineSettings, ImageInfo, Unkept};
use kiln_engine_remote::{RemoteEngine, UNKEPT};
use kiln_fetch::{Index, Url};
use kiln_image::{Image, ImagePlace, Reference, RegistryMirror, write_archive};
use kiln_invocation::{Environment, Event, Events, InvocationError, Network, Run, blocking};
use kiln_plan::{BaseKind, DebianDefinition, InvalidFiles, PinnedBase, Problem, RegistryDefinition};
use kiln_python::{Interpreter, PROBE};
use kiln_record::{BaseName, Check, CheckName, Defect, Digest, digest_of_value};
use kiln_remote::{ExecutorSettings, Notice, Notices};
use kiln_store::{Store, WorkspaceLock, has_room};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// The kind of cache value: whether an engine was seen to read the store.
const READS_STORE: &str = "reads-store";
/// The kind of cache value: what an engine did not hold programs to.
const UNKEPT_BY: &str = "unkept-by";

/// The bases of a run: each is made ready once, in an engine that is connected to when something first needs it. Cheap to
/// clone.
#[derive(Clone)]
pub struct Bases {
    network: Network,
    engine: EngineSlot,
    settings: Arc<EngineSettings>,
    executor: Option<Arc<ExecutorSettings>>,
    /// What the engine is expected not to hold programs to: what was so in an earlier run.
    expected_unkept: Vec<Unkept>,
    ready: Arc<ReadyBases>,
}

/// The engine, once something needed it; shared with whoever must clean up when the run is interrupted.
pub type EngineSlot = Arc<OnceCell<Engine>>;

/// Bases that this run has made ready, by digests of what decides them.
#[derive(Default)]
struct ReadyBases {
    images: Mutex<BTreeMap<Digest, Arc<OnceCell<String>>>>,
    interpreters: Mutex<BTreeMap<Digest, Arc<OnceCell<Arc<Interpreter>>>>>,
    runnable: Mutex<BTreeMap<Digest, Arc<OnceCell<bool>>>>,
    contents: Mutex<BTreeMap<Digest, Arc<OnceCell<Arc<BaseImage>>>>>,
    reads_store: OnceCell<bool>,
    /// What the engine said that it does not hold programs to, once it was asked.
    unkept: OnceCell<Vec<Unkept>>,
}

/// What the programs of a Dockerfile would find, and leave, in a root of a container.
const OF_ROOT: &str =
    "for a Dockerfile, a root with its own owners and rights, whose attributes, pipes and /tmp are kept";

impl Bases {
    /// Begins a run that may need bases: opens the store, and connects to nothing yet. `engine` is filled when something
    /// first needs the engine.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub fn open(
        environment: &Environment,
        events: &Events,
        engine: EngineSlot,
        lock: WorkspaceLock,
    ) -> Result<Self, GuestError> {
        let run = Run::new(environment, events, lock);
        let store = match &environment.trial.results {
            Some(results) => Store::open_afresh(&environment.store, results)?,
            None => Store::open(&environment.store)?,
        };
        if environment.trial.results.is_none() {
            store.note_workspace(&environment.root)?;
        }
        let mut bases = Self {
            network: Network::new(environment, &run, &store),
            engine,
            settings: Arc::new(environment.engine.clone()),
            executor: environment.executor.clone().map(Arc::new),
            expected_unkept: Vec::new(),
            ready: Arc::default(),
        };
        bases.expected_unkept = bases.remembered_unkept()?;
        Ok(bases)
    }

    /// The run that this is part of.
    #[must_use]
    pub fn run(&self) -> &Run {
        self.network.run()
    }

    /// Where everything is kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.network.store()
    }

    /// How servers are reached.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How the engine is reached.
    #[must_use]
    pub fn engine_settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Where a base of a registry is brought from: its own mirror, the workspace's and the environment's, else its registry.
    ///
    /// # Errors
    /// If its reference, or its own mirror, is malformed.
    pub fn place(&self, base: &BaseName, registry: &RegistryDefinition) -> Result<ImagePlace, GuestError> {
        base_place(base, registry, self.network.registry_mirrors())
    }

    /// The server that programs run on, if they do not run in containers here.
    #[must_use]
    pub fn executor(&self) -> Option<String> {
        self.executor.as_ref().map(|executor| executor.address.to_string())
    }

    /// What programs are not held to, of what a run states. An engine is not connected to for that: until it is, it is what
    /// an earlier run heard of it, and then what either did, as what was remembered may be of programs of that time.
    #[must_use]
    pub fn unkept(&self) -> Vec<Unkept> {
        let said = self.ready.unkept.get().into_iter().flatten();
        let all: BTreeSet<Unkept> = said.chain(&self.expected_unkept).copied().collect();
        all.into_iter().collect()
    }

    /// The names of what programs are not held to.
    pub(crate) fn unkept_names(&self) -> Vec<&'static str> {
        self.unkept().into_iter().map(Unkept::as_str).collect()
    }

    /// What is known of the engine before it is connected to.
    fn remembered_unkept(&self) -> Result<Vec<Unkept>, GuestError> {
        if self.executor.is_some() {
            return Ok(UNKEPT.to_vec());
        }
        let names =
            self.store().cache_get::<Vec<String>>(UNKEPT_BY, &self.engine_key()?)?.unwrap_or_default();
        let is_named = |unkept: &Unkept| names.iter().any(|name| name == unkept.as_str());
        Ok(Unkept::ALL.into_iter().filter(is_named).collect())
    }

    /// Asks an engine that was just connected to what it does not hold programs to.
    async fn ask_unkept(&self, engine: &Engine) -> Result<(), GuestError> {
        let unkept = engine.info().await?.unkept;
        if unkept != self.expected_unkept {
            let names: Vec<&str> = unkept.iter().map(|unkept| unkept.as_str()).collect();
            self.store().cache_put(UNKEPT_BY, &self.engine_key()?, &names)?;
        }
        // It is connected to once.
        let _ = self.ready.unkept.set(unkept);
        Ok(())
    }

    /// Whether what judges can run as another user than what is judged.
    #[must_use]
    pub fn has_second_user(&self) -> bool {
        !self.unkept().contains(&Unkept::SecondUser)
    }

    /// By what an artifact is judged in this run: kiln's own code, and what programs are not held to.
    ///
    /// # Errors
    /// A defect alone.
    pub fn judges(&self) -> Result<Digest, GuestError> {
        let judges = self.run().rules().judges;
        let unkept = self.unkept_names();
        if unkept.is_empty() {
            return Ok(judges);
        }
        Ok(digest_of_value(&(judges, unkept))?)
    }

    /// Whether a judgement by these judges is as good as one of this run. One by programs that were held to everything always is.
    ///
    /// # Errors
    /// A defect alone.
    pub fn accepts(&self, judges: Option<Digest>) -> Result<bool, GuestError> {
        Ok(judges == Some(self.run().rules().judges) || judges == Some(self.judges()?))
    }

    /// That programs were not held to all that a run states, where that is so; some of them may have changed the root for a
    /// Dockerfile.
    #[must_use]
    pub fn unconfined(&self, for_dockerfile: bool) -> Option<Check> {
        let mut missing = self.unkept_names();
        let place = match self.executor {
            Some(_) => {
                missing.extend(for_dockerfile.then_some(OF_ROOT));
                "by remote execution, which"
            }
            None => "in an engine that",
        };
        let reason = || format!("programs ran {place} has none of: {}", missing.join("; "));
        (!missing.is_empty()).then(|| Check::not_checked(CheckName::Confinement, reason()))
    }

    /// The engine; the first call connects and removes what killed runs left behind.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn engine(&self) -> Result<&Engine, GuestError> {
        self.engine
            .get_or_try_init(|| async {
                let engine = match &self.executor {
                    Some(executor) => {
                        // In a box: everything that needs an engine holds this future.
                        let (session, notices) = (self.settings.session.clone(), notices(self.run()));
                        let connecting = RemoteEngine::connect(executor, session, notices);
                        Engine::new(Box::pin(connecting).await?)
                    }
                    None => {
                        let engine = Engine::connect(&self.settings).await?;
                        self.ask_unkept(&engine).await?;
                        engine
                    }
                };
                engine.sweep().await?;
                Ok(engine)
            })
            .await
    }

    /// The engine, if something needed it before.
    #[must_use]
    pub fn engine_in_use(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// Whether containers of the engine see what is unpacked in the store. Found out once, through a container of an image.
    ///
    /// # Errors
    /// If the engine does not answer, or the store cannot be written to.
    pub async fn engine_reads_store(&self, image: &str) -> Result<bool, GuestError> {
        let read = self.ready.reads_store.get_or_try_init(|| async {
            // What a killed run leaves of the question is swept with its folder.
            let inside = self.store().temporary_folder()?;
            let engine = self.engine().await?;
            let reads = engine.reads_folder(self.store().root(), inside.path(), image).await?;
            if reads != self.engine_read_store()? {
                self.store().cache_put(READS_STORE, &self.engine_key()?, &reads)?;
            }
            Ok::<_, GuestError>(reads)
        });
        Ok(*read.await?)
    }

    /// Whether they did so in an earlier run. That is asked anew in each run; until the answer is there, it is what is expected.
    pub(crate) fn engine_read_store(&self) -> Result<bool, GuestError> {
        Ok(self.store().cache_get::<bool>(READS_STORE, &self.engine_key()?)?.unwrap_or(false))
    }

    /// By what it is remembered how an engine is.
    fn engine_key(&self) -> Result<Digest, GuestError> {
        Ok(digest_of_value(&(self.executor(), &self.settings.docker_host, &self.settings.context))?)
    }

    /// Asks the engine what has to be known before a program of a base runs in it, so that whoever runs one need not wait for
    /// that. Nothing is brought, and what goes wrong is told to whoever needs it.
    pub async fn make_ready(&self, base: &PinnedBase) {
        let ready = async {
            let engine = self.engine().await?;
            let tag = engine_name(&base.definition.name, &base.lock.manifest);
            let is_own = engine.info().await?.platform == base.platform;
            if is_own && engine.image(&tag).await?.is_some() {
                let image = self.image(base).await?;
                self.engine_reads_store(&image).await?;
            }
            Ok::<_, GuestError>(())
        };
        let _ = ready.await;
    }

    /// The base's image in the engine, by the id to run it with.
    pub async fn image(&self, base: &PinnedBase) -> Result<String, GuestError> {
        let cell = slot(&self.ready.images, base.content()?);
        cell.get_or_try_init(|| async {
            match &base.definition.kind {
                BaseKind::Debian(debian) => load(self, base, debian).await,
                BaseKind::Registry(registry) => pull(self, base, registry).await,
                BaseKind::Scratch => {
                    let message = "`scratch` has no program that could be started";
                    let problem = Problem::in_file(&base.definition.file, message);
                    Err(InvalidFiles::from(problem.help("name a `base` for what runs, under [[step]]"))
                        .into())
                }
            }
        })
        .await
        .cloned()
    }

    /// Whether the engine can run the base's programs: its own architecture's, and others' where the host emulates them,
    /// which one trial tells.
    pub async fn can_run(&self, base: &PinnedBase) -> Result<bool, GuestError> {
        let engine = self.engine().await?;
        if engine.info().await?.platform == base.platform {
            return Ok(true);
        }
        let cell = slot(&self.ready.runnable, base.content()?);
        cell.get_or_try_init(|| async {
            let program = self.question(base, "trial", &["-I", "-S", "-c", "pass"]).await?;
            match program.run(engine, &Events::none(), "").await {
                Ok(ran) => Ok(ran.ending.is_success()),
                Err(GuestError::Engine(error)) if error.is_foreign_program() => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
        .copied()
    }

    /// What the probe says about the base's Python. Where the engine cannot run the base, its twin for the engine's own
    /// architecture is asked.
    pub async fn interpreter(&self, base: &PinnedBase) -> Result<Arc<Interpreter>, GuestError> {
        if let Some(known) = self.probed(base)? {
            return Ok(known);
        }
        if self.can_run(base).await? {
            return self.probe_once(base).await;
        }
        let here = self.engine().await?.info().await?.platform.architecture;
        let foreign = |reason: String| GuestError::ForeignBase {
            base: base.definition.name.clone(),
            platform: base.platform,
            here: here.lambda(),
            reason,
        };
        let twin = base.twin(here).map_err(foreign)?;
        let known = self.probe_once(&twin).await?;
        let transposed =
            known.transposed(base.platform.architecture).map_err(|error| foreign(error.to_string()))?;
        Ok(Arc::new(transposed))
    }

    /// What is to be known where the base's Python was not asked itself.
    ///
    /// # Errors
    /// If the engine cannot be reached.
    pub async fn told_by_twin(&self, base: &PinnedBase) -> Result<Option<Check>, GuestError> {
        if self.probed(base)?.is_some() || self.can_run(base).await? {
            return Ok(None);
        }
        let here = self.engine().await?.info().await?.platform;
        let why = match base.definition.kind {
            BaseKind::Debian(_) | BaseKind::Scratch => "which is locked with the same versions",
            BaseKind::Registry(_) => "which the same reference named when it was locked",
        };
        let architecture = base.platform.architecture.lambda();
        let reason = format!("no {architecture} engine: its Python was asked on {here}, {why}");
        Ok(Some(Check::not_checked(CheckName::Probe, reason)))
    }

    /// What an earlier run was told by the base itself.
    fn probed(&self, base: &PinnedBase) -> Result<Option<Arc<Interpreter>>, GuestError> {
        Ok(self.store().cache_get::<Interpreter>("interpreter", &self.probe_key(base)?)?.map(Arc::new))
    }

    /// What decides the answer of the probe, and whose word it is where the base runs elsewhere.
    fn probe_key(&self, base: &PinnedBase) -> Result<Digest, GuestError> {
        let image = &base.definition.image;
        let key = digest_of_value(&(base.lock.manifest, base.platform, PROBE, &image.python, &image.env))?;
        Ok(match self.executor() {
            Some(executor) => digest_of_value(&(key, executor))?,
            None => key,
        })
    }

    async fn probe_once(&self, base: &PinnedBase) -> Result<Arc<Interpreter>, GuestError> {
        let key = self.probe_key(base)?;
        let cell = slot(&self.ready.interpreters, key);
        cell.get_or_try_init(|| async {
            if let Some(known) = self.store().cache_get::<Interpreter>("interpreter", &key)? {
                return Ok(Arc::new(known));
            }
            let interpreter = self.probe(base).await?;
            self.store().cache_put("interpreter", &key, &interpreter)?;
            Ok(Arc::new(interpreter))
        })
        .await
        .cloned()
    }

    async fn probe(&self, base: &PinnedBase) -> Result<Interpreter, GuestError> {
        let name = &base.definition.name;
        let program = self.question(base, "probe", &["-I", "-B", "-c", PROBE]).await?.reports();
        tell(self, name, "probe");
        let ran = program.run(self.engine().await?, &Events::none(), "").await?;
        if !ran.ending.is_success() {
            return Err(ran.failed("the probe", name));
        }
        Ok(Interpreter::from_probe(&ran.stdout)?)
    }

    /// A short program for the base's Python, which gets nothing but its arguments.
    async fn question(
        &self,
        base: &PinnedBase,
        what: &str,
        arguments: &[&str],
    ) -> Result<Program, GuestError> {
        let python = base.definition.image.python.as_str();
        let argv = std::iter::once(python).chain(arguments.iter().copied()).map(str::to_owned).collect();
        let label = format!("{} {what}", base.definition.name);
        Ok(Program::new(label, self.image(base).await?, argv)
            .environment(base.definition.image.env.clone())
            .memory(512 << 20)
            .processes(64)
            .output_bytes(16 << 20))
    }

    /// The base as something to build on.
    pub async fn base_image(&self, base: &PinnedBase) -> Result<Arc<BaseImage>, GuestError> {
        let cell = slot(&self.ready.contents, base.content()?);
        cell.get_or_try_init(|| async {
            let image = match &base.definition.kind {
                BaseKind::Scratch => BaseImage::scratch(base.platform),
                BaseKind::Debian(debian) => BaseImage::of_debian(&self.network, base, debian).await?,
                BaseKind::Registry(_) => match BaseImage::remembered(self.store(), base).await? {
                    Some(known) => known,
                    None => {
                        let id = self.image(base).await?;
                        BaseImage::of_engine(self.engine().await?, self.store(), base, &id).await?
                    }
                },
            };
            Ok(Arc::new(image))
        })
        .await
        .cloned()
    }

    /// The Python index: the workspace's, else the environment's, else the one that the base's pip is configured for.
    pub async fn index(&self, base: &PinnedBase) -> Result<Index, GuestError> {
        if let Some(index) = self.network.configured_index().await? {
            return Ok(index);
        }
        let interpreter = self.interpreter(base).await?;
        let url = interpreter.index.as_ref().and_then(|text| text.parse().ok());
        match url {
            Some(url) => {
                let index = Index { url, from: format!("pip in base {}", base.definition.name) };
                self.network.trusts(&index)?;
                Ok(index)
            }
            None => Err(InvocationError::NoIndex.into()),
        }
    }
}

impl Bases {
    /// Where the default index is, if that can be told; the keyring is not asked for it.
    pub async fn default_index_url(&self, base: &PinnedBase) -> Option<Url> {
        match self.network.indexes().values().find(|setting| setting.default) {
            Some(named) => named.setting.as_ref().ok().map(|setting| setting.url.clone()),
            None => self.index(base).await.ok().map(|index| index.url),
        }
    }
}

fn slot<T>(map: &Mutex<BTreeMap<Digest, Arc<OnceCell<T>>>>, key: Digest) -> Arc<OnceCell<T>> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(map.entry(key).or_default())
}

pub(crate) fn tell(bases: &Bases, base: &BaseName, activity: &'static str) {
    bases.run().tell(Event::Base { base: base.clone(), activity });
}

/// A name in the engine that says what an image is; it is found by this name and then compared.
pub fn engine_name(base: &BaseName, manifest: &Digest) -> String {
    format!("localhost/kiln/{base}:{}", &manifest.hex()[..12])
}

/// Makes sure that the engine has the image of a Debian base, and that it is the one of the lock.
async fn load(bases: &Bases, base: &PinnedBase, debian: &DebianDefinition) -> Result<String, GuestError> {
    let name = &base.definition.name;
    let engine = bases.engine().await?;
    let tag = engine_name(name, &base.lock.manifest);
    let expected = [Some(base.lock.manifest), base.lock.config];
    if let Some(there) = engine.image(&tag).await?
        && expected.iter().flatten().any(|digest| digest.to_string() == there.id)
    {
        return Ok(there.id);
    }
    let image = match stored_image(bases.store(), base)? {
        Some(image) => image,
        None => {
            assemble(bases.network(), &base.definition, debian, base.platform, &base.lock.packages).await?
        }
    };
    if image.manifest_digest != base.lock.manifest {
        return Err(GuestError::BaseDiffers {
            base: name.clone(),
            expected: base.lock.manifest,
            found: image.manifest_digest,
        });
    }
    load_image(bases, name, &image, &tag).await
}

/// Makes sure that the engine has an image whose layers are in the store, under a name.
async fn load_image(bases: &Bases, name: &BaseName, image: &Image, tag: &str) -> Result<String, GuestError> {
    let engine = bases.engine().await?;
    let is_ours = |id: &str| [image.manifest_digest, image.config_digest].iter().any(|d| d.to_string() == id);
    let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
    if let Some(there) = engine.image(tag).await?
        && is_ours(&there.id)
        && there.diff_ids == diff_ids
    {
        return Ok(there.id);
    }
    tell(bases, name, "load");
    let archive = {
        let (bases, image, tag) = (bases.clone(), image.clone(), tag.to_owned());
        blocking::<_, GuestError>(move || {
            // All of its layers once more, beside those that the store has.
            let size = image.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
            has_room(bases.store().root(), &format!("base {tag}, which the engine is given,"), size)?;
            let mut file = tempfile::tempfile_in(bases.store().root())?;
            let mut writer = BufWriter::with_capacity(1 << 18, &mut file);
            write_archive(&mut writer, &image, Some(&tag), |digest| {
                let blob = bases.store().open_blob(digest).map_err(io::Error::other)?;
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
    match engine.image(tag).await? {
        Some(found) if is_ours(&found.id) && found.diff_ids == diff_ids => Ok(found.id),
        other => Err(GuestError::EngineImageDiffers {
            base: name.clone(),
            expected: image.config_digest.to_string(),
            found: other.map_or_else(|| "none".to_owned(), |found| found.id),
        }),
    }
}

/// Where a base of a registry is brought from: its own mirror, one of these, else its registry.
///
/// # Errors
/// If its reference, or its own mirror, is malformed.
pub fn base_place(
    base: &BaseName,
    registry: &RegistryDefinition,
    mirrors: &[RegistryMirror],
) -> Result<ImagePlace, GuestError> {
    let reference: Reference = registry.reference.parse()?;
    let Some(mirror) = &registry.mirror else {
        return Ok(ImagePlace::of(&reference, mirrors));
    };
    let mirror = RegistryMirror::new(reference.registry(), mirror).map_err(|error| {
        InvalidFiles::from(Problem::in_file(&format!("images/{base}.toml"), format!("`mirror`: {error}")))
    })?;
    Ok(ImagePlace::of(&reference, &[mirror]))
}

/// Pulls a registry base by digest, from wherever its registry is mirrored.
async fn pull(bases: &Bases, base: &PinnedBase, registry: &RegistryDefinition) -> Result<String, GuestError> {
    let reference = bases.place(&base.definition.name, registry)?.reference;
    let is_mirror = reference.to_string() != registry.reference;
    let Some(pinned) = reference.pinned(base.lock.manifest).by_digest() else {
        return Err(Defect::new(format!("{reference} with a digest has none")).into());
    };
    let engine = bases.engine().await?;
    let name = &base.definition.name;
    let (manifest, suffix) = (base.lock.manifest.to_string(), format!("@{}", base.lock.manifest));
    let is_it = |there: ImageInfo| {
        there.id == manifest || there.repo_digests.iter().any(|digest| digest.ends_with(&suffix))
    };
    if !engine.image(&pinned).await?.is_some_and(is_it) {
        if let Some(image) = stored_registry_image(bases.store(), &base.lock.manifest)? {
            if image.platform != base.platform {
                return Err(other_platform(base, &image.platform.to_string()));
            }
            return load_image(bases, name, &image, &engine_name(name, &base.lock.manifest)).await;
        }
        bases.network().may_ask(|| format!("base {name} ({pinned})"))?;
    }
    tell(bases, name, "pull");
    let credentials = engine.credentials(&pinned).await?;
    let told = |error| of_registry(&base.definition.name, is_mirror, error);
    let image = engine.pull(&pinned, credentials, |_| {}).await.map_err(told)?;
    if image.platform != base.platform {
        return Err(other_platform(base, &image.platform.to_string()));
    }
    Ok(image.id)
}

fn other_platform(base: &PinnedBase, found: &str) -> GuestError {
    GuestError::EngineImageDiffers {
        base: base.definition.name.clone(),
        expected: base.platform.to_string(),
        found: found.to_owned(),
    }
}

/// Tells what a registry did from what became of the engine. `is_mirror` says that it stands in place of the one that is stated.
pub fn of_registry(base: &BaseName, is_mirror: bool, error: EngineError) -> GuestError {
    match error {
        EngineError::PullFailed { .. }
        | EngineError::ResolveFailed { .. }
        | EngineError::DigestMismatch { .. } => {
            GuestError::Registry { base: base.clone(), is_mirror, source: Box::new(error) }
        }
        other => other.into(),
    }
}

/// Tells what a server is waited for as what happens in a run.
fn notices(run: &Run) -> Notices {
    let run = run.clone();
    Notices::new(move |notice| {
        run.tell(match notice {
            Notice::AskedAgain { address, why, again, of } => Event::AskedAgain { address, why, again, of },
            Notice::BegunAgain { name, why, again, of } => {
                Event::BegunAgain { program: name, why, again, of }
            }
        });
    })
}
