//! What is remembered of a Dockerfile's build, by the digest of all that it was built from.

use crate::DockerfileError;
use crate::normal::AppliedRules;
use kiln_collect::how_differ;
use kiln_guest::{BaseLayer, Difference};
use kiln_image::{Change, NodeContent};
use kiln_record::{Digest, ImageRuns, TreePath};
use kiln_store::{Memo, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the rules by which a Dockerfile is built and brought into one form. A step here makes kiln build it again.
pub(crate) const DOCKERFILE_RULES: u32 = 2;

/// What is remembered of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// How the image is started.
    pub(crate) runs: ImageRuns,
    /// Its user and group in numbers, if that can be told.
    pub(crate) user: Option<String>,
    /// What each of its own layers changes.
    pub(crate) layers: Vec<BTreeMap<TreePath, Change>>,
    /// Those layers as tars in the store.
    pub(crate) tars: Vec<BaseLayer>,
    /// What the rules changed.
    pub(crate) rules: AppliedRules,
    pub(crate) difference: Option<Difference>,
}

impl Memo for Remembered {
    const KIND: &'static str = "dockerfile";

    fn content(&self) -> Vec<Digest> {
        let files = self.layers.iter().flat_map(BTreeMap::values).filter_map(|change| match change {
            Change::Put(node) => match &node.content {
                NodeContent::File { digest, .. } => Some(*digest),
                _ => None,
            },
            Change::Remove => None,
        });
        files.chain(self.tars.iter().map(|tar| tar.diff_id)).collect()
    }
}

/// What differs between two builds.
pub(crate) fn difference(
    store: &Store,
    first: &Remembered,
    second: &Remembered,
) -> Result<Option<Difference>, DockerfileError> {
    let merged = |made: &Remembered| -> BTreeMap<TreePath, Change> {
        made.layers
            .iter()
            .flat_map(|layer| layer.iter().map(|(path, change)| (path.clone(), change.clone())))
            .collect()
    };
    let (a, b) = (merged(first), merged(second));
    let paths: BTreeSet<&TreePath> = a.keys().chain(b.keys()).collect();
    let differing: Vec<&TreePath> = paths.into_iter().filter(|path| a.get(path) != b.get(path)).collect();
    let Some(path) = differing.first() else {
        let same = first.runs == second.runs && first.tars == second.tars;
        return Ok((!same).then(|| Difference {
            path: "the image".to_owned(),
            how: "its config or the layers that its files are in".to_owned(),
            files: 0,
        }));
    };
    let how = match (a.get(path), b.get(path)) {
        (Some(Change::Put(a)), Some(Change::Put(b))) => match (&a.content, &b.content) {
            (NodeContent::File { digest: one, .. }, NodeContent::File { digest: other, .. })
                if one != other =>
            {
                how_differ(&store.read_blob(one)?, &store.read_blob(other)?)
            }
            _ => "its mode, owner or kind".to_owned(),
        },
        (Some(_), _) => "only the first build has it so".to_owned(),
        (None, _) => "only the second build has it so".to_owned(),
    };
    Ok(Some(Difference { path: path.to_string(), how, files: differing.len() }))
}
