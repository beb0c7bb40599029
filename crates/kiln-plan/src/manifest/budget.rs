//! The `[budget]` section: the sizes that an artifact may have.

use super::kind::a;
use crate::problem::Problems;
use crate::size::parse_size;
use crate::spanned::Spanned;
use kiln_record::ArtifactKind;
use serde::{Deserialize, Serialize};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetTable {
    zip: Option<Spanned<String>>,
    unpacked: Option<Spanned<String>>,
    image: Option<Spanned<String>>,
}

impl BudgetSection {
    /// Reads the section.
    pub(super) fn parse(table: &BudgetTable, kind: ArtifactKind, problems: &mut Problems<'_>) -> Self {
        let mut size = |text: &Option<Spanned<String>>| {
            let text = text.as_ref()?;
            parse_size(text.get_ref())
                .map_err(|message| problems.at(text.span(), message, "for example zip = \"6 MB\""))
                .ok()
        };
        let budget =
            Self { zip: size(&table.zip), unpacked: size(&table.unpacked), image: size(&table.image) };
        let foreign = if kind.is_image() { &table.zip } else { &table.image };
        if let Some(foreign) = foreign {
            problems.at(
                foreign.span(),
                format!("{} has no such size", a(kind)),
                "`zip` is the size of a zip, `image` that of all layers of an image",
            );
        }
        budget
    }
}
