//! Listed source distributions of which none is used.

use crate::bring::distribution::ReadyWheel;
use kiln_plan::Manifest;
use kiln_python::{Lock, Selection};
use kiln_record::{Code, DistributionName, Finding};

/// A finding for each name in the manifest's `sdists` that lets nothing be built: it is a slip of the pen, or has become
/// unnecessary. `wheels` are what was brought.
pub(crate) fn unused(
    manifest: &Manifest,
    lock: &Lock,
    selection: &Selection,
    wheels: &[ReadyWheel],
) -> Vec<Finding> {
    let listed = manifest.python.iter().flat_map(|python| &python.sdists);
    listed.filter_map(|name| one(name, manifest, lock, selection, wheels)).collect()
}

fn one(
    name: &DistributionName,
    manifest: &Manifest,
    lock: &Lock,
    selection: &Selection,
    wheels: &[ReadyWheel],
) -> Option<Finding> {
    let is_locked = lock.distributions.iter().any(|locked| locked.name == *name);
    let gap = selection.gaps.iter().find(|gap| gap.distribution == name.as_str());
    let wheel = wheels.iter().find(|ready| ready.wheel.name == *name);
    let cause = match (is_locked, gap, wheel) {
        (false, ..) => {
            format!("the manifest lets {name} be built, but {} has no such distribution", lock.name)
        }
        (true, _, Some(ready)) if ready.built_from.is_some() => return None,
        (true, _, Some(ready)) => format!(
            "the manifest lets {name} be built, but its wheel {} fits, and is taken: a wheel that the lock names comes before a build",
            ready.file_name
        ),
        (true, Some(gap), None) => {
            format!("the manifest lets {name} be built, but it is not installed: {}", gap.cause)
        }
        // What stopped it is a finding of its own.
        (true, None, None) => return None,
    };
    Some(
        Finding::new(Code::SdistNotUsed, name.as_str(), cause)
            .remedy(format!("remove {name} from `sdists` under [python] in {}", manifest.file)),
    )
}
