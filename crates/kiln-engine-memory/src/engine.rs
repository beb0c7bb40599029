//! The engine: images, containers and the programs that tests write.

use crate::applets;
use crate::filesystem::Mount;
use crate::guest::Guest;
use crate::image::{self, LoadedImage};
use futures_util::future::{self, BoxFuture, FutureExt as _};
use kiln_engine::backend::{
    Answer, Backend, Capture, HeldImages, HeldRuns, Measured, OnLine, check_reference, pinned_digest,
    write_inputs,
};
use kiln_engine::{
    BuildSpec, Builder, ContainerInfo, Credentials, EngineError, EngineInfo, GuestPath, Health, HealthTest,
    ImageInfo, Line, NamedImage, OutputFolder, PullProgress, RunOutcome, RunSpec, Session, Stream, Watched,
};
use kiln_record::{Architecture, Digest, Platform};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A program that the engine can run: it reads and writes through the [`Guest`] and returns its exit code.
type Program = Arc<dyn Fn(&mut Guest) -> i64 + Send + Sync>;

/// Builds Dockerfiles: see [`MemoryEngine::with_builder`].
type DockerfileBuilder = Arc<dyn Fn(&BuildSpec, &[u8]) -> Result<Vec<u8>, String> + Send + Sync>;

/// An engine in memory; [`kiln_engine::Engine::new`] makes an engine of it. Clones share their images, programs and
/// containers.
#[derive(Clone)]
pub struct MemoryEngine {
    daemon: Arc<Mutex<Daemon>>,
    stopping: Arc<AtomicBool>,
    session: Session,
}

#[derive(Default)]
struct Daemon {
    images: HeldImages<LoadedImage>,
    containers: HeldRuns,
    programs: BTreeMap<String, Program>,
    builder: Option<DockerfileBuilder>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);
const BUSYBOX: &str = "/bin/busybox";
const NOT_FOUND: i64 = 127;
const KILLED: i64 = 137;

