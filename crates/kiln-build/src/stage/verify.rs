//! Verified: the tree was judged, and nothing denies it.

use super::collect::Collected;
use super::trial::{Trial, Tried};
use crate::{BuildError, Judged, archives, image};
use kiln_audit::{distributions_in_tree, reconcile};
use kiln_check::Underway;
use kiln_collect::{Collection, Part, ReadyLayer, SourceTree, Verdict, denied};
use kiln_dockerfile::Made;
use kiln_guest::{AssembledImage, BaseImage, Bases, Loaded, package_hashes};
use kiln_invocation::{Event, Stage, blocking};
use kiln_plan::ArtifactPlan;
use kiln_python::Surroundings;
use kiln_record::{Binary, Ecosystem, Gap, ImportRecord, Runtime, TreePath};
use kiln_store::{SmokeMeasure, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The tree was judged, and nothing denies it.
pub(crate) struct Verified(Judgement);

/// Native files by path.
pub(crate) type Binaries = BTreeMap<TreePath, Binary>;

/// Everything that is known of an artifact once it was judged.
pub(crate) struct Judgement {
    pub(crate) plan: Arc<ArtifactPlan>,
    pub(crate) collection: Arc<Collection>,
    pub(crate) parts: Arc<[Part]>,
    pub(crate) layers: Arc<[ReadyLayer]>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) verdict: Verdict,
    pub(crate) imports: Option<ImportRecord>,
    pub(crate) binaries: Binaries,
    /// The image around the tree, if it is to be one: what was checked is what is packed.
    pub(crate) assembled: Option<AssembledImage>,
    /// What the smoke check measured, for the run details alone.
    pub(crate) measured: Option<SmokeMeasure>,
}

impl Verified {
    /// What was judged.
    pub(super) fn into_judgement(self) -> Judgement {
        self.0
    }
}

impl Collected {
    /// Judges the tree: reconciliation, ELF files, and the import in the base, which `underway` is told of.
    pub(crate) async fn verify(
        self,
        bases: &Bases,
        layers: &[ReadyLayer],
        underway: &Underway,
    ) -> Judged<Verified> {
        let Self {
            plan,
            runtime,
            collection,
            installed,
            parts,
            copied,
            made,
            gaps,
            mut verdict,
            wanted,
            declared,
            ..
        } = self;
        let now = bases.run().now();
        bases.run().tell(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Verify });
        let layers: Arc<[ReadyLayer]> = layers.into();
        let base = match plan.manifest.kind.is_image() {
            true => Some(bases.base_image(&plan.base).await?),
            false => None,
        };
        let stdlib = match parts.iter().any(|part| part.component.ecosystem == Ecosystem::Python) {
            true => bases.interpreter(&plan.base).await?.stdlib.clone(),
            false => Vec::new(),
        };
        let still = Still {
            root: bases.run().root().to_owned(),
            stdlib,
            store: bases.store().clone(),
            plan: Arc::clone(&plan),
            runtime: Arc::clone(&runtime),
            collection: Arc::clone(&collection),
            parts: Arc::clone(&parts),
            layers: Arc::clone(&layers),
            base: base.clone(),
            copied,
            made: made.clone(),
        };
        let mut judging = Some(blocking(move || still.judge(&wanted)));
        let mut binaries = Binaries::new();
        // Nothing is put together from what cannot be started, or would break its base. What is no image is run while it is judged.
        if base.is_some()
            && let Some(judging) = judging.take()
        {
            let (judged, found) = judging.await?;
            verdict.extend(judged);
            binaries = found;
            if let Some(denied) = denied(&plan, &verdict.findings, now) {
                return Ok(Err(denied));
            }
        }
        let judging = async {
            if let Some(judging) = judging {
                underway.wait().await;
                let (judged, found) = judging.await?;
                verdict.extend(judged);
                binaries = found;
            }
            verdict.extend(kiln_check::pip_check(bases, &plan, &installed, &parts).await?);
            Ok(verdict)
        };

