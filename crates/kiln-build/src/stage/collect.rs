//! Collected: one tree with owners, packaged as the manifest asks.

use super::fetch::Fetched;
use crate::Judged;
use kiln_audit::{Expected, check_file_count};
use kiln_collect::{Collection, Part, ReadyLayer, SourceTree, Verdict, denied};
use kiln_dockerfile::Made;
use kiln_guest::Bases;
use kiln_invocation::{Event, Run, Stage};
use kiln_plan::ArtifactPlan;
use kiln_record::{DistributionName, Ecosystem, Gap, Runtime};
use kiln_store::Store;
use kiln_wheel::ReadyWheel;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One tree with owners.
pub(crate) struct Collected {
    pub(super) plan: Arc<ArtifactPlan>,
    /// What it is judged against.
    pub(super) runtime: Arc<Runtime>,
    pub(super) collection: Arc<Collection>,
    /// The tree as it was installed, before anything was left out or changed for packing.
    pub(super) installed: Arc<Collection>,
    pub(super) parts: Arc<[Part]>,
    wheels: Arc<[ReadyWheel]>,
    /// What its Dockerfile copies of its context, if it has one.
    pub(super) copied: Option<Arc<SourceTree>>,
    pub(super) made: Option<Arc<Made>>,
    pub(super) gaps: Vec<Gap>,
    pub(super) verdict: Verdict,
    /// What the lock and the target ask for, whatever was brought.
    pub(super) wanted: Vec<Expected>,
    /// What the project itself asks for, where the lock tells that from what others require.
    pub(super) declared: Option<BTreeSet<DistributionName>>,
}

impl Fetched {
    /// Merges everything into one tree.
    pub(crate) fn collect(self, run: &Run, store: &Store) -> Judged<Collected> {
        run.tell(Event::Stage { artifact: self.plan.manifest.name.clone(), stage: Stage::Collect });
        let Self { plan, runtime, distributions, own, not_taken, copied, made, mut verdict } = self;
        let folder = plan.manifest.python_folder();
        let (mut parts, claimed) = kiln_wheel::parts(&distributions.wheels, &distributions.edges, folder);
        let mut collection = match &made {
            Some(made) => kiln_dockerfile::collection(store, &plan, made, &parts)?,
            None => {
                parts.extend(own);
                verdict.findings.extend(claimed);
                let mut collection = Collection::new(plan.manifest.name.as_str(), &parts);
                kiln_collect::own_vendored(store, &mut collection, folder)?;
                collection
            }
        };
        collection.transformations.splice(0..0, not_taken);
        verdict.findings.extend(collection.findings.iter().cloned());
        if plan.manifest.package.is_none() {
            verdict.findings.extend(check_file_count(plan.manifest.kind, collection.tree.len()));
        }
        // What packing leaves out collides with nothing, so that comes first where there is such a section.
        if plan.manifest.package.is_none()
            && let Some(denied) = denied(&plan, &verdict.findings, run.now())
        {
            return Ok(Err(denied));
        }
        let collection = Arc::new(collection);
        Ok(Ok(Collected {
            plan,
            runtime,
            installed: Arc::clone(&collection),
            collection,
            parts: parts.into(),
            wheels: distributions.wheels,
            copied,
            made,
            gaps: distributions.gaps,
            verdict,
            wanted: distributions.wanted,
            declared: distributions.declared,
        }))
    }
}

impl Collected {
    /// Applies the rules of the manifest's `[package]` section, if it has one.
    pub(crate) async fn package(mut self, bases: &Bases) -> Judged<Self> {
        let verdict = std::mem::take(&mut self.verdict);
        let now = bases.run().now();
        let packaged =
            kiln_wheel::package(bases, &self.plan, &self.runtime, self.collection, &self.wheels, verdict)
                .await?;
        let (collection, mut verdict) = match packaged {
            Ok(packaged) => packaged,
            Err(denied) => return Ok(Err(denied)),
        };
        if self.plan.manifest.package.is_some() {
            verdict.findings.extend(check_file_count(self.plan.manifest.kind, collection.tree.len()));
            if let Some(denied) = denied(&self.plan, &verdict.findings, now) {
                return Ok(Err(denied));
            }
        }
        Ok(Ok(Self { collection, verdict, ..self }))
    }

    /// This artifact as a layer for others.
    pub(crate) fn layer(&self) -> ReadyLayer {
        let distributions = self.parts.iter().filter(|part| part.component.ecosystem == Ecosystem::Python);
        ReadyLayer {
            name: self.plan.manifest.name.clone(),
            collection: Arc::clone(&self.collection),
            distributions: distributions
                .filter_map(|part| Some((part.component.name.parse().ok()?, part.component.version.clone()?)))
                .collect(),
        }
    }
}
