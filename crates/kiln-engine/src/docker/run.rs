//! Running one program in one container.
//!
//! Inputs and outputs are anonymous volumes, because a read-only root refuses uploads and a tmpfs cannot be read after
//! the end. Two things follow from how engines unpack archives. The folder that an archive is unpacked into keeps its
//! owner, so an output could never belong to the program's user; and each upload mounts the container anew, which takes
//! longer than the upload itself. Both are solved by a second container, the loader, which is never started: its root
//! is writable, so one archive for `/` brings every input and sets the owner of every output, while the engine already
//! creates the real container on the loader's volumes. A run with a single input and no output needs no loader, and inputs
//! that the engine reads where they are ([`super::bound`]) need none of this.

use super::bound::{Bound, bind};
use super::container::Container;
use super::{Docker, podman, status};
use crate::archive::{stream_of_writer, write_inputs};
use crate::lines::Capture;
use crate::measured::{Measured, too_large};
use crate::run::{Surroundings, User};
use crate::{EngineError, GuestPath, InputTree, Limits, Line, OutputFolder, RunOutcome, RunSpec, Stream};
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{
    ContainerCreateBody, ContainerStateStatusEnum, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountType, MountVolumeOptions, ResourcesUlimits,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::pin::Pin;
use std::time::Duration;

// Set in every container by the engine unless the request says otherwise.
const SET_BY_ENGINES: [&str; 2] = ["PATH", "HOSTNAME"];
const CPU_PERIOD: i64 = 100_000;
/// 128 and the number of the signal that ends a program whose file passes the limit (`SIGXFSZ`, signal(7)).
const TOO_LARGE_FILE: i64 = 128 + 25;
/// 128 and the number of the signal that the kernel ends a program with when its memory is used up (`SIGKILL`).
const KILLED: i64 = 128 + 9;
/// How long after a killed program's end it is asked once more whether its memory was the reason.
const OOM_LOOKS: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(150),
    Duration::from_millis(500),
    Duration::from_secs(1),
];
/// How often a program is started once more that must have been heard.
const AGAIN: u32 = 2;
/// How long nobody looks at outputs that grow: at first, and at most. Looking costs as much as collecting them.
const LOOKS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// A run that has passed its checks.
pub(super) struct Job {
    pub(super) name: String,
    image_id: String,
    image_env: Vec<String>,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    working_dir: String,
    pub(super) user: User,
    supervised: bool,
    reports: bool,
    pub(super) outputs: Vec<GuestPath>,
    /// Inputs that are not sent.
    pub(super) bound: Vec<Bound>,
    pub(super) scratch: Vec<GuestPath>,
    shared_memory: bool,
    pub(super) limits: Limits,
    surroundings: Surroundings,
    /// How the engine is to tell whether the program works; not at all if absent.
    pub(super) health: Option<HealthConfig>,
}

