//! Lambda's runtimes as data: which system and C library each has, and what it provides.
//!
//! The name of a runtime does not fix its glibc by any rule, so the table is data with its sources (`runtimes.toml`).

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The operating system of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingSystem {
    /// Its name, such as `Amazon Linux 2023`.
    pub name: String,
    /// Its glibc version: major and minor.
    pub glibc: (u32, u32),
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
    /// Distributions that it provides, by PEP 503 name. Their versions are AWS's and move without notice.
    pub provides: Vec<Provided>,
}

/// A distribution that a runtime provides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Looks a runtime up by its identifier.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        runtimes().iter().find(|runtime| runtime.name == name)
    }
}

/// Every runtime that kiln knows, in the order of the table.
#[must_use]
pub fn runtimes() -> &'static [Runtime] {
    static TABLE: OnceLock<Vec<Runtime>> = OnceLock::new();
    TABLE.get_or_init(|| parse(include_str!("runtimes.toml")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    system: std::collections::BTreeMap<String, OperatingSystem>,
    python_provides: Vec<Provided>,
    runtime: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    system: String,
    python: Option<(u32, u32)>,
}

fn parse(text: &str) -> Vec<Runtime> {
    let file: File = toml::from_str(text).expect("the table is part of the program and covered by a test");
    file.runtime
        .into_iter()
        .map(|row| Runtime {
            system: file.system[&row.system].clone(),
            provides: if row.python.is_some() { file.python_provides.clone() } else { Vec::new() },
            name: row.name,
            python: row.python,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_valid() {
        assert!(runtimes().len() >= 8);
        let python = Runtime::named("python3.11").unwrap();
        assert_eq!(python.system.glibc, (2, 26));
        assert_eq!(Runtime::named("python3.13").unwrap().system.glibc, (2, 34));
        assert!(python.provides("boto3"));
        assert_eq!(python.provider_of_module("dateutil").unwrap().distribution, "python-dateutil");
    }
}
