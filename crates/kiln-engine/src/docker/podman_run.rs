//! How a run is prepared, followed and tested in Podman: with a volume for each folder, and with what [`super::podman`] says of it made
//! up for.

use super::container::Container;
use super::health::{ASK_EVERY, OUTPUT};
use super::podman::{self, Volume};
use super::run::{Job, removed};
use super::sweep::{SESSION, described};
use super::{Docker, status};
use crate::health::{Health, HealthTest};
use crate::run::User;
use crate::{EngineError, GuestPath, InputTree};
use bollard::errors::Error as BollardError;
use bollard::exec::StartExecResults;
use bollard::models::{
    ContainerCreateBody, ContainerStateStatusEnum, ExecConfig, Mount, MountType, ResourcesUlimits,
};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a volume is labelled with: the name of its container.
const CONTAINER: &str = "kiln.container";
/// The folders that are memory where the root is read-only, unless something else is mounted there.
const OPENED: [&str; 3] = ["/run", "/tmp", "/var/tmp"];
/// What is never in an archive of a folder that is a volume, as it would be in one of a root.
const LEFT_OUT: [&str; 3] = ["dev", "proc", "sys"];
/// The processes of one user on the whole machine, and the descriptors of a process for which nothing is stated. Podman
/// would ask for more than some machines allow their root; how many processes a run has is limited otherwise.
const ULIMITS: [(&str, i64); 2] = [("nproc", 16_384), ("nofile", 4_096)];
/// How often, and after which pause, it is asked again about containers in a state of Podman's own.
const STATES: (u32, Duration) = (50, Duration::from_millis(100));
/// The exit code of a test that took too long, as Docker has it.
const TOO_LONG: i64 = -1;

impl Job {
    /// The volumes of a run: outputs and scratch folders belong to the user, and other inputs to root. Who is not root
    /// has none of memory.
    fn volumes(&self, inputs: &[InputTree], rootless: bool) -> Vec<Volume> {
        let root = User { uid: 0, gid: 0 };
        let volume = |path: &GuestPath, owner, memory| Volume {
            path: path.clone(),
            owner,
            memory,
            read_only: owner == root && memory.is_none(),
        };
        let outputs =
            self.outputs.iter().map(|path| Volume { read_only: false, ..volume(path, self.user, None) });
        let inputs = inputs.iter().filter(|input| !self.outputs.contains(&input.path));
        let inputs = inputs.map(|input| volume(&input.path, root, None));
        let memory = (self.scratch_bytes(), self.limits.output_files);
        let scratch = self.scratch.iter().filter(|_| !rootless);
        outputs.chain(inputs).chain(scratch.map(|path| volume(path, self.user, Some(memory)))).collect()
    }

    /// The scratch folders of who is not root. Podman has no word there for how many files there may be.
    fn memory(&self) -> impl Iterator<Item = (String, String)> {
        let options = format!("rw,exec,nosuid,nodev,notmpcopyup,mode=1777,size={}", self.scratch_bytes());
        self.scratch.iter().map(move |path| (path.to_string(), options.clone()))
    }

    /// The folders that Podman would open and the run does not ask for, as memory that nobody can write to. One that
    /// something else is mounted in cannot be read-only, and belongs to root.
    fn closed(&self, volumes: &[Volume]) -> BTreeMap<String, String> {
        let others = self.bound.iter().map(|(path, _)| path).chain(&self.scratch);
        let mounted: Vec<&str> =
            volumes.iter().map(|volume| &volume.path).chain(others).map(GuestPath::as_str).collect();
        let options = |folder: &str| {
            let below = format!("{folder}/");
            // Podman's own program, which starts the run's, is in the first.
            let is_used = folder == OPENED[0] || mounted.iter().any(|path| path.starts_with(&below));
            let access = if is_used { "rw" } else { "ro" };
            (folder.to_owned(), format!("{access},noexec,nosuid,nodev,mode=755"))
        };
        OPENED.into_iter().filter(|folder| !mounted.contains(folder)).map(options).collect()
    }

    /// The container that the program runs in.
    fn body_with(&self, docker: &Docker, volumes: &[Volume], rootless: bool) -> ContainerCreateBody {
        let mut body = self.body(docker, &[], None);
        // A removal would be a wish for what the engine itself has of that name.
        body.env = Some(self.given().iter().map(|(key, value)| format!("{key}={value}")).collect());
        if let Some(host) = &mut body.host_config {
            let scratch = self.memory().filter(|_| rootless);
            host.tmpfs = Some(self.closed(volumes).into_iter().chain(scratch).collect());
            let stated = host.ulimits.get_or_insert_default();
            for (name, most) in ULIMITS {
                if stated.iter().all(|limit| limit.name.as_deref() != Some(name)) {
                    let (name, most) = (Some(name.to_owned()), Some(most));
                    stated.push(ResourcesUlimits { name, soft: most, hard: most });
                }
            }
        }
        body
    }
}