impl Docker {
    /// Runs a program to its end; see [`crate::Engine::run`].
    pub(crate) async fn run(
        &self,
        spec: RunSpec,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<RunOutcome, EngineError> {
        let (job, inputs, outputs) = self.job(spec).await?;
        match self.prepare_and_follow(&job, inputs, outputs, &on_line).await {
            // Whatever failed, it failed because its container was taken away.
            Err(_) if self.live.is_stopping() => Err(EngineError::Stopped),
            result => result,
        }
    }

    /// Checks a description and finds its image.
    pub(super) async fn job(
        &self,
        spec: RunSpec,
    ) -> Result<(Job, Vec<InputTree>, Vec<OutputFolder>), EngineError> {
        let user = spec.check()?;
        if self.live.is_stopping() {
            return Err(EngineError::Stopped);
        }
        let Some((image_id, image_env)) = self.image_to_run(&spec.image).await? else {
            return Err(EngineError::ImageMissing { reference: spec.image });
        };
        let RunSpec {
            name,
            argv,
            env,
            working_dir,
            supervised,
            reports,
            inputs,
            outputs,
            scratch,
            shared_memory,
            limits,
            surroundings,
            ..
        } = spec;
        let folders: Vec<GuestPath> = outputs.iter().map(|output| output.path.clone()).collect();
        let (bound, inputs) = self.bound(inputs, &folders, &surroundings);
        let job = Job {
            name,
            image_id,
            image_env,
            argv,
            env,
            working_dir,
            user,
            supervised,
            reports,
            outputs: folders,
            bound,
            scratch,
            shared_memory,
            limits,
            surroundings,
            health: None,
        };
        Ok((job, inputs, outputs))
    }

    async fn prepare_and_follow(
        &self,
        job: &Job,
        inputs: Vec<InputTree>,
        outputs: Vec<OutputFolder>,
        on_line: &(impl Fn(Line) + Send + Sync),
    ) -> Result<RunOutcome, EngineError> {
        let (container, mut loader) = self.prepare(job, inputs).await?;
        let result = match self.follow(&container, &mut loader, job, on_line).await {
            Ok(outcome) => self.collect(&container, job, outputs).await.map(|()| outcome),
            Err(error) => Err(error),
        };
        if result.is_ok() {
            // What it did is known: nobody has to wait until the engine has cleaned up.
            drop((container, loader));
            return result;
        }
        container.remove().await;
        if let Some(loader) = loader {
            loader.remove().await;
        }
        result
    }

    /// Creates the container with its inputs in place.
    pub(super) async fn prepare(
        &self,
        job: &Job,
        inputs: Vec<InputTree>,
    ) -> Result<(Container, Option<Container>), EngineError> {
        if self.shared.is_podman() {
            return Ok((self.prepare_with_volumes(job, inputs).await?, None));
        }
        let outputs = job.outputs.clone();
        let mut volumes = outputs.clone();
        volumes.extend(inputs.iter().map(|input| input.path.clone()).filter(|path| !outputs.contains(path)));
        if volumes.is_empty() {
            return Ok((self.create(job.body(self, &[], None)).await?, None));
        }
        if let ([path], []) = (volumes.as_slice(), outputs.as_slice()) {
            let container = self.create(job.body(self, &volumes, None)).await?;
            return match self.upload(&container, path.as_str(), job, inputs, outputs, true).await {
                Ok(()) => Ok((container, None)),
                Err(error) => {
                    container.remove().await;
                    Err(error)
                }
            };
        }
        let loader = self.create(job.loader_body(self, &volumes)).await?;
        let (container, uploaded) = tokio::join!(
            self.create(job.body(self, &[], Some(loader.name()))),
            self.upload(&loader, "/", job, inputs, outputs, false)
        );
        match (container, uploaded) {
            (Ok(container), Ok(())) => Ok((container, Some(loader))),
            (Ok(container), Err(error)) => {
                tokio::join!(container.remove(), loader.remove());
                Err(error)
            }
            (Err(error), _) => {
                loader.remove().await;
                Err(error)
            }
        }
    }

    pub(super) async fn upload(
        &self,
        container: &Container,
        to: &str,
        job: &Job,
        inputs: Vec<InputTree>,
        outputs: Vec<GuestPath>,
        at_input: bool,
    ) -> Result<(), EngineError> {
        let (user, time) = (job.user, job.surroundings.input_time);
        let (body, thread) =
            stream_of_writer(move |writer| write_inputs(inputs, &outputs, user, at_input, time, writer));
        let options = UploadToContainerOptionsBuilder::new().path(to).build();
        let sent = self
            .shared
            .transfers
            .upload_to_container(container.name(), Some(options), bollard::body_try_stream(body))
            .await;
        let Err(error) = sent else { return Ok(()) };
        // A faulty input ends the request too; its own words say more than the broken connection.
        if let Ok(Err(fault)) = thread.await
            && let Some(path) = fault.path
            && status(&error).is_none()
        {
            return Err(EngineError::Input { name: job.name.clone(), path, why: fault.why });
        }
        Err(self.failed(format!("bring the inputs of `{}` into the container", job.name), error))
    }

    /// Starts the container and follows it to its end, and starts it once more where it must have been heard and was not.
    ///
    /// Docker opens the pipes of a program while that starts, and gives up opening them when it has ended: one that is short
    /// on a machine that is busy loses all of a stream, in the engine's own log, too. Nothing tells of that, so that only
    /// what is known to write can be missed.
    async fn follow(
        &self,
        container: &Container,
        loader: &mut Option<Container>,
        job: &Job,
        on_line: &(impl Fn(Line) + Send + Sync),
    ) -> Result<RunOutcome, EngineError> {
        let mut outcome = self.follow_once(container, loader, job, on_line).await?;
        for _ in 0..AGAIN {
            if !job.reports || outcome.exit_code != 0 || !outcome.stdout.is_empty() {
                break;
            }
            if !job.outputs.is_empty() {
                return Err(unheard(job));
            }
            // It finds what it found before: it can write to nothing but memory, which is gone.
            outcome = self.follow_once(container, loader, job, on_line).await?;
        }
        Ok(outcome)
    }

    async fn follow_once(
        &self,
        container: &Container,
        loader: &mut Option<Container>,
        job: &Job,
        on_line: &(impl Fn(Line) + Send + Sync),
    ) -> Result<RunOutcome, EngineError> {
        let client = &self.shared.client;
        let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true).build();
        // Attached before the start, or the first lines could be lost.
        let attached = client
            .attach_container(container.name(), Some(options))
            .await
            .map_err(|e| self.failed(format!("attach to `{}`", job.name), e))?;
        client
            .start_container(container.name(), None)
            .await
            .map_err(|e| self.failed(format!("start `{}`", job.name), e))?;
        let limits = &job.limits;
        let mut capture = Capture::new(limits.output_bytes);
        let ended = tokio::time::timeout(limits.deadline, async {
            tokio::try_join!(
                self.read(attached.output, job, &mut capture, on_line),
                self.exit_code(container, job)
            )
        });
        // Only a started container is sure to hold its volumes: the loader goes away while the program runs, and not
        // before.
        let unload = async {
            if let Some(loader) = loader.take() {
                loader.remove().await;
            }
        };
        let watched = async {
            tokio::select! {
                ended = ended => ended,
                error = self.outgrown(container, job) => Ok(Err(error)),
            }
        };
        let (ended, ()) = tokio::join!(watched, unload);
        let exit_code = match ended {
            Ok(result) => result?.1,
            Err(_) => {
                return Err(EngineError::Deadline {
                    name: job.name.clone(),
                    seconds: limits.deadline.as_secs(),
                    last: capture.last_lines(),
                });
            }
        };
        let exit_code = match self.shared.is_podman() {
            true => {
                self.ended_with(container, job, exit_code).await?;
                podman::exit_code(exit_code, &capture.stdout, &capture.stderr)
            }
            false => exit_code,
        };
        if exit_code == TOO_LARGE_FILE && !job.outputs.is_empty() {
            return Err(too_large(&job.name, "a file of its outputs", limits));
        }
        let oom_killed = exit_code != 0 && self.oom_killed(container, job, exit_code).await?;
        Ok(RunOutcome { exit_code, stdout: capture.stdout, stderr: capture.stderr, oom_killed })
    }

