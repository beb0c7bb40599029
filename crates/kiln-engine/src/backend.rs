//! What does an engine's work, and the rules that all of them share, so that no two read one description differently.

pub use crate::archive::{InputFault, write_inputs};
pub use crate::held::{HeldImages, HeldRuns};
pub use crate::image::{check_reference, pinned_digest};
pub use crate::lines::{Capture, Overflow};
pub use crate::measured::Measured;
pub use crate::run::User;

use crate::{
    BuildSpec, Builder, ContainerInfo, Credentials, EngineError, EngineInfo, HealthTest, ImageInfo, Line,
    NamedImage, PullProgress, RootChange, RunOutcome, RunSpec, Session, Watched,
};
use futures_util::future::BoxFuture;
use kiln_record::Digest;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// What a request ends with.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, EngineError>>;

/// Hears each line of a program.
pub type OnLine<'a> = &'a (dyn Fn(Line) + Send + Sync);

/// What [`Engine`](crate::Engine) asks for. Each method is the one of that name there, which says what it promises; the
/// `contract` holds every implementation to it.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// See [`Engine::with_session`](crate::Engine::with_session).
    fn with_session(&self, session: Session) -> Arc<dyn Backend>;
    /// See [`Engine::session`](crate::Engine::session).
    fn session(&self) -> &Session;
    /// See [`Engine::info`](crate::Engine::info).
    fn info(&self) -> Answer<'_, EngineInfo>;
    /// See [`Engine::image`](crate::Engine::image).
    fn image<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>>;
    /// See [`Engine::images`](crate::Engine::images).
    fn images<'a>(&'a self, beginning: &'a str) -> Answer<'a, Vec<NamedImage>>;
    /// See [`Engine::load`](crate::Engine::load).
    fn load(&self, archive: Box<dyn Read + Send>) -> Answer<'_, ()>;
    /// See [`Engine::export`](crate::Engine::export).
    fn export<'a>(
        &'a self,
        reference: &'a str,
        sink: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Answer<'a, ()>;
    /// See [`Engine::file_system`](crate::Engine::file_system).
    fn file_system<'a>(
        &'a self,
        reference: &'a str,
        sink: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Answer<'a, ()>;
    /// See [`Engine::builder`](crate::Engine::builder).
    fn builder(&self) -> Builder;
    /// See [`Engine::build`](crate::Engine::build).
    fn build<'a>(&'a self, spec: BuildSpec, on_line: OnLine<'a>) -> Answer<'a, ImageInfo>;
    /// See [`Engine::name_image`](crate::Engine::name_image).
    fn name_image<'a>(&'a self, reference: &'a str, name: &'a str) -> Answer<'a, ()>;
    /// See [`Engine::remove_image`](crate::Engine::remove_image).
    fn remove_image<'a>(&'a self, reference: &'a str) -> Answer<'a, bool>;
    /// See [`Engine::pull`](crate::Engine::pull).
    fn pull<'a>(
        &'a self,
        reference: &'a str,
        credentials: Option<Credentials>,
        progress: &'a (dyn Fn(PullProgress) + Send + Sync),
    ) -> Answer<'a, ImageInfo>;
    /// See [`Engine::resolve_digest`](crate::Engine::resolve_digest).
    fn resolve_digest<'a>(
        &'a self,
        reference: &'a str,
        credentials: Option<Credentials>,
    ) -> Answer<'a, (Digest, String)>;
    /// See [`Engine::credentials`](crate::Engine::credentials).
    fn credentials<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<Credentials>>;
    /// See [`Engine::reads_folder`](crate::Engine::reads_folder).
    fn reads_folder<'a>(&'a self, folder: &'a Path, inside: &'a Path, image: &'a str) -> Answer<'a, bool>;
    /// See [`Engine::run`](crate::Engine::run).
    fn run<'a>(&'a self, spec: RunSpec, on_line: OnLine<'a>) -> Answer<'a, RunOutcome>;
    /// See [`Engine::change`](crate::Engine::change).
    fn change<'a>(&'a self, spec: RunSpec, root: RootChange, on_line: OnLine<'a>) -> Answer<'a, RunOutcome> {
        let _ = (root, on_line);
        let action = format!("run {} on a root that comes back", spec.name);
        Box::pin(std::future::ready(Err(EngineError::Unsupported { action })))
    }
    /// See [`Engine::watch`](crate::Engine::watch).
    fn watch<'a>(&'a self, spec: RunSpec, test: HealthTest, on_line: OnLine<'a>) -> Answer<'a, Watched>;
    /// See [`Engine::containers`](crate::Engine::containers).
    fn containers(&self) -> Answer<'_, Vec<ContainerInfo>>;
    /// See [`Engine::sweep`](crate::Engine::sweep).
    fn sweep(&self) -> Answer<'_, usize>;
    /// See [`Engine::shutdown`](crate::Engine::shutdown).
    fn shutdown(&self) -> BoxFuture<'_, usize>;
}
