//! Looking: in a ledger with its index, and in records that lie anywhere.

use crate::index::{Index, Part, facts_of};
use crate::{Fact, FindError, Query};
use kiln_record::{ArtifactName, Epoch, IndexRecord, Record};
use kiln_store::Ledger;
use std::path::{Path, PathBuf};

/// How deep records are looked for below a folder.
const DEPTH: usize = 6;
/// The most records that are taken of one folder.
const MOST: usize = 200_000;
/// The largest record that is read, in bytes.
const LARGEST: u64 = 256 << 20;
/// How a record is called, and the index over those of a folder.
const RECORD: &str = "record.json";
const INDEX: &str = "index.json";

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The artifact.
    pub artifact: ArtifactName,
    /// What of it.
    pub fact: Fact,
    /// Where: the ledger, or the record.
    pub place: String,
    /// The builds of a ledger that hold it, as ranges with both ends; empty for a record alone.
    pub builds: Vec<(u64, u64)>,
    /// When the first of them was entered.
    pub since: Option<Epoch>,
    /// Whether the newest build of the ledger holds it.
    pub in_newest: bool,
}

/// What came of looking.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Everything that was found, by artifact.
    pub hits: Vec<Hit>,
    /// What has the name, and a version that cannot be compared with what is asked.
    pub undecided: Vec<Hit>,
    /// How many builds were looked at.
    pub builds: u64,
    /// What could not be looked at, and why.
    pub unread: Vec<String>,
}

impl Found {
    fn take(&mut self, query: &Query, fact: &Fact, hit: impl FnOnce() -> Hit) {
        match query.matches(fact) {
            Some(false) => {}
            Some(true) => self.hits.push(hit()),
            None => self.undecided.push(hit()),
        }
    }
}

fn part(query: &Query) -> Part {
    if query.is_of_files() { Part::Files } else { Part::Parts }
}

/// Looks in a ledger. `place` is how to call it.
///
/// # Errors
/// If the ledger cannot be read. Builds whose records are lost are told in what is found.
pub fn search_ledger(
    query: &Query,
    ledger: &Ledger,
    place: &str,
    found: &mut Found,
) -> Result<(), FindError> {
    for artifact in ledger.artifacts()? {
        let index = Index::of(ledger, &artifact, part(query))?;
        found.builds += index.covers;
        found.unread.extend(index.unread.iter().map(|(number, why)| format!("{artifact}@{number}: {why}")));
        for (fact, ranges) in &index.facts {
            let first = ranges.first().map_or(0, |range| range.0);
            found.take(query, fact, || Hit {
                artifact: artifact.clone(),
                fact: fact.clone(),
                place: place.to_owned(),
                builds: ranges.clone(),
                since: ledger.at(&artifact, first).ok().flatten().map(|entry| entry.at),
                in_newest: ranges.last().is_some_and(|range| range.1 == index.covers),
            });
        }
    }
    Ok(())
}

/// Looks in records that were brought from elsewhere, each with how to call it.
pub fn search_records(query: &Query, records: &[(String, Record)], found: &mut Found) {
    for (label, record) in records {
        found.builds += 1;
        for fact in facts_of(record, part(query)) {
            found.take(query, &fact, || Hit {
                artifact: record.artifact.clone(),
                fact: fact.clone(),
                place: label.clone(),
                builds: Vec::new(),
                since: None,
                in_newest: false,
            });
        }
    }
}

/// Looks in every record of a folder: published artifacts, records that were kept. A ledger among them is looked in by its
/// index. What an index over artifacts names and has no record beside it could not be looked at.
///
/// # Errors
/// [`FindError::Place`] if there is none.
pub fn records_below(query: &Query, folder: &Path, found: &mut Found) -> Result<(), FindError> {
    let ledgers = [folder.to_owned(), folder.join("ledger"), folder.join(".kiln/ledger")];
    if let Some(root) = ledgers.iter().find(|root| is_ledger(root)) {
        return search_ledger(query, &Ledger::open(root), &root.display().to_string(), found);
    }
    let (before, mut files) = (found.builds, Vec::new());
    collect(folder, DEPTH, &mut files)?;
    files.sort();
    for file in files {
        let label = file.display().to_string();
        let is_small = fs_err::metadata(&file).is_ok_and(|metadata| metadata.len() <= LARGEST);
        if !is_small {
            found.unread.push(format!("{label}: it is larger than {LARGEST} bytes"));
            continue;
        }
        let content = fs_err::read(&file)?;
        if file.file_name().is_some_and(|name| name == INDEX) {
            found.unread.extend(without_record(&file, &content));
            continue;
        }
        match Record::from_json(&content) {
            Ok(record) => search_records(query, &[(label, record)], found),
            Err(error) => found.unread.push(format!("{label}: {error}")),
        }
    }
    if found.builds == before && found.unread.is_empty() {
        let reason = "it holds no ledger and no record.json".to_owned();
        return Err(FindError::Place { place: folder.display().to_string(), reason });
    }
    Ok(())
}

/// What an index over artifacts names, and has no record beside it. Documents of other kinds have its name, too, and name nothing.
fn without_record(index: &Path, content: &[u8]) -> Vec<String> {
    let json: serde_json::Value = match serde_json::from_slice(content) {
        Ok(json) => json,
        Err(error) => return vec![format!("{}: {error}", index.display())],
    };
    let folder = index.parent().unwrap_or(index);
    let is_there =
        |name: &str| [RECORD, IndexRecord::FILE].iter().any(|file| folder.join(name).join(file).is_file());
    let named = ["artifacts", "indexes"].into_iter().filter_map(|key| json.get(key)?.as_object());
    named
        .flat_map(|named| named.keys())
        .filter(|name| !is_there(name))
        .map(|name| {
            format!(
                "{}: {INDEX} names it, and there is no {name}/{RECORD} beside that",
                folder.join(name).display()
            )
        })
        .collect()
}

/// Whether a folder is a ledger: an artifact's folder with the folder of a build.
fn is_ledger(root: &Path) -> bool {
    let Ok(artifacts) = Ledger::open(root).artifacts() else { return false };
    artifacts.first().is_some_and(|artifact| {
        let folder = root.join(artifact.as_str());
        ["000001/entry.json", "000001/lost.json"].iter().any(|name| folder.join(name).is_file())
    })
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), FindError> {
    let place = || folder.display().to_string();
    if folder.is_file() {
        files.push(folder.to_owned());
        return Ok(());
    }
    if !folder.is_dir() {
        return Err(FindError::Place { place: place(), reason: "it is not there".to_owned() });
    }
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        // Links may lead anywhere, and round in circles.
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            collect(&entry.path(), depth - 1, files)?;
        } else if kind.is_file() && [RECORD, INDEX].iter().any(|name| entry.file_name() == *name) {
            if files.len() == MOST {
                let reason = format!("it holds more than {MOST} records");
                return Err(FindError::Place { place: place(), reason });
            }
            files.push(entry.path());
        }
    }
    Ok(())
}
