//! The index of one artifact's builds: each fact once, with the builds that it holds for.
//!
//! It is two files in a folder beside the ledger, one of them for files. The first line of each is the digest of the rest.
//! It names the newest build that it covers by that build's entry, which chains to all before, so that an index of another
//! ledger, or of one that was changed, is not taken.

use crate::FindError;
use crate::fact::{Fact, files_of, parts_of};
use kiln_record::{ArtifactName, Digest, Record, digest_of_value};
use kiln_store::{Ledger, StoreError, write_atomically};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The version of the files.
const FORMAT: u32 = 2;
/// How many records are read before they are put in.
const BATCH: u64 = 256;
/// The folder of the index, beside the ledger's.
const FOLDER: &str = "find";

/// Builds from one number to another, both included.
pub(crate) type Range = (u64, u64);

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Parts,
    Files,
}

/// What is known of an artifact's builds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) facts: BTreeMap<Fact, Vec<Range>>,
    /// Builds whose records are not to be had, with the reason.
    pub(crate) unread: BTreeMap<u64, String>,
    /// The newest build that it covers.
    pub(crate) covers: u64,
    /// The digest of that build's entry.
    head: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    covers: u64,
    head: Option<Digest>,
    unread: BTreeMap<u64, String>,
    facts: Vec<(Fact, Vec<Range>)>,
}

impl Index {
    /// The index of an artifact, as far as the ledger goes now: what is kept of it is read, and what is newer is added.
    pub(crate) fn of(ledger: &Ledger, artifact: &ArtifactName, part: Part) -> Result<Self, FindError> {
        let path = path(ledger, artifact, part);
        let newest = ledger.newest(artifact)?.unwrap_or(0);
        let mut index = read(&path).unwrap_or_default();
        let is_ours = index.covers <= newest
            && (index.covers == 0 || head(ledger, artifact, index.covers)? == index.head);
        if !is_ours {
            index = Self::default();
        }
        if index.covers < newest {
            index.add(ledger, artifact, part, newest)?;
            // Whoever cannot write there looks everything up again the next time.
            let _ = index.write(&path);
        }
        Ok(index)
    }

    fn add(
        &mut self,
        ledger: &Ledger,
        artifact: &ArtifactName,
        part: Part,
        newest: u64,
    ) -> Result<(), FindError> {
        while self.covers < newest {
            let last = newest.min(self.covers + BATCH);
            let read: Vec<(u64, Result<BTreeSet<Fact>, StoreError>)> = (self.covers + 1..=last)
                .into_par_iter()
                .map(|number| {
                    let facts = ledger.record(artifact, number).map(|record| facts_of(&record, part));
                    (number, facts)
                })
                .collect();
            for (number, facts) in read {
                match facts {
                    Ok(facts) => self.holds(number, facts),
                    Err(error) => drop(self.unread.insert(number, error.to_string())),
                }
            }
            self.covers = last;
        }
        self.head = head(ledger, artifact, newest)?;
        Ok(())
    }

    /// That a build holds these facts. Builds come in their order.
    pub(crate) fn holds(&mut self, number: u64, facts: BTreeSet<Fact>) {
        for fact in facts {
            let ranges = self.facts.entry(fact).or_default();
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == number => last.1 = number,
                _ => ranges.push((number, number)),
            }
        }
    }

    fn write(&self, path: &Path) -> Result<(), FindError> {
        let file = File {
            format: FORMAT,
            covers: self.covers,
            head: self.head,
            unread: self.unread.clone(),
            facts: self.facts.iter().map(|(fact, ranges)| (fact.clone(), ranges.clone())).collect(),
        };
        let Ok(json) = serde_json::to_vec(&file) else { return Ok(()) };
        let mut bytes = format!("{}\n", Digest::of(&json)).into_bytes();
        bytes.extend(json);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(write_atomically(path, &bytes)?)
    }
}

/// What a record holds.
pub(crate) fn facts_of(record: &Record, part: Part) -> BTreeSet<Fact> {
    match part {
        Part::Parts => parts_of(record),
        // What has a digest may be anything.
        Part::Files => parts_of(record).into_iter().chain(files_of(record)).collect(),
    }
}

fn path(ledger: &Ledger, artifact: &ArtifactName, part: Part) -> PathBuf {
    let ending = if part == Part::Files { "files" } else { "parts" };
    ledger.root().with_file_name(FOLDER).join(format!("{artifact}.{ending}.json"))
}

/// The digest of the entry of a build; none if it is lost.
fn head(ledger: &Ledger, artifact: &ArtifactName, number: u64) -> Result<Option<Digest>, FindError> {
    Ok(ledger.at(artifact, number)?.and_then(|entry| digest_of_value(&entry).ok()))
}

/// An index that is as it was written, and of this format.
fn read(path: &Path) -> Option<Index> {
    let bytes = fs_err::read(path).ok()?;
    let end = bytes.iter().take(80).position(|byte| *byte == b'\n')?;
    let (stated, json) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]);
    if stated.parse::<Digest>().ok()? != Digest::of(json) {
        return None;
    }
    let File { format, covers, head, unread, facts } = serde_json::from_slice(json).ok()?;
    (format == FORMAT).then(|| Index { facts: facts.into_iter().collect(), unread, covers, head })
}
