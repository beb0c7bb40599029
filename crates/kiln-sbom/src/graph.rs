//! Who is inside whom and who needs whom, by bom-ref.
//!
//! Components are listed flat, and what is inside what is an edge: readers that know nesting read this, and those that do not read
//! it, too. A record from elsewhere may point anywhere, so only references between its own components count.

use crate::SbomError;
use crate::component::{describe, describe_embedded, embedded_reference, pypi_url, sha512};
use crate::linkage::{LinkedPart, linked_parts};
use crate::model::{Component, Composition, Dependency, Hash, Organization, Property};
use crate::organization::{generic_url, maker, own_license};
use crate::spec_version::SpecVersion;
use crate::stated::{SUPPLIED_WITHIN, state};
use crate::text;
use crate::unknown::{UNKNOWN, say_unknown};
use kiln_record::{
    ArtifactKind, Cause, Code, Component as Recorded, ComponentId, Distribution, Ecosystem, FileRecord,
    LongHasher, Record, Tree, cpe_name,
};
use std::collections::{BTreeMap, BTreeSet};

/// A record as a graph.
pub(crate) struct Graph<'a> {
    /// The bom-ref of the artifact itself.
    pub(crate) primary: String,
    record: &'a Record,
    /// The first thing outside of what is delivered, if one is known.
    runtime: Option<Outside>,
    /// The operating system of an image's base, if it says which it is.
    system: Option<&'a Distribution>,
    by_id: BTreeMap<&'a ComponentId, &'a Recorded>,
    files: BTreeMap<&'a ComponentId, Vec<&'a FileRecord>>,
    /// Components inside a top-level component.
    inside: BTreeMap<&'a ComponentId, Vec<&'a ComponentId>>,
    top: Vec<&'a ComponentId>,
    /// What the bytes of native files tell is linked into them.
    linked: Vec<LinkedPart<'a>>,
    /// Distributions that the artifact relies on and that its runtime has, with the version that the lock names, if it does.
    provided: BTreeMap<&'a str, Option<&'a str>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(record: &'a Record) -> Self {
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
            record,
            runtime: Outside::of(record),
            system: record.components.iter().find_map(|component| {
                component
                    .package
                    .as_ref()?
                    .distribution
                    .as_ref()
                    .filter(|_| component.ecosystem.is_of_system())
            }),
            linked: linked_parts(record, &by_id),
            provided: provided(record),
            by_id,
            files,
            inside,
            top,
        }
    }

    fn describe(&self, id: &ComponentId, version: SpecVersion) -> Result<Component, SbomError> {
        let files = self.files.get(id).map_or(&[][..], Vec::as_slice);
        let mut component = describe(self.by_id[id], files, version)?;
        if id.ecosystem() == Ecosystem::Application && self.by_id[id].upstream.is_none() {
            component.supplier = self.record.organization.as_ref().map(maker);
            component.manufacturer = component.supplier.clone().filter(|_| version >= SpecVersion::V1_6);
            component.licenses = own_license(self.record, version);
            self.identify_own_code(&mut component, files)?;
        } else if self.by_id[id].within.is_some() && id.ecosystem() == Ecosystem::Python {
            // A copy that says neither what it is nor which version it is of is known by its files, as own code is.
            identify_by_files(&mut component, files);
        }
        component.properties.extend(files.iter().filter_map(|file| self.binary(file)).take(MAX_BINARIES));
        component.properties.sort();
        Ok(component)
    }

    /// Own code has no version and is in no registry: what identifies it are its files. The digests of several are those of their
    /// list, as the record's trees have it.
    fn identify_own_code(&self, component: &mut Component, files: &[&FileRecord]) -> Result<(), SbomError> {
        identify_by_files(component, files);
        if component.purl.is_none() {
            component.purl = Some(generic_url(&component.name, component.version.as_deref(), None)?);
        }
        Ok(())
    }

    /// What a native file says of itself.
    fn binary(&self, file: &FileRecord) -> Option<Property> {
        let binary = self.record.binaries.get(&file.path)?;
        let mut said = Vec::new();
        said.extend(binary.soname.as_ref().map(|name| format!("is {name}")));
        if !binary.needed.is_empty() {
            said.push(format!("needs {}", binary.needed.join(" ")));
        }
        said.extend(binary.build_id.as_ref().map(|id| format!("build-id {id}")));
        if !binary.compilers.is_empty() {
            said.push(format!("made by {}", binary.compilers.join(", ")));
        }
        Some(Property::new(
            &format!("kiln:binary:{}", text::line(file.path.as_str())),
            text::line(&said.join("; ")),
        ))
    }

    /// The operating system whose packages an image has: what scanners tell a package's advisories by. It comes as the base, whose
    /// manifest identifies its bytes.
    fn operating_system(&self, system: &Distribution) -> Result<Component, SbomError> {
        let maker = distributor(system);
        let image = self.record.image.as_ref();
        let base = image.map(|image| image.base.manifest);
        let hash = base.map(|manifest| Hash { alg: "SHA-256", content: manifest.hex() });
        let long = image.and_then(|image| sha512(image.base.manifest_sha512.as_deref()));
        let said = base.into_iter().flat_map(|manifest| {
            [
                Property::new("kiln:hash-of", "manifest of the base"),
                Property::new("kiln:image:base:manifest", manifest),
            ]
        });
        Ok(Component {
            kind: "operating-system",
            hashes: hash.into_iter().chain(long).collect(),
            bom_ref: Some(system_reference(system)),
            name: text::line(&system.id),
            version: system.version.as_deref().map(text::line),
            supplier: maker,
            properties: said.collect(),
            purl: Some(generic_url(&system.id, system.version.as_deref(), None)?),
            // A record may be from elsewhere.
            cpe: system.cpe.as_deref().and_then(cpe_name),
            ..Component::default()
        })
    }

    pub(crate) fn components(&self, version: SpecVersion) -> Result<Vec<Component>, SbomError> {
        let mut components = Vec::with_capacity(self.by_id.len() + self.linked.len() + 2);
        if let Some(system) = self.system {
            components.push(self.operating_system(system)?);
        }
        let mut suppliers: BTreeMap<&ComponentId, Option<Organization>> = BTreeMap::new();
        for id in &self.top {
            let holder = self.describe(id, version)?;
            // What a base carries comes from whoever supplies the base.
            let of_base = self.by_id[id].from_base && id.ecosystem() == Ecosystem::Python;
            let distributor = self.system.and_then(distributor).filter(|_| of_base);
            let holder = supplied_by(distributor.as_ref(), holder);
            let supplier = holder.supplier.clone();
            components.push(holder);
            for child in self.inside.get(id).into_iter().flatten() {
                components.push(supplied_by(supplier.as_ref(), self.describe(child, version)?));
                suppliers.insert(child, supplier.clone());
            }
            for part in &self.by_id[id].embedded {
                let is_linked = self.linked.iter().any(|linked| linked.is_named_by(id, part));
                let part = describe_embedded(id, part, is_linked, version);
                components.push(supplied_by(supplier.as_ref(), part));
            }
            suppliers.insert(id, supplier);
        }
        let linked = self.linked.iter().filter(|part| part.stated.is_none());
        components.extend(linked.map(|part| {
            let supplier = suppliers.get(part.owner).and_then(Option::as_ref);
            supplied_by(supplier, part.describe(version))
        }));
        components.extend(self.outside(version)?);
        if version >= SpecVersion::V1_7 {
            components.extend(self.provided_components()?);
        }
        for component in &mut components {
            state(component, &self.record.stated, version);
            say_unknown(component);
        }
        Ok(components)
    }

    /// The first thing outside of what is delivered is named too (BSI TR-03183-2), and marked as outside.
    fn outside(&self, version: SpecVersion) -> Result<Option<Component>, SbomError> {
        let Some(outside) = &self.runtime else { return Ok(None) };
        let external = version >= SpecVersion::V1_7;
        let mut properties =
            vec![Property::new("kiln:architecture", self.record.target.architecture.lambda())];
        if !external {
            properties.push(Property::new("kiln:external", "true"));
            properties
                .extend(self.provided.keys().map(|name| Property::new("kiln:provides", text::line(name))));
        }
        let supplier = named("Amazon Web Services");
        Ok(Some(Component {
            kind: "platform",
            manufacturer: Some(supplier.clone()).filter(|_| version >= SpecVersion::V1_6),
            supplier: Some(supplier),
            version: Some(outside.version.clone()),
            purl: Some(generic_url(&outside.package, Some(&outside.version), None)?),
            bom_ref: Some(outside.reference.clone()),
            name: outside.name.clone(),
            description: Some(outside.description.to_owned()),
            scope: Some("required"),
            is_external: external.then_some(true),
            properties,
            ..Component::default()
        }))
    }

    /// What the runtime has of what the artifact relies on. 1.7 has a word for what is outside; before it, a component is inside to
    /// whoever reads the list, and they are told of the runtime instead (`kiln:provides`).
    fn provided_components(&self) -> Result<Vec<Component>, SbomError> {
        let Some(outside) = &self.runtime else { return Ok(Vec::new()) };
        let each = self.provided.iter().map(|(name, locked)| {
            Ok(Component {
                kind: "library",
                bom_ref: Some(outside.provides(name)),
                name: text::line(name),
                purl: Some(pypi_url(name, None, None)?),
                scope: Some("required"),
                is_external: Some(true),
                // Which version that is, the runtime's maker decides and changes.
                properties: locked
                    .map(|version| Property::new("kiln:locked-version", text::line(version)))
                    .into_iter()
                    .collect(),
                ..Component::default()
            })
        });
        each.collect()
    }

    /// Who needs whom as the loader sees it: the libraries that a native file names are those that the artifact has under that name.
    /// What it does not have comes from where it runs: an image's operating system, or the runtime. With layers, it may be one of
    /// theirs, and is not said.
    fn needed_edges(&self, edges: &mut BTreeMap<String, BTreeSet<String>>) {
        let mut by_name: BTreeMap<&str, &ComponentId> = BTreeMap::new();
        let native = || {
            self.record.files.iter().filter_map(|file| Some((file, self.record.binaries.get(&file.path)?)))
        };
        for (file, binary) in native().filter(|(file, _)| self.by_id.contains_key(&file.component)) {
            by_name.entry(file.path.file_name()).or_insert(&file.component);
            if let Some(soname) = &binary.soname {
                by_name.entry(soname).or_insert(&file.component);
            }
        }
        let beneath = match (self.system, &self.runtime) {
            (Some(system), _) => Some(system_reference(system)),
            (None, Some(runtime)) if self.record.image.is_none() && self.record.layers.is_empty() => {
                Some(runtime.reference.clone())
            }
            _ => None,
        };
        for (file, binary) in native().filter(|(file, _)| self.by_id.contains_key(&file.component)) {
            let own = edges.entry(text::line(file.component.as_str())).or_default();
            for library in &binary.needed {
                match by_name.get(library.as_str()) {
                    Some(owner) if **owner != file.component => own.insert(text::line(owner.as_str())),
                    Some(_) => false,
                    None => beneath.clone().is_some_and(|beneath| own.insert(beneath)),
                };
            }
        }
    }

    pub(crate) fn dependencies(&self, version: SpecVersion) -> Vec<Dependency> {
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
        }
        for (id, component) in &self.by_id {
            self.embedded_edges(id, component, &mut edges);
        }
        for part in &self.linked {
            let holder = edges.entry(text::line(part.owner.as_str())).or_default();
            if part.stated.is_none() {
                holder.insert(part.reference());
                edges.entry(part.reference()).or_default();
            }
        }
        self.needed_edges(&mut edges);
        // What nobody requires hangs from the artifact itself, or from its operating system, and the application always does.
        let (mut roots, mut of_system) = (BTreeSet::new(), BTreeSet::new());
        for id in &self.top {
            if !required.contains(id) || id.ecosystem() == Ecosystem::Application {
                let is_of_system =
                    self.system.is_some() && (id.ecosystem().is_of_system() || self.by_id[*id].from_base);
                if is_of_system { &mut of_system } else { &mut roots }.insert(text::line(id.as_str()));
            }
        }
        if let Some(system) = self.system {
            roots.insert(system_reference(system));
            edges.insert(system_reference(system), of_system);
        }
        roots.extend(self.runtime.iter().map(|outside| outside.reference.clone()));
        edges.insert(self.primary.clone(), roots);
        if let Some(outside) = &self.runtime {
            edges.entry(outside.reference.clone()).or_default();
            for name in self.provided.keys().filter(|_| version >= SpecVersion::V1_7) {
                let own = self.top.iter().filter(|id| id.ecosystem() == Ecosystem::Application);
                for holder in own.map(|id| text::line(id.as_str())).chain([outside.reference.clone()]) {
                    edges.entry(holder).or_default().insert(outside.provides(name));
                }
                edges.entry(outside.provides(name)).or_default();
            }
        }
        edges
            .into_iter()
            .map(|(reference, depends_on)| Dependency {
                reference,
                depends_on: depends_on.into_iter().collect(),
            })
            .collect()
    }

    /// The parts that a component's own bills name: what none of them needs hangs from the component, and so does whatever hangs
    /// from nothing that does.
    fn embedded_edges(
        &self,
        id: &ComponentId,
        component: &Recorded,
        edges: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        let by_identity: BTreeMap<String, &kiln_record::Embedded> =
            component.embedded.iter().map(|part| (part.identity(), part)).collect();
        let needed: BTreeSet<&String> = component.embedded.iter().flat_map(|part| &part.requires).collect();
        let mut reached: BTreeSet<&String> = BTreeSet::new();
        let mut own = BTreeSet::new();
        let roots = by_identity.keys().filter(|identity| !needed.contains(identity));
        for start in roots.chain(by_identity.keys()) {
            if reached.contains(start) {
                continue;
            }
            own.insert(embedded_reference(id, by_identity[start]));
            let mut next = vec![start];
            while let Some(identity) = next.pop() {
                if reached.insert(identity) {
                    let requires = by_identity[identity].requires.iter();
                    next.extend(
                        requires.filter_map(|other| by_identity.get_key_value(other).map(|(key, _)| key)),
                    );
                }
            }
        }
        for part in by_identity.values() {
            let requires = part.requires.iter().filter_map(|other| by_identity.get(other));
            let requires = requires.map(|other| embedded_reference(id, other));
            edges.entry(embedded_reference(id, part)).or_default().extend(requires);
        }
        edges.entry(text::line(id.as_str())).or_default().extend(own);
    }

    /// What is known to be whole and what is not. A native file may be linked from others that no list names, so whatever holds
    /// one is not complete: where its publisher or kiln's lock lists what is inside, it is so for what others made, as far as their
    /// word goes; else it is incomplete. And so is the artifact.
    pub(crate) fn compositions(&self, version: SpecVersion) -> Vec<Composition> {
        let mut assemblies: BTreeMap<Aggregate, Vec<String>> = BTreeMap::new();
        let mut known: Vec<String> = Vec::new();
        let mut unknown_needs: Vec<String> = Vec::new();
        let mut whole = Aggregate::Complete;
        for id in &self.top {
            let reference = text::line(id.as_str());
            let aggregate = self.aggregate(id);
            whole = whole.max(aggregate);
            assemblies.entry(aggregate).or_default().push(reference.clone());
            match id.ecosystem() {
                // What a package of rpm requires are capabilities that were not looked up.
                Ecosystem::Rpm | Ecosystem::Native => unknown_needs.push(reference),
                // Of what a base carries, nothing but its name was read.
                Ecosystem::Python if self.by_id[*id].from_base => unknown_needs.push(reference),
                _ => known.push(reference),
            }
            let children =
                self.inside.get(id).into_iter().flatten().filter(|c| c.ecosystem() == Ecosystem::Native);
            for child in children.map(|child| text::line(child.as_str())) {
                assemblies.entry(Aggregate::Unknown).or_default().push(child.clone());
                unknown_needs.push(child);
            }
        }
        let embedded = self
            .top
            .iter()
            .flat_map(|id| self.by_id[id].embedded.iter().map(|part| embedded_reference(id, part)));
        let linked = self.linked.iter().filter(|part| part.stated.is_none()).map(LinkedPart::reference);
        let provided = self.provided.keys().filter(|_| version >= SpecVersion::V1_7);
        let outside = self.runtime.iter().flat_map(|outside| {
            provided.clone().map(|name| outside.provides(name)).chain([outside.reference.clone()])
        });
        let system = self.system.map(system_reference);
        for reference in embedded.chain(linked).chain(outside).chain(system) {
            assemblies.entry(Aggregate::Unknown).or_default().push(reference.clone());
            unknown_needs.push(reference);
        }
        let has_unowned = self.record.image.as_ref().is_some_and(|image| image.base.unowned_bytes > 0);
        let whole = match whole {
            Aggregate::Complete if !has_unowned => Aggregate::Complete,
            _ => Aggregate::Incomplete,
        };
        assemblies.entry(whole).or_default().insert(0, self.primary.clone());
        known.insert(0, self.primary.clone());
        unknown_needs.sort();
        unknown_needs.dedup();
        let mut compositions: Vec<Composition> = assemblies
            .into_iter()
            .map(|(aggregate, mut assemblies)| {
                if aggregate == Aggregate::Unknown {
                    assemblies.sort();
                    assemblies.dedup();
                }
                Composition { aggregate: aggregate.as_str(), assemblies, dependencies: Vec::new() }
            })
            .collect();
        compositions.push(Composition { aggregate: "complete", assemblies: Vec::new(), dependencies: known });
        compositions.push(Composition {
            aggregate: "unknown",
            assemblies: Vec::new(),
            dependencies: unknown_needs,
        });
        compositions.retain(|c| !c.assemblies.is_empty() || !c.dependencies.is_empty());
        compositions
    }

    /// How much of what is inside a component is known.
    fn aggregate(&self, id: &'a ComponentId) -> Aggregate {
        let component = self.by_id[id];
        if component.ecosystem == Ecosystem::Native || component.from_base {
            // What a package of the base is made of is not established.
            return Aggregate::Unknown;
        }
        let children = self.inside.get(id).into_iter().flatten().copied();
        let mut binaries = std::iter::once(id)
            .chain(children)
            .flat_map(|id| self.files.get(id).into_iter().flatten())
            .filter_map(|file| self.record.binaries.get(&file.path))
            .peekable();
        let has_native_parts =
            self.inside.get(id).into_iter().flatten().any(|child| child.ecosystem() == Ecosystem::Native);
        if !component.unread_sboms.is_empty() {
            return Aggregate::Incomplete;
        }
        if binaries.peek().is_none() && !has_native_parts {
            return Aggregate::Complete;
        }
        if has_native_parts && component.embedded.is_empty() {
            return Aggregate::Incomplete;
        }
        if !component.embedded.is_empty() || binaries.all(kiln_record::Binary::is_explained) {
            return Aggregate::ThirdPartyOnly;
        }
        Aggregate::Incomplete
    }
}

