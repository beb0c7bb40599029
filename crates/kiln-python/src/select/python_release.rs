//! Whether the target's Python is one that the project and its conditions are for, down to its bug-fix release.
//!
//! A base is a stand-in: its bug-fix release is a fact about itself. What a lock says is judged for the target, and where
//! the two differ, or a later release would decide otherwise, a finding says so.

use super::choice::Choice;
use super::reach::Reached;
use super::relock::relock;
use crate::interpreter::{Asked, PatchMatters, TargetEnvironment};
use crate::lock::{Lock, LockFormat};
use kiln_record::{Code, Finding, Level, Place, runtimes};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What leads to a base and a runtime with another Python, as commands.
#[must_use]
pub fn way_to_runtime(runtime: &str, (major, minor): (u32, u32)) -> String {
    let base = format!("python-{major}.{minor}");
    format!(
        "to use {runtime}: kiln lock --base {base} --runtime {runtime}; then kiln build ARTIFACT, with base = \"{base}\" and runtime = \"{runtime}\" in its manifest"
    )
}

/// What leads to a base with another Python, for what runs on its base, as commands.
fn way_to_base(runtime: &str, (major, minor): (u32, u32)) -> String {
    let base = format!("python-{major}.{minor}");
    format!(
        "to use Python {major}.{minor}: kiln lock --base {base} --runtime {runtime}; then kiln build ARTIFACT, with base = \"{base}\" in its manifest"
    )
}

/// How to state another bug-fix release; none where one is stated.
fn state_release(environment: &TargetEnvironment) -> Option<String> {
    let (major, minor) = environment.python();
    (!environment.is_release_stated()).then(|| format!(
        "if the function runs on another release, state it in kiln.toml: [[runtime]] with name = \"{}\", python = \"{major}.{minor}.N\" and a reason",
        environment.runtime()
    ))
}

const CHECKS: &str = "what the checks run is the base's Python: what hangs on its release may fail here and not there, or the other way round";

/// Whether the project is for the target's Python at all.
pub(super) fn requires_python(
    lock: &Lock,
    environment: &TargetEnvironment,
    choice: &Choice,
) -> Option<Finding> {
    let required = lock.requires_python.as_ref()?;
    let accepts =
        |release: &str| Version::from_str(release).ok().map(|version| required.constraint.contains(&version));
    if accepts(environment.release()) == Some(true) {
        let matters = environment.releases_differ(accepts).filter(|matters| !matters.base)?;
        let subject =
            format!("{}:{} requires Python `{}`, which", required.file, required.line, required.text);
        let at = Place::line(&required.file, required.line);
        return Some(hangs_on_release("python", &subject, &matters, environment).at(at));
    }
    let cause = format!(
        "{}:{} requires Python `{}`, but {}",
        required.file,
        required.line,
        required.text,
        environment.release_told()
    );
    let mut finding = Finding::new(Code::RequiresPythonMismatch, "python", cause)
        .at(Place::line(&required.file, required.line));
    if required.text.split('.').count() == 2 && required.text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        finding = finding
            .detail(format!("`{0}` accepts {0}.0 alone; `~{0}` accepts every {0} release", required.text));
    }
    let (major, minor) = environment.python();
    let of_minor = |(major, minor): (u32, u32)| {
        (0..100).any(|patch| accepts(&format!("{major}.{minor}.{patch}")) == Some(true))
    };
    // What an image is built on is what it runs on: its release is no question of what is stated.
    if of_minor((major, minor)) && !choice.runs_on_base {
        finding = state_release(environment).into_iter().fold(finding, Finding::remedy);
    }
    let mut fitting: Vec<(&str, (u32, u32))> = runtimes()
        .iter()
        .filter_map(|runtime| {
            Some((runtime.name.as_str(), runtime.python.filter(|python| of_minor(*python))?))
        })
        .filter(|(_, python)| *python != (major, minor))
        .collect();
    // What is there already comes before what would have to be made.
    fitting.sort_by_key(|(_, python)| choice.bases.contains_key(python));
    finding = match fitting.pop() {
        None if choice.runs_on_base => finding.remedy("use a base whose Python the constraint accepts"),
        None => finding.remedy(
            "use a base and a runtime whose Python the constraint accepts (kiln knows no other such runtime)",
        ),
        Some((newest, python)) => {
            let others: Vec<&str> = fitting.iter().map(|(name, _)| *name).collect();
            let also = match others.is_empty() {
                true => String::new(),
                false => format!(" (its Python fits, as do those of {})", others.join(", ")),
            };
            let way = match choice.bases.get(&python) {
                Some(base) if choice.runs_on_base => format!(
                    "to use Python {}.{}: base = \"{base}\" in the manifest; then kiln build ARTIFACT",
                    python.0, python.1
                ),
                None if choice.runs_on_base => way_to_base(newest, python),
                Some(base) => format!(
                    "to use {newest}: base = \"{base}\" and runtime = \"{newest}\" in the manifest; then kiln build ARTIFACT"
                ),
                None => way_to_runtime(newest, python),
            };
            finding.remedy(format!("{way}{also}"))
        }
    };
    Some(finding.remedy(format!(
        "or, if the code runs on {major}.{minor}, let {}:{} accept it and lock again: {}",
        required.file,
        required.line,
        relock(lock, (major, minor))
    )))
}

