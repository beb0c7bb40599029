//! `dist/index.json`: one document for whoever deploys.

use crate::PublishError;
use crate::document::written;
use crate::published_index::published_index;
use kiln_plan::Workspace;
use kiln_record::{
    ArtifactKind, ArtifactName, Digest, FORMAT_VERSION, FormatVersion, IndexRecord, Platform, Record,
    canonical_json,
};
use kiln_store::{Ledger, StoreError, read_regular};
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

impl Deployable {
    fn of(record: &Record, digest: Digest) -> Option<Self> {
        let archive = record.archive()?;
        Some(Self {
            kind: record.kind,
            file: format!("{}/{}", record.artifact, archive.file_name),
            size: archive.size,
            unpacked_size: record.unpacked_size,
            digest: archive.digest,
            source_code_hash: archive.sha256_base64.clone(),
            tree: record.tree,
            record: digest,
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
        })
    }
}

impl DeployableIndex {
    fn of(record: &IndexRecord) -> Option<Self> {
        let archive = record.archive()?;
        Some(Self {
            file: format!("{}/{}", record.artifact, archive.file_name),
            size: archive.size,
            digest: archive.digest,
            index: record.index,
            platforms: record.platforms.iter().map(|one| (one.platform, one.artifact.clone())).collect(),
        })
    }
}

impl Index {
    const FILE: &str = "index.json";

    fn empty() -> Self {
        Self { format: FORMAT_VERSION, artifacts: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    /// The index that is there; none if it is not, or cannot be understood.
    fn read(dist: &Path) -> Option<Self> {
        serde_json::from_slice(&read_regular(dist.join(Self::FILE)).ok()?).ok()
    }

    /// Writes it, unless it is there as it is.
    fn write(&self, dist: &Path) -> Result<bool, PublishError> {
        let path = dist.join(Self::FILE);
        let bytes = written(canonical_json(self))?;
        if read_regular(&path).ok().as_deref() == Some(bytes.as_slice()) {
            return Ok(false);
        }
        kiln_store::write_atomically(&path, &bytes)?;
        Ok(true)
    }
}

/// Enters a build that was just published. An index that is damaged is left to [`write_index`]. The caller has the run's
/// turn to publish.
///
/// # Errors
/// If the index cannot be written.
pub fn enter_in_index(dist: &Path, record: &Record, digest: Digest) -> Result<(), PublishError> {
    change(dist, |index| {
        if let Some(deployable) = Deployable::of(record, digest) {
            index.artifacts.insert(record.artifact.clone(), deployable);
        }
    })
}

/// The same of an image for several platforms.
pub(crate) fn enter_index_in_index(dist: &Path, record: &IndexRecord) -> Result<(), PublishError> {
    change(dist, |index| {
        if let Some(deployable) = DeployableIndex::of(record) {
            index.indexes.insert(record.artifact.clone(), deployable);
        }
    })
}

fn change(dist: &Path, change: impl FnOnce(&mut Index)) -> Result<(), PublishError> {
    let mut index = match Index::read(dist) {
        Some(index) => index,
        None if dist.join(Index::FILE).exists() => return Ok(()),
        None => Index::empty(),
    };
    change(&mut index);
    index.write(dist).map(drop)
}

/// Writes the index of what was brought from elsewhere, by record and its digest; one that names nothing where it is empty.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_pulled_index(
    folder: &Path,
    records: impl Iterator<Item = (Record, Digest)>,
) -> Result<(), PublishError> {
    let deployable = records
        .filter_map(|(record, digest)| Some((record.artifact.clone(), Deployable::of(&record, digest)?)));
    let index = Index { format: FORMAT_VERSION, artifacts: deployable.collect(), indexes: BTreeMap::new() };
    index.write(folder).map(drop)
}

/// Makes the folder of what is published, with an index that names nothing.
///
/// # Errors
/// If it cannot be written.
pub fn index_of_nothing(dist: &Path) -> Result<(), PublishError> {
    fs_err::create_dir_all(dist)?;
    Index::empty().write(dist).map(drop)
}

/// Writes the index of everything that is published, if anything changed: if `changed` says so, or the one that is there does
/// not name these builds, which are the digests of their records, and these indexes. What the ledger has another newest
/// build of is left out, as is what cannot be read: nobody should deploy it. Says whether anything was written.
///
/// # Errors
/// If the record of something that is published cannot be read, once everything else is written; or if the index cannot be
/// written.
pub fn write_index(
    dist: &Path,
    ledger: &Ledger,
    workspace: &Workspace,
    changed: bool,
    builds: &BTreeMap<ArtifactName, Digest>,
    indexes: &[&IndexRecord],
) -> Result<bool, PublishError> {
    if !dist.is_dir() || (!changed && names(dist, workspace, builds, indexes)) {
        return Ok(false);
    }
    let mut unreadable = None;
    let mut artifacts = BTreeMap::new();
    for name in &workspace.artifact_names() {
        let file = dist.join(name.as_str()).join("record.json");
        if !file.is_file() {
            continue;
        }
        let bytes = read_regular(&file)?;
        let digest = Digest::of(&bytes);
        // What is wrong with the ledger is told by whoever builds upon it or verifies it.
        if ledger.published(name).ok().flatten().is_some_and(|newest| newest.record != digest) {
            continue;
        }
        match Record::from_json(&bytes) {
            Ok(record) => {
                artifacts.extend(Deployable::of(&record, digest).map(|one| (name.clone(), one)));
            }
            Err(source) => unreadable = Some(StoreError::Record { path: file, source }),
        }
    }
    let mut all = BTreeMap::new();
    for name in &workspace.index_names() {
        match published_index(&dist.join(name.as_str())) {
            Ok(record) => {
                all.extend(record.and_then(|record| Some((name.clone(), DeployableIndex::of(&record)?))));
            }
            Err(PublishError::Io(error)) => return Err(error.into()),
            // As above: told where it is used.
            Err(_) => {}
        }
    }
    if artifacts.is_empty() && !dist.join(Index::FILE).is_file() {
        return unreadable.map_or(Ok(false), |error| Err(error.into()));
    }
    let written = Index { format: FORMAT_VERSION, artifacts, indexes: all }.write(dist)?;
    unreadable.map_or(Ok(written), |error| Err(error.into()))
}

/// Whether the index says of each artifact what the ledger and the published folders say, as far as that can be told
/// without reading records.
pub(crate) fn is_up_to_date(dist: &Path, ledger: &Ledger, workspace: &Workspace) -> bool {
    let index = match Index::read(dist) {
        Some(index) => index,
        // One that is damaged is told by whoever looks at it, and written anew by a build.
        None if dist.join(Index::FILE).exists() => return true,
        None => Index::empty(),
    };
    let names = |name: &ArtifactName| {
        let there = index.artifacts.get(name).map(|there| there.record);
        let is_published = dist.join(name.as_str()).join("record.json").is_file();
        match ledger.published(name) {
            Ok(Some(newest)) if is_published => there == Some(newest.record),
            _ => true,
        }
    };
    let has = |name: &ArtifactName| match published_index(&dist.join(name.as_str())) {
        Ok(Some(record)) => index.indexes.get(name).is_some_and(|there| there.index == record.index),
        _ => true,
    };
    workspace.artifact_names().iter().all(names) && workspace.index_names().iter().all(has)
}

/// What the index says of one artifact, or of an image for several platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    /// The digest of the archive.
    pub(crate) digest: Digest,
    /// The digest of the record, or of the index of the platforms.
    pub(crate) of: Digest,
    /// The digest of all that the index says of it.
    pub(crate) said: Digest,
}

