//! Planning: the files of the workspace become plans with a digest.

use crate::BuildError;
use crate::stage::ArtifactFiles;
use kiln_check::{smoke_file_missing, smoke_files};
use kiln_collect::{Ruled, SourceTree, read_source};
use kiln_dockerfile::read_context;
use kiln_invocation::{InvocationError, Run, artifacts_of, known_names, read_usable_workspace};
use kiln_plan::{ArtifactPlan, InvalidFiles, LayerInput, LockKind, Manifest, PlanInputs, Workspace, plan};
use kiln_record::{ArtifactName, Digest, Finding, digest_of_value};
use kiln_step::StepFiles;
use kiln_store::{StatCache, Store};
use kiln_wheel::{included_files, planned_places};
use std::collections::{BTreeMap, BTreeSet};

/// The artifacts asked for, or [all](Workspace::in_all), with the layers they use, sorted by name.
pub(crate) fn choose(
    workspace: &Workspace,
    names: Option<&[ArtifactName]>,
) -> Result<BTreeSet<ArtifactName>, BuildError> {
    let all = names.is_none().then(|| workspace.in_all().into_iter().cloned().collect::<Vec<_>>());
    let names = names.or(all.as_deref()).unwrap_or_default();
    let mut chosen = BTreeSet::new();
    for name in artifacts_of(workspace, names) {
        match workspace.manifests.get(&name) {
            Some(manifest) => chosen.extend(manifest.layers.iter().cloned()),
            None if workspace.broken.contains_key(&name) => {}
            None => {
                let known = known_names(workspace);
                return Err(
                    InvocationError::Unknown { kind: "artifact", name: name.to_string(), known }.into()
                );
            }
        }
        chosen.insert(name);
    }
    Ok(chosen)
}

/// An artifact that can be built: its plan, and the files that it is made of.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) plan: ArtifactPlan,
    pub(crate) files: ArtifactFiles,
}

impl Prepared {
    /// This artifact as a layer in the plan of another.
    pub(crate) fn layer(&self) -> LayerInput {
        let plan = &self.plan;
        LayerInput { name: plan.manifest.name.clone(), plan: plan.digest, epoch: plan.epoch }
    }
}

/// Plans an artifact of what was read for it. Its layers were planned before.
pub(crate) fn prepare(
    workspace: &Workspace,
    manifest: &Manifest,
    read: (PlanInputs, ArtifactFiles),
    layers: Vec<LayerInput>,
) -> Result<Prepared, Box<Finding>> {
    let (inputs, files) = read;
    Ok(Prepared { plan: plan(workspace, manifest, &PlanInputs { layers, ..inputs })?, files })
}

/// The plans of an artifact and its layers, or what denies them.
pub(crate) fn plans(
    run: &Run,
    store: &Store,
    artifact: &ArtifactName,
) -> Result<BTreeMap<ArtifactName, Result<ArtifactPlan, Box<Finding>>>, BuildError> {
    let workspace = read_usable_workspace(run.root())?;
    if let Some(set) = workspace.platform_sets.get(artifact) {
        return Err(InvocationError::SeveralPlatforms {
            name: artifact.clone(),
            artifacts: set.artifacts.clone(),
        }
        .into());
    }
    let stat = StatCache::load(&run.state().join("stat"));
    let mut plans: BTreeMap<ArtifactName, Result<ArtifactPlan, Box<Finding>>> = BTreeMap::new();
    let chosen = choose(&workspace, Some(std::slice::from_ref(artifact)))?;
    // The artifact itself comes last, when its layers are planned.
    for name in chosen.iter().filter(|name| *name != artifact).chain([artifact]) {
        let Some(manifest) = workspace.manifests.get(name) else {
            let problems = workspace.broken.get(name).cloned().unwrap_or_default();
            return Err(InvocationError::from(InvalidFiles(problems)).into());
        };
        let read = read_files(run, store, manifest, &stat)?;
        let layers: Result<Vec<LayerInput>, Box<Finding>> = manifest
            .layers
            .iter()
            .map(|layer| match &plans[layer] {
                Ok(plan) => Ok(LayerInput { name: layer.clone(), plan: plan.digest, epoch: plan.epoch }),
                Err(finding) => Err(finding.clone()),
            })
            .collect();
        let plan = layers.and_then(|layers| prepare(&workspace, manifest, read, layers));
        plans.insert(name.clone(), plan.map(|prepared| prepared.plan));
    }
    Ok(plans)
}

