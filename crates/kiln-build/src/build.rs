//! Building: which artifacts, in which order, what has changed, and what came of it.

use crate::environment::{Context, EngineSlot, blocking};
use crate::included::included_files;
use crate::platforms::publish_index;
use crate::source::{ArtifactFiles, read_source};
use crate::stage::{Collected, Denied, Planned, Published, ReadyLayer};
use crate::step::{STEP_RULES, StepFiles};
use crate::workspace::{artifacts_of, known_names, read_workspace};
use crate::{
    BuildError, Ending, Environment, Event, Events, IndexResult, deployment, distribution, dockerfile, image,
    local, package, policy, sdist, smoke,
};
use kiln_pack::COMPRESSOR;
use kiln_plan::{ArtifactPlan, LayerInput, LockKind, Manifest, PlanInputs, PlatformSet, Workspace, plan};
use kiln_python::{BUILD_SDIST, IMPORT_CHECK, INSTALLER_RULES, PROBE, RUN_PIP, RUNTIME_API, function_script};
use kiln_record::{ArtifactKind, ArtifactName, Digest, Finding, Record, Transformation, digest_of_value};
use kiln_store::{LedgerEntry, StatCache, WorkspaceLock, sweep_staging, sweep_unfinished};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct BuildRequest {
    /// The artifacts; all of the workspace if absent. Layers they use come with them.
    pub artifacts: Option<Vec<ArtifactName>>,
    /// Whether to build what has not changed, too.
    pub force: bool,
}

/// What came of a run.
#[derive(Debug)]
pub struct BuildReport {
    /// Each artifact, sorted by name.
    pub results: Vec<ArtifactResult>,
    /// Each image for several platforms, sorted by name.
    pub indexes: Vec<IndexResult>,
    /// What went wrong after that: `dist/index.json` could not be written, for example.
    pub error: Option<BuildError>,
}

/// What came of one artifact.
#[derive(Debug)]
pub struct ArtifactResult {
    /// Its name.
    pub artifact: ArtifactName,
    /// What it is.
    pub kind: ArtifactKind,
    /// How it ended.
    pub ending: Ending,
    /// The findings, highest level first. For an unchanged artifact they are in its record.
    pub findings: Vec<Finding>,
    /// What packing left out or changed, if it was built now.
    pub transformations: Vec<Transformation>,
    /// Why it failed, if it did.
    pub error: Option<BuildError>,
    /// The build in the ledger that is published now, if there is one.
    pub entry: Option<LedgerEntry>,
}

impl BuildReport {
    /// Whether everything asked for is published.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.error.is_none()
            && self
                .results
                .iter()
                .map(|result| &result.ending)
                .chain(self.indexes.iter().map(|index| &index.ending))
                .all(|ending| matches!(ending, Ending::Unchanged | Ending::Published))
    }
}

