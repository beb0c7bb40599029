//! The findings of a selection, in words that a newcomer can act on.

use super::choice::Choice;
use super::holds::holds;
use super::python_range::{Exclusion, exclusion};
use super::reach::Reached;
use super::relock::relock;
use crate::error::PythonError;
use crate::interpreter::{TargetEnvironment, Verdict as Holds};
use crate::lock::{ConflictItem, Lock, LockFormat, Locked};
use crate::specifier::{Marker, Variable, normal_extra, same_version};
use kiln_record::{ArtifactName, Cause, Code, DistributionName, Finding, Place, Runtime};
use std::collections::BTreeSet;

/// Collects findings about one lock and one target.
pub(crate) struct Judge<'a> {
    pub(crate) lock: &'a Lock,
    pub(crate) environment: &'a TargetEnvironment,
    pub(crate) runtime: &'a Runtime,
    pub(crate) findings: Vec<Finding>,
}

/// Whether each distribution of a lock applies to the target by its own markers.
pub(crate) struct Verdicts(Vec<Verdict>);

struct Verdict {
    applies: bool,
    markers: Vec<String>,
    values: Vec<String>,
    /// Extras of the project, not chosen, of which any would make it apply.
    extras: Vec<String>,
    /// Dependency groups, not chosen, of which any would make it apply.
    groups: Vec<String>,
}

impl Verdicts {
    pub(crate) fn applies(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|v| v.applies)
    }

    /// Why a distribution that does not apply does not.
    pub(crate) fn cause(&self, index: usize) -> Cause {
        match self.0.get(index).map(|v| (&v.extras[..], &v.groups[..])) {
            None | Some(([], [])) => {
                Cause::Marker { marker: self.marker(index), values: self.values(index).to_vec() }
            }
            Some(([], groups)) => Cause::Group { groups: groups.to_vec() },
            Some((extras, _)) => Cause::Extra { extras: extras.to_vec() },
        }
    }

    /// Whether only the environment, and no group or extra, keeps a distribution out.
    fn is_chosen(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|v| v.extras.is_empty() && v.groups.is_empty())
    }

    /// The markers as one text.
    pub(crate) fn marker(&self, index: usize) -> String {
        match self.0.get(index).map(|v| &v.markers[..]) {
            None | Some([]) => String::new(),
            Some([one]) => one.clone(),
            Some(several) => several.iter().map(|m| format!("({m})")).collect::<Vec<_>>().join(" or "),
        }
    }

    /// The values of the variables that the markers name.
    pub(crate) fn values(&self, index: usize) -> &[String] {
        self.0.get(index).map_or(&[], |v| &v.values)
    }
}

