//! How the artifact was made, as CycloneDX formulation: what went in, by digest, and one workflow that joins it.

use crate::model::{Component, Formula, Hash, Property, Resource, Workflow, WorkflowEnd};
use crate::text;
use kiln_record::{Input, InputRole, Record};
use std::collections::BTreeMap;

/// The recipe. Wheels are not repeated here: each is a component of the document with the same digests.
pub(crate) fn formula(record: &Record, primary: &str) -> Formula {
    // By reference: two inputs of one role and name, which only a record from elsewhere holds, would share one.
    let components: BTreeMap<String, Component> = record
        .inputs
        .iter()
        .filter(|input| input.role != InputRole::Distribution)
        .map(|input| (format!("input/{}/{}", role(input.role), text::line(&input.name)), input))
        .map(|(reference, input)| (reference.clone(), component(reference, input)))
        .collect();
    let inputs = components
        .keys()
        .map(|reference| WorkflowEnd { kind: None, resource: Resource { reference: reference.clone() } })
        .collect();
    Formula {
        bom_ref: "recipe",
        workflows: vec![Workflow {
            bom_ref: "recipe/build",
            uid: record.plan.to_string(),
            name: "kiln build",
            task_types: vec!["build"],
            inputs,
            outputs: vec![WorkflowEnd {
                kind: Some("artifact"),
                resource: Resource { reference: primary.to_owned() },
            }],
            properties: vec![
                Property::new("kiln:format", record.format),
                Property::new("kiln:network", "none"),
                Property::new("kiln:plan", record.plan),
            ],
        }],
        components: components.into_values().collect(),
    }
}

fn component(reference: String, input: &Input) -> Component {
    let role = role(input.role);
    let name = text::line(&input.name);
    // These digests are not of a file's bytes: a tree has its own digest, a manifest that of its canonical form.
    let of_bytes = digest_is_of_bytes(input.role);
    Component {
        kind: match input.role {
            InputRole::Base | InputRole::BuildBase | InputRole::StepBase => "container",
            InputRole::Layer | InputRole::Sdist | InputRole::BuildRequirement | InputRole::Crate => "library",
            _ => "file",
        },
        bom_ref: Some(reference),
        version: Some(input.digest.to_string()),
        hashes: if of_bytes {
            vec![Hash { alg: "SHA-256", content: input.digest.hex() }]
        } else {
            Vec::new()
        },
        properties: vec![Property::new("kiln:role", role)],
        name,
        ..Component::default()
    }
}

/// Whether an input's digest is the SHA-256 of bytes that anyone can hash again with a standard tool.
pub(crate) fn digest_is_of_bytes(role: InputRole) -> bool {
    matches!(
        role,
        InputRole::Base
            | InputRole::Lock
            | InputRole::Project
            | InputRole::Distribution
            | InputRole::Check
            | InputRole::Sdist
            | InputRole::BuildBase
            | InputRole::BuildLock
            | InputRole::BuildRequirement
            | InputRole::StepBase
            | InputRole::Crate
            | InputRole::BaseRelease
    )
}

/// The name of a role, as records write it.
pub(crate) fn role(role: InputRole) -> &'static str {
    match role {
        InputRole::Manifest => "manifest",
        InputRole::Settings => "settings",
        InputRole::Base => "base",
        InputRole::Lock => "lock",
        InputRole::Project => "project",
        InputRole::Source => "source",
        InputRole::Upstream => "upstream",
        InputRole::Distribution => "distribution",
        InputRole::Layer => "layer",
        InputRole::Check => "check",
        InputRole::Sdist => "sdist",
        InputRole::BuildBase => "build-base",
        InputRole::BuildLock => "build-lock",
        InputRole::BuildRequirement => "build-requirement",
        InputRole::StepBase => "step-base",
        InputRole::StepSource => "step-source",
        InputRole::Dockerfile => "dockerfile",
        InputRole::Crate => "crate",
        InputRole::BaseDefinition => "base-definition",
        InputRole::BaseLock => "base-lock",
        InputRole::BaseRelease => "base-release",
    }
}
