//! Brings bases of a registry into the store, for a build that will have no network.

use crate::registry_layers::stored_registry_image;
use crate::{Bases, GuestError};
use kiln_fetch::{FetchError, Registry, RegistryLogin, Reopened};
use kiln_image::{Descriptor, Image, ImageError, manifest_blobs};
use kiln_invocation::{Event, blocking};
use kiln_plan::{PinnedBase, RegistryDefinition};
use kiln_record::Defect;
use kiln_store::has_room;
use std::io;

/// Configs are documents of some kilobytes.
const CONFIG_LIMIT: u64 = 8 << 20;

/// Brings all of a registry's base into the store, by the digest of its lock and by those that its manifest names.
///
/// # Errors
/// If the registry does not give it, or gives something else.
pub async fn bring_registry_image(
    bases: &Bases,
    base: &PinnedBase,
    registry: &RegistryDefinition,
) -> Result<Image, GuestError> {
    let (store, name) = (bases.store(), &base.definition.name);
    if let Some(image) = stored_registry_image(store, &base.lock.manifest)? {
        return Ok(image);
    }
    let place = bases.place(name, registry)?;
    let text = place.reference.to_string();
    bases.network().may_ask(|| format!("base {name} ({text}@{})", base.lock.manifest))?;
    let credentials = bases.engine().await?.credentials(&text).await?;
    let login = credentials.map(|found| RegistryLogin {
        username: found.username,
        password: found.password,
        identity_token: found.identity_token,
    });
    let settings = bases.network().settings();
    let from = Registry::new(place.reference.registry(), settings, login.as_ref(), place.plain_http)?;
    let repository = place.reference.repository().to_owned();
    from.log_in(&repository, false).await?;
    let manifest = from
        .manifest(&repository, &base.lock.manifest.to_string())
        .await?
        .ok_or_else(|| FetchError::NotFound { url: format!("{text}@{}", base.lock.manifest) })?;
    let (config, layers) = manifest_blobs(&manifest)?;
    if config.size > CONFIG_LIMIT {
        let what = format!("the config of base {name}");
        return Err(ImageError::TooLarge { what, limit: CONFIG_LIMIT }.into());
    }
    let missing: Vec<&Descriptor> =
        layers.iter().chain([&config]).filter(|blob| !store.contains(&blob.digest)).collect();
    let size = missing.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
    has_room(store.root(), &format!("the layers of base {name}"), size)?;
    for blob in missing {
        let file = format!("{name} {}", &blob.digest.hex()[..12]);
        bases.run().tell(Event::DownloadStarted { file: file.clone(), size: Some(blob.size) });
        let into = store.clone();
        let mut sink = Reopened::new(move || into.writer().map_err(io::Error::other));
        let outcome = from.pull_blob(&repository, &blob.digest, blob.size, &mut sink).await;
        bases.run().tell(Event::DownloadEnded { file });
        outcome?;
        let Some(writer) = sink.into_inner() else {
            return Err(Defect::new("a blob came and nothing was written").into());
        };
        let digest = blob.digest;
        blocking::<_, GuestError>(move || Ok(writer.commit(Some(&digest))?)).await?;
    }
    // Last, since what is named by a manifest that is there counts as being there.
    store.put(&manifest)?;
    stored_registry_image(store, &base.lock.manifest)?
        .ok_or_else(|| Defect::new(format!("base {name} was brought and is not in the store")).into())
}
