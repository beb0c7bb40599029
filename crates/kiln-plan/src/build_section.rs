//! The `[python.build]` section: what the listed source distributions are built with.

use crate::python_section::{LockKind, PythonSection};
use kiln_record::BaseName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What source distributions are built with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSection {
    /// The base that they are built in, such as one with a compiler; the artifact's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseName>,
    /// The lock of build requirements: hashed requirements or `pylock.toml`. Once read, relative to the workspace, as is
    /// `requirements`. If absent, only what requires nothing can be built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// What `kiln lock` makes that lock from: a requirements file without hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// Variables for the build, beside those that kiln sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// Variables that kiln gives a value of its own, so that builds are alike.
pub const BUILD_VARIABLES: [&str; 11] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "SOURCE_DATE_EPOCH",
    "TMPDIR",
    "TZ",
];

impl BuildSection {
    /// The paths in it, which a manifest writes relative to its own folder.
    pub(crate) fn paths(&mut self) -> impl Iterator<Item = &mut String> {
        self.lock.iter_mut().chain(&mut self.requirements)
    }
}

/// What is wrong with the keys about building, whatever the files say.
pub(crate) fn problems_of_building(
    python: &PythonSection,
    problem: &mut impl FnMut(std::ops::Range<usize>, String, &str),
) {
    for (index, name) in python.sdists.iter().enumerate() {
        if python.sdists[..index].contains(name) {
            problem(0..0, format!("`python.sdists` names {name} twice"), "name each distribution once");
        }
        if python.exclude.contains(name) || python.from_runtime.contains(name) {
            problem(
                0..0,
                format!("`python.sdists` lets {name} be built, but it is also left out"),
                "keep it in one of `sdists`, `exclude` and `from-runtime`",
            );
        }
    }
    let Some(build) = &python.build else { return };
    if python.sdists.is_empty() {
        problem(
            0..0,
            "there is a [python.build] section, but `python.sdists` names nothing to build".to_owned(),
            "name the distributions to build, such as sdists = [\"docopt\"], or remove the section",
        );
    }
    let kind = build.lock.as_deref().map(LockKind::of);
    if !matches!(kind, None | Some(LockKind::Requirements | LockKind::Pylock)) {
        problem(
            0..0,
            "`python.build.lock` is the lock of a project, not of build requirements".to_owned(),
            "name a requirements file with hashes, or a pylock.toml",
        );
    }
    match (&build.requirements, &build.lock, kind) {
        (Some(_), None, _) => problem(
            0..0,
            "`python.build.requirements` is there, but no lock for kiln to write".to_owned(),
            "add lock = \"….txt\" under [python.build]",
        ),
        (Some(_), _, Some(LockKind::Pylock)) => problem(
            0..0,
            "`python.build.requirements` is there, but a pylock.toml is the lock of another tool".to_owned(),
            "remove `requirements`, or name a requirements file for kiln to write",
        ),
        (Some(requirements), Some(lock), _) if requirements == lock => problem(
            0..0,
            format!("`python.build.lock` and `python.build.requirements` are both {lock}"),
            "keep what you want in one file, such as build.in, and let kiln write the other",
        ),
        _ => {}
    }
    if build.lock.as_ref() == Some(&python.lock) {
        problem(
            0..0,
            format!("`python.lock` and `python.build.lock` are both {}", python.lock),
            "what builds is not what is installed: give each its own lock",
        );
    }
    for name in build.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            problem(
                0..0,
                format!("`python.build.env` has the variable `{}`, which cannot be set", name.escape_debug()),
                "a name is not empty and has no `=`",
            );
        }
        if BUILD_VARIABLES.contains(&name.as_str()) {
            problem(
                0..0,
                format!("`python.build.env` sets {name}, which kiln sets so that builds are alike"),
                "remove it; docs/python.md lists what kiln sets",
            );
        }
    }
}
