//! Building: which artifacts, in which order, what has changed, and what came of it.

use crate::prepare::{Prepared, choose, prepare, read_files};
use crate::source_link::{FilesRead, SourceLinks};
use crate::stage::{Collected, Done, Planned, Published, Standing};
use crate::{BuildError, Expectation, Judged, Shard};
use futures_util::FutureExt as _;
use kiln_check::Underway;
use kiln_collect::{Denied, ReadyLayer, has_ended};
use kiln_guest::{Bases, EngineSlot, GuestError};
use kiln_image::ImageError;
use kiln_invocation::{
    Ending, Environment, Event, Events, InvocationError, Stage, all_stated, blocking, lock,
    read_usable_workspace,
};
use kiln_pack::PackError;
use kiln_plan::{ArtifactPlan, InvalidFiles, PlatformSet, Problem, Trust, Workspace};
use kiln_publish::{
    IndexResult, LeftBehind, index_of_nothing, left_behind, publish_index, settle_published, write_index,
};
use kiln_record::{
    ArtifactKind, ArtifactName, Defect, Digest, Epoch, Finding, IndexRecord, Record, RunError,
    StatedException, Transformation,
};
use kiln_store::{Ledger, LedgerEntry, StatCache, has_room, sweep_unfinished};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{AcquireError, OnceCell, Semaphore, SemaphorePermit, SetOnce};
use tokio::task::JoinSet;

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct BuildRequest {
    /// The artifacts; all of the workspace if absent. Layers they use come with them.
    pub artifacts: Option<Vec<ArtifactName>>,
    /// The part of the workspace that is built, where all of it was asked for; everything if absent.
    pub shard: Option<Shard>,
    /// Whether to build what has not changed, too.
    pub force: bool,
    /// What artifacts must come to; of one that comes to something else, nothing is published.
    pub expected: BTreeMap<ArtifactName, Expectation>,
}

/// What came of a run.
#[derive(Debug)]
pub struct BuildReport {
    /// Each artifact, sorted by name.
    pub results: Vec<ArtifactResult>,
    /// What a build of everything left out because it is built on request, sorted; nothing of any other build.
    pub on_request: Vec<ArtifactName>,
    /// Each image for several platforms, sorted by name.
    pub indexes: Vec<IndexResult>,
    /// Blobs of the store that were not what their names say any more. They were removed, and brought or made again
    /// where something needed them.
    pub damaged: Vec<Digest>,
    /// Exceptions of `kiln.toml` that accept nothing that was found in any artifact; known of a build of everything alone, nothing
    /// of which was left out.
    pub unused: Vec<StatedException>,
    /// What is published and of no artifact of the workspace; known of a build of everything alone.
    pub left_behind: Vec<LeftBehind>,
    /// What went wrong after that: `dist/index.json` could not be written, for example.
    pub error: Option<BuildError>,
}

/// What came of one artifact.
#[derive(Debug)]
pub struct ArtifactResult {
    /// Its name.
    pub artifact: ArtifactName,
    /// What it is, if its manifest says so.
    pub kind: Option<ArtifactKind>,
    /// How it ended.
    pub ending: Ending,
    /// The findings, highest level first. For an unchanged artifact they are in its record.
    pub findings: Vec<Finding>,
    /// What packing left out or changed, if it was built now.
    pub transformations: Vec<Transformation>,
    /// Why it failed, if it did.
    pub error: Option<BuildError>,
    /// The layer for want of which it was skipped, if it was.
    pub without: Option<ArtifactName>,
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
    let workspace = Arc::new(read_usable_workspace(&environment.root)?);
    if request.artifacts.is_none() {
        all_stated(&environment.root, &workspace)?;
    }
    let of_shard = request.shard.map(|shard| shard.names(&workspace));
    let names = of_shard.as_deref().or(request.artifacts.as_deref());
    let chosen = choose(&workspace, names)?;
    if request.artifacts.is_none() && workspace.in_all().is_empty() {
        let names = workspace.on_request().into_iter().map(ToString::to_string).collect();
        return Err(InvocationError::AllOnRequest { names }.into());
    }
    let bases = Bases::open(environment, events, Arc::clone(&engine), lock)?;
    let _stop = bases.run().stop_on_drop();
    settle_published(environment, &workspace)?;
    sweep_unfinished(&environment.state)?;
    bases.run().ledger().sweep()?;
    bases.store().sweep()?;