/// Gives a component without a version the digest of the list of its files as that, and as its hash if it has none.
fn identify_by_files(component: &mut Component, files: &[&FileRecord]) {
    if files.is_empty() {
        return;
    }
    let mut tree = Tree::new();
    for file in files {
        // Paths are unique in a record that kiln wrote; one that is not from it is held against itself elsewhere.
        let _ = tree.insert(file.path.clone(), file.entry.clone());
    }
    let listing: String = tree.lines().collect();
    let digest = tree.digest();
    component.version.get_or_insert_with(|| digest.to_string());
    if component.hashes.is_empty() {
        let long = Hash { alg: "SHA-512", content: LongHasher::of(listing.as_bytes()) };
        component.hashes = vec![Hash { alg: "SHA-256", content: digest.hex() }, long];
        component.properties.push(Property::new("kiln:hash-of", "list of files"));
    }
}

/// How much of something is listed (CycloneDX, `aggregate`), best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aggregate {
    Complete,
    ThirdPartyOnly,
    Incomplete,
    Unknown,
}

impl Aggregate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ThirdPartyOnly => "incomplete_third_party_only",
            Self::Incomplete => "incomplete",
            Self::Unknown => "unknown",
        }
    }
}

/// Native files that are described for one component; the record has all.
const MAX_BINARIES: usize = 64;