impl MemoryEngine {
    /// An engine without images.
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self { daemon: Arc::default(), stopping: Arc::default(), session }
    }

    /// Adds a program under the name that `argv[0]` must have, in every image.
    #[must_use]
    pub fn with_program(
        self,
        name: &str,
        program: impl Fn(&mut Guest) -> i64 + Send + Sync + 'static,
    ) -> Self {
        self.daemon().programs.insert(name.to_owned(), Arc::new(program));
        self
    }

    /// Lets the engine build Dockerfiles. The function is given the tar of the context, and answers with an archive that
    /// has the image under the tag of the request, or with the reason why there is none.
    #[must_use]
    pub fn with_builder(
        self,
        build: impl Fn(&BuildSpec, &[u8]) -> Result<Vec<u8>, String> + Send + Sync + 'static,
    ) -> Self {
        self.daemon().builder = Some(Arc::new(build));
        self
    }

    fn build(&self, mut spec: BuildSpec) -> Result<ImageInfo, EngineError> {
        let action = format!("build {}", spec.name);
        let Some(build) = self.daemon().builder.clone() else {
            return Err(EngineError::Unsupported { action });
        };
        let broken = |why: String| EngineError::Broken { action: action.clone(), why };
        let mut context = Vec::new();
        spec.context.read_to_end(&mut context).map_err(|error| broken(error.to_string()))?;
        let archive = build(&spec, &context).map_err(|why| EngineError::BuildFailed {
            name: spec.name.clone(),
            why,
            instruction: None,
            last: Vec::new(),
        })?;
        self.load(archive.as_slice())?;
        self.find(&spec.tag)?.ok_or_else(|| broken(format!("the builder gave no {}", spec.tag)))
    }

    fn find(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        check_reference(reference)?;
        Ok(self.daemon().images.find(reference).map(|image| image.info.clone()))
    }

    fn load(&self, archive: impl Read) -> Result<(), EngineError> {
        let loaded = image::read(archive).map_err(|e| EngineError::LoadFailed { why: e.to_string() })?;
        let mut daemon = self.daemon();
        for (image, names) in loaded {
            daemon.images.put(&image.info.id.clone(), names, image);
        }
        Ok(())
    }

    fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        check_reference(reference)?;
        Ok(self.daemon().images.remove(reference))
    }

    fn export(
        &self,
        reference: &str,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), EngineError> {
        check_reference(reference)?;
        let Some(image) = self.daemon().images.find(reference) else {
            return Err(EngineError::ImageMissing { reference: reference.to_owned() });
        };
        sink(&image.archive).map_err(|error| EngineError::Broken {
            action: format!("save image {reference}"),
            why: error.to_string(),
        })
    }

    fn file_system(
        &self,
        reference: &str,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), EngineError> {
        check_reference(reference)?;
        let Some(image) = self.daemon().images.find(reference) else {
            return Err(EngineError::ImageMissing { reference: reference.to_owned() });
        };
        sink(&image.files.pack_all()).map_err(|error| EngineError::Broken {
            action: format!("export a container of image {reference}"),
            why: error.to_string(),
        })
    }

    /// Finds what is there; there is no registry behind it.
    fn pull(&self, reference: &str) -> Result<ImageInfo, EngineError> {
        let expected = pinned_digest(reference)?;
        let image = self.daemon().images.find(&expected.to_string());
        image.map(|image| image.info.clone()).ok_or_else(|| EngineError::PullFailed {
            reference: reference.to_owned(),
            why: "the engine in memory has no registry; load the image".to_owned(),
        })
    }

    async fn run(
        &self,
        spec: RunSpec,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<RunOutcome, EngineError> {
        let user = spec.check()?;
        check_reference(&spec.image)?;
        if self.stopping.load(Ordering::SeqCst) {
            return Err(EngineError::Stopped);
        }
        let image = self.daemon().images.find(&spec.image);
        let Some(image) = image else {
            return Err(EngineError::ImageMissing { reference: spec.image });
        };
        let container = self.start(&spec.name);
        let RunSpec { name, argv, mut env, working_dir, inputs, outputs, scratch, limits, .. } = spec;
        env.entry("HOME".to_owned()).or_insert_with(|| "/".to_owned());
        let mut files = image.files.clone();
        let mut archive = Vec::new();
        let folders: Vec<GuestPath> = outputs.iter().map(|output| output.path.clone()).collect();
        let volumes =
            inputs.iter().map(|input| &input.path).chain(&folders).map(|path| (path, Mount::Volume));
        let mounts = volumes.chain(scratch.iter().map(|path| (path, Mount::Scratch)));
        for (path, mount) in mounts {
            files.mount(path.as_str(), mount);
        }
        write_inputs(inputs, &folders, user, false, 0, &mut archive).map_err(|fault| match fault.path {
            Some(path) => EngineError::Input { name: name.clone(), path, why: fault.why },
            None => {
                EngineError::Broken { action: format!("bring in the inputs of `{name}`"), why: fault.why }
            }
        })?;
        files.unpack(archive.as_slice()).map_err(|e| EngineError::Broken {
            action: format!("unpack the inputs of `{name}`"),
            why: e.to_string(),
        })?;
        files.make_folder(&working_dir);
        let mut guest = Guest::new(argv, env, working_dir, user, files, limits.clone());
        let program = self.daemon().program(&guest);
        let mut exit_code = match program {
            Some(program) => program(&mut guest),
            None => {
                let missing = format!("exec {} failed: No such file or directory\n", guest.argv()[0]);
                guest.write_stderr(missing.as_bytes());
                NOT_FOUND
            }
        };
        if guest.oom_killed {
            exit_code = KILLED;
        }
        let mut capture = Capture::new(limits.output_bytes);
        for (stream, bytes) in std::mem::take(&mut guest.frames) {
            capture.push(stream, &bytes, &on_line).map_err(|_| EngineError::OutputTooLarge {
                name: name.clone(),
                what: "stdout and stderr".to_owned(),
                limit: limits.output_bytes,
            })?;
        }
        capture.finish(&on_line);
        let ended = tokio::select! {
            () = container.removed.notified() => {
                return Err(if self.stopping.load(Ordering::SeqCst) {
                    EngineError::Stopped
                } else {
                    EngineError::Broken {
                        action: format!("run `{name}`"),
                        why: "its container was removed by someone else".to_owned(),
                    }
                });
            }
            ended = tokio::time::timeout(limits.deadline, tokio::time::sleep(guest.sleeps)) => ended,
        };
        if ended.is_err() {
            return Err(EngineError::Deadline {
                name,
                seconds: limits.deadline.as_secs(),
                last: capture.last_lines(),
            });
        }
        let mut measured = Measured::new(&name, &limits);
        for OutputFolder { path, mut to } in outputs {
            let tar = guest.files.pack(path.as_str());
            measured.begin();
            measured.count(&format!("output {path}"), &tar)?;
            to.write_all(&tar).and_then(|()| to.flush()).map_err(|error| EngineError::Broken {
                action: format!("collect {path} of `{name}`"),
                why: error.to_string(),
            })?;
        }
        Ok(RunOutcome {
            exit_code,
            stdout: capture.stdout,
            stderr: capture.stderr,
            oom_killed: guest.oom_killed,
        })
    }

    /// A program that sleeps is a service; its test is run once, which is as often as its result can differ here.
    async fn watch(
        &self,
        spec: RunSpec,
        test: HealthTest,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<Watched, EngineError> {
        let (deadline, output_bytes) = (spec.limits.deadline, spec.limits.output_bytes);
        let asked = RunSpec {
            env: spec.env.clone(),
            working_dir: spec.working_dir.clone(),
            user: spec.user.clone(),
            scratch: spec.scratch.clone(),
            surroundings: spec.surroundings.clone(),
            ..RunSpec::new(&spec.name, &spec.image, &test.command, spec.limits.clone())
        };
        let first = test.interval.max(test.start_period).min(deadline);
        let mut service = spec;
        service.limits.deadline = first;
        let ended = match self.run(service, &on_line).await {
            Ok(ended) => Some(ended),
            Err(EngineError::Deadline { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut capture = Capture::new(output_bytes);
        if let Some(ended) = ended {
            let _ = capture.push(Stream::Stdout, &ended.stdout, &|_| ());
            let _ = capture.push(Stream::Stderr, &ended.stderr, &|_| ());
            capture.finish(&|_| ());
            let health = Health::Ended { exit_code: ended.exit_code };
            return Ok(Watched { health, last: capture.last_lines() });
        }
        if first == deadline {
            return Ok(Watched { health: Health::Undecided, last: Vec::new() });
        }
        let tested = self.run(asked, |_| ()).await?;
        let health = match tested.exit_code {
            0 => Health::Healthy,
            exit_code => {
                let output = [tested.stdout, tested.stderr].concat();
                Health::Unhealthy { exit_code, output: String::from_utf8_lossy(&output).trim().to_owned() }
            }
        };
        Ok(Watched { health, last: Vec::new() })
    }

    fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, name: &str) -> Container {
        let container = format!("kiln-{}-{}", self.session.id, NEXT.fetch_add(1, Ordering::Relaxed));
        let info = ContainerInfo {
            container: container.clone(),
            name: name.to_owned(),
            session: self.session.clone(),
        };
        let removed = self.daemon().containers.begin(info);
        Container { engine: self.clone(), name: container, removed }
    }

    fn remove_where(&self, condition: impl Fn(&ContainerInfo) -> bool) -> usize {
        self.daemon().containers.remove_where(condition)
    }
}

impl Backend for MemoryEngine {
    fn with_session(&self, session: Session) -> Arc<dyn Backend> {
        Arc::new(Self { daemon: Arc::clone(&self.daemon), stopping: Arc::default(), session })
    }

    fn session(&self) -> &Session {
        &self.session
    }

    fn info(&self) -> Answer<'_, EngineInfo> {
        let info = EngineInfo {
            endpoint: "memory".to_owned(),
            version: "0".to_owned(),
            api_version: "1.41".to_owned(),
            platform: Platform { architecture: Architecture::Amd64 },
            storage_driver: "memory".to_owned(),
            classic_keeps_removals: true,
            buildkit_reads_context: true,
            cpus: 1,
            memory: 1 << 30,
            containerd_store: false,
            unkept: Vec::new(),
        };
        future::ready(Ok(info)).boxed()
    }

    fn image<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>> {
        future::ready(self.find(reference)).boxed()
    }

    fn load(&self, archive: Box<dyn Read + Send>) -> Answer<'_, ()> {
        future::ready(self.load(archive)).boxed()
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
        future::ready(self.build(spec)).boxed()
    }

    fn images<'a>(&'a self, beginning: &'a str) -> Answer<'a, Vec<NamedImage>> {
        let daemon = self.daemon();
        let named = daemon
            .images
            .named(beginning)
            .map(|(name, image)| NamedImage { reference: name.to_owned(), size: image.archive.len() as u64 });
        future::ready(Ok(named.collect())).boxed()
    }

    fn name_image<'a>(&'a self, reference: &'a str, name: &'a str) -> Answer<'a, ()> {
        let named = self.daemon().images.name(reference, name);
        future::ready(match named {
            true => Ok(()),
            false => Err(EngineError::ImageMissing { reference: reference.to_owned() }),
        })
        .boxed()
    }

    fn remove_image<'a>(&'a self, reference: &'a str) -> Answer<'a, bool> {
        future::ready(self.remove_image(reference)).boxed()
    }

    fn pull<'a>(
        &'a self,
        reference: &'a str,
        _: Option<Credentials>,
        _: &'a (dyn Fn(PullProgress) + Send + Sync),
    ) -> Answer<'a, ImageInfo> {
        future::ready(self.pull(reference)).boxed()
    }

    fn resolve_digest<'a>(
        &'a self,
        reference: &'a str,
        _: Option<Credentials>,
    ) -> Answer<'a, (Digest, String)> {
        let missing = || EngineError::ResolveFailed {
            reference: reference.to_owned(),
            why: "the engine in memory has no registry".to_owned(),
        };
        future::ready(check_reference(reference).and_then(|()| Err(missing()))).boxed()
    }

    fn credentials<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Credentials>> {
        future::ready(Ok(None)).boxed()
    }

    /// It is of this machine.
    fn reads_folder<'a>(&'a self, folder: &'a Path, _: &'a Path, _: &'a str) -> Answer<'a, bool> {
        future::ready(Ok(folder.is_dir())).boxed()
    }

    fn run<'a>(&'a self, spec: RunSpec, on_line: OnLine<'a>) -> Answer<'a, RunOutcome> {
        self.run(spec, on_line).boxed()
    }

    fn watch<'a>(&'a self, spec: RunSpec, test: HealthTest, on_line: OnLine<'a>) -> Answer<'a, Watched> {
        self.watch(spec, test, on_line).boxed()
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerInfo>> {
        let containers = self.daemon().containers.iter().cloned().collect();
        future::ready(Ok(containers)).boxed()
    }

    fn sweep(&self) -> Answer<'_, usize> {
        future::ready(Ok(self.remove_where(|info| info.is_left_over(&self.session)))).boxed()
    }

    fn shutdown(&self) -> BoxFuture<'_, usize> {
        self.stopping.store(true, Ordering::SeqCst);
        future::ready(self.remove_where(|info| info.session == self.session)).boxed()
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A container that is removed when this value is dropped.
struct Container {
    engine: MemoryEngine,
    name: String,
    removed: Arc<Notify>,
}

impl Drop for Container {
    fn drop(&mut self) {
        self.engine.daemon().containers.end(&self.name);
    }
}

impl Daemon {
    fn program(&self, guest: &Guest) -> Option<Program> {
        let name = guest.argv().first()?;
        if let Some(program) = self.programs.get(name) {
            return Some(Arc::clone(program));
        }
        let busybox = name == BUSYBOX && guest.read(BUSYBOX).is_ok();
        busybox.then(|| Arc::new(applets::run) as Program)
    }
}
