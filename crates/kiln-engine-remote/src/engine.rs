//! The engine: images as trees, and runs as actions.

use crate::action::{Action, Around, KnownFolder, action, output_paths, read_folder, root_path};
use crate::content::Sources;
use crate::export;
use crate::handshake;
use crate::image::{self, LoadedImage};
use crate::root;
use crate::tree::Folder;
use crate::unpack::{Is, spooled};
use futures_util::future::{self, BoxFuture, FutureExt as _};
use kiln_engine::backend::{
    Answer, Backend, HeldImages, HeldRuns, OnLine, User, check_reference, pinned_digest,
};
use kiln_engine::{
    BuildSpec, Builder, ContainerInfo, Credentials, EngineError, EngineInfo, GuestPath, HealthTest,
    ImageInfo, Limits, NamedImage, PullProgress, RootChange, RunOutcome, RunSpec, Session, Unkept, Watched,
};
use kiln_record::{Architecture, Digest, Platform};
use kiln_remote::{Ending, Executor, ExecutorSettings, Notices};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};

/// What a program is not held to there.
pub const UNKEPT: [Unkept; 7] = Unkept::ALL;

/// How long a server is waited for to hear that actions are given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of the list of an output's files.
pub(crate) const LIST: u64 = 96 << 20;

/// An engine whose programs run on the workers of a server; [`kiln_engine::Engine::new`] makes an engine of it.
#[derive(Clone)]
pub struct RemoteEngine {
    pub(crate) executor: Executor,
    here: Arc<Here>,
    stopping: Arc<AtomicBool>,
    session: Session,
}

/// What this process has of it.
struct Here {
    /// A folder for files without names.
    folder: PathBuf,
    /// Whether workers are asked to run programs as a user.
    as_user: bool,
    state: Mutex<State>,
    /// Whether workers were seen to be as they must be.
    handshake: OnceCell<()>,
}

#[derive(Default)]
struct State {
    images: HeldImages<LoadedImage>,
    running: HeldRuns,
    /// Folders below which nothing is changed.
    unchanging: BTreeSet<PathBuf>,
    known: BTreeMap<PathBuf, KnownFolder>,
}

/// What is brought back of a run.
enum Brought {
    /// Folders of its root.
    Outputs(Vec<GuestPath>),
    /// All of its root.
    Root,
}

