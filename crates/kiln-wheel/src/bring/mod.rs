//! Bringing distributions into the store: by the digests of their lock, from an index, a URL or the workspace.

pub(crate) mod distribution;
pub(crate) mod local;

use crate::choose::{Bindings, Selecting, declared};
use crate::sdist::{Brought, Builder, unused};
use crate::{Judged, WheelError};
use distribution::ReadyWheel;
use kiln_audit::Expected;
use kiln_collect::{Verdict, denied};
use kiln_guest::Bases;
use kiln_invocation::{Event, Stage};
use kiln_plan::ArtifactPlan;
use kiln_python::{
    FilePlace, Lock, Locked, TargetEnvironment, Wheel, requires, wheels_requiring_other_python,
};
use kiln_record::{Check, CheckName, DistributionName, Gap, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The distributions of an artifact, in the store.
#[derive(Debug)]
pub struct Distributions {
    /// Their wheels, by name.
    pub wheels: Arc<[ReadyWheel]>,
    /// Which distribution requires which.
    pub edges: BTreeMap<DistributionName, BTreeSet<DistributionName>>,
    /// What the lock has and the artifact does not, each with its cause.
    pub gaps: Vec<Gap>,
    /// What the lock and the target ask for, whatever was brought.
    pub wanted: Vec<Expected>,
    /// What the project itself asks for, where the lock tells that from what others require.
    pub declared: Option<BTreeSet<DistributionName>>,
    /// What selecting and bringing found.
    pub verdict: Verdict,
}

impl Default for Distributions {
    fn default() -> Self {
        Self {
            wheels: Arc::from([]),
            edges: BTreeMap::new(),
            gaps: Vec::new(),
            wanted: Vec::new(),
            declared: None,
            verdict: Verdict::default(),
        }
    }
}

/// Brings what was selected into the store.
///
/// # Errors
/// If something cannot be had. What is wrong with what is there are findings.
pub async fn bring(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    selecting: Selecting,
) -> Judged<Distributions> {
    let Selecting { target, lock, choice, selection, bindings, tells_declared, .. } = selecting;
    let now = bases.run().now();
    if let Some(denied) = denied(plan, &selection.findings, now) {
        return Ok(Err(denied));
    }
    bases.run().tell(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Fetch });
    let mut wheels = Vec::new();
    let mut findings = selection.findings.clone();
    for brought in bring_each(bases, plan, runtime, &lock, &selection.wanted, &bindings, &target).await? {
        wheels.extend(brought.wheel);
        findings.extend(brought.findings);
    }
    findings.extend(unused(&plan.manifest, &lock, &selection, &wheels));
    wheels.sort_by(|a, b| a.wheel.name.cmp(&b.wheel.name));
    let refs: Vec<&Wheel> = wheels.iter().map(|ready| &ready.wheel).collect();
    let requirements = requires(&refs, &target, &selection, &choice, runtime);
    findings.extend(requirements.findings);
    findings.extend(wheels_requiring_other_python(&refs, &target));
    if let Some(denied) = denied(plan, &findings, now) {
        return Ok(Err(denied));
    }
    let wanted = selection
        .wanted
        .iter()
        .map(|locked| Expected { name: locked.name.clone(), version: version_of(locked, &wheels) })
        .collect();
    let own = (0..lock.distributions.len()).filter(|index| lock.is_own_project(*index)).count();
    let count = lock.distributions.len() - own;
    let mut checks = vec![Check::ran(CheckName::Distributions, count, "locked distributions")];
    checks.extend(bases.told_by_twin(&plan.base).await?);
    let built = wheels.iter().filter(|ready| ready.built_from.is_some()).count();
    if built > 0 {
        checks.push(Check::ran(CheckName::Sdist, built, "source distributions built twice"));
    }
    Ok(Ok(Distributions {
        wheels: wheels.into(),
        edges: requirements.edges,
        gaps: selection.gaps,
        wanted,
        declared: tells_declared.then(|| declared(&lock, &choice)),
        verdict: Verdict { findings, checks },
    }))
}

/// The version of a distribution: a project of the workspace states its own where the lock does not.
fn version_of(locked: &Locked, wheels: &[ReadyWheel]) -> String {
    let own = wheels.iter().filter(|_| locked.place.is_some()).find(|ready| ready.wheel.name == locked.name);
    own.map_or_else(|| locked.version.clone(), |ready| ready.wheel.version.clone())
}

/// Distributions are brought side by side; the client bounds how many at once.
async fn bring_each(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    lock: &Lock,
    wanted: &[Locked],
    bindings: &Bindings,
    target: &TargetEnvironment,
) -> Result<Vec<Brought>, WheelError> {
    let builder = Builder::new(bases, plan, runtime, bindings);
    let builder = &builder;
    let network = bases.network();
    let each = wanted.iter().map(|locked| async move {
        let at = lock.place(locked);
        let found = match &locked.place {
            Some(FilePlace::Url(url)) => {
                distribution::bring_from_url(network, url, &lock.name, locked, target).await?
            }
            Some(place) => local::bring(network, plan, lock, locked, place, target).await?,
            None => return builder.bring(&lock.name, locked, target).await,
        };
        Ok(Brought::of(found, locked, &at))
    });
    futures_util::future::try_join_all(each).await
}