impl Indexed {
    /// What the index is to say of an artifact; nothing if it has no archive. `digest` is that of its record.
    pub(crate) fn of_record(record: &Record, digest: Digest) -> Result<Option<Self>, PublishError> {
        Deployable::of(record, digest).map(|one| Self::of_artifact(&one)).transpose()
    }

    /// The same of an image for several platforms.
    pub(crate) fn of_platforms(record: &IndexRecord) -> Result<Option<Self>, PublishError> {
        DeployableIndex::of(record).map(|one| Self::of_index(&one)).transpose()
    }

    fn of_artifact(one: &Deployable) -> Result<Self, PublishError> {
        Ok(Self { digest: one.digest, of: one.record, said: said(one)? })
    }

    fn of_index(one: &DeployableIndex) -> Result<Self, PublishError> {
        Ok(Self { digest: one.digest, of: one.index, said: said(one)? })
    }
}

fn said(one: &impl Serialize) -> Result<Digest, PublishError> {
    Ok(Digest::of(&written(canonical_json(one))?))
}

/// Everything that the index says is published; none if there is no index.
///
/// # Errors
/// Why it cannot be understood.
pub(crate) fn indexed(dist: &Path) -> Result<Option<BTreeMap<ArtifactName, Indexed>>, String> {
    let path = dist.join(Index::FILE);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_regular(&path).map_err(|error| error.to_string())?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let artifacts = index.artifacts.iter().map(|(name, one)| (name, Indexed::of_artifact(one)));
    let indexes = index.indexes.iter().map(|(name, one)| (name, Indexed::of_index(one)));
    let all = artifacts.chain(indexes);
    all.map(|(name, one)| Ok((name.clone(), one.map_err(|error| error.to_string())?)))
        .collect::<Result<_, String>>()
        .map(Some)
}

/// Whether a file is the index over a folder of artifacts, and not one of a layout, which has the same name.
pub(crate) fn is_deployment_index(file: &Path) -> bool {
    let is_named = file.file_name().is_some_and(|name| name == Index::FILE);
    is_named && file.is_file() && !file.with_file_name("oci-layout").is_file()
}

/// Whether an index names the builds that are published. One that a killed run could not write any more does not.
fn names(
    dist: &Path,
    workspace: &Workspace,
    builds: &BTreeMap<ArtifactName, Digest>,
    indexes: &[&IndexRecord],
) -> bool {
    let Some(Index { artifacts, indexes: there, .. }) = Index::read(dist) else { return false };
    let is_named = |(name, record): (&ArtifactName, &Digest)| {
        artifacts.get(name).is_some_and(|there| there.record == *record)
    };
    let is_there =
        |index: &&IndexRecord| there.get(&index.artifact).is_some_and(|there| there.index == index.index);
    builds.iter().all(is_named)
        && indexes.iter().all(is_there)
        && artifacts.keys().all(|name| workspace.artifact_names().contains(name))
        && there.keys().all(|name| workspace.index_names().contains(name))
}
