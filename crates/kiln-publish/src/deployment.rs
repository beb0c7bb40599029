//! `dist/index.json`: one document for whoever deploys.

use crate::PublishError;
use crate::document::written;
use crate::platforms::IndexResult;
use crate::published_index::published_index;
use fs_err as fs;
use kiln_plan::Workspace;
use kiln_record::{
    ArtifactKind, ArtifactName, Digest, FORMAT_VERSION, FormatVersion, Platform, Record, canonical_json,
};
use kiln_store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The document. Keys are only ever added.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Index {
    format: FormatVersion,
    artifacts: BTreeMap<ArtifactName, Deployable>,
    /// Images for several platforms, whose platforms are among the artifacts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    indexes: BTreeMap<ArtifactName, DeployableIndex>,
}

/// An image index, for whoever pushes or runs it.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct DeployableIndex {
    /// Path of the archive, relative to `dist/`; of a layout the index in it.
    file: String,
    size: u64,
    /// Of that file.
    digest: Digest,
    /// The digest of the index: `repository@sha256:…` once it is pushed.
    index: Digest,
    /// The artifact that is each platform.
    platforms: BTreeMap<Platform, ArtifactName>,
}

/// One artifact, with what a deployment needs.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// What `dist/index.json` says.
#[cfg(feature = "schema")]
#[must_use]
pub fn deployment_index_schema(generator: schemars::SchemaGenerator) -> schemars::Schema {
    generator.into_root_schema_for::<Index>()
}

/// Writes the index of everything that is published, if anything changed: if `changed` says so, or the one that is there does
/// not name these builds, which are the digests of their records, and these indexes.
///
/// # Errors
/// If what is published cannot be read, or the index cannot be written.
pub fn write_index(
    dist: &Path,
    workspace: &Workspace,
    changed: bool,
    builds: &BTreeMap<ArtifactName, Digest>,
    indexes: &[IndexResult],
) -> Result<(), PublishError> {
    let path = dist.join("index.json");
    if !dist.is_dir() || (!changed && names(&path, workspace, builds, indexes)) {
        return Ok(());
    }
    let mut artifacts = BTreeMap::new();
    for name in &workspace.artifact_names() {
        let file = dist.join(name.as_str()).join("record.json");
        if !file.is_file() {
            continue;
        }
        let bytes = fs::read(&file)?;
        let record = Record::from_json(&bytes).map_err(|source| StoreError::Record { path: file, source })?;
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
    let mut all = BTreeMap::new();
    for name in &workspace.index_names() {
        let Some(record) = published_index(&dist.join(name.as_str()))? else { continue };
        let Some(archive) = record.archive() else { continue };
        let index = DeployableIndex {
            file: format!("{name}/{}", archive.file_name),
            size: archive.size,
            digest: archive.digest,
            index: record.index,
            platforms: record.platforms.iter().map(|one| (one.platform, one.artifact.clone())).collect(),
        };
        all.insert(name.clone(), index);
    }
    if artifacts.is_empty() && !path.is_file() {
        return Ok(());
    }
    let bytes = written(canonical_json(&Index { format: FORMAT_VERSION, artifacts, indexes: all }))?;
    if fs::read(&path).ok().as_deref() != Some(bytes.as_slice()) {
        kiln_store::write_atomically(&path, &bytes)?;
    }
    Ok(())
}

/// Whether an index names the builds that are published. One that a killed run could not write any more does not.
fn names(
    path: &Path,
    workspace: &Workspace,
    builds: &BTreeMap<ArtifactName, Digest>,
    indexes: &[IndexResult],
) -> bool {
    let index = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
    let Some(Index { artifacts, indexes: there, .. }) = index else { return false };
    let is_named = |(name, record): (&ArtifactName, &Digest)| {
        artifacts.get(name).is_some_and(|there| there.record == *record)
    };
    let is_there = |index: &IndexResult| match &index.record {
        Some(record) => there.get(&index.artifact).is_some_and(|there| there.index == record.index),
        None => true,
    };
    builds.iter().all(is_named)
        && indexes.iter().all(is_there)
        && artifacts.keys().all(|name| workspace.artifact_names().contains(name))
        && there.keys().all(|name| workspace.index_names().contains(name))
}
