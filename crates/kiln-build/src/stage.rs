//! The stages of one artifact's build. Each is a type that takes the one before it by value, so that what was not
//! verified cannot be packed, and what was not packed cannot be recorded.

use crate::base_image::{BaseImage, target_runtime, with_system_of};
use crate::collect::{Collection, OwnFiles, OwnOrigin, WheelFiles};
use crate::distribution::{self, ReadyWheel};
use crate::dockerfile::{self, CopiedFrom, Made};
use crate::document::documents;
use crate::environment::{Context, blocking};
use crate::hygiene;
use crate::image::{self, AssembledImage, Loaded};
use crate::import_check;
use crate::index::Bindings;
use crate::native;
use crate::recording::record;
use crate::sdist::{self, Brought, Builder};
use crate::selecting::{self, Selecting};
use crate::source::{ArtifactFiles, SourceTree};
use crate::step::{self, ReadyStep};
use crate::upstream::{self, ReadyUpstream};
use crate::{BuildError, Event, Stage, cross_check, local, smoke};
use kiln_audit::{
    Budget, Expected, ImageSizes, check_image_limits, check_limits, distributions_in_tree, reconcile,
};
use kiln_pack::{Limits, ZipReader, ZipWriter};
use kiln_plan::{ArtifactPlan, BaseKind, PinnedBase};
use kiln_python::{
    FilePlace, LayerContent, Lock, Locked, Surroundings, TargetEnvironment, requires,
    wheels_requiring_other_python,
};
use kiln_record::{
    ArtifactKind, ArtifactName, Cause, Check, Code, Digest, DistributionName, Entry, Epoch, Finding, Gap,
    HashingWriter, ImportRecord, Level, Mode, Output, Record, Runtime, Tree, TreePath,
};
use kiln_store::{LedgerEntry, Publication, RUN_DETAILS_FORMAT, RunDetails, SmokeMeasure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A layer that a function is used with, collected in this run.
#[derive(Clone, Debug)]
pub(crate) struct ReadyLayer {
    pub(crate) name: ArtifactName,
    pub(crate) collection: Arc<Collection>,
    /// Its distributions with their versions.
    pub(crate) distributions: BTreeMap<DistributionName, String>,
}

/// Upstream sources and steps have their content in the store.
static NO_FILES: BTreeMap<TreePath, PathBuf> = BTreeMap::new();

/// Stops a build before it is published: everything found so far, with at least one denial.
pub(crate) struct Denied(pub(crate) Vec<Finding>);

/// A stage's result: the next stage, or the findings that stop the build.
pub(crate) type Judged<T> = Result<Result<T, Denied>, BuildError>;

/// Every input has a digest; nothing was fetched yet.
pub(crate) struct Planned {
    pub(crate) plan: ArtifactPlan,
    pub(crate) source: ArtifactFiles,
}

/// The wheels are in the store.
pub(crate) struct Fetched {
    plan: ArtifactPlan,
    /// What it is judged against.
    runtime: Arc<Runtime>,
    source: SourceTree,
    upstreams: Vec<ReadyUpstream>,
    steps: Vec<ReadyStep>,
    wheels: Vec<ReadyWheel>,
    /// What its Dockerfile made of all that, if it has one.
    made: Option<Arc<Made>>,
    gaps: Vec<Gap>,
    findings: Vec<Finding>,
    checks: Vec<Check>,
    edges: BTreeMap<DistributionName, BTreeSet<DistributionName>>,
    /// What the lock and the target ask for, whatever was brought.
    wanted: Vec<Expected>,
    /// What the project itself asks for, where the lock tells that from what others require.
    declared: Option<BTreeSet<DistributionName>>,
}

/// One tree with owners.
pub(crate) struct Collected {
    pub(crate) plan: ArtifactPlan,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) collection: Arc<Collection>,
    /// The tree as it was installed, before anything was left out or changed for packing.
    installed: Arc<Collection>,
    pub(crate) wheels: Vec<ReadyWheel>,
    made: Option<Arc<Made>>,
    gaps: Vec<Gap>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) checks: Vec<Check>,
    wanted: Vec<Expected>,
    declared: Option<BTreeSet<DistributionName>>,
}