    pub(super) async fn read(
        &self,
        mut frames: impl futures_util::Stream<Item = Result<LogOutput, BollardError>> + Unpin,
        job: &Job,
        capture: &mut Capture,
        on_line: &(impl Fn(Line) + Send + Sync),
    ) -> Result<(), EngineError> {
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|e| self.failed(format!("read the output of `{}`", job.name), e))?;
            let (stream, bytes) = match frame {
                LogOutput::StdErr { message } => (Stream::Stderr, message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => (Stream::Stdout, message),
                LogOutput::StdIn { .. } => continue,
            };
            capture.push(stream, &bytes, on_line).map_err(|_| EngineError::OutputTooLarge {
                name: job.name.clone(),
                what: "stdout and stderr".to_owned(),
                limit: job.limits.output_bytes,
            })?;
        }
        capture.finish(on_line);
        Ok(())
    }

    /// Waits for the end. Asked after the start, so that `not-running` cannot be answered too early.
    async fn exit_code(&self, container: &Container, job: &Job) -> Result<i64, EngineError> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut answers = Box::pin(self.shared.client.wait_container(container.name(), Some(options)));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // bollard makes an error of every code but zero.
            Some(Err(BollardError::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(self.failed(format!("wait for `{}`", job.name), error)),
            None => Err(EngineError::Broken {
                action: format!("wait for `{}`", job.name),
                why: "the engine hung up".to_owned(),
            }),
        }
    }

    /// Watches the outputs of a program that runs, and gives an error once they hold more than they may. No engine limits
    /// what is in a volume, so they are measured again and again; one large file is stopped by the kernel before that.
    async fn outgrown(&self, container: &Container, job: &Job) -> EngineError {
        if job.outputs.is_empty() {
            return std::future::pending().await;
        }
        let (first, longest) = LOOKS;
        let mut pause = first;
        loop {
            tokio::time::sleep(pause).await;
            let began = tokio::time::Instant::now();
            let mut measured = Measured::new(&job.name, &job.limits);
            for path in &job.outputs {
                self.begin(&mut measured);
                let what = format!("output {path}");
                let mut chunks = self.archive(container, path);
                // What changes while it is read may break the stream; the next look sees it.
                while let Some(Ok(chunk)) = chunks.next().await {
                    if let Err(error) = measured.count(&what, &chunk) {
                        return error;
                    }
                }
            }
            pause = (began.elapsed() * 8).clamp(first, longest);
        }
    }

    /// Begins with the tar of another output. Podman's do not tell of the folder itself.
    fn begin(&self, measured: &mut Measured<'_>) {
        measured.begin();
        if self.shared.is_podman() {
            measured.count_folder();
        }
    }

    /// A folder of a container as a tar that comes in pieces.
    fn archive(
        &self,
        container: &Container,
        path: &GuestPath,
    ) -> Pin<Box<dyn futures_util::Stream<Item = Result<bytes::Bytes, BollardError>> + Send>> {
        // `/.` makes entries relative to the folder instead of to its parent.
        let options = DownloadFromContainerOptionsBuilder::new().path(&format!("{path}/.")).build();
        Box::pin(self.shared.client.download_from_container(container.name(), Some(options)))
    }

    /// Whether the kernel ended the program for the memory it took. containerd tells the engine of that and of the end
    /// in two events that no order is promised for, so a program that was killed is asked about again before it is
    /// believed that memory was not the reason.
    async fn oom_killed(
        &self,
        container: &Container,
        job: &Job,
        exit_code: i64,
    ) -> Result<bool, EngineError> {
        let mut oom_killed = self.was_oom_killed(container, job).await?;
        if exit_code == KILLED {
            for pause in OOM_LOOKS {
                if oom_killed {
                    break;
                }
                tokio::time::sleep(pause).await;
                oom_killed = self.was_oom_killed(container, job).await?;
            }
        }
        Ok(oom_killed)
    }

    async fn was_oom_killed(&self, container: &Container, job: &Job) -> Result<bool, EngineError> {
        match self.settled(|| self.shared.client.inspect_container(container.name(), None)).await {
            Ok(details) => {
                let state = details.state.unwrap_or_default();
                // A container under removal was killed by whoever removes it: its exit code means nothing.
                if matches!(
                    state.status,
                    Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD)
                ) {
                    return Err(removed(job));
                }
                Ok(state.oom_killed.unwrap_or(false))
            }
            Err(error) if status(&error) == Some(404) => Err(removed(job)),
            Err(error) => Err(self.failed(format!("ask how `{}` ended", job.name), error)),
        }
    }

    /// Hands over what the program left, piece by piece.
    async fn collect(
        &self,
        container: &Container,
        job: &Job,
        outputs: Vec<OutputFolder>,
    ) -> Result<(), EngineError> {
        let mut measured = Measured::new(&job.name, &job.limits);
        for OutputFolder { path, mut to } in outputs {
            self.begin(&mut measured);
            let (what, action) = (format!("output {path}"), format!("collect {path} of `{}`", job.name));
            if self.shared.is_podman() {
                self.gives_all_of(container, job, &path).await?;
            }
            let mut chunks = self.archive(container, &path);
            while let Some(chunk) = chunks.next().await {
                let chunk = match chunk {
                    Ok(chunk) => chunk,
                    Err(error) if status(&error) == Some(404) => return Err(removed(job)),
                    Err(error) => return Err(self.failed(action, error)),
                };
                measured.count(&what, &chunk)?;
                to.write_all(&chunk).map_err(|error| untaken(&action, &error))?;
            }
            to.flush().map_err(|error| untaken(&action, &error))?;
        }
        Ok(())
    }
}