/// Who makes a distribution of Linux, by its `ID` in os-release(5).
const DISTRIBUTORS: [(&str, &str); 4] = [
    ("al2023", "Amazon Web Services"),
    ("amzn", "Amazon Web Services"),
    ("debian", "Debian"),
    ("ubuntu", "Canonical"),
];

fn distributor(system: &Distribution) -> Option<Organization> {
    DISTRIBUTORS.iter().find(|(id, _)| *id == system.id).map(|(_, name)| named(name))
}

fn named(name: &str) -> Organization {
    Organization { name: Some(name.to_owned()), url: Vec::new(), contact: Vec::new() }
}

/// What is inside something comes from whoever supplies that, unless it names somebody itself: a supplier "may also be a
/// distributor or repackager" (CycloneDX, `component.supplier`). Who made it stays unsaid.
fn supplied_by(holder: Option<&Organization>, mut component: Component) -> Component {
    if let (None, Some(holder)) = (&component.supplier, holder) {
        component.supplier = Some(holder.clone());
        component.properties.push(Property::new(SUPPLIED_WITHIN, "true"));
        component.properties.sort();
    }
    component
}

/// What its runtime has of what an artifact relies on: distributions of its lock that are left out for that, and what its code imports
/// and does not ship.
fn provided(record: &Record) -> BTreeMap<&str, Option<&str>> {
    let found = record.findings.iter().filter(|finding| finding.code == Code::ProvidedByRuntime);
    let mut provided: BTreeMap<&str, Option<&str>> =
        found.map(|finding| (finding.subject.as_str(), None)).collect();
    let left_out = record.gaps.iter().filter(|gap| matches!(gap.cause, Cause::Runtime { .. }));
    provided.extend(left_out.map(|gap| (gap.distribution.as_str(), Some(gap.version.as_str()))));
    provided
}

