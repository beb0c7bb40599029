//! OCI manifests for what is no image: an archive with its documents, and the documents that refer to one (OCI image
//! specification 1.1, "Guidelines for Artifact Usage" and "Image Manifest Property Descriptions").

use crate::ImageError;
use crate::media_type::{EMPTY_MEDIA_TYPE, INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE};
use kiln_record::{Digest, canonical_json};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The bytes of the config that says nothing.
pub const EMPTY_CONFIG: &[u8] = b"{}";
/// The annotation with the file name of a blob.
pub const TITLE: &str = "org.opencontainers.image.title";

/// What a manifest says of a blob or of another manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type of its bytes.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// What else is said of it.
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes bytes.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }

    fn value(&self) -> Value {
        let mut value = json!({
            "mediaType": self.media_type,
            "digest": self.digest.to_string(),
            "size": self.size,
        });
        annotate(&mut value, &self.annotations);
        value
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    /// [`ImageError::Document`] if a field is missing or of another kind.
    pub fn from_value(value: &Value) -> Result<Self, ImageError> {
        let broken = |what: &str| ImageError::Document {
            what: "descriptor".to_owned(),
            reason: format!("`{what}` is missing or not what it should be"),
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let annotations = value.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(Self {
            media_type: text("mediaType").ok_or_else(|| broken("mediaType"))?.to_owned(),
            digest: text("digest").and_then(|text| text.parse().ok()).ok_or_else(|| broken("digest"))?,
            size: value.get("size").and_then(Value::as_u64).ok_or_else(|| broken("size"))?,
            annotations: annotations
                .into_iter()
                .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
                .collect(),
        })
    }
}

fn annotate(value: &mut Value, annotations: &BTreeMap<String, String>) {
    if let (false, Some(members)) = (annotations.is_empty(), value.as_object_mut()) {
        members.insert("annotations".to_owned(), json!(annotations));
    }
}

/// An artifact's manifest: what it is, its blobs in order, and what it refers to, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactManifest {
    /// The media type of the whole.
    pub artifact_type: String,
    /// The blobs.
    pub layers: Vec<Descriptor>,
    /// The manifest that it says something about.
    pub subject: Option<Descriptor>,
    /// What else is said of it.
    pub annotations: BTreeMap<String, String>,
}

/// The config that the manifest of an image names.
///
/// # Errors
/// [`ImageError::Document`] if it names none.
pub fn image_config(manifest: &[u8]) -> Result<Descriptor, ImageError> {
    let broken = |reason: String| ImageError::Document { what: "manifest".to_owned(), reason };
    let value: Value = serde_json::from_slice(manifest).map_err(|error| broken(error.to_string()))?;
    Descriptor::from_value(value.get("config").ok_or_else(|| broken("it names no config".to_owned()))?)
}

impl ArtifactManifest {
    /// The bytes, which are the same for equal values.
    ///
    /// # Errors
    /// Only if a value has no JSON form, which the types rule out.
    pub fn to_json(&self) -> Result<Vec<u8>, ImageError> {
        let mut value = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "artifactType": self.artifact_type,
            "config": Descriptor::of(EMPTY_MEDIA_TYPE, EMPTY_CONFIG).value(),
            "layers": self.layers.iter().map(Descriptor::value).collect::<Vec<_>>(),
        });
        if let (Some(subject), Some(members)) = (&self.subject, value.as_object_mut()) {
            members.insert("subject".to_owned(), subject.value());
        }
        annotate(&mut value, &self.annotations);
        canonical(&value)
    }

    /// Reads a manifest, of an artifact or of an image.
    ///
    /// # Errors
    /// [`ImageError::Document`] if it is no manifest.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ImageError> {
        let broken =
            |reason: &str| ImageError::Document { what: "manifest".to_owned(), reason: reason.to_owned() };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))?;
        if value.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return Err(broken("`schemaVersion` is not 2"));
        }
        let layers =
            value.get("layers").and_then(Value::as_array).ok_or_else(|| broken("it has no `layers`"))?;
        let config = value.get("config").and_then(|config| config.get("mediaType")).and_then(Value::as_str);
        let artifact_type = value.get("artifactType").and_then(Value::as_str).or(config).unwrap_or_default();
        let annotations = value.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(Self {
            artifact_type: artifact_type.to_owned(),
            layers: layers.iter().map(Descriptor::from_value).collect::<Result<_, _>>()?,
            subject: value.get("subject").map(Descriptor::from_value).transpose()?,
            annotations: annotations
                .into_iter()
                .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
                .collect(),
        })
    }
}

/// The blobs that an image's manifest names: its config and its layers.
///
/// # Errors
/// [`ImageError::Document`] if it is no manifest of an image.
pub fn manifest_blobs(manifest: &[u8]) -> Result<(Descriptor, Vec<Descriptor>), ImageError> {
    let broken =
        |reason: &str| ImageError::Document { what: "manifest".to_owned(), reason: reason.to_owned() };
    let value: Value = serde_json::from_slice(manifest).map_err(|error| broken(&error.to_string()))?;
    let config = value.get("config").ok_or_else(|| broken("it has no `config`"))?;
    let layers = value.get("layers").and_then(Value::as_array).ok_or_else(|| broken("it has no `layers`"))?;
    Ok((
        Descriptor::from_value(config)?,
        layers.iter().map(Descriptor::from_value).collect::<Result<_, _>>()?,
    ))
}

