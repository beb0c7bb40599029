//! Which versions an advisory affects, by the rules of whose versions they are.

use crate::osv::{Affected, Event, Range, RangeKind};
use crate::subject::Registry;
use kiln_record::excerpt;
use pep440_rs::Version as PythonVersion;
use std::cmp::Ordering;
use std::str::FromStr as _;

/// What an advisory says of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is affected; from these versions on, oldest first, it is not any more.
    Affected { fixed: Vec<String> },
    /// It is not.
    NotAffected,
    /// That cannot be told, with the reason.
    Undecided(String),
}

/// What an advisory says of a version of one of its packages.
pub(crate) fn outcome(registry: &Registry, version: &str, affected: &Affected) -> Outcome {
    match registry {
        Registry::PyPi => decide(version, affected, |text| PythonVersion::from_str(text).ok()),
        Registry::CratesIo => {
            decide(version, affected, |text| semver::Version::parse(text).ok().map(Precedence))
        }
        Registry::Debian { .. } => {
            decide(version, affected, |text| kiln_image::debian::Version::from_str(text).ok())
        }
    }
}

/// A semantic version without what does not count in its order: what is behind `+`.
struct Precedence(semver::Version);

impl PartialEq for Precedence {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Precedence {}

impl PartialOrd for Precedence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Precedence {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

/// The algorithm of the OSV schema ("Evaluation"): listed by name, or in a range. Ranges of commits decide nothing here.
fn decide<V: Ord>(version: &str, affected: &Affected, parse: impl Fn(&str) -> Option<V>) -> Outcome {
    let own = parse(version);
    let is_listed = affected.versions.iter().any(|listed| {
        listed == version
            || own.as_ref().is_some_and(|own| parse(listed).is_some_and(|listed| listed == *own))
    });
    let mut fixed: Vec<(V, String)> = Vec::new();
    let (mut is_in_range, mut undecided, mut are_ordered) = (false, None, false);
    for range in &affected.ranges {
        if !matches!(range.kind, RangeKind::Ecosystem | RangeKind::Semver) {
            continue;
        }
        are_ordered = true;
        let Some(own) = &own else {
            undecided = Some(format!("`{}` is no version by its ecosystem's rules", excerpt(version)));
            continue;
        };
        match within(own, range, &parse) {
            Ok(true) => is_in_range = true,
            Ok(false) => {}
            Err(reason) => undecided = Some(reason),
        }
        fixed.extend(range.events.iter().filter_map(|event| match event {
            Event::Fixed(text) => parse(text).filter(|fixed| fixed > own).map(|fixed| (fixed, text.clone())),
            _ => None,
        }));
    }
    if is_listed || is_in_range {
        fixed.sort_by(|a, b| a.0.cmp(&b.0));
        fixed.dedup_by(|a, b| a.0 == b.0);
        return Outcome::Affected { fixed: fixed.into_iter().map(|(_, text)| excerpt(&text)).collect() };
    }
    match undecided {
        Some(reason) => Outcome::Undecided(reason),
        None if !are_ordered && affected.versions.is_empty() => Outcome::Undecided(
            match affected.ranges.is_empty() {
                true => "the advisory names no versions",
                false => "the advisory names commits alone",
            }
            .to_owned(),
        ),
        None => Outcome::NotAffected,
    }
}

/// Whether a version is in a range.
fn within<V: Ord>(own: &V, range: &Range, parse: &impl Fn(&str) -> Option<V>) -> Result<bool, String> {
    let parsed = |text: &str| {
        parse(text).ok_or_else(|| {
            format!("the advisory's `{}` is no version by its ecosystem's rules", excerpt(text))
        })
    };
    // `0` is before all versions (OSV schema, "introduced").
    let introduced = |text: &str| if text == "0" { Ok(None) } else { parsed(text).map(Some) };
    let (mut events, mut limits) = (Vec::new(), Vec::new());
    for event in &range.events {
        match event {
            Event::Introduced(text) => events.push((introduced(text)?, event)),
            Event::Fixed(text) | Event::LastAffected(text) => events.push((Some(parsed(text)?), event)),
            Event::Limit(text) if text == "*" => {}
            Event::Limit(text) => limits.push(parsed(text)?),
        }
    }
    if !limits.is_empty() && !limits.iter().any(|limit| own < limit) {
        return Ok(false);
    }
    events.sort_by(|a, b| a.0.cmp(&b.0));
    let mut is_affected = false;
    for (at, event) in &events {
        let order = at.as_ref().map_or(Ordering::Greater, |at| own.cmp(at));
        match event {
            Event::Introduced(_) if order != Ordering::Less => is_affected = true,
            Event::Fixed(_) if order != Ordering::Less => is_affected = false,
            Event::LastAffected(_) if order == Ordering::Greater => is_affected = false,
            _ => {}
        }
    }
    Ok(is_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(versions: &[&str], kind: RangeKind, events: &[(&str, &str)]) -> Affected {
        let event = |(what, version): &(&str, &str)| {
            let version = (*version).to_owned();
            match *what {
                "introduced" => Event::Introduced(version),
                "fixed" => Event::Fixed(version),
                "last" => Event::LastAffected(version),
                _ => Event::Limit(version),
            }
        };
        let events: Vec<Event> = events.iter().map(event).collect();
        Affected {
            ecosystem: String::new(),
            name: String::new(),
            versions: versions.iter().map(|one| (*one).to_owned()).collect(),
            ranges: if events.is_empty() { Vec::new() } else { vec![Range { kind, events }] },
            ratings: Vec::new(),
        }
    }

    #[test]
    fn each_ecosystem_has_its_order() {
        let debian = Registry::Debian { release: "13".to_owned() };
        let fixed =
            |fixed: &[&str]| Outcome::Affected { fixed: fixed.iter().map(|one| (*one).to_owned()).collect() };
        let ecosystem = RangeKind::Ecosystem;
        let two = [("introduced", "1.0"), ("fixed", "1.5"), ("introduced", "2.0"), ("fixed", "2.1")];
        for (registry, version, versions, events, expected) in [
            (&Registry::PyPi, "1.0.post1", &[][..], &two[..], fixed(&["1.5", "2.1"])),
            (&Registry::PyPi, "1.5", &[], &two, Outcome::NotAffected),
            (&Registry::PyPi, "2.1rc1", &[], &two, fixed(&["2.1"])),
            (&Registry::PyPi, "0.9", &[], &two, Outcome::NotAffected),
            (&Registry::PyPi, "1.10", &[], &[("introduced", "0"), ("last", "1.10")], fixed(&[])),
            (&Registry::PyPi, "1.11", &[], &[("introduced", "0"), ("last", "1.10")], Outcome::NotAffected),
            (&Registry::PyPi, "1.0", &["1.0.0"], &[], fixed(&[])),
            (&Registry::PyPi, "3", &[], &[("introduced", "0"), ("limit", "2")], Outcome::NotAffected),
            (
                &debian,
                "3.0.14-1~deb12u1",
                &[],
                &[("introduced", "0"), ("fixed", "3.0.14-1")],
                fixed(&["3.0.14-1"]),
            ),
            (&debian, "1:1.0-1", &[], &[("introduced", "0"), ("fixed", "2.0-1")], Outcome::NotAffected),
            (
                &Registry::CratesIo,
                "0.17.8",
                &[],
                &[("introduced", "0.0.0-0"), ("fixed", "0.17.12")],
                fixed(&["0.17.12"]),
            ),
            (&Registry::CratesIo, "1.0.0-rc.1", &[], &[("introduced", "1.0.0")], Outcome::NotAffected),
        ] {
            let affected = affected(versions, ecosystem, events);
            assert_eq!(outcome(registry, version, &affected), expected, "{version} {events:?}");
        }
        // Events may come in any order.
        let mixed = affected(&[], RangeKind::Semver, &[("fixed", "1.5"), ("introduced", "0")]);
        assert_eq!(outcome(&Registry::PyPi, "1.6", &mixed), Outcome::NotAffected);
    }

    #[test]
    fn what_cannot_be_told_is_not_decided() {
        let undecided = |version: &str, affected: &Affected| match outcome(&Registry::PyPi, version, affected)
        {
            Outcome::Undecided(reason) => reason,
            other => panic!("{other:?}"),
        };
        let range = affected(&[], RangeKind::Ecosystem, &[("introduced", "0"), ("fixed", "2")]);
        assert!(undecided("no version", &range).contains("`no version`"));
        let broken = affected(&[], RangeKind::Ecosystem, &[("introduced", "x y")]);
        assert!(undecided("1", &broken).contains("`x y`"));
        let commits = affected(&[], RangeKind::Git, &[("introduced", "0")]);
        assert!(undecided("1", &commits).contains("commits"));
        assert!(undecided("1", &affected(&[], RangeKind::Git, &[])).contains("no versions"));
        // A list beside commits decides.
        assert_eq!(
            outcome(&Registry::PyPi, "1", &affected(&["2"], RangeKind::Git, &[("introduced", "0")])),
            Outcome::NotAffected
        );
    }
}
