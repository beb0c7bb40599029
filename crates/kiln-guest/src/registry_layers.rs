//! Bases of a registry in the store: manifest, config and layers, each by its digest. A build without a network loads them
//! from there.

use crate::GuestError;
use kiln_image::{Descriptor, Image, manifest_blobs};
use kiln_record::Digest;
use kiln_store::Store;

/// The kind of cache value: what the manifest of a base names.
const CACHE: &str = "registry-image";

/// The image of a manifest, if the store has all of it.
///
/// # Errors
/// If the store cannot be read, or what it has of the image does not fit.
pub fn stored_registry_image(store: &Store, manifest: &Digest) -> Result<Option<Image>, GuestError> {
    if !store.contains(manifest) {
        return Ok(None);
    }
    let bytes = store.read_blob(manifest)?;
    // A base that is known by its configuration, as in an engine that has no manifests, has none here.
    let Ok((config, layers)) = manifest_blobs(&bytes) else { return Ok(None) };
    let is_there = |blob: &Descriptor| store.contains(&blob.digest);
    if !is_there(&config) || !layers.iter().all(is_there) {
        return Ok(None);
    }
    // What a manifest names is looked for in no blob: what is remembered says that it is needed.
    if store.cache_get::<Vec<Digest>>(CACHE, manifest)?.is_none() {
        let named: Vec<Digest> = layers.iter().chain([&config]).map(|blob| blob.digest).collect();
        store.cache_put(CACHE, manifest, &named)?;
    }
    Ok(Some(Image::read(bytes, store.read_blob(&config.digest)?)?))
}