/// What is asked of a run, as far as its end needs it.
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    /// The outputs, for messages.
    pub(crate) folders: Vec<String>,
    /// The outputs as the server has them.
    pub(crate) paths: Vec<String>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl RemoteEngine {
    /// Connects to a server that runs programs. What it is waited for, is told.
    ///
    /// # Errors
    /// [`EngineError::ExecutorUnavailable`] if it does not answer, or cannot do what kiln needs.
    pub async fn connect(
        settings: &ExecutorSettings,
        session: Session,
        notices: Notices,
    ) -> Result<Self, EngineError> {
        let executor =
            Executor::open(settings, notices).await.map_err(|error| EngineError::ExecutorUnavailable {
                endpoint: settings.address.to_string(),
                why: error.to_string(),
            })?;
        let here = Here {
            folder: settings.folder.clone(),
            as_user: settings.as_user,
            state: Mutex::default(),
            handshake: OnceCell::new(),
        };
        Ok(Self { executor, here: Arc::new(here), stopping: Arc::default(), session })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.here.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, reference: &str) -> Result<Option<Arc<LoadedImage>>, EngineError> {
        check_reference(reference)?;
        Ok(self.state().images.find(reference))
    }

    fn existing(&self, reference: &str) -> Result<Arc<LoadedImage>, EngineError> {
        self.find(reference)?.ok_or_else(|| EngineError::ImageMissing { reference: reference.to_owned() })
    }

    async fn load(&self, archive: Box<dyn Read + Send>) -> Result<(), EngineError> {
        let folder = self.here.folder.clone();
        let loaded = on_disk(move || image::read(archive, &folder)).await;
        let loaded = loaded.map_err(|error| EngineError::LoadFailed { why: error.to_string() })?;
        let mut state = self.state();
        for (image, names) in loaded {
            state.images.put(&image.info.id.clone(), names, image);
        }
        Ok(())
    }

    fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        check_reference(reference)?;
        Ok(self.state().images.remove(reference))
    }

    fn export(
        &self,
        reference: &str,
        sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<(), EngineError> {
        let image = self.existing(reference)?;
        export::archive(&image, sink).map_err(|error| EngineError::Broken {
            action: format!("save image {reference}"),
            why: error.to_string(),
        })
    }

    fn file_system(
        &self,
        reference: &str,
        sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Result<(), EngineError> {
        let image = self.existing(reference)?;
        export::files(&image, sink).map_err(|error| EngineError::Broken {
            action: format!("export the files of image {reference}"),
            why: error.to_string(),
        })
    }

    async fn run(&self, spec: RunSpec, on_line: OnLine<'_>) -> Result<RunOutcome, EngineError> {
        let user = spec.check()?;
        check_reference(&spec.image)?;
        let name = spec.name.clone();
        let run = |salt| async move {
            let image = self.existing(&spec.image)?;
            self.execute(spec, user, &image, salt, on_line).await
        };
        self.known_run(&name, run).await
    }

    /// Does the work of a run that is known meanwhile and can be given up, with a salt of its own.
    async fn known_run<F>(
        &self,
        name: &str,
        work: impl FnOnce(String) -> F,
    ) -> Result<RunOutcome, EngineError>
    where
        F: Future<Output = Result<RunOutcome, EngineError>>,
    {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(EngineError::Stopped);
        }
        let running = self.begin(name);
        tokio::select! {
            biased;
            () = running.removed.notified() => Err(if self.stopping.load(Ordering::SeqCst) {
                EngineError::Stopped
            } else {
                EngineError::Broken {
                    action: format!("run `{name}`"),
                    why: "it was given up by someone else".to_owned(),
                }
            }),
            outcome = async {
                self.here.handshake.get_or_try_init(|| self.shake_hands(&running.name)).await?;
                work(running.name.clone()).await
            } => outcome,
        }
    }

    /// Looks whether a worker puts roots where programs expect them, and gives them no network.
    async fn shake_hands(&self, salt: &str) -> Result<(), EngineError> {
        let broken = |why: io::Error| EngineError::Broken {
            action: "make the root of the handshake".to_owned(),
            why: why.to_string(),
        };
        let Some(program) = handshake::program().map_err(broken)? else { return Ok(()) };
        let (root, sources) = handshake::root(program).map_err(broken)?;
        let spec = handshake::spec();
        let user = spec.check()?;
        let (name, limits) = (spec.name.clone(), spec.limits.clone());
        let asked = Asked { name, limits, folders: Vec::new(), paths: Vec::new() };
        let salt = format!("{salt} handshake");
        let action = self.laid_out(spec, Brought::Outputs(Vec::new()), user, Arc::new(root), &salt).await?;
        let ran = self.believed(&asked, action, &Arc::new(sources), &salt).await?;
        match handshake::refused(ran.result.exit_code) {
            None if ran.ending == Ending::Exit => Ok(()),
            why => Err(EngineError::ExecutorUnavailable {
                endpoint: self.executor.address().to_owned(),
                why: why
                    .unwrap_or_else(|| "a program that does nothing is not done in time there".to_owned()),
            }),
        }
    }

    async fn execute(
        &self,
        mut spec: RunSpec,
        user: User,
        image: &Arc<LoadedImage>,
        salt: String,
        on_line: OnLine<'_>,
    ) -> Result<RunOutcome, EngineError> {
        let outputs = std::mem::take(&mut spec.outputs);
        let paths: Vec<GuestPath> = outputs.iter().map(|output| output.path.clone()).collect();
        let asked = Asked {
            name: spec.name.clone(),
            limits: spec.limits.clone(),
            paths: output_paths(&spec.working_dir, &paths),
            folders: paths.iter().map(ToString::to_string).collect(),
        };
        let action =
            self.laid_out(spec, Brought::Outputs(paths), user, Arc::clone(&image.root), &salt).await?;
        let ended = self.believed(&asked, action, &image.sources, &salt).await?;
        let outcome = self.outcome(&asked, &ended, on_line).await?;
        self.collect(&asked, outputs, &ended).await?;
        Ok(outcome)
    }

    /// Runs a program on a root that comes back.
    async fn change(
        &self,
        spec: RunSpec,
        user: User,
        change: RootChange,
        salt: String,
        on_line: OnLine<'_>,
    ) -> Result<RunOutcome, EngineError> {
        let broken = |why: io::Error| EngineError::Broken {
            action: format!("lay out the root of `{}`", spec.name),
            why: why.to_string(),
        };
        let (mut root, mut sources) = (Folder::new(0o755, 0), Sources::new());
        if !spec.image.is_empty() {
            let image = self.existing(&spec.image)?;
            (root, sources) = (image.root.as_ref().clone(), image.sources.as_ref().clone());
        }
        let RootChange { over, to, bytes } = change;
        if let Some(over) = over {
            let folder = self.here.folder.clone();
            let laid_over = on_disk(move || {
                spooled(&folder, over)?.unpack(Is::Layer, "", &mut root, &mut sources)?;
                Ok((root, sources))
            });
            (root, sources) = laid_over.await.map_err(broken)?;
        }
        let working = root.resolve(&spec.working_dir, true).map_err(broken)?;
        root.make(&working).map_err(broken)?;
        let asked = Asked {
            name: spec.name.clone(),
            limits: spec.limits.clone(),
            paths: vec![root_path(&spec.working_dir)],
            folders: vec!["root".to_owned()],
        };
        let root = Arc::new(root);
        let action = self.laid_out(spec, Brought::Root, user, Arc::clone(&root), &salt).await?;
        let ended = self.believed(&asked, action, &Arc::new(sources), &salt).await?;
        let outcome = self.outcome(&asked, &ended, on_line).await?;
        let list = self.root_list(&asked, &ended).await?;
        let changed = root::changed(&root, &list, asked.limits.output_files);
        let changed = changed.map_err(|untaken| self.untaken(&asked, "the root", untaken))?;
        let files = root::files(&changed);
        if root::size(&changed) > bytes {
            return Err(EngineError::OutputTooLarge {
                name: asked.name,
                what: "its root".to_owned(),
                limit: bytes,
            });
        }
        let mut writing = root::Writing::new(changed, user, to);
        self.bring(&asked, "its root", &files, |content| writing.content(content)).await?;
        writing.finish().map_err(|error| EngineError::Broken {
            action: format!("collect the root of `{}`", asked.name),
            why: error.to_string(),
        })?;
        Ok(outcome)
    }

    async fn laid_out(
        &self,
        spec: RunSpec,
        brought: Brought,
        user: User,
        root: Arc<Folder>,
        salt: &str,
    ) -> Result<Action, EngineError> {
        let (this, salt) = (self.clone(), salt.to_owned());
        let laid_out = tokio::task::spawn_blocking(move || {
            let (whole, outputs) = match brought {
                Brought::Root => (true, Vec::new()),
                Brought::Outputs(outputs) => (false, outputs),
            };
            let around = Around {
                root: &root,
                user,
                as_user: this.here.as_user,
                properties: this.executor.properties(),
                whole,
                salt,
                folder: &this.here.folder,
            };
            let time = spec.surroundings.input_time;
            action(spec, &outputs, &around, |folder| this.known(folder, time))
        });
        match laid_out.await {
            Ok(laid_out) => laid_out,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(EngineError::Stopped),
        }
    }

    /// A folder that does not change, read once.
    fn known(&self, folder: &Path, time: u64) -> io::Result<Option<KnownFolder>> {
        let is_unchanging =
            time == 0 && self.state().unchanging.iter().any(|above| folder.starts_with(above));
        if !is_unchanging {
            return Ok(None);
        }
        if let Some(known) = self.state().known.get(folder) {
            return Ok(Some(Arc::clone(known)));
        }
        let read = Arc::new(read_folder(folder, time)?);
        self.state().known.insert(folder.to_owned(), Arc::clone(&read));
        Ok(Some(read))
    }

    fn begin(&self, name: &str) -> Registered {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let container = format!("kiln-{}-{}-{number}", self.session.host, self.session.id);
        let info = ContainerInfo {
            container: container.clone(),
            name: name.to_owned(),
            session: self.session.clone(),
        };
        let removed = self.state().running.begin(info);
        Registered { engine: self.clone(), name: container, removed }
    }

    fn remove_where(&self, condition: impl Fn(&ContainerInfo) -> bool) -> usize {
        self.state().running.remove_where(condition)
    }
}

