//! Plans: one artifact with every input pinned by digest, and the digest of all of that.

mod digest;
mod parts;
mod read;

pub use parts::{BuildPlan, RecipePlan, StepPlan};
pub use read::{LayerInput, PlanInputs};

use crate::artifact_lock::{LockedUpstream, locked_upstreams};
use crate::base::PinnedBase;
use crate::manifest::Manifest;
use crate::settings::{NamedIndex, PolicySection};
use crate::workspace::Workspace;
use digest::{Covered, manifest_digest, value_digest};
use kiln_record::{Digest, Epoch, FORMAT_VERSION, Finding, Input, InputRole, Platform};
use parts::{build_plan, recipe_plan, step_plans};

/// An artifact with every input pinned.
#[derive(Clone, Debug)]
pub struct ArtifactPlan {
    /// What the user stated.
    pub manifest: Manifest,
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
    let (definition, lock) = &workspace.bases[&manifest.base];
    let platform = Platform { architecture: manifest.target.architecture };
    let base = PinnedBase::new(definition, lock.as_ref(), platform)?;
    let stated = manifest.stated_name();
    let upstreams = locked_upstreams(stated, &manifest.upstreams, workspace.artifact_locks.get(stated))?;
    let build = build_plan(workspace, manifest, read, platform)?;
    let steps = step_plans(workspace, manifest, platform)?;
    let recipe = recipe_plan(workspace, manifest, platform)?;
    let policy = workspace.settings.policy.with(&manifest.policy);
    let pins = build.iter().map(|build| build.base.pinned);
    let pins = pins.chain(steps.iter().map(|step| step.base.pinned));
    let of_recipe = recipe.iter().flat_map(|recipe| recipe.bases.values());
    let pins = pins.chain(of_recipe.clone().map(|base| base.pinned));
    let pins = pins.chain(upstreams.iter().map(|upstream| upstream.pinned));
    let epochs = pins.chain(read.layers.iter().map(|layer| layer.epoch));
    let epoch = read.epoch.unwrap_or_else(|| epochs.fold(base.pinned, Epoch::max));

    let mut inputs = vec![
        Input { role: InputRole::Manifest, name: manifest.file.clone(), digest: manifest_digest(manifest) },
        Input { role: InputRole::Settings, name: "policy".to_owned(), digest: value_digest(&policy) },
        Input {
            role: InputRole::Base,
            name: format!("{} {platform}", definition.name),
            digest: base.lock.manifest,
        },
    ];
    if let (Some(recipe), Some(section)) = (&recipe, &manifest.dockerfile) {
        let name = section.path.clone();
        inputs.push(Input { role: InputRole::Dockerfile, name, digest: recipe.text });
        inputs.extend(read.context.map(|digest| Input {
            role: InputRole::Source,
            name: format!("{}/", section.context),
            digest,
        }));
        inputs.extend(recipe.bases.values().filter(|other| other.definition.name != definition.name).map(
            |other| {
                let name = format!("{} {platform}", other.definition.name);
                Input { role: InputRole::BuildBase, name, digest: other.lock.manifest }
            },
        ));
    }
    let indexes = &workspace.settings.indexes;
    if manifest.python.is_some() && !indexes.is_empty() {
        // Which name is bound to which index decides findings; where an index is decides nothing.
        let stated: Vec<_> = indexes.iter().map(NamedIndex::stated).collect();
        let digest = value_digest(&stated);
        inputs.push(Input { role: InputRole::Settings, name: "indexes".to_owned(), digest });
    }
    let files = [(InputRole::Lock, &read.lock), (InputRole::Project, &read.project)];
    inputs.extend(files.into_iter().filter_map(|(role, file)| {
        file.as_ref().map(|(name, digest)| Input { role, name: name.clone(), digest: *digest })
    }));
    inputs.extend(read.included.iter().map(|(name, digest)| Input {
        role: InputRole::Lock,
        name: name.clone(),
        digest: *digest,
    }));
    if let Some(build) = &build {
        inputs.push(Input {
            role: InputRole::BuildBase,
            name: format!("{} {platform}", build.base.definition.name),
            digest: build.base.lock.manifest,
        });
        let files = [(InputRole::BuildLock, &read.build_locks), (InputRole::Project, &read.build_projects)];
        inputs.extend(files.into_iter().flat_map(|(role, files)| {
            files.iter().map(move |(name, digest)| Input { role, name: name.clone(), digest: *digest })
        }));
    }
    inputs.extend(read.local.iter().map(|(name, digest)| Input {
        role: InputRole::Source,
        name: name.clone(),
        digest: *digest,
    }));
    inputs.extend(read.check_files.iter().map(|(name, digest)| Input {
        role: InputRole::Check,
        name: name.clone(),
        digest: *digest,
    }));
    if let (Some(source), Some(digest)) = (&manifest.source, read.source) {
        inputs.push(Input { role: InputRole::Source, name: source.path.clone(), digest });
    }
    inputs.extend(upstreams.iter().map(|upstream| Input {
        role: InputRole::Upstream,
        name: upstream.name.clone(),
        digest: upstream.tree,
    }));
    inputs.extend(steps.iter().map(|step| Input {
        role: InputRole::StepBase,
        name: format!("{} {platform}", step.base.definition.name),
        digest: step.base.lock.manifest,
    }));
    inputs.extend(read.step_files.iter().map(|(step, path, digest)| Input {
        role: InputRole::StepSource,
        name: format!("{step}: {path}"),
        digest: *digest,
    }));
    inputs.sort();
    inputs.dedup();

    let digest = value_digest(&Covered {
        format: FORMAT_VERSION.to_string(),
        inputs: &inputs,
        layers: read.layers.iter().map(|layer| (layer.name.to_string(), layer.plan)).collect(),
        epoch,
        definition: definition.digest,
        build_definition: build.as_ref().map(|build| build.base.definition.digest),
        step_definitions: steps
            .iter()
            .map(|step| step.base.definition.digest)
            .chain(of_recipe.map(|base| base.definition.digest))
            .collect(),
        rules: read.rules,
    });
    Ok(ArtifactPlan {
        manifest: manifest.clone(),
        base,
        build,
        steps,
        recipe,
        policy,
        indexes: indexes.clone(),
        epoch,
        upstreams,
        inputs,
        digest,
    })
}
