//! Building: which artifacts, in which order, what has changed, and what came of it.

use crate::environment::{Context, EngineSlot, blocking};
use crate::source::{SourceTree, read_source};
use crate::stage::{Collected, Denied, Planned, ReadyLayer};
use crate::workspace::read_workspace;
use crate::{BuildError, Ending, Environment, Event, Events, deployment, policy};
use kiln_plan::{ArtifactPlan, LayerInput, Manifest, PlanInputs, Workspace, plan};
use kiln_record::{ArtifactKind, ArtifactName, Digest, Finding, Record};
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
}

/// What came of one artifact.
#[derive(Debug)]
pub struct ArtifactResult {
    /// Its name.
    pub artifact: ArtifactName,
    /// How it ended.
    pub ending: Ending,
    /// The findings, highest level first. For an unchanged artifact they are in its record.
    pub findings: Vec<Finding>,
    /// Why it failed, if it did.
    pub error: Option<BuildError>,
    /// The build in the ledger that is published now, if there is one.
    pub entry: Option<LedgerEntry>,
}

impl BuildReport {
    /// Whether everything asked for is published.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.results.iter().all(|result| matches!(result.ending, Ending::Unchanged | Ending::Published))
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
    let workspace = read_workspace(&environment.root)?;
    let chosen = choose(&workspace, request.artifacts.as_deref())?;
    let _lock = lock(environment, events).await?;
    let context = Context::new(environment, events, Arc::clone(&engine))?;
    if environment.dist.is_dir() {
        sweep_staging(&environment.dist)?;
    }
    sweep_unfinished(&environment.state)?;
    context.ledger().sweep()?;
    context.store.sweep()?;

    let mut stat = StatCache::load(&environment.state.join("stat"));
    let prepared = prepare(&workspace, &chosen, environment, &mut stat)?;
    let run = Run {
        context: context.clone(),
        stat: Arc::new(Mutex::new(stat)),
        permits: Arc::new(Semaphore::new(environment.jobs.max(1))),
        force: request.force,
        prepared: Arc::new(prepared),
        layers: Arc::new(chosen.iter().map(|name| (name.clone(), OnceCell::new())).collect()),
    };
    events.send(Event::Started { artifacts: chosen.len() });

    // Layers first: a function is checked with the content of its layers and is not published without them.
    let mut results: BTreeMap<ArtifactName, ArtifactResult> = BTreeMap::new();
    for kind in [ArtifactKind::LambdaLayer, ArtifactKind::LambdaZip] {
        let mut tasks = JoinSet::new();
        for name in chosen.iter().filter(|name| workspace.manifests[*name].kind == kind) {
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
    run.stat.lock().unwrap_or_else(PoisonError::into_inner).save(environment.now)?;
    let results: Vec<ArtifactResult> = results.into_values().collect();
    deployment::write_index(&context, &workspace, &results)?;
    if let Some(engine) = engine.get() {
        // A container that a killed run had just asked for may have come into being after the first sweep. Everything is
        // published by now, so a failure here is left to the next run.
        let _ = engine.sweep().await;
    }
    Ok(BuildReport { results })
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
    for name in names {
        let manifest = workspace.manifests.get(name).ok_or_else(|| BuildError::Unknown {
            kind: "artifact",
            name: name.to_string(),
            known: workspace.manifests.keys().map(ToString::to_string).collect(),
        })?;
        chosen.insert(name.clone());
        chosen.extend(manifest.layers.iter().cloned());
    }
    Ok(chosen)
}

async fn lock(environment: &Environment, events: &Events) -> Result<WorkspaceLock, BuildError> {
    if let Some(lock) = WorkspaceLock::try_acquire(&environment.state)? {
        return Ok(lock);
    }
    events.send(Event::WaitingForLock { holder: WorkspaceLock::holder(&environment.state)? });
    let (state, wait) = (environment.state.clone(), environment.lock_wait);
    blocking(move || Ok(WorkspaceLock::acquire(&state, wait.max(Duration::from_millis(1)))?)).await
}

/// An artifact before its build: planned, or already denied or broken.
struct Prepared {
    outcome: Result<(ArtifactPlan, SourceTree), Stopped>,
}

#[derive(Clone)]
enum Stopped {
    Denied(Finding),
    Layer,
}

/// Plans every chosen artifact, layers first.
fn prepare(
    workspace: &Workspace,
    chosen: &BTreeSet<ArtifactName>,
    environment: &Environment,
    stat: &mut StatCache,
) -> Result<BTreeMap<ArtifactName, Prepared>, BuildError> {
    let mut order: Vec<&Manifest> = chosen.iter().map(|name| &workspace.manifests[name]).collect();
    order.sort_by_key(|manifest| (manifest.kind != ArtifactKind::LambdaLayer, manifest.name.clone()));
    let mut prepared: BTreeMap<ArtifactName, Prepared> = BTreeMap::new();
    for manifest in order {
        let outcome = prepare_one(workspace, manifest, &prepared, environment, stat)?;
        prepared.insert(manifest.name.clone(), Prepared { outcome });
    }
    Ok(prepared)
}

fn prepare_one(
    workspace: &Workspace,
    manifest: &Manifest,
    prepared: &BTreeMap<ArtifactName, Prepared>,
    environment: &Environment,
    stat: &mut StatCache,
) -> Result<Result<(ArtifactPlan, SourceTree), Stopped>, BuildError> {
    let source = match &manifest.source {
        Some(section) => read_source(&environment.root, &manifest.file, section, stat)?,
        None => SourceTree::default(),
    };
    let mut file = |path: String| -> Result<Option<(String, Digest)>, BuildError> {
        let path = format!("manifests/{path}");
        let full = environment.root.join(&path);
        // A lock that is not there is judged when the artifact is built, with the command that makes it.
        if full.is_file() { Ok(Some((path, stat.digest_of(&full)?.0))) } else { Ok(None) }
    };
    let mut inputs = PlanInputs {
        source: manifest.source.as_ref().map(|_| source.tree.digest()),
        epoch: environment.source_date_epoch,
        expired_exceptions: policy::ended(&workspace.settings.policy.with(&manifest.policy), environment.now),
        ..PlanInputs::default()
    };
    if let Some(python) = &manifest.python {
        inputs.lock = file(python.lock.clone())?;
        inputs.project = python.project_path().map(&mut file).transpose()?.flatten();
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
        Ok(plan) => Ok((plan, source)),
        Err(finding) => Err(Stopped::Denied(*finding)),
    })
}

/// What the builds of one run share.
#[derive(Clone)]
struct Run {
    context: Context,
    stat: Arc<Mutex<StatCache>>,
    permits: Arc<Semaphore>,
    force: bool,
    prepared: Arc<BTreeMap<ArtifactName, Prepared>>,
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
        ArtifactResult { artifact: artifact.clone(), ending, findings, error, entry }
    }

