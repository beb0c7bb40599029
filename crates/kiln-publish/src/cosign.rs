//! Where cosign looks for the signature of a manifest: under a tag made of its digest, and among what refers to it (OCI 1.1).

use crate::PublishError;
use crate::document::written;
use crate::repository::in_registry;
use kiln_attest::ImageSignature;
use kiln_fetch::Registry;
use kiln_image::{ArtifactManifest, CONFIG_MEDIA_TYPE, Descriptor, MANIFEST_MEDIA_TYPE};
use kiln_record::{Digest, canonical_json};
use serde_json::{Value, json};

/// The media type of a payload.
pub(crate) const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What a manifest is that refers to another one with a signature of it.
pub(crate) const ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The annotation of a payload with its signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The payload as a layer, with its signature.
pub(crate) fn layer(signature: &ImageSignature) -> Descriptor {
    let mut layer = Descriptor::of(PAYLOAD, signature.payload());
    layer.annotations.insert(SIGNATURE.to_owned(), signature.base64());
    layer
}

/// The tag under which the signatures of a manifest are.
fn tag(manifest: &Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

/// Puts a signature under the tag, beside those that are there. The payload is in the repository already.
pub(crate) async fn list(
    registry: &Registry,
    repository: &str,
    manifest: &Digest,
    signature: &ImageSignature,
) -> Result<(), PublishError> {
    let tag = tag(manifest);
    let there = registry.manifest(repository, &tag).await?;
    let mut layers = match &there {
        Some(bytes) => {
            ArtifactManifest::from_json(bytes).map_err(in_registry(&format!("{repository}:{tag}")))?.layers
        }
        None => Vec::new(),
    };
    let own = layer(signature);
    if layers.contains(&own) {
        return Ok(());
    }
    layers.push(own);
    let (manifest, config) = listing(&layers)?;
    registry.push_bytes(repository, &config).await?;
    Ok(registry.push_manifest(repository, &tag, MANIFEST_MEDIA_TYPE, &manifest).await?)
}

/// A list of signatures in the form of an image whose layers they are, with its config.
fn listing(layers: &[Descriptor]) -> Result<(Vec<u8>, Vec<u8>), PublishError> {
    let digests: Vec<String> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    let config = json!({
        "architecture": "", "os": "", "config": {},
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let config = written(canonical_json(&config))?;
    let layers: Vec<Value> = layers
        .iter()
        .map(|one| {
            json!({
                "mediaType": one.media_type, "digest": one.digest, "size": one.size, "annotations": one.annotations,
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": {
            "mediaType": CONFIG_MEDIA_TYPE, "digest": Digest::of(&config), "size": config.len(),
        },
        "layers": layers,
    });
    Ok((written(canonical_json(&manifest))?, config))
}
