//! What publishers state, held against the files that they bring.

use kiln_audit::{check_bills, check_hashes, check_license_texts};
use kiln_collect::Collection;
use kiln_plan::ArtifactPlan;
use kiln_record::{Binary, ComponentId, Finding, Linked, TreePath};
use std::collections::BTreeMap;

/// Where a distribution's licence text is another than what it declares, and where its own bill of materials lacks what its native
/// files show, or states another digest of a crate than the registry's archive has.
#[must_use]
pub fn stated(
    plan: &ArtifactPlan,
    collection: &Collection,
    binaries: &BTreeMap<TreePath, Binary>,
) -> Vec<Finding> {
    let within: BTreeMap<&ComponentId, &ComponentId> =
        collection.components.iter().filter_map(|one| Some((&one.id, one.within.as_ref()?))).collect();
    let mut linked: BTreeMap<&ComponentId, Vec<(&TreePath, &Linked)>> = BTreeMap::new();
    for (path, binary) in binaries {
        let Some(owner) = collection.owners.get(path) else { continue };
        let holder = within.get(owner).copied().unwrap_or(owner);
        linked.entry(holder).or_default().extend(binary.linked.iter().map(|part| (path, part)));
    }
    let mut findings = Vec::new();
    for component in &collection.components {
        findings.extend(check_license_texts(component));
        findings.extend(check_hashes(component, |name, version| {
            let locked = plan.crates.iter().find(|one| one.name == name && one.version == version);
            locked.map(|one| one.digest)
        }));
        findings.extend(check_bills(component, linked.get(&component.id).into_iter().flatten().copied()));
    }
    findings
}