fn canonical(value: &Value) -> Result<Vec<u8>, ImageError> {
    canonical_json(value)
        .map_err(|error| ImageError::Document { what: "document".to_owned(), reason: error.to_string() })
}

/// The tag under which a registry without a list of referrers keeps it (OCI distribution specification 1.1, "Referrers Tag
/// Schema").
#[must_use]
pub fn referrers_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// One entry of a list of referrers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest that refers.
    pub descriptor: Descriptor,
    /// What it is.
    pub artifact_type: String,
}

/// Reads a list of referrers.
///
/// # Errors
/// [`ImageError::Document`] if it is no index.
pub fn read_referrers(index: &[u8]) -> Result<Vec<Referrer>, ImageError> {
    let broken = |reason: String| ImageError::Document { what: "list of referrers".to_owned(), reason };
    let value: Value = serde_json::from_slice(index).map_err(|error| broken(error.to_string()))?;
    let manifests = value
        .get("manifests")
        .and_then(Value::as_array)
        .ok_or_else(|| broken("it has no `manifests`".to_owned()))?;
    manifests
        .iter()
        .map(|entry| {
            Ok(Referrer {
                descriptor: Descriptor::from_value(entry)?,
                artifact_type: entry
                    .get("artifactType")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            })
        })
        .collect()
}

/// The list of referrers with more of them; none if all of them are in it already. What others wrote into it stays as it is.
///
/// # Errors
/// [`ImageError::Document`] if what is there is no index.
pub fn with_referrers(index: Option<&[u8]>, referrers: &[Referrer]) -> Result<Option<Vec<u8>>, ImageError> {
    let broken = |reason: &str| ImageError::Document {
        what: "list of referrers".to_owned(),
        reason: reason.to_owned(),
    };
    let mut value: Value = match index {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|error| broken(&error.to_string()))?,
        None => json!({ "schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": [] }),
    };
    let manifests = value
        .get_mut("manifests")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| broken("it has no `manifests`"))?;
    let mut changed = false;
    for referrer in referrers {
        let digest = referrer.descriptor.digest.to_string();
        let is_there = |entry: &Value| entry.get("digest").and_then(Value::as_str) == Some(&digest);
        if manifests.iter().any(is_there) {
            continue;
        }
        let mut entry = referrer.descriptor.value();
        if let Some(members) = entry.as_object_mut() {
            members.insert("artifactType".to_owned(), json!(referrer.artifact_type));
        }
        manifests.push(entry);
        changed = true;
    }
    if changed { canonical(&value).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(document: &[u8], subject: Option<Descriptor>) -> ArtifactManifest {
        ArtifactManifest {
            artifact_type: "application/vnd.cyclonedx+json".to_owned(),
            layers: vec![Descriptor::of("application/vnd.cyclonedx+json", document)],
            subject,
            annotations: BTreeMap::from([(TITLE.to_owned(), "a.cdx.json".to_owned())]),
        }
    }

    #[test]
    fn a_manifest_reads_back_and_another_implementation_reads_it() {
        let subject = Descriptor::of(MANIFEST_MEDIA_TYPE, b"subject");
        let there = manifest(b"{}", Some(subject));
        let bytes = there.to_json().unwrap();
        assert_eq!(ArtifactManifest::from_json(&bytes).unwrap(), there);
        let judged: oci_spec::image::ImageManifest = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(judged.artifact_type().as_ref().unwrap().to_string(), there.artifact_type);
        assert_eq!(judged.subject().as_ref().unwrap().size(), 7);
        assert_eq!(judged.config().media_type().to_string(), EMPTY_MEDIA_TYPE);
    }

    #[test]
    fn a_list_of_referrers_only_grows() {
        let referrer = |document: &[u8]| {
            let bytes = manifest(document, None).to_json().unwrap();
            Referrer {
                descriptor: Descriptor::of(MANIFEST_MEDIA_TYPE, &bytes),
                artifact_type: "application/vnd.cyclonedx+json".to_owned(),
            }
        };
        let (first, second) = (referrer(b"1"), referrer(b"2"));
        let one = with_referrers(None, std::slice::from_ref(&first)).unwrap().unwrap();
        assert_eq!(with_referrers(Some(&one), std::slice::from_ref(&first)).unwrap(), None);
        let both = with_referrers(Some(&one), &[second.clone(), first.clone()]).unwrap().unwrap();
        assert_eq!(read_referrers(&both).unwrap(), [first, second]);
        let judged: oci_spec::image::ImageIndex = serde_json::from_slice(&both).unwrap();
        assert_eq!(judged.manifests().len(), 2);
        assert!(with_referrers(Some(b"[]"), &[]).is_err());
    }
}