    /// Takes one artifact through all stages.
    async fn one(&self, name: &ArtifactName) -> ArtifactResult {
        let (plan, source) = match &self.prepared[name].outcome {
            Ok(planned) => planned.clone(),
            Err(Stopped::Denied(finding)) => {
                let policy = vec![finding.clone()];
                return self.end(name, Ending::Denied, policy, None, None);
            }
            Err(Stopped::Layer) => return self.end(name, Ending::Skipped, Vec::new(), None, None),
        };
        match self.unchanged(&plan) {
            Ok(Some(entry)) => return self.end(name, Ending::Unchanged, Vec::new(), None, Some(entry)),
            Ok(None) => {}
            Err(error) => return self.end(name, Ending::Failed, Vec::new(), Some(error), None),
        }
        let Ok(_permit) = self.permits.acquire().await else {
            return self.end(name, Ending::Failed, Vec::new(), Some(BuildError::Interrupted), None);
        };
        match self.stages(plan, source).await {
            Ok(Ok((findings, entry))) => self.end(name, Ending::Published, findings, None, Some(entry)),
            Ok(Err(Denied(findings))) => self.end(name, Ending::Denied, findings, None, None),
            Err(error) => self.end(name, Ending::Failed, Vec::new(), Some(error), None),
        }
    }

    /// The published build, if it is the one that this plan would make and its archive is still there.
    fn unchanged(&self, plan: &ArtifactPlan) -> Result<Option<LedgerEntry>, BuildError> {
        if self.force {
            return Ok(None);
        }
        let name = &plan.manifest.name;
        let Some(entry) = self.context.ledger().latest(name)? else { return Ok(None) };
        if entry.plan != plan.digest {
            return Ok(None);
        }
        let folder = self.context.environment.dist.join(name.as_str());
        let documents = [
            "record.json".to_owned(),
            format!("{name}.cdx.json"),
            format!("{name}.intoto.jsonl"),
            "SHA256SUMS".to_owned(),
        ];
        let archive = folder.join(format!("{name}.zip"));
        if !archive.is_file() || documents.iter().any(|document| !folder.join(document).is_file()) {
            return Ok(None);
        }
        let mut stat = self.stat.lock().unwrap_or_else(PoisonError::into_inner);
        let same = stat.digest_of(&folder.join("record.json"))?.0 == entry.record
            && Some(stat.digest_of(&archive)?.0) == entry.archive;
        Ok(same.then_some(entry))
    }

    async fn stages(
        &self,
        plan: ArtifactPlan,
        source: SourceTree,
    ) -> Result<Result<(Vec<Finding>, LedgerEntry), Denied>, BuildError> {
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
        let record = packed.publish(context).await?;
        let ledger = context.ledger();
        let now = context.environment.now;
        let entry = {
            let record = record.clone();
            blocking(move || Ok(ledger.append(&record.artifact, &record, now)?)).await?
        };
        self.remember_published(&record)?;
        Ok(Ok((record.findings, entry)))
    }

    /// Hashes what was just published while it is still in memory, so that the next run need not read it.
    fn remember_published(&self, record: &Record) -> Result<(), BuildError> {
        let folder = self.context.environment.dist.join(record.artifact.as_str());
        let mut stat = self.stat.lock().unwrap_or_else(PoisonError::into_inner);
        stat.digest_of(&folder.join("record.json"))?;
        for output in &record.outputs {
            stat.digest_of(&folder.join(&output.file_name))?;
        }
        Ok(())
    }

    async fn collect(
        &self,
        plan: ArtifactPlan,
        source: SourceTree,
        layers: &[ReadyLayer],
    ) -> Result<Result<Collected, Denied>, BuildError> {
        let planned = Planned { plan, source };
        let fetched = match planned.fetch(&self.context, layers).await? {
            Ok(fetched) => fetched,
            Err(denied) => return Ok(Err(denied)),
        };
        let context = self.context.clone();
        blocking(move || fetched.collect(&context)).await
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
                match self.collect(plan.clone(), source.clone(), &[]).await? {
                    Ok(collected) => Ok(collected.layer()),
                    Err(Denied(mut findings)) => match findings.pop() {
                        Some(finding) => Err(BuildError::Denied(Box::new(finding))),
                        None => Err(BuildError::Interrupted),
                    },
                }
            })
            .await?;
        Ok(layer.clone())
    }
}
