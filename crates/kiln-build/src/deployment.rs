//! `dist/index.json`: one document for whoever deploys.

use crate::build::ArtifactResult;
use crate::environment::Context;
use crate::{BuildError, Ending};
use fs_err as fs;
use kiln_plan::Workspace;
use kiln_record::{
    ArtifactKind, ArtifactName, Digest, FORMAT_VERSION, FormatVersion, Record, canonical_json,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The document. Keys are only ever added.
#[derive(Serialize, Deserialize)]
struct Index {
    format: FormatVersion,
    artifacts: BTreeMap<ArtifactName, Deployable>,
}

/// One artifact, with what a deployment needs.
#[derive(Serialize, Deserialize)]
struct Deployable {
    kind: ArtifactKind,
    /// Path of the archive, relative to `dist/`.
    file: String,
    size: u64,
    unpacked_size: u64,
    /// Of the archive.
    digest: Digest,
    /// The same in base64: Terraform's `source_code_hash`, Lambda's `CodeSha256`.
    source_code_hash: String,
    /// Of the unpacked tree.
    tree: Digest,
    /// Of `record.json`.
    record: Digest,
    /// None for an image, which has its system inside.
    runtime: Option<String>,
    architecture: String,
    handler: Option<String>,
    layers: Vec<ArtifactName>,
    /// What identifies an image in a registry and in an engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<DeployableImage>,
}

/// An image, for whoever pushes or runs it.
#[derive(Serialize, Deserialize)]
struct DeployableImage {
    /// The digest of its manifest: `repository@sha256:…` once it is pushed.
    manifest: Digest,
    /// The digest of its config: its id in Docker's classic store.
    config: Digest,
    /// Bytes of all layers as a registry keeps them.
    size: u64,
    /// Bytes of all files in it.
    unpacked_size: u64,
}

/// Writes the index of everything that is published, if anything changed.
pub(crate) fn write_index(
    context: &Context,
    workspace: &Workspace,
    results: &[ArtifactResult],
) -> Result<(), BuildError> {
    let dist = &context.environment.dist;
    let path = dist.join("index.json");
    let published = results.iter().any(|result| result.ending == Ending::Published);
    if !dist.is_dir() || (!published && names(&path, workspace, results)) {
        return Ok(());
    }
    let mut artifacts = BTreeMap::new();
    for name in workspace.manifests.keys() {
        let file = dist.join(name.as_str()).join("record.json");
        if !file.is_file() {
            continue;
        }
        let bytes = fs::read(&file)?;
        let record = Record::from_json(&bytes).map_err(std::io::Error::other)?;
        let Some(archive) = record.archive() else { continue };
        artifacts.insert(
            name.clone(),
            Deployable {
                kind: record.kind,
                file: format!("{name}/{}", archive.file_name),
                size: archive.size,
                unpacked_size: record.unpacked_size,
                digest: archive.digest,
                source_code_hash: archive.sha256_base64.clone(),
                tree: record.tree,
                record: Digest::of(&bytes),
                runtime: (!record.kind.is_image()).then(|| record.target.runtime.clone()),
                architecture: record.target.architecture.lambda().to_owned(),
                handler: record.handler.clone(),
                layers: record.layers.clone(),
                image: record.image.as_ref().map(|image| DeployableImage {
                    manifest: image.manifest,
                    config: image.config,
                    size: image.size,
                    unpacked_size: image.unpacked_size,
                }),
            },
        );
    }
    if artifacts.is_empty() && !path.is_file() {
        return Ok(());
    }
    let bytes = canonical_json(&Index { format: FORMAT_VERSION, artifacts })?;
    if fs::read(&path).ok().as_deref() != Some(bytes.as_slice()) {
        kiln_store::write_atomically(&path, &bytes)?;
    }
    Ok(())
}

/// Whether an index names the builds that are published. One that a killed run could not write any more does not.
fn names(path: &Path, workspace: &Workspace, results: &[ArtifactResult]) -> bool {
    let index = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
    let Some(Index { artifacts, .. }) = index else { return false };
    let is_named = |result: &ArtifactResult| match &result.entry {
        Some(entry) => artifacts.get(&result.artifact).is_some_and(|there| there.record == entry.record),
        None => true,
    };
    results.iter().all(is_named) && artifacts.keys().all(|name| workspace.manifests.contains_key(name))
}