    let run = Run {
        bases: bases.clone(),
        workspace: Arc::clone(&workspace),
        stat: StatCache::load(&environment.state.join("stat")),
        permits: Arc::new(Semaphore::new(environment.jobs.max(1))),
        force: request.force,
        expected: Arc::new(request.expected.clone()),
        judges_age: environment.trial.results.is_none(),
        links: Arc::new(SourceLinks::new(&environment.root)),
        progress: Arc::new(chosen.iter().map(|name| (name.clone(), Progress::default())).collect()),
    };
    let on_request = match request.artifacts {
        // A layer on request is built with what uses it.
        None => workspace.on_request().into_iter().filter(|name| !chosen.contains(*name)).cloned().collect(),
        Some(_) => Vec::new(),
    };
    let sets = chosen_sets(&workspace, names);
    events.send(Event::Started { artifacts: chosen.len() + sets.len() });

    let mut tasks = JoinSet::new();
    for name in longest_first(&workspace, &chosen) {
        let run = run.clone();
        tasks.spawn(async move { run.one(&name).await });
    }
    let mut results: BTreeMap<ArtifactName, ArtifactResult> = BTreeMap::new();
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(result) => {
                results.insert(result.artifact.clone(), result);
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(InvocationError::Interrupted.into()),
        }
    }
    let mut indexes = Vec::new();
    for set in sets {
        let builds = set.artifacts.iter().map(|name| results.get(name)?.entry.clone()).collect();
        indexes.push(publish_index(bases.run(), bases.store(), &run.stat, set, builds, request.force).await);
    }
    let results: Vec<ArtifactResult> = results.into_values().collect();
    // What went wrong after the artifacts were published must not hide what came of them.
    let saved = run.stat.save(environment.now);
    let builds =
        results.iter().filter_map(|r| Some((r.artifact.clone(), r.entry.as_ref()?.record))).collect();
    let endings = results.iter().map(|r| &r.ending).chain(indexes.iter().map(|index| &index.ending));
    let changed = endings.into_iter().any(|ending| *ending == Ending::Published);
    let of_platforms: Vec<&IndexRecord> = indexes.iter().filter_map(|index| index.record.as_ref()).collect();
    let dist = bases.run().dist();
    let indexed = match request.shard {
        // A part of the workspace that has no artifact is one as well, of which there is something to keep.
        Some(_) if results.is_empty() && !dist.is_dir() => index_of_nothing(dist).map(|()| true),
        _ => write_index(dist, &bases.run().ledger(), &workspace, changed, &builds, &of_platforms),
    };
    // What is wrong with no artifact keeps none from being built, and is told where all of the workspace was asked for.
    let alone = match &request.artifacts {
        None if !workspace.problems.is_empty() => {
            Some(BuildError::from(InvocationError::from(InvalidFiles(workspace.problems.clone()))))
        }
        _ => None,
    };
    let is_whole =
        request.artifacts.is_none() && request.shard.is_none() && on_request.is_empty() && alone.is_none();
    let unused = match is_whole {
        true => unused_exceptions(&bases.run().ledger(), &workspace, &results),
        false => Ok(Vec::new()),
    };
    let (unused, unread) = match unused {
        Ok(unused) => (unused, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let (left_behind, unlisted) = match &request.artifacts {
        None => match left_behind(environment, &workspace) {
            Ok(left_behind) => (left_behind, None),
            Err(error) => (Vec::new(), Some(BuildError::from(error))),
        },
        Some(_) => (Vec::new(), None),
    };
    let after =
        [indexed.err().map(BuildError::from), saved.err().map(BuildError::from), alone, unread, unlisted];
    let error = after.into_iter().flatten().next();
    if let Some(engine) = engine.get() {
        // A container that a killed run had just asked for may have come into being after the first sweep. Everything is
        // published by now, so a failure here is left to the next run.
        let _ = engine.sweep().await;
    }
    let damaged = bases.store().take_damaged();
    Ok(BuildReport { results, on_request, indexes, damaged, unused, left_behind, error })
}

/// Artifacts in the order in which they ask to be begun: layers of functions that wait for them, then images, which are checked in containers of
/// their own and take longest, so that the others are built beside them.
fn longest_first(workspace: &Workspace, chosen: &BTreeSet<ArtifactName>) -> Vec<ArtifactName> {
    let manifest = |name: &ArtifactName| workspace.manifests.get(name);
    let layers: BTreeSet<&ArtifactName> =
        chosen.iter().filter_map(manifest).flat_map(|manifest| &manifest.layers).collect();
    let mut order: Vec<ArtifactName> = chosen.iter().cloned().collect();
    order.sort_by_key(|name| {
        let is_image = manifest(name).is_some_and(|manifest| manifest.kind.is_image());
        std::cmp::Reverse((layers.contains(name), is_image))
    });
    order
}

/// The exceptions of `kiln.toml` that accept nothing that was found in any artifact. Where one is not published, nothing is known of it.
fn unused_exceptions(
    ledger: &Ledger,
    workspace: &Workspace,
    results: &[ArtifactResult],
) -> Result<Vec<StatedException>, BuildError> {
    let mut unused = workspace.settings.policy.stated().map(|policy| policy.exceptions).unwrap_or_default();
    for result in results {
        if unused.is_empty() {
            break;
        }
        let is_published = matches!(result.ending, Ending::Unchanged | Ending::Published);
        let Some(entry) = result.entry.as_ref().filter(|_| is_published) else { return Ok(Vec::new()) };
        let record = ledger.record(&result.artifact, entry.number)?;
        unused.retain(|exception| !record.findings.iter().any(|finding| exception.covers(finding)));
    }
    Ok(unused)
}

/// Whether everything that a plan has pinned is as young as the workspace wants it.
fn young_enough(trust: &Trust, plan: &ArtifactPlan, now: Epoch) -> Result<(), Problem> {
    let days = |pinned: Epoch| now.seconds().saturating_sub(pinned.seconds()) / 86_400;
    // What a Dockerfile pins has no time.
    for base in plan.bases().into_iter().filter(|base| base.definition.file.starts_with("images/")) {
        let name = &base.definition.name;
        trust.age(&format!("base {name}"), days(base.pinned), &format!("kiln lock --base {name}"))?;
    }
    let name = plan.manifest.stated_name();
    for upstream in &plan.upstreams {
        let what = format!("upstream source {}", upstream.name);
        trust.age(&what, days(upstream.pinned), &format!("kiln lock {name} --upgrade"))?;
    }
    Ok(())
}

/// The images for several platforms that are asked for by their own names.
fn chosen_sets<'a>(workspace: &'a Workspace, names: Option<&[ArtifactName]>) -> Vec<&'a PlatformSet> {
    let sets = workspace.platform_sets.values();
    let all = workspace.in_all();
    sets.filter(|set| names.map_or_else(|| all.contains(&set.name), |names| names.contains(&set.name)))
        .collect()
}