impl Docker {
    /// Creates the container with a volume for each folder, and brings its inputs there.
    pub(super) async fn prepare_with_volumes(
        &self,
        job: &Job,
        inputs: Vec<InputTree>,
    ) -> Result<Container, EngineError> {
        let rootless = self.shared.podman.as_ref().is_some_and(podman::Host::is_rootless);
        let volumes = job.volumes(&inputs, rootless);
        let container = self.create_with(job.body_with(self, &volumes, rootless), volumes).await?;
        for input in inputs {
            let path = input.path.clone();
            let outputs = job.outputs.clone();
            let sent = self.upload(&container, path.as_str(), job, vec![input], outputs, true).await;
            if let Err(error) = sent {
                container.remove().await;
                return Err(error);
            }
        }
        Ok(container)
    }

    /// What is answered, once it has no state in it that Docker has no word for. Podman's last a moment.
    pub(super) async fn settled<T, F: Future<Output = Result<T, BollardError>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, BollardError> {
        for _ in 0..if self.shared.is_podman() { STATES.0 } else { 0 } {
            match ask().await {
                Err(BollardError::JsonDataError { .. }) => tokio::time::sleep(STATES.1).await,
                answer => return answer,
            }
        }
        ask().await
    }

    /// Makes the volumes of a container, and mounts them in it.
    pub(super) async fn with_volumes(
        &self,
        container: &str,
        mut body: ContainerCreateBody,
        volumes: Vec<Volume>,
    ) -> Result<ContainerCreateBody, BollardError> {
        for (number, volume) in volumes.into_iter().enumerate() {
            let name = format!("{container}-{number}");
            let mut labels = self.labels(container);
            labels.insert(CONTAINER.to_owned(), container.to_owned());
            self.shared.client.create_volume(volume.request(name.clone(), labels)).await?;
            let mounts = body.host_config.get_or_insert_default().mounts.get_or_insert_default();
            mounts.push(Mount {
                target: Some(volume.path.to_string()),
                source: Some(name),
                typ: Some(MountType::VOLUME),
                read_only: Some(volume.read_only),
                ..Mount::default()
            });
        }
        Ok(body)
    }

    /// Removes the volumes that were made for a container. Docker removes those that it makes itself.
    pub(super) async fn remove_volumes_of(&self, container: &str) -> Result<(), EngineError> {
        if !self.shared.is_podman() {
            return Ok(());
        }
        for (volume, _) in self.volumes(&format!("{CONTAINER}={container}")).await? {
            self.remove_volume(&volume).await?;
        }
        Ok(())
    }

    /// Removes the volumes of killed sessions whose containers were never made.
    pub(super) async fn sweep_volumes(&self) -> Result<(), EngineError> {
        if !self.shared.is_podman() {
            return Ok(());
        }
        for (volume, labels) in self.volumes(SESSION).await? {
            if described(&labels).is_some_and(|of| of.is_left_over(&self.session)) {
                self.remove_volume(&volume).await?;
            }
        }
        Ok(())
    }

