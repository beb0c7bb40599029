//! What several machines built of one workspace becomes one: one `dist/`, one index, one ledger.
//!
//! Everything is looked at before anything is written. An artifact that two machines built must be the same of both, and
//! what is brought must be whole and, where its own ledger came along, the newest build of that.

use crate::PublishError;
use crate::deployment::write_index;
use crate::indexed_folders::names_in;
use crate::published::digest_of;
use crate::published_index::published_index;
use crate::reference::ledger_of;
use crate::release::{files_below, is_signature};
use crate::row::{Row, State};
use crate::settle::settle_published;
use crate::whole::{verify_folder, verify_platforms};
use kiln_invocation::{Environment, read_usable_workspace};
use kiln_plan::Workspace;
use kiln_record::{ArtifactName, Digest, IndexRecord, Record};
use kiln_store::{Ledger, Publication, SourceLink, WorkspaceLock, open_regular, read_regular};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// What came of gathering, by artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Published now, and entered in the ledger; images for several platforms among them.
    pub published: Vec<ArtifactName>,
    /// Published already, the same.
    pub unchanged: Vec<ArtifactName>,
    /// What could not be held against a ledger, as none came along.
    pub without_ledger: Vec<ArtifactName>,
    /// Artifacts of the workspace that are published nowhere.
    pub missing: Vec<ArtifactName>,
}

/// An artifact that some machine built.
struct Offer {
    folder: PathBuf,
    /// The digest of its record.
    of: Digest,
    record: Option<Record>,
    source: Option<SourceLink>,
    has_ledger: bool,
}

/// Brings what is published in other folders into this workspace: each folder is a workspace of the same files that a shard
/// was built in, or its `dist`. The lock is that of the workspace.
///
/// # Errors
/// [`PublishError::Gathering`] with everything that is wrong with what is brought; nothing is changed then. Else if something
/// cannot be read or written.
pub fn gather(
    environment: &Environment,
    folders: &[PathBuf],
    _lock: &WorkspaceLock,
) -> Result<Gathered, PublishError> {
    let workspace = read_usable_workspace(&environment.root)?;
    settle_published(environment, &workspace)?;
    let mut problems = Vec::new();
    let mut offers: BTreeMap<ArtifactName, Offer> = BTreeMap::new();
    for folder in folders {
        look(&workspace, folder, &mut offers, &mut problems)?;
    }
    if !problems.is_empty() {
        return Err(PublishError::Gathering { problems });
    }
    let ledger = ledger_of(environment);
    let mut gathered = Gathered::default();
    // An index is over builds that are there.
    let (alone, sets): (Vec<_>, Vec<_>) = offers.into_iter().partition(|(_, offer)| offer.record.is_some());
    for (artifact, offer) in alone.into_iter().chain(sets) {
        if !offer.has_ledger && offer.record.is_some() {
            gathered.without_ledger.push(artifact.clone());
        }
        match bring(environment, &ledger, &artifact, &offer)? {
            true => gathered.published.push(artifact),
            false => gathered.unchanged.push(artifact),
        }
    }
    if environment.dist.is_dir() {
        write_index(&environment.dist, &ledger, &workspace, true, &BTreeMap::new(), &[])?;
    }
    let is_there = |name: &ArtifactName| environment.dist.join(name.as_str()).is_dir();
    let all = workspace.in_all();
    let artifacts = workspace.manifests.values().filter(|manifest| !manifest.on_request);
    let all: BTreeSet<&ArtifactName> = artifacts.map(|manifest| &manifest.name).chain(all).collect();
    gathered.missing = all.into_iter().filter(|name| !is_there(name)).cloned().collect();
    gathered.published.sort();
    gathered.unchanged.sort();
    Ok(gathered)
}

