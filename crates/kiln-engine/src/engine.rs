//! The engine as the rest of kiln sees it.

use crate::docker::Docker;
use crate::fake::Fake;
use crate::{
    BuildSpec, Builder, EngineError, EngineSettings, HealthTest, ImageInfo, Line, PullProgress, RunOutcome,
    RunSpec, Session, Watched,
};
use kiln_record::{Digest, Platform};
use std::fmt;
use std::io::Read;

/// A container engine. Cloning is cheap, and clones are the same engine; all methods can be called side by side.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Docker, or what speaks its API.
    Docker(Docker),
    /// An engine in memory for tests; see [`Fake`].
    Fake(Fake),
}

/// What an engine is and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Where it was found, and by which context.
    pub endpoint: String,
    /// Its own version.
    pub version: String,
    /// The version of the API that is spoken.
    pub api_version: String,
    /// What its containers run on.
    pub platform: Platform,
    /// How it stores layers, such as `overlay2`.
    pub storage_driver: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Whether images are kept in containerd: ids are then digests of manifests.
    pub containerd_store: bool,
}

/// A container that some kiln made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerInfo {
    /// The engine's name for it.
    pub container: String,
    /// The name of the run, from [`RunSpec::name`].
    pub name: String,
    /// The process that made it.
    pub session: Session,
}

/// What a registry wants to see. Its debug form does not show secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The registry they are for.
    pub registry: String,
    /// The user; empty with an identity token.
    pub username: String,
    /// The password; empty with an identity token.
    pub password: String,
    /// A token that stands for user and password.
    pub identity_token: Option<String>,
}

impl Engine {
    /// Connects to the Docker engine that the settings mean: `DOCKER_HOST`, a context, or the local socket.
    ///
    /// # Errors
    /// [`EngineError::Settings`] if a setting cannot be used, [`EngineError::Unavailable`] if nothing answers,
    /// [`EngineError::TooOld`] if the engine's API is older than 1.41 (Docker 20.10).
    pub async fn connect(settings: &EngineSettings) -> Result<Self, EngineError> {
        Docker::connect(settings).await.map(Self::Docker)
    }

    /// The same engine, asked in the name of another process; what the other session runs is not part of this
    /// one's [`Engine::shutdown`].
    #[must_use]
    pub fn with_session(&self, session: Session) -> Self {
        match self {
            Self::Docker(docker) => Self::Docker(docker.with_session(session)),
            Self::Fake(fake) => Self::Fake(fake.with_session(session)),
        }
    }

    /// The session whose containers these are.
    #[must_use]
    pub fn session(&self) -> &Session {
        match self {
            Self::Docker(docker) => docker.session(),
            Self::Fake(fake) => fake.session(),
        }
    }

    /// What the engine is.
    ///
    /// # Errors
    /// If it does not answer, or runs on an architecture that kiln does not know.
    pub async fn info(&self) -> Result<EngineInfo, EngineError> {
        match self {
            Self::Docker(docker) => docker.info().await,
            Self::Fake(fake) => Ok(fake.info()),
        }
    }

