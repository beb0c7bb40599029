//! Leaving files out: by the manifest's patterns, and by rules for what running code seldom needs.

use super::files::{DistributionFiles, Selected, contains, folder_named};
use super::imported::TestFolders;
use crate::WheelError;
use crate::bring::distribution::ReadyWheel;
use globset::{GlobBuilder, GlobMatcher};
use kiln_collect::Collection;
use kiln_plan::{DropRule, InvalidFiles, PackageSection, Problem};
use kiln_record::{Code, Finding, Transformation, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// The version of the rules by which files are left out. A step means that equal trees may come out differently.
pub(super) const LEAVE_OUT_RULES: u32 = 1;
/// Applies `include`, `exclude` and `drop`, in this order.
pub(super) fn apply(
    store: &Store,
    section: &PackageSection,
    collection: &mut Collection,
    wheels: &[ReadyWheel],
    prefix: Option<&str>,
) -> Result<Vec<Finding>, WheelError> {
    let dist_infos: Vec<String> = wheels
        .iter()
        .map(|ready| match prefix {
            Some(prefix) => format!("{prefix}/{}", ready.wheel.dist_info),
            None => ready.wheel.dist_info.clone(),
        })
        .collect();
    let is_metadata = |path: &TreePath| dist_infos.iter().any(|folder| path.is_within(folder));
    let mut findings = Vec::new();
    if let Some(patterns) = &section.include {
        let globs = globs(patterns)?;
        findings.extend(without_match("include", patterns, &globs, collection, &is_metadata));
        let out = |path: &TreePath| !globs.iter().any(|glob| glob.is_match(path.as_str()));
        let out = paths(collection, &is_metadata).filter(|path| out(path)).cloned().collect();
        take_out(collection, "include", Selected { out, ..Selected::default() });
    }
    if !section.exclude.is_empty() {
        let globs = globs(&section.exclude)?;
        findings.extend(without_match("exclude", &section.exclude, &globs, collection, &is_metadata));
        let out = |path: &TreePath| globs.iter().any(|glob| glob.is_match(path.as_str()));
        let out = paths(collection, &is_metadata).filter(|path| out(path)).cloned().collect();
        take_out(collection, "exclude", Selected { out, ..Selected::default() });
    }
    for rule in &section.drop {
        let files = DistributionFiles::new(collection, prefix, &is_metadata);
        let selected = match rule {
            DropRule::Tests => TestFolders::new(store, collection, wheels, &files).selected()?,
            DropRule::TypeStubs => type_stubs(store, collection, &files)?,
            DropRule::StaticLibraries => static_libraries(store, collection, &files)?,
            DropRule::Docs => documentation(&files),
            DropRule::Headers => with_ending(&files, &["h", "hh", "hpp", "hxx", "h++", "cuh", "pxd"]),
            DropRule::NativeSources => {
                with_ending(&files, &["c", "cc", "cpp", "cxx", "c++", "cu", "f", "f90", "f95", "pyx", "pxi"])
            }
        };
        take_out(collection, &format!("drop-{}", rule.as_str()), selected);
    }
    Ok(findings)
}

fn take_out(collection: &mut Collection, rule: &str, selected: Selected) {
    let mut done = Transformation::new(rule, LEAVE_OUT_RULES);
    for path in &selected.out {
        if let Some((owner, size)) = collection.take_out(path) {
            done.count(&owner, size, 0);
        }
    }
    done.left = selected.left;
    collection.transformations.push(done);
}

/// The paths that patterns apply to: all but the metadata of distributions.
fn paths<'a>(
    collection: &'a Collection,
    is_metadata: &'a dyn Fn(&TreePath) -> bool,
) -> impl Iterator<Item = &'a TreePath> {
    collection.tree.iter().map(|(path, _)| path).filter(|path| !is_metadata(path))
}

fn without_match(
    key: &str,
    patterns: &[String],
    globs: &[GlobMatcher],
    collection: &Collection,
    is_metadata: &dyn Fn(&TreePath) -> bool,
) -> Vec<Finding> {
    let unused = patterns
        .iter()
        .zip(globs)
        .filter(|(_, glob)| !paths(collection, is_metadata).any(|path| glob.is_match(path.as_str())));
    unused
        .map(|(pattern, _)| {
            let finding = Finding::new(
                Code::PatternWithoutMatch,
                pattern.as_str(),
                format!("`{pattern}` in `{key}` under [package] matches no file of the artifact"),
            )
            .remedy("correct it: patterns are matched against whole paths of the artifact, such as `numpy/random/lib/*`");
            match collection.tree.iter().find(|(path, _)| path.as_str().ends_with(pattern.trim_start_matches('/'))) {
                Some((path, _)) => finding.detail(format!("there is `{path}`; `**/{pattern}` would match it")),
                None => finding.remedy("or remove it, if what it was for is gone"),
            }
        })
        .collect()
}

fn globs(patterns: &[String]) -> Result<Vec<GlobMatcher>, WheelError> {
    patterns
        .iter()
        .map(|pattern| match GlobBuilder::new(pattern).literal_separator(true).build() {
            Ok(glob) => Ok(glob.compile_matcher()),
            // Checked when the manifest was read.
            Err(error) => Err(InvalidFiles(vec![Problem::in_file("[package]", error.to_string())]).into()),
        })
        .collect()
}

