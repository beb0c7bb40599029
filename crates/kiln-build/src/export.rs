//! `kiln export`: what a deployment needs to know of published artifacts.

use crate::reference::{not_as_recorded, published_file, published_record};
use crate::workspace::read_workspace;
use crate::{BuildError, Environment};
use kiln_record::{Architecture, ArtifactKind, ArtifactName, Digest};

/// A published artifact, as a deployment names it. Nothing depends on the machine or on where the workspace is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its name.
    pub artifact: ArtifactName,
    /// What it is.
    pub kind: ArtifactKind,
    /// The main file, relative to the workspace where it is inside.
    pub path: String,
    /// The digest of that file.
    pub digest: Digest,
    /// The same in base64: Terraform's `source_code_hash`, Lambda's `CodeSha256`.
    pub sha256_base64: String,
    /// Its length in bytes.
    pub size: u64,
    /// Sum of the unpacked files in bytes.
    pub unpacked_size: u64,
    /// The runtime; none for an image, which has its system inside.
    pub runtime: Option<String>,
    /// What it runs on.
    pub architecture: Architecture,
    /// The function's handler.
    pub handler: Option<String>,
    /// The layers it is used with, in order.
    pub layers: Vec<ArtifactName>,
    /// The digest of an image's manifest, which is known before it is pushed.
    pub image: Option<Digest>,
}

/// Reads what is published of some artifacts, or of all that are, sorted by name. A file that is no longer what its record
/// says is not exported.
///
/// # Errors
/// If an artifact that is asked for is not published, or any is not what its record says.
pub fn exported(environment: &Environment, artifacts: &[ArtifactName]) -> Result<Vec<Exported>, BuildError> {
    let mut names: Vec<ArtifactName> = if artifacts.is_empty() {
        let workspace = read_workspace(&environment.root)?;
        let published =
            |name: &&ArtifactName| environment.dist.join(name.as_str()).join("record.json").is_file();
        workspace.manifests.keys().filter(published).cloned().collect()
    } else {
        artifacts.to_vec()
    };
    names.sort();
    names.dedup();
    names.iter().map(|name| export_one(environment, name)).collect()
}

fn export_one(environment: &Environment, name: &ArtifactName) -> Result<Exported, BuildError> {
    let folder = environment.dist.join(name.as_str());
    let record = published_record(&folder, name)?;
    for output in &record.outputs {
        published_file(&folder, &record, output)?;
    }
    let Some(output) = record.archive() else {
        return Err(not_as_recorded(&record, &folder.join("record.json")));
    };
    let path = folder.join(&output.file_name);
    let path = path.strip_prefix(&environment.root).unwrap_or(&path);
    Ok(Exported {
        artifact: record.artifact.clone(),
        kind: record.kind,
        path: path.display().to_string(),
        digest: output.digest,
        sha256_base64: output.sha256_base64.clone(),
        size: output.size,
        unpacked_size: record.unpacked_size,
        runtime: (!record.kind.is_image()).then(|| record.target.runtime.clone()),
        architecture: record.target.architecture,
        handler: record.handler.clone(),
        layers: record.layers.clone(),
        image: record.image.as_ref().map(|image| image.manifest),
    })
}
