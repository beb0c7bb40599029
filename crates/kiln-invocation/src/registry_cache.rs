//! A container registry as a cache of downloads, for those who have one and no server of the Remote Execution API.
//!
//! It holds what is known by its SHA-256 before it is asked for: packages that bases are put together from, wheels, source
//! distributions. Whatever comes is held against that digest, so that nobody's word is taken. Each blob has a manifest of its own
//! under a tag made of its digest: what no manifest names, registries remove.

use kiln_engine::{EngineError, EngineSettings, registry_credentials};
use kiln_fetch::{FetchError, NetworkSettings, Registry, RegistryLogin, Reopened};
use kiln_image::{ArtifactManifest, Descriptor, EMPTY_CONFIG, ImageError, MANIFEST_MEDIA_TYPE, Reference};
use kiln_record::{Digest, excerpt};
use kiln_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::io;
use tokio::sync::OnceCell;

/// What a cached download is.
const CACHED: &str = "application/vnd.kiln.cached.v1";
/// The media type of its bytes: they are whatever they are elsewhere.
const BYTES: &str = "application/octet-stream";

/// Which repository of a registry is the cache.
#[derive(Clone, Debug)]
pub struct RegistryCacheSettings {
    repository: Reference,
    /// Whether what is downloaded here is sent to it.
    pub write: bool,
}

impl RegistryCacheSettings {
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

/// Why a download is not taken from the cache, or not sent to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryCacheError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("failed to {0}")]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It is this machine that fails, and not the cache.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The cache of a run.
pub(crate) struct RegistryCache {
    settings: RegistryCacheSettings,
    engine: EngineSettings,
    network: NetworkSettings,
    connected: OnceCell<Registry>,
    /// Whether the config is there that every manifest names. Pushed by several at once, a registry that keeps links in files has
    /// been seen to read one that was not written yet.
    config: OnceCell<()>,
}

impl RegistryCache {
    /// Nothing is connected yet. The login is the one that Docker has for the registry.
    pub(crate) fn new(
        settings: RegistryCacheSettings,
        engine: EngineSettings,
        network: NetworkSettings,
    ) -> Self {
        Self { settings, engine, network, connected: OnceCell::new(), config: OnceCell::new() }
    }

    fn repository(&self) -> &str {
        self.settings.repository.repository()
    }

    async fn registry(&self) -> Result<&Registry, RegistryCacheError> {
        let connect = || async {
            let host = self.settings.repository.registry();
            let login = registry_credentials(&self.engine, host).await?;
            let login = login.map(|found| RegistryLogin {
                username: found.username,
                password: found.password,
                identity_token: found.identity_token,
            });
            let registry = Registry::new(host, &self.network, login.as_ref(), false)?;
            registry.log_in(self.repository(), self.settings.write).await?;
            Ok(registry)
        };
        self.connected.get_or_try_init(connect).await
    }

    /// Brings a blob of a known digest and size, in bytes, into the store; `false` if the cache does not have it.
    pub(crate) async fn fetch(
        &self,
        store: &Store,
        digest: &Digest,
        size: u64,
    ) -> Result<bool, RegistryCacheError> {
        let registry = self.registry().await?;
        if !registry.has_blob(self.repository(), digest).await? {
            return Ok(false);
        }
        let writers = store.clone();
        let mut sink = Reopened::new(move || writers.writer().map_err(io::Error::other));
        registry.pull_blob(self.repository(), digest, size, &mut sink).await?;
        if let Some(writer) = sink.into_inner() {
            writer.commit(Some(digest))?;
        }
        Ok(store.contains(digest))
    }

    /// Sends a blob of the store, unless the cache has it.
    pub(crate) async fn send(&self, store: &Store, digest: &Digest) -> Result<(), RegistryCacheError> {
        let (registry, repository) = (self.registry().await?, self.repository());
        let tag = format!("blob-{}", digest.hex());
        if registry.manifest(repository, &tag).await?.is_some() {
            return Ok(());
        }
        let size = store.size_of(digest)?;
        registry.push_blob(repository, digest, &store.path_of(digest), (0, size), &|_| ()).await?;
        self.config.get_or_try_init(|| registry.push_bytes(repository, EMPTY_CONFIG)).await?;
        let blob =
            Descriptor { media_type: BYTES.to_owned(), digest: *digest, size, annotations: BTreeMap::new() };
        let manifest = ArtifactManifest {
            artifact_type: CACHED.to_owned(),
            layers: vec![blob],
            subject: None,
            annotations: BTreeMap::new(),
        };
        let manifest = manifest.to_json()?;
        Ok(registry.push_manifest(repository, &tag, MANIFEST_MEDIA_TYPE, &manifest).await?)
    }
}