/// Builds artifacts of a workspace.
///
/// `engine` is filled when something first needs the engine, so that the caller can clean up after an interruption.
///
/// # Errors
/// What concerns the whole run: the workspace cannot be read, another kiln holds it, the store is broken. What concerns
/// one artifact is in the report.
pub async fn build(
    environment: &Environment,
    request: &BuildRequest,
    events: &Events,
    engine: EngineSlot,
) -> Result<BuildReport, BuildError> {
    // The lock comes first: what another kiln is still pinning must not be read half-way.
    let lock = lock(environment, events).await?;
    let workspace = read_workspace(&environment.root)?;
    let chosen = choose(&workspace, request.artifacts.as_deref())?;
    let context = Context::new(environment, events, Arc::clone(&engine), lock)?;
    let _stop = context.stop_on_drop();
    if environment.dist.is_dir() {
        sweep_staging(&environment.dist)?;
    }
    sweep_unfinished(&environment.state)?;
    context.ledger().sweep()?;
    context.store.sweep()?;

    let mut stat = StatCache::load(&environment.state.join("stat"));
    let prepared = prepare(&context, &workspace, &chosen, &mut stat)?;
    let run = Run {
        context: context.clone(),
        stat: Arc::new(Mutex::new(stat)),
        permits: Arc::new(Semaphore::new(environment.jobs.max(1))),
        force: request.force,
        prepared: Arc::new(prepared),
        kinds: Arc::new(workspace.manifests.iter().map(|(name, m)| (name.clone(), m.kind)).collect()),
        layers: Arc::new(chosen.iter().map(|name| (name.clone(), OnceCell::new())).collect()),
    };
    let sets = chosen_sets(&workspace, request.artifacts.as_deref());
    events.send(Event::Started { artifacts: chosen.len() + sets.len() });

    // Layers first: a function is checked with the content of its layers and is not published without them.
    let mut results: BTreeMap<ArtifactName, ArtifactResult> = BTreeMap::new();
    for layers_now in [true, false] {
        let mut tasks = JoinSet::new();
        let is_layer = |name: &ArtifactName| workspace.manifests[name].kind == ArtifactKind::LambdaLayer;
        for name in chosen.iter().filter(|name| is_layer(name) == layers_now) {
            let missing = workspace.manifests[name].layers.iter().find(|layer| {
                results.get(*layer).is_none_or(|r| !matches!(r.ending, Ending::Unchanged | Ending::Published))
            });
            if missing.is_some() {
                results.insert(name.clone(), run.end(name, Ending::Skipped, Vec::new(), None, None));
                continue;
            }
            let (run, name) = (run.clone(), name.clone());
            tasks.spawn(async move { run.one(&name).await });
        }
        while let Some(joined) = tasks.join_next().await {
            match joined {
                Ok(result) => {
                    results.insert(result.artifact.clone(), result);
                }
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(BuildError::Interrupted),
            }
        }
    }
    let mut indexes = Vec::new();
    for set in sets {
        let builds = set.artifacts.iter().map(|name| results.get(name)?.entry.clone()).collect();
        indexes.push(publish_index(&context, &run.stat, set, builds, request.force).await);
    }
    let results: Vec<ArtifactResult> = results.into_values().collect();
    // What went wrong after the artifacts were published must not hide what came of them.
    let saved = run.stat.lock().unwrap_or_else(PoisonError::into_inner).save(environment.now);
    let indexed = deployment::write_index(&context, &workspace, &results, &indexes);
    let error = indexed.err().or(saved.err().map(BuildError::from));
    if let Some(engine) = engine.get() {
        // A container that a killed run had just asked for may have come into being after the first sweep. Everything is
        // published by now, so a failure here is left to the next run.
        let _ = engine.sweep().await;
    }
    Ok(BuildReport { results, indexes, error })
}

/// The artifacts asked for, with the layers they use, sorted by name.
fn choose(
    workspace: &Workspace,
    names: Option<&[ArtifactName]>,
) -> Result<BTreeSet<ArtifactName>, BuildError> {
    let Some(names) = names else {
        return Ok(workspace.manifests.keys().cloned().collect());
    };
    let mut chosen = BTreeSet::new();
    for name in &artifacts_of(workspace, names) {
        let manifest = workspace.manifests.get(name).ok_or_else(|| BuildError::Unknown {
            kind: "artifact",
            name: name.to_string(),
            known: known_names(workspace),
        })?;
        chosen.insert(name.clone());
        chosen.extend(manifest.layers.iter().cloned());
    }
    Ok(chosen)
}

/// The images for several platforms that are asked for by their own names.
fn chosen_sets<'a>(workspace: &'a Workspace, names: Option<&[ArtifactName]>) -> Vec<&'a PlatformSet> {
    let sets = workspace.platform_sets.values();
    sets.filter(|set| names.is_none_or(|names| names.contains(&set.name))).collect()
}

/// Takes the workspace for this process, waiting for another kiln if there is one.
pub(crate) async fn lock(environment: &Environment, events: &Events) -> Result<WorkspaceLock, BuildError> {
    if let Some(lock) = WorkspaceLock::try_acquire(&environment.state)? {
        return Ok(lock);
    }
    events.send(Event::WaitingForLock { holder: WorkspaceLock::holder(&environment.state)? });
    let (state, wait) = (environment.state.clone(), environment.lock_wait);
    blocking(move || Ok(WorkspaceLock::acquire(&state, wait.max(Duration::from_millis(1)))?)).await
}

/// An artifact before its build: planned, or already denied or broken.
struct Prepared {
    outcome: Result<(ArtifactPlan, ArtifactFiles), Stopped>,
}

