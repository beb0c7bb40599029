//! Which distributions of a lock are needed: those that the project declares, and what they require in turn.

use crate::lock::{Declared, Lock, Locked};
use crate::poetry_constraint::Constraint;
use crate::{PythonError, TargetEnvironment};
use kiln_record::DistributionName;
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Where to begin, and what to leave out.
pub(crate) struct Question<'a> {
    pub(crate) lock: &'a Lock,
    pub(crate) environment: &'a TargetEnvironment,
    /// The distributions of the lock, by name, that apply to the target, as indices.
    pub(crate) applicable: &'a BTreeMap<&'a DistributionName, Vec<usize>>,
    /// The dependency groups to begin with.
    pub(crate) groups: &'a BTreeSet<String>,
    /// The project's extras to begin with.
    pub(crate) extras: &'a BTreeSet<String>,
    /// What something else brings along, with all that it requires.
    pub(crate) cut: &'a BTreeSet<DistributionName>,
}

/// What is needed.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// Indices into the lock's distributions, with the extras that are asked for.
    pub(crate) distributions: BTreeMap<usize, BTreeSet<String>>,
    /// Declared requirements whose name the lock does not have for the target, as indices.
    pub(crate) missing_declared: BTreeSet<usize>,
    /// Requirements of locked distributions that the lock does not have: what, and by which distribution.
    pub(crate) missing_required: BTreeSet<(DistributionName, DistributionName)>,
    /// Conditions that kept a distribution out, the first for each name.
    pub(crate) false_markers: BTreeMap<DistributionName, String>,
    /// Markers that cannot be evaluated, with the distribution they are about.
    pub(crate) errors: BTreeMap<DistributionName, PythonError>,
}

/// Follows the requirements of a lock from what the project declares. Every (distribution, extra) pair is looked at
/// once, so circles end.
pub(crate) fn reach(question: &Question<'_>) -> Reached {
    let mut reached = Reached::default();
    let mut open: Vec<(usize, BTreeSet<String>)> = Vec::new();
    for (index, declared) in question.lock.declared.iter().enumerate() {
        if !is_asked_for(declared, question.groups, question.extras) || question.cut.contains(&declared.name)
        {
            continue;
        }
        if !holds(question, &mut reached, &declared.name, declared.marker.as_deref(), &BTreeSet::new()) {
            continue;
        }
        match candidates(question, &declared.name, declared.constraint.as_ref()) {
            found if found.is_empty() => {
                reached.missing_declared.insert(index);
            }
            found => open.extend(found.into_iter().map(|i| (i, declared.extras.iter().cloned().collect()))),
        }
    }
    while let Some((index, extras)) = open.pop() {
        let known = reached.distributions.get(&index);
        if known.is_some_and(|known| extras.is_subset(known)) {
            continue;
        }
        let all: BTreeSet<String> = known.into_iter().flatten().cloned().chain(extras).collect();
        reached.distributions.insert(index, all.clone());
        let Some(locked) = question.lock.distributions.get(index) else { continue };
        for dependency in &locked.dependencies {
            if question.cut.contains(&dependency.name)
                || !holds(question, &mut reached, &dependency.name, dependency.marker.as_deref(), &all)
            {
                continue;
            }
            let found = candidates(question, &dependency.name, dependency.constraint.as_ref());
            if found.is_empty() {
                reached.missing_required.insert((dependency.name.clone(), locked.name.clone()));
            }
            open.extend(found.into_iter().map(|i| (i, dependency.extras.iter().cloned().collect())));
        }
    }
    reached
}

/// Whether a declaration belongs to the chosen groups and extras.
pub(crate) fn is_asked_for(
    declared: &Declared,
    groups: &BTreeSet<String>,
    extras: &BTreeSet<String>,
) -> bool {
    groups.contains(&declared.group)
        && (declared.enabled_by.is_empty() || declared.enabled_by.iter().any(|extra| extras.contains(extra)))
}

fn holds(
    question: &Question<'_>,
    reached: &mut Reached,
    name: &DistributionName,
    marker: Option<&str>,
    extras: &BTreeSet<String>,
) -> bool {
    let Some(marker) = marker else { return true };
    let extras: Vec<String> = extras.iter().cloned().collect();
    match question.environment.evaluate(marker, &extras) {
        Ok(verdict) if verdict.value => true,
        Ok(_) => {
            reached.false_markers.entry(name.clone()).or_insert_with(|| marker.to_owned());
            false
        }
        Err(error) => {
            reached.errors.entry(name.clone()).or_insert(error);
            false
        }
    }
}

/// The applicable distributions of a name. Locks before 2.1 tell several versions of one name apart only by the
/// constraints of those that require them.
fn candidates(
    question: &Question<'_>,
    name: &DistributionName,
    constraint: Option<&Constraint>,
) -> Vec<usize> {
    let all = question.applicable.get(name).cloned().unwrap_or_default();
    let Some(constraint) = constraint.filter(|_| all.len() > 1) else { return all };
    let version = |index: &usize| -> Option<Version> {
        let locked: &Locked = question.lock.distributions.get(*index)?;
        Version::from_str(&locked.version).ok()
    };
    let fitting: Vec<usize> =
        all.iter().copied().filter(|index| version(index).is_some_and(|v| constraint.contains(&v))).collect();
    if fitting.is_empty() { all } else { fitting }
}
