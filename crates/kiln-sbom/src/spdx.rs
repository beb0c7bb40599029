//! The SPDX 2.3 document of an artifact (ISO/IEC 5962's successor; JSON schema 2.3): packages and what depends on what.
//!
//! It says less than the CycloneDX document, which it is made from: files, evidence and completeness have their places there.

use crate::SbomError;
use crate::cyclonedx::{DATA_LICENSE, archive_hashes};
use crate::graph::Graph;
use crate::model::{Component, LicenseChoice, Organization};
use crate::organization::{maker, own_license, package_url};
use crate::spec_version::SpecVersion;
use crate::text;
use crate::unknown::{UNKNOWN, known};
use kiln_record::{Record, canonical_json, is_license_expression};
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The document's media type.
pub const SPDX_MEDIA_TYPE: &str = "application/spdx+json";

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Writes the document as canonical JSON. Its namespace follows from the archive's digest, so that equal records give equal bytes.
///
/// # Errors
/// As [`crate::cyclonedx`].
pub fn spdx(record: &Record) -> Result<Vec<u8>, SbomError> {
    let archive =
        record.archive().ok_or_else(|| SbomError::NoArchive { artifact: record.artifact.to_string() })?;
    let graph = Graph::new(record);
    let artifact = Component {
        kind: if record.image.is_some() { "container" } else { "application" },
        bom_ref: Some(graph.primary.clone()),
        supplier: record.organization.as_ref().map(maker),
        name: record.artifact.to_string(),
        version: Some(archive.digest.to_string()),
        hashes: archive_hashes(archive),
        licenses: own_license(record, SpecVersion::default()),
        purl: Some(package_url(record)?),
        ..Component::default()
    };
    let components: Vec<Component> =
        std::iter::once(artifact).chain(graph.components(SpecVersion::default())?).collect();
    // References are texts of any kind; an id has letters, digits, dots and hyphens only.
    let ids: BTreeMap<String, String> = components
        .iter()
        .filter_map(|component| component.bom_ref.clone())
        .enumerate()
        .map(|(number, reference)| (reference.clone(), id(number, &reference)))
        .collect();
    let mut extracted = BTreeMap::new();
    let packages = components.iter().map(|component| package(component, &ids, &mut extracted)).collect();
    let mut relationships = vec![Relationship::new(DOCUMENT, "DESCRIBES", &ids[&graph.primary])];
    for dependency in graph.dependencies(SpecVersion::default()) {
        let Some(from) = ids.get(&dependency.reference) else { continue };
        let needed = dependency.depends_on.iter().filter_map(|reference| ids.get(reference));
        relationships.extend(needed.map(|to| Relationship::new(from, "DEPENDS_ON", to)));
    }
    let made_by = record.tools.get("kiln").map(|version| format!("Tool: kiln-{}", text::line(version)));
    let organization = record.organization.as_ref().map(|one| organization_text(&maker(one)));
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, archive.digest.as_bytes());
    let document = Document {
        spdx_version: "SPDX-2.3",
        data_license: DATA_LICENSE,
        id: DOCUMENT,
        name: record.artifact.to_string(),
        document_namespace: format!("urn:uuid:{name}"),
        creation_info: CreationInfo {
            created: record.epoch.to_string(),
            creators: organization.into_iter().chain(made_by).collect(),
        },
        packages,
        relationships,
        extracted: extracted.into_values().collect(),
    };
    Ok(canonical_json(&document)?)
}

fn id(number: usize, reference: &str) -> String {
    let plain: String = reference
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(100)
        .collect();
    format!("SPDXRef-{number}-{plain}")
}

fn package(
    component: &Component,
    ids: &BTreeMap<String, String>,
    extracted: &mut BTreeMap<String, Extracted>,
) -> Package {
    let reference = component.bom_ref.clone().unwrap_or_default();
    Package {
        id: ids.get(&reference).cloned().unwrap_or_default(),
        name: component.name.clone(),
        version: component.version.clone().filter(|version| known(version).is_some()),
        supplier: organization(component.supplier.as_ref()),
        originator: component.manufacturer.as_ref().map(|maker| organization(Some(maker))),
        download_location: UNKNOWN,
        files_analyzed: false,
        checksums: component
            .hashes
            .iter()
            .map(|hash| Checksum { algorithm: hash.alg.replace('-', ""), value: hash.content.clone() })
            .collect(),
        license_concluded: license(
            component.evidence.iter().flat_map(|evidence| &evidence.licenses),
            extracted,
        ),
        license_declared: license(component.licenses.iter().filter(|one| !one.is_concluded()), extracted),
        copyright_text: UNKNOWN,
        summary: component.description.clone(),
        purpose: match component.kind {
            "container" => "CONTAINER",
            "application" => "APPLICATION",
            "operating-system" => "OPERATING-SYSTEM",
            "library" => "LIBRARY",
            _ => "OTHER",
        },
        external: component
            .purl
            .iter()
            .map(|purl| External { category: "PACKAGE-MANAGER", kind: "purl", locator: purl.clone() })
            .collect(),
    }
}

