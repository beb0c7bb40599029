//! Distributions of the real index, locked by name, version and hash; `tests/conformance` makes the lock.

use super::repository;

/// The hashed requirements of all of them, for Python 3.13.
pub(crate) fn rarer_distributions() -> String {
    fs_err::read_to_string(repository().join("tests/conformance/requirements.txt")).unwrap()
}

/// The hashed requirements of some of them.
#[track_caller]
pub(crate) fn locked(names: &[&str]) -> String {
    let all = rarer_distributions();
    let lines: Vec<&str> = all.lines().collect();
    let of = |name: &&str| {
        let start = lines.iter().position(|line| line.split("==").next() == Some(*name));
        let start = start.unwrap_or_else(|| panic!("{name} is locked"));
        format!("{}\n{}\n", lines[start], lines[start + 1])
    };
    names.iter().map(of).collect()
}
