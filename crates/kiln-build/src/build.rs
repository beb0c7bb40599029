//! Building: which artifacts, in which order, what has changed, and what came of it.

use crate::prepare::{Prepared, Stopped, choose, prepare};
use crate::stage::{ArtifactFiles, Collected, Planned, Published};
use crate::{BuildError, Judged};
use kiln_collect::{Denied, ReadyLayer, has_ended};
use kiln_guest::{Bases, EngineSlot, GuestError};
use kiln_image::ImageError;
use kiln_invocation::{Ending, Environment, Event, Events, InvocationError, blocking, lock, read_workspace};
use kiln_pack::PackError;
use kiln_plan::{ArtifactPlan, PlatformSet, Workspace};
use kiln_publish::{IndexResult, publish_index, write_index};
use kiln_record::{ArtifactKind, ArtifactName, Defect, Finding, Record, RunError, Transformation};
use kiln_store::{LedgerEntry, StatCache, sweep_staging, sweep_unfinished};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
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
    let bases = Bases::open(environment, events, Arc::clone(&engine), lock)?;
    let _stop = bases.run().stop_on_drop();
    if environment.dist.is_dir() {
        sweep_staging(&environment.dist)?;
    }
    sweep_unfinished(&environment.state)?;
    bases.run().ledger().sweep()?;
    bases.store().sweep()?;

    let mut stat = StatCache::load(&environment.state.join("stat"));
    let prepared = prepare(bases.run(), bases.store(), &workspace, &chosen, &mut stat)?;
    let run = Run {
        bases: bases.clone(),
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
                Err(_) => return Err(InvocationError::Interrupted.into()),
            }
        }
    }
    let mut indexes = Vec::new();
    for set in sets {
        let builds = set.artifacts.iter().map(|name| results.get(name)?.entry.clone()).collect();
        indexes.push(publish_index(bases.run(), bases.store(), &run.stat, set, builds, request.force).await);
    }
    let results: Vec<ArtifactResult> = results.into_values().collect();
    // What went wrong after the artifacts were published must not hide what came of them.
    let saved = run.stat.lock().unwrap_or_else(PoisonError::into_inner).save(environment.now);
    let builds =
        results.iter().filter_map(|r| Some((r.artifact.clone(), r.entry.as_ref()?.record))).collect();
    let endings = results.iter().map(|r| &r.ending).chain(indexes.iter().map(|index| &index.ending));
    let changed = endings.into_iter().any(|ending| *ending == Ending::Published);
    let indexed = write_index(bases.run().dist(), &workspace, changed, &builds, &indexes);
    let error = indexed.err().map(BuildError::from).or(saved.err().map(BuildError::from));
    if let Some(engine) = engine.get() {
        // A container that a killed run had just asked for may have come into being after the first sweep. Everything is
        // published by now, so a failure here is left to the next run.
        let _ = engine.sweep().await;
    }
    Ok(BuildReport { results, indexes, error })
}

/// The images for several platforms that are asked for by their own names.
fn chosen_sets<'a>(workspace: &'a Workspace, names: Option<&[ArtifactName]>) -> Vec<&'a PlatformSet> {
    let sets = workspace.platform_sets.values();
    sets.filter(|set| names.is_none_or(|names| names.contains(&set.name))).collect()
}

/// What the builds of one run share.
#[derive(Clone)]
struct Run {
    bases: Bases,
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
        self.bases.run().tell(Event::Ended { artifact: artifact.clone(), ending: ending.clone() });
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
            return self.end(
                name,
                Ending::Failed,
                Vec::new(),
                Some(InvocationError::Interrupted.into()),
                None,
            );
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
        let suspicious = {
            let root = (&error as &dyn RunError).root() as &(dyn Error + 'static);
            let differs = matches!(error, BuildError::ArchiveDiffers { .. })
                || matches!(root.downcast_ref(), Some(GuestError::BaseDiffers { .. }));
            differs || root.is::<PackError>() || root.is::<ImageError>()
        };
        if !suspicious {
            return error;
        }
        let store = self.bases.store().clone();
        match blocking::<_, BuildError>(move || Ok(store.scrub()?)).await {
            Ok(damaged) if !damaged.is_empty() => BuildError::StoreDamaged { damaged },
            _ => error,
        }
    }

    /// The published build with its findings, if it is the one that this plan would make and every file of it is still
    /// what was published.
    fn unchanged(&self, plan: &ArtifactPlan) -> Result<Option<(LedgerEntry, Vec<Finding>)>, BuildError> {
        // An exception that has ended may deny today what it excused when the artifact was built.
        if self.force || has_ended(&plan.policy, self.bases.run().now()) {
            return Ok(None);
        }
        let name = &plan.manifest.name;
        let Some(entry) = self.bases.run().ledger().latest(name)? else { return Ok(None) };
        if entry.plan != plan.digest {
            return Ok(None);
        }
        let folder = self.bases.run().dist().join(name.as_str());
        let Some(published) = self.bases.store().cache_get::<Published>(Published::CACHE, &entry.record)?
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
    ) -> Judged<(Vec<Finding>, LedgerEntry, Vec<Transformation>)> {
        let bases = &self.bases;
        let mut layers = Vec::new();
        for layer in &plan.manifest.layers {
            layers.push(self.layer(layer).await?);
        }
        let collected = match self.collect(plan, source, &layers).await? {
            Ok(collected) => collected,
            Err(denied) => return Ok(Err(denied)),
        };
        if let Some(cell) = self.layers.get(&collected.plan().manifest.name)
            && collected.plan().manifest.kind == ArtifactKind::LambdaLayer
        {
            let _ = cell.set(collected.layer());
        }
        let verified = match collected.verify(bases, &layers).await? {
            Ok(verified) => verified,
            Err(denied) => return Ok(Err(denied)),
        };
        let packed = match verified.pack(bases).await? {
            Ok(packed) => packed,
            Err(denied) => return Ok(Err(denied)),
        };
        let (record, findings, entry) = packed.publish(bases).await?;
        self.remember_published(&record);
        Ok(Ok((findings, entry, record.transformations)))
    }

    /// Hashes what was just published while it is still in memory, so that the next run need not read it. Only a cache:
    /// what cannot be hashed now is read then.
    fn remember_published(&self, record: &Record) {
        let folder = self.bases.run().dist().join(record.artifact.as_str());
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
    ) -> Judged<Collected> {
        let planned = Planned { plan, files: source };
        let fetched = match planned.fetch(&self.bases, layers).await? {
            Ok(fetched) => fetched,
            Err(denied) => return Ok(Err(denied)),
        };
        let bases = self.bases.clone();
        match blocking(move || fetched.collect(bases.run(), bases.store())).await? {
            Ok(collected) => collected.package(&self.bases).await,
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
                    return Err(Defect::new(format!("the layer {name} is ready and was not planned")).into());
                };
                let layer = match self.collect(plan.clone(), source.clone(), &[]).await? {
                    Ok(collected) => collected.layer(),
                    // The highest level comes first.
                    Err(Denied(findings)) => match findings.into_iter().next() {
                        Some(finding) => return Err(BuildError::Denied(Box::new(finding))),
                        None => return Err(Defect::new(format!("{name} is denied for nothing")).into()),
                    },
                };
                let found = layer.collection.tree.digest();
                match self.bases.run().ledger().latest(name)?.map(|entry| entry.tree) {
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
