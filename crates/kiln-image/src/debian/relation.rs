//! Relations between packages: `Depends`, `Provides`, `Conflicts` (Debian policy, chapter 7).

use super::Version;
use kiln_record::excerpt;
use std::cmp::Ordering;
use std::fmt;

/// How a relation restricts a version (policy 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionOperator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl VersionOperator {
    /// Whether a version stands in this relation to the one named.
    #[must_use]
    pub fn admits(self, version: &Version, named: &Version) -> bool {
        let order = version.cmp(named);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

/// One package name with an optional restriction: `libc6 (>= 2.36)`, `python3:any`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The real or virtual package.
    pub name: String,
    /// The architecture qualifier after the colon, such as `any`.
    pub architecture: Option<String>,
    /// The restriction on its version.
    pub version: Option<(VersionOperator, Version)>,
}

/// Alternatives separated by `|`, of which one is enough; never empty.
pub type Alternatives = Vec<Relation>;

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(architecture) = &self.architecture {
            write!(f, ":{architecture}")?;
        }
        if let Some((operator, version)) = &self.version {
            write!(f, " ({} {version})", operator.as_str())?;
        }
        Ok(())
    }
}

/// Reads a relation field; the error is a fragment.
pub(crate) fn parse_relations(field: &str) -> Result<Vec<Alternatives>, String> {
    // A trailing comma and empty places are allowed, as dpkg allows them.
    field
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
        .map(|group| group.split('|').map(parse_relation).collect())
        .collect()
}

fn parse_relation(text: &str) -> Result<Relation, String> {
    let text = text.trim();
    let error = |reason: &str| format!("`{}` is not a relation: {reason}", excerpt(text));
    let (name, restriction) = match text.find(['(', '[', '<']) {
        None => (text, None),
        Some(at) => (text[..at].trim_end(), Some(&text[at..])),
    };
    let (name, architecture) = match name.split_once(':') {
        None => (name, None),
        Some((name, architecture)) => (name, Some(architecture)),
    };
    if !is_package_name(name) {
        return Err(error("the package name is missing or malformed"));
    }
    if architecture
        .is_some_and(|a| a.is_empty() || !a.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'))
    {
        return Err(error("the architecture after the colon is malformed"));
    }
    let version = match restriction {
        None => None,
        Some(restriction) => {
            let inner = restriction
                .strip_prefix('(')
                .and_then(|rest| rest.strip_suffix(')'))
                .ok_or_else(|| {
                    error("only a version in parentheses may follow the name in a binary package")
                })?
                .trim();
            let end = inner.find(|c| !matches!(c, '<' | '=' | '>')).unwrap_or(inner.len());
            let operator = match &inner[..end] {
                "<<" => VersionOperator::Earlier,
                // The single signs are deprecated spellings that include equality.
                "<=" | "<" => VersionOperator::EarlierOrEqual,
                "=" => VersionOperator::Equal,
                ">=" | ">" => VersionOperator::LaterOrEqual,
                ">>" => VersionOperator::Later,
                _ => return Err(error("the operator is not one of `<< <= = >= >>`")),
            };
            Some((operator, inner[end..].trim().parse()?))
        }
    };
    Ok(Relation { name: name.to_owned(), architecture: architecture.map(str::to_owned), version })
}

/// Whether a text may name a package: lower-case letters, digits, `+ - .`, starting with a letter or digit
/// (policy 5.6.1). Upper case is tolerated in relations, as dpkg does, because old archives have it.
pub(crate) fn is_package_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_and_written_back() {
        let field = "libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, python3:any (>> 3), x";
        let all = parse_relations(field).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(all[1][0].to_string(), "debconf (>= 0.5)");
        assert_eq!(all[1][1].to_string(), "debconf-2.0");
        assert_eq!(all[2][0].to_string(), "python3:any (>> 3)");
        assert_eq!(parse_relations("a(=1),").unwrap()[0][0].to_string(), "a (= 1)");
        assert!(parse_relations("").unwrap().is_empty());
    }

    #[test]
    fn malformed_relations_are_refused() {
        for bad in ["a |", "a (1)", "a (>= )", "a (>= 1", "a [amd64]", "a <x>", "A B", "a:", "é", "(>= 1)"] {
            assert!(parse_relations(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn operators() {
        let admits = |field: &str, version: &str| {
            let relation = parse_relations(field).unwrap().remove(0).remove(0);
            let (operator, named) = relation.version.unwrap();
            operator.admits(&version.parse().unwrap(), &named)
        };
        assert!(admits("a (>= 1)", "1") && admits("a (>= 1)", "2") && !admits("a (>= 1)", "1~rc"));
        assert!(!admits("a (>> 1)", "1") && admits("a (<< 1)", "1~") && admits("a (= 1)", "0:1"));
    }
}
