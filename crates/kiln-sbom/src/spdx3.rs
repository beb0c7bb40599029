//! The SPDX 3.0.1 document of an artifact, as JSON-LD: packages, who supplies them, what depends on what and whether all of that is
//! known, and licences.
//!
//! It is made of the same packages as the SPDX 2.3 document. What CycloneDX says of completeness (`compositions`) is said at each
//! relationship here. Objects are referred to by their IRIs and never nested, so that the document is the same for readers of JSON and
//! of RDF.

use crate::SbomError;
use crate::cyclonedx::DATA_LICENSE;
use crate::model::{Component, Organization};
use crate::organization::maker;
use crate::spdx_packages::{OwnWords, Packages, concluded, declared, references};
use crate::spec_version::SpecVersion;
use crate::text;
use crate::unknown::{UNKNOWN, known};
use kiln_record::{Record, canonical_json};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The context that the names of the document are from.
const CONTEXT: &str = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
/// The version that [`CONTEXT`] is of.
const VERSION: &str = "3.0.1";
/// What stands for the one who created every element, which is a node without a name of its own.
const CREATION: &str = "_:creation";
/// What stands for a licence of which nothing is asserted.
const NO_ASSERTION: &str = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense";
/// What stands for nothing.
const NONE: &str = "https://spdx.org/rdf/3.0.1/terms/Core/NoneElement";
/// What stands for elements of which nothing is asserted.
const UNKNOWN_ELEMENT: &str = "https://spdx.org/rdf/3.0.1/terms/Core/NoAssertionElement";

/// Writes the document as canonical JSON. Its IRIs follow from the archive's digest, so that equal records give equal bytes.
///
/// # Errors
/// As [`crate::cyclonedx`].
pub fn spdx3(record: &Record) -> Result<Vec<u8>, SbomError> {
    let listed = Packages::of(record)?;
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, CONTEXT.as_bytes());
    let name = Uuid::new_v5(&namespace, listed.archive.digest.as_bytes());
    let mut elements = Elements { base: format!("urn:uuid:{name}"), all: Vec::new() };
    let mut agents = Agents::default();
    let mut licenses = Licenses::default();

    for component in &listed.components {
        let Some(id) = component.bom_ref.as_ref().and_then(|reference| listed.ids.get(reference)) else {
            continue;
        };
        let id = elements.iri(id);
        let supplied_by = agents.iri(component.supplier.as_ref(), &elements);
        let originated_by = agents.iri(component.manufacturer.as_ref(), &elements);
        let package = Kind::Package(Box::new(package(component, supplied_by, originated_by)));
        elements.push(id.clone(), &component.name, package);
        for (kind, expression) in [
            ("hasDeclaredLicense", declared(component, &mut licenses.own)),
            ("hasConcludedLicense", concluded(component, &mut licenses.own)),
        ] {
            let to = vec![licenses.iri(&expression, &elements)];
            elements.relate(&id, kind, to, "complete");
        }
    }
    let complete = dependencies_known(&listed);
    for (reference, from, needed) in listed.edges() {
        let completeness = if complete.contains(reference) { "complete" } else { "noAssertion" };
        let to = match (needed.is_empty(), completeness) {
            // That nothing is needed is a statement, too.
            (true, "complete") => vec![NONE.to_owned()],
            (true, _) => vec![UNKNOWN_ELEMENT.to_owned()],
            (false, _) => needed.into_iter().map(|id| elements.iri(id)).collect(),
        };
        let from = elements.iri(from);
        elements.relate(&from, "dependsOn", to, completeness);
    }
    licenses.describe(&mut elements);

    let artifact = elements.iri(&listed.ids[&listed.graph.primary]);
    let tool =
        record.tools.get("kiln").map_or("kiln".to_owned(), |kiln| format!("kiln-{}", text::line(kiln)));
    let made_with = elements.iri("tool");
    elements.push(made_with.clone(), &tool, Kind::Tool);
    let stated = record.organization.as_ref().map(maker);
    let creator = agents.iri(stated.as_ref(), &elements).unwrap_or_else(|| {
        // A document is by somebody; where nobody is stated, it is by the program and by nobody else.
        let id = elements.iri("agent");
        elements.push(id.clone(), "kiln", Kind::SoftwareAgent);
        id
    });
    agents.describe(&mut elements);
    let data_license = elements.iri("data-license");
    elements.push(data_license.clone(), "", Kind::license(DATA_LICENSE, Vec::new()));

    let listed_elements: Vec<String> = elements.all.iter().map(|element| element.id.clone()).collect();
    let bill = elements.iri("sbom");
    let sbom = Kind::Sbom { element: listed_elements.clone(), root: [artifact], kinds: ["build"] };
    elements.push(bill.clone(), record.artifact.as_str(), sbom);
    let document = Kind::Document {
        element: listed_elements.into_iter().chain([bill.clone()]).collect(),
        root: [bill],
        data_license,
        conformance: ["core", "software", "simpleLicensing"],
    };
    let id = elements.base.clone();
    elements.push(id, record.artifact.as_str(), document);
    let creation = Creation {
        kind: "CreationInfo",
        id: CREATION,
        version: VERSION,
        created: record.epoch.to_string(),
        created_by: [creator],
        created_using: [made_with],
    };
    let graph = std::iter::once(Node::Creation(creation)).chain(elements.all.into_iter().map(Node::Element));
    Ok(canonical_json(&Document { context: CONTEXT, graph: graph.collect() })?)
}

