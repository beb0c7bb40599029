//! What the target's C library or Python keeps from being newer, told from what an index offers.

use crate::interpreter::{TargetEnvironment, glibc_of_platform};
use crate::specifier::{Constraint, accepts};
use crate::wheel::{WheelName, is_file_of};
use kiln_record::DistributionName;
use pep440_rs::{Version, VersionSpecifiers};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A file of an index.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Its name.
    pub file_name: &'a str,
    /// Its `Requires-Python`, if the index says so.
    pub requires_python: Option<&'a str>,
    /// Whether its publisher has withdrawn it.
    pub yanked: bool,
}

/// A distribution that the target keeps at an older version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The distribution.
    pub name: DistributionName,
    /// The version that is locked.
    pub locked: String,
    /// The version that another target would get.
    pub newest: String,
    /// How many releases the locked one is behind it.
    pub releases: usize,
    /// Why, as a fragment: `needs glibc 2.28, python3.11 on Amazon Linux 2 has 2.26`.
    pub reason: String,
}

impl HeldBack {
    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let behind =
            if self.releases == 1 { "1 release".to_owned() } else { format!("{} releases", self.releases) };
        format!("{} {}, newest is {} ({behind} later): {}", self.name, self.locked, self.newest, self.reason)
    }
}

/// Judges one distribution. `elsewhere` is the version that the same resolution gives for a newer C library,
/// if it was tried and the distribution is in it; `constraint` are the versions asked for, where the
/// distribution is asked for directly. What anything else than the target holds back, such as the requirement
/// of another distribution, is no matter of the target: nothing is said of it.
#[must_use]
pub fn held_back(
    name: &DistributionName,
    locked: &str,
    elsewhere: Option<&str>,
    constraint: Option<&Constraint>,
    offers: &[Offer<'_>],
    target: &TargetEnvironment,
) -> Option<HeldBack> {
    let current = Version::from_str(locked).ok()?;
    let releases = releases(name, offers, current.is_pre());
    let told = |newest: &Version, reason: String| HeldBack {
        name: name.clone(),
        locked: locked.to_owned(),
        newest: newest.to_string(),
        releases: releases.keys().filter(|version| **version > current && *version <= newest).count().max(1),
        reason,
    };
    let elsewhere = elsewhere.and_then(|version| Version::from_str(version).ok()).filter(|v| *v > current);
    let glibc = elsewhere.as_ref().and_then(|newest| {
        let wheels = releases.get(newest).into_iter().flatten();
        let fits = wheels.clone().any(|file| target.fitting_tag(file.file_name).is_ok());
        let needed = wheels
            // Where a wheel of its own fits, it is not the one that needs something.
            .filter(|_| !fits)
            .filter_map(|file| WheelName::parse(file.file_name).ok())
            .filter_map(|wheel| glibc_of(&wheel, target))
            .min();
        let (major, minor) = target.glibc()?;
        let needed = match needed {
            Some((a, b)) => format!("needs glibc {a}.{b}"),
            // Something that it requires needs it.
            None => "what it requires needs a newer glibc".to_owned(),
        };
        Some(format!("{needed}, {} has {major}.{minor}", target.holder_of_glibc()))
    });
    // Who moves to a newer Python usually gets a newer C library with it, so that comes first; but both are
    // told.
    let runtime = target.runtime();
    let newest =
        constraint.and_then(|constraint| releases.iter().rev().find(|(v, _)| constraint.contains(v)));
    if let Some((newest, files)) = newest
        && *newest > current
        && elsewhere.as_ref().is_none_or(|elsewhere| newest > elsewhere)
        && let Some(python) = needs_python(files, target)
    {
        let mut reason = format!("needs Python {python}, {runtime} has {}", python_of(target, &python));
        if let (Some(elsewhere), Some(glibc)) = (&elsewhere, &glibc) {
            reason.push_str(&format!("; {elsewhere} {glibc}"));
        }
        return Some(told(newest, reason));
    }
    Some(told(&elsewhere?, glibc?))
}

/// The target's Python: with its bug-fix release where that is what is asked for.
fn python_of(target: &TargetEnvironment, needed: &str) -> String {
    let (major, minor) = target.python();
    let latest = Version::new([u64::from(major), u64::from(minor), 99]);
    match VersionSpecifiers::from_str(needed).is_ok_and(|specifiers| specifiers.contains(&latest)) {
        true => target.release().to_owned(),
        false => format!("{major}.{minor}"),
    }
}

/// The releases that anyone would get today, with their files.
fn releases<'a>(
    name: &DistributionName,
    offers: &[Offer<'a>],
    prereleases: bool,
) -> BTreeMap<Version, Vec<Offer<'a>>> {
    let mut releases: BTreeMap<Version, Vec<Offer<'a>>> = BTreeMap::new();
    for offer in offers.iter().filter(|offer| !offer.yanked) {
        let Some(version) = version_of(name, offer.file_name) else { continue };
        if prereleases || !version.any_prerelease() {
            releases.entry(version).or_default().push(*offer);
        }
    }
    releases
}

fn version_of(name: &DistributionName, file_name: &str) -> Option<Version> {
    if let Ok(wheel) = WheelName::parse(file_name) {
        return (wheel.name == *name).then(|| Version::from_str(&wheel.version).ok()).flatten();
    }
    let stem = file_name.strip_suffix(".tar.gz").or_else(|| file_name.strip_suffix(".zip"))?;
    let (_, version) = stem.rsplit_once('-')?;
    is_file_of(file_name, name, version).then(|| Version::from_str(version).ok()).flatten()
}

