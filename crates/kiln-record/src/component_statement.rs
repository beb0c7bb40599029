//! What a workspace states of components that others make.

use crate::Digest;
use serde::{Deserialize, Serialize};

/// What somebody looked up of a component and states, where nothing that is read says it. It fills gaps alone, and bills of materials
/// mark what is from here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ComponentStatement {
    /// The package URL of the component, without qualifiers; without a version it is about all.
    pub purl: String,
    /// Who supplies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// Its licence, as an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The name that NVD's dictionary has for it (CPE 2.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpe: Option<String>,
    /// The archive that its makers distribute it as: a file name or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The digest of that archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its SHA-512, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
    /// How that is known.
    pub reason: String,
}
