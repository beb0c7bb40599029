//! Whether two markers mean the same, however they are written: tools rewrite markers when they lock.

use super::marker::{Marker, Variable};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Most environments in which two markers are compared.
const MOST_ENVIRONMENTS: usize = 20_000;

/// Most values of one variable that are tried.
const MOST_VALUES: usize = 200;

/// Values that belong together: `sys_platform`, `platform_system` and `os_name`.
const SYSTEMS: [[&str; 3]; 6] = [
    ["linux", "Linux", "posix"],
    ["darwin", "Darwin", "posix"],
    ["win32", "Windows", "nt"],
    ["cygwin", "CYGWIN", "posix"],
    ["emscripten", "Emscripten", "posix"],
    ["other", "other", "other"],
];

/// Values that belong together: `implementation_name` and `platform_python_implementation`.
const IMPLEMENTATIONS: [[&str; 2]; 4] =
    [["cpython", "CPython"], ["pypy", "PyPy"], ["graalpy", "GraalVM"], ["other", "other"]];

/// Whether two markers hold in the same environments, among those whose Python `accepts`. `None` always
/// holds. What is too large to compare counts as the same: this serves to tell that a file has changed, never
/// to choose from it.
pub(crate) fn same_condition(a: Option<&str>, b: Option<&str>, accepts: &dyn Fn(&Version) -> bool) -> bool {
    if a == b {
        return true;
    }
    let parsed: Vec<Option<Marker>> =
        [a, b].into_iter().map(|text| text.and_then(|text| Marker::parse(text).ok())).collect();
    let [left, right] = &parsed[..] else { return false };
    let markers: Vec<&Marker> = parsed.iter().flatten().collect();
    // Each axis is a list of values for one or several variables at once.
    let mut axes: Vec<Vec<BTreeMap<Variable, String>>> = Vec::new();
    let named: BTreeSet<Variable> = markers.iter().flat_map(|marker| marker.variables()).collect();
    let literals = |variable: Variable| -> BTreeSet<String> {
        let all = markers.iter().flat_map(|marker| marker.literals_of(variable));
        all.take(MOST_VALUES).map(str::to_owned).collect()
    };
    if named.iter().any(|variable| variable.is_python()) {
        axes.push(pythons(&markers, accepts));
    }
    let systems = [Variable::SysPlatform, Variable::PlatformSystem, Variable::OsName];
    if named.iter().any(|variable| systems.contains(variable)) {
        axes.push(joint(&systems, SYSTEMS.iter().map(|row| &row[..]), &literals));
    }
    let implementations = [Variable::ImplementationName, Variable::PlatformPythonImplementation];
    if named.iter().any(|variable| implementations.contains(variable)) {
        axes.push(joint(&implementations, IMPLEMENTATIONS.iter().map(|row| &row[..]), &literals));
    }
    for variable in named {
        if !variable.is_python() && !systems.contains(&variable) && !implementations.contains(&variable) {
            let mut values = literals(variable);
            values.insert(String::new());
            axes.push(values.into_iter().map(|value| BTreeMap::from([(variable, value)])).collect());
        }
    }
    let count = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(axis.len()));
    let Some(count) = count.filter(|count| *count <= MOST_ENVIRONMENTS) else { return true };
    (0..count).all(|number| {
        let mut rest = number;
        let environment: Vec<&BTreeMap<Variable, String>> = axes
            .iter()
            .filter_map(|axis| {
                let value = axis.get(rest % axis.len());
                rest /= axis.len();
                value
            })
            .collect();
        let value = |variable: Variable| environment.iter().find_map(|values| values.get(&variable).cloned());
        let holds = |marker: &Option<Marker>| {
            marker.as_ref().is_none_or(|marker| marker.evaluate(&value) == Some(true))
        };
        holds(left) == holds(right)
    })
}

