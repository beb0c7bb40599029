//! An image in a registry that is to be pinned: which manifest it has for a platform, and whether it is for that platform.

use crate::LockError;
use kiln_fetch::{FetchError, Registry, RegistryLogin};
use kiln_guest::{Bases, of_registry};
use kiln_image::{BaseConfig, Descriptor, ImageError, IndexEntry, Reference, image_config, read_image_index};
use kiln_plan::{BaseDefinition, PlatformLock, RegistryDefinition};
use kiln_record::{Digest, Platform};

/// Configs are documents of some kilobytes.
const CONFIG_LIMIT: u64 = 8 << 20;

/// What a reference names now.
pub(crate) struct RegistryImage<'d> {
    definition: &'d BaseDefinition,
    /// The reference as the definition states it.
    stated: &'d str,
    registry: Registry,
    repository: String,
    digest: Digest,
    document: Vec<u8>,
    /// What it says, if it is an index.
    index: Option<Vec<IndexEntry>>,
}

impl<'d> RegistryImage<'d> {
    /// Asks what a reference names. The tag is resolved once for all platforms, by the engine, which is what pulls by the
    /// digest later; documents are then read by digest.
    pub(crate) async fn of(
        bases: &Bases,
        definition: &'d BaseDefinition,
        stated: &'d RegistryDefinition,
    ) -> Result<Self, LockError> {
        let reference: Reference = stated.reference.parse()?;
        let place = bases.place(&definition.name, stated)?;
        let text = place.reference.to_string();
        let engine = bases.engine().await?;
        let credentials = engine.credentials(&text).await?;
        let (digest, _media_type) = engine
            .resolve_digest(&text, credentials.clone())
            .await
            .map_err(|error| of_registry(&definition.name, text != stated.reference, error))?;
        if let Some(stated) = reference.digest()
            && stated != digest
        {
            return Err(LockError::NotUsable {
                what: reference.to_string(),
                reason: format!("the registry answers with {digest}"),
            });
        }
        let login = credentials.map(|found| RegistryLogin {
            username: found.username,
            password: found.password,
            identity_token: found.identity_token,
        });
        let settings = bases.network().settings();
        let registry = Registry::new(place.reference.registry(), settings, login.as_ref(), place.plain_http)?;
        let repository = place.reference.repository().to_owned();
        registry.log_in(&repository, false).await?;
        let document = manifest(&registry, &repository, &digest).await?;
        let index = read_image_index(&document)?;
        Ok(Self { definition, stated: &stated.reference, registry, repository, digest, document, index })
    }

    /// The facts for a platform. Whatever an index says, the config of the image decides what it is for.
    pub(crate) async fn lock(&self, platform: Platform) -> Result<PlatformLock, LockError> {
        let Some(entries) = &self.index else {
            self.is_for(platform, &self.document).await?;
            return Ok(facts(self.digest, None));
        };
        let Some(entry) = entries.iter().find(|entry| entry.is_for(platform)) else {
            let mut there: Vec<&str> = entries.iter().map(|entry| entry.platform.as_str()).collect();
            there.retain(|platform| !platform.is_empty() && !platform.starts_with("unknown"));
            return Err(self.other_platform(platform, &there.join(", ")));
        };
        let digest = entry.descriptor.digest;
        let document = manifest(&self.registry, &self.repository, &digest).await?;
        self.is_for(platform, &document).await?;
        Ok(facts(digest, Some(self.digest)))
    }

    /// Holds the config of an image against a platform.
    async fn is_for(&self, platform: Platform, manifest: &[u8]) -> Result<(), LockError> {
        let Descriptor { digest, size, .. } = image_config(manifest)?;
        if size > CONFIG_LIMIT {
            return Err(
                ImageError::TooLarge { what: "the image's config".to_owned(), limit: CONFIG_LIMIT }.into()
            );
        }
        let mut config = Vec::new();
        self.registry.pull_blob(&self.repository, &digest, size, &mut config).await?;
        let found = BaseConfig::stated_platform(&config)?;
        match found == platform.to_string() {
            true => Ok(()),
            false => Err(self.other_platform(platform, &found)),
        }
    }

    fn other_platform(&self, wanted: Platform, found: &str) -> LockError {
        LockError::OtherPlatform {
            base: self.definition.name.clone(),
            reference: self.stated.into(),
            wanted,
            found: found.into(),
        }
    }
}

fn facts(manifest: Digest, index: Option<Digest>) -> PlatformLock {
    PlatformLock { manifest, index, config: None, release: None, packages: Vec::new() }
}

async fn manifest(registry: &Registry, repository: &str, digest: &Digest) -> Result<Vec<u8>, LockError> {
    let found = registry.manifest(repository, &digest.to_string()).await?;
    Ok(found.ok_or_else(|| FetchError::NotFound { url: format!("{repository}@{digest}") })?)
}