/// The tree was judged, and nothing denies it.
pub(crate) struct Verified {
    pub(crate) plan: ArtifactPlan,
    pub(crate) collection: Arc<Collection>,
    pub(crate) wheels: Vec<ReadyWheel>,
    pub(crate) layers: Vec<ReadyLayer>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) checks: Vec<Check>,
    pub(crate) imports: Option<ImportRecord>,
    /// The image around the tree, if it is to be one: what was checked is what is packed.
    pub(crate) assembled: Option<AssembledImage>,
    /// What the smoke check measured, for the run details alone.
    pub(crate) measured: Option<SmokeMeasure>,
}

/// The archive is written, not yet published, and within its limits.
pub(crate) struct Packed {
    verified: Verified,
    publication: Publication,
    outputs: Vec<Output>,
}

impl Planned {
    /// Decides which distributions the target needs, and brings them into the store.
    pub(crate) async fn fetch(self, context: &Context, layers: &[ReadyLayer]) -> Judged<Fetched> {
        let Self { plan, source: ArtifactFiles { own: source, steps: given } } = self;
        let runtime = target_runtime(context, &plan.manifest, &plan.base).await?;
        let name = plan.manifest.name.clone();
        if !plan.upstreams.is_empty() {
            context.events.send(Event::Stage { artifact: name.clone(), stage: Stage::Fetch });
        }
        let upstreams = upstream::bring_all(context, &plan.manifest, &plan.upstreams).await?;
        if !plan.steps.is_empty() {
            context.events.send(Event::Stage { artifact: name.clone(), stage: Stage::Steps });
        }
        let steps = step::make_all(context, &plan, &given).await?;
        let of_steps = step::findings(&plan, &steps);
        if let Some(denied) = denied(context, &plan, &of_steps) {
            return Ok(Err(denied));
        }
        let selecting = match selecting::select_for(context, &plan, &runtime, layer_contents(layers)).await? {
            Ok(selecting) => selecting,
            Err(denied) => return Ok(Err(denied)),
        };
        let Some(selecting) = selecting else {
            let mut checks =
                vec![Check::not_checked("distributions", "the manifest has no [python] section")];
            checks.extend(step::checks(&steps));
            let made = make(context, &plan, &source, &upstreams, &steps, &[]).await?;
            return Ok(Ok(Fetched {
                plan,
                runtime: with_system_of(runtime, made.as_deref()),
                source,
                upstreams,
                steps,
                wheels: Vec::new(),
                made,
                gaps: Vec::new(),
                findings: of_steps,
                checks,
                edges: BTreeMap::new(),
                wanted: Vec::new(),
                declared: None,
            }));
        };
        let Selecting { interpreter, target, lock, choice, selection, bindings } = selecting;
        if let Some(denied) = denied(context, &plan, &selection.findings) {
            return Ok(Err(denied));
        }

        context.events.send(Event::Stage { artifact: name.clone(), stage: Stage::Fetch });
        let brought =
            fetch_all(context, &plan, &runtime, &lock, &selection.wanted, &bindings, &target).await?;
        let mut wheels = Vec::new();
        let mut findings = of_steps;
        findings.extend(selection.findings.iter().cloned());
        for brought in brought {
            wheels.extend(brought.wheel);
            findings.extend(brought.findings);
        }
        findings.extend(sdist::unused(&plan.manifest, &lock, &selection, &wheels));
        wheels.sort_by(|a, b| a.wheel.name.cmp(&b.wheel.name));
        let refs: Vec<&kiln_python::Wheel> = wheels.iter().map(|ready| &ready.wheel).collect();
        let requirements = requires(&refs, &target, &selection, &choice, &runtime);
        findings.extend(requirements.findings);
        findings.extend(wheels_requiring_other_python(&refs, &interpreter));
        if let Some(denied) = denied(context, &plan, &findings) {
            return Ok(Err(denied));
        }
        let wanted = selection
            .wanted
            .iter()
            .map(|locked| Expected { name: locked.name.clone(), version: version_of(locked, &wheels) })
            .collect();
        let mut checks = vec![Check::ran("distributions", lock.distributions.len(), "locked distributions")];
        checks.extend(told_by_twin(context, &plan.base).await?);
        checks.extend(step::checks(&steps));
        let built = wheels.iter().filter(|ready| ready.built_from.is_some()).count();
        if built > 0 {
            checks.push(Check::ran("sdist", built, "source distributions built twice"));
        }
        let made = make(context, &plan, &source, &upstreams, &steps, &wheels).await?;
        Ok(Ok(Fetched {
            plan,
            runtime: with_system_of(runtime, made.as_deref()),
            source,
            upstreams,
            steps,
            wheels,
            made,
            gaps: selection.gaps,
            findings,
            checks,
            edges: requirements.edges,
            wanted,
            declared: lock.format.is_graph().then(|| selecting::declared(&lock, &choice)),
        }))
    }
}

