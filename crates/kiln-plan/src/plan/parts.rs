//! What is pinned of a plan: its base, and what source distributions, steps and a Dockerfile are built with.

use super::read::PlanInputs;
use crate::artifact_lock::{LockedUpstream, locked_upstreams};
use crate::base::PinnedBase;
use crate::dockerfile::Dockerfile;
use crate::manifest::Manifest;
use crate::workspace::Workspace;
use kiln_record::{BaseName, Digest, Epoch, Finding, Platform};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// It, read.
    pub dockerfile: Arc<Dockerfile>,
    /// The digest of its text.
    pub text: Digest,
    /// Every base that it names.
    pub bases: BTreeMap<BaseName, PinnedBase>,
}

/// All of that for one artifact.
pub(super) struct Parts {
    pub(super) platform: Platform,
    pub(super) base: PinnedBase,
    pub(super) build: Option<BuildPlan>,
    pub(super) steps: Vec<StepPlan>,
    pub(super) recipe: Option<RecipePlan>,
    pub(super) upstreams: Vec<LockedUpstream>,
}

impl Parts {
    /// # Errors
    /// A finding where one of them is not pinned.
    pub(super) fn new(
        workspace: &Workspace,
        manifest: &Manifest,
        read: &PlanInputs,
    ) -> Result<Self, Box<Finding>> {
        let (definition, lock) = &workspace.bases[workspace.base_of(manifest)];
        let platform = Platform { architecture: manifest.target.architecture };
        let stated = manifest.stated_name();
        Ok(Self {
            platform,
            base: PinnedBase::new(definition, lock.as_ref(), platform)?.among(&workspace.bases),
            upstreams: locked_upstreams(stated, &manifest.upstreams, workspace.artifact_locks.get(stated))?,
            build: build_plan(workspace, manifest, read, platform)?,
            steps: step_plans(workspace, manifest, platform)?,
            recipe: recipe_plan(workspace, manifest, platform)?,
        })
    }

    /// The bases that a Dockerfile names.
    pub(super) fn recipe_bases(&self) -> impl Iterator<Item = &PinnedBase> {
        self.recipe.iter().flat_map(|recipe| recipe.bases.values())
    }

    /// The newest time that one of them was pinned at.
    pub(super) fn newest_pin(&self) -> Epoch {
        let bases = self.build.iter().map(|build| &build.base);
        let bases = bases.chain(self.steps.iter().map(|step| &step.base)).chain(self.recipe_bases());
        let pins = bases.map(|base| base.pinned).chain(self.upstreams.iter().map(|upstream| upstream.pinned));
        pins.fold(self.base.pinned, Epoch::max)
    }
}

/// What a manifest's source distributions are built with; none if it lists none.
fn build_plan(
    workspace: &Workspace,
    manifest: &Manifest,
    read: &PlanInputs,
    platform: Platform,
) -> Result<Option<BuildPlan>, Box<Finding>> {
    let Some(python) = manifest.python.as_ref().filter(|python| !python.sdists.is_empty()) else {
        return Ok(None);
    };
    let named = python.build.as_ref().and_then(|build| build.base.as_ref());
    let (definition, lock) = &workspace.bases[named.unwrap_or_else(|| workspace.base_of(manifest))];
    let base = PinnedBase::new(definition, lock.as_ref(), platform)?;
    let digests = read.build_locks.iter().chain(&read.build_projects).map(|(_, digest)| *digest).collect();
    Ok(Some(BuildPlan { base, lock: python.build_lock().map(str::to_owned), digests }))
}

/// What a manifest's Dockerfile is built from.
fn recipe_plan(
    workspace: &Workspace,
    manifest: &Manifest,
    platform: Platform,
) -> Result<Option<RecipePlan>, Box<Finding>> {
    let Some(recipe) = workspace.recipes.get(&manifest.name) else { return Ok(None) };
    let mut bases = BTreeMap::new();
    for name in &recipe.bases {
        let (definition, lock) = &workspace.bases[name];
        bases.insert(name.clone(), PinnedBase::new(definition, lock.as_ref(), platform)?);
    }
    Ok(Some(RecipePlan { dockerfile: Arc::clone(recipe), text: Digest::of(recipe.text.as_bytes()), bases }))
}

/// What a manifest's steps run in.
fn step_plans(
    workspace: &Workspace,
    manifest: &Manifest,
    platform: Platform,
) -> Result<Vec<StepPlan>, Box<Finding>> {
    let each = manifest.steps.iter().map(|step| {
        let (definition, lock) =
            &workspace.bases[step.base.as_ref().unwrap_or_else(|| workspace.base_of(manifest))];
        Ok(StepPlan { base: PinnedBase::new(definition, lock.as_ref(), platform)? })
    });
    each.collect()
}