        let distributions = parts.iter().filter(|part| part.component.ecosystem == Ecosystem::Python);
        let around = Surroundings {
            installed: distributions
                .filter_map(|part| Some((part.component.name.parse().ok()?, part.modules.clone())))
                .collect(),
            declared,
            gaps: gaps.clone(),
        };
        let assembled = match &base {
            Some(base) => Some(put_together(bases, &plan, &collection, base, made).await?),
            None => None,
        };
        let loaded = match &assembled {
            Some(assembled) => Loaded::new(bases, &plan.manifest, &plan.base, assembled).await?,
            None => None,
        };
        let trial = Trial {
            plan: &plan,
            runtime: &runtime,
            collection: &collection,
            around: &around,
            gaps: &gaps,
            parts: &parts,
            layers: &layers,
            image: loaded.as_ref(),
        };
        let tried = trial.run(bases, judging, underway).await;
        // Whatever came of it, the engine keeps nothing.
        if let Some(loaded) = loaded {
            loaded.remove().await;
        }
        let Tried { mut verdict, imports, measured } = tried?;
        verdict.extend(Verdict::of_checks(bases.unconfined(plan.recipe.is_some()).into_iter().collect()));
        if let Some(denied) = denied(&plan, &verdict.findings, now) {
            return Ok(Err(denied));
        }
        archives::of_linked(bases, &plan, &collection, &mut binaries).await?;
        Ok(Ok(Verified(Judgement {
            plan,
            collection,
            parts,
            layers,
            gaps,
            verdict,
            imports,
            binaries,
            assembled,
            measured,
        })))
    }
}

/// What can be judged without running anything.
struct Still {
    /// The workspace.
    root: PathBuf,
    store: Store,
    plan: Arc<ArtifactPlan>,
    runtime: Arc<Runtime>,
    collection: Arc<Collection>,
    parts: Arc<[Part]>,
    layers: Arc<[ReadyLayer]>,
    base: Option<Arc<BaseImage>>,
    copied: Option<Arc<SourceTree>>,
    made: Option<Arc<Made>>,
    /// The modules of the standard library, where there are distributions.
    stdlib: Vec<String>,
}

impl Still {
    /// The judgement, and what native files say of themselves.
    fn judge(&self, wanted: &[kiln_audit::Expected]) -> Result<(Verdict, Binaries), BuildError> {
        let Self { root, store, plan, runtime, collection, parts, layers, base, copied, made, stdlib } = self;
        let (findings, check) = if plan.recipe.is_some() {
            let there = kiln_dockerfile::found_distributions(store, collection)?;
            kiln_dockerfile::reconciled(plan, wanted, &there)
        } else {
            let folder = plan.manifest.python_folder();
            let read = &mut |path: &_| collection.read(store, path);
            reconcile(wanted, &distributions_in_tree(&collection.tree, folder, read)?)
        };
        let mut verdict = Verdict { findings, checks: vec![check] };
        verdict.extend(kiln_check::names(store, plan, runtime, collection, parts, stdlib)?);
        verdict.extend(kiln_check::reach(plan, runtime, &collection.tree, layers));
        verdict.findings.extend(kiln_check::programs(store, plan, runtime, collection)?);
        verdict.findings.extend(kiln_check::variables(plan, runtime));
        let (native, binaries) = kiln_check::native(store, plan, runtime, collection, parts, layers)?;
        verdict.extend(native);
        verdict.findings.extend(kiln_check::stated(plan, collection, &binaries));
        let around = made.as_ref().map(|made| &made.whole).or(base.as_deref());
        verdict.extend(kiln_check::hygiene(store, plan, collection, parts, layers, around)?);
        verdict.extend(kiln_check::leaks(root, store, plan, collection, copied.as_deref())?);
        if let Some(base) = base {
            verdict.extend(match made {
                Some(made) => kiln_dockerfile::judge(plan, runtime, made),
                None => kiln_check::against_base(plan, collection, parts, base)?,
            });
        }
        Ok((verdict, binaries))
    }
}

/// Puts an image together from what was judged.
async fn put_together(
    bases: &Bases,
    plan: &Arc<ArtifactPlan>,
    collection: &Arc<Collection>,
    base: &Arc<BaseImage>,
    made: Option<Arc<Made>>,
) -> Result<AssembledImage, BuildError> {
    bases.run().tell(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Assemble });
    let (store, plan) = (bases.store().clone(), Arc::clone(plan));
    let (collection, base) = (Arc::clone(collection), Arc::clone(base));
    let hashes = package_hashes(bases.network(), &plan.base).await?;
    blocking(move || image::assemble(&store, &plan, &collection, &base, made.as_deref(), &hashes)).await
}