/// What the builds of one run share.
#[derive(Clone)]
struct Run {
    bases: Bases,
    workspace: Arc<Workspace>,
    stat: StatCache,
    permits: Arc<Semaphore>,
    force: bool,
    expected: Arc<BTreeMap<ArtifactName, Expectation>>,
    /// Whether pins may be too old: what is built to be compared was of its time.
    judges_age: bool,
    links: Arc<SourceLinks>,
    progress: Arc<BTreeMap<ArtifactName, Progress>>,
}

/// How far an artifact is, for those that use it.
#[derive(Default)]
struct Progress {
    /// Its plan; nothing if it cannot have one.
    planned: SetOnce<Option<Arc<Prepared>>>,
    /// Whether it is published.
    ended: SetOnce<bool>,
    /// Its content, if it is a layer and somebody needed that.
    layer: OnceCell<ReadyLayer>,
}

/// Why an artifact has no plan, or none that can be followed.
enum Stopped {
    /// It is broken itself.
    Failed(BuildError),
    /// It cannot be planned.
    Denied(Box<Finding>),
    /// This layer of it is not there.
    WithoutLayer(ArtifactName),
}

impl From<BuildError> for Stopped {
    fn from(error: BuildError) -> Self {
        Self::Failed(error)
    }
}

/// What is published of an artifact before it is built.
enum There {
    /// Nothing that the plan would make.
    Nothing,
    /// What the plan would make, judged by the code of this kiln: that is what was found.
    Unchanged(Box<LedgerEntry>, Vec<Finding>),
    /// What the plan would make, judged by other code, or at a time when other exceptions held.
    InQuestion(Box<Standing>),
}