fn untaken(action: &str, error: &io::Error) -> EngineError {
    EngineError::Broken { action: action.to_owned(), why: error.to_string() }
}

fn unheard(job: &Job) -> EngineError {
    EngineError::Broken {
        action: format!("hear what `{}` reports", job.name),
        why: "the engine gave nothing of it, as some do on a busy machine; build again".to_owned(),
    }
}

pub(super) fn removed(job: &Job) -> EngineError {
    EngineError::Broken {
        action: format!("run `{}`", job.name),
        why: "its container was removed by someone else".to_owned(),
    }
}

impl Job {
    /// The container that the program runs in.
    pub(super) fn body(
        &self,
        docker: &Docker,
        volumes: &[GuestPath],
        loader: Option<&str>,
    ) -> ContainerCreateBody {
        let host = HostConfig {
            network_mode: Some("none".to_owned()),
            readonly_rootfs: Some(true),
            init: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            // Without `KILL`, `SYS_PTRACE` and `DAC_OVERRIDE` its root is nobody to other users; with these two it becomes one.
            cap_add: self.supervised.then(|| ["SETGID", "SETUID"].map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            mounts: Some(mounts(volumes).into_iter().chain(self.bound.iter().map(bind)).collect()),
            volumes_from: loader.map(|name| vec![name.to_owned()]),
            tmpfs: Some(self.scratch.iter().map(|path| (path.to_string(), self.scratch_options())).collect()),
            // What else is shared between processes is so in a namespace of the container's own in either case.
            ipc_mode: (!self.shared_memory).then(|| "none".to_owned()),
            // We read the output as it comes; a second copy in the engine's log would only fill its disk.
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ulimits: Some(self.ulimits()),
            cpuset_cpus: self.surroundings.processors.clone(),
            ..limited(&self.limits)
        };
        ContainerCreateBody {
            user: Some(match self.supervised {
                true => "0:0".to_owned(),
                false => format!("{}:{}", self.user.uid, self.user.gid),
            }),
            working_dir: Some(self.working_dir.clone()),
            env: Some(self.environment()),
            entrypoint: Some(self.argv[..1].to_vec()),
            cmd: Some(self.argv[1..].to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            healthcheck: Some(self.health.clone().unwrap_or_else(untested)),
            ..self.bare(docker, host)
        }
    }

    /// No file may be larger than all outputs together (`RLIMIT_FSIZE`, in bytes), and there may be so many descriptors.
    fn ulimits(&self) -> Vec<ResourcesUlimits> {
        let limit = |name: &str, most: u64| {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
        };
        let files = (!self.outputs.is_empty()).then(|| limit("fsize", self.limits.output_bytes));
        let descriptors = self.limits.descriptors.map(|most| limit("nofile", most.into()));
        files.into_iter().chain(descriptors).collect()
    }

    /// The container whose volumes are filled; never started.
    fn loader_body(&self, docker: &Docker, volumes: &[GuestPath]) -> ContainerCreateBody {
        let host = HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(mounts(volumes)),
            ..HostConfig::default()
        };
        ContainerCreateBody { entrypoint: Some(vec!["never-started".to_owned()]), ..self.bare(docker, host) }
    }

    fn bare(&self, docker: &Docker, host: HostConfig) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.image_id.clone()),
            hostname: Some(self.surroundings.host_name.clone()),
            labels: Some(docker.labels(&self.name).into_iter().collect()),
            healthcheck: Some(untested()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }

