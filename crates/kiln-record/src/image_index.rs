//! What is published of an image for several platforms: the index over the manifests of its platforms, each of which is an
//! artifact with a record of its own.

use crate::{
    ArtifactName, Digest, Epoch, FORMAT_VERSION, FormatVersion, Output, Platform, RecordError, canonical_json,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An image index: everything that its bytes and its files follow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IndexRecord {
    /// The format version it was written under.
    pub format: FormatVersion,
    /// The name of the manifest that states it.
    pub artifact: ArtifactName,
    /// The digest of what it was made from: what the manifest states of it, and the records of its platforms.
    pub plan: Digest,
    /// The newest time of its platforms.
    pub epoch: Epoch,
    /// The digest of the index: the image's digest in registries.
    pub index: Digest,
    /// Annotations of the index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its platforms, sorted.
    pub platforms: Vec<IndexedPlatform>,
    /// What was written, the main file first.
    pub outputs: Vec<Output>,
}

/// One platform of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IndexedPlatform {
    /// What it runs on.
    pub platform: Platform,
    /// The variant of the processor, where the base's config states one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The artifact that it is.
    pub artifact: ArtifactName,
    /// The digest of that artifact's `record.json`.
    pub record: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The length of its manifest in bytes.
    pub manifest_size: u64,
    /// Sum of the lengths of its layers' blobs in bytes.
    pub size: u64,
}

impl IndexRecord {
    /// The file that it is published as, where an artifact has its `record.json`.
    pub const FILE: &str = "platforms.json";

    /// As canonical JSON: equal values give equal bytes.
    ///
    /// # Errors
    /// Only if a value has no JSON form, which the types rule out.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical_json(self)
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// [`RecordError`] if the text is none, or one of another major version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            format: FormatVersion,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format.major != FORMAT_VERSION.major {
            return Err(RecordError::Version { found: head.format, known: FORMAT_VERSION });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The file that holds the index: the one archive, or the first file of a layout.
    #[must_use]
    pub fn archive(&self) -> Option<&Output> {
        self.outputs.first()
    }

    /// The published files with their digests: `SHA256SUMS`.
    ///
    /// # Errors
    /// As [`Self::to_json`].
    pub fn sums(&self) -> Result<String, serde_json::Error> {
        let mut sums = BTreeMap::from([(Self::FILE, Digest::of(&self.to_json()?))]);
        sums.extend(self.outputs.iter().map(|output| (output.file_name.as_str(), output.digest)));
        Ok(sums.iter().map(|(name, digest)| format!("{}  {name}\n", digest.hex())).collect())
    }
}