/// Reads and hashes everything in the workspace that an artifact is made of, its layers left out.
pub(crate) fn read_files(
    run: &Run,
    store: &Store,
    manifest: &Manifest,
    stat: &StatCache,
) -> Result<(PlanInputs, ArtifactFiles), BuildError> {
    let stated = stated_files(manifest);
    let own = match manifest.sources.as_slice() {
        [] => vec![read_context(run.root(), manifest, stat)?],
        sections => sections
            .iter()
            .map(|section| read_source(run.root(), &manifest.file, section, &stated, stat))
            .collect::<Result<_, _>>()?,
    };
    let steps = StepFiles::read(run.root(), manifest, stat)?;
    let file = |path: String| -> Result<Option<(String, Digest)>, BuildError> {
        let full = run.root().join(&path);
        // A lock that is not there is judged when the artifact is built, with the command that makes it.
        if full.is_file() { Ok(Some((path, stat.digest_of(&full)?.0))) } else { Ok(None) }
    };
    let mut inputs = PlanInputs {
        sources: manifest.sources.iter().zip(&own).map(|(_, source)| source.tree.digest()).collect(),
        ruled: ruled(&own)?,
        context: manifest.dockerfile().and(own.first()).map(|context| context.tree.digest()),
        step_files: steps.digests(manifest)?,
        epoch: run.source_date_epoch(),
        rules: Some(decides(run, manifest)?),
        ..PlanInputs::default()
    };
    if let Some(python) = &manifest.python {
        inputs.lock = file(python.lock.clone())?;
        inputs.project = python.project_path().map(&file).transpose()?.flatten();
        let build_lock = python.build_lock().map(str::to_owned).map(&file).transpose()?.flatten();
        let build_project = python.build_requirements().map(str::to_owned);
        let build_project = build_project.map(&file).transpose()?.flatten();
        if let (LockKind::Requirements, Some(lock)) = (python.lock_kind(), &inputs.lock) {
            inputs.included = included_files(run.root(), store, stat, lock)?;
        }
        if let (Some(_), false, Some(requirements)) =
            (&python.requirements, python.requirements_are_project(), &inputs.project)
        {
            inputs.included.extend(included_files(run.root(), store, stat, requirements)?);
            inputs.included.sort();
            inputs.included.dedup();
        }
        if let Some(input) = build_project {
            inputs.build_projects = included_files(run.root(), store, stat, &input)?;
            inputs.build_projects.push(input);
        }
        if let Some(lock) = build_lock {
            if LockKind::of(&lock.0) == LockKind::Requirements {
                inputs.build_locks = included_files(run.root(), store, stat, &lock)?;
            }
            inputs.build_locks.push(lock);
            inputs.build_locks.sort();
        }
    }
    if let Some(python) = &manifest.python {
        inputs.local = planned_places(run.root(), store, stat, python, &inputs)?;
    }
    for path in smoke_files(manifest).collect::<BTreeSet<_>>() {
        let full = run.root().join(path);
        if !full.is_file() {
            return Err(smoke_file_missing(manifest, path).into());
        }
        inputs.check_files.push((path.clone(), stat.digest_of(&full)?.0));
    }
    Ok((inputs, ArtifactFiles { own, steps }))
}

/// The locks and project files that a manifest names: they describe what is installed, and are not part of it.
fn stated_files(manifest: &Manifest) -> BTreeSet<String> {
    let Some(python) = &manifest.python else { return BTreeSet::new() };
    let own = |path: &str| path.to_owned();
    let stated = [
        Some(python.lock.clone()),
        python.project_path(),
        python.requirements.clone(),
        python.build_lock().map(own),
        python.build_requirements().map(own),
    ];
    stated.into_iter().flatten().collect()
}

/// The digest of what the rules of source folders did, if that is told.
fn ruled(own: &[SourceTree]) -> Result<Option<Digest>, BuildError> {
    let ruled: Vec<&Ruled> = own.iter().map(|source| &source.ruled).collect();
    match ruled.iter().all(|ruled| **ruled == Ruled::default()) {
        true => Ok(None),
        false => Ok(Some(digest_of_value(&ruled)?)),
    }
}

/// What decides bytes or documents and is neither stated by the manifest nor read from the workspace: kiln's own code, and
/// the runtime as `kiln.toml` or kiln describes it.
fn decides(run: &Run, manifest: &Manifest) -> Result<Digest, BuildError> {
    Ok(digest_of_value(&(run.rules().makers, manifest.target.runtime.as_deref()))?)
}