/// Lets an artifact's Dockerfile make its image of what was brought, if it has one.
async fn make(
    context: &Context,
    plan: &ArtifactPlan,
    source: &SourceTree,
    upstreams: &[ReadyUpstream],
    steps: &[ReadyStep],
    wheels: &[ReadyWheel],
) -> Result<Option<Arc<Made>>, BuildError> {
    if plan.recipe.is_some() {
        context.events.send(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Dockerfile });
    }
    dockerfile::make(context, plan, source, &CopiedFrom { upstreams, steps, wheels }).await
}

/// What is to be known where the base's Python was not asked itself.
async fn told_by_twin(context: &Context, base: &PinnedBase) -> Result<Option<Check>, BuildError> {
    if context.bases.can_run(context, base).await? {
        return Ok(None);
    }
    let here = context.engine().await?.info().await?.platform;
    let why = match base.definition.kind {
        BaseKind::Debian(_) | BaseKind::Scratch => "which is locked with the same versions",
        BaseKind::Registry(_) => "which the same reference named when it was locked",
    };
    let reason =
        format!("no {} engine: its Python was asked on {here}, {why}", base.platform.architecture.lambda());
    Ok(Some(Check::not_checked("probe", reason)))
}

/// The version of a distribution: a project of the workspace states its own where the lock does not.
fn version_of(locked: &Locked, wheels: &[ReadyWheel]) -> String {
    let own = wheels.iter().filter(|_| locked.place.is_some()).find(|ready| ready.wheel.name == locked.name);
    own.map_or_else(|| locked.version.clone(), |ready| ready.wheel.version.clone())
}

/// What layers hold, for the selection.
fn layer_contents(layers: &[ReadyLayer]) -> Vec<LayerContent> {
    layers
        .iter()
        .map(|layer| LayerContent { name: layer.name.clone(), distributions: layer.distributions.clone() })
        .collect()
}

/// Distributions are brought side by side; the client bounds how many at once.
async fn fetch_all(
    context: &Context,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    lock: &Lock,
    wanted: &[Locked],
    bindings: &Bindings,
    target: &TargetEnvironment,
) -> Result<Vec<Brought>, BuildError> {
    let builder = Builder::new(context, plan, runtime, bindings);
    let builder = &builder;
    let each = wanted.iter().map(|locked| async move {
        let at = lock.place(locked);
        match &locked.place {
            Some(FilePlace::Url(url)) => {
                let found = distribution::bring_from_url(context, url, &lock.name, locked, target).await?;
                Ok(Brought::of(found, locked, &at))
            }
            Some(place) => {
                let found = local::bring(context, plan, lock, locked, place, target).await?;
                Ok(Brought::of(found, locked, &at))
            }
            None => builder.bring(&lock.name, locked, target).await,
        }
    });
    futures_util::future::try_join_all(each).await
}

