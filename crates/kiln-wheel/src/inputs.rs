//! What an artifact's distributions are made of: brought into the store, with the choices that were made among what the lock
//! names. Nothing is built.

use crate::bring::distribution::{self, Chosen, Found};
use crate::choose::select_for;
use crate::sdist::{BuildEnvironment, Builder, ChosenSdist, Source};
use crate::{Judged, WheelError};
use kiln_collect::{Denied, denied};
use kiln_guest::Bases;
use kiln_plan::ArtifactPlan;
use kiln_python::{FilePlace, LayerContent, Locked, TargetEnvironment};
use kiln_record::{Defect, Digest, DistributionName, Runtime};
use kiln_store::{Memo, Store};
use std::collections::BTreeMap;

/// The kinds of what is remembered of a choice among locked files, as the store names them.
pub const CHOICES: [&str; 2] = [Chosen::KIND, ChosenSdist::KIND];

/// The files that distributions are made of.
#[derive(Clone, Debug, Default)]
pub struct DistributionInputs {
    /// What is wanted, with the versions of the lock.
    pub distributions: BTreeMap<DistributionName, String>,
    /// Each file of the store, by its name.
    pub files: Vec<(String, Digest)>,
    /// What the choices among locked files are remembered by: the kind and the key.
    pub choices: Vec<(&'static str, Digest)>,
}

impl DistributionInputs {
    fn choice(&mut self, store: &Store, key: Digest) -> Result<(), WheelError> {
        if let Some(chosen) = store.recall::<Chosen>(&key)? {
            self.files.push((chosen.file_name, chosen.digest));
            self.choices.push((Chosen::KIND, key));
        }
        Ok(())
    }

    fn choose(
        &mut self,
        store: &Store,
        locked: &Locked,
        target: &TargetEnvironment,
    ) -> Result<(), WheelError> {
        let key = distribution::choice_key(locked, &distribution::locked_hashes(locked), target)?;
        self.choice(store, key)
    }
}

/// Brings the files that the distributions of a plan are made of into the store: wheels, source distributions, and what those
/// are built with. `layers` are what the artifact's layers hold.
///
/// # Errors
/// If something cannot be had. What denies the build denies this, too.
pub async fn inputs(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    layers: Vec<LayerContent>,
) -> Judged<DistributionInputs> {
    let mut inputs = DistributionInputs::default();
    let selecting = match select_for(bases, plan, runtime, layers).await? {
        Ok(Some(selecting)) => selecting,
        Ok(None) => return Ok(Ok(inputs)),
        Err(denied) => return Ok(Err(denied)),
    };
    let now = bases.run().now();
    if let Some(denied) = denied(plan, &selecting.selection.findings, now) {
        return Ok(Err(denied));
    }
    let wanted = selecting.selection.wanted.iter();
    inputs.distributions = wanted.map(|locked| (locked.name.clone(), locked.version.clone())).collect();
    let (store, network) = (bases.store(), bases.network());
    let builder = Builder::new(bases, plan, runtime, &selecting.bindings);
    let mut findings = Vec::new();
    let mut build = None;
    for locked in &selecting.selection.wanted {
        match &locked.place {
            Some(FilePlace::Url(url)) => {
                let found = distribution::bring_from_url(
                    network,
                    url,
                    &selecting.lock.name,
                    locked,
                    &selecting.target,
                );
                match found.await? {
                    Found::Finding(finding) | Found::IfAccepted(_, finding) => findings.push(*finding),
                    Found::Wheel(_) | Found::NoWheel(_) => {}
                }
                inputs.choose(store, locked, &selecting.target)?;
            }
            // They lie in the workspace.
            Some(_) => {}
            None => match builder.source(&selecting.lock.name, locked, &selecting.target).await? {
                Source::Wheel(brought) => {
                    findings.extend(brought.findings);
                    inputs.choose(store, locked, &selecting.target)?;
                }
                Source::Sdist(with, chosen) => {
                    build = Some(with);
                    inputs.files.push((chosen.file.file_name, chosen.file.digest));
                    let hashes = distribution::locked_hashes(locked);
                    let key = distribution::choice_key(locked, &hashes, &selecting.target)?;
                    inputs.choices.push((ChosenSdist::KIND, key));
                }
            },
        }
    }
    if let Some(denied) = denied(plan, &findings, now) {
        return Ok(Err(denied));
    }
    if let Some(build) = build {
        match BuildEnvironment::prepare(bases, plan, runtime, build).await? {
            Ok(environment) => {
                for key in &environment.choices {
                    inputs.choice(store, *key)?;
                }
                let named = inputs.files.iter().map(|(_, digest)| *digest).collect::<Vec<_>>();
                if let Some(lost) = environment.wheels.iter().find(|wheel| !named.contains(&wheel.digest)) {
                    return Err(Defect::new(format!("{} was brought by no choice", lost.file_name)).into());
                }
            }
            Err(findings) => return Ok(Err(Denied(findings))),
        }
    }
    Ok(Ok(inputs))
}
