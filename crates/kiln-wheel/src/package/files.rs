//! The files of distributions, as rules look at them.

use super::place::without_prefix;
use kiln_collect::Collection;
use kiln_record::{Ecosystem, Entry, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// What a rule takes out, and what it leaves with the reason.
#[derive(Default)]
pub(super) struct Selected {
    pub(super) out: BTreeSet<TreePath>,
    pub(super) left: BTreeMap<TreePath, String>,
}

/// The files that rules for distributions apply to, with their paths in the installation folder: what distributions
/// brought, but for their metadata. The artifact's own source is never among them.
pub(super) struct DistributionFiles {
    pub(super) by_path: BTreeMap<TreePath, TreePath>,
}

impl DistributionFiles {
    pub(super) fn new(
        collection: &Collection,
        prefix: Option<&str>,
        is_metadata: &dyn Fn(&TreePath) -> bool,
    ) -> Self {
        let by_path = collection
            .owners
            .iter()
            .filter(|(path, owner)| owner.ecosystem() != Ecosystem::Application && !is_metadata(path))
            .filter(|(path, _)| matches!(collection.tree.get(path), Some(Entry::File { .. })))
            .filter_map(|(path, _)| Some((without_prefix(path, prefix)?, path.clone())))
            .collect();
        Self { by_path }
    }
}

/// The shortest folder above a path that has one of these names.
pub(super) fn folder_named<'a>(path: &'a TreePath, names: &[&str]) -> Option<&'a str> {
    let text = path.as_str();
    let mut start = 0;
    for part in path.parent().split('/') {
        let end = start + part.len();
        if names.contains(&part) {
            return Some(&text[..end]);
        }
        start = end + 1;
    }
    None
}

pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether a folder may hold nothing but tests, by its name and place.
pub(super) fn may_be_tests(path: &TreePath) -> Option<&str> {
    let top = path.as_str().split('/').next().unwrap_or_default();
    // Data and commands: nothing is known of what reads them.
    if matches!(top, "bin" | "share" | "etc" | "lib" | "include") || top.ends_with(".libs") {
        return None;
    }
    test_folder(path)
}

/// The shortest folder above a path that is named as test folders are.
pub(super) fn test_folder(path: &TreePath) -> Option<&str> {
    folder_named(path, &["tests", "test"])
}