impl Judge<'_> {
    pub(crate) fn verdicts(&mut self, groups: &BTreeSet<String>, extras: &BTreeSet<String>) -> Verdicts {
        let chosen = groups;
        let groups: Vec<String> = groups.iter().cloned().collect();
        let extras: Vec<String> = extras.iter().cloned().collect();
        let mut verdicts = Vec::new();
        for locked in &self.lock.distributions {
            let mut verdict = Verdict {
                applies: locked.markers.is_empty(),
                markers: locked.markers.clone(),
                values: Vec::new(),
                extras: Vec::new(),
                groups: Vec::new(),
            };
            for marker in &locked.markers {
                match self.evaluate(marker, &extras, &groups) {
                    Ok(one) => {
                        verdict.applies |= one.value;
                        verdict.values.extend(one.values);
                    }
                    Err(error) => {
                        let cause = format!("{} ({}): {error}", self.lock.place(locked), locked.name);
                        self.findings.push(
                            Finding::new(Code::LockedNotInstalled, locked.name.as_str(), cause)
                                .at(self.lock.place(locked))
                                .remedy(format!(
                                    "name {} in `exclude` under `[python]` of the manifest, if the target does not need it",
                                    locked.name
                                )),
                        );
                    }
                }
            }
            verdict.values.sort();
            verdict.values.dedup();
            if !verdict.applies {
                let enables = |extra: &&String| {
                    let with: Vec<String> = extras.iter().chain([*extra]).cloned().collect();
                    let mut markers = locked.markers.iter();
                    markers.any(|m| self.evaluate(m, &with, &groups).is_ok_and(|v| v.value))
                };
                verdict.extras = self.lock.extras.iter().filter(enables).cloned().collect();
                let enables = |group: &&String| {
                    let with: Vec<String> = groups.iter().chain([*group]).cloned().collect();
                    let mut markers = locked.markers.iter();
                    markers.any(|m| self.evaluate(m, &extras, &with).is_ok_and(|v| v.value))
                };
                verdict.groups = self.lock.groups.iter().filter(enables).cloned().collect();
            }
            // Where nothing leads to a distribution, its own groups say whether it is meant.
            if !self.lock.format.is_graph()
                && !locked.groups.is_empty()
                && locked.groups.iter().all(|group| !chosen.contains(group))
            {
                verdict.applies = false;
                verdict.groups.clone_from(&locked.groups);
            }
            verdicts.push(verdict);
        }
        Verdicts(verdicts)
    }

    /// Evaluates a marker of the lock by the rules of its format.
    fn evaluate(&self, marker: &str, extras: &[String], groups: &[String]) -> Result<Holds, PythonError> {
        holds(self.environment, self.lock.format, marker, extras, groups)
    }

    /// Whether the lock is for the target's environment at all.
    pub(crate) fn environments(&mut self) {
        let environments = &self.lock.environments;
        let mut values = BTreeSet::new();
        for marker in environments {
            match self.environment.evaluate(marker, &[]) {
                Ok(verdict) if verdict.value => return,
                Ok(verdict) => values.extend(verdict.values),
                Err(error) => {
                    values.insert(error.to_string());
                }
            }
        }
        if !environments.is_empty() {
            let markers: Vec<String> = environments.iter().map(|marker| format!("`{marker}`")).collect();
            let cause = format!(
                "{} is made for other environments than the target's: {}; the target has {}",
                self.lock.name,
                markers.join(" or "),
                values.into_iter().collect::<Vec<_>>().join(", ")
            );
            self.findings.push(
                Finding::new(Code::LockedNotInstalled, self.lock.name.as_str(), cause)
                    .remedy(format!(
                        "let the project support this environment and lock again: {}",
                        self.relock()
                    ))
                    .remedy("or use a base and a runtime that the lock is for"),
            );
        }
    }

    /// Whether groups and extras are chosen that exclude each other.
    pub(crate) fn conflicts(&mut self, groups: &BTreeSet<String>, extras: &BTreeSet<String>) {
        for set in &self.lock.conflicts {
            let chosen: Vec<String> = set
                .iter()
                .filter_map(|item| match item {
                    ConflictItem::Extra(extra) => extras.contains(extra).then(|| format!("extra `{extra}`")),
                    ConflictItem::Group(group) => groups.contains(group).then(|| format!("group `{group}`")),
                })
                .collect();
            if chosen.len() > 1 {
                let cause = format!(
                    "the manifest asks for {} together, which the project declares to be in conflict",
                    chosen.join(" and ")
                );
                self.findings.push(
                    Finding::new(Code::DeclaredNotInstalled, self.lock.name.as_str(), cause)
                        .remedy("keep one of them under `[python]` of the manifest"),
                );
            }
        }
    }

    /// A name in the manifest that the lock does not have is a slip of the pen, or has been removed since.
    pub(crate) fn names_exist(&mut self, choice: &Choice) {
        let locked: BTreeSet<&DistributionName> = self.lock.distributions.iter().map(|l| &l.name).collect();
        for name in &choice.excluded {
            if !locked.contains(name) {
                let cause =
                    format!("the manifest excludes {name}, but {} has no such distribution", self.lock.name);
                let mut finding = Finding::new(Code::LockedNotInstalled, name.as_str(), cause);
                if let Some(near) = nearest(name, &locked) {
                    finding = finding.remedy(format!("did you mean {near}?"));
                }
                self.findings.push(
                    finding.remedy(format!("remove {name} from `exclude` under `[python]` of the manifest")),
                );
            }
        }
        for name in &choice.from_runtime {
            if !self.runtime.provides(name.as_str()) {
                let provided: Vec<&str> =
                    self.runtime.provides.iter().map(|p| p.distribution.as_str()).collect();
                let cause = format!(
                    "the manifest leaves {name} to the runtime, but {} does not provide it",
                    self.runtime.name
                );
                self.findings.push(
                    Finding::new(Code::LockedNotInstalled, name.as_str(), cause)
                        .detail(format!("{} provides {}", self.runtime.name, provided.join(", ")))
                        .remedy(format!("remove {name} from `from-runtime` under `[python]` of the manifest, so that it is installed")),
                );
            }
        }
        for (what, asked, known) in
            [("group", &choice.groups, &self.lock.groups), ("extra", &choice.extras, &self.lock.extras)]
        {
            for name in asked {
                let normal = normal_extra(name);
                if name != "main" && !known.iter().any(|k| k == name || *k == normal) {
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    let cause =
                        format!("the manifest asks for the {what} `{name}`, which the project does not have");
                    self.findings.push(
                        Finding::new(Code::DeclaredNotInstalled, name.as_str(), cause)
                            .detail(format!("{what}s of the project: {known}"))
                            .remedy(format!(
                                "correct or remove `{name}` in `{what}s` under `[python]` of the manifest"
                            )),
                    );
                }
            }
        }
    }

    /// Judges the lines of a requirements file that do not apply to the target.
    ///
    /// Such a file mixes requirements that are meant for other environments (`colorama` on Windows, a
    /// backport for an older Python) with requirements that are missing because the whole file was made for
    /// another Python. A line is fine to leave out if another line of the same name applies, if no Python
    /// would make its marker true on this platform, or if the file shows itself to be made for this Python
    /// too. It shows that if lines apply here, and either the marker is a bound to one side (a backport), or
    /// other markers that name a Python hold and the lines with two-sided ranges that do not are fewer than
    /// the lines that apply. Everything else is denied.
    ///
    /// `Pipfile.lock` is resolved for one Python alone, and its markers carry each distribution's own Python
    /// requirement: a line that only a later Python makes true is what the target lacks.
    pub(crate) fn left_out(&mut self, verdicts: &Verdicts, cut: &BTreeSet<DistributionName>) {
        let lines = &self.lock.distributions;
        let applied: BTreeSet<&DistributionName> =
            lines.iter().enumerate().filter(|(i, _)| verdicts.applies(*i)).map(|(_, l)| &l.name).collect();
        let names_python = |locked: &Locked| locked.markers.iter().any(|marker| names_python(marker));
        let python_lines_hold = lines.iter().enumerate().any(|(i, l)| verdicts.applies(i) && names_python(l));
        let mut suspects = Vec::new();
        let resolved_once = self.lock.format == LockFormat::Pipfile;
        for (index, locked) in lines.iter().enumerate() {
            if verdicts.applies(index) || applied.contains(&locked.name) || cut.contains(&locked.name) {
                continue;
            }
            // Not chosen is a reason of its own; and Pipenv leaves what it did not resolve without files.
            if !verdicts.is_chosen(index) || (resolved_once && locked.files.is_empty()) {
                continue;
            }
            for marker in &locked.markers {
                if let Ok(Exclusion::Python { one_sided, only_later, pythons }) =
                    exclusion(marker, self.environment)
                {
                    suspects.push((index, one_sided, resolved_once && only_later, pythons));
                }
            }
        }
        let two_sided = suspects.iter().filter(|(_, one_sided, ..)| !one_sided).count();
        let for_another_python = !python_lines_hold || two_sided > applied.len();
        for (index, one_sided, is_certain, pythons) in suspects {
            if !is_certain && !applied.is_empty() && (one_sided || !for_another_python) {
                continue;
            }
            let locked = &lines[index];
            let file = locked.file.as_ref().unwrap_or(&self.lock.name);
            let text = self.lock.declared.iter().find(|d| d.line == locked.line && d.file == *file);
            let text =
                text.map_or_else(|| format!("{}=={}", locked.name, locked.version), |d| d.text.clone());
            let text = text.split(';').next().unwrap_or(&text).trim().to_owned();
            let place = self.lock.place(locked);
            let is = if self.lock.format == LockFormat::Requirements { "declared" } else { "locked" };
            self.declared_not_installed(
                &locked.name,
                place.clone(),
                format!(
                    "`{text}` ({place}) is {is}, but its marker `{}` is false: the target has {}",
                    verdicts.marker(index),
                    verdicts.values(index).join(", ")
                ),
                Some(&pythons),
            );
        }
    }

    /// Judges what a project needs but its lock does not have for the target.
    pub(crate) fn unreached(&mut self, reached: &Reached, verdicts: &Verdicts) {
        for index in &reached.missing_declared {
            let Some(declared) = self.lock.declared.get(*index) else { continue };
            let place = Place::line(&declared.file, declared.line);
            let (why, pythons) = self.why_not_applicable(&declared.name, verdicts);
            self.declared_not_installed(
                &declared.name,
                place.clone(),
                format!("`{}` ({place}) is declared, but {why}", declared.text),
                pythons.as_deref(),
            );
        }
        for (name, by) in &reached.missing_required {
            let (why, _) = self.why_not_applicable(name, verdicts);
            let cause = format!("{by} requires {name}, but {why}");
            self.findings.push(
                Finding::new(Code::LockedNotInstalled, name.as_str(), cause)
                    .remedy(format!("lock again: {}", self.relock()))
                    .remedy(format!("or name {by} in `exclude` under `[python]` of the manifest, if the artifact does not need it")),
            );
        }
        for (name, error) in &reached.errors {
            self.findings
                .push(Finding::new(Code::LockedNotInstalled, name.as_str(), error.to_string()).remedy(format!(
                "name {name} in `exclude` under `[python]` of the manifest, if the target does not need it"
            )));
        }
    }

    fn why_not_applicable(&self, name: &DistributionName, verdicts: &Verdicts) -> (String, Option<String>) {
        let found = self.lock.distributions.iter().enumerate().find(|(_, l)| l.name == *name);
        let Some((index, locked)) = found else {
            return (format!("{} does not hold it", self.lock.name), None);
        };
        let pythons = locked.markers.iter().find_map(|marker| match exclusion(marker, self.environment) {
            Ok(Exclusion::Python { pythons, .. }) => Some(pythons),
            _ => None,
        });
        let why = format!(
            "{} holds {} {} only for the marker `{}`, which is false: the target has {}",
            self.lock.place(locked),
            locked.name,
            locked.version,
            verdicts.marker(index),
            verdicts.values(index).join(", ")
        );
        (why, pythons)
    }

    fn declared_not_installed(
        &mut self,
        name: &DistributionName,
        at: Place,
        cause: String,
        pythons: Option<&str>,
    ) {
        let (major, minor) = self.environment.python();
        let finding = Finding::new(Code::DeclaredNotInstalled, name.as_str(), cause)
            .at(at)
            .remedy(format!("lock again for Python {major}.{minor}: {}", self.relock()));
        self.findings.push(match pythons {
            Some(pythons) => finding.remedy(format!(
                "or use a base and a runtime with the Python that the lock is for: {pythons}"
            )),
            None => finding.remedy("or use a base and a runtime that the lock is for"),
        });
    }

    pub(crate) fn provided_by_runtime(&mut self, locked: &Locked) {
        let cause = format!(
            "{} {} is left out because runtime {} provides {}, in a version that AWS chooses and changes",
            locked.name, locked.version, self.runtime.name, locked.name
        );
        self.findings.push(Finding::new(Code::ProvidedByRuntime, locked.name.as_str(), cause).remedy(
            "to install it with the artifact, as you should if its version matters, remove it from `from-runtime` under `[python]` of the manifest",
        ));
    }

    pub(crate) fn provided_by_layer(&mut self, locked: &Locked, layer: &ArtifactName, version: &str) {
        let cause = if same_version(&locked.version, version) {
            format!("{} {} is left out because layer {layer} has it", locked.name, locked.version)
        } else {
            format!(
                "layer {layer} has {} {version}, but {} has {}: it is installed with the artifact, which comes first",
                locked.name, self.lock.name, locked.version
            )
        };
        self.findings.push(Finding::new(Code::ProvidedByLayer, locked.name.as_str(), cause));
    }

    pub(super) fn relock(&self) -> String {
        relock(self.lock, self.environment.python())
    }
}

fn names_python(marker: &str) -> bool {
    Marker::parse(marker).is_ok_and(|parsed| parsed.variables().into_iter().any(Variable::is_python))
}

/// The locked name that differs least, if it differs in at most two characters.
fn nearest<'a>(
    name: &DistributionName,
    locked: &BTreeSet<&'a DistributionName>,
) -> Option<&'a DistributionName> {
    let candidates = locked.iter().map(|other| (distance(name.as_str(), other.as_str()), *other));
    candidates.filter(|(d, _)| *d <= 2).min().map(|(_, other)| other)
}

/// Levenshtein distance; names are short.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 100 || b.len() > 100 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
