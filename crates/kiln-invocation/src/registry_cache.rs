//! A container registry as a cache of downloads, for those who have one and no server of the Remote Execution API.
//!
//! It holds what is known by its SHA-256 before it is asked for: packages that bases are put together from, wheels, source
//! distributions. Whatever comes is held against that digest, so that nobody's word is taken. Each blob has a manifest of its own
//! under a tag made of its digest: what no manifest names, registries remove.

use crate::{InvocationError, RegistryCacheSettings, blocking};
use kiln_engine::{EngineError, EngineSettings, registry_credentials};
use kiln_fetch::{FetchError, NetworkSettings, Registry, RegistryLogin, Reopened};
use kiln_image::{ArtifactManifest, Descriptor, EMPTY_CONFIG, ImageError, MANIFEST_MEDIA_TYPE};
use kiln_record::Digest;
use kiln_store::{Store, StoreError, has_room};
use std::collections::BTreeMap;
use std::io;
use tokio::sync::OnceCell;

/// What a cached download is.
const CACHED: &str = "application/vnd.kiln.cached.v1";
/// The media type of its bytes: they are whatever they are elsewhere.
const BYTES: &str = "application/octet-stream";
/// The most bytes of a download whose length the cache alone states.
const LARGEST: u64 = 2 << 30;

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
    Run(#[from] InvocationError),
}

impl From<StoreError> for RegistryCacheError {
    fn from(error: StoreError) -> Self {
        Self::Run(error.into())
    }
}

/// The cache of a run.
pub(crate) struct RegistryCache {
    settings: RegistryCacheSettings,
    engine: EngineSettings,
    network: NetworkSettings,
    /// Logged in to read.
    connected: OnceCell<Registry>,
    /// Whether it is logged in to write as well.
    writes: OnceCell<()>,
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
        Self {
            settings,
            engine,
            network,
            connected: OnceCell::new(),
            writes: OnceCell::new(),
            config: OnceCell::new(),
        }
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
            // Who may only read is refused when something is to be written, and goes on reading.
            registry.log_in(self.repository(), false).await?;
            Ok(registry)
        };
        self.connected.get_or_try_init(connect).await
    }

    /// Brings a blob of a known digest into the store, whose size in bytes is known as well or is asked for; `false` if the cache does
    /// not have it.
    pub(crate) async fn fetch(
        &self,
        store: &Store,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<bool, RegistryCacheError> {
        let registry = self.registry().await?;
        let size = match size {
            Some(size) if registry.has_blob(self.repository(), digest).await? => size,
            Some(_) => return Ok(false),
            None => match self.stated(registry, digest).await?.filter(|size| *size <= LARGEST) {
                Some(size) => size,
                None => return Ok(false),
            },
        };
        has_room(store.root(), &format!("the blob {digest}"), size)?;
        let writers = store.clone();
        let mut sink = Reopened::new(move || writers.writer().map_err(io::Error::other));
        registry.pull_blob(self.repository(), digest, size, &mut sink).await?;
        if let Some(writer) = sink.into_inner() {
            let digest = *digest;
            blocking::<_, InvocationError>(move || Ok(writer.commit(Some(&digest))?)).await?;
        }
        Ok(store.contains(digest))
    }

    /// The size of a blob by the manifest that keeps it.
    async fn stated(&self, registry: &Registry, digest: &Digest) -> Result<Option<u64>, RegistryCacheError> {
        let Some(manifest) = registry.manifest(self.repository(), &tag(digest)).await? else {
            return Ok(None);
        };
        let layers = ArtifactManifest::from_json(&manifest)?.layers;
        Ok(layers.into_iter().find(|layer| layer.digest == *digest).map(|layer| layer.size))
    }

    /// Sends a blob of the store, unless the cache has it.
    pub(crate) async fn send(&self, store: &Store, digest: &Digest) -> Result<(), RegistryCacheError> {
        let (registry, repository) = (self.registry().await?, self.repository());
        let tag = tag(digest);
        if registry.manifest(repository, &tag).await?.is_some() {
            return Ok(());
        }
        self.writes.get_or_try_init(|| registry.log_in(repository, true)).await?;
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

/// The tag of the manifest that keeps a blob.
fn tag(digest: &Digest) -> String {
    format!("blob-{}", digest.hex())
}