    /// The bytes of each scratch folder.
    pub(super) fn scratch_bytes(&self) -> u64 {
        let memory = self.limits.memory_bytes;
        self.limits.scratch_bytes.unwrap_or(memory).min(memory)
    }

    /// Owner and mode both: runc before 1.2 gives a tmpfs the mode of the folder below it, whatever it is told.
    fn scratch_options(&self) -> String {
        let (User { uid, gid }, size) = (self.user, self.scratch_bytes());
        let files = self.limits.output_files;
        format!("rw,exec,nosuid,nodev,mode=1777,uid={uid},gid={gid},size={size},nr_inodes={files}")
    }

    /// The environment asked for, with what every container runtime sets.
    pub(super) fn given(&self) -> BTreeMap<String, String> {
        let mut given = self.env.clone();
        given.entry("HOME".to_owned()).or_insert_with(|| "/".to_owned());
        given
    }

    /// The environment asked for, and a removal (a name without `=`) for everything that the image or the engine
    /// would add.
    fn environment(&self) -> Vec<String> {
        let given = self.given();
        let from_image = self.image_env.iter().filter_map(|entry| entry.split('=').next());
        let unwanted: BTreeSet<&str> =
            from_image.chain(SET_BY_ENGINES).filter(|key| !given.contains_key(*key)).collect();
        let mut all: Vec<String> = given.iter().map(|(key, value)| format!("{key}={value}")).collect();
        all.extend(unwanted.into_iter().filter(|key| !key.is_empty()).map(str::to_owned));
        all
    }
}

