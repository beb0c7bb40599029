//! Where distributions belong that nothing chosen needs.

use super::reach::{Question, Reached, reach};
use crate::interpreter::TargetEnvironment;
use crate::lock::Lock;
use crate::project::is_asked_for;
use kiln_record::{Cause, DistributionName};
use std::collections::{BTreeMap, BTreeSet};

/// Where distributions belong that nothing chosen needs: what each other group and extra would need.
pub(super) struct Elsewhere {
    groups: BTreeMap<String, BTreeSet<usize>>,
    extras: BTreeMap<String, BTreeSet<usize>>,
}

impl Elsewhere {
    pub(super) fn new(
        lock: &Lock,
        environment: &TargetEnvironment,
        applicable: &BTreeMap<&DistributionName, Vec<usize>>,
        groups: &BTreeSet<String>,
        extras: &BTreeSet<String>,
    ) -> Self {
        let mut this = Self { groups: BTreeMap::new(), extras: BTreeMap::new() };
        if !lock.format.is_graph() {
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

    pub(super) fn cause(&self, index: usize, reached: &Reached, environment: &TargetEnvironment) -> Cause {
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
        match reached.false_markers.get(&index) {
            Some(marker) => {
                let values = environment.evaluate(marker, &[]).map(|v| v.values).unwrap_or_default();
                Cause::Marker { marker: marker.clone(), values }
            }
            None => Cause::Unreachable,
        }
    }
}
