//! Provenance: an in-toto statement (v1) with a SLSA provenance predicate (v1), on one line.

use crate::component::pypi_url;
use crate::recipe::{digest_is_of_bytes, role};
use crate::{SbomError, text};
use kiln_record::{
    ComponentId, Ecosystem, ImageRuns, Input, InputRole, MadeBy, MadeFrom, OriginSource, Record,
    canonical_json,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The statement's type (in-toto attestation specification).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The predicate's type (SLSA specification, provenance v1).
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What kind of build the parameters describe: kiln's, of this major format version.
pub const BUILD_TYPE: &str = "urn:kiln:build:1";
/// The builder. It names the program, not a service: what to trust is the rebuild, not the host.
pub const BUILDER_ID: &str = "urn:kiln:builder";

/// Writes the provenance of a recorded artifact: one line of JSON with sorted keys, ready for an `.intoto.jsonl` file.
///
/// It says what a rebuild needs (inputs by digest, target, tools) and nothing about the run: no time, host or user, so
/// equal records give equal bytes.
///
/// # Errors
/// [`SbomError::NoArchive`] if the record lists no output.
pub fn provenance(record: &Record) -> Result<Vec<u8>, SbomError> {
    if record.archive().is_none() {
        return Err(SbomError::NoArchive { artifact: record.artifact.to_string() });
    }
    let statement = Statement {
        kind: STATEMENT_TYPE,
        subject: subjects(record),
        predicate_type: PREDICATE_TYPE,
        predicate: Predicate {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE,
                external_parameters: External {
                    artifact: record.artifact.to_string(),
                    kind: record.kind.as_str(),
                    runtime: &record.target.runtime,
                    architecture: record.target.architecture.lambda(),
                    handler: record.handler.as_deref(),
                    manifest: named(record, InputRole::Manifest).next(),
                    source: named(record, InputRole::Source).collect(),
                    runs: record.image.as_ref().map(|image| &image.runs),
                    layers: record.layers.iter().map(ToString::to_string).collect(),
                },
                internal_parameters: Internal {
                    format: record.format.to_string(),
                    plan: record.plan.to_string(),
                    epoch: record.epoch.to_string(),
                    tree: record.tree.to_string(),
                    tools: &record.tools,
                    steps: steps(record),
                    transformations: record
                        .transformations
                        .iter()
                        .map(|rule| (rule.rule.as_str(), rule.version))
                        .collect(),
                },
                resolved_dependencies: dependencies(record)?,
            },
            run_details: RunDetails { builder: Builder { id: BUILDER_ID, version: &record.tools } },
        },
    };
    // The canonical form sorts keys; reading it back and writing it densely keeps that order on one line.
    let value: Value = serde_json::from_slice(&canonical_json(&statement)?)?;
    let mut line = serde_json::to_vec(&value)?;
    line.push(b'\n');
    Ok(line)
}

/// What the statement is about: the published files, and an image by the digest of its manifest, which is what registries
/// and engines know it by.
fn subjects(record: &Record) -> Vec<Descriptor> {
    let files = record.outputs.iter().map(|output| Descriptor {
        name: text::line(&output.file_name),
        uri: None,
        digest: BTreeMap::from([("sha256", output.digest.hex())]),
        media_type: Some(output.media_type.clone()),
        annotations: None,
    });
    let image = record.image.as_ref().map(|image| Descriptor {
        name: record.artifact.to_string(),
        uri: None,
        digest: BTreeMap::from([("sha256", image.manifest.hex())]),
        media_type: Some("application/vnd.oci.image.manifest.v1+json".to_owned()),
        annotations: None,
    });
    files.chain(image).collect()
}

fn dependencies(record: &Record) -> Result<Vec<Descriptor>, SbomError> {
    let mut packages: BTreeMap<&str, String> = BTreeMap::new();
    for component in &record.components {
        if component.ecosystem != Ecosystem::Python {
            continue;
        }
        let built = component.built_from.as_ref();
        let file = built.map(|built| &built.sdist).or(component.origin.as_ref());
        // What a folder of the workspace gave is in no index.
        if let Some(file) = file.filter(|file| !matches!(file.source, Some(OriginSource::Folder { .. }))) {
            let purl = pypi_url(&component.name, component.version.as_deref(), Some(&file.file_name))?;
            packages.insert(&file.file_name, purl);
        }
        for one in built.iter().flat_map(|built| &built.requirements) {
            packages.insert(&one.file_name, pypi_url(&one.name, Some(&one.version), Some(&one.file_name))?);
        }
    }
    Ok(record.inputs.iter().map(|input| dependency(record, &packages, input)).collect())
}

