//! Why the context lacks what a Dockerfile copies of it.

use crate::context::{BuildContext, is_of_workspace};
use crate::copied::parts;
use kiln_plan::{ArtifactPlan, DockerfileSection, Manifest};
use kiln_record::TreePath;
use std::path::Path;

/// What to do about what a builder did not find in the context: a line for each path that the Dockerfile takes, that the
/// context has not, and that the builder's words name.
pub(crate) fn absent(root: &Path, plan: &ArtifactPlan, context: &BuildContext, words: &str) -> Vec<String> {
    let (Some(section), Some(recipe)) = (plan.manifest.dockerfile(), &plan.recipe) else {
        return Vec::new();
    };
    let is_named =
        |path: &TreePath| words.contains(&format!("\"/{path}\"")) || words.contains(&format!("stat {path}:"));
    let taken = recipe.dockerfile.taken.iter().filter_map(|path| TreePath::new(&parts(path).join("/")).ok());
    taken
        .filter(|path| is_named(path) && !context.has(path))
        .map(|path| way_to(root, &plan.manifest, section, &path))
        .collect()
}

/// What brings a path into the context.
fn way_to(root: &Path, manifest: &Manifest, section: &DockerfileSection, path: &TreePath) -> String {
    let context = section.context.as_str();
    let in_workspace = if context == "." { path.to_string() } else { format!("{context}/{path}") };
    let is_there = root.join(&in_workspace).exists();
    if is_there && context == "." && is_of_workspace(path) {
        let what = path.as_str().split('/').next().unwrap_or_default();
        return format!(
            "{in_workspace} is there, but kiln leaves {what} out of the context: keep it elsewhere in the workspace (a lock: name its new place with `lock` under [python])"
        );
    }
    if is_there {
        return format!(
            "{in_workspace} is there, but not in the context: look at its .dockerignore, and at what kiln leaves out (docs/dockerfiles.md)"
        );
    }
    if section.wheels.is_none() && path.file_name().contains("wheel") {
        return format!(
            "to have the wheels of the lock in {path}: wheels = \"{path}\" under [dockerfile] in {}, and the lock as `lock` under [python] (docs/dockerfiles.md)",
            manifest.file
        );
    }
    format!("the context is {context}, and has no {path}")
}