    /// What the engine knows about an image, by id, `name:tag` or `name@digest`; `None` if it does not have it.
    ///
    /// # Errors
    /// [`EngineError::InvalidReference`], [`EngineError::ImageUnusable`] for an unknown platform or digest, or a failed
    /// request.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        match self {
            Self::Docker(docker) => docker.image(reference).await,
            Self::Fake(fake) => fake.image(reference),
        }
    }

    /// Loads an archive with a `manifest.json` (`docker save`, or an OCI layout that has one too). It is read on
    /// a thread of its own and never held in memory. Loading what is there already changes nothing.
    ///
    /// # Errors
    /// [`EngineError::LoadFailed`] if the archive cannot be read or the engine refuses it.
    pub async fn load(&self, archive: impl Read + Send + 'static) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.load(archive).await,
            Self::Fake(fake) => fake.load(archive),
        }
    }

    /// Gives the bytes of an archive of an image, as `docker save` does: what [`Engine::load`] reads, with every layer.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`]; a failed request, or what `sink` says.
    pub async fn export(
        &self,
        reference: &str,
        sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), EngineError> {
        match self {
            Self::Docker(docker) => docker.export(reference, sink).await,
            Self::Fake(fake) => fake.export(reference, sink),
        }
    }

    /// The builder that [`Engine::build`] should be asked for: BuildKit, unless `DOCKER_BUILDKIT` is 0.
    #[must_use]
    pub fn builder(&self) -> Builder {
        match self {
            Self::Docker(docker) => docker.builder(),
            Self::Fake(_) => Builder::Classic,
        }
    }

    /// Builds an image from a Dockerfile, without anything that an earlier build left. `on_line` hears the log.
    ///
    /// # Errors
    /// [`EngineError::BuildFailed`] with the builder's words and the end of its log, [`EngineError::Deadline`],
    /// [`EngineError::OutputTooLarge`]; [`EngineError::Unsupported`] by the engine in memory.
    pub async fn build(
        &self,
        spec: BuildSpec,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<ImageInfo, EngineError> {
        match self {
            Self::Docker(docker) => docker.build(spec, on_line).await,
            Self::Fake(_) => Err(EngineError::Unsupported { action: format!("build {}", spec.name) }),
        }
    }

    /// Removes a name of an image, and the image with its last name. `false` if it was not there.
    ///
    /// # Errors
    /// If the engine refuses, for example because a container uses the image.
    pub async fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        match self {
            Self::Docker(docker) => docker.remove_image(reference).await,
            Self::Fake(fake) => fake.remove_image(reference),
        }
    }

    /// Makes sure that the engine has an image by digest (`name@sha256:…`), pulling it if it does not, and checks that
    /// the engine holds exactly that digest. The registry is not asked about an image that is there.
    ///
    /// # Errors
    /// [`EngineError::InvalidReference`] without a digest, [`EngineError::PullFailed`] with the cause,
    /// [`EngineError::DigestMismatch`] if the engine ended with another image.
    pub async fn pull(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        progress: impl Fn(PullProgress) + Send + Sync,
    ) -> Result<ImageInfo, EngineError> {
        match self {
            Self::Docker(docker) => docker.pull(reference, credentials, progress).await,
            Self::Fake(fake) => fake.pull(reference),
        }
    }

    /// Asks the registry, through the engine, which digest and media type a reference has now.
    ///
    /// # Errors
    /// [`EngineError::ResolveFailed`] with the cause.
    pub async fn resolve_digest(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
    ) -> Result<(Digest, String), EngineError> {
        match self {
            Self::Docker(docker) => docker.resolve_digest(reference, credentials).await,
            Self::Fake(fake) => fake.resolve_digest(reference),
        }
    }

    /// The credentials that `docker login` stored for the registry of a reference; `None` if there are none.
    ///
    /// # Errors
    /// [`EngineError::Credentials`] if Docker's configuration or a credential helper fails.
    pub async fn credentials(&self, reference: &str) -> Result<Option<Credentials>, EngineError> {
        match self {
            Self::Docker(docker) => docker.credentials(reference).await,
            Self::Fake(_) => Ok(None),
        }
    }

    /// Runs one program to its end in a fresh container: no network but loopback, read-only root, no capability, no new
    /// privilege, the user and limits of the description. `on_line` hears each line as it is written.
    ///
    /// The container is gone when this returns, and soon after the future is dropped.
    ///
    /// # Errors
    /// [`EngineError::InvalidRun`], [`EngineError::ImageMissing`], [`EngineError::Input`], [`EngineError::Deadline`],
    /// [`EngineError::OutputTooLarge`], [`EngineError::Stopped`], or a failed request. A program that fails is no error.
    pub async fn run(
        &self,
        spec: RunSpec,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<RunOutcome, EngineError> {
        match self {
            Self::Docker(docker) => docker.run(spec, on_line).await,
            Self::Fake(fake) => fake.run(spec, on_line).await,
        }
    }

    /// Runs a service as [`Engine::run`] runs a program, until a test of it, which the engine runs in the same container,
    /// passes, or has failed as often as it may, or the time of the limits is over. The service is then killed. Outputs of
    /// the description are not collected.
    ///
    /// # Errors
    /// As [`Engine::run`], but the end of the time is an outcome.
    pub async fn watch(
        &self,
        spec: RunSpec,
        test: HealthTest,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<Watched, EngineError> {
        match self {
            Self::Docker(docker) => docker.watch(spec, test, on_line).await,
            Self::Fake(fake) => fake.watch(spec, test, on_line).await,
        }
    }

    /// All containers that any kiln made and that still exist, by name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn containers(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        match self {
            Self::Docker(docker) => docker.containers().await,
            Self::Fake(fake) => Ok(fake.containers()),
        }
    }

    /// Removes the containers of kilns on this host whose process is gone. Returns how many. Containers made from
    /// other hosts are left alone: their processes cannot be seen from here.
    ///
    /// # Errors
    /// If the engine does not answer or cannot remove one.
    pub async fn sweep(&self) -> Result<usize, EngineError> {
        match self {
            Self::Docker(docker) => docker.sweep().await,
            Self::Fake(fake) => Ok(fake.sweep()),
        }
    }

    /// Removes every container of this session that is not yet removed and refuses new ones: what to call on
    /// Ctrl-C, SIGTERM, and before the end of the process. Returns how many were removed.
    pub async fn shutdown(&self) -> usize {
        match self {
            Self::Docker(docker) => docker.shutdown().await,
            Self::Fake(fake) => fake.shutdown(),
        }
    }
}

impl ContainerInfo {
    /// Whether its process was on the host of `here` and is gone.
    pub(crate) fn is_left_over(&self, here: &Session) -> bool {
        let theirs = &self.session;
        theirs.host == here.host && theirs.id != here.id && !Session::is_alive(theirs.pid, theirs.started)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("registry", &self.registry)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