/// Something that went in, with where it is to be had: a package URL, or the address of a repository.
fn dependency(record: &Record, packages: &BTreeMap<&str, String>, input: &Input) -> Descriptor {
    // in-toto lets a digest of another kind have its own name, so that nobody checks it with sha256sum in vain.
    let algorithm = if digest_is_of_bytes(input.role) { "sha256" } else { "kilnCanonical1" };
    let mut digest = BTreeMap::from([(algorithm, input.digest.hex())]);
    let mut uri = match input.role {
        InputRole::Distribution | InputRole::Sdist | InputRole::BuildRequirement => {
            packages.get(input.name.as_str()).cloned()
        }
        InputRole::Crate => crate_url(&input.name),
        _ => None,
    };
    if input.role == InputRole::Upstream {
        let id = ComponentId::new(Ecosystem::Application, &input.name);
        let component = record.components.iter().find(|component| component.id == id);
        if let Some(upstream) = component.and_then(|component| component.upstream.as_ref()) {
            // SPDX download locations, which SLSA uses for sources: `git+<address>@<revision>`.
            uri = Some(text::line(&format!("git+{}@{}", upstream.git, upstream.revision)));
            digest.insert("gitCommit", upstream.commit.clone());
        }
    }
    Descriptor {
        name: text::line(&input.name),
        uri: Some(uri.unwrap_or_else(|| place(input))),
        digest,
        media_type: None,
        annotations: Some(BTreeMap::from([("role", role(input.role))])),
    }
}

/// The names of the inputs of a role.
fn named(record: &Record, role: InputRole) -> impl Iterator<Item = String> {
    record.inputs.iter().filter(move |input| input.role == role).map(|input| text::line(&input.name))
}

/// Where an input is that no registry has: in the workspace, by its path from there; a base, by the name of its definition and lock
/// in `images/`; another artifact of the workspace.
fn place(input: &Input) -> String {
    let kind = match input.role {
        InputRole::Base | InputRole::BuildBase | InputRole::StepBase | InputRole::BaseRelease => "base",
        InputRole::Layer => "artifact",
        _ => "workspace",
    };
    let mut urn = format!("urn:kiln:{kind}:");
    for byte in input.name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                urn.push(char::from(byte))
            }
            other => urn.push_str(&format!("%{other:02X}")),
        }
    }
    urn
}

/// What ran in containers to make files, each once.
fn steps(record: &Record) -> Vec<Step<'_>> {
    let made = record.components.iter().filter_map(|component| component.made_by.as_ref());
    let by_digest: BTreeMap<_, &MadeBy> = made.map(|step| (step.digest, step)).collect();
    let steps = by_digest.into_values().map(|step| Step {
        digest: step.digest.to_string(),
        base: &step.base,
        base_digest: step.base_digest.to_string(),
        argv: &step.argv,
        inputs: &step.inputs,
        rules: step.rules,
    });
    steps.collect()
}

/// The package URL of a crate by the name of its archive: `gimli-0.31.1.crate`.
fn crate_url(file_name: &str) -> Option<String> {
    let stem = file_name.strip_suffix(".crate")?;
    let at = stem.match_indices('-').map(|(at, _)| at).find(|at| {
        let major = stem[at + 1..].split('.').next().unwrap_or_default();
        !major.is_empty() && major.bytes().all(|c| c.is_ascii_digit()) && stem[at + 1..].contains('.')
    })?;
    Some(format!("pkg:cargo/{}@{}", &stem[..at], stem[at + 1..].replace('+', "%2B")))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Descriptor>,
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'static str, &'static str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: External<'a>,
    internal_parameters: Internal<'a>,
    resolved_dependencies: Vec<Descriptor>,
}

#[derive(Serialize)]
struct External<'a> {
    artifact: String,
    kind: &'static str,
    runtime: &'a str,
    architecture: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<&'a str>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    source: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<&'a ImageRuns>,
}

#[derive(Serialize)]
struct Internal<'a> {
    format: String,
    plan: String,
    epoch: String,
    tree: String,
    tools: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step<'a>>,
    // The rules by which packing left out or changed something, with their versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    transformations: BTreeMap<&'a str, u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Step<'a> {
    digest: String,
    base: &'a str,
    base_digest: String,
    argv: &'a [String],
    inputs: &'a BTreeMap<String, MadeFrom>,
    rules: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunDetails<'a> {
    builder: Builder<'a>,
}

#[derive(Serialize)]
struct Builder<'a> {
    id: &'static str,
    version: &'a BTreeMap<String, String>,
}
