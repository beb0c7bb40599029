//! What is published under a name that the workspace has no artifact for: it was renamed or removed since.

use crate::PublishError;
use crate::indexed_folders::names_in;
use crate::row::in_workspace;
use kiln_invocation::Environment;
use kiln_plan::Workspace;
use kiln_record::{ArtifactName, IndexRecord};
use std::fmt;

/// Something that is published and of no artifact of the workspace. It stays until somebody removes it: whether it is still deployed,
/// nothing here can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// The name that it was published under.
    pub artifact: ArtifactName,
    /// Its folder, from the workspace where it is in it.
    pub folder: String,
}

impl LeftBehind {
    /// What it is, without its folder, and what can be done about it.
    pub(crate) fn line(&self) -> String {
        let Self { artifact, folder } = self;
        format!(
            "of no artifact of this workspace (renamed or removed?): rm -r {folder} removes it, and what the ledger has of it stays; \
             to publish it again, write its manifest again and kiln build {artifact}"
        )
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.folder, self.line())
    }
}

/// Everything that is published under names that the workspace does not have, sorted. What kiln cannot have published is none of it.
///
/// # Errors
/// If the folder cannot be read.
pub fn left_behind(
    environment: &Environment,
    workspace: &Workspace,
) -> Result<Vec<LeftBehind>, PublishError> {
    let (artifacts, indexes) = (workspace.artifact_names(), workspace.index_names());
    let mut found = Vec::new();
    for name in names_in(&environment.dist)? {
        let folder = environment.dist.join(&name);
        let is_published = ["record.json", IndexRecord::FILE].iter().any(|file| folder.join(file).is_file());
        let Some(artifact) = name.parse::<ArtifactName>().ok().filter(|_| is_published) else { continue };
        if !artifacts.contains(&artifact) && !indexes.contains(&artifact) {
            found.push(LeftBehind { artifact, folder: in_workspace(environment, &folder) });
        }
    }
    Ok(found)
}
