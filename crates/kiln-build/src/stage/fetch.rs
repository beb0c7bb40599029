//! Planned, then fetched: everything that the plan names is in the store.

use crate::{BuildError, Judged};
use kiln_collect::{Part, ReadyLayer, SourceTree, Verdict, component, denied};
use kiln_dockerfile::Made;
use kiln_guest::{Bases, target_runtime, with_system_of};
use kiln_invocation::{Event, Stage};
use kiln_plan::ArtifactPlan;
use kiln_python::LayerContent;
use kiln_record::{Check, CheckName, ComponentId, Ecosystem, Runtime, Transformation};
use kiln_step::StepFiles;
use kiln_wheel::Distributions;
use std::sync::Arc;

/// All files of the workspace that an artifact is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArtifactFiles {
    /// Its own, folder by folder in the order of the manifest; what its Dockerfile can copy, if it has one.
    pub(crate) own: Vec<SourceTree>,
    /// What its steps are given.
    pub(crate) steps: StepFiles,
}

/// Every input has a digest; nothing was fetched yet.
pub(crate) struct Planned {
    pub(crate) plan: ArtifactPlan,
    pub(crate) files: ArtifactFiles,
}

/// What is to be collected is in the store.
pub(crate) struct Fetched {
    pub(super) plan: Arc<ArtifactPlan>,
    /// What it is judged against.
    pub(super) runtime: Arc<Runtime>,
    pub(super) distributions: Distributions,
    /// What is collected: own files, upstream sources and steps; distributions are parts once they are installed.
    pub(super) own: Vec<Part>,
    /// What the rules of its source folders left out.
    pub(super) not_taken: Vec<Transformation>,
    /// What its Dockerfile copies of its context, if it has one.
    pub(super) copied: Option<Arc<SourceTree>>,
    /// What its Dockerfile made of all that, if it has one.
    pub(super) made: Option<Arc<Made>>,
    pub(super) verdict: Verdict,
}

impl Planned {
    /// Decides which distributions the target needs, and brings everything into the store.
    pub(crate) async fn fetch(self, bases: &Bases, layers: &[ReadyLayer]) -> Judged<Fetched> {
        let Self { plan, files } = self;
        let runtime = target_runtime(bases, &plan.manifest, &plan.base).await?;
        let (manifest, run) = (&plan.manifest, bases.run());
        let tell = |stage| run.tell(Event::Stage { artifact: manifest.name.clone(), stage });
        if !plan.upstreams.is_empty() {
            tell(Stage::Fetch);
        }
        let upstreams = kiln_step::upstream::bring_all(bases.network(), manifest, &plan.upstreams).await?;
        if !plan.steps.is_empty() {
            tell(Stage::Steps);
        }
        let steps = kiln_step::make_all(bases, &plan, &files.steps).await?;
        let mut verdict = Verdict { findings: kiln_step::findings(&plan, &steps), checks: Vec::new() };
        if let Some(denied) = denied(&plan, &verdict.findings, run.now()) {
            return Ok(Err(denied));
        }
        let mut distributions = match bring_distributions(bases, &plan, &runtime, layers).await? {
            Ok(distributions) => distributions,
            Err(denied) => return Ok(Err(denied)),
        };
        verdict.extend(std::mem::take(&mut distributions.verdict));
        verdict.checks.extend(kiln_step::checks(&steps));
        let sources = manifest.sources.iter().map(|section| section.path.as_str()).zip(&files.own);
        for (path, source) in sources.clone() {
            verdict.extend(kiln_collect::source_verdict(path, source));
        }
        let context = manifest.dockerfile().zip(files.own.first());
        let copied = context.map(|(section, context)| {
            let copied = kiln_dockerfile::copied(&plan, context);
            verdict.extend(kiln_collect::context_verdict(&section.context, &copied));
            Arc::new(copied)
        });
        let not_taken = kiln_collect::source_transformations(sources);
        let mut own = own_parts(&plan, &files.own);
        let brought = own.len();
        own.extend(upstreams.iter().map(|ready| ready.part(manifest)));
        own.extend(steps.iter().map(kiln_step::ReadyStep::part));
        let made = make(bases, &plan, files.own.first(), &own[brought..], &distributions).await?;
        let runtime = with_system_of(runtime, made.as_ref().map(|made| &made.whole));
        Ok(Ok(Fetched {
            plan: Arc::new(plan),
            runtime,
            distributions,
            own,
            not_taken,
            copied,
            made,
            verdict,
        }))
    }
}

/// Selects and brings distributions; none if the manifest has no `[python]` section.
async fn bring_distributions(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    layers: &[ReadyLayer],
) -> Judged<Distributions> {
    let contents = layers
        .iter()
        .map(|layer| LayerContent { name: layer.name.clone(), distributions: layer.distributions.clone() })
        .collect();
    match kiln_wheel::select_for(bases, plan, runtime, contents).await? {
        Ok(Some(selecting)) => Ok(kiln_wheel::bring(bases, plan, runtime, selecting).await?),
        Ok(None) => {
            let check = Check::not_checked(CheckName::Distributions, "the manifest has no [python] section");
            let verdict = Verdict::of_checks(vec![check]);
            Ok(Ok(Distributions { verdict, ..Distributions::default() }))
        }
        Err(denied) => Ok(Err(denied)),
    }
}

/// The artifact's own files, each source folder in the folder that it goes to.
fn own_parts(plan: &ArtifactPlan, sources: &[SourceTree]) -> Vec<Part> {
    let manifest = &plan.manifest;
    let name = manifest.name.as_str();
    let own = |(index, source): (usize, &SourceTree)| {
        let section = manifest.sources.get(index);
        let into = section.and_then(|section| section.into.as_deref());
        let id = ComponentId::new(Ecosystem::Application, name);
        let component = component(id, Ecosystem::Application, name);
        let by = kiln_collect::BroughtBy::Source;
        let part = Part::own(component, by, &source.tree, &source.files, manifest.own_folder(into));
        Part { folder: section.map(|section| section.path.clone()), ..part }
    };
    sources.iter().enumerate().map(own).collect()
}

/// Lets an artifact's Dockerfile make its image of what was brought, if it has one.
async fn make(
    bases: &Bases,
    plan: &ArtifactPlan,
    context: Option<&SourceTree>,
    brought: &[Part],
    distributions: &Distributions,
) -> Result<Option<Arc<Made>>, BuildError> {
    let (Some(_), Some(context)) = (&plan.recipe, context) else { return Ok(None) };
    bases.run().tell(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Dockerfile });
    let mut parts = brought.to_vec();
    parts.extend(kiln_wheel::parts(&distributions.wheels, &distributions.edges, None).0);
    Ok(kiln_dockerfile::make(bases, plan, context, &parts).await?)
}
