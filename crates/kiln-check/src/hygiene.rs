//! Hygiene: what an artifact should not hold, and what hides what between a function and its layers.

use crate::CheckError;
use crate::against_base::leads_into_base;
use kiln_audit::{
    Layered, SearchedTree, check_bytecode, check_duplicates, check_layering, check_links, check_namespaces,
    check_unowned,
};
use kiln_collect::{Collection, Part, ReadyLayer, Verdict};
use kiln_guest::BaseImage;
use kiln_plan::ArtifactPlan;
use kiln_record::{Check, CheckName, Code, DistributionName, Ecosystem, TreePath};
use kiln_store::Store;
use std::collections::BTreeMap;

/// Judges the tree.
///
/// # Errors
/// If a file cannot be read any more.
pub fn hygiene(
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
    parts: &[Part],
    layers: &[ReadyLayer],
    base: Option<&BaseImage>,
) -> Result<Verdict, CheckError> {
    let mut findings = check_duplicates(&collection.tree);
    findings.extend(check_bytecode(&collection.tree, &collection.owners));
    findings.extend(check_links(&collection.tree));
    if let Some(base) = base {
        // A link of an image may lead to what its base has.
        let mount = plan.manifest.mount();
        findings.retain(|finding| {
            finding.code != Code::DanglingLink
                || !TreePath::new(&finding.subject).is_ok_and(|path| {
                    collection
                        .tree
                        .get(&path)
                        .is_some_and(|entry| leads_into_base(&path, entry, mount, &base.contents))
                })
        });
    }
    let mut checks = vec![Check::ran(CheckName::Tree, collection.tree.len(), "files")];
    findings.extend(check_unowned(&collection.tree, &collection.owners, plan.manifest.python_folder()));
    if !layers.is_empty() {
        let function =
            SearchedTree { name: plan.manifest.name.as_str(), tree: &collection.tree, prefix: None };
        let searched: Vec<SearchedTree<'_>> = layers
            .iter()
            .map(|layer| SearchedTree {
                name: layer.name.as_str(),
                tree: &layer.collection.tree,
                prefix: Some("python"),
            })
            .collect();
        findings.extend(check_namespaces(function, &searched, |index, path| match index {
            0 => collection.read(store, path),
            layer => layers[layer - 1].collection.read(store, path),
        })?);
        let distributions: BTreeMap<DistributionName, String> = parts
            .iter()
            .filter(|part| part.component.ecosystem == Ecosystem::Python)
            .filter_map(|part| Some((part.component.name.parse().ok()?, part.component.version.clone()?)))
            .collect();
        let function = Layered {
            name: &plan.manifest.name,
            tree: &collection.tree,
            owners: &collection.owners,
            distributions: &distributions,
        };
        let layers: Vec<Layered<'_>> = layers
            .iter()
            .map(|layer| Layered {
                name: &layer.name,
                tree: &layer.collection.tree,
                owners: &layer.collection.owners,
                distributions: &layer.distributions,
            })
            .collect();
        let (found, check) = check_layering(&function, &layers);
        findings.extend(found);
        checks.push(check);
    }
    Ok(Verdict { findings, checks })
}