/// The references of those of whom everything is known that they need.
fn dependencies_known(listed: &Packages<'_>) -> BTreeSet<String> {
    let compositions = listed.graph.compositions(SpecVersion::default()).into_iter();
    compositions.filter(|one| one.aggregate == "complete").flat_map(|one| one.dependencies).collect()
}

fn package(component: &Component, supplied_by: Option<String>, originated_by: Option<String>) -> Package {
    let references = |kind: &'static str| {
        let of_kind = component.external_references.iter().filter(move |one| one.kind == kind);
        of_kind.map(|one| one.url.clone())
    };
    Package {
        version: component.version.clone().filter(|version| known(version).is_some()),
        purl: component.purl.clone(),
        copyright: UNKNOWN,
        purpose: match component.kind {
            "operating-system" => "operatingSystem",
            kind @ ("container" | "application" | "library" | "platform") => kind,
            _ => "other",
        },
        home_page: references("website").next(),
        external: references("vcs")
            .map(|url| ExternalReference { kind: "ExternalRef", of: "vcs", locator: [url] })
            .collect(),
        identifiers: [("packageUrl", &component.purl), ("cpe23", &component.cpe)]
            .into_iter()
            .filter_map(|(of, name)| {
                Some(Identifier { kind: "ExternalIdentifier", of, identifier: name.clone()? })
            })
            .collect(),
        description: component.description.clone(),
        supplied_by,
        originated_by: originated_by.into_iter().collect(),
        hashes: component
            .hashes
            .iter()
            .map(|hash| Hash {
                kind: "Hash",
                algorithm: hash.alg.replace('-', "").to_lowercase(),
                value: hash.content.clone(),
            })
            .collect(),
    }
}

/// What the document lists, in order.
struct Elements {
    /// The IRI of the document, which begins each other one.
    base: String,
    all: Vec<Element>,
}

impl Elements {
    fn iri(&self, id: &str) -> String {
        format!("{}#{id}", self.base)
    }

    fn push(&mut self, id: String, name: &str, kind: Kind) {
        let name = Some(name).filter(|name| !name.is_empty()).map(str::to_owned);
        self.all.push(Element { id, creation: CREATION, name, kind });
    }

    fn relate(&mut self, from: &str, kind: &'static str, to: Vec<String>, completeness: &'static str) {
        // Of one kind there is one from each element.
        let id = format!("{from}-{kind}");
        let kind = Kind::Relationship { kind, completeness, from: from.to_owned(), to };
        self.push(id, "", kind);
    }
}

/// Who supplies and makes, each once.
#[derive(Default)]
struct Agents(BTreeMap<(String, Option<String>), String>);

impl Agents {
    /// The IRI of an organization, if somebody is named.
    fn iri(&mut self, organization: Option<&Organization>, elements: &Elements) -> Option<String> {
        let organization = organization?;
        let email = organization.contact.iter().find_map(|contact| contact.email.clone());
        let name = organization.name.clone().or_else(|| email.clone())?;
        known(&name)?;
        let id = elements.iri(&format!("agent-{}", self.0.len()));
        Some(self.0.entry((name, email)).or_insert(id).clone())
    }

    fn describe(self, elements: &mut Elements) {
        for ((name, email), id) in self.0 {
            let identifier =
                email.map(|email| Identifier { kind: "ExternalIdentifier", of: "email", identifier: email });
            let kind = Kind::Organization { identifiers: identifier.into_iter().collect() };
            elements.push(id, &name, kind);
        }
    }
}

/// Licences, each once.
#[derive(Default)]
struct Licenses {
    own: OwnWords,
    expressions: BTreeMap<String, String>,
}

