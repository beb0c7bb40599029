//! The `[python.build]` section: what the listed source distributions are built with.

use super::lock_kind::LockKind;
use crate::problem::Problems;
use kiln_record::{BaseName, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What source distributions are built with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BuildSection {
    /// The base that they are built in, such as one with a compiler; the artifact's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseName>,
    /// The lock of build requirements: hashed requirements or `pylock.toml`. Once read, relative to the
    /// workspace, as is `requirements`. If absent, only what requires nothing can be built.
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
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut String> {
        self.lock.iter_mut().chain(&mut self.requirements)
    }

    /// What is wrong with it, whatever the files say; `lock` is that of what is installed.
    pub(super) fn problems(&self, lock: &str, nothing_to_build: bool, problems: &mut Problems<'_>) {
        if nothing_to_build {
            problems.at_top(
                "there is a [python.build] section, but `python.sdists` names nothing to build",
                "name the distributions to build, such as sdists = [\"docopt\"], or remove the section",
            );
        }
        let kind = self.lock.as_deref().map(LockKind::of);
        if !matches!(kind, None | Some(LockKind::Requirements | LockKind::Pylock)) {
            problems.at_top(
                "`python.build.lock` is the lock of a project, not of build requirements",
                "name a requirements file with hashes, or a pylock.toml",
            );
        }
        match (&self.requirements, &self.lock, kind) {
            (Some(_), None, _) => problems.at_top(
                "`python.build.requirements` is there, but no lock for kiln to write",
                "add lock = \"….txt\" under [python.build]",
            ),
            (Some(_), _, Some(LockKind::Pylock)) => problems.at_top(
                "`python.build.requirements` is there, but a pylock.toml is the lock of another tool",
                "remove `requirements`, or name a requirements file for kiln to write",
            ),
            (Some(requirements), Some(own), _) if requirements == own => problems.at_top(
                format!("`python.build.lock` and `python.build.requirements` are both {own}"),
                "keep what you want in one file, such as build.in, and let kiln write the other",
            ),
            _ => {}
        }
        if self.lock.as_deref() == Some(lock) {
            problems.at_top(
                format!("`python.lock` and `python.build.lock` are both {lock}"),
                "what builds is not what is installed: give each its own lock",
            );
        }
        for name in self.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.at_top(
                    format!("`python.build.env` has the variable `{}`, which cannot be set", excerpt(name)),
                    "a name is not empty and has no `=`",
                );
            }
            if BUILD_VARIABLES.contains(&name.as_str()) {
                problems.at_top(
                    format!("`python.build.env` sets {name}, which kiln sets so that builds are alike"),
                    "remove it; docs/python.md lists what kiln sets",
                );
            }
        }
    }
}
