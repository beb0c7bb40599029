//! The parts of a plan besides its base: what source distributions, steps and a Dockerfile are built with.

use super::read::PlanInputs;
use crate::base::PinnedBase;
use crate::manifest::Manifest;
use crate::workspace::Workspace;
use kiln_record::{BaseName, Digest, Finding, Platform};
use std::collections::BTreeMap;

/// Where and from what source distributions are built.
#[derive(Clone, Debug)]
pub struct BuildPlan {
    /// The base that they are built in.
    pub base: PinnedBase,
    /// The lock of build requirements, relative to the workspace, if one is named.
    pub lock: Option<String>,
    /// The digests of that lock, of what it is made from, and of all that the two include.
    pub digests: Vec<Digest>,
}

/// What a step runs in.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The base.
    pub base: PinnedBase,
}

/// What a Dockerfile is built from.
#[derive(Clone, Debug)]
pub struct RecipePlan {
    /// The digest of its text.
    pub text: Digest,
    /// Every base that it names.
    pub bases: BTreeMap<BaseName, PinnedBase>,
}

/// What a manifest's source distributions are built with; none if it lists none.
pub(super) fn build_plan(
    workspace: &Workspace,
    manifest: &Manifest,
    read: &PlanInputs,
    platform: Platform,
) -> Result<Option<BuildPlan>, Box<Finding>> {
    let Some(python) = manifest.python.as_ref().filter(|python| !python.sdists.is_empty()) else {
        return Ok(None);
    };
    let named = python.build.as_ref().and_then(|build| build.base.as_ref());
    let (definition, lock) = &workspace.bases[named.unwrap_or(&manifest.base)];
    let base = PinnedBase::new(definition, lock.as_ref(), platform)?;
    let digests = read.build_locks.iter().chain(&read.build_projects).map(|(_, digest)| *digest).collect();
    Ok(Some(BuildPlan { base, lock: python.build_lock().map(str::to_owned), digests }))
}

/// What a manifest's Dockerfile is built from.
pub(super) fn recipe_plan(
    workspace: &Workspace,
    manifest: &Manifest,
    platform: Platform,
) -> Result<Option<RecipePlan>, Box<Finding>> {
    let Some(recipe) = &manifest.recipe else { return Ok(None) };
    let mut bases = BTreeMap::new();
    for name in &recipe.bases {
        let (definition, lock) = &workspace.bases[name];
        bases.insert(name.clone(), PinnedBase::new(definition, lock.as_ref(), platform)?);
    }
    Ok(Some(RecipePlan { text: Digest::of(recipe.text.as_bytes()), bases }))
}

/// What a manifest's steps run in.
pub(super) fn step_plans(
    workspace: &Workspace,
    manifest: &Manifest,
    platform: Platform,
) -> Result<Vec<StepPlan>, Box<Finding>> {
    let each = manifest.steps.iter().map(|step| {
        let (definition, lock) = &workspace.bases[step.base.as_ref().unwrap_or(&manifest.base)];
        Ok(StepPlan { base: PinnedBase::new(definition, lock.as_ref(), platform)? })
    });
    each.collect()
}