#[derive(Clone)]
enum Stopped {
    Denied(Finding),
    Layer,
}

/// The plans of an artifact and its layers, or what denies them.
pub(crate) fn plans(
    context: &Context,
    artifact: &ArtifactName,
) -> Result<BTreeMap<ArtifactName, Result<ArtifactPlan, Box<Finding>>>, BuildError> {
    let workspace = read_workspace(&context.environment.root)?;
    if let Some(set) = workspace.platform_sets.get(artifact) {
        return Err(BuildError::SeveralPlatforms {
            name: artifact.clone(),
            artifacts: set.artifacts.clone(),
        });
    }
    let chosen = choose(&workspace, Some(std::slice::from_ref(artifact)))?;
    let mut stat = StatCache::load(&context.environment.state.join("stat"));
    let prepared = prepare(context, &workspace, &chosen, &mut stat)?;
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
            (Err(Stopped::Layer), None) => return Err(BuildError::Interrupted),
        };
        Ok((name, plan))
    });
    plans.collect()
}

/// Plans every chosen artifact, layers first.
fn prepare(
    context: &Context,
    workspace: &Workspace,
    chosen: &BTreeSet<ArtifactName>,
    stat: &mut StatCache,
) -> Result<BTreeMap<ArtifactName, Prepared>, BuildError> {
    let mut order: Vec<&Manifest> = chosen.iter().map(|name| &workspace.manifests[name]).collect();
    order.sort_by_key(|manifest| (manifest.kind != ArtifactKind::LambdaLayer, manifest.name.clone()));
    let mut prepared: BTreeMap<ArtifactName, Prepared> = BTreeMap::new();
    for manifest in order {
        let outcome = prepare_one(context, workspace, manifest, &prepared, stat)?;
        prepared.insert(manifest.name.clone(), Prepared { outcome });
    }
    Ok(prepared)
}

fn prepare_one(
    context: &Context,
    workspace: &Workspace,
    manifest: &Manifest,
    prepared: &BTreeMap<ArtifactName, Prepared>,
    stat: &mut StatCache,
) -> Result<Result<(ArtifactPlan, ArtifactFiles), Stopped>, BuildError> {
    let environment = &context.environment;
    let source = match &manifest.source {
        Some(section) => read_source(&environment.root, &manifest.file, section, stat)?,
        None => dockerfile::read_context(&environment.root, manifest, stat)?,
    };
    let steps = StepFiles::read(&environment.root, manifest, stat)?;
    let mut file = |path: String| -> Result<Option<(String, Digest)>, BuildError> {
        let full = environment.root.join(&path);
        // A lock that is not there is judged when the artifact is built, with the command that makes it.
        if full.is_file() { Ok(Some((path, stat.digest_of(&full)?.0))) } else { Ok(None) }
    };
    let mut inputs = PlanInputs {
        source: manifest.source.as_ref().map(|_| source.tree.digest()),
        context: manifest.dockerfile().map(|_| source.tree.digest()),
        step_files: steps.digests(manifest)?,
        epoch: environment.source_date_epoch,
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
            inputs.included = included_files(&environment.root, &context.store, stat, lock)?;
        }
        if let (Some(_), false, Some(requirements)) =
            (&python.requirements, python.requirements_are_project(), &inputs.project)
        {
            inputs.included.extend(included_files(&environment.root, &context.store, stat, requirements)?);
            inputs.included.sort();
            inputs.included.dedup();
        }
        if let Some(input) = build_project {
            inputs.build_projects = included_files(&environment.root, &context.store, stat, &input)?;
            inputs.build_projects.push(input);
        }
        if let Some(lock) = build_lock {
            if LockKind::of(&lock.0) == LockKind::Requirements {
                inputs.build_locks = included_files(&environment.root, &context.store, stat, &lock)?;
            }
            inputs.build_locks.push(lock);
            inputs.build_locks.sort();
        }
    }
    if let Some(python) = &manifest.python {
        inputs.local = local::planned_places(&environment.root, &context.store, stat, python, &inputs)?;
    }
    for path in smoke::files_of(manifest).collect::<BTreeSet<_>>() {
        let full = environment.root.join(path);
        if !full.is_file() {
            return Err(smoke::missing(manifest, path));
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
        distribution::CHOICE_RULES,
        (sdist::SDIST_RULES, BUILD_SDIST),
        package::rules()?,
        manifest.kind.is_image().then(|| image::rules(manifest)).transpose()?,
        manifest.target.runtime.as_deref(),
    ))?;
    // What has no steps keeps the digest that it had before there were any.
    let rules = if manifest.steps.is_empty() { rules } else { digest_of_value(&(rules, STEP_RULES))? };
    let is_built = manifest.dockerfile().is_some();
    Ok(if is_built { digest_of_value(&(rules, dockerfile::DOCKERFILE_RULES))? } else { rules })
}

