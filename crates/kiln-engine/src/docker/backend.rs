//! Docker as what does an engine's work: each request is the method of its name in this folder.

use super::Docker;
use crate::backend::{Answer, Backend, OnLine};
use crate::{
    BuildSpec, Builder, ContainerInfo, Credentials, EngineInfo, HealthTest, ImageInfo, NamedImage,
    PullProgress, RunOutcome, RunSpec, Session, Watched,
};
use futures_util::future::BoxFuture;
use kiln_record::Digest;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

impl Backend for Docker {
    fn with_session(&self, session: Session) -> Arc<dyn Backend> {
        Arc::new(self.with_session(session))
    }

    fn session(&self) -> &Session {
        self.session()
    }

    fn info(&self) -> Answer<'_, EngineInfo> {
        Box::pin(self.info())
    }

    fn image<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<ImageInfo>> {
        Box::pin(self.image(reference))
    }

    fn images<'a>(&'a self, beginning: &'a str) -> Answer<'a, Vec<NamedImage>> {
        Box::pin(self.images(beginning))
    }

    fn load(&self, archive: Box<dyn Read + Send>) -> Answer<'_, ()> {
        Box::pin(self.load(archive))
    }

    fn export<'a>(
        &'a self,
        reference: &'a str,
        sink: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Answer<'a, ()> {
        Box::pin(self.export(reference, sink))
    }

    fn file_system<'a>(
        &'a self,
        reference: &'a str,
        sink: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> Answer<'a, ()> {
        Box::pin(self.file_system(reference, sink))
    }

    fn builder(&self) -> Builder {
        self.builder()
    }

    fn build<'a>(&'a self, spec: BuildSpec, on_line: OnLine<'a>) -> Answer<'a, ImageInfo> {
        Box::pin(self.build(spec, on_line))
    }

    fn name_image<'a>(&'a self, reference: &'a str, name: &'a str) -> Answer<'a, ()> {
        Box::pin(self.name_image(reference, name))
    }

    fn remove_image<'a>(&'a self, reference: &'a str) -> Answer<'a, bool> {
        Box::pin(self.remove_image(reference))
    }

    fn pull<'a>(
        &'a self,
        reference: &'a str,
        credentials: Option<Credentials>,
        progress: &'a (dyn Fn(PullProgress) + Send + Sync),
    ) -> Answer<'a, ImageInfo> {
        Box::pin(self.pull(reference, credentials, progress))
    }

    fn resolve_digest<'a>(
        &'a self,
        reference: &'a str,
        credentials: Option<Credentials>,
    ) -> Answer<'a, (Digest, String)> {
        Box::pin(self.resolve_digest(reference, credentials))
    }

    fn credentials<'a>(&'a self, reference: &'a str) -> Answer<'a, Option<Credentials>> {
        Box::pin(self.credentials(reference))
    }

    fn reads_folder<'a>(&'a self, folder: &'a Path, inside: &'a Path, image: &'a str) -> Answer<'a, bool> {
        Box::pin(self.reads_folder(folder, inside, image))
    }

    fn run<'a>(&'a self, spec: RunSpec, on_line: OnLine<'a>) -> Answer<'a, RunOutcome> {
        Box::pin(self.run(spec, on_line))
    }

    fn watch<'a>(&'a self, spec: RunSpec, test: HealthTest, on_line: OnLine<'a>) -> Answer<'a, Watched> {
        Box::pin(self.watch(spec, test, on_line))
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerInfo>> {
        Box::pin(self.containers())
    }

    fn sweep(&self) -> Answer<'_, usize> {
        Box::pin(self.sweep())
    }

    fn shutdown(&self) -> BoxFuture<'_, usize> {
        Box::pin(self.shutdown())
    }
}
