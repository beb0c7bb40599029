//! Versions, as locks and file names write them.

use pep440_rs::{Operator, Version, VersionSpecifier};
use std::str::FromStr;

/// Whether a specifier accepts a version, by PEP 440. `pep440_rs` compares a series (`==1.2.*`) with as many numbers as the
/// version has, so that `1` would belong to it; PEP 440 fills up with zeros ("Version matching").
pub(crate) fn accepts(specifier: &VersionSpecifier, version: &Version) -> bool {
    let (stated, missing) = (version.release(), specifier.version().release().len());
    let is_series = matches!(specifier.operator(), Operator::EqualStar | Operator::NotEqualStar);
    if is_series && stated.len() < missing {
        let filled = stated.iter().copied().chain(std::iter::repeat(0)).take(missing);
        return specifier.contains(&version.clone().with_release(filled.collect::<Vec<u64>>()));
    }
    specifier.contains(version)
}

/// Whether two versions are one by PEP 440; texts that are no versions are compared as they are.
pub(crate) fn same_version(a: &str, b: &str) -> bool {
    match (Version::from_str(a), Version::from_str(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `packaging.specifiers.SpecifierSet` answers.
    #[test]
    fn a_shorter_version_is_filled_up_with_zeros() {
        for (specifier, version, expected) in [
            ("==1.2.*", "1", false),
            ("==1.0.*", "1", true),
            ("!=1.2.*", "1", true),
            ("!=1.0.*", "1", false),
            ("==1.2.*", "1.2", true),
            ("==1.2.*", "1.2.3", true),
            ("==2024.1.*", "2024", false),
        ] {
            let accepted = accepts(&specifier.parse().unwrap(), &version.parse().unwrap());
            assert_eq!(accepted, expected, "{specifier} {version}");
        }
    }
}