    /// The volumes with a label.
    async fn volumes(&self, label: &str) -> Result<Vec<(String, BTreeMap<String, String>)>, EngineError> {
        let filters = [("label", vec![label])].into_iter().collect();
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let listed = self.shared.client.list_volumes(Some(options)).await;
        let listed = listed.map_err(|e| self.failed("list volumes", e))?.volumes.unwrap_or_default();
        Ok(listed.into_iter().map(|volume| (volume.name, volume.labels.into_iter().collect())).collect())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        match self.shared.client.remove_volume(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.failed(format!("remove volume {name}"), error)),
        }
    }

    /// Makes sure that a program ended by itself: of a container that is removed meanwhile, Podman says that it ended well.
    pub(super) async fn ended_with(
        &self,
        container: &Container,
        job: &Job,
        exit_code: i64,
    ) -> Result<(), EngineError> {
        let state = match self.settled(|| self.shared.client.inspect_container(container.name(), None)).await
        {
            Ok(details) => details.state.unwrap_or_default(),
            Err(error) if status(&error) == Some(404) => return Err(removed(job)),
            Err(error) => return Err(self.failed(format!("ask how `{}` ended", job.name), error)),
        };
        let is_over = state.status == Some(ContainerStateStatusEnum::EXITED);
        // Who stops everything kills first and removes then.
        if is_over && state.exit_code == Some(exit_code) && !(exit_code != 0 && self.live.is_stopping()) {
            Ok(())
        } else {
            Err(removed(job))
        }
    }

    /// Makes sure that nothing of an output will be left out of its archive.
    pub(super) async fn gives_all_of(
        &self,
        container: &Container,
        job: &Job,
        output: &GuestPath,
    ) -> Result<(), EngineError> {
        for name in LEFT_OUT {
            let path = format!("{output}/{name}");
            let options = ContainerArchiveInfoOptionsBuilder::new().path(&path).build();
            let there = self.shared.client.get_container_archive_info(container.name(), Some(options)).await;
            match there {
                Err(error) if status(&error) == Some(404) => {}
                Err(error) => return Err(self.failed(format!("look for {path} of `{}`", job.name), error)),
                Ok(_) => {
                    return Err(EngineError::Unsupported {
                        action: format!(
                            "collect {path} of `{}`: Podman leaves `{name}` out of what it gives; give it another name, or \
                             use Docker",
                            job.name
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// Runs the test until it passes or has failed as often as it may, or the service ends.
    pub(super) async fn tested_health(
        &self,
        container: &str,
        job: &Job,
        test: &HealthTest,
    ) -> Result<Health, EngineError> {
        let began = tokio::time::Instant::now();
        let mut failures = 0;
        loop {
            if let Some(ended) = self.ended_within(container, job, test.interval).await? {
                return Ok(ended);
            }
            let (exit_code, output) =
                match tokio::time::timeout(test.timeout, self.test(container, job, test)).await {
                    Ok(answer) => answer?,
                    Err(_) => (TOO_LONG, format!("it took longer than {} s", test.timeout.as_secs())),
                };
            if exit_code == 0 {
                return Ok(Health::Healthy);
            }
            if let Some(ended) = self.ended_within(container, job, Duration::ZERO).await? {
                return Ok(ended);
            }
            if began.elapsed() > test.start_period {
                failures += 1;
            }
            if failures >= test.retries.max(1) {
                return Ok(Health::Unhealthy { exit_code, output });
            }
        }
    }

    /// Waits, and tells of the service's end if it comes meanwhile.
    async fn ended_within(
        &self,
        container: &str,
        job: &Job,
        time: Duration,
    ) -> Result<Option<Health>, EngineError> {
        let until = tokio::time::Instant::now() + time;
        loop {
            let details = match self.settled(|| self.shared.client.inspect_container(container, None)).await {
                Ok(details) => details,
                Err(error) if status(&error) == Some(404) => return Err(removed(job)),
                Err(error) => return Err(self.failed(format!("ask about `{}`", job.name), error)),
            };
            let state = details.state.unwrap_or_default();
            if state.running == Some(false) {
                return Ok(Some(Health::Ended { exit_code: state.exit_code.unwrap_or_default() }));
            }
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            tokio::time::sleep(left.min(ASK_EVERY)).await;
        }
    }

    /// Runs the test once: its exit code, and what it wrote, cut.
    async fn test(
        &self,
        container: &str,
        job: &Job,
        test: &HealthTest,
    ) -> Result<(i64, String), EngineError> {
        let client = &self.shared.client;
        let failed = |error| self.failed(format!("test whether `{}` works", job.name), error);
        let wanted = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(test.command.clone()),
            ..ExecConfig::default()
        };
        let made = client.create_exec(container, wanted).await.map_err(failed)?;
        let mut written = Vec::new();
        match client.start_exec(&made.id, None).await {
            Ok(StartExecResults::Attached { mut output, .. }) => {
                while let Some(frame) = output.next().await {
                    let bytes = frame.map_err(failed)?.into_bytes();
                    if written.len() < 4 * OUTPUT {
                        written.extend_from_slice(&bytes);
                    }
                }
            }
            Ok(StartExecResults::Detached) => {}
            // The service has ended: who asked looks for that.
            Err(error) if status(&error).is_some() => return Ok((TOO_LONG, error.to_string())),
            Err(error) => return Err(failed(error)),
        }
        let exit_code = client.inspect_exec(&made.id).await.map_err(failed)?.exit_code.unwrap_or(TOO_LONG);
        let written = String::from_utf8_lossy(&written).trim().chars().take(OUTPUT).collect();
        Ok((exit_code, written))
    }
}
