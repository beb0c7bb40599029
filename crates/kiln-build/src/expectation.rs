//! What a build is expected to come to: where it comes to something else, nothing is published.

use crate::BuildError;
use kiln_record::{Digest, FileRecord, Record};
use std::collections::BTreeMap;

/// The files that a build must give.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What says so, as it was given.
    pub label: String,
    /// The digests of the published files, by name.
    pub outputs: BTreeMap<String, Digest>,
    /// The digest of the tree.
    pub tree: Digest,
    /// The record that says so, if it is one.
    pub record: Option<Record>,
}

impl Expectation {
    /// Holds a build against it.
    pub(crate) fn meets(&self, built: &Record) -> Result<(), BuildError> {
        let wrong = built
            .outputs
            .iter()
            .find(|output| self.outputs.get(&output.file_name) != Some(&output.digest))
            .map(|output| (output.file_name.clone(), Some(output.digest)))
            .or_else(|| {
                let gone = |name: &&String| !built.outputs.iter().any(|output| output.file_name == **name);
                self.outputs.keys().find(gone).map(|name| (name.clone(), None))
            });
        let Some((file, found)) = wrong else { return Ok(()) };
        Err(BuildError::NotAsExpected {
            artifact: built.artifact.clone(),
            label: self.label.clone(),
            expected: self.outputs.get(&file).copied(),
            found,
            file,
            first: self.first_difference(built),
        })
    }

    /// The first file that differs, in words.
    fn first_difference(&self, built: &Record) -> String {
        if self.tree == built.tree {
            return "all its files are the same: only the container differs".to_owned();
        }
        let Some(record) = &self.record else {
            return format!(
                "its tree is {}, and {} was expected; provenance does not list files, a record does",
                built.tree, self.tree
            );
        };
        let by_path = |record: &'_ Record| -> BTreeMap<String, FileRecord> {
            record.files.iter().map(|file| (file.path.to_string(), file.clone())).collect()
        };
        let (before, now) = (by_path(record), by_path(built));
        let differs = |path: &&String| {
            before.get(*path).map(|file| &file.entry) != now.get(*path).map(|file| &file.entry)
        };
        let mut differing: Vec<&String> = before.keys().chain(now.keys()).filter(differs).collect();
        differing.sort();
        differing.dedup();
        let Some(path) = differing.first() else { return "no file differs".to_owned() };
        let how = match (before.get(*path), now.get(*path)) {
            (Some(_), None) => "is not there",
            (None, _) => "was not expected",
            (Some(_), Some(_)) => "is another",
        };
        let owner = now.get(*path).or_else(|| before.get(*path)).map(|file| file.component.to_string());
        let more = match differing.len() {
            1 => String::new(),
            count => format!(", the first of {count} that differ"),
        };
        format!("{path} of {} {how}{more}", owner.unwrap_or_default())
    }
}