impl Backend for RemoteEngine {
    fn with_session(&self, session: Session) -> Arc<dyn Backend> {
        let (executor, here) = (self.executor.clone(), Arc::clone(&self.here));
        Arc::new(Self { executor, here, stopping: Arc::default(), session })
    }

    fn session(&self) -> &Session {
        &self.session
    }

    fn info(&self) -> Answer<'_, EngineInfo> {
        let info = EngineInfo {
            endpoint: self.executor.address().to_owned(),
            version: "Remote Execution API".to_owned(),
            api_version: "2".to_owned(),
            platform: Platform { architecture: HERE },
            storage_driver: "content-addressed".to_owned(),
            classic_keeps_removals: false,
            buildkit_reads_context: false,
            cpus: 1,
            memory: 0,
            containerd_store: false,
            unkept: UNKEPT.to_vec(),
        };
        future::ready(Ok(info)).boxed()
    }

    fn image<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>> {
        let found = self.find(reference).map(|image| image.map(|image| image.info.clone()));
        future::ready(found).boxed()
    }

    fn images<'a>(&'a self, beginning: &'a str) -> Answer<'a, Vec<NamedImage>> {
        let state = self.state();
        let named = state
            .images
            .named(beginning)
            .map(|(name, image)| NamedImage { reference: name.to_owned(), size: image.archive.size });
        future::ready(Ok(named.collect())).boxed()
    }

    fn load(&self, archive: Box<dyn Read + Send>) -> Answer<'_, ()> {
        self.load(archive).boxed()
    }

    fn export<'a>(
        &'a self,
        reference: &'a str,
        sink: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Answer<'a, ()> {
        future::ready(self.export(reference, sink)).boxed()
    }

    fn file_system<'a>(
        &'a self,
        reference: &'a str,
        sink: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Answer<'a, ()> {
        future::ready(self.file_system(reference, sink)).boxed()
    }

    fn builder(&self) -> Builder {
        Builder::Classic
    }

    fn build<'a>(&'a self, spec: BuildSpec, _: OnLine<'a>) -> Answer<'a, ImageInfo> {
        let action = format!("build the Dockerfile of {} by remote execution", spec.name);
        future::ready(Err(EngineError::Unsupported { action })).boxed()
    }

    fn name_image<'a>(&'a self, reference: &'a str, name: &'a str) -> Answer<'a, ()> {
        let named = self.state().images.name(reference, name);
        future::ready(match named {
            true => Ok(()),
            false => Err(EngineError::ImageMissing { reference: reference.to_owned() }),
        })
        .boxed()
    }

    fn remove_image<'a>(&'a self, reference: &'a str) -> Answer<'a, bool> {
        future::ready(self.remove_image(reference)).boxed()
    }

    /// Finds what was loaded: there is no registry behind it.
    fn pull<'a>(
        &'a self,
        reference: &'a str,
        _: Option<Credentials>,
        _: &'a (dyn Fn(PullProgress) + Send + Sync),
    ) -> Answer<'a, ImageInfo> {
        let pulled = pinned_digest(reference).and_then(|expected| {
            let image = self.state().images.find(&expected.to_string()).map(|image| image.info.clone());
            image.ok_or_else(|| EngineError::PullFailed {
                reference: reference.to_owned(),
                why: "remote execution pulls no images; build with a container engine, or on a base of Debian packages"
                    .to_owned(),
            })
        });
        future::ready(pulled).boxed()
    }

    fn resolve_digest<'a>(
        &'a self,
        reference: &'a str,
        _: Option<Credentials>,
    ) -> Answer<'a, (Digest, String)> {
        let missing = || EngineError::ResolveFailed {
            reference: reference.to_owned(),
            why: "remote execution asks no registries; lock with a container engine".to_owned(),
        };
        future::ready(check_reference(reference).and_then(|()| Err(missing()))).boxed()
    }

    fn credentials<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Credentials>> {
        future::ready(Ok(None)).boxed()
    }

    /// Files are sent by their digests, from where they are: what is below the folder is read once.
    fn reads_folder<'a>(&'a self, folder: &'a Path, _: &'a Path, _: &'a str) -> Answer<'a, bool> {
        let reads = folder.is_dir();
        if reads {
            self.state().unchanging.insert(folder.to_owned());
        }
        future::ready(Ok(reads)).boxed()
    }

    fn run<'a>(&'a self, spec: RunSpec, on_line: OnLine<'a>) -> Answer<'a, RunOutcome> {
        self.run(spec, on_line).boxed()
    }

    fn change<'a>(&'a self, spec: RunSpec, root: RootChange, on_line: OnLine<'a>) -> Answer<'a, RunOutcome> {
        let changed = async move {
            let user = spec.check()?;
            if !(spec.inputs.is_empty() && spec.outputs.is_empty() && spec.scratch.is_empty()) {
                let why = "a root that comes back has no inputs, outputs or scratch folders".to_owned();
                return Err(EngineError::InvalidRun { name: spec.name, why });
            }
            let name = spec.name.clone();
            self.known_run(&name, |salt| self.change(spec, user, root, salt, on_line)).await
        };
        changed.boxed()
    }

    fn watch<'a>(&'a self, spec: RunSpec, _: HealthTest, _: OnLine<'a>) -> Answer<'a, Watched> {
        let action = format!("watch the service of {} by remote execution", spec.name);
        future::ready(Err(EngineError::Unsupported { action })).boxed()
    }

    /// Those of this process: no server tells of others.
    fn containers(&self) -> Answer<'_, Vec<ContainerInfo>> {
        let containers = self.state().running.iter().cloned().collect();
        future::ready(Ok(containers)).boxed()
    }

    fn sweep(&self) -> Answer<'_, usize> {
        future::ready(Ok(self.remove_where(|info| info.is_left_over(&self.session)))).boxed()
    }

    fn shutdown(&self) -> BoxFuture<'_, usize> {
        self.stopping.store(true, Ordering::SeqCst);
        let removed = self.remove_where(|info| info.session == self.session);
        async move {
            self.executor.settled(PATIENCE).await;
            removed
        }
        .boxed()
    }
}

#[cfg(target_arch = "aarch64")]
const HERE: Architecture = Architecture::Arm64;
#[cfg(not(target_arch = "aarch64"))]
const HERE: Architecture = Architecture::Amd64;

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEngine")
            .field("executor", &self.executor)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A run that is known until this value is dropped.
struct Registered {
    engine: RemoteEngine,
    name: String,
    removed: Arc<Notify>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.engine.state().running.end(&self.name);
    }
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("the run ends")),
    }
}
