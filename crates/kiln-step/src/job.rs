//! A step as a value: everything that it is given, and what it made.

use crate::StepError;
use crate::crates::CRATE_RULES;
use crate::output::MadeFile;
use kiln_collect::SourceTree;
use kiln_guest::Difference;
use kiln_plan::{ArtifactPlan, LockedCrate, StepSection};
use kiln_record::{Digest, Entry, Tree, digest_of_value};
use kiln_store::Memo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an input of a step holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Files of the workspace.
    Files(Arc<SourceTree>),
    /// What another step made; its files are in the store.
    Made(Arc<Tree>),
    /// Crates, which are brought when the step runs.
    Crates(Arc<Vec<LockedCrate>>),
}

impl Content {
    /// The digest of the tree; of crates, that of their list, from which the tree follows.
    pub(crate) fn digest(&self) -> Result<Digest, StepError> {
        Ok(match self {
            Self::Files(source) => source.tree.digest(),
            Self::Made(tree) => tree.digest(),
            Self::Crates(crates) => digest_of_value(&(CRATE_RULES, crates.as_slice()))?,
        })
    }
}

/// What a step made, remembered by its digest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) files: Vec<MadeFile>,
    pub(crate) difference: Option<Difference>,
}

impl Memo for Remembered {
    const KIND: &'static str = "step";

    fn content(&self) -> Vec<Digest> {
        let files = self.files.iter().filter_map(|file| match &file.entry {
            Entry::File { digest, .. } => Some(*digest),
            Entry::Symlink { .. } => None,
        });
        files.collect()
    }
}

/// A tree that a step is given, with the place of its content.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) at: String,
    pub(crate) name: String,
    pub(crate) content: Content,
    pub(crate) digest: Digest,
}

/// Everything that a step is.
pub(crate) struct Job<'a> {
    pub(crate) section: &'a StepSection,
    pub(crate) plan: &'a ArtifactPlan,
    pub(crate) index: usize,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) given: Vec<Given>,
    pub(crate) digest: Digest,
}
