//! `kiln verify`: everything that is published, the index over it, and the ledger.

use crate::PublishError;
use crate::anchors::{Anchors, anchored};
use crate::deployment::Indexed;
use crate::document::{documents, index_documents};
use crate::held::{Held, held};
use crate::indexed_folders::{index, names_in};
use crate::left_behind::left_behind;
use crate::published::{digest_of, published_record};
use crate::published_index::checked_index;
use crate::reference::ledger_of;
use crate::release::{RELEASE, is_signature};
use crate::row::{Row, State, in_workspace};
use fs_err as fs;
use kiln_invocation::{Environment, blocking, read_usable_workspace};
use kiln_record::{ArtifactName, Digest, IndexRecord, counted};
use kiln_store::{HeadState, Ledger, read_regular};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Looks at every folder of `dist/`, at its index, and at every entry and record of the ledger; and holds the ledger against
/// what is stated of it elsewhere.
///
/// # Errors
/// If a folder cannot be read, or an anchor that was named. What is in it and is wrong is in the rows.
pub async fn verify_workspace(
    environment: &Environment,
    anchors: &Anchors,
) -> Result<Vec<Row>, PublishError> {
    let (given, looked) = (environment.clone(), environment.ledger());
    let mut rows = blocking(move || look(&given)).await?;
    rows.extend(anchored(environment, &looked, anchors).await?);
    Ok(rows)
}

fn look(environment: &Environment) -> Result<Vec<Row>, PublishError> {
    let ledger = ledger_of(environment);
    let dist = &environment.dist;
    let place = |name: &str| in_workspace(environment, &dist.join(name));
    // Where kiln.toml cannot be read, nobody knows what its artifacts are.
    let left_behind = match read_usable_workspace(&environment.root) {
        Ok(workspace) => left_behind(environment, &workspace)?,
        Err(_) => Vec::new(),
    };
    let mut rows = Vec::new();
    let mut published: BTreeMap<ArtifactName, Option<Indexed>> = BTreeMap::new();
    for name in names_in(dist)? {
        let path = dist.join(&name);
        if name == RELEASE {
            let line = "signed; by whom, and whether it still fits: kiln verify --key PUBLIC.pem";
            rows.push(Row::new(place(&name), State::Noted, line));
        }
        if name == "index.json" || is_signature(&name) {
            continue;
        }
        let artifact = name.parse::<ArtifactName>().ok().filter(|_| path.is_dir());
        let Some(artifact) = artifact else {
            let why = if name.starts_with('.') {
                "another kiln is publishing, or one was killed: the next build ends that, and so does kiln verify --repair"
            } else {
                "it is nothing that kiln publishes"
            };
            rows.push(Row::new(place(&name), State::Noted, why));
            continue;
        };
        let looked = if path.join(IndexRecord::FILE).is_file() {
            platforms(&ledger, dist, &artifact)
        } else {
            folder(&ledger, &path, &artifact)
        };
        let (mut state, mut lines, indexed) = match looked {
            Ok(looked) => looked,
            Err(error) => (State::Differs, vec![error.to_string()], None),
        };
        if let Some(left) = left_behind.iter().find(|left| left.artifact == artifact) {
            state = state.max(State::Noted);
            lines.push(format!("it is {}", left.line()));
        }
        rows.push(Row { subject: place(&name), state, lines });
        published.insert(artifact, indexed);
    }
    let called = dist.strip_prefix(&environment.root).unwrap_or(dist);
    rows.push(index(dist, called, Some(&ledger), &published));
    rows.extend(histories(environment, &ledger, &published)?);
    let folder = &environment.store;
    let mode = fs::metadata(folder).map(|metadata| metadata.permissions().mode() & 0o077);
    if mode.is_ok_and(|mode| mode != 0) {
        let line = format!("others on this machine may look into it: chmod go= {}", folder.display());
        rows.push(Row::new(folder.display().to_string(), State::Noted, line));
    }
    Ok(rows)
}

type Looked = (State, Vec<String>, Option<Indexed>);

/// The folder of an artifact: its files against its record, and that against the ledger.
fn folder(ledger: &Ledger, folder: &Path, artifact: &ArtifactName) -> Result<Looked, PublishError> {
    let record = match published_record(folder, artifact) {
        Ok(record) => record,
        Err(PublishError::NotUsable { reason, .. }) => {
            return Ok((State::Differs, vec![format!("its record.json cannot be used: {reason}")], None));
        }
        Err(error) => return Err(error),
    };
    let mut wrong = Vec::new();
    let mut expected: BTreeMap<String, Digest> =
        documents(&record)?.into_iter().map(|(name, bytes)| (name, Digest::of(&bytes))).collect();
    expected.extend(record.outputs.iter().map(|output| (output.file_name.clone(), output.digest)));
    files(folder, &expected, &mut wrong)?;
    let digest = Digest::of(&read_regular(folder.join("record.json"))?);
    let held = match held(ledger, folder, artifact) {
        Ok(held) => Some(held),
        Err(error) => {
            wrong.push(error.to_string());
            None
        }
    };
    let indexed = Indexed::of_record(&record, digest)?;
    let told = match (wrong.is_empty(), held) {
        (true, Some(Held::Newest(number))) => {
            (State::Same, vec![format!("{}, build {number} of the ledger", counted(expected.len(), "files"))])
        }
        (true, _) => {
            let line = format!(
                "{} that fit each other; there is no ledger here to hold them against",
                counted(expected.len(), "files")
            );
            (State::NotChecked, vec![line])
        }
        (false, _) => (State::Differs, wrong),
    };
    Ok((told.0, told.1, indexed))
}

