//! What native files need and what is linked into them, where that differs: a library that changed inside a wheel of an unchanged name.

use crate::known::{Known, Subject};
use kiln_record::{Record, TreePath};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A library that native files need on one side only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NeedChange {
    /// Its SONAME.
    pub library: String,
    /// Whether it is needed now; else it was before.
    pub after: bool,
    /// The files that need it.
    pub files: BTreeSet<TreePath>,
}

/// Something that is linked into native files, in other versions than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkedChange {
    /// Its name.
    pub name: String,
    /// Its versions before, sorted; one that the bytes do not tell is an empty text. Without any, it was not linked in, as far as they
    /// tell.
    pub before: BTreeSet<String>,
    /// Its versions now.
    pub after: BTreeSet<String>,
}

/// Libraries that are needed on one side only.
pub(crate) fn need_changes(before: &Subject<'_>, after: &Subject<'_>) -> Vec<NeedChange> {
    let Some((before, after)) = both(before, after) else { return Vec::new() };
    let needs = |record: &Record| -> BTreeMap<String, BTreeSet<TreePath>> {
        let mut needs: BTreeMap<String, BTreeSet<TreePath>> = BTreeMap::new();
        for (path, binary) in &record.binaries {
            for library in &binary.needed {
                needs.entry(library.clone()).or_default().insert(path.clone());
            }
        }
        needs
    };
    let (old, new) = (needs(before), needs(after));
    let lost = old.iter().filter(|(library, _)| !new.contains_key(*library)).map(|pair| (false, pair));
    let gained = new.iter().filter(|(library, _)| !old.contains_key(*library)).map(|pair| (true, pair));
    gained
        .chain(lost)
        .map(|(after, (library, files))| NeedChange { library: library.clone(), after, files: files.clone() })
        .collect()
}

/// What is linked in, in other versions.
pub(crate) fn linked_changes(before: &Subject<'_>, after: &Subject<'_>) -> Vec<LinkedChange> {
    let Some((before, after)) = both(before, after) else { return Vec::new() };
    let linked = |record: &Record| -> BTreeMap<String, BTreeSet<String>> {
        let mut linked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for part in record.binaries.values().flat_map(|binary| &binary.linked) {
            linked.entry(part.name.clone()).or_default().insert(part.version.clone().unwrap_or_default());
        }
        linked
    };
    let (mut old, mut new) = (linked(before), linked(after));
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| {
            let (before, after) =
                (old.remove(&name).unwrap_or_default(), new.remove(&name).unwrap_or_default());
            LinkedChange { name, before, after }
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Both records, if both say of native files: older ones do not.
fn both<'a>(before: &Subject<'a>, after: &Subject<'a>) -> Option<(&'a Record, &'a Record)> {
    let says = |subject: &Subject<'a>| subject.known == Known::Record && !subject.record.binaries.is_empty();
    (says(before) && says(after)).then_some((before.record, after.record))
}
