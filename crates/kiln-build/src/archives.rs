//! The archives that parts of an artifact are distributed as: packages of the bases in which something was linked, and crates of the
//! registry, of which `kiln.lock` has the digests.

use crate::BuildError;
use kiln_collect::Collection;
use kiln_guest::Bases;
use kiln_plan::{ArtifactPlan, CrateArchive};
use kiln_record::{Archive, Binary, Component, Linked, TreePath, crate_of_url};
use std::collections::BTreeMap;

/// Adds what is known of the archives of what is linked into native files: of what a step linked, the package of its base, else that of
/// the registry.
pub(crate) async fn of_linked(
    bases: &Bases,
    plan: &ArtifactPlan,
    collection: &Collection,
    binaries: &mut BTreeMap<TreePath, Binary>,
) -> Result<(), BuildError> {
    let crates = by_name(&plan.crates);
    let made: BTreeMap<_, &str> = collection
        .components
        .iter()
        .filter(|component| component.made_by.is_some())
        .map(|component| (&component.id, component.name.as_str()))
        .collect();
    for (path, binary) in binaries {
        let step = collection.owners.get(path).and_then(|owner| made.get(owner));
        if let Some(step) = step {
            let linked: Vec<&Linked> = binary.linked.iter().collect();
            let found = kiln_step::linked_from_bases(bases, plan, step, &linked).await?;
            for (part, archive) in binary.linked.iter_mut().zip(found) {
                part.archive = archive;
            }
        }
        for part in &mut binary.linked {
            part.archive = part.archive.take().or_else(|| of_crate(&crates, &part.purl));
        }
    }
    Ok(())
}

/// Adds what is known of the archives of crates that bills of materials name. One of which a bill states another digest is not the
/// crate that it means.
pub(crate) fn of_stated(crates: &[CrateArchive], component: &mut Component) {
    let crates = by_name(crates);
    // Crates that a step was given have theirs already.
    for part in component.embedded.iter_mut().filter(|part| part.sha256.is_none() || part.sha512.is_none()) {
        let archive = part.purl.as_deref().and_then(|purl| of_crate(&crates, purl));
        part.archive = archive.filter(|archive| part.sha256.is_none_or(|stated| stated == archive.digest));
    }
}

type ByName<'a> = BTreeMap<(&'a str, &'a str), &'a CrateArchive>;

fn by_name(crates: &[CrateArchive]) -> ByName<'_> {
    crates.iter().map(|one| ((one.name.as_str(), one.version.as_str()), one)).collect()
}

fn of_crate(crates: &ByName<'_>, purl: &str) -> Option<Archive> {
    let (name, version) = crate_of_url(purl)?;
    crates.get(&(name.as_str(), version.as_str())).map(|one| one.archive())
}