impl Fetched {
    /// The artifact's own files, and those of its upstream sources and steps, each with the folder it goes to.
    fn own_files(&self) -> Vec<OwnFiles<'_>> {
        let manifest = &self.plan.manifest;
        let folder = |into: Option<&str>| manifest.own_folder(into).map(str::to_owned);
        let own = OwnFiles {
            name: manifest.name.as_str(),
            tree: &self.source.tree,
            files: &self.source.files,
            into: folder(manifest.source.as_ref().and_then(|source| source.into.as_deref())),
            origin: OwnOrigin::Source,
        };
        let upstreams = self.upstreams.iter().map(|ready| OwnFiles {
            name: &ready.section.name,
            tree: &ready.tree,
            files: &NO_FILES,
            into: manifest.own_folder(ready.section.into.as_deref()).map(str::to_owned),
            origin: OwnOrigin::Upstream(&ready.locked),
        });
        let steps = self.steps.iter().map(|ready| OwnFiles {
            name: &ready.section.name,
            tree: &ready.shipped,
            files: &NO_FILES,
            into: None,
            origin: OwnOrigin::Step(ready),
        });
        std::iter::once(own).chain(upstreams).chain(steps).collect()
    }

    /// Merges everything into one tree.
    pub(crate) fn collect(self, context: &Context) -> Judged<Collected> {
        context
            .events
            .send(Event::Stage { artifact: self.plan.manifest.name.clone(), stage: Stage::Collect });
        let collection = match &self.made {
            Some(made) => dockerfile::collection(context, &self.plan, made, &self.wheels, &self.edges)?,
            None => Collection::new(
                self.plan.manifest.name.as_str(),
                &self.wheels,
                &self.edges,
                &self.own_files(),
                self.plan.manifest.python_folder(),
            )?,
        };
        let mut findings = self.findings;
        findings.extend(collection.findings.iter().cloned());
        // What packing leaves out collides with nothing, so that comes first where there is such a section.
        if self.plan.manifest.package.is_none()
            && let Some(denied) = denied(context, &self.plan, &findings)
        {
            return Ok(Err(denied));
        }
        let collection = Arc::new(collection);
        Ok(Ok(Collected {
            wanted: self.wanted,
            declared: self.declared,
            plan: self.plan,
            runtime: self.runtime,
            installed: Arc::clone(&collection),
            collection,
            wheels: self.wheels,
            made: self.made,
            gaps: self.gaps,
            findings,
            checks: self.checks,
        }))
    }
}

impl Collected {
    /// This artifact as a layer for others.
    pub(crate) fn layer(&self) -> ReadyLayer {
        ReadyLayer {
            name: self.plan.manifest.name.clone(),
            collection: Arc::clone(&self.collection),
            distributions: self
                .wheels
                .iter()
                .map(|ready| (ready.wheel.name.clone(), ready.wheel.version.clone()))
                .collect(),
        }
    }

    /// Judges the tree: reconciliation, ELF files, then the import in the base.
    pub(crate) async fn verify(self, context: &Context, layers: &[ReadyLayer]) -> Judged<Verified> {
        let Self {
            plan,
            runtime,
            collection,
            installed,
            wheels,
            made,
            gaps,
            findings,
            checks,
            wanted,
            declared,
        } = self;
        let (mut findings, mut checks) = (findings, checks);
        context.events.send(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Verify });

        let (found, check) = {
            let (context, plan, collection) = (context.clone(), plan.clone(), Arc::clone(&collection));
            blocking(move || {
                if plan.recipe.is_some() {
                    let there = dockerfile::found_distributions(&context, &collection)?;
                    return Ok(dockerfile::reconciled(&plan, &wanted, &there));
                }
                let there =
                    distributions_in_tree(&collection.tree, plan.manifest.python_folder(), &mut |path| {
                        collection.read(&context, path)
                    })?;
                Ok(reconcile(&wanted, &there))
            })
            .await?
        };
        findings.extend(found);
        checks.push(check);

        let (found, ran) = {
            let (context, plan, collection) = (context.clone(), plan.clone(), Arc::clone(&collection));
            let (wheels, layers, runtime) = (wheels.clone(), layers.to_vec(), Arc::clone(&runtime));
            blocking(move || native::judge(&context, &plan, &runtime, &collection, &wheels, &layers)).await?
        };
        findings.extend(found);
        checks.extend(ran);

        let base = match plan.manifest.kind.is_image() {
            true => Some(context.bases.base_image(context, &plan.base).await?),
            false => None,
        };
        let (found, ran) = {
            let (context, plan, collection) = (context.clone(), plan.clone(), Arc::clone(&collection));
            let (wheels, layers, base, made) = (wheels.clone(), layers.to_vec(), base.clone(), made.clone());
            blocking(move || {
                let around = made.as_ref().map(|made| &made.whole).or(base.as_deref());
                hygiene::judge(&context, &plan, &collection, &wheels, &layers, around)
            })
            .await?
        };
        findings.extend(found);
        checks.extend(ran);
        if let Some(base) = &base {
            let (found, ran) = match &made {
                Some(made) => dockerfile::judge(&plan, &runtime, made),
                None => image::judge(&plan, &collection, &wheels, base)?,
            };
            findings.extend(found);
            checks.extend(ran);
            // Nothing is put together from what cannot be started, or would break its base.
            if let Some(denied) = denied(context, &plan, &findings) {
                return Ok(Err(denied));
            }
        }

