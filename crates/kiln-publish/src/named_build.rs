//! A build that a text names, however much is known of it.

use crate::content::Content;
use kiln_audit::{Known, Subject};
use kiln_record::{ArtifactName, Attributes, Place, Record, TreePath};
use kiln_sbom::Aside;
use kiln_store::RunDetails;
use std::collections::BTreeMap;

/// A build that a reference names.
#[derive(Clone, Debug)]
pub struct NamedBuild {
    /// Its record. Of what has none, one that holds what is known, and nothing else of it may be believed.
    pub record: Record,
    /// How much that is.
    pub known: Known,
    /// Modes and owners that were read and that no record has a place for.
    pub attributes: BTreeMap<TreePath, Attributes>,
    /// Its number in the ledger, if it is there.
    pub number: Option<u64>,
    /// How to call it in output.
    pub label: String,
    /// What the latest run measured of it.
    pub run: Option<RunDetails>,
    /// That what its record describes is not beside that, in a line; none where it is, or need not be.
    pub absent: Option<String>,
    /// Of a bill of materials: what it says of some of what it names, and a record has no place for.
    pub aside: Aside,
    /// Where its files are, if they are at hand.
    pub(crate) content: Option<Content>,
}

impl NamedBuild {
    /// A build of which the record is known.
    pub(crate) fn recorded(record: Record, label: impl Into<String>) -> Self {
        Self {
            record,
            known: Known::Record,
            attributes: BTreeMap::new(),
            number: None,
            label: label.into(),
            run: None,
            absent: None,
            aside: Aside::default(),
            content: None,
        }
    }

    /// It as one side of a comparison.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject { record: &self.record, known: self.known, attributes: &self.attributes }
    }
}

/// What a text names: a build, or all artifacts of a workspace.
#[derive(Clone, Debug)]
pub enum Operand {
    /// One build.
    Build(Box<NamedBuild>),
    /// All artifacts that were published together.
    Workspace(NamedWorkspace),
}

/// The artifacts that were published together.
#[derive(Clone, Debug)]
pub struct NamedWorkspace {
    /// How to call it in output.
    pub label: String,
    /// The artifacts whose records are there.
    pub artifacts: BTreeMap<ArtifactName, NamedBuild>,
    /// Those that are named and cannot be read, with the reason.
    pub unread: BTreeMap<ArtifactName, String>,
    /// Where those are wrong, of which that is known.
    pub places: BTreeMap<ArtifactName, Place>,
}

impl NamedWorkspace {
    /// One with nothing in it.
    pub(crate) fn empty(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            artifacts: BTreeMap::new(),
            unread: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// What names each artifact that can be read alone, in the order of their names.
    #[must_use]
    pub fn operands(&self) -> Vec<String> {
        let folder = self.label.strip_suffix("index.json").unwrap_or(&self.label);
        let (folder, between) = match folder.trim_end_matches('/') {
            "" if folder.is_empty() => (".", '/'),
            revision if revision.starts_with("git:") => (revision, ':'),
            folder => (folder, '/'),
        };
        self.artifacts.keys().map(|name| format!("{folder}{between}{name}")).collect()
    }
}
