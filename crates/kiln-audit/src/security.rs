//! What a build may do that the one before might not: files that run as their owner, new executables, checks that are not
//! made any more, modules that cannot be imported any more.

use crate::files::{FileChange, FileChangeKind};
use crate::known::{Known, Subject};
use kiln_record::{CheckName, CheckOutcome, Importable, Mode, Record, TreePath};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Bits of a mode that let a file run as its owner or group.
const PRIVILEGED: u32 = 0o6000;

/// A check that was made on one side only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckChange {
    /// Which.
    pub name: CheckName,
    /// Whether it was made before.
    pub before: bool,
    /// Whether it is made now.
    pub after: bool,
    /// Why it is not made now, if the record says so.
    pub reason: Option<String>,
}

/// A distribution whose modules can be imported on one side only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImportChange {
    /// The distribution.
    pub distribution: String,
    /// Whether it could be imported.
    pub before: bool,
    /// Whether it can be imported now.
    pub after: bool,
    /// The module and the error, if not.
    pub reason: Option<String>,
}

/// Paths that run as their owner or group now and did not before.
pub(crate) fn newly_privileged(before: &Subject<'_>, after: &Subject<'_>) -> Vec<TreePath> {
    let privileged = |subject: &Subject<'_>| -> BTreeSet<TreePath> {
        let of_base = subject.record.image.iter().filter_map(|image| image.base.surface.as_ref());
        let of_base = of_base.flat_map(|surface| surface.privileged.iter().cloned());
        let all = subject.all_attributes();
        let own = all.into_iter().filter(|(_, of)| of.mode & PRIVILEGED != 0).map(|(path, _)| path.clone());
        of_base.chain(own).collect()
    };
    let old = privileged(before);
    privileged(after).into_iter().filter(|path| !old.contains(path)).collect()
}

/// Files that can be executed now, and were not there or could not be.
pub(crate) fn new_executables(files: &[FileChange]) -> Vec<TreePath> {
    let is_executable = |state: &Option<crate::files::FileState>| {
        state.is_some_and(|state| state.mode == Some(Mode::Executable))
    };
    files
        .iter()
        .filter(|file| file.kind != FileChangeKind::Moved)
        .filter(|file| is_executable(&file.after) && !is_executable(&file.before))
        .map(|file| file.path.clone())
        .collect()
}

/// Checks that were made on one side only. What has no record was not checked by anybody that is known.
pub(crate) fn check_changes(before: &Subject<'_>, after: &Subject<'_>) -> Vec<CheckChange> {
    if before.known != Known::Record || after.known != Known::Record {
        return Vec::new();
    }
    let made = |record: &Record| -> BTreeMap<CheckName, Option<String>> {
        let mut made = BTreeMap::new();
        for check in &record.checks {
            let reason = match &check.outcome {
                CheckOutcome::Ran { .. } => None,
                CheckOutcome::NotChecked { reason } => Some(reason.clone()),
            };
            // One that ran on some and not on others ran.
            let told = made.entry(check.name).or_insert_with(|| reason.clone());
            *told = told.take().and(reason);
        }
        made
    };
    let (old, new) = (made(before.record), made(after.record));
    let names: BTreeSet<CheckName> = old.keys().chain(new.keys()).copied().collect();
    let ran = |made: &BTreeMap<CheckName, Option<String>>, name: CheckName| {
        made.get(&name).is_some_and(Option::is_none)
    };
    names
        .into_iter()
        .map(|name| CheckChange {
            name,
            before: ran(&old, name),
            after: ran(&new, name),
            reason: new.get(&name).cloned().flatten(),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Distributions whose modules could be imported and cannot be any more, or the other way round.
pub(crate) fn import_changes(before: &Record, after: &Record) -> Vec<ImportChange> {
    let (Some(old), Some(new)) = (&before.imports, &after.imports) else { return Vec::new() };
    let state = |importable: &Importable| match importable {
        Importable::Yes => Some((true, None)),
        Importable::No { reason } => Some((false, Some(reason.clone()))),
        Importable::NotChecked { .. } => None,
    };
    old.distributions
        .iter()
        .filter_map(|(name, was)| {
            let ((before, _), (after, reason)) = (state(was)?, state(new.distributions.get(name)?)?);
            let distribution = name.clone();
            (before != after).then_some(ImportChange { distribution, before, after, reason })
        })
        .collect()
}
