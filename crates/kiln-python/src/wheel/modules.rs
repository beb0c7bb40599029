//! Which modules a distribution offers for import, read off its files.

use kiln_record::TreePath;
use std::collections::{BTreeMap, BTreeSet};

/// Names that distributions ship at the top by accident or for their own developers. Importing them proves
/// nothing about the distribution and often needs what only its developers have, so they are not offered.
const NOT_OFFERED: &[&str] = &[
    "benchmark",
    "benchmarks",
    "conftest",
    "doc",
    "docs",
    "example",
    "examples",
    "scripts",
    "setup",
    "test",
    "tests",
];

/// The importable modules nearest the top, sorted: modules and regular packages, and for a namespace package
/// (a folder without `__init__`) the regular packages nearest below it (`google.protobuf`), or its own name
/// if there are none.
#[must_use]
pub fn top_level_modules<'a>(paths: impl Iterator<Item = &'a TreePath>) -> Vec<String> {
    let mut folders: BTreeMap<&str, Folder> = BTreeMap::new();
    let mut modules = BTreeSet::new();
    for path in paths {
        let Some(module) = module_name(path.file_name()) else { continue };
        let folder = path.parent();
        if folder.is_empty() {
            if module != "__init__" && module != "__main__" {
                modules.insert(module.to_owned());
            }
            continue;
        }
        if !folder.split('/').all(is_identifier) {
            continue;
        }
        folders.entry(folder).or_default().regular |= module == "__init__";
        // Every folder above exists as a package of one kind or the other.
        let mut above = folder;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if folders.contains_key(parent) {
                break;
            }
            folders.insert(parent, Folder::default());
            above = parent;
        }
    }
    // `/` orders before every character of a name, so a package is followed by all that it holds.
    let mut nearest: Option<&str> = None;
    let mut open: Option<&str> = None;
    for (path, folder) in &folders {
        if !path.contains('/') {
            modules.extend(open.map(str::to_owned));
            open = Some(path);
        }
        if folder.regular && !nearest.is_some_and(|package| is_within(path, package)) {
            modules.insert(path.replace('/', "."));
            nearest = Some(path);
            open = None;
        }
    }
    modules.extend(open.map(str::to_owned));
    modules.retain(|m| !NOT_OFFERED.contains(&m.split('.').next().unwrap_or(m)));
    modules.into_iter().collect()
}

#[derive(Default)]
struct Folder {
    /// Whether it holds an `__init__` module.
    regular: bool,
}

/// The module that a file holds: `a.py`, `a.so`, `a.cpython-313-x86_64-linux-gnu.so`, `a.abi3.so`.
fn module_name(file_name: &str) -> Option<&str> {
    let stem = if let Some(stem) = file_name.strip_suffix(".py") {
        stem
    } else {
        let (stem, tag) = file_name.strip_suffix(".so").map(|f| f.split_once('.').unwrap_or((f, "")))?;
        // Without a tag it may as well be a plain library that lies beside the modules.
        if tag.is_empty() && stem.starts_with("lib") {
            return None;
        }
        stem
    };
    is_identifier(stem).then_some(stem)
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
        && text != "__pycache__"
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_imported() {
        let check = |paths: &[&str], expected: &[&str]| {
            let paths: Vec<TreePath> = paths.iter().map(|p| TreePath::new(p).unwrap()).collect();
            assert_eq!(top_level_modules(paths.iter()), expected);
        };
        check(&["six.py", "six-1.dist-info/METADATA", "__init__.py", "setup.py"], &["six"]);
        check(&["pkg/__init__.py", "pkg/sub/__init__.py", "pkg.libs/libz.so.1"], &["pkg"]);
        check(&["_x.abi3.so", "y.cpython-313-x86_64-linux-gnu.so", "libz.so"], &["_x", "y"]);
        check(&["google/protobuf/__init__.py", "google/protobuf/internal/__init__.py"], &["google.protobuf"]);
        check(&["google/type/date_pb2.py"], &["google"]);
        check(&["a/b/__init__.py", "a/c/d/__init__.py", "a/c.py"], &["a.b", "a.c.d"]);
        check(
            &["a/x.py", "ab/__init__.py", "a/b/__init__.py", "a/b/c/__init__.py", "z/y.py"],
            &["a.b", "ab", "z"],
        );
        check(&["fast/__init__.cpython-313-x86_64-linux-gnu.so"], &["fast"]);
        check(&["types-stubs/__init__.pyi", "tests/__init__.py", "data/x.json", "pkg/__pycache__/a.so"], &[]);
    }
}
