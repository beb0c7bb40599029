//! How much is known of what is compared: a record tells everything, an archive what is in it, a bill of materials names.

use crate::anomaly::Sample;
use kiln_record::{Attributes, Record, TreePath};
use serde::Serialize;
use std::collections::BTreeMap;

/// How much is known of one side of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// Everything: its record does.
    #[default]
    Record,
    /// What it holds: an archive, an image or a folder was read, whoever made it.
    Content,
    /// Names and versions of its components: a bill of materials lists them.
    Components,
}

impl Known {
    /// What is not known, for output; none of a record.
    #[must_use]
    pub fn lacks(self) -> Option<&'static str> {
        match self {
            Self::Record => None,
            Self::Content => {
                Some("it was read from its files: inputs, causes, findings and checks are not known")
            }
            Self::Components => Some(
                "it is a list of components: files, modes, sizes, inputs, causes, findings and checks are not known",
            ),
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its record. Of what has none, one that holds what is known, and nothing else of it is looked at.
    pub record: &'a Record,
    /// How much that is.
    pub known: Known,
    /// Modes, owners and extended attributes that were read and that no record has a place for.
    pub attributes: &'a BTreeMap<TreePath, Attributes>,
}

impl<'a> Subject<'a> {
    /// What a record says.
    #[must_use]
    pub fn of(record: &'a Record) -> Self {
        static NONE: BTreeMap<TreePath, Attributes> = BTreeMap::new();
        Self { record, known: Known::Record, attributes: &NONE }
    }

    /// Its paths with unusual modes, owners or attributes.
    pub(crate) fn all_attributes(&self) -> BTreeMap<&'a TreePath, &'a Attributes> {
        let of_image = self.record.image.iter().flat_map(|image| &image.attributes);
        of_image.chain(self.attributes).collect()
    }
}

/// What sizes are held against.
#[derive(Clone, Debug, Default)]
pub struct SizeHistory {
    /// The builds up to and including the one before, oldest first. Without any, that one is the history.
    pub samples: Vec<Sample>,
    /// The build that was approved last: growth over many small steps is counted from there.
    pub baseline: Option<Sample>,
    /// Where the samples are from, for output.
    pub source: Option<String>,
}
