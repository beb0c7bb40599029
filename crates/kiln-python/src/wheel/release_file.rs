//! Which release a file of an index belongs to.

use super::file_name::WheelName;
use kiln_record::DistributionName;
use pep440_rs::Version;
use std::str::FromStr;

/// Endings of source distributions; only the first is made today (PEP 625).
const SOURCE_ENDINGS: [&str; 4] = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz"];

/// Whether a file name is a wheel or source distribution of a release. Versions are compared by PEP 440, so
/// that `1.0` in a lock finds `1.0.0` in a file name; names by PEP 503.
#[must_use]
pub fn is_file_of(file_name: &str, name: &DistributionName, version: &str) -> bool {
    let Ok(version) = Version::from_str(version) else { return false };
    if let Ok(wheel) = WheelName::parse(file_name) {
        return wheel.name == *name && Version::from_str(&wheel.version).is_ok_and(|found| found == version);
    }
    let Some(stem) = SOURCE_ENDINGS.iter().find_map(|ending| file_name.strip_suffix(ending)) else {
        return false;
    };
    // Old source distributions have `-` in their names and even in versions: every split is tried.
    stem.match_indices('-').any(|(at, _)| {
        stem[..at].parse::<DistributionName>().is_ok_and(|found| found == *name)
            && Version::from_str(&stem[at + 1..]).is_ok_and(|found| found == version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_name_and_version() {
        let is = |file: &str, name: &str, version: &str| is_file_of(file, &name.parse().unwrap(), version);
        assert!(is("six-1.17.0-py2.py3-none-any.whl", "six", "1.17"));
        assert!(is("python_dateutil-2.9.0.post0-py2.py3-none-any.whl", "python-dateutil", "2.9.0.post0"));
        assert!(is("python-dateutil-2.9.0.post0.tar.gz", "python-dateutil", "2.9.0.post0"));
        assert!(!is("six-1.17.0-py2.py3-none-any.whl", "six", "1.16"));
        assert!(!is("six-moves-1.17.0.tar.gz", "six", "1.17.0"));
        assert!(!is("six-1.17.0.exe", "six", "1.17.0"));
    }
}