/// The Python that every file of a release needs, if the target has another.
fn needs_python(files: &[Offer<'_>], target: &TargetEnvironment) -> Option<String> {
    let release = Version::from_str(target.release()).ok()?;
    let mut needed = None;
    for file in files {
        let text = file.requires_python?;
        let specifiers = VersionSpecifiers::from_str(text).ok()?;
        if specifiers.iter().all(|specifier| accepts(specifier, &release)) {
            return None;
        }
        needed = Some(text.to_owned());
    }
    needed
}

/// The glibc that a wheel needs which fits the target in every other respect.
fn glibc_of(wheel: &WheelName, target: &TargetEnvironment) -> Option<(u32, u32)> {
    let machine = target.machine();
    let fitting = wheel.tags.iter().filter_map(|tag| {
        let mut parts = tag.splitn(3, '-');
        let (python, abi, platform) = (parts.next()?, parts.next()?, parts.next()?);
        let fits =
            platform.ends_with(machine) && target.rank(&format!("{python}-{abi}-linux_{machine}")).is_some();
        fits.then(|| glibc_of_platform(platform)).flatten()
    });
    fitting.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use kiln_record::{Architecture, Runtime};

    fn target() -> TargetEnvironment {
        let base = interpreter("3.11.2", (2, 36), "x86_64");
        TargetEnvironment::new(&base, Runtime::named("python3.11").unwrap(), Architecture::Amd64).unwrap()
    }

    fn offer(file_name: &str) -> Offer<'_> {
        Offer { file_name, requires_python: Some(">=3.9"), yanked: false }
    }

    fn judge(
        locked: &str,
        elsewhere: Option<&str>,
        constraint: Option<&str>,
        offers: &[Offer<'_>],
    ) -> Option<String> {
        let constraint = constraint.map(|text| Constraint::pep440(text).unwrap());
        held_back(&"a-b".parse().unwrap(), locked, elsewhere, constraint.as_ref(), offers, &target())
            .map(|held| held.line())
    }

    #[test]
    fn glibc_and_python_hold_back() {
        let offers = [
            offer("a_b-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
            offer("a_b-1.5-cp311-cp311-manylinux_2_28_x86_64.whl"),
            Offer { yanked: true, ..offer("a_b-1.6-cp311-cp311-manylinux_2_28_x86_64.whl") },
            offer("a_b-2.0-cp311-cp311-manylinux_2_28_x86_64.whl"),
            offer("a_b-2.0-cp311-cp311-manylinux_2_31_x86_64.whl"),
            offer("a_b-2.0-cp311-cp311-manylinux_2_17_aarch64.whl"),
            offer("a_b-2.0-cp312-cp312-manylinux_2_17_x86_64.whl"),
            offer("a-b-2.0.tar.gz"),
            offer("a_b-3.0rc1-py3-none-any.whl"),
            Offer { requires_python: Some(">=3.12"), ..offer("a_b-4.0-py3-none-any.whl") },
            Offer { requires_python: Some(">=3.12"), ..offer("a_b-4.0.tar.gz") },
        ];
        assert_eq!(
            judge("1.0", Some("2.0"), Some("<3"), &offers).unwrap(),
            "a-b 1.0, newest is 2.0 (2 releases later): needs glibc 2.28, python3.11 on Amazon Linux 2 has 2.26"
        );
        assert_eq!(
            judge("1.0", Some("2.0"), Some(""), &offers).unwrap(),
            "a-b 1.0, newest is 4.0 (3 releases later): needs Python >=3.12, python3.11 has 3.11; 2.0 needs glibc 2.28, \
             python3.11 on Amazon Linux 2 has 2.26"
        );
        // Not asked for directly: whatever requires it may hold it back, so nothing is said of Python.
        assert!(judge("1.0", Some("2.0"), None, &offers).unwrap().contains("glibc 2.28"));
        assert_eq!(
            judge("2.0", Some("2.0"), Some(""), &offers).unwrap(),
            "a-b 2.0, newest is 4.0 (1 release later): needs Python >=3.12, python3.11 has 3.11"
        );
        // Another C library would give the same.
        for elsewhere in [Some("1.0"), Some("0.9"), None] {
            assert_eq!(judge("1.0", elsewhere, Some("<3"), &offers), None);
        }
        assert_eq!(judge("4.0", Some("4.0"), Some(""), &offers), None);
    }

    #[test]
    fn the_bug_fix_release_can_hold_back() {
        let offers = [
            offer("a_b-1.0-py3-none-any.whl"),
            Offer { requires_python: Some(">=3.11.4"), ..offer("a_b-2.0-py3-none-any.whl") },
            Offer { requires_python: Some(">=3.11.90"), ..offer("a_b-3.0-py3-none-any.whl") },
        ];
        // The target's release counts, which is later than the base's.
        assert_eq!(judge("2.0", None, Some("<3"), &offers), None);
        assert!(judge("2.0", None, Some(""), &offers).unwrap().ends_with("python3.11 has 3.11.13"));
    }

    #[test]
    fn a_requirement_can_be_the_one_that_needs_it() {
        let offers = [
            offer("a_b-1.0-py3-none-any.whl"),
            offer("a_b-2.0-py3-none-any.whl"),
            offer("a_b-2.0-cp311-cp311-manylinux_2_17_x86_64.whl"),
        ];
        assert_eq!(
            judge("1.0", Some("2.0"), None, &offers).unwrap(),
            "a-b 1.0, newest is 2.0 (1 release later): what it requires needs a newer glibc, python3.11 on Amazon \
             Linux 2 has 2.26"
        );
    }
}