impl Run {
    /// Takes one artifact through all stages.
    async fn one(&self, name: &ArtifactName) -> ArtifactResult {
        let result = self.ending_of(name).await;
        let ended = Event::Ended { artifact: name.clone(), ending: result.ending.clone() };
        self.bases.run().tell(ended);
        // Whoever waits goes on, whatever came of it. A plan that was not come to is none.
        let progress = &self.progress[name];
        let _ = progress.planned.set(None);
        let _ = progress.ended.set(matches!(result.ending, Ending::Unchanged | Ending::Published));
        result
    }

    fn result(&self, artifact: &ArtifactName, ending: Ending) -> ArtifactResult {
        ArtifactResult {
            artifact: artifact.clone(),
            kind: self.workspace.manifests.get(artifact).map(|manifest| manifest.kind),
            ending,
            findings: Vec::new(),
            transformations: Vec::new(),
            error: None,
            without: None,
            entry: None,
        }
    }

    async fn ending_of(&self, name: &ArtifactName) -> ArtifactResult {
        let result = |ending| self.result(name, ending);
        let failed = |error| ArtifactResult { error: Some(error), ..result(Ending::Failed) };
        let prepared = match self.prepared(name).await {
            Ok(prepared) => prepared,
            Err(Stopped::Failed(error)) => return failed(error),
            Err(Stopped::Denied(finding)) => {
                return ArtifactResult { findings: vec![*finding], ..result(Ending::Denied) };
            }
            Err(Stopped::WithoutLayer(layer)) => {
                return ArtifactResult { without: Some(layer), ..result(Ending::Skipped) };
            }
        };
        let Ok(_turn) = self.turn(name).await else {
            return failed(BuildError::from(InvocationError::Interrupted));
        };
        let (run, planned) = (self.clone(), Arc::clone(&prepared));
        let standing = match blocking(move || run.there(&planned.plan)).await {
            Ok(There::Unchanged(entry, findings)) => {
                return ArtifactResult { findings, entry: Some(*entry), ..result(Ending::Unchanged) };
            }
            Ok(There::InQuestion(standing)) => Some(*standing),
            Ok(There::Nothing) => None,
            Err(error) => return failed(error),
        };
        if let Err(error) = self.has_room(name) {
            return failed(error);
        }
        let outcome = match self.stages(&prepared, standing).boxed().await {
            Err(error) => Err(self.explain(error).await),
            other => other,
        };
        match outcome {
            Ok(Ok(Done { ending, record, findings, entry })) => {
                let is_new = ending == Ending::Published;
                let transformations = if is_new { record.transformations } else { Vec::new() };
                ArtifactResult { findings, transformations, entry: Some(entry), ..result(ending) }
            }
            Ok(Err(Denied(findings))) => ArtifactResult { findings, ..result(Ending::Denied) },
            Err(error) => failed(error),
        }
    }

