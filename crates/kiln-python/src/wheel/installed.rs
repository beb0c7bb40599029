//! A distribution as it is once installed: its files, and what it says about itself.

use kiln_record::{Digest, DistributionName, Metadata, Mode, TreePath};
use serde::{Deserialize, Serialize};

/// A distribution as it is once installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Its name by PEP 503.
    pub name: DistributionName,
    /// Its version, as METADATA writes it.
    pub version: String,
    /// Its files, sorted by path.
    pub files: Vec<InstalledFile>,
    /// What it says about itself.
    pub metadata: Metadata,
    /// `Requires-Dist`, as written.
    pub requires_dist: Vec<String>,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// `Provides-Extra`, as written.
    pub extras: Vec<String>,
    /// The modules it offers for import, nearest the top and sorted: `six`, `google.protobuf`. Test suites,
    /// examples and the like that lie at the top are not among them.
    pub top_level: Vec<String>,
    /// The name of its `.dist-info` folder.
    pub dist_info: String,
    /// Bills of materials that it carries (PEP 770), relative to the installation folder.
    pub embedded_sboms: Vec<TreePath>,
    /// The files of its `.dist-info` folder that have the text of a licence, by their names, relative to the installation folder.
    pub license_files: Vec<TreePath>,
}

/// A file of an installed distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalledFile {
    /// Where it is, relative to the installation folder.
    pub path: TreePath,
    /// Its mode.
    pub mode: Mode,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its content.
    pub digest: Digest,
    /// Where its content comes from.
    pub source: FileSource,
}

/// Where the content of an installed file comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSource {
    /// A member of the archive, unchanged.
    Member(TreePath),
    /// Made while installing: RECORD, commands, scripts with another interpreter line. Base64 when
    /// serialised.
    Generated(#[serde(with = "base64_text")] Vec<u8>),
}

mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