/// What the builds of one run share.
#[derive(Clone)]
struct Run {
    context: Context,
    stat: Arc<Mutex<StatCache>>,
    permits: Arc<Semaphore>,
    force: bool,
    prepared: Arc<BTreeMap<ArtifactName, Prepared>>,
    kinds: Arc<BTreeMap<ArtifactName, ArtifactKind>>,
    layers: Arc<BTreeMap<ArtifactName, OnceCell<ReadyLayer>>>,
}

impl Run {
    fn end(
        &self,
        artifact: &ArtifactName,
        ending: Ending,
        findings: Vec<Finding>,
        error: Option<BuildError>,
        entry: Option<LedgerEntry>,
    ) -> ArtifactResult {
        self.context.events.send(Event::Ended { artifact: artifact.clone(), ending: ending.clone() });
        ArtifactResult {
            artifact: artifact.clone(),
            kind: self.kinds[artifact],
            ending,
            findings,
            transformations: Vec::new(),
            error,
            entry,
        }
    }

    /// Takes one artifact through all stages.
    async fn one(&self, name: &ArtifactName) -> ArtifactResult {
        let (plan, source) = match &self.prepared[name].outcome {
            Ok(planned) => planned.clone(),
            Err(Stopped::Denied(finding)) => {
                return self.end(name, Ending::Denied, vec![finding.clone()], None, None);
            }
            Err(Stopped::Layer) => return self.end(name, Ending::Skipped, Vec::new(), None, None),
        };
        match self.unchanged(&plan) {
            Ok(Some((entry, findings))) => {
                return self.end(name, Ending::Unchanged, findings, None, Some(entry));
            }
            Ok(None) => {}
            Err(error) => return self.end(name, Ending::Failed, Vec::new(), Some(error), None),
        }
        let Ok(_permit) = self.permits.acquire().await else {
            return self.end(name, Ending::Failed, Vec::new(), Some(BuildError::Interrupted), None);
        };
        let outcome = match self.stages(plan, source).await {
            Err(error) => Err(self.explain(error).await),
            other => other,
        };
        match outcome {
            Ok(Ok((findings, entry, transformations))) => ArtifactResult {
                transformations,
                ..self.end(name, Ending::Published, findings, None, Some(entry))
            },
            Ok(Err(Denied(findings))) => self.end(name, Ending::Denied, findings, None, None),
            Err(error) => self.end(name, Ending::Failed, Vec::new(), Some(error), None),
        }
    }

    /// Looks for damage in the store where an error may come from it: what is damaged is removed, so that the next build
    /// brings it anew.
    async fn explain(&self, error: BuildError) -> BuildError {
        let suspicious = matches!(
            error,
            BuildError::Pack(_)
                | BuildError::ArchiveDiffers { .. }
                | BuildError::Image(_)
                | BuildError::BaseDiffers { .. }
        );
        if !suspicious {
            return error;
        }
        let context = self.context.clone();
        match blocking(move || Ok(context.store.scrub()?)).await {
            Ok(damaged) if !damaged.is_empty() => BuildError::StoreDamaged { damaged },
            _ => error,
        }
    }

