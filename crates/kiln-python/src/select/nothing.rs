//! A lock of which nothing is installed, although it holds something.

use crate::lock::{Lock, LockFormat, Locked};
use kiln_record::{Cause, Code, Finding, Gap, Level};
use std::collections::BTreeSet;

/// A finding for a lock of which nothing is chosen, although it holds something; `gaps` and `findings` say why so far.
/// A workspace of uv without a project at its top is nobody's choice: which of its members is built, the manifest has to say.
pub(super) fn nothing_selected(lock: &Lock, gaps: &[Gap], findings: &[Finding]) -> Option<Finding> {
    if findings.iter().any(|finding| finding.level == Level::Deny) {
        return None;
    }
    let members = members(lock);
    let of_workspace = lock.format == LockFormat::Uv
        && lock.root.is_some_and(|root| is_workspace(&lock.distributions[root]));
    if of_workspace && !members.is_empty() {
        let cause = format!(
            "{} is for a workspace whose top is no project, so that nothing of it is installed: the manifest does not say which member is meant",
            lock.name
        );
        let first = members.first().map(|(_, file)| file.clone()).unwrap_or_default();
        let listed: Vec<String> = members.iter().map(|(name, file)| format!("{name} ({file})")).collect();
        let finding = Finding { level: Level::Deny, ..Finding::new(Code::NothingSelected, lock.name.as_str(), cause) }
            .detail(format!("its members: {}", listed.join(", ")))
            .remedy(format!("name the project file of one with `project` under [python] of the manifest, such as project = \"{first}\""));
        let groups: Vec<&str> =
            lock.groups.iter().map(String::as_str).filter(|name| *name != "main").collect();
        return Some(match groups.as_slice() {
            [] => finding,
            groups => finding.remedy(format!(
                "or, for dependency groups of the workspace itself, name them in `groups`: {}",
                groups.join(", ")
            )),
        });
    }
    let mut groups = BTreeSet::new();
    let mut extras = BTreeSet::new();
    let mut left = 0usize;
    for gap in gaps {
        match &gap.cause {
            Cause::Group { groups: of } => groups.extend(of.iter().map(String::as_str)),
            Cause::Extra { extras: of } => extras.extend(of.iter().map(String::as_str)),
            Cause::Unreachable => {}
            // A person, a layer or the runtime decided, or the environment did, which has findings of its own.
            _ => continue,
        }
        left += 1;
    }
    if left == 0 {
        return None;
    }
    let cause = match left {
        1 => format!("{} holds one distribution, and the manifest does not choose it", lock.name),
        _ => format!("{} holds {left} distributions, and the manifest chooses none of them", lock.name),
    };
    let mut finding = Finding::new(Code::NothingSelected, lock.name.as_str(), cause);
    let list = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
    if !groups.is_empty() {
        finding = finding
            .detail(format!("groups that need them: {}", list(&groups)))
            .remedy("choose groups with `groups` under [python] of the manifest");
    }
    if !extras.is_empty() {
        finding = finding
            .detail(format!("extras that need them: {}", list(&extras)))
            .remedy("choose extras with `extras` under [python] of the manifest");
    }
    Some(finding.remedy("if the artifact needs no dependency, remove [python] from the manifest"))
}

/// The projects of a workspace, with their project files relative to the folder of the manifests.
fn members(lock: &Lock) -> Vec<(String, String)> {
    let folder = match lock.name.strip_prefix("manifests/") {
        Some(below) => below.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()),
        None => lock.name.rsplit_once('/').map_or("..".to_owned(), |(folder, _)| format!("../{folder}")),
    };
    let mut members: Vec<(String, String)> = lock
        .distributions
        .iter()
        .filter_map(|locked| {
            let path = &locked.folder.as_ref()?.path;
            let parts: Vec<&str> = [folder.as_str(), path, "pyproject.toml"]
                .into_iter()
                .filter(|part| !part.is_empty() && *part != ".")
                .collect();
            (!is_workspace(locked)).then(|| (locked.name.to_string(), parts.join("/")))
        })
        .collect();
    members.sort();
    members
}

/// What stands for the top of a workspace that is no project.
fn is_workspace(locked: &Locked) -> bool {
    locked.line == 0
}