/// Licences as one expression. A licence in words of its own becomes a reference, with the words beside it.
fn license<'a>(
    choices: impl Iterator<Item = &'a LicenseChoice>,
    extracted: &mut BTreeMap<String, Extracted>,
) -> String {
    let mut all: Vec<String> = Vec::new();
    for choice in choices {
        let one = match choice {
            LicenseChoice::Expression { expression, .. } => expression.clone(),
            LicenseChoice::License { license } => match (&license.id, &license.name) {
                (Some(id), _) => id.clone(),
                (None, Some(name)) if known(name).is_none() => return UNKNOWN.to_owned(),
                (None, name) => {
                    let words =
                        license.text.as_ref().map(|text| text.content.clone()).or_else(|| name.clone());
                    reference(name.as_deref().unwrap_or_default(), words.as_deref(), extracted)
                }
            },
        };
        for named in one.split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c))) {
            if named.starts_with("LicenseRef-") && !extracted.contains_key(named) {
                extracted.insert(named.to_owned(), Extracted::new(named, named));
            }
        }
        all.push(one);
    }
    let several = all.len() > 1;
    let all: Vec<String> = all
        .into_iter()
        .map(|one| if several && one.contains(' ') { format!("({one})") } else { one })
        .collect();
    let whole = all.join(" AND ");
    if is_license_expression(&whole) { whole } else { UNKNOWN.to_owned() }
}

fn reference(name: &str, words: Option<&str>, extracted: &mut BTreeMap<String, Extracted>) -> String {
    let words = words.unwrap_or(name);
    let id = format!("LicenseRef-{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, words.as_bytes()));
    extracted.entry(id.clone()).or_insert_with(|| Extracted::new(&id, words));
    id
}

/// Who, or that nobody is known.
fn organization(organization: Option<&Organization>) -> String {
    let is_known = |one: &&Organization| one.name.as_deref().is_none_or(|name| known(name).is_some());
    organization.filter(is_known).map_or_else(|| UNKNOWN.to_owned(), organization_text)
}

fn organization_text(organization: &Organization) -> String {
    let name = organization.name.clone().unwrap_or_else(|| "unknown".to_owned());
    let email = organization.contact.iter().find_map(|contact| contact.email.clone());
    match email {
        Some(email) => format!("Organization: {name} ({email})"),
        None => format!("Organization: {name}"),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    relationships: Vec<Relationship>,
    #[serde(rename = "hasExtractedLicensingInfos", skip_serializing_if = "Vec::is_empty")]
    extracted: Vec<Extracted>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(rename = "versionInfo", skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    supplier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    originator: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    license_concluded: String,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(rename = "primaryPackagePurpose")]
    purpose: &'static str,
    #[serde(rename = "externalRefs", skip_serializing_if = "Vec::is_empty")]
    external: Vec<External>,
}

#[derive(Serialize)]
struct Checksum {
    algorithm: String,
    #[serde(rename = "checksumValue")]
    value: String,
}

#[derive(Serialize)]
struct External {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

#[derive(Serialize)]
struct Relationship {
    #[serde(rename = "spdxElementId")]
    from: String,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    #[serde(rename = "relatedSpdxElement")]
    to: String,
}

impl Relationship {
    fn new(from: &str, kind: &'static str, to: &str) -> Self {
        Self { from: from.to_owned(), kind, to: to.to_owned() }
    }
}

#[derive(Serialize)]
struct Extracted {
    #[serde(rename = "licenseId")]
    id: String,
    #[serde(rename = "extractedText")]
    text: String,
}

impl Extracted {
    fn new(id: &str, words: &str) -> Self {
        Self { id: id.to_owned(), text: words.to_owned() }
    }
}
