//! Which cache machines share.

use kiln_image::{ImageError, Reference};
use kiln_record::excerpt;
use kiln_remote::RemoteSettings;

/// A cache that machines share.
#[derive(Clone, Debug)]
pub enum SharedCache {
    /// A server of the Remote Execution API.
    Remote(RemoteSettings),
    /// A repository of a container registry, which holds downloads and no results.
    Registry(RegistryCacheSettings),
}

/// Which repository of a registry is the cache.
#[derive(Clone, Debug)]
pub struct RegistryCacheSettings {
    pub(crate) repository: Reference,
    /// Whether what is downloaded here is sent to it.
    pub write: bool,
}

impl RegistryCacheSettings {
    /// The registry, and the repository in it.
    #[must_use]
    pub fn registry_and_repository(&self) -> (&str, &str) {
        (self.repository.registry(), self.repository.repository())
    }

    /// The cache in a repository, `HOST[:PORT]/REPOSITORY`.
    ///
    /// # Errors
    /// [`ImageError::Reference`] if the text is something else, or has a tag or a digest.
    pub fn new(repository: &str, write: bool) -> Result<Self, ImageError> {
        let reference: Reference = repository.parse()?;
        if reference.tag().is_some() || reference.digest().is_some() {
            let reason = "a cache is a whole repository: leave tag and digest out".to_owned();
            return Err(ImageError::Reference { text: excerpt(repository), reason });
        }
        Ok(Self { repository: reference, write })
    }
}