fn system_reference(system: &Distribution) -> String {
    let version = system.version.as_deref().map(|version| format!("-{version}")).unwrap_or_default();
    text::line(&format!("operating-system/{}{version}", system.id))
}

/// What an artifact runs on or under and does not hold.
struct Outside {
    reference: String,
    name: String,
    /// The name and version in its package URL.
    package: String,
    version: String,
    description: &'static str,
}

impl Outside {
    /// The reference of a distribution that it has.
    fn provides(&self, distribution: &str) -> String {
        text::line(&format!("{}/{distribution}", self.reference))
    }

    fn of(record: &Record) -> Option<Self> {
        match record.kind {
            ArtifactKind::LambdaZip | ArtifactKind::LambdaLayer => {
                let name = text::line(&record.target.runtime);
                // `python3.13`, `provided.al2023`: a name and its version.
                let split = name.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(name.len());
                let version = name[split..].trim_start_matches('.').to_owned();
                Some(Self {
                    reference: format!("runtime/{name}"),
                    package: format!("aws-lambda-{}", &name[..split]),
                    version: if version.is_empty() { UNKNOWN.to_owned() } else { version },
                    name,
                    description: "AWS Lambda runtime, expected where the artifact runs and not part of it",
                })
            }
            ArtifactKind::LambdaImage => Some(Self {
                reference: "runtime/aws-lambda".to_owned(),
                name: "AWS Lambda".to_owned(),
                package: "aws-lambda-runtime-api".to_owned(),
                // What the image speaks with it, and the one version that it has.
                version: "2018-06-01".to_owned(),
                description: "starts the image and gives it events by its Runtime API; not part of it",
            }),
            // An engine of any make, on any Linux.
            ArtifactKind::Image => None,
        }
    }
}
