//! The index over a folder of artifacts, held against the artifacts in it.

use crate::PublishError;
use crate::deployment::{Indexed, indexed};
use crate::published::published_record;
use crate::published_index::published_index;
use crate::row::{Row, State};
use fs_err as fs;
use kiln_record::{ArtifactName, Digest, counted};
use kiln_store::{Ledger, read_regular};
use std::collections::BTreeMap;
use std::path::Path;

/// The index of a folder of artifacts against the artifacts in it, wherever that is; and how many it is over.
pub(crate) fn verify_deployment_index(
    dist: &Path,
    ledger: Option<&Ledger>,
) -> Result<(Row, usize), PublishError> {
    let mut published = BTreeMap::new();
    for name in names_in(dist)? {
        let folder = dist.join(&name);
        let Some(artifact) = name.parse::<ArtifactName>().ok().filter(|_| folder.is_dir()) else { continue };
        let there = match published_index(&folder) {
            Ok(Some(record)) => Indexed::of_platforms(&record)?,
            Ok(None) => match published_record(&folder, &artifact) {
                Ok(record) => {
                    let digest = Digest::of(&read_regular(folder.join("record.json"))?);
                    Indexed::of_record(&record, digest)?
                }
                // What lies there besides is no artifact.
                Err(_) if !folder.join("record.json").is_file() => continue,
                Err(_) => None,
            },
            Err(_) => None,
        };
        published.insert(artifact, there);
    }
    // What lies beside a file that is named without a folder is called by its name alone.
    let called = dist.strip_prefix(".").unwrap_or(dist);
    Ok((index(dist, called, ledger, &published), published.len()))
}

/// The index against the folders. `called` is what people are told of the folder that all are in.
pub(crate) fn index(
    dist: &Path,
    called: &Path,
    ledger: Option<&Ledger>,
    published: &BTreeMap<ArtifactName, Option<Indexed>>,
) -> Row {
    let place = |name: &str| called.join(name).display().to_string();
    let subject = &place("index.json");
    // Only in its workspace can it be written anew.
    let way_out =
        |what: &str| ledger.map(|_| format!(": kiln verify --repair writes {what}")).unwrap_or_default();
    let named = match indexed(dist) {
        Ok(Some(named)) => named,
        Ok(None) if published.is_empty() => {
            return Row::new(subject, State::Noted, "nothing is published, so that there is none");
        }
        Ok(None) => {
            return Row::new(subject, State::Differs, format!("it is missing{}", way_out("it")));
        }
        Err(reason) => {
            let line = format!("it cannot be understood ({reason}){}", way_out("it anew"));
            return Row::new(subject, State::Differs, line);
        }
    };
    let mut wrong = Vec::new();
    let mut noted = Vec::new();
    for (name, entry) in &named {
        match published.get(name) {
            None => {
                let lacks =
                    if dist.join(name.as_str()).is_dir() { "holds no record" } else { "is not there" };
                wrong.push(format!("{name} is named, and {} {lacks}", place(name.as_str())));
            }
            Some(Some(there)) if there == entry => {
                let newest = ledger.and_then(|ledger| ledger.published(name).ok().flatten());
                if let Some(newest) = newest.filter(|newest| newest.record != entry.of) {
                    wrong.push(format!(
                        "{name} is named with record {}, but build {} of the ledger has {}",
                        entry.of, newest.number, newest.record
                    ));
                }
            }
            Some(Some(there)) if (there.digest, there.of) == (entry.digest, entry.of) => wrong.push(format!(
                "what it says of {name} does not follow from its record{}",
                way_out("it anew")
            )),
            Some(Some(there)) => wrong.push(format!(
                "{name} is named with {} and record {}, but {} has {} and {}",
                entry.digest,
                entry.of,
                place(name.as_str()),
                there.digest,
                there.of
            )),
            Some(None) => {
                wrong.push(format!("{name} is named, and {} cannot be understood", place(name.as_str())));
            }
        }
    }
    for (name, there) in published.iter().filter(|(name, _)| !named.contains_key(*name)) {
        let place = place(name.as_str());
        // Why, only its workspace can tell; elsewhere it is no part of what was released.
        match (ledger, there) {
            (Some(_), _) => noted
                .push(format!("{place} is not named: it has no manifest any more, or is not what was built")),
            (None, Some(_)) => wrong.push(format!("{place} is there, and is not named")),
            // What has no archive is not named, and what cannot be understood is told for itself.
            (None, None) => {}
        }
    }
    if !wrong.is_empty() {
        wrong.extend(noted);
        return Row { subject: subject.to_owned(), state: State::Differs, lines: wrong };
    }
    let state = if noted.is_empty() { State::Same } else { State::Noted };
    noted.insert(0, counted(named.len(), "artifacts"));
    Row { subject: subject.to_owned(), state, lines: noted }
}

/// The names in a folder, sorted; none if it is not there.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, PublishError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
