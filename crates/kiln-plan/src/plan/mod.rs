//! Plans: one artifact with every input pinned by digest, and the digest of all of that.

mod digest;
mod inputs;
mod parts;
mod read;

pub use parts::{BuildPlan, RecipePlan, StepPlan};
pub use read::{LayerInput, PlanInputs};

use crate::artifact_lock::LockedUpstream;
use crate::base::PinnedBase;
use crate::manifest::Manifest;
use crate::settings::{NamedIndex, PolicySection};
use crate::tools_lock::CrateArchive;
use crate::workspace::Workspace;
use digest::plan_digest;
use inputs::{Stated, inputs};
use kiln_record::{BaseName, ComponentStatement, Digest, Epoch, Finding, Input, Organization, Target};
use parts::Parts;
use std::collections::BTreeMap;

/// An artifact with every input pinned.
#[derive(Clone, Debug)]
pub struct ArtifactPlan {
    /// What the user stated.
    pub manifest: Manifest,
    /// What it is for, as records have it: the runtime that is stated, or the base that an image has inside.
    pub target: Target,
    /// The base.
    pub base: PinnedBase,
    /// What source distributions are built with, if any may be.
    pub build: Option<BuildPlan>,
    /// What its steps run in, in the manifest's order.
    pub steps: Vec<StepPlan>,
    /// What its Dockerfile is built from and with, if it has one.
    pub recipe: Option<RecipePlan>,
    /// The workspace's policy with the manifest's laid over it.
    pub policy: PolicySection,
    /// Who makes it, if the workspace says so.
    pub organization: Option<Organization>,
    /// What the workspace states of components that others make, sorted.
    pub components: Vec<ComponentStatement>,
    /// The archives of crates that distributions have inside.
    pub crates: Vec<CrateArchive>,
    /// The package indexes that the workspace names.
    pub indexes: Vec<NamedIndex>,
    /// The time that stands for the build.
    pub epoch: Epoch,
    /// What its upstream sources are, in the manifest's order.
    pub upstreams: Vec<LockedUpstream>,
    /// Every input known before the build, sorted.
    pub inputs: Vec<Input>,
    /// The digest of everything that decides bytes or findings.
    pub digest: Digest,
}

impl ArtifactPlan {
    /// The bases that something of it runs in, each once.
    #[must_use]
    pub fn bases(&self) -> Vec<&PinnedBase> {
        let others =
            self.build.iter().map(|build| &build.base).chain(self.steps.iter().map(|step| &step.base));
        let of_recipe = self.recipe.iter().flat_map(|recipe| recipe.bases.values());
        let all = std::iter::once(&self.base).chain(others).chain(of_recipe);
        let by_name: BTreeMap<&BaseName, &PinnedBase> =
            all.map(|base| (&base.definition.name, base)).collect();
        by_name.into_values().collect()
    }
}

/// Plans one artifact.
///
/// # Errors
/// A finding where the base or an upstream source is not pinned.
///
/// # Panics
/// Never for a manifest of this workspace: its references were checked when the workspace was read.
pub fn plan(
    workspace: &Workspace,
    manifest: &Manifest,
    read: &PlanInputs,
) -> Result<ArtifactPlan, Box<Finding>> {
    let parts = Parts::new(workspace, manifest, read)?;
    let epoch = read
        .epoch
        .unwrap_or_else(|| read.layers.iter().map(|layer| layer.epoch).fold(parts.newest_pin(), Epoch::max));
    let policy = workspace.settings.policy.with(&manifest.policy);
    let indexes = &workspace.settings.indexes;
    let target = Target {
        runtime: match &manifest.target.runtime {
            Some(runtime) => runtime.name.clone(),
            None => parts.base.definition.name.to_string(),
        },
        architecture: manifest.target.architecture,
    };
    let organization = workspace.settings.organization.as_ref();
    let components = &workspace.settings.components;
    // What has no distributions is none of theirs.
    let crates = if manifest.python.is_some() { workspace.crates.as_slice() } else { &[] };
    let stated = Stated { policy: &policy, indexes, organization, components, crates };
    let inputs = inputs(manifest, &target, read, &parts, stated);
    let digest = plan_digest(&parts, read, &inputs, epoch);
    let Parts { base, build, steps, recipe, upstreams, .. } = parts;
    Ok(ArtifactPlan {
        manifest: manifest.clone(),
        target,
        base,
        build,
        steps,
        recipe,
        policy,
        organization: workspace.settings.organization.clone(),
        components: components.clone(),
        crates: crates.to_vec(),
        indexes: indexes.clone(),
        epoch,
        upstreams,
        inputs,
        digest,
    })
}