/// Nothing is tested, whatever the image says.
fn untested() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

fn mounts(volumes: &[GuestPath]) -> Vec<Mount> {
    let volume = |path: &GuestPath| Mount {
        target: Some(path.to_string()),
        typ: Some(MountType::VOLUME),
        // Otherwise the engine copies what the image has there.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    volumes.iter().map(volume).collect()
}

fn limited(limits: &Limits) -> HostConfig {
    let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        memory: Some(memory),
        // Memory and swap together: no swap.
        memory_swap: Some(memory),
        pids_limit: Some(i64::from(limits.pids)),
        // A quota and not `NanoCpus`, which engines refuse when it exceeds the processors they have.
        cpu_period: limits.cpus.map(|_| CPU_PERIOD),
        cpu_quota: limits.cpus.map(quota),
        ..HostConfig::default()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the check of the run keeps it between 0.01 and 4096")]
fn quota(cpus: f64) -> i64 {
    (cpus * CPU_PERIOD as f64) as i64
}

impl Docker {
    /// The id and environment of an image; `None` if it is not there.
    async fn image_to_run(&self, reference: &str) -> Result<Option<(String, Vec<String>)>, EngineError> {
        crate::image::check_reference(reference)?;
        match self.shared.client.inspect_image(reference).await {
            Ok(image) => {
                let env = image.config.and_then(|config| config.env).unwrap_or_default();
                Ok(Some((image.id.unwrap_or_else(|| reference.to_owned()), env)))
            }
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed(format!("inspect image {reference}"), error)),
        }
    }
}