    /// Waits until an artifact may be worked at.
    async fn turn(&self, name: &ArtifactName) -> Result<SemaphorePermit<'_>, AcquireError> {
        let turn = match self.permits.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                self.tell(name, Stage::Wait);
                self.permits.acquire().await?
            }
        };
        self.tell(name, Stage::Compare);
        Ok(turn)
    }

    fn tell(&self, artifact: &ArtifactName, stage: Stage) {
        self.bases.run().tell(Event::Stage { artifact: artifact.clone(), stage });
    }

    /// Makes sure that what an artifact was last has room beside what is published of it.
    fn has_room(&self, name: &ArtifactName) -> Result<(), BuildError> {
        let run = self.bases.run();
        let Some(last) = run.ledger().latest(name)? else { return Ok(()) };
        let what = format!("{name}, which is published beside what it was,");
        Ok(has_room(run.dist(), &what, last.archive_size)?)
    }

    /// Plans an artifact, side by side with others, and waits for the layers that it uses.
    async fn prepared(&self, name: &ArtifactName) -> Result<Arc<Prepared>, Stopped> {
        let Some(manifest) = self.workspace.manifests.get(name) else {
            let problems = self.workspace.broken.get(name).cloned().unwrap_or_default();
            return Err(BuildError::from(InvocationError::from(InvalidFiles(problems))).into());
        };
        let read = {
            let Ok(_permit) = self.permits.acquire().await else {
                return Err(BuildError::from(InvocationError::Interrupted).into());
            };
            self.tell(name, Stage::Plan);
            let (run, store) = (self.bases.run().clone(), self.bases.store().clone());
            let (manifest, stat) = (manifest.clone(), self.stat.clone());
            blocking(move || read_files(&run, &store, &manifest, &stat)).await?
        };
        let mut layers = Vec::new();
        for layer in &manifest.layers {
            match self.progress[layer].planned.wait().await {
                Some(prepared) => layers.push(prepared.layer()),
                None => return Err(Stopped::WithoutLayer(layer.clone())),
            }
        }
        let prepared = prepare(&self.workspace, manifest, read, layers).map_err(Stopped::Denied)?;
        if self.judges_age {
            let trusted =
                young_enough(&self.workspace.settings.trust, &prepared.plan, self.bases.run().now());
            trusted
                .map_err(|problem| BuildError::from(InvocationError::from(InvalidFiles::from(problem))))?;
        }
        let prepared = Arc::new(prepared);
        let _ = self.progress[name].planned.set(Some(Arc::clone(&prepared)));
        // An artifact is checked with the content of its layers, and is not published without them.
        for layer in &manifest.layers {
            let ended = &self.progress[layer].ended;
            if ended.get().is_none() {
                self.tell(name, Stage::Wait);
            }
            if !*ended.wait().await {
                return Err(Stopped::WithoutLayer(layer.clone()));
            }
        }
        Ok(prepared)
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

    /// What is published, as far as this plan would make it and every file of it is still what was published.
    fn there(&self, plan: &ArtifactPlan) -> Result<There, BuildError> {
        let (run, name) = (self.bases.run(), &plan.manifest.name);
        // A history that cannot be built upon is told before the work.
        run.ledger().head(name)?;
        let Some(entry) = run.ledger().latest(name)?.filter(|entry| entry.plan == plan.digest && !self.force)
        else {
            return Ok(There::Nothing);
        };
        let folder = run.dist().join(name.as_str());
        let Some(published) = self.bases.store().cache_get::<Published>(Published::CACHE, &entry.record)?
        else {
            return Ok(There::Nothing);
        };
        for (file, expected) in &published.files {
            let path = folder.join(file);
            if !path.is_file() || self.stat.digest_of(&path)?.0 != *expected {
                return Ok(There::Nothing);
            }
        }
        // An exception that has ended may deny today what it excused when the artifact was judged.
        if let Some(expected) = self.expected.get(name) {
            expected.meets(&run.ledger().record(name, entry.number)?)?;
        }
        if self.bases.accepts(published.judges)? && !has_ended(&plan.policy, run.now()) {
            return Ok(There::Unchanged(Box::new(entry), published.findings));
        }
        let record = run.ledger().record(name, entry.number)?;
        Ok(There::InQuestion(Box::new(Standing { entry, record, files: published.files })))
    }

    /// Takes an artifact through its stages, and has the engine ready by the time that its checks are to run.
    async fn stages(&self, prepared: &Prepared, standing: Option<Standing>) -> Judged<Done> {
        let began = self.bases.run().elapsed();
        let plan = &prepared.plan;
        if !kiln_check::asks_base(&self.bases, plan)? {
            return self.staged(prepared, standing, began).await;
        }
        let (bases, base) = (self.bases.clone(), plan.base.clone());
        let preparing = tokio::spawn(async move { bases.make_ready(&base).await });
        let done = self.staged(prepared, standing, began).await;
        // Without an engine there is nothing in it that has to be waited for.
        if self.bases.engine_in_use().is_none() {
            preparing.abort();
        }
        let _ = preparing.await;
        done
    }

    async fn staged(&self, prepared: &Prepared, standing: Option<Standing>, began: Duration) -> Judged<Done> {
        let (bases, manifest) = (&self.bases, &prepared.plan.manifest);
        let mut layers = Vec::new();
        for layer in &manifest.layers {
            layers.push(self.layer(layer).await?);
        }
        let collected = match self.collect(prepared, &layers).await? {
            Ok(collected) => collected,
            Err(denied) => return Ok(Err(denied)),
        };
        if manifest.kind == ArtifactKind::LambdaLayer {
            let _ = self.progress[&manifest.name].layer.set(collected.layer());
        }
        let underway = Underway::default();
        let mut draft = collected.draft(bases, standing.as_ref(), &underway);
        let verified = collected.verify(bases, &layers, &underway).await;
        underway.tell();
        if !matches!(verified, Ok(Ok(_)))
            && let Some(draft) = draft.take()
        {
            draft.give_up().await;
        }
        let verified = match verified? {
            Ok(verified) => verified,
            Err(denied) => return Ok(Err(denied)),
        };
        let packed = match verified.pack(bases, standing, draft).await? {
            Ok(packed) => packed,
            Err(denied) => return Ok(Err(denied)),
        };
        let read = FilesRead::of(prepared, bases.run().root());
        let links = Arc::clone(&self.links);
        let expected = self.expected.get(&manifest.name).cloned();
        let done = packed.publish(bases, began, expected, move || links.link(&read)).await?;
        if done.ending == Ending::Published {
            self.remember_published(&done.record).await?;
        }
        Ok(Ok(done))
    }

    /// Hashes what was just published while it is still in memory, so that the next run need not read it. Only a cache:
    /// what cannot be hashed now is read then.
    async fn remember_published(&self, record: &Record) -> Result<(), BuildError> {
        let folder = self.bases.run().dist().join(record.artifact.as_str());
        let name = &record.artifact;
        let documents = [
            "record.json".to_owned(),
            format!("{name}.cdx.json"),
            format!("{name}.intoto.jsonl"),
            "SHA256SUMS".to_owned(),
        ];
        let archives = record.outputs.iter().map(|output| output.file_name.clone());
        let files: Vec<_> = archives.chain(documents).map(|file| folder.join(file)).collect();
        let stat = self.stat.clone();
        blocking(move || {
            for file in files {
                let _ = stat.digest_of(&file);
            }
            Ok(())
        })
        .await
    }

    async fn collect(&self, prepared: &Prepared, layers: &[ReadyLayer]) -> Judged<Collected> {
        let planned = Planned { plan: prepared.plan.clone(), files: prepared.files.clone() };
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
        let progress = &self.progress[name];
        let layer = progress
            .layer
            .get_or_try_init(|| async {
                let Some(prepared) = progress.planned.wait().await else {
                    return Err(Defect::new(format!("the layer {name} is published and has no plan")).into());
                };
                let layer = match self.collect(prepared, &[]).await? {
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
