//! Image indexes: one image for several platforms (OCI image specification 1.1, "Image Index").

use crate::oci::{Blob, OCI_LAYOUT, canonical, platform_value, write_blobs};
use crate::{Descriptor, INDEX_MEDIA_TYPE, ImageError, MANIFEST_MEDIA_TYPE};
use kiln_record::{Digest, Platform};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// The manifest of one platform, as an index names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformManifest {
    /// What it runs on.
    pub platform: Platform,
    /// The variant of the processor, if the image's config states one.
    pub variant: Option<String>,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Makes an index. Equal arguments give equal bytes: the manifests are sorted by platform.
///
/// # Errors
/// [`ImageError::Image`] if there is no platform, or one is there twice.
pub fn image_index(
    platforms: &[PlatformManifest],
    annotations: &BTreeMap<String, String>,
) -> Result<Vec<u8>, ImageError> {
    let error = |reason: &str| ImageError::Image { reason: format!("the index {reason}") };
    let sorted: BTreeMap<_, _> =
        platforms.iter().map(|one| ((one.platform, one.variant.as_deref()), one)).collect();
    if sorted.is_empty() {
        return Err(error("has no platform"));
    }
    if sorted.len() < platforms.len() {
        return Err(error("has a platform twice"));
    }
    let manifests: Vec<Value> = sorted
        .values()
        .map(|one| {
            json!({
                "mediaType": MANIFEST_MEDIA_TYPE,
                "digest": one.digest,
                "size": one.size,
                "platform": platform_value(one.platform, one.variant.as_deref()),
            })
        })
        .collect();
    let mut value = json!({
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": manifests,
    });
    if !annotations.is_empty() {
        value["annotations"] = json!(annotations);
    }
    canonical(&value)
}

/// What an index says of one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The system, processor and variant, such as `linux/arm64/v8`; empty where the index does not say.
    pub platform: String,
    /// The manifest.
    pub descriptor: Descriptor,
}

impl IndexEntry {
    /// Whether it is the image of a platform, of whatever variant.
    #[must_use]
    pub fn is_for(&self, platform: Platform) -> bool {
        let wanted = platform.to_string();
        self.platform.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Reads a document of a registry as an index; none if it is a manifest.
///
/// # Errors
/// [`ImageError::Document`] if it is neither.
pub fn read_image_index(bytes: &[u8]) -> Result<Option<Vec<IndexEntry>>, ImageError> {
    let broken = |reason: String| ImageError::Document { what: "index".to_owned(), reason };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))?;
    let Some(manifests) = value.get("manifests") else { return Ok(None) };
    let manifests = manifests.as_array().ok_or_else(|| broken("`manifests` is no list".to_owned()))?;
    let entry = |entry: &Value| {
        let part = |key: &str| entry.pointer(&format!("/platform/{key}")).and_then(Value::as_str);
        let parts: Vec<&str> = ["os", "architecture", "variant"].into_iter().filter_map(part).collect();
        Ok(IndexEntry { platform: parts.join("/"), descriptor: Descriptor::from_value(entry)? })
    };
    manifests.iter().map(entry).collect::<Result<_, _>>().map(Some)
}

/// The files of an OCI layout of an index that are no blobs, by their path in it. The layout names the index by `reference`.
///
/// # Errors
/// [`ImageError::Image`], never for an index of this crate.
pub fn index_layout_documents(index: &[u8], reference: &str) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
    let layout = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": [{
            "mediaType": INDEX_MEDIA_TYPE,
            "digest": Digest::of(index),
            "size": index.len(),
            "annotations": {"org.opencontainers.image.ref.name": reference},
        }],
    }))?;
    Ok(vec![("index.json".to_owned(), layout), ("oci-layout".to_owned(), OCI_LAYOUT.to_vec())])
}

/// Writes an index and all that it leads to as an OCI layout in one tar. `blobs` are the manifests, configs and layers of
/// its platforms with their lengths; each is asked for by digest, once, and checked while it is written.
///
/// # Errors
/// [`ImageError::Io`] if reading or writing fails, [`ImageError::Image`] if a blob's content has another digest or size.
pub fn write_index_tar<W: Write>(
    writer: W,
    index: &[u8],
    reference: &str,
    blobs: &BTreeMap<Digest, u64>,
    content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), ImageError> {
    let documents = index_layout_documents(index, reference)?;
    let documents: Vec<(&str, &[u8])> =
        documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let mut all: BTreeMap<Digest, Blob<'_>> =
        blobs.iter().map(|(digest, size)| (*digest, Blob::Content(*size))).collect();
    all.insert(Digest::of(index), Blob::Document(index));
    write_blobs(writer, &all, &documents, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(platform: &str, variant: Option<&str>) -> PlatformManifest {
        PlatformManifest {
            platform: platform.parse().unwrap(),
            variant: variant.map(str::to_owned),
            digest: Digest::of(platform.as_bytes()),
            size: platform.len() as u64,
        }
    }

    #[test]
    fn an_index_is_the_same_in_any_order_and_another_implementation_reads_it() {
        let (amd64, arm64) = (manifest("linux/amd64", None), manifest("linux/arm64", Some("v8")));
        let annotations = BTreeMap::from([("org.example".to_owned(), "x".to_owned())]);
        let bytes = image_index(&[arm64.clone(), amd64.clone()], &annotations).unwrap();
        assert_eq!(image_index(&[amd64.clone(), arm64.clone()], &annotations).unwrap(), bytes);
        let judged: oci_spec::image::ImageIndex = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(judged.media_type().as_ref().unwrap().to_string(), INDEX_MEDIA_TYPE);
        assert_eq!(judged.annotations().clone().unwrap()["org.example"], "x");
        let platforms: Vec<String> = judged
            .manifests()
            .iter()
            .map(|entry| {
                let platform = entry.platform().clone().unwrap();
                format!("{} {:?}", platform.architecture(), platform.variant())
            })
            .collect();
        assert_eq!(platforms, ["amd64 None", "arm64 Some(\"v8\")"]);
        let entries = read_image_index(&bytes).unwrap().unwrap();
        assert_eq!(entries[1].platform, "linux/arm64/v8");
        assert!(entries[1].is_for(arm64.platform) && !entries[1].is_for(amd64.platform));
        assert_eq!(entries[0].descriptor.digest, amd64.digest);
    }

    #[test]
    fn what_is_no_index_is_told_apart() {
        let twice = [manifest("linux/amd64", None), manifest("linux/amd64", None)];
        assert!(image_index(&twice, &BTreeMap::new()).is_err());
        assert!(image_index(&[], &BTreeMap::new()).is_err());
        assert_eq!(read_image_index(b"{\"layers\": []}").unwrap(), None);
        assert!(read_image_index(b"{\"manifests\": 1}").is_err());
        assert!(read_image_index(b"{\"manifests\": [{}]}").is_err());
    }

    #[test]
    fn an_archive_holds_every_blob_once_and_checks_it() {
        let index = image_index(&[manifest("linux/amd64", None)], &BTreeMap::new()).unwrap();
        let blobs = BTreeMap::from([(Digest::of(b"one"), 3)]);
        let write = |content: &'static [u8]| {
            let mut bytes = Vec::new();
            write_index_tar(&mut bytes, &index, "web", &blobs, |_| Ok(Box::new(content))).map(|()| bytes)
        };
        let bytes = write(b"one").unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        assert_eq!(archive.entries().unwrap().count(), 6, "two folders, two blobs, two documents");
        assert!(write(b"two").is_err());
    }
}
