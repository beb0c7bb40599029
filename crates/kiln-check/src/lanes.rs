//! Modules of distributions in lanes, each of which is tried in a container of its own. A container compiles what its modules load, and
//! knows nothing of what another one compiled: modules that load the same files belong in one lane.

use kiln_collect::Collection;
use kiln_record::{ComponentId, Ecosystem};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// As many modules are worth a second container: its start takes as long as a few imports.
const WORTH_TWO: usize = 8;
/// How many times longer a file takes to be compiled than to run, about.
const COMPILED_TO_RUN: u64 = 4;

/// What modules load, as far as the metadata of their distributions says.
#[derive(Debug, Default)]
pub(crate) struct Loads<'a> {
    /// The components that have files of a module.
    of_module: BTreeMap<&'a str, BTreeSet<&'a ComponentId>>,
    /// Bytes of Python files.
    sources: BTreeMap<&'a ComponentId, u64>,
    requires: BTreeMap<&'a ComponentId, &'a BTreeSet<ComponentId>>,
}

impl<'a> Loads<'a> {
    /// Of the distributions in a function's tree.
    pub(crate) fn of(collection: &'a Collection) -> Self {
        let mut loads = Self::default();
        for (path, entry) in collection.tree.iter() {
            let owner = collection.owners.get(path).filter(|owner| owner.ecosystem() == Ecosystem::Python);
            let Some(owner) = owner else { continue };
            let first = path.as_str().split('/').next().unwrap_or_default();
            loads.of_module.entry(stem(first)).or_default().insert(owner);
            if path.as_str().ends_with(".py") {
                *loads.sources.entry(owner).or_default() += entry.size();
            }
        }
        let components = collection.components.iter();
        loads.requires.extend(components.map(|component| (&component.id, &component.requires)));
        loads
    }

    /// The components of a module with all that they require.
    fn loaded(&self, module: &str) -> BTreeSet<&'a ComponentId> {
        let mut all = BTreeSet::new();
        let mut pending: Vec<&ComponentId> =
            self.of_module.get(stem(module)).into_iter().flatten().copied().collect();
        while let Some(component) = pending.pop() {
            if all.insert(component) {
                pending.extend(self.requires.get(component).into_iter().copied().flatten());
            }
        }
        all
    }

    fn bytes<'b, 'c: 'b>(&self, components: impl IntoIterator<Item = &'b &'c ComponentId>) -> u64 {
        components.into_iter().filter_map(|component| self.sources.get(*component)).sum()
    }

    /// The modules in lanes that take about as long as each other. The second begins with what has least in common with the first one's
    /// beginning; then those with the most to load come first, of which others find compiled what they load, too.
    pub(crate) fn lanes(&self, modules: &[String]) -> Vec<Vec<String>> {
        let mut modules: VecDeque<(&String, BTreeSet<&ComponentId>)> =
            modules.iter().map(|module| (module, self.loaded(module))).collect();
        // The sort is stable, and they come sorted by name.
        modules.make_contiguous().sort_by_key(|(_, loaded)| Reverse(self.bytes(loaded)));
        let mut lanes = vec![Lane::default()];
        if modules.len() >= WORTH_TWO {
            let first = modules[0].1.clone();
            let others = |at: &usize| self.bytes(modules[*at].1.difference(&first));
            let second = (1..modules.len()).rev().max_by_key(others).unwrap_or_default();
            lanes[0].take(self, modules.pop_front());
            lanes.push(Lane::default());
            lanes[1].take(self, modules.remove(second - 1));
        }
        while let Some(next) = modules.pop_front() {
            let shortest = lanes.iter_mut().min_by_key(|lane| lane.with(self, &next.1));
            if let Some(lane) = shortest {
                lane.take(self, Some(next));
            }
        }
        lanes.into_iter().map(|lane| lane.modules).collect()
    }
}

/// The name by which a file or folder is found as a module, as far as it can be.
pub(crate) fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// One of them, on the way.
#[derive(Default)]
struct Lane<'a> {
    modules: Vec<String>,
    compiled: BTreeSet<&'a ComponentId>,
    /// In bytes that run.
    time: u64,
}

impl<'a> Lane<'a> {
    /// How long it would take with a module that loads this.
    fn with(&self, loads: &Loads<'_>, loaded: &BTreeSet<&ComponentId>) -> u64 {
        let compiled = loads.bytes(loaded.difference(&self.compiled));
        self.time + compiled * COMPILED_TO_RUN + loads.bytes(loaded)
    }

    fn take(&mut self, loads: &Loads<'_>, next: Option<(&String, BTreeSet<&'a ComponentId>)>) {
        let Some((module, loaded)) = next else { return };
        self.time = self.with(loads, &loaded);
        self.compiled.extend(loaded);
        self.modules.push(module.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distributions with one module each, of the same name: what they require, and the bytes of their files.
    fn lanes(of: &[(&str, &[&str], u64)]) -> Vec<Vec<String>> {
        let id = |name: &str| ComponentId::new(Ecosystem::Python, name);
        let ids: Vec<ComponentId> = of.iter().map(|(name, ..)| id(name)).collect();
        let requires: Vec<BTreeSet<ComponentId>> =
            of.iter().map(|(_, requires, _)| requires.iter().map(|name| id(name)).collect()).collect();
        let mut loads = Loads::default();
        for (number, (name, _, bytes)) in of.iter().enumerate() {
            loads.of_module.entry(*name).or_default().insert(&ids[number]);
            loads.sources.insert(&ids[number], *bytes);
            loads.requires.insert(&ids[number], &requires[number]);
        }
        loads.lanes(&of.iter().map(|(name, ..)| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_loads_the_same_is_tried_in_one_container() {
        let found = lanes(&[
            ("anyio", &["idna"], 100),
            ("boto3", &["botocore", "s3transfer"], 50),
            ("botocore", &["urllib3"], 900),
            ("fastapi", &["pydantic", "starlette"], 300),
            ("idna", &[], 50),
            ("pydantic", &[], 500),
            ("s3transfer", &["botocore"], 80),
            ("starlette", &["anyio"], 200),
            ("urllib3", &[], 200),
        ]);
        assert_eq!(
            found,
            [
                vec!["boto3", "s3transfer", "botocore"],
                vec!["fastapi", "pydantic", "starlette", "urllib3", "anyio", "idna"],
            ]
        );
    }

    #[test]
    fn every_module_is_in_one_lane_and_what_requires_itself_ends() {
        for count in [0, 1, WORTH_TWO - 1, WORTH_TWO, WORTH_TWO + 1] {
            let names: Vec<String> = (0..count).map(|number| format!("m{number:02}")).collect();
            let of: Vec<(&str, &[&str], u64)> =
                names.iter().map(|name| (name.as_str(), ["m00"].as_slice(), 1)).collect();
            let found = lanes(&of);
            assert_eq!(found.len(), if count < WORTH_TWO { 1 } else { 2 }, "{found:?}");
            assert!(count == 0 || found.iter().all(|lane| !lane.is_empty()), "{found:?}");
            let mut all: Vec<String> = found.into_iter().flatten().collect();
            all.sort();
            assert_eq!(all, names);
        }
    }
}
