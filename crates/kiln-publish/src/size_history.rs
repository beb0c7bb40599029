//! Sizes of earlier builds, from wherever there are any: the ledger, folders of records, registries.

use crate::PublishError;
use crate::named_build::{NamedBuild, Operand};
use crate::operand::operand;
use crate::pull::{is_registry_reference, pull_record};
use crate::reference::{baseline, ledger_of};
use crate::tagged::{is_registry_repository, tagged_records};
use fs_err as fs;
use kiln_audit::{HISTORY, Known, Sample, SizeHistory};
use kiln_invocation::Environment;
use kiln_record::{Record, counted};
use kiln_store::{LedgerEntry, read_regular};
use std::path::{Path, PathBuf};

/// How deep records are looked for: a ledger has `<artifact>/<number>/record.json`.
const DEEPEST: usize = 3;
/// The most records of a folder.
const MOST_RECORDS: usize = 10_000;

/// Records that were named as history, oldest first, with where they are from.
#[derive(Clone, Debug, Default)]
pub struct Histories {
    records: Vec<HistoricRecord>,
    sources: Vec<String>,
    unread: Vec<String>,
}

/// A record of a history.
#[derive(Clone, Debug)]
pub struct HistoricRecord {
    /// The record.
    pub record: Record,
    /// What it was read from: its file, or what was named.
    pub from: String,
    /// The tags under which a registry has it; none where it came from elsewhere.
    pub tags: Vec<String>,
}

impl HistoricRecord {
    fn new(record: Record, from: impl Into<String>) -> Self {
        Self { record, from: from.into(), tags: Vec::new() }
    }
}

/// Reads the records that stand for the history of sizes, in the order in which they are named: those of a folder in the order of
/// their paths, all that a repository of a registry has under tags ([`tagged_records`]), and each build that is named otherwise.
///
/// # Errors
/// If something is named that is neither a folder with records, a repository with some, nor a build.
pub async fn read_histories(environment: &Environment, named: &[String]) -> Result<Histories, PublishError> {
    let mut histories = Histories::default();
    for text in named {
        let before = histories.records.len();
        if is_registry_reference(text) {
            let record = pull_record(environment, text, None, false).await?.record;
            histories.records.push(HistoricRecord::new(record, text));
        } else if is_registry_repository(text) {
            let tagged = tagged_records(environment, text, false).await?;
            let unread = tagged.unread.iter().map(|(tag, reason)| format!("{text}:{tag}: {reason}"));
            histories.unread.extend(unread);
            let builds = tagged.builds.into_iter();
            let tagged = |record, tags| HistoricRecord { tags, ..HistoricRecord::new(record, text) };
            histories.records.extend(builds.map(|one| tagged(one.record, one.tags)));
            if histories.records.len() == before {
                let reason = match histories.unread.last() {
                    Some(unread) => format!("none of its tags gives a record: {unread}"),
                    None => "it has no tags".to_owned(),
                };
                return Err(PublishError::Reference { text: text.clone(), reason });
            }
        } else if Path::new(text).is_dir() {
            let mut paths = Vec::new();
            records_below(Path::new(text), 0, &mut paths)?;
            if paths.len() == MOST_RECORDS {
                histories.unread.push(format!("{text}: of its files no more than {MOST_RECORDS} were read"));
            }
            for path in paths {
                match Record::from_json(&read_regular(&path)?) {
                    Ok(record) => {
                        histories.records.push(HistoricRecord::new(record, path.display().to_string()));
                    }
                    // Other documents lie beside records.
                    Err(error) if path.file_name().is_some_and(|name| name == "record.json") => {
                        histories.unread.push(format!("{}: {error}", path.display()));
                    }
                    Err(_) => {}
                }
            }
            if histories.records.len() == before {
                let reason = "no file in it is a record of a build".to_owned();
                return Err(PublishError::Reference { text: text.clone(), reason });
            }
        } else {
            match operand(environment, text)? {
                Operand::Build(build) if build.known == Known::Record => {
                    histories.records.push(HistoricRecord::new(build.record, text));
                }
                Operand::Build(_) => {
                    let reason = "it has no record, and a history is one of records".to_owned();
                    return Err(PublishError::Reference { text: text.clone(), reason });
                }
                Operand::Workspace(all) => {
                    let unread = all.unread.iter();
                    histories.unread.extend(unread.map(|(name, reason)| format!("{text}: {name}: {reason}")));
                    let builds = all.artifacts.into_values();
                    histories.records.extend(builds.map(|build| HistoricRecord::new(build.record, text)));
                }
            }
        }
        histories.sources.push(text.clone());
    }
    Ok(histories)
}

fn records_below(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), PublishError> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if paths.len() == MOST_RECORDS {
            return Ok(());
        }
        if path.is_dir() && depth < DEEPEST {
            records_below(&path, depth + 1, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

impl Histories {
    /// The records, oldest first.
    #[must_use]
    pub fn records(&self) -> &[HistoricRecord] {
        &self.records
    }

    /// Tags of repositories and files called `record.json` that gave no record, each with its reason.
    #[must_use]
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// What the size of a build is held against: what was named, else the ledger up to that build; and the build that was approved
    /// last.
    ///
    /// # Errors
    /// As the ledger.
    pub fn of(&self, environment: &Environment, before: &NamedBuild) -> Result<SizeHistory, PublishError> {
        let record = &before.record;
        let ledger = ledger_of(environment);
        let sample = |number: u64, archive: u64, unpacked: u64| Sample { number, archive, unpacked };
        let of_entry = |entry: &LedgerEntry| sample(entry.number, entry.archive_size, entry.unpacked_size);
        let approved = baseline(environment, &record.artifact)?;
        let approved = approved.map(|approval| ledger.at(&record.artifact, approval.number)).transpose()?;
        let baseline = approved.flatten().as_ref().map(of_entry);
        if !self.sources.is_empty() {
            let like = |other: &&Record| {
                other.artifact == record.artifact
                    && other.kind == record.kind
                    && other.target.architecture == record.target.architecture
            };
            let samples: Vec<Sample> = (1..)
                .zip(self.records.iter().map(|one| &one.record).filter(like))
                .map(|(number, one)| sample(number, one.packed_size(), one.unpacked_size))
                .collect();
            let mut source = format!("{} of {}", counted(samples.len(), "records"), self.sources.join(", "));
            if !self.unread.is_empty() {
                source.push_str(&format!("; without what could not be read: {}", self.unread.len()));
            }
            return Ok(SizeHistory { samples, baseline, source: Some(source) });
        }
        // A record from elsewhere counts up to its place in our own history, if it has one.
        let digest = record.archive().map(|archive| archive.digest);
        let mut reached = false;
        // No more is looked at, and a history may be long.
        let recent = ledger.back_from(&record.artifact, before.number.unwrap_or(u64::MAX))?.filter(|entry| {
            reached |=
                before.number.is_some() || entry.as_ref().map_or(true, |entry| entry.archive == digest);
            reached
        });
        let mut samples: Vec<Sample> = recent
            .take(HISTORY)
            .map(|entry| entry.map(|entry| of_entry(&entry)))
            .collect::<Result<_, _>>()?;
        samples.reverse();
        let source = (!samples.is_empty()).then(|| "the ledger".to_owned());
        Ok(SizeHistory { samples, baseline, source })
    }
}
