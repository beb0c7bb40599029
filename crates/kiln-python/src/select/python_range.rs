//! For which Pythons a marker holds, to tell a requirement that a lock leaves out on purpose from one that it
//! lacks because it was made for another Python.

use crate::error::PythonError;
use crate::interpreter::TargetEnvironment;
use crate::specifier::{Marker, Variable};
use pep440_rs::Version;
use std::str::FromStr;

/// Why a marker is false for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// No Python would make it true on this platform.
    Platform,
    /// Another Python would.
    Python {
        /// Whether it holds for all Pythons up to some version, or from some version on: the shape of a
        /// backport, or of something that only later Pythons need. The other shape is a range with two ends.
        one_sided: bool,
        /// Whether it holds for all Pythons from some version on, and for no earlier one.
        only_later: bool,
        /// The Pythons that it holds for, for messages: `3.12` or `3.9 to 3.11`.
        pythons: String,
    },
}

/// The newest minor version of Python 3 that is tried; those to come count as later ones.
const NEWEST: u32 = 40;

/// Most versions that a marker may name and that are all tried.
const MOST_NAMED: usize = 64;

/// Finds out why a marker that is false for the target is false.
pub(crate) fn exclusion(marker: &str, environment: &TargetEnvironment) -> Result<Exclusion, PythonError> {
    let marker = Marker::parse(marker)?;
    let without_python = marker.evaluate(&|variable| {
        if variable.is_python() { None } else { environment.value(variable, "") }
    });
    if without_python == Some(false) {
        return Ok(Exclusion::Platform);
    }
    // One release of every minor version, and every release that the marker itself tells apart.
    let mut versions = vec![Version::new([2, 7, 18])];
    versions.extend((0..=NEWEST).map(|minor| Version::new([3, u64::from(minor), 0])));
    for variable in Variable::ENVIRONMENT.into_iter().filter(|v| v.is_python()) {
        let named = marker.literals_of(variable).into_iter().take(MOST_NAMED);
        versions
            .extend(named.filter_map(|text| Version::from_str(text).ok()).filter(|v| v.release().len() > 2));
    }
    versions.sort();
    versions.dedup();
    let holds: Vec<bool> = versions
        .iter()
        .map(|version| {
            let value = |variable: Variable| match variable {
                Variable::PythonVersion => Some(minor_of(version)),
                v if v.is_python() => Some(version.to_string()),
                other => environment.value(other, ""),
            };
            marker.evaluate(&value) == Some(true)
        })
        .collect();
    let first = holds.iter().position(|h| *h);
    let last = holds.iter().rposition(|h| *h);
    let (Some(first), Some(last)) = (first, last) else { return Ok(Exclusion::Platform) };
    let at_start = first == 0 || versions[first] == Version::new([3, 0, 0]);
    let at_end = last + 1 == holds.len();
    let (low, high) = (minor_of(&versions[first]), minor_of(&versions[last]));
    let pythons = match (at_start, at_end) {
        (true, _) => format!("up to {high}"),
        (_, true) => format!("from {low} on"),
        _ if low == high => low,
        _ => format!("{low} to {high}"),
    };
    Ok(Exclusion::Python { one_sided: at_start || at_end, only_later: at_end && !at_start, pythons })
}

fn minor_of(version: &Version) -> String {
    match version.release() {
        [major, minor, ..] => format!("{major}.{minor}"),
        [major] => format!("{major}.0"),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use kiln_record::{Architecture, Runtime};

    #[test]
    fn shapes() {
        let base = interpreter("3.13.5", (2, 41), "x86_64");
        let runtime = Runtime::named("python3.13").unwrap();
        let env = TargetEnvironment::new(&base, runtime, Architecture::Amd64).unwrap();
        let python = |one_sided, pythons: &str| Exclusion::Python {
            one_sided,
            only_later: pythons.starts_with("from"),
            pythons: pythons.to_owned(),
        };
        for (marker, expect) in [
            ("python_version == '3.12'", python(false, "3.12")),
            ("python_version >= '3.12' and python_version < '3.13'", python(false, "3.12")),
            ("python_full_version >= '3.9' and python_full_version < '3.11.3'", python(false, "3.9 to 3.11")),
            ("python_full_version == '3.12.1'", python(false, "3.12")),
            ("python_version < '3.11'", python(true, "up to 3.10")),
            ("python_full_version < '3.11.3'", python(true, "up to 3.11")),
            ("python_version >= '3.14'", python(true, "from 3.14 on")),
            ("python_version < '3'", python(true, "up to 2.7")),
            ("sys_platform == 'win32'", Exclusion::Platform),
            ("sys_platform == 'win32' and python_version < '3.11'", Exclusion::Platform),
            ("sys_platform == 'linux' and python_version == '3.12'", python(false, "3.12")),
        ] {
            assert_eq!(exclusion(marker, &env).unwrap(), expect, "{marker}");
        }
    }
}