        let (found, ran) = cross_check::run(context, &plan, &installed, &wheels).await?;
        findings.extend(found);
        checks.extend(ran);

        let around = Surroundings {
            installed: wheels
                .iter()
                .map(|ready| (ready.wheel.name.clone(), ready.wheel.top_level.clone()))
                .collect(),
            declared,
            gaps: gaps.clone(),
        };
        let assembled = match &base {
            Some(base) => Some(put_together(context, &plan, &collection, base, made).await?),
            None => None,
        };
        let loaded = match &assembled {
            Some(assembled) => Loaded::new(context, &plan, assembled).await?,
            None => None,
        };
        let trial = Trial {
            plan: &plan,
            runtime: &runtime,
            collection: &collection,
            around: &around,
            gaps: &gaps,
            wheels: &wheels,
            layers,
            image: loaded.as_ref(),
        };
        let tried = trial.run(context, findings, checks).await;
        // Whatever came of it, the engine keeps nothing.
        if let Some(loaded) = loaded {
            loaded.remove().await;
        }
        let tried = tried?;
        if let Some(denied) = denied(context, &plan, &tried.findings) {
            return Ok(Err(denied));
        }
        let layers = layers.to_vec();
        let Tried { findings, checks, imports, measured } = tried;
        Ok(Ok(Verified {
            plan,
            collection,
            wheels,
            layers,
            gaps,
            findings,
            checks,
            imports,
            assembled,
            measured,
        }))
    }
}

/// Puts an image together from what was judged.
async fn put_together(
    context: &Context,
    plan: &ArtifactPlan,
    collection: &Arc<Collection>,
    base: &Arc<BaseImage>,
    made: Option<Arc<Made>>,
) -> Result<AssembledImage, BuildError> {
    context.events.send(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Assemble });
    let (context, plan) = (context.clone(), plan.clone());
    let (collection, base) = (Arc::clone(collection), Arc::clone(base));
    blocking(move || image::assemble(&context, &plan, &collection, &base, made.as_deref())).await
}

/// An artifact on its way through the checks that run it.
struct Trial<'a> {
    plan: &'a ArtifactPlan,
    runtime: &'a Runtime,
    collection: &'a Arc<Collection>,
    around: &'a Surroundings,
    gaps: &'a [Gap],
    wheels: &'a [ReadyWheel],
    layers: &'a [ReadyLayer],
    /// The artifact as the engine has it, if it is an image.
    image: Option<&'a Loaded>,
}

/// What running it told, with all that was known before.
struct Tried {
    findings: Vec<Finding>,
    checks: Vec<Check>,
    imports: Option<ImportRecord>,
    measured: Option<SmokeMeasure>,
}

impl Trial<'_> {
    /// Imports it; and if nothing denies it then, gives a function its events, and watches a service.
    async fn run(
        &self,
        context: &Context,
        mut findings: Vec<Finding>,
        mut checks: Vec<Check>,
    ) -> Result<Tried, BuildError> {
        let Self { plan, runtime, collection, around, gaps, wheels, layers, image } = self;
        let imported = import_check::run(context, plan, runtime, collection, around, layers, *image).await?;
        findings.extend(imported.findings.into_iter().filter(|finding| !is_known(finding, gaps)));
        checks.extend(imported.checks);
        let mut tried = Tried { findings, checks, imports: imported.record, measured: None };
        // What cannot be imported is not invoked.
        if denied(context, plan, &tried.findings).is_some() {
            return Ok(tried);
        }
        if plan.manifest.kind == ArtifactKind::Image {
            let (found, check) = image::health(context, plan, *image).await?;
            tried.findings.extend(found);
            tried.checks.push(check);
        } else {
            let smoke = smoke::run(context, plan, runtime, collection, wheels, layers, *image).await?;
            tried.findings.extend(smoke.findings);
            tried.checks.extend(smoke.checks);
            tried.measured = smoke.measured;
        }
        Ok(tried)
    }
}

