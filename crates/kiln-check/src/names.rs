//! Names that mislead or are taken, and code that runs when an interpreter starts.

use crate::CheckError;
use kiln_audit::{Bringing, LARGEST_PTH, check_file_names, check_module_names, check_startup, may_start};
use kiln_collect::{Collection, Part, Verdict};
use kiln_plan::ArtifactPlan;
use kiln_record::{Check, CheckName, Ecosystem, Entry, Runtime};
use kiln_store::Store;

/// Judges the names of paths and modules. `stdlib` has the modules of the interpreter's standard library, if there is one.
///
/// # Errors
/// If a file cannot be read any more.
pub fn names(
    store: &Store,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    collection: &Collection,
    parts: &[Part],
    stdlib: &[String],
) -> Result<Verdict, CheckError> {
    let mut findings = check_file_names(collection.owners.iter());
    let distributions: Vec<Bringing<'_>> = parts
        .iter()
        .filter(|part| part.component.ecosystem == Ecosystem::Python)
        .map(|part| Bringing { name: &part.component.name, modules: &part.modules })
        .collect();
    findings.extend(check_module_names(&distributions, stdlib, runtime));
    let top = plan.manifest.python_folder().unwrap_or_default();
    for (path, owner) in &collection.owners {
        let is_of_distribution = owner.ecosystem() == Ecosystem::Python;
        if !is_of_distribution || path.parent() != top || !may_start(path.file_name()) {
            continue;
        }
        let content = match collection.tree.get(path) {
            Some(Entry::File { size, .. }) if *size <= LARGEST_PTH => Some(collection.read(store, path)?),
            _ => None,
        };
        findings.extend(check_startup(owner.name(), path, content.as_deref()));
    }
    let check = Check::ran(
        CheckName::Names,
        collection.owners.len() + distributions.len(),
        "paths and distributions",
    );
    Ok(Verdict { findings, checks: vec![check] })
}
