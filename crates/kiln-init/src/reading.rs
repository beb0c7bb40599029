//! What the files of a project stated so far.

use crate::artifact::Artifact;
use kiln_record::{ArtifactName, NameError};

/// What was read so far.
pub(crate) struct Reading {
    /// The name of the folder itself.
    pub(crate) folder_name: String,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) remarks: Vec<String>,
}

impl Reading {
    pub(crate) fn remark(&mut self, remark: String) {
        self.remarks.push(remark.chars().take(400).collect());
    }

    /// A name that no other artifact has. Two that differ in case alone would be one file on some systems.
    pub(crate) fn named(
        &mut self,
        file: &str,
        name: Result<ArtifactName, NameError>,
    ) -> Option<ArtifactName> {
        match name {
            Ok(name) if self.is_taken(name.as_str()) => {
                self.remark(format!(
                    "{file}: {name} is another artifact's name already, and was passed over"
                ));
                None
            }
            Ok(name) => Some(name),
            Err(error) => {
                self.remark(format!("{file}: {error}; it was passed over"));
                None
            }
        }
    }

    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.artifacts.iter().any(|artifact| artifact.name.as_str().eq_ignore_ascii_case(name))
    }

    pub(crate) fn add(&mut self, artifact: Artifact) {
        self.artifacts.push(artifact);
    }
}