/// Whether the import check found what a gap says already: that a distribution comes from the runtime or a layer. Its
/// subject is a module there and a distribution here; the two names agree in all but a few cases.
fn is_known(finding: &Finding, gaps: &[Gap]) -> bool {
    let Ok(name) = finding.subject.parse::<DistributionName>() else { return false };
    gaps.iter().filter(|gap| gap.distribution == name.as_str()).any(|gap| {
        matches!(
            (finding.code, &gap.cause),
            (Code::ProvidedByRuntime, Cause::Runtime { .. }) | (Code::ProvidedByLayer, Cause::Layer { .. })
        )
    })
}

impl Verified {
    /// Writes the archive beside the published one, reads it back, and judges its size.
    pub(crate) async fn pack(self, context: &Context) -> Judged<Packed> {
        context.events.send(Event::Stage { artifact: self.plan.manifest.name.clone(), stage: Stage::Pack });
        let context = context.clone();
        blocking(move || {
            let (publication, outputs) = match &self.assembled {
                Some(assembled) => image::write(&context, &self.plan, &self.collection, assembled)?,
                None => write_archive(&context, &self)?,
            };
            let mut verified = self;
            let (mut found, check) = limits(&verified, outputs.first().map_or(0, |output| output.size));
            for finding in &mut found {
                finding.detail.extend(verified.collection.largest());
            }
            verified.findings.extend(found);
            verified.checks.push(check);
            if let Some(denied) = denied(&context, &verified.plan, &verified.findings) {
                return Ok(Err(denied));
            }
            Ok(Ok(Packed { verified, publication, outputs }))
        })
        .await
    }
}

/// Holds an artifact against the limits of its kind and the budget of its manifest.
fn limits(verified: &Verified, archive: u64) -> (Vec<Finding>, Check) {
    let manifest = &verified.plan.manifest;
    let own = verified.collection.tree.size();
    let budget =
        Budget { zip: manifest.budget.zip, unpacked: manifest.budget.unpacked, image: manifest.budget.image };
    if let Some(assembled) = &verified.assembled {
        let sizes = ImageSizes { layers: assembled.record.size, base: assembled.record.base.bytes, own };
        return check_image_limits(manifest.kind, &sizes, &budget);
    }
    let layers: Vec<(ArtifactName, u64)> =
        verified.layers.iter().map(|layer| (layer.name.clone(), layer.collection.tree.size())).collect();
    check_limits(manifest.kind, archive, own, &layers, &budget)
}

fn write_archive(context: &Context, verified: &Verified) -> Result<(Publication, Vec<Output>), BuildError> {
    let name = &verified.plan.manifest.name;
    let collection = &verified.collection;
    let file_name = format!("{name}.zip");
    let mut publication = Publication::begin(&context.environment.dist, name)?;
    let file = publication.create(&file_name)?;
    let mut zip = ZipWriter::new(HashingWriter::new(BufWriter::with_capacity(256 * 1024, file)));
    let mut wheel_files = WheelFiles::new(context);
    for (path, entry) in collection.tree.iter() {
        match entry {
            Entry::File { mode, .. } => {
                zip.add_file(path, *mode, &collection.compressed(&mut wheel_files, path)?)?
            }
            Entry::Symlink { target } => zip.add_symlink(path, target)?,
        }
    }
    let (mut buffer, digest, size) = zip.finish()?.finish();
    buffer.flush()?;
    let file = buffer.into_inner().map_err(std::io::IntoInnerError::into_error)?;

    let found = tree_of_archive(file.path())?.digest();
    let expected = collection.tree.digest();
    if found != expected {
        return Err(BuildError::ArchiveDiffers { artifact: name.clone(), expected, found });
    }
    let output = Output {
        file_name,
        media_type: "application/zip".to_owned(),
        size,
        digest,
        sha256_base64: digest.base64(),
    };
    Ok((publication, vec![output]))
}