/// The folder of an image for several platforms: its files, and the records that it was made from.
fn platforms(ledger: &Ledger, dist: &Path, artifact: &ArtifactName) -> Result<Looked, PublishError> {
    let folder = dist.join(artifact.as_str());
    let Some(record) = checked_index(ledger, dist, artifact)? else {
        return Ok((State::Differs, vec![format!("it holds no {}", IndexRecord::FILE)], None));
    };
    let mut expected: BTreeMap<String, Digest> =
        record.outputs.iter().map(|output| (output.file_name.clone(), output.digest)).collect();
    expected.extend(index_documents(&record)?.into_iter().map(|(name, bytes)| (name, Digest::of(&bytes))));
    let mut wrong = Vec::new();
    files(&folder, &expected, &mut wrong)?;
    let indexed = Indexed::of_platforms(&record)?;
    if !wrong.is_empty() {
        return Ok((State::Differs, wrong, indexed));
    }
    let line = format!(
        "{}, over {} of the ledger",
        counted(expected.len(), "files"),
        counted(record.platforms.len(), "builds")
    );
    Ok((State::Same, vec![line], indexed))
}

/// Holds the files of a folder against what should be there.
fn files(
    folder: &Path,
    expected: &BTreeMap<String, Digest>,
    wrong: &mut Vec<String>,
) -> Result<(), PublishError> {
    for (name, digest) in expected {
        let path = folder.join(name);
        if !path.is_file() {
            wrong.push(format!("{name} is missing"));
            continue;
        }
        let found = digest_of(&path)?.0;
        if found != *digest {
            wrong.push(format!("{name} has digest {found}, but its record describes one with {digest}"));
        }
    }
    for name in names_in(folder)? {
        let is_layout = name == "oci" && expected.keys().any(|file| file.starts_with("oci/"));
        // A signature is judged by its key: kiln verify --key.
        if !expected.contains_key(&name) && !is_layout && !is_signature(&name) {
            wrong.push(format!("{name} is there, and its record does not describe it"));
        }
    }
    Ok(())
}

/// Every history of the ledger, and what is stated of their newest entries.
fn histories(
    environment: &Environment,
    ledger: &Ledger,
    published: &BTreeMap<ArtifactName, Option<Indexed>>,
) -> Result<Vec<Row>, PublishError> {
    let mut rows = Vec::new();
    let heads = ledger.heads();
    let mut artifacts: BTreeSet<ArtifactName> = ledger.artifacts()?.into_iter().collect();
    if let Ok(Some(heads)) = &heads {
        artifacts.extend(heads.artifacts.keys().cloned());
    }
    if !artifacts.is_empty() {
        let file = ledger.heads_path();
        let subject = in_workspace(environment, &file);
        rows.push(match heads {
            Ok(Some(heads)) => Row::new(
                subject,
                State::Same,
                format!("the newest builds of {}", counted(heads.artifacts.len(), "artifacts")),
            ),
            Ok(None) => Row::new(
                subject,
                State::NotChecked,
                "it is missing: whether the newest builds are those that were entered last cannot be told",
            ),
            Err(error) => Row::new(subject, State::Differs, error.to_string()),
        });
    }
    for artifact in artifacts {
        let subject = format!("ledger of {artifact}");
        let mut survey = ledger.survey(&artifact)?;
        if let Err(error) = ledger.approvals(&artifact) {
            let path = ledger.root().join(artifact.as_str()).join("approvals");
            survey.damage.push(kiln_store::Damage { path, reason: error.to_string() });
        }
        if !survey.damage.is_empty() {
            let line = |damage: &kiln_store::Damage| {
                format!("{}: {}", in_workspace(environment, &damage.path), damage.reason)
            };
            let lines = survey.damage.iter().map(line).collect();
            rows.push(Row { subject, state: State::Differs, lines });
            continue;
        }
        let mut lines = vec![counted(survey.places, "builds")];
        lines.extend(survey.lost.iter().map(|lost| {
            format!("build {} is lost, as was found at {}: {}", lost.number, lost.found, lost.reason)
        }));
        if survey.head == Some(HeadState::Ahead) {
            lines.push(
                "the newest one is not stated as such yet: the process that entered it ended".to_owned(),
            );
        }
        let is_there = published.contains_key(&artifact);
        if !is_there {
            let is_stated = environment.root.join(format!("manifests/{artifact}.toml")).is_file();
            let way = if is_stated { format!("; to have it: kiln build {artifact}") } else { String::new() };
            lines.push(format!("not published now{way}"));
        }
        let state = match survey.head {
            None | Some(HeadState::NotStated) => State::NotChecked,
            Some(_) if !is_there => State::NotChecked,
            Some(_) if lines.len() > 1 => State::Noted,
            Some(_) => State::Same,
        };
        rows.push(Row { subject, state, lines });
    }
    Ok(rows)
}

/// The folder of an artifact, looked at by itself.
pub(crate) fn verify_folder(ledger: &Ledger, path: &Path, artifact: &ArtifactName) -> Row {
    row(path, folder(ledger, path, artifact))
}

/// The folder of an image for several platforms, looked at with theirs.
pub(crate) fn verify_platforms(ledger: &Ledger, dist: &Path, artifact: &ArtifactName) -> Row {
    row(&dist.join(artifact.as_str()), platforms(ledger, dist, artifact))
}

fn row(path: &Path, looked: Result<Looked, PublishError>) -> Row {
    let (state, lines) = match looked {
        Ok((state, lines, _)) => (state, lines),
        Err(error) => (State::Differs, vec![error.to_string()]),
    };
    Row { subject: path.display().to_string(), state, lines }
}
