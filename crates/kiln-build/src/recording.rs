//! Recording: everything that a build was, from the values of its stages.

use crate::BuildError;
use crate::distribution::ReadyWheel;
use crate::stage::{Verified, judge};
use crate::step;
use kiln_pack::COMPRESSOR;
use kiln_record::{FORMAT_VERSION, FileRecord, Input, InputRole, OriginSource, Output, Record};
use std::collections::BTreeMap;

/// The record of a build. It follows from the inputs alone.
pub(crate) fn record(verified: Verified, outputs: Vec<Output>) -> Result<Record, BuildError> {
    let Verified {
        plan,
        collection,
        wheels,
        layers,
        gaps,
        findings,
        checks,
        imports,
        assembled,
        measured: _,
    } = verified;
    // The record follows from the inputs alone, so the policy's exceptions are held against the artifact's own time.
    let findings = judge(&plan, &findings, plan.epoch);
    let mut inputs = plan.inputs.clone();
    // The wheel of a project in the workspace is made of an input, and is none itself.
    let is_made = |ready: &&ReadyWheel| matches!(ready.source, Some(OriginSource::Folder { .. }));
    inputs.extend(wheels.iter().filter(|ready| !is_made(ready)).flat_map(wheel_inputs));
    inputs.extend(collection.components.iter().flat_map(step::crate_inputs));
    inputs.extend(layers.iter().map(|layer| Input {
        role: InputRole::Layer,
        name: layer.name.to_string(),
        digest: layer.collection.tree.digest(),
    }));
    inputs.sort();
    inputs.dedup();
    let compressor = assembled.as_ref().map_or(COMPRESSOR, |assembled| assembled.codec.id());
    let tools = BTreeMap::from([
        ("compressor".to_owned(), compressor.to_owned()),
        ("kiln".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let mut components = collection.components.clone();
    if let Some(assembled) = &assembled {
        components.extend(assembled.components.iter().cloned());
        components.sort_by(|a, b| a.id.cmp(&b.id));
    }
    Ok(Record {
        format: FORMAT_VERSION,
        artifact: plan.manifest.name.clone(),
        kind: plan.manifest.kind,
        target: plan.target.clone(),
        handler: plan.manifest.handler.clone(),
        layers: plan.manifest.layers.clone(),
        plan: plan.digest,
        epoch: plan.epoch,
        inputs,
        tree: collection.tree.digest(),
        unpacked_size: collection.tree.size(),
        image: assembled.map(|assembled| assembled.record),
        files: collection
            .tree
            .iter()
            .filter_map(|(path, entry)| {
                let component = collection.owners.get(path)?.clone();
                Some(FileRecord { path: path.clone(), entry: entry.clone(), component })
            })
            .collect(),
        components,
        gaps,
        transformations: collection.transformations.clone(),
        findings,
        checks,
        imports,
        tools,
        outputs,
    })
}

/// What a wheel brought into the build: itself, or what it was built from and with.
fn wheel_inputs(ready: &ReadyWheel) -> Vec<Input> {
    let Some(built) = &ready.built_from else {
        let name = ready.file_name.clone();
        return vec![Input { role: InputRole::Distribution, name, digest: ready.digest }];
    };
    let (sdist, requirements) = (&built.sdist, built.requirements.iter());
    let sdist = Input { role: InputRole::Sdist, name: sdist.file_name.clone(), digest: sdist.digest };
    let requirements = requirements.map(|requirement| Input {
        role: InputRole::BuildRequirement,
        name: requirement.file_name.clone(),
        digest: requirement.digest,
    });
    std::iter::once(sdist).chain(requirements).collect()
}
