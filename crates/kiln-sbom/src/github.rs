//! The packages of an artifact as GitHub's dependency graph takes them: a snapshot of one commit, made by one job.
//!
//! Source: GitHub's documentation, "REST API endpoints for dependency submission". Whatever advisories it has for a package of these
//! lists are alerts of the repository from then on.

use crate::SbomError;
use crate::graph::Graph;
use crate::model::Component;
use crate::spec_version::SpecVersion;
use kiln_record::{ComponentId, Ecosystem, Epoch, InputRole, Record, canonical_json};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a snapshot is of, and who makes it.
#[derive(Clone, Copy, Debug)]
pub struct GithubRun<'a> {
    /// The commit, in hexadecimal.
    pub commit: &'a str,
    /// The reference that it is of, such as `refs/heads/main`.
    pub reference: &'a str,
    /// The number of the run.
    pub run: &'a str,
    /// What all runs of the job share. The newest snapshot of one artifact and job replaces those before it.
    pub job: &'a str,
    /// When, by the clock of who makes it.
    pub time: Epoch,
}

/// The version of the form.
const VERSION: u32 = 0;

/// Writes the snapshot. It is of a run and dated, unlike all other documents here.
///
/// # Errors
/// As [`crate::cyclonedx`].
pub fn github(record: &Record, run: &GithubRun<'_>) -> Result<Vec<u8>, SbomError> {
    let graph = Graph::new(record);
    let components = graph.components(SpecVersion::default())?;
    let urls: BTreeMap<&str, &str> = components.iter().filter_map(in_a_registry).collect();
    let edges: BTreeMap<String, Vec<String>> = graph
        .dependencies(SpecVersion::default())
        .into_iter()
        .map(|edge| (edge.reference, edge.depends_on))
        .collect();
    let needs = |reference: &str| edges.get(reference).into_iter().flatten().map(String::as_str);
    let own = ComponentId::new(Ecosystem::Application, record.artifact.as_str());
    let direct: BTreeSet<&str> = needs(&graph.primary).chain(needs(own.as_str())).collect();
    let mut resolved: BTreeMap<&str, Package<'_>> = BTreeMap::new();
    for component in &components {
        let Some((reference, url)) = in_a_registry(component) else { continue };
        let package = resolved.entry(url).or_insert(Package {
            package_url: url,
            relationship: "indirect",
            scope: "development",
            dependencies: BTreeSet::new(),
        });
        if direct.contains(reference) {
            package.relationship = "direct";
        }
        // A part that its own holder excludes is there for its tests.
        if component.scope != Some("excluded") {
            package.scope = "runtime";
        }
        package.dependencies.extend(needs(reference).filter_map(|needed| urls.get(needed).copied()));
    }
    let named = |role: InputRole| record.inputs.iter().find(|input| input.role == role);
    let source = named(InputRole::Lock).or_else(|| named(InputRole::Manifest));
    let snapshot = Snapshot {
        version: VERSION,
        sha: run.commit,
        reference: run.reference,
        job: Job { id: run.run, correlator: format!("{} {}", run.job, record.artifact) },
        detector: Detector {
            name: "kiln",
            version: record.tools.get("kiln").map_or("unknown", String::as_str),
            url: crate::BUILDER_ID,
        },
        scanned: run.time.to_string(),
        manifests: BTreeMap::from([(
            record.artifact.as_str(),
            Manifest {
                name: record.artifact.as_str(),
                file: source.map(|input| File { source_location: &input.name }),
                resolved,
            },
        )]),
    };
    Ok(canonical_json(&snapshot)?)
}

/// The reference and package URL of what a registry has; of a generic package there are no advisories.
fn in_a_registry(component: &Component) -> Option<(&str, &str)> {
    let url = component.purl.as_deref().filter(|url| !url.starts_with("pkg:generic/"))?;
    Some((component.bom_ref.as_deref()?, url))
}

#[derive(Serialize)]
struct Snapshot<'a> {
    version: u32,
    sha: &'a str,
    #[serde(rename = "ref")]
    reference: &'a str,
    job: Job<'a>,
    detector: Detector<'a>,
    scanned: String,
    manifests: BTreeMap<&'a str, Manifest<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    id: &'a str,
    correlator: String,
}

#[derive(Serialize)]
struct Detector<'a> {
    name: &'a str,
    version: &'a str,
    url: &'a str,
}

#[derive(Serialize)]
struct Manifest<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File<'a>>,
    resolved: BTreeMap<&'a str, Package<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    source_location: &'a str,
}

#[derive(Serialize)]
struct Package<'a> {
    package_url: &'a str,
    relationship: &'static str,
    scope: &'static str,
    dependencies: BTreeSet<&'a str>,
}
