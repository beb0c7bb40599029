//! Which way a component came into an artifact.

use kiln_record::{Component, ComponentId, Ecosystem, Record};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The components of a record, and by which other they are there.
pub(super) struct Dependencies<'a> {
    /// The component that a shortest way from the artifact's own code comes from.
    from: BTreeMap<&'a ComponentId, &'a ComponentId>,
    /// Those that require it.
    required_by: BTreeMap<&'a ComponentId, BTreeSet<&'a ComponentId>>,
    names: BTreeMap<&'a ComponentId, &'a str>,
}

impl<'a> Dependencies<'a> {
    /// Of a record, of which nothing is taken for granted: its edges may lead nowhere, or in circles.
    pub(super) fn of(record: &'a Record) -> Self {
        let known: BTreeMap<&ComponentId, &Component> =
            record.components.iter().map(|component| (&component.id, component)).collect();
        let mut required_by: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for component in &record.components {
            for id in component.requires.iter().filter(|id| known.contains_key(id)) {
                required_by.entry(id).or_default().insert(&component.id);
            }
        }
        let mut from = BTreeMap::new();
        let own = |component: &&Component| component.ecosystem == Ecosystem::Application;
        let mut next: VecDeque<&Component> = record.components.iter().filter(own).collect();
        while let Some(component) = next.pop_front() {
            for id in &component.requires {
                if let Some(target) = known.get(id)
                    && target.ecosystem != Ecosystem::Application
                    && !from.contains_key(id)
                {
                    from.insert(id, &component.id);
                    next.push_back(target);
                }
            }
        }
        let names =
            record.components.iter().map(|component| (&component.id, component.name.as_str())).collect();
        Self { from, required_by, names }
    }

    /// The names from the artifact's own code to a component, the component last. It alone, if no way is known.
    pub(super) fn path(&self, id: &'a ComponentId) -> Vec<&'a str> {
        let mut path = vec![self.name(id)];
        let mut at = id;
        // Each step is one nearer, so that there is an end.
        while let Some(before) = self.from.get(at) {
            path.push(self.name(before));
            at = before;
        }
        path.reverse();
        path
    }

    /// The names of all that require a component.
    pub(super) fn required_by(&self, id: &ComponentId) -> Vec<&'a str> {
        self.required_by.get(id).into_iter().flatten().map(|id| self.name(id)).collect()
    }

    /// Why a component is there: what it is inside of, or the way from the artifact's own code to it.
    pub(super) fn why(&self, component: &'a Component) -> Markup {
        let path = self.path(&component.id);
        let others = self.required_by(&component.id);
        html! {
            @if let Some(within) = &component.within {
                "inside " (within.name())
            } @else if component.from_base {
                "the base brings it"
            } @else if path.len() > 1 {
                details {
                    summary { (path[path.len() - 2]) }
                    (path.join(" → "))
                    @if others.len() > 1 { br; "required by " (others.join(", ")) }
                }
            }
        }
    }

    fn name(&self, id: &'a ComponentId) -> &'a str {
        self.names.get(id).copied().unwrap_or(id.as_str())
    }
}
