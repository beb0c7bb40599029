//! `kiln export`: what a deployment needs to know of published artifacts.

use crate::PublishError;
use crate::published::{newest_record, not_as_recorded, published_file, published_record};
use crate::published_index::checked_index;
use crate::reference::ledger_of;
use kiln_invocation::{Environment, read_usable_workspace};
use kiln_record::{Architecture, ArtifactKind, ArtifactName, Digest, IndexRecord, Output};
use std::path::Path;

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
    /// Sum of the unpacked files in bytes, of all platforms of an index.
    pub unpacked_size: u64,
    /// The runtime; none for an image, which has its system inside.
    pub runtime: Option<String>,
    /// What it runs on: one architecture, or those of an index.
    pub architectures: Vec<Architecture>,
    /// The function's handler.
    pub handler: Option<String>,
    /// The layers it is used with, in order.
    pub layers: Vec<ArtifactName>,
    /// The digest of an image's manifest, or of an index, which is known before it is pushed.
    pub image: Option<Digest>,
    /// The platforms of an index.
    pub platforms: Vec<ExportedPlatform>,
}

/// One platform of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedPlatform {
    /// What it runs on.
    pub architecture: Architecture,
    /// The artifact that it is.
    pub artifact: ArtifactName,
    /// The digest of its manifest, which is pushed with the index.
    pub image: Digest,
}

/// Reads what is published of some artifacts, or of all that are, sorted by name. A file that is no longer what its record
/// says is not exported, and neither is what the ledger does not have as the newest build.
///
/// # Errors
/// If an artifact that is asked for is not published, or any is not what its record or the ledger says.
pub fn exported(
    environment: &Environment,
    artifacts: &[ArtifactName],
) -> Result<Vec<Exported>, PublishError> {
    let mut names: Vec<ArtifactName> = if artifacts.is_empty() {
        let workspace = read_usable_workspace(&environment.root)?;
        let has = |name: &ArtifactName, file: &str| environment.dist.join(name.as_str()).join(file).is_file();
        let mut artifacts = workspace.artifact_names();
        artifacts.retain(|name| has(name, "record.json"));
        let mut indexes = workspace.index_names();
        indexes.retain(|name| has(name, IndexRecord::FILE));
        artifacts.into_iter().chain(indexes).collect()
    } else {
        artifacts.to_vec()
    };
    names.sort();
    names.dedup();
    names.iter().map(|name| export_one(environment, name)).collect()
}

fn export_one(environment: &Environment, name: &ArtifactName) -> Result<Exported, PublishError> {
    let folder = environment.dist.join(name.as_str());
    let ledger = ledger_of(environment);
    if let Some(index) = checked_index(&ledger, &environment.dist, name)? {
        return export_index(environment, &folder, &index);
    }
    let (record, _) = newest_record(&ledger, &folder, name)?;
    for output in &record.outputs {
        published_file(&folder, &record, output)?;
    }
    let Some(output) = record.archive() else {
        return Err(not_as_recorded(&record, &folder.join("record.json")));
    };
    Ok(Exported {
        artifact: record.artifact.clone(),
        kind: record.kind,
        path: in_workspace(environment, &folder, output),
        digest: output.digest,
        sha256_base64: output.sha256_base64.clone(),
        size: output.size,
        unpacked_size: record.unpacked_size,
        runtime: (!record.kind.is_image()).then(|| record.target.runtime.clone()),
        architectures: vec![record.target.architecture],
        handler: record.handler.clone(),
        layers: record.layers.clone(),
        image: record.image.as_ref().map(|image| image.manifest),
        platforms: Vec::new(),
    })
}

fn in_workspace(environment: &Environment, folder: &Path, output: &Output) -> String {
    let path = folder.join(&output.file_name);
    path.strip_prefix(&environment.root).unwrap_or(&path).display().to_string()
}

fn export_index(
    environment: &Environment,
    folder: &Path,
    index: &IndexRecord,
) -> Result<Exported, PublishError> {
    let Some(output) = index.archive() else {
        return Err(PublishError::not_as_recorded(&index.artifact, &folder.join(IndexRecord::FILE)));
    };
    let mut unpacked_size = 0;
    for one in &index.platforms {
        let folder = environment.dist.join(one.artifact.as_str());
        unpacked_size += published_record(&folder, &one.artifact)?.unpacked_size;
    }
    let platforms = index.platforms.iter().map(|one| ExportedPlatform {
        architecture: one.platform.architecture,
        artifact: one.artifact.clone(),
        image: one.manifest,
    });
    Ok(Exported {
        artifact: index.artifact.clone(),
        kind: ArtifactKind::Image,
        path: in_workspace(environment, folder, output),
        digest: output.digest,
        sha256_base64: output.sha256_base64.clone(),
        size: output.size,
        unpacked_size,
        runtime: None,
        architectures: index.platforms.iter().map(|one| one.platform.architecture).collect(),
        handler: None,
        layers: Vec::new(),
        image: Some(index.index),
        platforms: platforms.collect(),
    })
}