impl Licenses {
    fn iri(&mut self, expression: &str, elements: &Elements) -> String {
        if known(expression).is_none() {
            return NO_ASSERTION.to_owned();
        }
        let id = elements.iri(&format!("license-{}", self.expressions.len()));
        self.expressions.entry(expression.to_owned()).or_insert(id).clone()
    }

    fn describe(self, elements: &mut Elements) {
        let texts: BTreeMap<&String, String> =
            self.own.keys().map(|reference| (reference, elements.iri(reference))).collect();
        for (expression, id) in &self.expressions {
            let named: BTreeSet<&str> = references(expression).collect();
            let own = named.into_iter().filter_map(|reference| {
                let value = texts.get(&reference.to_owned())?.clone();
                Some(Entry { kind: "DictionaryEntry", key: reference.to_owned(), value })
            });
            let own = own.collect();
            elements.push(id.clone(), "", Kind::license(expression, own));
        }
        for (reference, words) in &self.own {
            let id = texts[reference].clone();
            elements.push(id, reference, Kind::LicensingText { text: words.clone() });
        }
    }
}

#[derive(Serialize)]
struct Document {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@graph")]
    graph: Vec<Node>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Node {
    Creation(Creation),
    Element(Element),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "@id")]
    id: &'static str,
    #[serde(rename = "specVersion")]
    version: &'static str,
    created: String,
    created_by: [String; 1],
    created_using: [String; 1],
}

#[derive(Serialize)]
struct Element {
    #[serde(rename = "spdxId")]
    id: String,
    #[serde(rename = "creationInfo")]
    creation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Kind {
    #[serde(rename = "SpdxDocument")]
    Document {
        element: Vec<String>,
        #[serde(rename = "rootElement")]
        root: [String; 1],
        #[serde(rename = "dataLicense")]
        data_license: String,
        #[serde(rename = "profileConformance")]
        conformance: [&'static str; 3],
    },
    #[serde(rename = "software_Sbom")]
    Sbom {
        element: Vec<String>,
        #[serde(rename = "rootElement")]
        root: [String; 1],
        #[serde(rename = "software_sbomType")]
        kinds: [&'static str; 1],
    },
    #[serde(rename = "software_Package")]
    Package(Box<Package>),
    Relationship {
        #[serde(rename = "relationshipType")]
        kind: &'static str,
        completeness: &'static str,
        from: String,
        to: Vec<String>,
    },
    Organization {
        #[serde(rename = "externalIdentifier", skip_serializing_if = "Vec::is_empty")]
        identifiers: Vec<Identifier>,
    },
    SoftwareAgent,
    Tool,
    #[serde(rename = "simplelicensing_LicenseExpression")]
    License {
        #[serde(rename = "simplelicensing_licenseExpression")]
        expression: String,
        #[serde(rename = "simplelicensing_customIdToUri", skip_serializing_if = "Vec::is_empty")]
        own: Vec<Entry>,
    },
    #[serde(rename = "simplelicensing_SimpleLicensingText")]
    LicensingText {
        #[serde(rename = "simplelicensing_licenseText")]
        text: String,
    },
}

impl Kind {
    fn license(expression: &str, own: Vec<Entry>) -> Self {
        Self::License { expression: expression.to_owned(), own }
    }
}

#[derive(Serialize)]
struct Package {
    #[serde(rename = "software_packageVersion", skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(rename = "software_packageUrl", skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(rename = "software_copyrightText")]
    copyright: &'static str,
    #[serde(rename = "software_primaryPurpose")]
    purpose: &'static str,
    #[serde(rename = "software_homePage", skip_serializing_if = "Option::is_none")]
    home_page: Option<String>,
    #[serde(rename = "externalRef", skip_serializing_if = "Vec::is_empty")]
    external: Vec<ExternalReference>,
    #[serde(rename = "externalIdentifier", skip_serializing_if = "Vec::is_empty")]
    identifiers: Vec<Identifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "suppliedBy", skip_serializing_if = "Option::is_none")]
    supplied_by: Option<String>,
    #[serde(rename = "originatedBy", skip_serializing_if = "Vec::is_empty")]
    originated_by: Vec<String>,
    #[serde(rename = "verifiedUsing", skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
}

#[derive(Serialize)]
struct Hash {
    #[serde(rename = "type")]
    kind: &'static str,
    algorithm: String,
    #[serde(rename = "hashValue")]
    value: String,
}

#[derive(Serialize)]
struct ExternalReference {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "externalRefType")]
    of: &'static str,
    locator: [String; 1],
}

#[derive(Serialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "externalIdentifierType")]
    of: &'static str,
    identifier: String,
}

#[derive(Serialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: &'static str,
    key: String,
    value: String,
}
