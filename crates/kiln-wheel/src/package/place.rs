//! Where the artifact and the folder that distributions are installed in have a file.

use kiln_plan::ArtifactPlan;
use kiln_record::TreePath;

/// A path of the artifact as one of the installation folder, if it is in there.
pub(super) fn without_prefix(path: &TreePath, prefix: Option<&str>) -> Option<TreePath> {
    match prefix {
        Some(prefix) => TreePath::new(path.as_str().strip_prefix(prefix)?.strip_prefix('/')?).ok(),
        None => Some(path.clone()),
    }
}

/// What of the artifact has to be where it will be, for its modules to be compiled: all of it, or the folder of an image that
/// has its modules.
pub(super) fn place_of_tree(plan: &ArtifactPlan) -> String {
    match plan.manifest.kind.mount() {
        "" => python_root(plan),
        mount => mount.to_owned(),
    }
}

/// The folder that the artifact's modules are in where it runs.
pub(super) fn python_root(plan: &ArtifactPlan) -> String {
    match plan.manifest.python_folder() {
        Some(prefix) => format!("{}/{prefix}", plan.manifest.kind.mount()),
        None => plan.manifest.kind.mount().to_owned(),
    }
}
