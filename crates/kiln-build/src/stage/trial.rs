//! The checks that run an artifact: it is imported, and then given its events, or watched.

use crate::BuildError;
use kiln_check::Underway;
use kiln_collect::{Collection, Part, ReadyLayer, Verdict, denied};
use kiln_guest::{Bases, Loaded};
use kiln_plan::ArtifactPlan;
use kiln_python::Surroundings;
use kiln_record::{ArtifactKind, Cause, Code, DistributionName, Finding, Gap, ImportRecord, Runtime};
use kiln_store::SmokeMeasure;
use std::sync::Arc;

/// An artifact on its way through the checks that run it.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a ArtifactPlan,
    pub(super) runtime: &'a Runtime,
    pub(super) collection: &'a Arc<Collection>,
    pub(super) around: &'a Surroundings,
    pub(super) gaps: &'a [Gap],
    pub(super) parts: &'a [Part],
    pub(super) layers: &'a [ReadyLayer],
    /// The artifact as the engine has it, if it is an image.
    pub(super) image: Option<&'a Loaded>,
}

/// What running it told, with all that was known before.
pub(super) struct Tried {
    pub(super) verdict: Verdict,
    pub(super) imports: Option<ImportRecord>,
    pub(super) measured: Option<SmokeMeasure>,
}

impl Trial<'_> {
    /// Imports it, which `underway` is told of, while `judging` comes to what is found without that; and if nothing denies it then, gives a function its
    /// events, and watches a service.
    pub(super) async fn run(
        &self,
        bases: &Bases,
        judging: impl Future<Output = Result<Verdict, BuildError>>,
        underway: &Underway,
    ) -> Result<Tried, BuildError> {
        let Self { plan, runtime, collection, around, gaps, parts, layers, image } = self;
        let importing =
            kiln_check::import(bases, plan, runtime, collection, around, layers, *image, underway);
        let importing = async { importing.await.map_err(BuildError::from) };
        let (mut verdict, imported) = tokio::try_join!(judging, importing)?;
        verdict.findings.extend(imported.findings.into_iter().filter(|finding| !is_known(finding, gaps)));
        verdict.checks.extend(imported.checks);
        let mut tried = Tried { verdict, imports: imported.record, measured: None };
        // What cannot be imported is not invoked.
        if denied(plan, &tried.verdict.findings, bases.run().now()).is_some() {
            return Ok(tried);
        }
        if plan.manifest.kind == ArtifactKind::Image {
            tried.verdict.extend(kiln_check::health(bases, plan, *image).await?);
        } else {
            let smoke = kiln_check::smoke(bases, plan, runtime, collection, parts, layers, *image).await?;
            tried.verdict.findings.extend(smoke.findings);
            tried.verdict.checks.extend(smoke.checks);
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
