//! The `[budget]` section: the sizes that an artifact may have.

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The `[budget]` section, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BudgetSection {
    /// Largest archive.
    pub zip: Option<u64>,
    /// Largest sum of unpacked sizes, without layers and without the base of an image.
    pub unpacked: Option<u64>,
    /// Largest sum of an image's layers as a registry keeps them, those of the base included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetTable {
    pub(super) zip: Option<Spanned<String>>,
    pub(super) unpacked: Option<Spanned<String>>,
    pub(super) image: Option<Spanned<String>>,
}
