//! What of a diff is told in one line: what is alike is told once, with how often it holds and the first three of it.

use crate::anomaly::{Anomaly, Rule};
use crate::compare::Diff;
use crate::components::{ComponentChange, ComponentChangeKind};
use crate::files::FileChange;
use crate::quantity::signed;
use crate::report_parts::{LISTED_FILES, NAMED, component_notes, first_of};
use kiln_record::{Ecosystem, Level};
use std::collections::BTreeMap;

/// Something to look at, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Which rule noticed it.
    pub rule: Rule,
    /// `note` or `warn`.
    pub level: Level,
    /// What it is, in a sentence.
    pub text: String,
    /// All that it is about.
    pub subjects: Vec<String>,
}

impl Diff {
    /// What a person should look at, most important first; what is alike is one.
    #[must_use]
    pub fn attention(&self) -> Vec<Attention> {
        let changes: BTreeMap<&str, &ComponentChange> =
            self.components.iter().map(|change| (change.id.as_str(), change)).collect();
        let alike = |anomaly: &Anomaly| {
            let change = changes.get(anomaly.subject.as_str());
            let what = match (anomaly.rule, change) {
                (Rule::Unexplained, Some(change)) => format!("{} {}", change.kind.word(), change.cause.text),
                (Rule::Privileged | Rule::Component, _) => String::new(),
                _ => anomaly.subject.clone(),
            };
            (anomaly.rule, anomaly.level, what)
        };
        let mut attention = Vec::new();
        for group in grouped(self.anomalies.iter().collect(), alike) {
            let Some(first) = group.first().copied() else { continue };
            if group.len() <= NAMED {
                attention.extend(group.into_iter().map(|one| Attention {
                    rule: one.rule,
                    level: one.level,
                    text: one.text.clone(),
                    subjects: vec![one.subject.clone()],
                }));
                continue;
            }
            let changed: Vec<&ComponentChange> =
                group.iter().filter_map(|one| changes.get(one.subject.as_str()).copied()).collect();
            let names: Vec<&str> = match changed.len() == group.len() {
                true => changed.iter().map(|change| change.name.as_str()).collect(),
                false => group.iter().map(|one| one.subject.as_str()).collect(),
            };
            let (count, named) = (group.len(), first_of(&names));
            let text = match (first.rule, changed.first()) {
                (Rule::Unexplained, Some(change)) => {
                    let bytes = signed(self.bytes_of(&changed));
                    format!(
                        "{count} components {} ({bytes}): {named}: {}",
                        change.kind.word(),
                        change.cause.text
                    )
                }
                (Rule::Privileged, _) => format!(
                    "{count} files run as their owner or group (setuid, setgid), and did not before: {named}"
                ),
                _ => format!("{count} components changed by a large part of themselves: {named}"),
            };
            let subjects = group.iter().map(|one| one.subject.clone()).collect();
            attention.push(Attention { rule: first.rule, level: first.level, text, subjects });
        }
        attention
    }

    /// Components that differ, in order of importance; those of the same version that differ alike are together.
    #[must_use]
    pub fn component_rows(&self) -> Vec<Vec<&ComponentChange>> {
        let rows = grouped(self.shown_components(), |change| {
            let is_same_version = matches!(
                change.kind,
                ComponentChangeKind::Rebuilt
                    | ComponentChangeKind::Rehomed
                    | ComponentChangeKind::Relicensed
                    | ComponentChangeKind::Moved
            );
            let what = if is_same_version { None } else { Some(&change.id) };
            (change.kind, what, change.cause.text.clone(), component_notes(change))
        });
        split_small(rows)
    }

    /// The files worth a line, as by [`Diff::listed_files`]. Where there are more than are listed, those of a component that changed
    /// alike are together.
    pub(crate) fn file_rows(&self) -> Vec<Vec<&FileChange>> {
        let all: Vec<&FileChange> = self.listed_files(usize::MAX).collect();
        if all.len() <= LISTED_FILES {
            return all.into_iter().map(|file| vec![file]).collect();
        }
        let rows = grouped(all, |file| {
            let is_own = file.component.ecosystem() == Ecosystem::Application;
            (is_own.then_some(&file.path), file.kind, &file.component)
        });
        split_small(rows)
    }

    /// The bytes that came or went with some components.
    pub(crate) fn bytes_of(&self, changes: &[&ComponentChange]) -> i64 {
        changes.iter().fold(0_i64, |sum, change| sum.saturating_add(self.bytes_with_parts(change)))
    }
}

/// What is alike together, in the order of the first of each.
fn grouped<T: Copy, K: Ord>(all: Vec<T>, key: impl Fn(T) -> K) -> Vec<Vec<T>> {
    let mut places: BTreeMap<K, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<T>> = Vec::new();
    for one in all {
        let place = *places.entry(key(one)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// Groups of a few, one by one.
fn split_small<T>(groups: Vec<Vec<T>>) -> Vec<Vec<T>> {
    let mut rows = Vec::new();
    for group in groups {
        match group.len() <= NAMED {
            true => rows.extend(group.into_iter().map(|one| vec![one])),
            false => rows.push(group),
        }
    }
    rows
}
