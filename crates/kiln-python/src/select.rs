//! Which distributions of a lock go into an artifact, and the reason for each that does not.

use crate::judge::{Judge, Verdicts};
use crate::lock::{Lock, LockFormat, Locked};
use crate::reach::{Question, Reached, is_asked_for, reach};
use crate::{Interpreter, TargetEnvironment};
use kiln_record::{ArtifactName, Cause, Code, DistributionName, Finding, Gap, Runtime};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What a manifest says about its dependencies.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Dependency groups beside `main`, which always belongs to it.
    pub groups: Vec<String>,
    /// Extras of the project.
    pub extras: Vec<String>,
    /// Distributions that are left out by name.
    pub excluded: BTreeSet<DistributionName>,
    /// Distributions that are left to the Lambda runtime.
    pub from_runtime: BTreeSet<DistributionName>,
    /// The layers that the artifact is used with, in order: of two that hold one file, Lambda keeps the later.
    pub layers: Vec<LayerContent>,
}

/// What a layer holds.
#[derive(Clone, Debug)]
pub struct LayerContent {
    /// The layer's artifact.
    pub name: ArtifactName,
    /// Its distributions with their versions.
    pub distributions: BTreeMap<DistributionName, String>,
}

/// The distributions that an artifact needs, and an account of all others.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What is installed, sorted by name. `extras` holds those that are asked for.
    pub wanted: Vec<Locked>,
    /// What is not, with the reason, sorted by name and version.
    pub gaps: Vec<Gap>,
    /// Judgements, in order of code and subject.
    pub findings: Vec<Finding>,
}

/// Selects what an artifact needs from a lock.
///
/// Every distribution of the lock is either wanted or a gap. A declared requirement that the lock does not hold for
/// the target is `declared-not-installed`; what counts as such in a requirements file, which does not tell a
/// requirement's own condition from one that the locking tool added, is documented at `Judge::left_out`.
#[must_use]
pub fn select(
    lock: &Lock,
    environment: &TargetEnvironment,
    interpreter: &Interpreter,
    runtime: &Runtime,
    choice: &Choice,
) -> Selection {
    let mut judge = Judge { lock, environment, interpreter, runtime, findings: Vec::new() };
    judge.requires_python();
    judge.names_exist(choice);

    let groups: BTreeSet<String> = choice.groups.iter().cloned().chain(["main".to_owned()]).collect();
    let extras: BTreeSet<String> = choice.extras.iter().map(|e| crate::marker::normal_extra(e)).collect();
    let verdicts = judge.verdicts(&extras);
    let mut applicable: BTreeMap<&DistributionName, Vec<usize>> = BTreeMap::new();
    for (index, locked) in lock.distributions.iter().enumerate() {
        if verdicts.applies(index) {
            applicable.entry(&locked.name).or_default().push(index);
        }
    }
    let mut cut = choice.excluded.clone();
    cut.extend(choice.from_runtime.iter().filter(|name| runtime.provides(name.as_str())).cloned());

    let reached = match lock.format {
        LockFormat::Poetry => {
            let question = Question {
                lock,
                environment,
                applicable: &applicable,
                groups: &groups,
                extras: &extras,
                cut: &cut,
            };
            let reached = reach(&question);
            judge.unreached(&reached, &verdicts);
            reached
        }
        LockFormat::Requirements => {
            judge.left_out(&verdicts, &cut);
            let distributions =
                applicable.values().flatten().filter(|i| !cut.contains(&lock.distributions[**i].name));
            Reached {
                distributions: distributions
                    .map(|i| (*i, lock.distributions[*i].extras.iter().cloned().collect()))
                    .collect(),
                ..Reached::default()
            }
        }
    };
    let elsewhere = Elsewhere::new(lock, environment, &applicable, &groups, &extras);
    let mut selection = Selection::default();
    for (index, locked) in lock.distributions.iter().enumerate() {
        let cause = if !verdicts.applies(index) {
            Some(verdicts.cause(index))
        } else if choice.excluded.contains(&locked.name) {
            Some(Cause::Excluded)
        } else if cut.contains(&locked.name) {
            judge.provided_by_runtime(locked);
            Some(Cause::Runtime { runtime: runtime.name.clone() })
        } else if let Some(asked) = reached.distributions.get(&index) {
            let layer = layer_of(choice, locked);
            if let Some((layer, version)) = layer {
                judge.provided_by_layer(locked, layer, version);
            }
            match layer {
                Some((layer, version)) if same_version(&locked.version, version) => {
                    Some(Cause::Layer { layer: layer.clone(), version: version.to_owned() })
                }
                _ => {
                    judge.has_files(locked);
                    let mut wanted = locked.clone();
                    wanted.extras = asked.iter().cloned().collect();
                    add_wanted(&mut selection.wanted, wanted, &mut judge.findings, &lock.name);
                    None
                }
            }
        } else {
            Some(elsewhere.cause(index, &locked.name, &reached, environment))
        };
        if let Some(cause) = cause {
            let version = locked.version.clone();
            selection.gaps.push(Gap { distribution: locked.name.to_string(), version, cause });
        }
    }
    selection.wanted.sort_by(|a, b| (&a.name, a.line).cmp(&(&b.name, b.line)));
    selection.gaps.sort_by(|a, b| (&a.distribution, &a.version).cmp(&(&b.distribution, &b.version)));
    selection.gaps.dedup();
    selection.findings = judge.findings;
    selection.findings.sort_by(|a, b| (a.code, &a.subject).cmp(&(b.code, &b.subject)));
    selection
}