fn ending(path: &TreePath) -> &str {
    path.file_name().rsplit_once('.').map_or("", |(stem, ending)| if stem.is_empty() { "" } else { ending })
}

fn with_ending(files: &DistributionFiles, endings: &[&str]) -> Selected {
    let out = files.by_path.iter().filter(|(path, _)| endings.contains(&ending(path)));
    Selected { out: out.map(|(_, path)| path.clone()).collect(), ..Selected::default() }
}

/// `share/doc`, `share/man` and `share/info`, and folders `doc` or `docs` below a package that hold no code.
fn documentation(files: &DistributionFiles) -> Selected {
    let mut folders: BTreeMap<&str, (Vec<&TreePath>, bool)> = BTreeMap::new();
    let mut out = BTreeSet::new();
    for (path, there) in &files.by_path {
        if ["share/doc", "share/man", "share/info"].iter().any(|folder| path.is_within(folder)) {
            out.insert(there.clone());
        } else if let Some(folder) = folder_named(path, &["doc", "docs"])
            && folder.contains('/')
        {
            let entry = folders.entry(folder).or_default();
            entry.0.push(there);
            entry.1 |=
                matches!(ending(path), "py" | "pyi" | "pyc" | "so") || path.file_name().contains(".so.");
        }
    }
    let mut left = BTreeMap::new();
    for (paths, holds_code) in folders.into_values() {
        if !holds_code {
            out.extend(paths.into_iter().cloned());
        } else if let Some(folder) = paths.first().and_then(|path| folder_named(path, &["doc", "docs"]))
            && let Ok(folder) = TreePath::new(folder)
        {
            left.insert(folder, "it holds code".to_owned());
        }
    }
    Selected { out, left }
}

/// `*.pyi` and `py.typed`. A stub that a module reads when it is imported (`lazy_loader.attach_stub`) stays.
fn type_stubs(
    store: &Store,
    collection: &Collection,
    files: &DistributionFiles,
) -> Result<Selected, WheelError> {
    let mut selected = Selected::default();
    for (path, there) in &files.by_path {
        let is_stub = ending(path) == "pyi";
        if !is_stub && path.file_name() != "py.typed" {
            continue;
        }
        if is_stub
            && let Some(module) = path.as_str().strip_suffix('i').and_then(|text| TreePath::new(text).ok())
            && let Some(module) = files.by_path.get(&module)
            && contains(&collection.read(store, module)?, b"attach_stub")
        {
            selected.left.insert(there.clone(), format!("{module} reads it when it is imported"));
            continue;
        }
        selected.out.insert(there.clone());
    }
    Ok(selected)
}

/// `*.a` archives of objects, and `*.la`.
fn static_libraries(
    store: &Store,
    collection: &Collection,
    files: &DistributionFiles,
) -> Result<Selected, WheelError> {
    let mut selected = Selected::default();
    for (path, there) in &files.by_path {
        let out = match ending(path) {
            "la" => true,
            "a" => {
                let content = collection.read(store, there)?;
                content.starts_with(b"!<arch>\n") || content.starts_with(b"!<thin>\n")
            }
            _ => continue,
        };
        if out {
            selected.out.insert(there.clone());
        } else {
            selected.left.insert(there.clone(), "it is no archive of objects".to_owned());
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::super::files::may_be_tests;
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn files(paths: &[&str]) -> DistributionFiles {
        DistributionFiles { by_path: paths.iter().map(|text| (path(text), path(text))).collect() }
    }

    #[test]
    fn folders_are_found_by_name_from_the_top() {
        assert_eq!(folder_named(&path("a/docs/b/docs/c"), &["docs"]), Some("a/docs"));
        assert_eq!(folder_named(&path("a/docs"), &["docs"]), None);
        assert_eq!(may_be_tests(&path("numpy/random/tests/data/x.csv")), Some("numpy/random/tests"));
        assert_eq!(may_be_tests(&path("numpy/testing/__init__.py")), None);
        assert_eq!(may_be_tests(&path("share/x/tests/y")), None);
        assert_eq!(may_be_tests(&path("x.libs/test/y")), None);
    }

    #[test]
    fn documentation_is_what_holds_no_code() {
        let selected = documentation(&files(&[
            "share/man/man1/x.1",
            "share/jupyter/kernel.json",
            "pkg/docs/index.html",
            "pkg/docs/img/a.png",
            "np/doc/ufuncs.py",
            "np/doc/readme.txt",
            "docs/readme.txt",
        ]));
        let out: Vec<&str> = selected.out.iter().map(TreePath::as_str).collect();
        assert_eq!(out, ["pkg/docs/img/a.png", "pkg/docs/index.html", "share/man/man1/x.1"]);
        assert_eq!(selected.left[&path("np/doc")], "it holds code");
    }

    #[test]
    fn endings_are_whole() {
        let selected = with_ending(&files(&["a/x.h", "a/x.hpp", "a/.h", "a/xh", "a/x.h.py"]), &["h"]);
        assert_eq!(selected.out.iter().map(TreePath::as_str).collect::<Vec<_>>(), ["a/x.h"]);
    }
}
