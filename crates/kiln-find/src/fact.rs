//! What a record holds, in the form in which it is looked for.

use kiln_record::{Component, ComponentId, Digest, Entry, InputRole, Record};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One thing that a build holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    /// What sort of thing it is.
    pub kind: FactKind,
    /// Its name: of a component, a base, an input; of a file its path.
    pub name: String,
    /// Its version, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its digest, for what has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its package URL, where its own bill of materials states one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// What it says of its licence: an expression, a text, classifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// The components that lead to it, from one that nothing requires; empty for such a one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
}

/// What sort of thing a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactKind {
    /// The artifact's own code, or what a step made.
    Application,
    /// A Python distribution.
    Python,
    /// A package of Debian.
    Debian,
    /// A package of rpm.
    Rpm,
    /// A native library that a wheel carries.
    Native,
    /// A part that a component's own bill of materials states, such as a crate, or that its bytes show.
    Embedded,
    /// A base image.
    Base,
    /// A file of the artifact.
    File,
    /// A published file.
    Output,
    /// Something else with a digest that went into the build.
    Input,
}

impl FactKind {
    /// Its name in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Python => "python",
            Self::Debian => "debian",
            Self::Rpm => "rpm",
            Self::Native => "native",
            Self::Embedded => "embedded",
            Self::Base => "base",
            Self::File => "file",
            Self::Output => "output",
            Self::Input => "input",
        }
    }

    fn of(component: &Component) -> Self {
        use kiln_record::Ecosystem;
        match component.ecosystem {
            Ecosystem::Application => Self::Application,
            Ecosystem::Python => Self::Python,
            Ecosystem::Debian => Self::Debian,
            Ecosystem::Rpm => Self::Rpm,
            Ecosystem::Native => Self::Native,
        }
    }
}

/// What a record holds but for files: parts, bases, inputs, outputs.
pub(crate) fn parts_of(record: &Record) -> BTreeSet<Fact> {
    let ways = ways_to(record);
    let mut facts = BTreeSet::new();
    for component in &record.components {
        let mut licenses: Vec<String> = component.metadata.license_expression.iter().cloned().collect();
        // A whole text is no name of a licence.
        licenses.extend(component.metadata.license.iter().filter(|text| text.len() < 200).cloned());
        licenses.extend(component.metadata.license_classifiers.iter().cloned());
        let via = match &component.within {
            Some(within) => way_with(&ways, within),
            None => ways.get(&component.id).cloned().unwrap_or_default(),
        };
        for part in &component.embedded {
            facts.insert(Fact {
                kind: FactKind::Embedded,
                name: part.name.clone(),
                version: part.version.clone(),
                digest: part.sha256,
                purl: part.purl.clone(),
                licenses: Vec::new(),
                via: way_with(&ways, &component.id),
            });
        }
        facts.insert(Fact {
            kind: FactKind::of(component),
            name: component.name.clone(),
            version: component.version.clone(),
            digest: component.origin.as_ref().map(|origin| origin.digest),
            purl: None,
            licenses,
            via,
        });
    }
    let owners: BTreeMap<_, _> = match record.binaries.is_empty() {
        true => BTreeMap::new(),
        false => record.files.iter().map(|file| (&file.path, &file.component)).collect(),
    };
    for (path, binary) in &record.binaries {
        let via = owners.get(path).map(|owner| way_with(&ways, owner)).unwrap_or_default();
        let native = |kind, name: &str, version, purl| Fact {
            kind,
            name: name.to_owned(),
            version,
            digest: None,
            purl,
            licenses: Vec::new(),
            via: via.clone(),
        };
        facts.extend(binary.soname.iter().map(|name| native(FactKind::Native, name, None, None)));
        facts.extend(binary.linked.iter().map(|part| {
            native(FactKind::Embedded, &part.name, part.version.clone(), Some(part.purl.clone()))
        }));
    }
    let plain = |kind, name: &str, digest| Fact {
        kind,
        name: name.to_owned(),
        version: None,
        digest: Some(digest),
        purl: None,
        licenses: Vec::new(),
        via: Vec::new(),
    };
    for input in &record.inputs {
        let kind = match input.role {
            InputRole::Base | InputRole::BuildBase | InputRole::StepBase => FactKind::Base,
            _ => FactKind::Input,
        };
        facts.insert(plain(kind, &input.name, input.digest));
    }
    if let Some(image) = &record.image {
        facts.insert(plain(FactKind::Base, &image.base.reference.to_string(), image.base.manifest));
        facts.insert(plain(FactKind::Output, "the image's manifest", image.manifest));
    }
    facts.extend(
        record.outputs.iter().map(|output| plain(FactKind::Output, &output.file_name, output.digest)),
    );
    facts
}

/// The files of a record.
pub(crate) fn files_of(record: &Record) -> BTreeSet<Fact> {
    let files = record.files.iter().map(|file| Fact {
        kind: FactKind::File,
        name: file.path.to_string(),
        version: None,
        digest: match &file.entry {
            Entry::File { digest, .. } => Some(*digest),
            Entry::Symlink { .. } => None,
        },
        purl: None,
        licenses: Vec::new(),
        via: vec![file.component.to_string()],
    });
    files.collect()
}

/// For each component that others require, a shortest way to it from one that nothing requires: the names on it, without its own.
#[must_use]
pub fn ways_to(record: &Record) -> BTreeMap<ComponentId, Vec<String>> {
    let required: BTreeSet<&ComponentId> =
        record.components.iter().flat_map(|component| &component.requires).collect();
    let by_id: BTreeMap<&ComponentId, &Component> =
        record.components.iter().map(|component| (&component.id, component)).collect();
    let mut ways: BTreeMap<ComponentId, Vec<String>> = BTreeMap::new();
    let mut next: VecDeque<&ComponentId> = VecDeque::new();
    for id in by_id.keys().filter(|id| !required.contains(**id)) {
        ways.insert((*id).clone(), Vec::new());
        next.push_back(id);
    }
    while let Some(id) = next.pop_front() {
        let Some(component) = by_id.get(id) else { continue };
        for needed in &component.requires {
            if by_id.contains_key(needed) && !ways.contains_key(needed) {
                let way = way_with(&ways, id);
                ways.insert(needed.clone(), way);
                next.push_back(needed);
            }
        }
    }
    ways
}

/// The way to a component, and itself.
fn way_with(ways: &BTreeMap<ComponentId, Vec<String>>, id: &ComponentId) -> Vec<String> {
    let mut way = ways.get(id).cloned().unwrap_or_default();
    way.push(id.name().to_owned());
    way
}