/// Two lines of one version are one distribution; two versions of one distribution cannot both be installed.
fn add_wanted(wanted: &mut Vec<Locked>, new: Locked, findings: &mut Vec<Finding>, lock: &str) {
    let Some(there) = wanted.iter_mut().find(|w| w.name == new.name) else {
        wanted.push(new);
        return;
    };
    if same_version(&there.version, &new.version) {
        there.files.extend(new.files);
        there.files.sort();
        there.files.dedup();
        there.extras.extend(new.extras);
        there.extras.sort();
        there.extras.dedup();
        return;
    }
    let cause = format!(
        "{lock} has two versions of {} that both apply to the target: {} (line {}) and {} (line {})",
        new.name, there.version, there.line, new.version, new.line
    );
    findings.push(
        Finding::new(Code::LockedNotInstalled, new.name.as_str(), cause)
            .remedy("lock again, so that the markers of the two exclude each other"),
    );
}

/// The layer that has a distribution: the last one wins.
fn layer_of<'a>(choice: &'a Choice, locked: &Locked) -> Option<(&'a ArtifactName, &'a str)> {
    let mut layers = choice.layers.iter().rev();
    layers.find_map(|layer| Some((&layer.name, layer.distributions.get(&locked.name)?.as_str())))
}

pub(crate) fn same_version(a: &str, b: &str) -> bool {
    match (Version::from_str(a), Version::from_str(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Where distributions belong that nothing chosen needs: what each other group and extra would need.
struct Elsewhere {
    groups: BTreeMap<String, BTreeSet<usize>>,
    extras: BTreeMap<String, BTreeSet<usize>>,
}

impl Elsewhere {
    fn new(
        lock: &Lock,
        environment: &TargetEnvironment,
        applicable: &BTreeMap<&DistributionName, Vec<usize>>,
        groups: &BTreeSet<String>,
        extras: &BTreeSet<String>,
    ) -> Self {
        let mut this = Self { groups: BTreeMap::new(), extras: BTreeMap::new() };
        if lock.format == LockFormat::Requirements {
            return this;
        }
        let (none, nothing_cut) = (BTreeSet::new(), BTreeSet::new());
        let from = |groups: &BTreeSet<String>, extras: &BTreeSet<String>| {
            let question = Question { lock, environment, applicable, groups, extras, cut: &nothing_cut };
            reach(&question).distributions.into_keys().collect::<BTreeSet<usize>>()
        };
        let asked = |groups: &BTreeSet<String>, extras: &BTreeSet<String>| {
            lock.declared.iter().any(|d| is_asked_for(d, groups, extras))
        };
        for group in lock.groups.iter().filter(|g| !groups.contains(*g)) {
            let one = BTreeSet::from([group.clone()]);
            if asked(&one, &none) {
                this.groups.insert(group.clone(), from(&one, &none));
            }
        }
        for extra in lock.extras.iter().filter(|e| !extras.contains(*e)) {
            let one = BTreeSet::from([extra.clone()]);
            this.extras.insert(extra.clone(), from(groups, &one));
        }
        this
    }

    fn cause(
        &self,
        index: usize,
        name: &DistributionName,
        reached: &Reached,
        environment: &TargetEnvironment,
    ) -> Cause {
        let holding = |sets: &BTreeMap<String, BTreeSet<usize>>| -> Vec<String> {
            sets.iter().filter(|(_, set)| set.contains(&index)).map(|(name, _)| name.clone()).collect()
        };
        let groups = holding(&self.groups);
        if !groups.is_empty() {
            return Cause::Group { groups };
        }
        let extras = holding(&self.extras);
        if !extras.is_empty() {
            return Cause::Extra { extras };
        }
        match reached.false_markers.get(name) {
            Some(marker) => {
                let values = environment.evaluate(marker, &[]).map(|v| v.values).unwrap_or_default();
                Cause::Marker { marker: marker.clone(), values }
            }
            None => Cause::Unreachable,
        }
    }
}

impl Verdicts {
    fn cause(&self, index: usize) -> Cause {
        Cause::Marker { marker: self.marker(index), values: self.values(index).to_vec() }
    }
}
