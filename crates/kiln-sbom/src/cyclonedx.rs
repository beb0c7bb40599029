//! The CycloneDX document of an artifact (ECMA-424; JSON schemas 1.5 to 1.7).

use crate::component::{describe, describe_embedded, embedded_reference};
use crate::model::{Bom, Component, Composition, Dependency, Hash, Lifecycle, Metadata, Property, Tools};
use crate::spec_version::SpecVersion;
use crate::{SbomError, recipe, text};
use kiln_record::{ArtifactKind, ComponentId, Ecosystem, FileRecord, Gap, Record, canonical_json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The document's media type (IANA).
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// Writes the bill of materials of a recorded artifact as canonical JSON.
///
/// The serial number is a UUID version 5 of the archive's digest and of the document itself, so equal records give
/// equal bytes and any change gives a new number. The timestamp is the record's epoch.
///
/// # Errors
/// [`SbomError::NoArchive`] if the record lists no output; [`SbomError::PackageUrl`] for a component whose name cannot
/// be one.
pub fn cyclonedx(record: &Record, version: SpecVersion) -> Result<Vec<u8>, SbomError> {
    let archive =
        record.archive().ok_or_else(|| SbomError::NoArchive { artifact: record.artifact.to_string() })?;
    let graph = Graph::new(record);
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
            component: Component {
                kind: if record.image.is_some() { "container" } else { "application" },
                bom_ref: Some(primary.clone()),
                name: record.artifact.to_string(),
                // An artifact has no version of its own: its bytes are.
                version: Some(archive.digest.to_string()),
                hashes: vec![Hash { alg: "SHA-256", content: archive.digest.hex() }],
                properties: primary_properties(record),
                ..Component::default()
            },
            properties: record.gaps.iter().map(gap_property).collect::<BTreeSet<_>>().into_iter().collect(),
        },
        components: graph.components(record, version)?,
        dependencies: graph.dependencies(),
        compositions: graph.compositions(),
        formulation: vec![recipe::formula(record, &primary)],
    };
    let mut name = archive.digest.as_bytes().to_vec();
    name.extend(canonical_json(&bom)?);
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, MEDIA_TYPE.as_bytes());
    bom.serial_number = Some(format!("urn:uuid:{}", Uuid::new_v5(&namespace, &name)));
    Ok(canonical_json(&bom)?)
}

/// Who is inside whom and who needs whom, by bom-ref. A record from elsewhere may point anywhere, so only references
/// between its own components count.
struct Graph<'a> {
    primary: String,
    /// The first thing outside of what is delivered, if one is known.
    runtime: Option<Outside>,
    /// Whether files are inside that no component accounts for.
    has_unowned: bool,
    by_id: BTreeMap<&'a ComponentId, &'a kiln_record::Component>,
    files: BTreeMap<&'a ComponentId, Vec<&'a FileRecord>>,
    /// Components inside a top-level component.
    inside: BTreeMap<&'a ComponentId, Vec<&'a ComponentId>>,
    top: Vec<&'a ComponentId>,
}

impl<'a> Graph<'a> {
    fn new(record: &'a Record) -> Self {
        let by_id: BTreeMap<_, _> = record.components.iter().map(|c| (&c.id, c)).collect();
        let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in &record.files {
            files.entry(&file.component).or_default().push(file);
        }
        let (mut inside, mut top): (BTreeMap<_, Vec<_>>, _) = (BTreeMap::new(), Vec::new());
        for (id, component) in &by_id {
            // One level only: a parent that is itself inside something would hide its children.
            let parent = component.within.as_ref().and_then(|p| by_id.get_key_value(p));
            match parent {
                Some((parent, holder)) if holder.within.is_none() && parent != id => {
                    inside.entry(*parent).or_default().push(*id);
                }
                _ => top.push(*id),
            }
        }
        Self {
            // A slash cannot be in an artifact's name, and ids of components begin with their ecosystem.
            primary: format!("artifact/{}", record.artifact),
            runtime: Outside::of(record),
            has_unowned: record.image.as_ref().is_some_and(|image| image.base.unowned_bytes > 0),
            by_id,
            files,
            inside,
            top,
        }
    }

    fn describe(&self, id: &ComponentId, version: SpecVersion) -> Result<Component, SbomError> {
        let files = self.files.get(id).map_or(&[][..], Vec::as_slice);
        describe(self.by_id[id], files, version)
    }

    fn components(&self, record: &Record, version: SpecVersion) -> Result<Vec<Component>, SbomError> {
        let mut components = Vec::with_capacity(self.top.len() + 1);
        for id in &self.top {
            let mut component = self.describe(id, version)?;
            for child in self.inside.get(id).into_iter().flatten() {
                component.components.push(self.describe(child, version)?);
            }
            component
                .components
                .extend(self.by_id[id].embedded.iter().map(|part| describe_embedded(id, part)));
            components.push(component);
        }
        // The first thing outside of what is delivered is named too (BSI TR-03183-2), and marked as outside.
        let Some(outside) = &self.runtime else { return Ok(components) };
        let external = version >= SpecVersion::V1_7;
        let mut properties = vec![Property::new("kiln:architecture", record.target.architecture.lambda())];
        if !external {
            properties.push(Property::new("kiln:external", "true"));
        }
        components.push(Component {
            kind: "platform",
            bom_ref: Some(outside.reference.clone()),
            name: outside.name.clone(),
            description: Some(outside.description.to_owned()),
            scope: Some("required"),
            is_external: external.then_some(true),
            properties,
            ..Component::default()
        });
        Ok(components)
    }