/// A finding for each distribution that is installed, or not, because of the bug-fix release of Python.
pub(super) fn patch_levels(
    lock: &Lock,
    environment: &TargetEnvironment,
    reached: &Reached,
    groups: &BTreeSet<String>,
    extras: &BTreeSet<String>,
) -> Vec<Finding> {
    let groups: Vec<String> = groups.iter().cloned().collect();
    let extras: Vec<String> = extras.iter().cloned().collect();
    let chosen = Asked { extras: &extras, groups: &groups };
    let mut found: BTreeMap<&str, Finding> = BTreeMap::new();
    let see = |name: &'_ str, marker: &str, (at, of): (Place, String), asked: &Asked<'_>| {
        let matters = environment.patch_matters(marker, asked)?;
        let subject = format!("{name} ({at}{of}) has the marker `{marker}`, which");
        Some(hangs_on_release(name, &subject, &matters, environment).at(at))
    };
    let mut note = |name, finding: Option<Finding>| {
        if let Some(finding) = finding {
            let there = found.entry(name).or_insert_with(|| finding.clone());
            if finding.level > there.level {
                *there = finding;
            }
        }
    };
    for (index, locked) in lock.distributions.iter().enumerate() {
        for marker in &locked.markers {
            note(
                locked.name.as_str(),
                see(locked.name.as_str(), marker, (lock.place(locked), String::new()), &chosen),
            );
        }
        let Some(asked) = reached.distributions.get(&index) else { continue };
        let own: Vec<String> = asked.iter().cloned().collect();
        let asked = Asked { extras: &own, groups: if lock.root == Some(index) { &groups } else { &[] } };
        for dependency in &locked.dependencies {
            let Some(marker) = &dependency.marker else { continue };
            let name = dependency.name.as_str();
            note(name, see(name, marker, (lock.place(locked), format!(", for {}", locked.name)), &asked));
        }
    }
    if lock.format == LockFormat::Poetry {
        for declared in &lock.declared {
            let Some(marker) = &declared.marker else { continue };
            let name = declared.name.as_str();
            note(
                name,
                see(name, marker, (Place::line(&declared.file, declared.line), String::new()), &chosen),
            );
        }
    }
    found.into_values().collect()
}

/// The finding that something hangs on the bug-fix release. `subject` ends with `which`.
pub(crate) fn hangs_on_release(
    name: &str,
    subject: &str,
    matters: &PatchMatters,
    environment: &TargetEnvironment,
) -> Finding {
    let holds = |value: bool| if value { "holds" } else { "does not hold" };
    let cause = format!(
        "{subject} {} for the target: {}; it hangs on the bug-fix release",
        holds(matters.target),
        environment.release_told()
    );
    let mut finding = Finding::new(Code::PatchLevelDecides, name, cause);
    if matters.base != matters.target {
        finding = finding
            .detail(format!("it {} for the base, Python {}", holds(matters.base), environment.base_release()))
            .detail(CHECKS);
    }
    match &matters.later {
        Some(later) => {
            finding = finding.detail(format!(
                "from {later} on it would be otherwise, and AWS moves the runtime without notice"
            ))
        }
        None if matters.base == matters.target => finding.level = Level::Note,
        None => {}
    }
    match finding.level {
        Level::Note => finding,
        _ => state_release(environment).into_iter().fold(finding, Finding::remedy),
    }
}
