//! Poetry's notation for version constraints: `^1.2`, `~3.12`, `3.11.*`, `>=2,<3 || ^5`, and all of PEP 440
//! beside it (Poetry documentation, "dependency specification"; `poetry.core.constraints.version.parser` is
//! the reference).

use super::version::accepts;
use crate::error::PythonError;
use pep440_rs::{Version, VersionSpecifier, VersionSpecifiers};
use std::fmt;
use std::str::FromStr;

/// Which versions are accepted: those that any of the alternatives accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    text: String,
    alternatives: Vec<VersionSpecifiers>,
}

/// Longest constraint that is read, in bytes.
const LONGEST: usize = 4096;

/// Reads a constraint in Poetry's notation.
///
/// # Errors
/// [`PythonError::Constraint`] if the text is none.
pub fn poetry_constraint(text: &str) -> Result<Constraint, PythonError> {
    let error = |reason: String| PythonError::Constraint { text: text.chars().take(100).collect(), reason };
    if text.len() > LONGEST {
        return Err(error(format!("it is longer than {LONGEST} bytes")));
    }
    let mut alternatives = Vec::new();
    for alternative in text.split('|').map(str::trim) {
        // `||` and `|` both separate, so an empty piece between two bars is no alternative.
        if alternative.is_empty() {
            continue;
        }
        alternatives.push(all_of(alternative).map_err(error)?);
    }
    if alternatives.is_empty() {
        return Err(error("it is empty".to_owned()));
    }
    Ok(Constraint { text: text.trim().to_owned(), alternatives })
}

impl Constraint {
    /// Reads a list of PEP 440 specifiers, as in `requires-python` of `[project]`.
    ///
    /// # Errors
    /// [`PythonError::Constraint`] if the text is none.
    pub fn pep440(text: &str) -> Result<Self, PythonError> {
        let specifiers = VersionSpecifiers::from_str(text).map_err(|e| PythonError::Constraint {
            text: text.chars().take(100).collect(),
            reason: e.to_string().lines().next().unwrap_or("it cannot be read").to_owned(),
        })?;
        Ok(Self { text: text.trim().to_owned(), alternatives: vec![specifiers] })
    }

    /// Whether a version is accepted.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|specifier| accepts(specifier, version)))
    }

    /// The alternatives of which any accepts a version.
    pub(crate) fn alternatives(&self) -> &[VersionSpecifiers] {
        &self.alternatives
    }

    /// Whether every version is accepted.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.alternatives.iter().any(VersionSpecifiers::is_empty)
    }

    /// The marker that says the same about the Python that evaluates it; `None` if every version is accepted.
    #[must_use]
    pub fn to_python_marker(&self) -> Option<String> {
        if self.is_any() {
            return None;
        }
        let alternatives: Vec<String> = self
            .alternatives
            .iter()
            .map(|specifiers| specifiers.iter().map(python_comparison).collect::<Vec<_>>().join(" and "))
            .collect();
        match &alternatives[..] {
            [one] => Some(one.clone()),
            several => Some(several.iter().map(|a| format!("({a})")).collect::<Vec<_>>().join(" or ")),
        }
    }
}

