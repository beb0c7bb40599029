//! What there is to lock in a workspace.

use crate::LockError;
use crate::base::days_since;
use kiln_invocation::{all_stated, read_workspace, read_workspace_for_pins};
use kiln_plan::{InvalidFiles, Workspace};
use kiln_record::{ArtifactName, BaseName, Epoch};
use std::collections::BTreeSet;
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

/// Holds that no pin of a base is older than the workspace allows: what is built on it would be refused.
///
/// # Errors
/// The first that is, with the command that pins it again.
pub fn bases_are_young_enough(root: &Path, now: Epoch) -> Result<(), LockError> {
    let workspace = read_workspace_for_pins(root)?;
    for (name, (definition, lock)) in &workspace.bases {
        // What a Dockerfile pins itself has no time.
        if let Some(lock) = lock.as_ref().filter(|_| definition.file.starts_with("images/")) {
            is_young_enough(&workspace, name, lock.pinned, now)?;
        }
    }
    Ok(())
}

/// The same of one base.
pub(crate) fn is_young_enough(
    workspace: &Workspace,
    name: &BaseName,
    pinned: Epoch,
    now: Epoch,
) -> Result<(), LockError> {
    let command = format!("kiln lock --base {name}");
    let trust = &workspace.settings.trust;
    Ok(trust.age(&format!("base {name}"), days_since(pinned, now), &command).map_err(InvalidFiles::from)?)
}

/// The artifacts that have something that kiln locks: requirements, of what is installed or of what builds, and upstream sources. Those
/// on bases of `without` are left out.
///
/// # Errors
/// What is wrong with the workspace; that there is no artifact in it is an error, too.
pub fn lockable_artifacts(root: &Path, without: &BTreeSet<BaseName>) -> Result<Vec<ArtifactName>, LockError> {
    let workspace = read_workspace(root)?;
    all_stated(root, &workspace)?;
    let lockable = workspace.manifests.iter().filter(|(_, manifest)| {
        if without.contains(workspace.base_of(manifest)) {
            return false;
        }
        let python = manifest.python.as_ref();
        let build = python.and_then(|python| python.build.as_ref());
        !manifest.upstreams.is_empty()
            || python.is_some_and(|python| python.requirements.is_some())
            || build.is_some_and(|build| build.requirements.is_some())
    });
    Ok(lockable.map(|(name, _)| name.clone()).collect())
}
