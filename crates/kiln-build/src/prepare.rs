//! Planning: the files of the workspace become plans with a digest, layers first.

use crate::stage::ArtifactFiles;
use crate::{BuildError, image};
use kiln_check::{smoke_file_missing, smoke_files};
use kiln_collect::read_source;
use kiln_dockerfile::{DOCKERFILE_RULES, read_context};
use kiln_invocation::{InvocationError, Run, artifacts_of, known_names, read_workspace};
use kiln_pack::COMPRESSOR;
use kiln_plan::{ArtifactPlan, LayerInput, LockKind, Manifest, PlanInputs, Workspace, plan};
use kiln_python::{BUILD_SDIST, IMPORT_CHECK, INSTALLER_RULES, PROBE, RUN_PIP, RUNTIME_API, function_script};
use kiln_record::{ArtifactKind, ArtifactName, Defect, Digest, Finding, digest_of_value};
use kiln_step::{STEP_RULES, StepFiles};
use kiln_store::{StatCache, Store};
use kiln_wheel::{included_files, planned_places};
use std::collections::{BTreeMap, BTreeSet};

/// The artifacts asked for, with the layers they use, sorted by name.
pub(crate) fn choose(
    workspace: &Workspace,
    names: Option<&[ArtifactName]>,
) -> Result<BTreeSet<ArtifactName>, BuildError> {
    let Some(names) = names else {
        return Ok(workspace.manifests.keys().cloned().collect());
    };
    let mut chosen = BTreeSet::new();
    for name in &artifacts_of(workspace, names) {
        let manifest = workspace.manifests.get(name).ok_or_else(|| InvocationError::Unknown {
            kind: "artifact",
            name: name.to_string(),
            known: known_names(workspace),
        })?;
        chosen.insert(name.clone());
        chosen.extend(manifest.layers.iter().cloned());
    }
    Ok(chosen)
}

/// An artifact before its build: planned, or already denied or broken.
pub(crate) struct Prepared {
    pub(crate) outcome: Result<(ArtifactPlan, ArtifactFiles), Stopped>,
}

#[derive(Clone)]
pub(crate) enum Stopped {
    Denied(Finding),
    Layer,
}

/// The plans of an artifact and its layers, or what denies them.
pub(crate) fn plans(
    run: &Run,
    store: &Store,
    artifact: &ArtifactName,
) -> Result<BTreeMap<ArtifactName, Result<ArtifactPlan, Box<Finding>>>, BuildError> {
    let workspace = read_workspace(run.root())?;
    if let Some(set) = workspace.platform_sets.get(artifact) {
        return Err(InvocationError::SeveralPlatforms {
            name: artifact.clone(),
            artifacts: set.artifacts.clone(),
        }
        .into());
    }
    let chosen = choose(&workspace, Some(std::slice::from_ref(artifact)))?;
    let mut stat = StatCache::load(&run.state().join("stat"));
    let prepared = prepare(run, store, &workspace, &chosen, &mut stat)?;
    let denied = prepared.values().find_map(|prepared| match &prepared.outcome {
        Err(Stopped::Denied(finding)) => Some(finding.clone()),
        _ => None,
    });
    let plans = prepared.into_iter().map(|(name, prepared)| {
        let plan = match (prepared.outcome, &denied) {
            (Ok((plan, _)), _) => Ok(plan),
            (Err(Stopped::Denied(finding)), _) => Err(Box::new(finding)),
            // An artifact stops for its layer only where that is denied.
            (Err(Stopped::Layer), Some(finding)) => Err(Box::new(finding.clone())),
            (Err(Stopped::Layer), None) => {
                return Err(Defect::new(format!("{name} stops for a layer, and none is denied")).into());
            }
        };
        Ok((name, plan))
    });
    plans.collect()
}

