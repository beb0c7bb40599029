//! What a source distribution says about how it is built (PEP 517 and PEP 518; "pyproject.toml
//! specification", `[build-system]`), and whether that can be met.

use crate::interpreter::TargetEnvironment;
use crate::specifier::Dependency;
use kiln_record::{DistributionName, excerpt};
use pep440_rs::Version;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// What builds a source distribution that does not say (PEP 517, "source trees").
const LEGACY_BACKEND: &str = "setuptools.build_meta:__legacy__";

/// What that needs (PEP 518).
const LEGACY_REQUIRES: &str = "setuptools>=40.8.0";

/// Longest `pyproject.toml` that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// How a source distribution is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSystem {
    /// What has to be installed first, as written.
    pub requires: Vec<String>,
    /// `module` or `module:object` of the build backend.
    pub backend: String,
    /// Folders of the source in which the backend is looked for first.
    pub backend_path: Vec<String>,
    /// Whether the source distribution says so itself; else it is built as before PEP 517.
    pub stated: bool,
}

#[derive(Default, Deserialize)]
struct Project {
    #[serde(rename = "build-system")]
    build_system: Option<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl BuildSystem {
    /// Reads `[build-system]` of a source distribution's `pyproject.toml`, if it has that file.
    ///
    /// # Errors
    /// What is wrong with the file, as a clause.
    pub fn read(pyproject: Option<&str>) -> Result<Self, String> {
        let text = pyproject.unwrap_or_default();
        if text.len() > LONGEST {
            return Err(format!("its pyproject.toml is longer than {LONGEST} bytes"));
        }
        let project: Project = toml::from_str(text)
            .map_err(|error| format!("its pyproject.toml cannot be read: {}", error.message()))?;
        let Some(table) = project.build_system else {
            return Ok(Self {
                requires: vec![LEGACY_REQUIRES.to_owned()],
                backend: LEGACY_BACKEND.to_owned(),
                backend_path: Vec::new(),
                stated: false,
            });
        };
        let backend = table.build_backend.unwrap_or_else(|| LEGACY_BACKEND.to_owned());
        if backend.is_empty() || backend.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!("its build backend `{}` is none", excerpt(&backend)));
        }
        Ok(Self { requires: table.requires, backend, backend_path: table.backend_path, stated: true })
    }
}

/// Requirements that a set of distributions does not meet, each with the reason; those whose markers do not
/// hold are passed over.
#[must_use]
pub fn unmet_build_requirements(
    requires: &[String],
    there: &BTreeMap<DistributionName, String>,
    environment: &TargetEnvironment,
) -> Vec<(String, String)> {
    let mut unmet = Vec::new();
    for text in requires {
        let mut refuse = |reason: String| unmet.push((text.trim().to_owned(), reason));
        let dependency = match Dependency::parse(text) {
            Ok(dependency) => dependency,
            Err(error) => {
                refuse(error.to_string());
                continue;
            }
        };
        match dependency.marker.as_deref().map(|marker| environment.evaluate(marker, &[])) {
            None => {}
            Some(Ok(verdict)) if verdict.value => {}
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                refuse(error.to_string());
                continue;
            }
        }
        let Some(version) = there.get(&dependency.name) else {
            refuse(format!("{} is not there", dependency.name));
            continue;
        };
        let fits = Version::from_str(version).is_ok_and(|version| dependency.accepts(&version));
        if dependency.url.is_some() {
            refuse("it asks for a file at an address, which no lock of an index can give".to_owned());
        } else if !fits {
            refuse(format!("the lock has {} {version}", dependency.name));
        }
    }
    unmet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use kiln_record::{Architecture, Runtime};

    #[test]
    fn what_says_nothing_is_built_as_before() {
        for text in [None, Some(""), Some("[tool.black]\nline-length = 100\n")] {
            let system = BuildSystem::read(text).unwrap();
            assert_eq!(system.requires, ["setuptools>=40.8.0"]);
            assert_eq!(system.backend, "setuptools.build_meta:__legacy__");
            assert!(!system.stated);
        }
        let system =
            BuildSystem::read(Some("[build-system]\nrequires = [\"setuptools\", \"wheel\"]\n")).unwrap();
        assert_eq!((system.requires.len(), system.backend.as_str()), (2, LEGACY_BACKEND));
        let text = "[build-system]\nrequires = []\nbuild-backend = \"own:main\"\nbackend-path = [\".\"]\n";
        let system = BuildSystem::read(Some(text)).unwrap();
        assert_eq!((system.backend.as_str(), system.backend_path.len()), ("own:main", 1));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in
            ["[build-system", "[build-system]\n", "[build-system]\nrequires = []\nbuild-backend = \"a b\"\n"]
        {
            assert!(BuildSystem::read(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn requirements_are_met_by_name_and_version() {
        let base = interpreter("3.13.5", (2, 41), "x86_64");
        let environment =
            TargetEnvironment::new(&base, Runtime::named("python3.13").unwrap(), Architecture::Amd64)
                .unwrap();
        let there = BTreeMap::from([("setuptools".parse().unwrap(), "75.1.0".to_owned())]);
        let unmet = |requires: &[&str]| -> Vec<String> {
            let requires: Vec<String> = requires.iter().map(|text| (*text).to_owned()).collect();
            let unmet = unmet_build_requirements(&requires, &there, &environment);
            unmet.into_iter().map(|(text, reason)| format!("{text}: {reason}")).collect()
        };
        assert_eq!(unmet(&["Setuptools >= 40", "tomli; python_version < '3.11'"]), [""; 0]);
        assert_eq!(
            unmet(&["setuptools>=77", "wheel", "cython @ https://example.org/cython.whl"]),
            [
                "setuptools>=77: the lock has setuptools 75.1.0",
                "wheel: wheel is not there",
                "cython @ https://example.org/cython.whl: cython is not there"
            ]
        );
    }
}