/// Looks at everything that a folder brings.
fn look(
    workspace: &Workspace,
    folder: &Path,
    offers: &mut BTreeMap<ArtifactName, Offer>,
    problems: &mut Vec<String>,
) -> Result<(), PublishError> {
    let (dist, state) = match folder.join("dist") {
        dist if dist.is_dir() => (dist, folder.join(".kiln")),
        _ => (folder.to_owned(), folder.with_file_name(".kiln")),
    };
    if !dist.is_dir() {
        problems.push(format!("{} is no folder", folder.display()));
        return Ok(());
    }
    let ledger = Ledger::open(&state.join("ledger"));
    let has_ledger = !ledger.artifacts()?.is_empty();
    let (artifacts, indexes) = (workspace.artifact_names(), workspace.index_names());
    for name in names_in(&dist)? {
        let path = dist.join(&name);
        if name == "index.json" || is_signature(&name) {
            continue;
        }
        let Some(artifact) = name.parse::<ArtifactName>().ok().filter(|_| path.is_dir()) else {
            problems.push(format!("{} is nothing that kiln publishes", path.display()));
            continue;
        };
        let is_index = path.join(IndexRecord::FILE).is_file();
        if !(if is_index { &indexes } else { &artifacts }).contains(&artifact) {
            problems.push(format!("{}: no manifest of this workspace is called {artifact}", path.display()));
            continue;
        }
        let row = match is_index {
            true => verify_platforms(&ledger, &dist, &artifact),
            false => verify_folder(&ledger, &path, &artifact),
        };
        let Row { state, lines, .. } = row;
        if state == State::Differs {
            problems.extend(lines.iter().map(|line| format!("{}: {line}", path.display())));
            continue;
        }
        let file = path.join(if is_index { IndexRecord::FILE } else { "record.json" });
        let bytes = read_regular(file)?;
        let record = match is_index {
            true => None,
            false => Some(Record::from_json(&bytes).map_err(|error| PublishError::NotUsable {
                what: path.display().to_string(),
                reason: error.to_string(),
            })?),
        };
        let of = Digest::of(&bytes);
        if let Some(other) = offers.get(&artifact) {
            if other.of != of {
                problems.push(format!(
                    "{artifact} was built twice, and not to the same: {} has record {}, {} has record {of}; see what differs: kiln diff {} {}",
                    other.folder.display(),
                    other.of,
                    path.display(),
                    other.folder.display(),
                    path.display()
                ));
            }
            continue;
        }
        let source = ledger.published(&artifact)?.and_then(|newest| newest.source);
        offers.insert(artifact, Offer { folder: path, of, record, source, has_ledger });
    }
    Ok(())
}

/// Publishes one, unless it is published already. It was looked at, and is held against its record once more while it is copied.
fn bring(
    environment: &Environment,
    ledger: &Ledger,
    artifact: &ArtifactName,
    offer: &Offer,
) -> Result<bool, PublishError> {
    let there = environment.dist.join(artifact.as_str());
    let is_published = match &offer.record {
        Some(_) => {
            ledger.published(artifact)?.is_some_and(|newest| newest.record == offer.of)
                && verify_folder(ledger, &there, artifact).state == State::Same
        }
        None => read_regular(there.join(IndexRecord::FILE)).is_ok_and(|bytes| Digest::of(&bytes) == offer.of),
    };
    if is_published {
        return Ok(false);
    }
    let mut publication = Publication::begin(&environment.dist, artifact)?;
    // What was signed of it is about another ledger.
    for (name, path) in files_below(&offer.folder)? {
        io::copy(&mut open_regular(path)?, &mut publication.create(&name)?)?;
    }
    let sealed = publication.seal()?;
    let changed = |path: &Path| PublishError::not_as_recorded(artifact, path);
    match &offer.record {
        Some(record) => {
            for output in &record.outputs {
                let path = sealed.path().join(&output.file_name);
                if digest_of(&path)? != (output.digest, output.size) {
                    return Err(changed(&path));
                }
            }
            if digest_of(&sealed.path().join("record.json"))?.0 != offer.of {
                return Err(changed(&offer.folder));
            }
            ledger.append(artifact, record, environment.now, offer.source.clone())?;
        }
        None => {
            let Some(record) = published_index(sealed.path())? else { return Err(changed(&offer.folder)) };
            for output in &record.outputs {
                let path = sealed.path().join(&output.file_name);
                if digest_of(&path)? != (output.digest, output.size) {
                    return Err(changed(&path));
                }
            }
        }
    }
    sealed.place()?;
    Ok(true)
}
