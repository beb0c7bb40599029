//! Where things are in an OCI layout (OCI image specification 1.1, "Image Layout"), and the manifest of a bundle.

use crate::BundleError;
use kiln_image::{Descriptor, INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE};
use kiln_record::{Digest, canonical_json};
use serde_json::{Value, json};

/// What the manifest says that it is.
pub(crate) const ARTIFACT_TYPE: &str = "application/vnd.kiln.bundle.v1";
/// The media type of the document that describes it.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.kiln.bundle.content.v1+json";
/// The media type of its files, whatever they are.
pub(crate) const FILE_TYPE: &str = "application/octet-stream";
/// The file that says which layout it is.
pub(crate) const LAYOUT_FILE: (&str, &[u8]) = ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}\n");
/// The file that names the manifest.
pub(crate) const INDEX_FILE: &str = "index.json";
/// The folder of everything else.
pub(crate) const BLOBS: &str = "blobs/sha256/";

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

/// The manifest of a bundle: its description and its files.
pub(crate) fn manifest(config: &Descriptor, files: &[Descriptor]) -> Result<Vec<u8>, BundleError> {
    let described = |one: &Descriptor| {
        let mut value = json!({ "mediaType": one.media_type, "digest": one.digest, "size": one.size });
        if !one.annotations.is_empty() {
            value["annotations"] = json!(one.annotations);
        }
        value
    };
    canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": described(config),
        "layers": files.iter().map(described).collect::<Vec<_>>(),
    }))
}

/// The index of a layout that holds one bundle.
pub(crate) fn index(manifest: &[u8]) -> Result<Vec<u8>, BundleError> {
    canonical(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": [{
            "mediaType": MANIFEST_MEDIA_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "digest": Digest::of(manifest),
            "size": manifest.len(),
        }],
    }))
}

/// The descriptor of the bundle's manifest in an index.
pub(crate) fn named_manifest(index: &[u8]) -> Result<Descriptor, BundleError> {
    let foreign = |why: String| BundleError::Foreign { why };
    let value: Value = serde_json::from_slice(index)
        .map_err(|error| foreign(format!("its {INDEX_FILE} is none: {error}")))?;
    match value.get("manifests").and_then(Value::as_array).map(Vec::as_slice) {
        Some([one]) => Ok(Descriptor::from_value(one)?),
        Some(others) => Err(foreign(format!("its {INDEX_FILE} names {} manifests", others.len()))),
        None => Err(foreign(format!("its {INDEX_FILE} names no manifests"))),
    }
}

/// What a manifest says that it is.
pub(crate) fn artifact_type(manifest: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(manifest).ok()?;
    Some(value.get("artifactType")?.as_str()?.to_owned())
}

fn canonical(value: &Value) -> Result<Vec<u8>, BundleError> {
    canonical_json(value).map_err(|error| kiln_record::Defect::new(error.to_string()).into())
}
