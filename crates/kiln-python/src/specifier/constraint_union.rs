//! Poetry's alternatives (`^1 || ^3`) as one list of PEP 440 specifiers, where one can say the same.

use super::constraint::Constraint;
use pep440_rs::{Operator, Version, VersionSpecifiers};

/// Most series that are excluded to write a gap between two alternatives.
const MOST_EXCLUDED: usize = 32;

impl Constraint {
    /// The specifiers that accept the same versions: empty for any.
    ///
    /// # Errors
    /// A fragment that says why, for alternatives that no single list of specifiers can express.
    pub(crate) fn to_specifiers(&self) -> Result<String, String> {
        let text = |specifiers: &VersionSpecifiers| {
            specifiers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        if self.is_any() {
            return Ok(String::new());
        }
        match self.alternatives() {
            [one] => Ok(text(one)),
            several => union(several).ok_or_else(|| {
                format!("`{self}` has alternatives that a requirement (PEP 440) cannot express together")
            }),
        }
    }
}

/// The versions from the first on and below the second, where there are such ends.
type Range = (Option<Version>, Option<Version>);

fn union(alternatives: &[VersionSpecifiers]) -> Option<String> {
    let mut ranges: Vec<Range> = alternatives.iter().map(range).collect::<Option<_>>()?;
    // `None` as a lower end comes first, as it should.
    ranges.sort();
    let mut ranges = ranges.into_iter();
    let (lowest, mut highest) = ranges.next()?;
    let mut excluded = Vec::new();
    for (low, high) in ranges {
        if let (Some(end), Some(low)) = (&highest, &low)
            && low > end
        {
            excluded.extend(series_between(end, low)?);
        }
        highest = match (highest, high) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
    }
    let mut parts = Vec::new();
    parts.extend(lowest.map(|low| format!(">={low}")));
    parts.extend(highest.map(|high| format!("<{high}")));
    parts.extend(excluded);
    Some(parts.join(","))
}

fn range(specifiers: &VersionSpecifiers) -> Option<Range> {
    let (mut low, mut high): Range = (None, None);
    for specifier in specifiers.iter() {
        let version = specifier.version().clone();
        let (from, below) = match specifier.operator() {
            Operator::GreaterThanEqual => (Some(version), None),
            Operator::LessThan => (None, Some(version)),
            Operator::EqualStar => {
                let end = raised(version.release(), version.release().len().checked_sub(1)?)?;
                (Some(version), Some(end))
            }
            Operator::TildeEqual => {
                let end = raised(version.release(), version.release().len().checked_sub(2)?)?;
                (Some(version), Some(end))
            }
            _ => return None,
        };
        low = low.max(from);
        high = match (high, below) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    // What accepts nothing adds nothing, but nobody means it.
    if let (Some(low), Some(high)) = (&low, &high)
        && low >= high
    {
        return None;
    }
    Some((low, high))
}

/// `!=2.*,!=3.*` for the versions from 2 on and below 4.
fn series_between(from: &Version, below: &Version) -> Option<Vec<String>> {
    if !is_release(from) || !is_release(below) {
        return None;
    }
    for length in 1..=from.release().len().max(below.release().len()) {
        let mut at: Vec<u64> =
            from.release().iter().copied().chain(std::iter::repeat(0)).take(length).collect();
        if Version::new(at.clone()) != *from {
            continue;
        }
        let mut excluded = Vec::new();
        while Version::new(at.clone()) < *below && excluded.len() < MOST_EXCLUDED {
            let series = at.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
            excluded.push(format!("!={series}.*"));
            let last = at.last_mut()?;
            *last = last.checked_add(1)?;
        }
        if Version::new(at) == *below {
            return Some(excluded);
        }
    }
    None
}

fn is_release(version: &Version) -> bool {
    *version == Version::new(version.release().to_vec())
}

fn raised(release: &[u64], position: usize) -> Option<Version> {
    let mut parts = release.get(..=position)?.to_vec();
    let last = parts.last_mut()?;
    *last = last.checked_add(1)?;
    Some(Version::new(parts))
}

#[cfg(test)]
mod tests {
    use crate::poetry_constraint;
    use pep440_rs::{Version, VersionSpecifiers};
    use std::str::FromStr;

    #[test]
    fn translations() {
        for (poetry, expected) in [
            ("^0.2.3", ">=0.2.3,<0.3"),
            ("^0.0.3", ">=0.0.3,<0.0.4"),
            ("^1", ">=1,<2"),
            ("~1.2", ">=1.2,<1.3"),
            ("~1", ">=1,<2"),
            ("1.2.*", "==1.2.*"),
            ("1.2", "==1.2"),
            ("*", ""),
            ("!=1.5,^1.2", ">=1.2,!=1.5,<2"),
            ("^1 || ^2", ">=1,<3"),
            ("^2.0 || ^1.0", ">=1.0,<3"),
            ("^1.0 || ^4.0", ">=1.0,<5,!=2.*,!=3.*"),
            ("<2 || >=3", "!=2.*"),
            ("1.2.* || 1.4.*", ">=1.2,<1.5,!=1.3.*"),
            (">=1,<2 || *", ""),
            ("<2 || <3", "<3"),
            ("<1 || <3,>=2 || <2", "<3"),
        ] {
            let found = poetry_constraint(poetry).unwrap().to_specifiers().unwrap();
            assert_eq!(found, expected, "{poetry}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for text in ["1.2 || 1.4", ">1 || <0.5", "<2 || >=2.5.1", ">=1,<2 || ^900"] {
            let error = poetry_constraint(text).unwrap().to_specifiers().unwrap_err();
            assert!(error.contains(text) && error.contains("PEP 440"), "{error}");
        }
    }

    /// Both forms accept the same ones of many versions.
    #[test]
    fn both_forms_accept_the_same() {
        for text in [
            "^1 || ^2",
            "^1.0 || ^4.0",
            "<2 || >=3",
            "1.2.* || 1.4.*",
            "~=1.2 || ^3",
            "^0.2.3 || ^0.4",
            "^0.0.3",
            "~2.1",
            ">=1.0 <1.5 | >=2.0",
        ] {
            let constraint = poetry_constraint(text).unwrap();
            let Ok(specifiers) = constraint.to_specifiers() else { continue };
            let specifiers = VersionSpecifiers::from_str(&specifiers).unwrap();
            for (major, minor, patch) in
                (0..6).flat_map(|a| (0..6).flat_map(move |b| (0..5).map(move |c| (a, b, c))))
            {
                let version = Version::new([major, minor, patch]);
                assert_eq!(specifiers.contains(&version), constraint.contains(&version), "{text} {version}");
            }
        }
    }
}
