//! Which versions a query accepts, by the rules of whose versions they are.

use crate::FactKind;
use pep440_rs::{Version as PythonVersion, VersionSpecifiers};
use std::cmp::Ordering;
use std::str::FromStr as _;

/// Conditions on a version, all of which must hold.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    text: String,
    conditions: Vec<(Operator, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Of Python only: `~=`, `===`.
    Other,
}

/// Longest first.
const OPERATORS: [(&str, Operator); 10] = [
    ("===", Operator::Other),
    ("~=", Operator::Other),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<<", Operator::Less),
    (">>", Operator::Greater),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Versions {
    /// Reads `<2.5`, `>=1,<2`, `=1.0-1`; what is empty accepts everything.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut conditions = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let found =
                OPERATORS.iter().find_map(|(sign, operator)| Some((part.strip_prefix(sign)?, *operator)));
            let found = found.or_else(|| Some((part.strip_prefix('=')?, Operator::Equal)));
            match found {
                Some((version, operator)) if !version.trim().is_empty() => {
                    conditions.push((operator, version.trim().to_owned()));
                }
                _ => return Err(format!("`{part}` is no condition on a version, such as <2.5")),
            }
        }
        Ok(Self { text: text.trim().to_owned(), conditions })
    }

    /// Whether a version is accepted; nothing where it cannot be told.
    pub(crate) fn accept(&self, kind: FactKind, purl: Option<&str>, version: Option<&str>) -> Option<bool> {
        if self.conditions.is_empty() {
            return Some(true);
        }
        let version = version?;
        let is_crate = purl.is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        match kind {
            FactKind::Python => {
                let specifiers = VersionSpecifiers::from_str(&self.text).ok()?;
                Some(specifiers.contains(&PythonVersion::from_str(version).ok()?))
            }
            FactKind::Debian => self.ordered(|other| {
                let [a, b] = [version, other].map(kiln_image::debian::Version::from_str);
                Some(a.ok()?.cmp(&b.ok()?))
            }),
            FactKind::Embedded if is_crate => {
                let version = semver::Version::parse(version).ok()?;
                // The build's part does not count in semver.
                self.ordered(|other| Some(version.cmp_precedence(&padded(other)?)))
            }
            // C libraries that bytes tell of: dotted numbers, of OpenSSL with a letter (1.0.2k).
            FactKind::Embedded if purl.is_some_and(|purl| purl.starts_with("pkg:generic/")) => {
                let own = numbers(version);
                let ordered = own.and_then(|own| self.ordered(|other| Some(own.cmp(&numbers(other)?))));
                ordered.or_else(|| self.equal(version))
            }
            _ => self.equal(version),
        }
    }

    fn ordered(&self, compare: impl Fn(&str) -> Option<Ordering>) -> Option<bool> {
        let mut all = true;
        for (operator, other) in &self.conditions {
            let order = compare(other)?;
            all &= match operator {
                Operator::Equal => order == Ordering::Equal,
                Operator::NotEqual => order != Ordering::Equal,
                Operator::Less => order == Ordering::Less,
                Operator::LessOrEqual => order != Ordering::Greater,
                Operator::Greater => order == Ordering::Greater,
                Operator::GreaterOrEqual => order != Ordering::Less,
                Operator::Other => return None,
            };
        }
        Some(all)
    }

    /// Of versions whose order is not known, only whether they are the same text.
    fn equal(&self, version: &str) -> Option<bool> {
        let mut all = true;
        for (operator, other) in &self.conditions {
            all &= match operator {
                Operator::Equal => version == other,
                Operator::NotEqual => version != other,
                _ => return None,
            };
        }
        Some(all)
    }
}

/// A version of dotted numbers, each with at most one letter behind it; trailing zeros do not count. None for any other text.
fn numbers(text: &str) -> Option<Vec<(u64, Option<char>)>> {
    let mut numbers = Vec::new();
    for part in text.split('.') {
        let letter = part.chars().last().filter(char::is_ascii_lowercase);
        let digits = letter.map_or(part, |letter| part.strip_suffix(letter).unwrap_or(part));
        let is_number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        numbers.push((is_number.then(|| digits.parse().ok()).flatten()?, letter));
    }
    while numbers.last() == Some(&(0, None)) {
        numbers.pop();
    }
    Some(numbers)
}

/// A version of semver of which the last numbers may be missing.
fn padded(text: &str) -> Option<semver::Version> {
    [text.to_owned(), format!("{text}.0"), format!("{text}.0.0")]
        .iter()
        .find_map(|text| semver::Version::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use super::Versions;
    use crate::FactKind;

    #[test]
    fn each_ecosystem_has_its_order() {
        let accept = |text: &str, kind, purl, version| {
            Versions::parse(text).unwrap().accept(kind, purl, Some(version))
        };
        for (text, version, expected) in [
            ("<2.5", "2.4.1", Some(true)),
            ("<2.5", "2.5", Some(false)),
            ("<2.5", "2.5.dev1", Some(false)),
            (">=1,<2", "1.0.post1", Some(true)),
            ("~=1.4", "1.9", Some(true)),
            ("==1.*", "1.9", Some(true)),
            ("<2.5", "no version", None),
        ] {
            assert_eq!(accept(text, FactKind::Python, None, version), expected, "{text} {version}");
        }
        assert_eq!(accept("<3.0.14-1", FactKind::Debian, None, "3.0.14-1~deb12u1"), Some(true));
        assert_eq!(accept(">>1:1.0", FactKind::Debian, None, "2.0"), Some(false));
        let crates = Some("pkg:cargo/ring@0.17.8");
        assert_eq!(accept("<0.17.12", FactKind::Embedded, crates, "0.17.8"), Some(true));
        assert_eq!(accept("<0.17", FactKind::Embedded, crates, "0.17.8"), Some(false));
        let linked = Some("pkg:generic/openssl@1.0.2k");
        for (text, version, expected) in [
            ("<8", "7.83.1", Some(true)),
            ("<1.0.2l", "1.0.2k", Some(true)),
            (">1.0.2", "1.0.2k", Some(true)),
            ("==3.0", "3.0.0", Some(true)),
            ("<3.0.14", "3.0.2", Some(true)),
            ("<3", "nightly", None),
            ("==nightly", "nightly", Some(true)),
        ] {
            assert_eq!(accept(text, FactKind::Embedded, linked, version), expected, "{text} {version}");
        }
        // Whose order nobody here knows.
        assert_eq!(accept("<2", FactKind::Rpm, None, "1.0-1"), None);
        assert_eq!(accept("==1.0-1", FactKind::Rpm, None, "1.0-1"), Some(true));
        assert!(Versions::parse("<").is_err() && Versions::parse("2.5").is_err());
    }
}
