//! What the digest of a plan covers.

use super::parts::Parts;
use super::read::PlanInputs;
use crate::manifest::{
    BudgetSection, CheckSection, DockerfileSection, ImageSection, Manifest, PackageSection, PythonSection,
    SmokeEvent, SourceSection, StepSection, UpstreamSection,
};
use kiln_record::{
    ArtifactKind, ArtifactName, Digest, Epoch, FORMAT_VERSION, FactChange, Input, Target, digest_of_value,
};
use serde::Serialize;

/// What a plan's digest covers. Field names are part of the digest: they change with the format version only.
#[derive(Serialize)]
struct Covered<'a> {
    format: String,
    inputs: &'a [Input],
    layers: Vec<(String, Digest)>,
    epoch: Epoch,
    definition: Digest,
    // Absent where nothing may be built, so that other plans keep their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    build_definition: Option<Digest>,
    // Absent where there are no steps, for the same reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    step_definitions: Vec<Digest>,
    rules: Option<Digest>,
    // Absent where the rules of source folders did nothing that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    ruled: Option<Digest>,
}

/// The digest of everything that decides bytes or findings.
pub(super) fn plan_digest(parts: &Parts, read: &PlanInputs, inputs: &[Input], epoch: Epoch) -> Digest {
    let steps = parts.steps.iter().map(|step| &step.base);
    value_digest(&Covered {
        format: FORMAT_VERSION.to_string(),
        inputs,
        layers: read.layers.iter().map(|layer| (layer.name.to_string(), layer.plan)).collect(),
        epoch,
        definition: parts.base.definition.digest,
        build_definition: parts.build.as_ref().map(|build| build.base.definition.digest),
        step_definitions: steps.chain(parts.recipe_bases()).map(|base| base.definition.digest).collect(),
        rules: read.rules,
        ruled: read.ruled,
    })
}

/// The digest of what a manifest states, whatever its layout and comments. `target` is what it is for, its
/// base known.
pub(super) fn manifest_digest(manifest: &Manifest, target: &Target) -> Digest {
    #[derive(Serialize)]
    struct Stated<'a> {
        name: &'a ArtifactName,
        kind: ArtifactKind,
        target: &'a Target,
        handler: &'a Option<String>,
        layers: &'a [ArtifactName],
        source: Option<&'a SourceSection>,
        // Absent where there is one source folder, so that such manifests keep their digests.
        #[serde(skip_serializing_if = "<[SourceSection]>::is_empty")]
        more_sources: &'a [SourceSection],
        #[serde(skip_serializing_if = "<[UpstreamSection]>::is_empty")]
        upstreams: &'a [UpstreamSection],
        python: &'a Option<PythonSection>,
        check: &'a CheckSection,
        #[serde(skip_serializing_if = "<[FactChange]>::is_empty")]
        environment: &'a [FactChange],
        // Absent where the manifest has no such section, so that older manifests keep their digests.
        #[serde(skip_serializing_if = "Option::is_none")]
        package: &'a Option<PackageSection>,
        #[serde(skip_serializing_if = "<[SmokeEvent]>::is_empty")]
        smoke: &'a [SmokeEvent],
        #[serde(skip_serializing_if = "Option::is_none")]
        image: &'a Option<ImageSection>,
        #[serde(skip_serializing_if = "<[StepSection]>::is_empty")]
        steps: &'a [StepSection],
        #[serde(skip_serializing_if = "Option::is_none")]
        dockerfile: Option<&'a DockerfileSection>,
        budget: &'a BudgetSection,
    }
    value_digest(&Stated {
        name: &manifest.name,
        kind: manifest.kind,
        target,
        handler: &manifest.handler,
        layers: &manifest.layers,
        source: manifest.sources.first(),
        more_sources: manifest.sources.get(1..).unwrap_or_default(),
        upstreams: &manifest.upstreams,
        python: &manifest.python,
        check: &manifest.check,
        environment: &manifest.environment,
        package: &manifest.package,
        smoke: &manifest.smoke,
        image: &manifest.image,
        steps: &manifest.steps,
        dockerfile: manifest.dockerfile(),
        budget: &manifest.budget,
    })
}

pub(super) fn value_digest<T: Serialize>(value: &T) -> Digest {
    digest_of_value(value).expect("plain structs with string keys always have a JSON form")
}
