//! The SPDX 2.3 document of an artifact (ISO/IEC 5962's successor; JSON schema 2.3): packages and what depends on what.
//!
//! It says less than the CycloneDX document, which it is made from: files, evidence and completeness have their places there.

use crate::SbomError;
use crate::cyclonedx::DATA_LICENSE;
use crate::model::{Component, Organization};
use crate::organization::maker;
use crate::spdx_packages::{OwnWords, Packages, concluded, declared};
use crate::text;
use crate::unknown::{UNKNOWN, known};
use kiln_record::{Record, canonical_json};
use serde::Serialize;
use uuid::Uuid;

/// The document's media type.
pub const SPDX_MEDIA_TYPE: &str = "application/spdx+json";

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Writes the document as canonical JSON. Its namespace follows from the archive's digest, so that equal records give equal bytes.
///
/// # Errors
/// As [`crate::cyclonedx`].
pub fn spdx(record: &Record) -> Result<Vec<u8>, SbomError> {
    let listed = Packages::of(record)?;
    let mut own = OwnWords::new();
    let packages = listed.components.iter().map(|component| package(component, &listed, &mut own)).collect();
    let mut relationships =
        vec![Relationship::new(DOCUMENT, "DESCRIBES", &reference(&listed.ids[&listed.graph.primary]))];
    for (_, from, needed) in listed.edges() {
        let from = reference(from);
        relationships
            .extend(needed.into_iter().map(|to| Relationship::new(&from, "DEPENDS_ON", &reference(to))));
    }
    let made_by = record.tools.get("kiln").map(|version| format!("Tool: kiln-{}", text::line(version)));
    let organization = record.organization.as_ref().map(|one| organization_text(&maker(one)));
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, listed.archive.digest.as_bytes());
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
        extracted: own.into_iter().map(|(id, text)| Extracted { id, text }).collect(),
    };
    Ok(canonical_json(&document)?)
}

fn reference(id: &str) -> String {
    format!("SPDXRef-{id}")
}

fn package(component: &Component, listed: &Packages<'_>, own: &mut OwnWords) -> Package {
    let id = component.bom_ref.as_ref().and_then(|known| listed.ids.get(known));
    Package {
        id: id.map(|id| reference(id)).unwrap_or_default(),
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
        license_concluded: concluded(component, own),
        license_declared: declared(component, own),
        copyright_text: UNKNOWN,
        summary: component.description.clone(),
        purpose: match component.kind {
            "container" => "CONTAINER",
            "application" => "APPLICATION",
            "operating-system" => "OPERATING-SYSTEM",
            "library" => "LIBRARY",
            _ => "OTHER",
        },
        external: [("PACKAGE-MANAGER", "purl", &component.purl), ("SECURITY", "cpe23Type", &component.cpe)]
            .into_iter()
            .filter_map(|(category, kind, name)| Some(External { category, kind, locator: name.clone()? }))
            .collect(),
    }
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