/// The releases of Python at which any of the markers can change its value.
pub(crate) fn releases<'a>(named: impl IntoIterator<Item = &'a str>) -> Vec<Version> {
    let mut versions = vec![Version::new([2, 7, 18]), Version::new([4, 0, 0])];
    versions.extend((0..=40).flat_map(|minor| [0, 99].map(|patch| Version::new([3, minor, patch]))));
    for text in named.into_iter().take(MOST_VALUES) {
        let Ok(version) = Version::from_str(text.trim_end_matches(".*")) else { continue };
        if let [major, minor, patch, ..] = *version.release() {
            let around = [patch.saturating_sub(1), patch, patch.saturating_add(1)];
            versions.extend(around.map(|patch| Version::new([major, minor, patch])));
        }
    }
    versions.sort();
    versions.dedup();
    versions
}

fn pythons(markers: &[&Marker], accepts: &dyn Fn(&Version) -> bool) -> Vec<BTreeMap<Variable, String>> {
    let python = Variable::ENVIRONMENT.into_iter().filter(|variable| variable.is_python());
    let named: Vec<&str> =
        python.flat_map(|variable| markers.iter().flat_map(move |m| m.literals_of(variable))).collect();
    releases(named)
        .into_iter()
        .filter(|version| accepts(version))
        .map(|version| {
            let minor = version.release().iter().take(2).map(u64::to_string).collect::<Vec<_>>().join(".");
            BTreeMap::from([
                (Variable::PythonVersion, minor),
                (Variable::PythonFullVersion, version.to_string()),
                (Variable::ImplementationVersion, version.to_string()),
            ])
        })
        .collect()
}

/// Rows of values that belong together, and one more for each value that no row has.
fn joint<'a>(
    variables: &[Variable],
    rows: impl Iterator<Item = &'a [&'a str]>,
    literals: &dyn Fn(Variable) -> BTreeSet<String>,
) -> Vec<BTreeMap<Variable, String>> {
    let mut found: Vec<BTreeMap<Variable, String>> = rows
        .map(|row| variables.iter().copied().zip(row.iter().map(|value| (*value).to_owned())).collect())
        .collect();
    for variable in variables {
        for literal in literals(*variable) {
            if !found.iter().any(|row| row.get(variable) == Some(&literal)) {
                let row = variables.iter().map(|other| {
                    (*other, if other == variable { literal.clone() } else { "other".to_owned() })
                });
                found.push(row.collect());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewritten_markers_are_the_same() {
        for (a, b, expect) in [
            ("python_version < '3.12'", "python_full_version < '3.12'", true),
            ("python_version < '3.12'", "python_full_version < '3.13'", false),
            ("python_full_version <= '3.12.3'", "python_full_version < '3.12.4'", true),
            ("python_full_version < '3.12.3'", "python_full_version < '3.12.4'", false),
            ("platform_system == 'Windows'", "sys_platform == 'win32'", true),
            ("platform_system == 'Windows'", "sys_platform == 'linux'", false),
            ("sys_platform == 'beos'", "sys_platform == 'haiku'", false),
            ("implementation_name == 'pypy'", "platform_python_implementation == 'PyPy'", true),
            (
                "(os_name == 'nt' or python_version < '3.9') and extra == 'a'",
                "os_name == 'nt' and extra == 'a'",
                true,
            ),
            ("extra == 'a'", "extra == 'b'", false),
            ("platform_machine == 'aarch64'", "platform_machine != 'x86_64'", false),
        ] {
            let accepts = |version: &Version| *version >= Version::new([3, 9, 0]);
            assert_eq!(same_condition(Some(a), Some(b), &accepts), expect, "{a} | {b}");
        }
        assert!(same_condition(Some("python_version >= '3.9'"), None, &|v| *v >= Version::new([3, 9, 0])));
        assert!(!same_condition(Some("python_version >= '3.10'"), None, &|v| *v >= Version::new([3, 9, 0])));
        let wide = (0..300).map(|i| format!("extra == 'e{i}'")).collect::<Vec<_>>().join(" or ");
        assert!(!same_condition(Some(&wide), None, &|_| true));
    }
}
