//! The engine as the rest of kiln sees it.

use crate::backend::Backend;
use crate::docker::Docker;
use crate::{
    BuildSpec, Builder, ContainerInfo, Credentials, EngineError, EngineInfo, EngineSettings, HealthTest,
    ImageInfo, Line, NamedImage, PullProgress, RootChange, RunOutcome, RunSpec, Session, Watched,
};
use kiln_record::Digest;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A container engine. Cloning is cheap, and clones are the same engine; all methods can be called side by side.
#[derive(Clone, Debug)]
pub struct Engine(Arc<dyn Backend>);

impl Engine {
    /// An engine by what does its work.
    #[must_use]
    pub fn new(backend: impl Backend) -> Self {
        Self(Arc::new(backend))
    }

    /// Connects to the Docker engine that the settings mean: `DOCKER_HOST`, a context, or the local socket.
    ///
    /// # Errors
    /// [`EngineError::Settings`] if a setting cannot be used, [`EngineError::Unavailable`] if nothing answers,
    /// [`EngineError::TooOld`] if the engine's API is older than 1.41 (Docker 20.10).
    pub async fn connect(settings: &EngineSettings) -> Result<Self, EngineError> {
        Docker::connect(settings).await.map(Self::new)
    }

    /// The same engine, asked in the name of another process; what the other session runs is not part of this
    /// one's [`Engine::shutdown`].
    #[must_use]
    pub fn with_session(&self, session: Session) -> Self {
        Self(self.0.with_session(session))
    }

    /// The session whose containers these are.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.0.session()
    }

    /// What the engine is.
    ///
    /// # Errors
    /// If it does not answer, or runs on an architecture that kiln does not know.
    pub async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.0.info().await
    }

    /// What the engine knows about an image, by id, `name:tag` or `name@digest`; `None` if it does not have it.
    ///
    /// # Errors
    /// [`EngineError::InvalidReference`], [`EngineError::ImageUnusable`] for an unknown platform or digest, or a failed
    /// request.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        self.0.image(reference).await
    }

    /// Loads an archive with a `manifest.json` (`docker save`, or an OCI layout that has one too). It is read on
    /// a thread of its own and never held in memory. Loading what is there already changes nothing.
    ///
    /// # Errors
    /// [`EngineError::LoadFailed`] if the archive cannot be read or the engine refuses it.
    pub async fn load(&self, archive: impl Read + Send + 'static) -> Result<(), EngineError> {
        self.0.load(Box::new(archive)).await
    }

    /// Gives the bytes of an archive of an image, as `docker save` does: what [`Engine::load`] reads, with every layer.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`]; a failed request, or what `sink` says.
    pub async fn export(
        &self,
        reference: &str,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()> + Send,
    ) -> Result<(), EngineError> {
        self.0.export(reference, &mut sink).await
    }

    /// Gives the files that a container of an image has before anything runs in it, as a tar: what its layers make of each
    /// other, by the engine that put them over each other. The engine's own mounts and what it puts in a container's way
    /// (`/dev`, `/etc/hosts` and such) are there or not.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`]; a failed request, or what `sink` says.
    pub async fn file_system(
        &self,
        reference: &str,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()> + Send,
    ) -> Result<(), EngineError> {
        self.0.file_system(reference, &mut sink).await
    }

    /// The builder that [`Engine::build`] should be asked for: BuildKit, unless `DOCKER_BUILDKIT` is 0.
    #[must_use]
    pub fn builder(&self) -> Builder {
        self.0.builder()
    }

    /// Builds an image from a Dockerfile, without anything that an earlier build left. `on_line` hears the log.
    ///
    /// # Errors
    /// [`EngineError::BuildFailed`] with the builder's words and the end of its log, [`EngineError::Deadline`],
    /// [`EngineError::OutputTooLarge`]; [`EngineError::Unaccounted`] if the builder says that it does anything else than it
    /// was asked for; [`EngineError::Unsupported`] by an engine that builds nothing.
    pub async fn build(
        &self,
        spec: BuildSpec,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<ImageInfo, EngineError> {
        self.0.build(spec, &on_line).await
    }

    /// The images whose names begin so, by name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn images(&self, beginning: &str) -> Result<Vec<NamedImage>, EngineError> {
        self.0.images(beginning).await
    }

    /// Gives an image one more name, `REPOSITORY:TAG`, which leads to no other from then on.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`] if there is no such image; if the engine does not answer.
    pub async fn name_image(&self, reference: &str, name: &str) -> Result<(), EngineError> {
        self.0.name_image(reference, name).await
    }

    /// Removes a name of an image, and the image with its last name. `false` if it was not there.
    ///
    /// # Errors
    /// If the engine refuses, for example because a container uses the image.
    pub async fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        self.0.remove_image(reference).await
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
        self.0.pull(reference, credentials, &progress).await
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
        self.0.resolve_digest(reference, credentials).await
    }

    /// The credentials that `docker login` stored for the registry of a reference; `None` if there are none.
    ///
    /// # Errors
    /// [`EngineError::Credentials`] if Docker's configuration or a credential helper fails.
    pub async fn credentials(&self, reference: &str) -> Result<Option<Credentials>, EngineError> {
        self.0.credentials(reference).await
    }

    /// Whether containers see a folder of this machine, and what is below it: something that nobody can know is written to
    /// `inside`, which is the folder or below it and whose leftovers the caller removes, and read through a container of an
    /// image that has the folder. Asked once for each folder; [`crate::InputContent::Folder`] trees below one that
    /// was seen are bound from then on.
    ///
    /// # Errors
    /// If the folder cannot be written to, or the engine does not answer. That it refuses is an answer.
    pub async fn reads_folder(&self, folder: &Path, inside: &Path, image: &str) -> Result<bool, EngineError> {
        self.0.reads_folder(folder, inside, image).await
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
        self.0.run(spec, &on_line).await
    }

    /// Runs one program as [`Engine::run`] does, on a root that it may change and that comes back: what it changed, below `/dev`,
    /// `/proc`, `/sys` and `/tmp` apart. The description has no inputs, outputs or scratch folders; an image of no name is an
    /// empty root.
    ///
    /// Only engines whose programs run elsewhere do this; those of containers build from Dockerfiles themselves.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`EngineError::Unsupported`] by an engine that gives no roots back.
    pub async fn change(
        &self,
        spec: RunSpec,
        root: RootChange,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<RunOutcome, EngineError> {
        self.0.change(spec, root, &on_line).await
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
        self.0.watch(spec, test, &on_line).await
    }

    /// All containers that any kiln made and that still exist, by name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn containers(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        self.0.containers().await
    }

    /// Removes the containers of kilns on this host whose process is gone. Returns how many. Containers made from
    /// other hosts are left alone: their processes cannot be seen from here.
    ///
    /// # Errors
    /// If the engine does not answer or cannot remove one.
    pub async fn sweep(&self) -> Result<usize, EngineError> {
        self.0.sweep().await
    }

    /// Removes every container of this session that is not yet removed and refuses new ones: what to call on
    /// Ctrl-C, SIGTERM, and before the end of the process. Returns how many were removed.
    pub async fn shutdown(&self) -> usize {
        self.0.shutdown().await
    }
}
