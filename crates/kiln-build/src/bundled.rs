//! The crates that the distributions of artifacts have inside, as far as their wheels tell.

use crate::BuildError;
use crate::inputs::{layers_first, planned};
use crate::prepare::{Prepared, choose};
use kiln_collect::Denied;
use kiln_guest::{Bases, EngineSlot, target_runtime};
use kiln_invocation::{Environment, Event, Events, Stage, lock, read_usable_workspace};
use kiln_plan::NamedCrate;
use kiln_python::LayerContent;
use kiln_record::{ArtifactName, Digest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the distributions of a workspace have inside.
#[derive(Clone, Debug, Default)]
pub struct BundledCrates {
    /// The crates.
    pub crates: BTreeSet<NamedCrate>,
    /// The artifacts that cannot be built, so that nothing is known of theirs, each with the reason.
    pub left_out: BTreeMap<ArtifactName, String>,
}

/// Brings the wheels of every artifact of the workspace, and reads which crates they have inside.
///
/// # Errors
/// If a wheel cannot be had.
pub async fn bundled_crates(
    environment: &Environment,
    events: &Events,
    engine: EngineSlot,
) -> Result<BundledCrates, BuildError> {
    let lock = lock(environment, events).await?;
    let workspace = Arc::new(read_usable_workspace(&environment.root)?);
    let all: Vec<ArtifactName> = workspace.manifests.keys().cloned().collect();
    let mut found = BundledCrates::default();
    for (name, problems) in &workspace.broken {
        let reason = problems.first().map(ToString::to_string).unwrap_or_default();
        found.left_out.insert(name.clone(), reason);
    }
    let bases = Bases::open(environment, events, engine, lock)?;
    let _stop = bases.run().stop_on_drop();
    let mut prepared: BTreeMap<ArtifactName, Prepared> = BTreeMap::new();
    let mut contents: BTreeMap<ArtifactName, LayerContent> = BTreeMap::new();
    let mut wheels: BTreeMap<Digest, String> = BTreeMap::new();
    for name in layers_first(&workspace, choose(&workspace, Some(&all))?) {
        events.send(Event::Stage { artifact: name.clone(), stage: Stage::Plan });
        let planned = match planned(&bases, &workspace, &name, &prepared).await {
            Ok(planned) => planned,
            Err(BuildError::Denied(finding)) => {
                found.left_out.insert(name, finding.cause);
                continue;
            }
            Err(error) => return Err(error),
        };
        if planned.plan.manifest.python.is_some() {
            let plan = &planned.plan;
            let layers = plan.manifest.layers.iter().filter_map(|layer| contents.get(layer).cloned());
            let runtime = target_runtime(&bases, &plan.manifest, &plan.base).await?;
            let brought = match kiln_wheel::inputs(&bases, plan, &runtime, layers.collect()).await? {
                Ok(brought) => brought,
                Err(Denied(findings)) => {
                    let cause = findings.into_iter().next().map(|finding| finding.cause);
                    found.left_out.insert(name, cause.unwrap_or_default());
                    continue;
                }
            };
            // What source distributions are built with is not in what is built.
            let is_wanted = |file: &str| {
                let name = file.split('-').next().and_then(|name| name.parse().ok());
                file.ends_with(".whl") && name.is_some_and(|name| brought.distributions.contains_key(&name))
            };
            let files = brought.files.iter().filter(|(file, _)| is_wanted(file));
            wheels.extend(files.map(|(file, digest)| (*digest, file.clone())));
            let content = LayerContent { name: name.clone(), distributions: brought.distributions };
            contents.insert(name.clone(), content);
        }
        prepared.insert(name, planned);
    }
    for (digest, file_name) in wheels {
        found.crates.extend(kiln_wheel::bundled_crates(bases.network(), &file_name, digest).await?);
    }
    Ok(found)
}
