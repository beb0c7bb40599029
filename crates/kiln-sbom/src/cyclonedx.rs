//! The CycloneDX document of an artifact (ECMA-424; JSON schemas 1.5 to 1.7).

use crate::component::sha512;
use crate::graph::Graph;
use crate::model::{Bom, Component, Hash, Lifecycle, Metadata, Property, Tools};
use crate::organization::{own_license, package_url};
use crate::spec_version::SpecVersion;
use crate::stated::{contradicts, is_about};
use crate::unknown::say_unknown;
use crate::{SbomError, license, organization, recipe, text};
use kiln_record::{ComponentStatement, Gap, Output, Record, canonical_json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The document's media type (IANA).
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// The licence of the document, as of every SPDX document: what it says may be passed on.
pub(crate) const DATA_LICENSE: &str = "CC0-1.0";

/// Writes the bill of materials of a recorded artifact as canonical JSON.
///
/// The serial number is a UUID version 5 of the archive's digest and of the document itself, so equal records give
/// equal bytes and any change gives a new number. The timestamp is the record's epoch.
///
/// # Errors
/// [`SbomError::NoArchive`] if the record lists no output; [`SbomError::PackageUrl`] for a component whose name cannot
/// be one.
pub fn cyclonedx(record: &Record, version: SpecVersion) -> Result<Vec<u8>, SbomError> {
    document(record, version, Vec::new())
}

/// The same document with properties of whoever it is written for beside its own.
pub(crate) fn document(
    record: &Record,
    version: SpecVersion,
    properties: Vec<Property>,
) -> Result<Vec<u8>, SbomError> {
    let archive =
        record.archive().ok_or_else(|| SbomError::NoArchive { artifact: record.artifact.to_string() })?;
    let graph = Graph::new(record);
    let maker = record.organization.as_ref().map(organization::maker);
    let primary = graph.primary.clone();
    let mut bom = Bom {
        schema: version.schema(),
        bom_format: "CycloneDX",
        spec_version: version.as_str(),
        serial_number: None,
        version: 1,
        metadata: Metadata {
            timestamp: record.epoch.to_string(),
            lifecycles: vec![Lifecycle { phase: "build" }],
            tools: Tools { components: tools(record) },
            component: known_or_not(Component {
                kind: if record.image.is_some() { "container" } else { "application" },
                bom_ref: Some(primary.clone()),
                supplier: maker.clone(),
                manufacturer: maker.clone().filter(|_| version >= SpecVersion::V1_6),
                licenses: own_license(record, version),
                purl: Some(package_url(record)?),
                name: record.artifact.to_string(),
                // An artifact has no version of its own: its bytes are.
                version: Some(archive.digest.to_string()),
                hashes: archive_hashes(archive),
                properties: primary_properties(record),
                ..Component::default()
            }),
            authors: record.organization.as_ref().map(organization::author).into_iter().collect(),
            manufacturer: maker.clone().filter(|_| version >= SpecVersion::V1_6),
            supplier: maker,
            licenses: license::of_words(DATA_LICENSE, SpecVersion::V1_5),
            properties: record
                .gaps
                .iter()
                .map(gap_property)
                .chain(properties)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        },
        components: graph.components(version)?,
        dependencies: graph.dependencies(version),
        compositions: graph.compositions(version),
        formulation: vec![recipe::formula(record, &primary)],
    };
    let mut name = archive.digest.as_bytes().to_vec();
    name.extend(canonical_json(&bom)?);
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, MEDIA_TYPE.as_bytes());
    bom.serial_number = Some(format!("urn:uuid:{}", Uuid::new_v5(&namespace, &name)));
    Ok(canonical_json(&bom)?)
}

/// The digests of what is delivered.
pub(crate) fn archive_hashes(archive: &Output) -> Vec<Hash> {
    let sha256 = Hash { alg: "SHA-256", content: archive.digest.hex() };
    std::iter::once(sha256).chain(sha512(archive.sha512.as_deref())).collect()
}

fn known_or_not(mut component: Component) -> Component {
    say_unknown(&mut component);
    component
}

/// What made the document, first, and what took part: readers call the first the generator.
fn tools(record: &Record) -> Vec<Component> {
    let (kiln, others): (Vec<_>, Vec<_>) = record.tools.iter().partition(|(name, _)| *name == "kiln");
    kiln.into_iter()
        .chain(others)
        .map(|(name, version)| Component {
            kind: if name == "kiln" { "application" } else { "library" },
            name: text::line(named_in(version).map_or(name, |(name, _)| name)),
            version: Some(text::line(named_in(version).map_or(version, |(_, version)| version))),
            // What part it took and how, in the record's words.
            description: named_in(version).map(|_| text::line(&format!("{name}: {version}"))),
            ..Component::default()
        })
        .collect()
}