    fn dependencies(&self) -> Vec<Dependency> {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut required: BTreeSet<&ComponentId> = BTreeSet::new();
        for (id, component) in &self.by_id {
            let own = edges.entry(text::line(id.as_str())).or_default();
            for needed in component.requires.iter().filter(|n| n != id && self.by_id.contains_key(n)) {
                own.insert(text::line(needed.as_str()));
                required.insert(needed);
            }
            for child in self.inside.get(id).into_iter().flatten() {
                own.insert(text::line(child.as_str()));
            }
            own.extend(component.embedded.iter().map(|part| embedded_reference(id, part)));
        }
        for (id, component) in &self.by_id {
            for part in &component.embedded {
                edges.entry(embedded_reference(id, part)).or_default();
            }
        }
        // What nobody requires hangs from the artifact itself, and the application always does.
        let mut roots: BTreeSet<String> = self
            .top
            .iter()
            .filter(|id| !required.contains(*id) || self.by_id[*id].ecosystem == Ecosystem::Application)
            .map(|id| text::line(id.as_str()))
            .collect();
        roots.extend(self.runtime.iter().map(|outside| outside.reference.clone()));
        edges.insert(self.primary.clone(), roots);
        if let Some(outside) = &self.runtime {
            edges.entry(outside.reference.clone()).or_default();
        }
        edges
            .into_iter()
            .map(|(reference, depends_on)| Dependency {
                reference,
                depends_on: depends_on.into_iter().collect(),
            })
            .collect()
    }

    /// What is known to be whole and what is not. A native library without package data may itself be linked from
    /// others, so whatever holds one is incomplete, and so is the artifact.
    fn compositions(&self) -> Vec<Composition> {
        let opaque = |id: &&ComponentId| self.by_id[*id].ecosystem == Ecosystem::Native;
        let mut incomplete: Vec<String> = Vec::new();
        let mut complete: Vec<String> = Vec::new();
        let mut natives: Vec<String> = Vec::new();
        let mut known: Vec<String> = Vec::new();
        for id in &self.top {
            let reference = text::line(id.as_str());
            let children = self.inside.get(id).map_or(&[][..], Vec::as_slice);
            natives.extend(children.iter().filter(|c| opaque(c)).map(|c| text::line(c.as_str())));
            if opaque(id) || self.by_id[id].from_base {
                // What a package of the base depends on is not established.
                natives.push(reference);
            } else {
                let whole = !children.iter().any(&opaque);
                if whole { &mut complete } else { &mut incomplete }.push(reference.clone());
                known.push(reference);
            }
        }
        let mut embedded: Vec<String> = self
            .top
            .iter()
            .flat_map(|id| self.by_id[id].embedded.iter().map(|part| embedded_reference(id, part)))
            .collect();
        embedded.sort();
        natives.sort();
        let whole = natives.is_empty() && !self.has_unowned;
        if whole { &mut complete } else { &mut incomplete }.insert(0, self.primary.clone());
        known.insert(0, self.primary.clone());
        let mut unknown = natives;
        unknown.extend(embedded);
        unknown.extend(self.runtime.iter().map(|outside| outside.reference.clone()));
        [
            Composition { aggregate: "complete", assemblies: complete, dependencies: known },
            Composition { aggregate: "incomplete", assemblies: incomplete, dependencies: Vec::new() },
            Composition { aggregate: "unknown", assemblies: unknown.clone(), dependencies: unknown },
        ]
        .into_iter()
        .filter(|c| !c.assemblies.is_empty() || !c.dependencies.is_empty())
        .collect()
    }
}

/// What an artifact runs on or under and does not hold.
struct Outside {
    reference: String,
    name: String,
    description: &'static str,
}

impl Outside {
    fn of(record: &Record) -> Option<Self> {
        let named =
            |reference: String, name: String, description| Some(Self { reference, name, description });
        match record.kind {
            ArtifactKind::LambdaZip | ArtifactKind::LambdaLayer => named(
                format!("runtime/{}", text::line(&record.target.runtime)),
                text::line(&record.target.runtime),
                "AWS Lambda runtime, expected where the artifact runs and not part of it",
            ),
            ArtifactKind::LambdaImage => named(
                "runtime/aws-lambda".to_owned(),
                "AWS Lambda".to_owned(),
                "starts the image and gives it events; not part of it",
            ),
            // An engine of any make, on any Linux.
            ArtifactKind::Image => None,
        }
    }
}

fn tools(record: &Record) -> Vec<Component> {
    record
        .tools
        .iter()
        .map(|(name, version)| Component {
            kind: if name == "kiln" { "application" } else { "library" },
            name: text::line(name),
            version: Some(text::line(version)),
            ..Component::default()
        })
        .collect()
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