impl From<VersionSpecifiers> for Constraint {
    fn from(specifiers: VersionSpecifiers) -> Self {
        Self { text: specifiers.to_string(), alternatives: vec![specifiers] }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As Poetry does it: versions of at most two numbers speak of `python_version`.
fn python_comparison(specifier: &VersionSpecifier) -> String {
    let release = specifier.version().release().len();
    let variable = if release <= 2 { "python_version" } else { "python_full_version" };
    let text = specifier.to_string();
    let split = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let (operator, version) = text.split_at(split);
    let version = if release == 2 { version.strip_suffix(".*").unwrap_or(version) } else { version };
    format!("{variable} {} \"{version}\"", operator.trim())
}

fn all_of(text: &str) -> Result<VersionSpecifiers, String> {
    let mut specifiers = Vec::new();
    let separator = |c: char| c == ',' || c.is_ascii_whitespace();
    let mut rest = text.trim_start_matches(separator);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !"~^=<>!".contains(c)).unwrap_or(rest.len());
        let (operator, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(separator).unwrap_or(after.len());
        let (version, after) = after.split_at(end);
        if version.is_empty() {
            return Err(format!("there is no version after `{operator}`"));
        }
        single(operator, version, &mut specifiers)?;
        rest = after.trim_start_matches(separator);
    }
    Ok(specifiers.into_iter().collect())
}

fn single(operator: &str, version: &str, specifiers: &mut Vec<VersionSpecifier>) -> Result<(), String> {
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let is_wild = |part: &str| matches!(part, "*" | "x" | "X");
    if version.split('.').all(is_wild) {
        return if matches!(operator, "" | "=" | "==") {
            Ok(())
        } else {
            Err(format!("`{operator}{version}` accepts nothing"))
        };
    }
    let specifier = |operator: &str, version: &str| {
        VersionSpecifier::from_str(&format!("{operator}{version}"))
            .map_err(|_| format!("`{operator}{version}` cannot be read"))
    };
    match operator {
        "^" | "~" => {
            let lowest = Version::from_str(version).map_err(|_| format!("`{version}` is not a version"))?;
            let next = if operator == "^" { next_breaking(&lowest) } else { next_tilde(&lowest) };
            let next = next.ok_or_else(|| format!("`{version}` is too large"))?;
            specifiers.push(specifier(">=", &lowest.to_string())?);
            specifiers.push(specifier("<", &next)?);
        }
        "" | "=" | "==" | "!=" => {
            let operator = if operator == "!=" { "!=" } else { "==" };
            let parts: Vec<&str> = version.split('.').collect();
            let fixed = parts.iter().take_while(|part| !is_wild(part)).count();
            let pattern = if fixed < parts.len() {
                format!("{}.*", parts[..fixed].join("."))
            } else {
                version.to_owned()
            };
            specifiers.push(specifier(operator, &pattern)?);
        }
        "<" | "<=" | ">" | ">=" | "~=" | "===" => specifiers.push(specifier(operator, version)?),
        other => return Err(format!("`{other}` is not an operator")),
    }
    Ok(())
}

/// The end of `^`: the leftmost number that is not zero may not change.
fn next_breaking(version: &Version) -> Option<String> {
    let release = version.release();
    let leading = release.iter().take_while(|n| **n == 0).count();
    let changed = leading.min(release.len().min(3) - 1);
    raise(release, changed)
}

/// The end of `~`: the second number may not change, or the first if there is but one.
fn next_tilde(version: &Version) -> Option<String> {
    let release = version.release();
    raise(release, usize::from(release.len() > 1))
}

fn raise(release: &[u64], position: usize) -> Option<String> {
    let mut parts: Vec<u64> = release.get(..=position)?.to_vec();
    let last = parts.last_mut()?;
    *last = last.checked_add(1)?;
    Some(parts.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(constraint: &str, yes: &[&str], no: &[&str]) {
        let parsed = poetry_constraint(constraint).unwrap();
        for version in yes {
            assert!(parsed.contains(&version.parse().unwrap()), "{constraint} should accept {version}");
        }
        for version in no {
            assert!(!parsed.contains(&version.parse().unwrap()), "{constraint} should refuse {version}");
        }
    }

    /// Cases and answers from `poetry.core.constraints.version.parse_constraint`.
    #[test]
    fn notation_of_poetry() {
        check("~3.12", &["3.12.0", "3.12.9"], &["3.11.9", "3.13.0"]);
        check("~3", &["3.0", "3.14"], &["4.0", "2.7"]);
        check("~1.2.3", &["1.2.3", "1.2.9"], &["1.2.2", "1.3"]);
        check("^3.9", &["3.9", "3.13.1"], &["3.8", "4.0"]);
        check("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0", "0.2.2"]);
        check("^0.0.3", &["0.0.3"], &["0.0.4"]);
        check("^0.0", &["0.0.9"], &["0.1"]);
        check("^0", &["0.9"], &["1.0"]);
        check("3.11.*", &["3.11.4"], &["3.12"]);
        check("3.x", &["3.12"], &["4"]);
        check(">=3.11,<3.14", &["3.13.5"], &["3.14.0", "3.10"]);
        check(">=3.11 <3.14", &["3.13.5"], &["3.14.0", "3.10"]);
        check(">= 3.11, < 3.14", &["3.13.5"], &["3.14.0", "3.10"]);
        check("~2.7 || ^3.9", &["2.7.18", "3.10"], &["3.8", "2.8"]);
        check("<3.0|>=3.5", &["2.7", "3.6"], &["3.1"]);
        check("3.11", &["3.11.0"], &["3.11.4"]);
        check("*", &["3.11.0", "0.1"], &[]);
        check("!=3.9.7,>=3.8", &["3.9.6"], &["3.9.7"]);
        check("~=3.9", &["3.13"], &["4.0"]);
        check("v1.2", &["1.2"], &["1.3"]);
    }

    #[test]
    fn broken_ones_are_refused() {
        for text in ["", "||", "^", "~ ", ">=", "^a", "=>3", "3.1 ||| >", "^18446744073709551615", "<*"] {
            assert!(poetry_constraint(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn markers_say_the_same() {
        let marker = |text: &str| poetry_constraint(text).unwrap().to_python_marker();
        assert_eq!(
            marker("~3.12").as_deref(),
            Some("python_version >= \"3.12\" and python_version < \"3.13\"")
        );
        assert_eq!(marker("3.11.*").as_deref(), Some("python_version == \"3.11\""));
        assert_eq!(marker("<3.11.3").as_deref(), Some("python_full_version < \"3.11.3\""));
        assert_eq!(
            marker("2.7.* || >=3.9").as_deref(),
            Some("(python_version == \"2.7\") or (python_version >= \"3.9\")")
        );
        assert_eq!(marker("*"), None);
    }
}
