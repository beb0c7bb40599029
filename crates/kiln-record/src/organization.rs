//! Who makes the artifacts of a workspace.

use serde::{Deserialize, Serialize};

/// Who makes an artifact, in their own words: what bills of materials must name (NTIA 2021, CISA 2026, BSI TR-03183-2) and nothing in a
/// build tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Its name.
    pub name: String,
    /// Its web address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A mail address to ask at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The licence of the artifacts' own code, as an SPDX expression; `LicenseRef-proprietary` where nobody else may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}