/// The program and its version in words such as `gzip of libdeflate 1.26.1 level 6`: readers take whatever is called a version for one.
fn named_in(words: &str) -> Option<(&str, &str)> {
    let is_version =
        |word: &str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let words: Vec<&str> = words.split(' ').collect();
    let found = words.windows(2).find(|pair| is_version(pair[1]) && !pair[0].is_empty());
    found.map(|pair| (pair[0], pair[1]))
}

fn primary_properties(record: &Record) -> Vec<Property> {
    let mut properties = vec![
        Property::new("kiln:architecture", record.target.architecture.lambda()),
        Property::new("kiln:bytes", record.unpacked_size),
        Property::new("kiln:files", record.files.len()),
        Property::new("kiln:format", record.format),
        Property::new("kiln:kind", record.kind),
        Property::new("kiln:tree", record.tree),
    ];
    match &record.image {
        None => properties.push(Property::new("kiln:runtime", text::line(&record.target.runtime))),
        Some(image) => properties.extend([
            Property::new("kiln:image:base", text::line(&image.base.reference)),
            Property::new("kiln:image:base:bytes", image.base.bytes),
            Property::new("kiln:image:base:manifest", image.base.manifest),
            Property::new("kiln:image:base:unowned-bytes", image.base.unowned_bytes),
            Property::new("kiln:image:config", image.config),
            Property::new("kiln:image:manifest", image.manifest),
            Property::new("kiln:image:unpacked", image.unpacked_size),
        ]),
    }
    if let Some(archive) = record.archive() {
        properties.push(Property::new("bsi:component:archive", "archive"));
        properties.push(Property::new("bsi:component:executable", "non-executable"));
        properties.push(Property::new("bsi:component:filename", text::line(&archive.file_name)));
        properties.push(Property::new("bsi:component:structured", "structured"));
        properties.push(Property::new("kiln:archive:size", archive.size));
    }
    if let Some(handler) = &record.handler {
        properties.push(Property::new("kiln:handler", text::line(handler)));
    }
    properties.extend(record.layers.iter().map(|layer| Property::new("kiln:layer", layer)));
    properties.extend(record.transformations.iter().filter(|rule| rule.files > 0).map(|rule| {
        let said = format!("{} files, {} to {} bytes", rule.files, rule.bytes_before, rule.bytes_after);
        let name = format!("kiln:packaging:{}@{}", text::line(&rule.rule), rule.version);
        Property::new(&name, said)
    }));
    properties.sort();
    properties
}

/// A locked distribution that is left out, so that its absence is stated and not only visible to who knows the lock.
fn gap_property(gap: &Gap) -> Property {
    Property::new(
        &format!("kiln:omitted:{}", text::line(&gap.distribution)),
        text::line(&format!("{}: {}", gap.version, gap.cause)),
    )
}

/// Statements of a record that give something in it another digest than it is known by: the package URL, the component and the digest
/// that is known.
///
/// # Errors
/// As [`cyclonedx`].
pub fn contradicted(record: &Record) -> Result<Vec<(String, String, String)>, SbomError> {
    if record.stated.iter().all(|statement| statement.digest.is_none() && statement.sha512.is_none()) {
        return Ok(Vec::new());
    }
    let components = Graph::new(record).components(SpecVersion::V1_7)?;
    let pairs = record.stated.iter().flat_map(|statement| {
        components.iter().filter_map(move |component| {
            let known = contradicts(statement, component)?;
            Some((
                statement.purl.clone(),
                component.name.clone(),
                format!("{}:{}", known.alg.replace("SHA-", "sha"), known.content),
            ))
        })
    });
    Ok(pairs.collect())
}

/// The statements of a record that are about something in it, or about what it runs on.
///
/// # Errors
/// As [`cyclonedx`].
pub fn concerned(record: &Record) -> Result<Vec<ComponentStatement>, SbomError> {
    if record.stated.is_empty() {
        return Ok(Vec::new());
    }
    // The version that knows most components.
    let components = Graph::new(record).components(SpecVersion::V1_7)?;
    let is_there =
        |statement: &&ComponentStatement| components.iter().any(|component| is_about(statement, component));
    Ok(record.stated.iter().filter(is_there).cloned().collect())
}
