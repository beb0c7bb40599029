//! What there is to lock in a workspace.

use crate::LockError;
use kiln_invocation::{all_stated, read_workspace, read_workspace_for_pins};
use kiln_record::{ArtifactName, BaseName};
use std::path::Path;

/// The bases that have no lock, or one of another definition. What is pinned stays where it is.
///
/// # Errors
/// What is wrong with the definitions.
pub fn unpinned_bases(root: &Path) -> Result<Vec<BaseName>, LockError> {
    let workspace = read_workspace_for_pins(root)?;
    let unpinned = workspace.bases.into_iter().filter(|(_, (definition, lock))| {
        lock.as_ref().is_none_or(|lock| lock.definition != definition.digest)
    });
    Ok(unpinned.map(|(name, _)| name).collect())
}

/// The artifacts that have something that kiln locks: requirements, of what is installed or of what builds, and upstream sources.
///
/// # Errors
/// What is wrong with the workspace; that there is no artifact in it is an error, too.
pub fn lockable_artifacts(root: &Path) -> Result<Vec<ArtifactName>, LockError> {
    let workspace = read_workspace(root)?;
    all_stated(root, &workspace)?;
    let lockable = workspace.manifests.into_iter().filter(|(_, manifest)| {
        let python = manifest.python.as_ref();
        let build = python.and_then(|python| python.build.as_ref());
        !manifest.upstreams.is_empty()
            || python.is_some_and(|python| python.requirements.is_some())
            || build.is_some_and(|build| build.requirements.is_some())
    });
    Ok(lockable.map(|(name, _)| name).collect())
}