/// The tree that a zip holds, every entry read and checked.
pub(crate) fn tree_of_archive(path: &Path) -> Result<Tree, BuildError> {
    let mut archive = ZipReader::open(BufReader::new(fs_err::File::open(path)?), &Limits::default())?;
    let mut tree = Tree::new();
    for member in archive.members().to_vec() {
        let content = archive.read(&member)?;
        let entry = if member.is_symlink {
            Entry::Symlink { target: String::from_utf8_lossy(&content).into_owned() }
        } else {
            Entry::File {
                digest: Digest::of(&content),
                size: content.len() as u64,
                mode: Mode::from_bits(member.unix_mode.unwrap_or(0o644)),
            }
        };
        tree.insert(member.path.clone(), entry).map_err(|error| std::io::Error::other(error.to_string()))?;
    }
    Ok(tree)
}

/// What is remembered of a published build by its record's digest, so that an unchanged one is recognised and told about
/// without reading it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    /// The digests of all files, by name: documents and outputs.
    pub(crate) files: BTreeMap<String, Digest>,
    /// The findings worth repeating: those above notes.
    pub(crate) findings: Vec<Finding>,
}

impl Published {
    /// The kind of cache value.
    pub(crate) const CACHE: &str = "published-files";
}

impl Packed {
    /// Writes record and documents, publishes everything at once and enters it in the ledger. The findings returned are
    /// those of today's policy.
    pub(crate) async fn publish(
        self,
        context: &Context,
    ) -> Result<(Record, Vec<Finding>, LedgerEntry), BuildError> {
        let context = context.clone();
        context
            .events
            .send(Event::Stage { artifact: self.verified.plan.manifest.name.clone(), stage: Stage::Publish });
        blocking(move || {
            let Self { mut verified, mut publication, outputs } = self;
            let measured = verified.measured.take();
            let shown = judge(&verified.plan, &verified.findings, context.environment.now);
            let record = record(verified, outputs)?;
            // What could not be read again must not be published.
            record.check().map_err(|error| {
                std::io::Error::other(format!("{}: {error}; this is a defect in kiln", record.artifact))
            })?;
            let mut digests: BTreeMap<String, Digest> =
                record.outputs.iter().map(|output| (output.file_name.clone(), output.digest)).collect();
            for (file_name, bytes) in documents(&record)? {
                publication.write(&file_name, &bytes)?;
                digests.insert(file_name, Digest::of(&bytes));
            }
            // From here on nothing stops between publication and ledger but the end of the process.
            context.go_on()?;
            publication.commit()?;
            let entry = enter(&context, &record, digests.get("record.json"))?;
            if measured.is_some() {
                let details =
                    RunDetails { format: RUN_DETAILS_FORMAT, at: context.environment.now, smoke: measured };
                context.ledger().put_run_details(&record.artifact, entry.number, &details)?;
            }
            let loud = shown.iter().filter(|finding| finding.level > Level::Note).cloned().collect();
            context.store.cache_put(
                Published::CACHE,
                &entry.record,
                &Published { files: digests, findings: loud },
            )?;
            Ok((record, shown, entry))
        })
        .await
    }
}

/// Enters a build in the ledger, unless it is the newest one there already: what is built again with the same result is
/// no new build.
fn enter(context: &Context, record: &Record, digest: Option<&Digest>) -> Result<LedgerEntry, BuildError> {
    let ledger = context.ledger();
    match ledger.latest(&record.artifact)? {
        Some(latest) if Some(&latest.record) == digest => Ok(latest),
        _ => Ok(ledger.append(&record.artifact, record, context.environment.now)?),
    }
}

/// Findings under the policy at a time. Stages keep them as they were made, and judge copies: a policy applied twice
/// would excuse what it has excused already.
pub(crate) fn judge(plan: &ArtifactPlan, findings: &[Finding], at: Epoch) -> Vec<Finding> {
    crate::policy::audit_policy(&plan.policy).apply(findings.to_vec(), at)
}

/// The findings under today's policy, if they stop the build.
pub(crate) fn denied(context: &Context, plan: &ArtifactPlan, findings: &[Finding]) -> Option<Denied> {
    let judged = judge(plan, findings, context.environment.now);
    judged.iter().any(|finding| finding.level == Level::Deny).then_some(Denied(judged))
}