    /// The published build with its findings, if it is the one that this plan would make and every file of it is still
    /// what was published.
    fn unchanged(&self, plan: &ArtifactPlan) -> Result<Option<(LedgerEntry, Vec<Finding>)>, BuildError> {
        // An exception that has ended may deny today what it excused when the artifact was built.
        if self.force || policy::has_ended(&plan.policy, self.context.environment.now) {
            return Ok(None);
        }
        let name = &plan.manifest.name;
        let Some(entry) = self.context.ledger().latest(name)? else { return Ok(None) };
        if entry.plan != plan.digest {
            return Ok(None);
        }
        let folder = self.context.environment.dist.join(name.as_str());
        let Some(published) = self.context.store.cache_get::<Published>(Published::CACHE, &entry.record)?
        else {
            return Ok(None);
        };
        let mut stat = self.stat.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, expected) in &published.files {
            let path = folder.join(file);
            if !path.is_file() || stat.digest_of(&path)?.0 != *expected {
                return Ok(None);
            }
        }
        Ok(Some((entry, published.findings)))
    }

    async fn stages(
        &self,
        plan: ArtifactPlan,
        source: ArtifactFiles,
    ) -> Result<Result<(Vec<Finding>, LedgerEntry, Vec<Transformation>), Denied>, BuildError> {
        let context = &self.context;
        let mut layers = Vec::new();
        for layer in &plan.manifest.layers {
            layers.push(self.layer(layer).await?);
        }
        let collected = match self.collect(plan, source, &layers).await? {
            Ok(collected) => collected,
            Err(denied) => return Ok(Err(denied)),
        };
        if let Some(cell) = self.layers.get(&collected.plan.manifest.name)
            && collected.plan.manifest.kind == ArtifactKind::LambdaLayer
        {
            let _ = cell.set(collected.layer());
        }
        let verified = match collected.verify(context, &layers).await? {
            Ok(verified) => verified,
            Err(denied) => return Ok(Err(denied)),
        };
        let packed = match verified.pack(context).await? {
            Ok(packed) => packed,
            Err(denied) => return Ok(Err(denied)),
        };
        let (record, findings, entry) = packed.publish(context).await?;
        self.remember_published(&record);
        Ok(Ok((findings, entry, record.transformations)))
    }

    /// Hashes what was just published while it is still in memory, so that the next run need not read it. Only a cache:
    /// what cannot be hashed now is read then.
    fn remember_published(&self, record: &Record) {
        let folder = self.context.environment.dist.join(record.artifact.as_str());
        let name = &record.artifact;
        let documents = [
            "record.json".to_owned(),
            format!("{name}.cdx.json"),
            format!("{name}.intoto.jsonl"),
            "SHA256SUMS".to_owned(),
        ];
        let archives = record.outputs.iter().map(|output| output.file_name.clone());
        let mut stat = self.stat.lock().unwrap_or_else(PoisonError::into_inner);
        for file in archives.chain(documents) {
            let _ = stat.digest_of(&folder.join(file));
        }
    }

    async fn collect(
        &self,
        plan: ArtifactPlan,
        source: ArtifactFiles,
        layers: &[ReadyLayer],
    ) -> Result<Result<Collected, Denied>, BuildError> {
        let planned = Planned { plan, source };
        let fetched = match planned.fetch(&self.context, layers).await? {
            Ok(fetched) => fetched,
            Err(denied) => return Ok(Err(denied)),
        };
        let context = self.context.clone();
        match blocking(move || fetched.collect(&context)).await? {
            Ok(collected) => collected.package(&self.context).await,
            Err(denied) => Ok(Err(denied)),
        }
    }

    /// A layer's content. A layer that was built in this run has it; one that was unchanged is collected again from
    /// the store, which neither verifies nor packs it anew.
    async fn layer(&self, name: &ArtifactName) -> Result<ReadyLayer, BuildError> {
        let cell = &self.layers[name];
        let layer = cell
            .get_or_try_init(|| async {
                let Ok((plan, source)) = &self.prepared[name].outcome else {
                    return Err(BuildError::Interrupted);
                };
                let layer = match self.collect(plan.clone(), source.clone(), &[]).await? {
                    Ok(collected) => collected.layer(),
                    // The highest level comes first.
                    Err(Denied(findings)) => match findings.into_iter().next() {
                        Some(finding) => return Err(BuildError::Denied(Box::new(finding))),
                        None => return Err(BuildError::Interrupted),
                    },
                };
                let found = layer.collection.tree.digest();
                match self.context.ledger().latest(name)?.map(|entry| entry.tree) {
                    Some(expected) if expected != found => {
                        Err(BuildError::ArchiveDiffers { artifact: name.clone(), expected, found })
                    }
                    _ => Ok(layer),
                }
            })
            .await?;
        Ok(layer.clone())
    }
}
