//! What a manifest's `requirements` ask for, held against the lock that `kiln lock ARTIFACT` made of them.

use super::planned::planned_file;
use crate::WheelError;
use kiln_plan::{ArtifactPlan, LockKind, Manifest, PythonSection};
use kiln_python::{
    Declaration, Declared, InputProblem, InvalidInput, Lock, TargetEnvironment, declare_project,
    declare_requirements, declared_not_locked, is_of_input,
};
use kiln_record::{Cause, DistributionName, Finding, Gap, InputRole};
use std::path::Path;

/// Reads the input of a lock. `read` gives the text of a file that it includes, by its path in the workspace.
pub fn declare(
    section: &PythonSection,
    file: &str,
    text: &str,
    read: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Declaration, Vec<InputProblem>> {
    if section.requirements_are_project() {
        declare_project(file, text, &section.groups, &section.extras)
    } else {
        declare_requirements(file, text, read)
    }
}

/// The command that makes an artifact's lock.
pub fn command(manifest: &Manifest) -> String {
    format!("kiln lock {}", manifest.stated_name())
}

/// The command that makes the lock of a plan again, whoever made it.
pub fn relock(plan: &ArtifactPlan, lock: &Lock) -> String {
    match &plan.manifest.python {
        Some(section) if section.requirements.is_some() => command(&plan.manifest),
        _ => lock.made_by.clone().unwrap_or_else(|| format!("make {} again", lock.name)),
    }
}

/// What the lock of a plan was made from, if the manifest says so. A lock of another target or another input is stale,
/// also where the manifest no longer says what it was made from.
pub(crate) fn of_lock(
    root: &Path,
    plan: &ArtifactPlan,
    target: &TargetEnvironment,
) -> Result<Result<Option<Declaration>, Vec<Finding>>, WheelError> {
    let Some(section) = &plan.manifest.python else { return Ok(Ok(None)) };
    if section.lock_kind() != LockKind::Requirements {
        return Ok(Ok(None));
    }
    let lock = planned_file(root, plan, InputRole::Lock, &section.lock)?;
    let declaration = match &section.requirements {
        None => None,
        Some(path) => {
            let input = planned_file(root, plan, InputRole::Project, path)?;
            let declared = declare(section, &input.path, &input.text, &mut |path| {
                planned_file(root, plan, InputRole::Lock, path).ok().map(|file| file.text.to_string())
            });
            Some(declared.map_err(InvalidInput)?)
        }
    };
    let findings =
        is_of_input(&lock.path, &lock.text, declaration.as_ref(), target, &command(&plan.manifest));
    Ok(if findings.is_empty() { Ok(declaration) } else { Err(findings) })
}

/// What the lock should have and does not.
pub(crate) fn not_locked(
    plan: &ArtifactPlan,
    declaration: &Declaration,
    lock: &Lock,
    target: &TargetEnvironment,
) -> Vec<Finding> {
    declared_not_locked(declaration, lock, target, &command(&plan.manifest))
}

/// What is asked for under a condition that does not hold for the target, so that the lock does not have it.
pub fn left_out(declaration: &Declaration, target: &TargetEnvironment) -> Vec<(Declared, Cause)> {
    let each = declaration.wanted.iter().filter_map(|wanted| {
        let marker = wanted.declared.marker.clone()?;
        let verdict = target.evaluate(&marker, &[]).ok().filter(|verdict| !verdict.value)?;
        Some((wanted.declared.clone(), Cause::Marker { marker, values: verdict.values }))
    });
    each.collect()
}

/// The same as gaps, but for what is locked under another condition.
pub(crate) fn gaps(declaration: &Declaration, lock: &Lock, target: &TargetEnvironment) -> Vec<Gap> {
    let is_locked = |name: &DistributionName| lock.distributions.iter().any(|locked| locked.name == *name);
    left_out(declaration, target)
        .into_iter()
        .filter(|(declared, _)| !is_locked(&declared.name))
        .map(|(declared, cause)| Gap {
            distribution: declared.name.to_string(),
            version: Gap::NOT_LOCKED.to_owned(),
            cause,
        })
        .collect()
}
