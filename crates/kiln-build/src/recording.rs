//! Recording: everything that a build was, from the values of its stages.

use crate::stage::Judgement;
use crate::{BuildError, archives};
use kiln_collect::{BroughtBy, Part, Verdict, judge_whole};
use kiln_invocation::{InvocationError, WORKSPACE_FILE};
use kiln_pack::COMPRESSOR;
use kiln_plan::{InvalidFiles, PinnedBase, Problem};
use kiln_publish::PublishError;
use kiln_record::{ComponentId, FORMAT_VERSION, FileRecord, Input, InputRole, OriginSource, Output, Record};
use std::collections::{BTreeMap, BTreeSet};

/// The record of a build by one kiln. It follows from the inputs alone. `hashes` are the SHA-512 of components that are one file.
pub(crate) fn record(
    judgement: Judgement,
    outputs: Vec<Output>,
    hashes: &BTreeMap<ComponentId, String>,
    kiln: &str,
) -> Result<Record, BuildError> {
    let Judgement {
        plan,
        collection,
        parts,
        layers,
        gaps,
        verdict,
        imports,
        binaries,
        assembled,
        measured: _,
    } = judgement;
    let Verdict { findings, checks } = verdict;
    // The record follows from the inputs alone, so the policy's exceptions are held against the artifact's own time.
    let findings = judge_whole(&plan, &findings, plan.epoch);
    let mut inputs = plan.inputs.clone();
    inputs.extend(
        parts.iter().filter(|part| part.brought_by == BroughtBy::Distribution).flat_map(wheel_inputs),
    );
    inputs.extend(collection.components.iter().flat_map(kiln_step::crate_inputs));
    inputs.extend(plan.bases().into_iter().flat_map(PinnedBase::recipe));
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
        ("kiln".to_owned(), kiln.to_owned()),
    ]);
    let mut components = collection.components.clone();
    for component in &mut components {
        component.file_sha512 = hashes.get(&component.id).cloned();
        archives::of_stated(&plan.crates, component);
    }
    if let Some(assembled) = &assembled {
        components.extend(assembled.components.iter().cloned());
        components.sort_by(|a, b| a.id.cmp(&b.id));
    }
    let record = Record {
        format: FORMAT_VERSION,
        artifact: plan.manifest.name.clone(),
        kind: plan.manifest.kind,
        target: plan.target.clone(),
        handler: plan.manifest.handler.clone(),
        layers: plan.manifest.layers.clone(),
        environment: plan.manifest.environment.clone(),
        plan: plan.digest,
        epoch: plan.epoch,
        organization: plan.organization.clone(),
        stated: plan.components.clone(),
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
        binaries,
        gaps,
        transformations: collection.transformations.clone(),
        policy: plan.policy.stated(),
        findings,
        checks,
        imports,
        tools,
        outputs,
    };
    let contradicted = kiln_sbom::contradicted(&record).map_err(PublishError::from)?;
    if !contradicted.is_empty() {
        // What several parts have inside is told once.
        let contradicted: BTreeSet<_> = contradicted.into_iter().collect();
        let problems = contradicted.into_iter().map(|(purl, name, known)| {
            let message = format!(
                "`component` states an archive of `{purl}` with another digest than {name} has, {known}"
            );
            Problem::in_file(WORKSPACE_FILE, message).help(
                "what is stated fills gaps: remove `archive` and its hashes, or state the file that it is",
            )
        });
        return Err(InvocationError::from(InvalidFiles(problems.collect())).into());
    }
    // A statement about what is not in it is none of its business.
    let stated = kiln_sbom::concerned(&record).map_err(PublishError::from)?;
    Ok(Record { stated, ..record })
}

/// What a wheel brought into the build: itself, or what it was built from and with. That of a project in the workspace is
/// made of an input, and is none itself.
fn wheel_inputs(part: &Part) -> Vec<Input> {
    let Some(origin) = &part.component.origin else { return Vec::new() };
    if matches!(origin.source, Some(OriginSource::Folder { .. })) {
        return Vec::new();
    }
    let Some(built) = &part.component.built_from else {
        let name = origin.file_name.clone();
        return vec![Input { role: InputRole::Distribution, name, digest: origin.digest }];
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
