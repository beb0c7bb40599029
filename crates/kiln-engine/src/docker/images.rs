//! Images: what is there, bringing one in, taking one away.

use super::{Docker, status};
use crate::archive::stream_of_reader;
use crate::image::check_reference;
use crate::{EngineError, ImageInfo, NamedImage};
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerCreateBody, ImageInspect};
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use kiln_record::Platform;
use std::io::Read;
use std::time::Duration;

/// How long is waited for containers that are on their way out before an image is taken away: theirs may be that one.
const REMOVALS_TIME: Duration = Duration::from_secs(30);

impl Docker {
    /// See [`crate::Engine::image`].
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        check_reference(reference)?;
        match self.shared.client.inspect_image(reference).await {
            Ok(image) => described(reference, image).map(Some),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed(format!("inspect image {reference}"), error)),
        }
    }

    /// See [`crate::Engine::images`].
    pub(crate) async fn images(&self, beginning: &str) -> Result<Vec<NamedImage>, EngineError> {
        let options = ListImagesOptionsBuilder::new().build();
        let listed = self.shared.client.list_images(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list images", error))?;
        let named = listed.into_iter().flat_map(|image| {
            let size = u64::try_from(image.size).unwrap_or_default();
            image.repo_tags.into_iter().map(move |reference| NamedImage { reference, size })
        });
        let mut named: Vec<NamedImage> =
            named.filter(|image| image.reference.starts_with(beginning)).collect();
        named.sort();
        Ok(named)
    }

    /// See [`crate::Engine::load`].
    pub(crate) async fn load(&self, archive: impl Read + Send + 'static) -> Result<(), EngineError> {
        let (body, reader) = stream_of_reader(archive);
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let answers = self.shared.transfers.import_image(options, bollard::body_try_stream(body), None);
        let mut answers = Box::pin(answers);
        let mut result = Ok(());
        while let Some(answer) = answers.next().await {
            if let Err(error) = answer {
                result = Err(error);
                break;
            }
        }
        drop(answers);
        let Err(error) = result else { return Ok(()) };
        if status(&error).is_none()
            && let Ok(Err(cause)) = reader.await
            && cause.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(EngineError::LoadFailed { why: format!("the archive could not be read: {cause}") });
        }
        match self.failed("load an image", error) {
            EngineError::Refused { why, .. } | EngineError::Broken { why, .. } => {
                Err(EngineError::LoadFailed { why })
            }
            other => Err(other),
        }
    }

    /// See [`crate::Engine::export`].
    pub(crate) async fn export(
        &self,
        reference: &str,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), EngineError> {
        check_reference(reference)?;
        let mut chunks = Box::pin(self.shared.transfers.export_image(reference));
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => sink(&chunk).map_err(|error| EngineError::Broken {
                    action: format!("save image {reference}"),
                    why: error.to_string(),
                })?,
                Err(error) if status(&error) == Some(404) => {
                    return Err(EngineError::ImageMissing { reference: reference.to_owned() });
                }
                Err(error) => return Err(self.failed(format!("save image {reference}"), error)),
            }
        }
        Ok(())
    }

    /// See [`crate::Engine::file_system`].
    pub(crate) async fn file_system(
        &self,
        reference: &str,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), EngineError> {
        let Some(image) = self.image(reference).await? else {
            return Err(EngineError::ImageMissing { reference: reference.to_owned() });
        };
        let never = || Some(vec!["never-started".to_owned()]);
        let container = self
            .create(ContainerCreateBody {
                image: Some(image.id),
                labels: Some(self.labels("file-system").into_iter().collect()),
                entrypoint: never(),
                cmd: never(),
                // An engine makes the folder that a program would start in.
                working_dir: Some("/".to_owned()),
                network_disabled: Some(true),
                ..ContainerCreateBody::default()
            })
            .await?;
        let action = format!("export a container of image {reference}");
        let mut chunks = Box::pin(self.shared.transfers.export_container(container.name()));
        let mut result = Ok(());
        while let Some(chunk) = chunks.next().await {
            let taken = chunk.map_err(|error| self.failed(action.clone(), error)).and_then(|chunk| {
                sink(&chunk)
                    .map_err(|error| EngineError::Broken { action: action.clone(), why: error.to_string() })
            });
            if taken.is_err() {
                result = taken;
                break;
            }
        }
        drop(chunks);
        container.remove().await;
        result
    }

    /// See [`crate::Engine::name_image`].
    pub(crate) async fn name_image(&self, reference: &str, name: &str) -> Result<(), EngineError> {
        check_reference(reference)?;
        check_reference(name)?;
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        match self.shared.client.tag_image(reference, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => {
                Err(EngineError::ImageMissing { reference: reference.to_owned() })
            }
            Err(error) => Err(self.failed(format!("name image {reference}"), error)),
        }
    }

    /// See [`crate::Engine::remove_image`].
    pub(crate) async fn remove_image(&self, reference: &str) -> Result<bool, EngineError> {
        check_reference(reference)?;
        // A container that is not gone yet would keep it; of one that stays, the engine tells.
        let _ = tokio::time::timeout(REMOVALS_TIME, self.live.removals()).await;
        let options = RemoveImageOptionsBuilder::new().build();
        match self.shared.client.remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(self.failed(format!("remove image {reference}"), error)),
        }
    }
}

fn described(reference: &str, image: ImageInspect) -> Result<ImageInfo, EngineError> {
    let unusable = |why: String| EngineError::ImageUnusable { reference: reference.to_owned(), why };
    let system = image.os.unwrap_or_default();
    let architecture = image.architecture.unwrap_or_default();
    let platform: Platform = format!("{system}/{architecture}")
        .parse()
        .map_err(|e: kiln_record::PlatformError| unusable(format!("its platform {e}")))?;
    let layers = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
    let diff_ids = layers
        .iter()
        .map(|layer| layer.parse())
        .collect::<Result<_, kiln_record::DigestError>>()
        .map_err(|e| unusable(e.to_string()))?;
    let config = image.config.unwrap_or_default();
    Ok(ImageInfo {
        id: image.id.ok_or_else(|| unusable("the engine gives it no id".to_owned()))?,
        diff_ids,
        repo_digests: image.repo_digests.unwrap_or_default(),
        platform,
        config_env: config.env.unwrap_or_default(),
        on_build: config.on_build.unwrap_or_default(),
        shell: config.shell.unwrap_or_default(),
        size: image.size.and_then(|size| size.try_into().ok()),
    })
}

/// What the engine says inside a stream that began well.
pub(super) fn stream_error(error: &BollardError) -> Option<&str> {
    match error {
        BollardError::DockerStreamError { error } => Some(error),
        BollardError::DockerResponseServerError { message, .. } => Some(message),
        _ => None,
    }
}