/// Plans every chosen artifact, layers first.
pub(crate) fn prepare(
    run: &Run,
    store: &Store,
    workspace: &Workspace,
    chosen: &BTreeSet<ArtifactName>,
    stat: &mut StatCache,
) -> Result<BTreeMap<ArtifactName, Prepared>, BuildError> {
    let mut order: Vec<&Manifest> = chosen.iter().map(|name| &workspace.manifests[name]).collect();
    order.sort_by_key(|manifest| (manifest.kind != ArtifactKind::LambdaLayer, manifest.name.clone()));
    let mut prepared: BTreeMap<ArtifactName, Prepared> = BTreeMap::new();
    for manifest in order {
        let outcome = prepare_one(run, store, workspace, manifest, &prepared, stat)?;
        prepared.insert(manifest.name.clone(), Prepared { outcome });
    }
    Ok(prepared)
}

fn prepare_one(
    run: &Run,
    store: &Store,
    workspace: &Workspace,
    manifest: &Manifest,
    prepared: &BTreeMap<ArtifactName, Prepared>,
    stat: &mut StatCache,
) -> Result<Result<(ArtifactPlan, ArtifactFiles), Stopped>, BuildError> {
    let source = match &manifest.source {
        Some(section) => read_source(run.root(), &manifest.file, section, stat)?,
        None => read_context(run.root(), manifest, stat)?,
    };
    let steps = StepFiles::read(run.root(), manifest, stat)?;
    let mut file = |path: String| -> Result<Option<(String, Digest)>, BuildError> {
        let full = run.root().join(&path);
        // A lock that is not there is judged when the artifact is built, with the command that makes it.
        if full.is_file() { Ok(Some((path, stat.digest_of(&full)?.0))) } else { Ok(None) }
    };
    let mut inputs = PlanInputs {
        source: manifest.source.as_ref().map(|_| source.tree.digest()),
        context: manifest.dockerfile().map(|_| source.tree.digest()),
        step_files: steps.digests(manifest)?,
        epoch: run.source_date_epoch(),
        rules: Some(rules(manifest)?),
        ..PlanInputs::default()
    };
    if let Some(python) = &manifest.python {
        inputs.lock = file(python.lock.clone())?;
        inputs.project = python.project_path().map(&mut file).transpose()?.flatten();
        let build_lock = python.build_lock().map(str::to_owned).map(&mut file).transpose()?.flatten();
        let build_project = python.build_requirements().map(str::to_owned);
        let build_project = build_project.map(&mut file).transpose()?.flatten();
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
    for layer in &manifest.layers {
        match prepared.get(layer).map(|prepared| &prepared.outcome) {
            Some(Ok((plan, _))) => {
                inputs.layers.push(LayerInput { name: layer.clone(), plan: plan.digest, epoch: plan.epoch });
            }
            _ => return Ok(Err(Stopped::Layer)),
        }
    }
    Ok(match plan(workspace, manifest, &inputs) {
        Ok(plan) => Ok((plan, ArtifactFiles { own: source, steps })),
        Err(finding) => Err(Stopped::Denied(*finding)),
    })
}

/// The digest of everything in kiln itself that decides bytes, documents or findings: a build by another kiln is not taken
/// for unchanged.
fn rules(manifest: &Manifest) -> Result<Digest, BuildError> {
    let version = env!("CARGO_PKG_VERSION");
    let rules = digest_of_value(&(
        version,
        COMPRESSOR,
        PROBE,
        IMPORT_CHECK,
        (RUNTIME_API, function_script(), RUN_PIP, INSTALLER_RULES),
        kiln_wheel::CHOICE_RULES,
        (kiln_wheel::SDIST_RULES, BUILD_SDIST),
        kiln_wheel::rules()?,
        manifest.kind.is_image().then(|| image::rules(manifest)).transpose()?,
        manifest.target.runtime.as_deref(),
    ))?;
    // What has no steps keeps the digest that it had before there were any.
    let rules = if manifest.steps.is_empty() { rules } else { digest_of_value(&(rules, STEP_RULES))? };
    let is_built = manifest.dockerfile().is_some();
    Ok(if is_built { digest_of_value(&(rules, DOCKERFILE_RULES))? } else { rules })
}
