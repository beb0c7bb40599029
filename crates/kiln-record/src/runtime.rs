//! Lambda's runtimes as data: which system and C library each has, and what it provides.
//!
//! The name of a runtime does not fix its glibc by any rule, so the table is data with its sources (`runtimes.toml`). A
//! workspace can add targets of its own.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The operating system of a runtime: what native code finds there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OperatingSystem {
    /// Its name, such as `Amazon Linux 2023`.
    pub name: String,
    /// Its glibc version: major and minor.
    pub glibc: (u32, u32),
    /// The newest symbol version of other interfaces (`GLIBCXX`, `CXXABI`, `GCC`), such as `3.4.29`. An interface that is
    /// not here is not judged.
    #[serde(default)]
    pub interfaces: BTreeMap<String, String>,
    /// The shared libraries that it has, by the name that the loader looks for.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// The program interpreters that it has, as absolute paths.
    #[serde(default)]
    pub loaders: Vec<String>,
}

/// A Lambda runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Runtime {
    /// The identifier in Lambda's API, such as `python3.13`.
    pub name: String,
    /// What it runs on.
    pub system: OperatingSystem,
    /// The Python version, major and minor, if it has one.
    pub python: Option<(u32, u32)>,
    /// The bug-fix release of that Python, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python_patch: Option<PythonPatch>,
    /// Distributions that it provides, by PEP 503 name. Their versions are AWS's and move without notice.
    pub provides: Vec<Provided>,
}

/// A bug-fix release of Python, and how it is known. AWS moves its runtimes to later ones without notice and never back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonPatch {
    /// The third number of the version: 13 of 3.11.13.
    pub number: u32,
    /// How it is known, as a clause: `seen on 2025-06-16 in a public write-up`.
    pub known: String,
}

/// A distribution that a runtime provides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Provided {
    /// PEP 503 name.
    pub distribution: String,
    /// Its top-level modules.
    pub modules: Vec<String>,
}

impl Runtime {
    /// The provided distribution that holds a top-level module.
    #[must_use]
    pub fn provider_of_module(&self, module: &str) -> Option<&Provided> {
        self.provides.iter().find(|p| p.modules.iter().any(|m| m == module))
    }

    /// Whether the runtime provides a distribution.
    #[must_use]
    pub fn provides(&self, distribution: &str) -> bool {
        self.provides.iter().any(|p| p.distribution == distribution)
    }

    /// Whether the loader finds a shared library on the runtime's own system: one of its operating system, or the Python
    /// library of the interpreter that Lambda runs (`/var/lang/lib`).
    #[must_use]
    pub fn has_library(&self, name: &str) -> bool {
        let python = self.python.map(|(major, minor)| format!("libpython{major}.{minor}.so.1.0"));
        let is_loader = self.system.loaders.iter().any(|path| path.rsplit('/').next() == Some(name));
        is_loader || python.as_deref() == Some(name) || self.system.libraries.iter().any(|l| l == name)
    }

    /// The full version of its Python, such as `3.11.13`, if its bug-fix release is known.
    #[must_use]
    pub fn python_release(&self) -> Option<String> {
        let ((major, minor), patch) = self.python.zip(self.python_patch.as_ref())?;
        Some(format!("{major}.{minor}.{}", patch.number))
    }

    /// Looks a runtime of Lambda up by its identifier.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Arc<Self>> {
        runtimes().iter().find(|runtime| runtime.name == name)
    }
}

/// Every runtime that kiln knows, in the order of the table.
#[must_use]
pub fn runtimes() -> &'static [Arc<Runtime>] {
    static TABLE: OnceLock<Vec<Arc<Runtime>>> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("runtimes.toml")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    system: BTreeMap<String, OperatingSystem>,
    python_provides: Vec<ProvidedSince>,
    runtime: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvidedSince {
    distribution: String,
    modules: Vec<String>,
    /// The first Python whose runtime has it; every one if absent.
    since: Option<(u32, u32)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    system: String,
    python: Option<(u32, u32)>,
    patch: Option<Patch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    number: u32,
    /// The day of the report, or of the build that it quotes: `YYYY-MM-DD`.
    seen: String,
    /// Where it was seen, as messages say it.
    source: String,
    /// Whether it is older than most releases of its Python.
    #[serde(default)]
    weak: bool,
}

impl Patch {
    /// How it is known, as a clause.
    fn known(&self) -> String {
        let weak = if self.weak { ", long ago: it is weakly known, and likely later by now" } else { "" };
        format!("seen on {} in {}{weak}", self.seen, self.source)
    }
}

fn parse(text: &str) -> Vec<Arc<Runtime>> {
    let file: File = toml::from_str(text).expect("the table is part of the program and covered by a test");
    file.runtime
        .into_iter()
        .map(|row| {
            Arc::new(Runtime {
                system: file.system[&row.system].clone(),
                provides: provided(&file.python_provides, row.python),
                name: row.name,
                python: row.python,
                python_patch: row
                    .patch
                    .map(|patch| PythonPatch { known: patch.known(), number: patch.number }),
            })
        })
        .collect()
}

/// What the runtime of a Python provides.
fn provided(all: &[ProvidedSince], python: Option<(u32, u32)>) -> Vec<Provided> {
    let Some(python) = python else { return Vec::new() };
    let there = all.iter().filter(|provided| provided.since.is_none_or(|since| since <= python));
    there
        .map(|provided| Provided {
            distribution: provided.distribution.clone(),
            modules: provided.modules.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_valid() {
        assert!(runtimes().len() >= 12);
        let python = Runtime::named("python3.11").unwrap();
        assert_eq!(python.system.glibc, (2, 26));
        assert_eq!(python.system.interfaces["GLIBCXX"], "3.4.24");
        assert_eq!(Runtime::named("python3.13").unwrap().system.glibc, (2, 34));
        assert!(python.provides("boto3") && !python.provides("snapshot-restore-py"));
        let provider = Runtime::named("python3.12").unwrap().provider_of_module("snapshot_restore_py");
        assert_eq!(provider.unwrap().distribution, "snapshot-restore-py");
        assert_eq!(python.provider_of_module("dateutil").unwrap().distribution, "python-dateutil");
        assert!(python.has_library("libstdc++.so.6") && python.has_library("libpython3.11.so.1.0"));
        assert!(!python.has_library("libGL.so.1") && !python.has_library("libpython3.12.so.1.0"));
        assert_eq!(python.python_release().as_deref(), Some("3.11.13"));
        let known = |name: &str| Runtime::named(name).unwrap().python_patch.as_ref().unwrap().known.clone();
        assert_eq!(
            known("python3.9"),
            "seen on 2022-03-21 in a report about AWS's base image, long ago: it is weakly known, and likely later by now"
        );
        assert!(
            known("python3.13").starts_with("seen on 2026-01-02 in ")
                && !known("python3.13").contains("weakly")
        );
        for runtime in runtimes() {
            assert_eq!(runtime.python.is_some(), runtime.python_patch.is_some(), "{}", runtime.name);
            let numbers =
                runtime.system.interfaces.values().all(|v| v.split('.').all(|n| n.parse::<u32>().is_ok()));
            assert!(numbers && !runtime.system.libraries.is_empty(), "{}", runtime.name);
        }
    }
}
