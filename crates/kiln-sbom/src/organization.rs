//! Who makes an artifact, and what it is called outside: what the workspace states of all its artifacts.

use crate::model::{Contact, LicenseChoice, Organization};
use crate::spec_version::SpecVersion;
use crate::unknown::known;
use crate::{SbomError, license, text};
use kiln_record as record;
use packageurl::PackageUrl;

/// Its maker.
pub(crate) fn maker(organization: &record::Organization) -> Organization {
    let contact = organization.contact.as_deref().filter(|contact| text::is_email(contact));
    Organization {
        name: Some(text::line(&organization.name)),
        url: organization.url.iter().filter(|url| text::is_web_url(url)).cloned().collect(),
        contact: contact
            .map(|email| Contact { name: None, email: Some(email.to_owned()) })
            .into_iter()
            .collect(),
    }
}

/// Who answers for the document.
pub(crate) fn author(organization: &record::Organization) -> Contact {
    let email = organization.contact.as_deref().filter(|contact| text::is_email(contact));
    Contact { name: Some(text::line(&organization.name)), email: email.map(str::to_owned) }
}

/// The licence of the artifacts' own code, as stated.
pub(crate) fn own_license(record: &record::Record, version: SpecVersion) -> Vec<LicenseChoice> {
    let stated = record.organization.as_ref().and_then(|organization| organization.license.as_deref());
    stated.map(|stated| license::of_words(stated, version)).unwrap_or_default()
}

/// Its package URL: an image is known by its manifest (purl types, "oci"), and what is in no registry is a generic package.
pub(crate) fn package_url(record: &record::Record) -> Result<String, SbomError> {
    let error = |reason: packageurl::Error| SbomError::PackageUrl {
        component: record.artifact.to_string(),
        reason: reason.to_string(),
    };
    let (kind, version) = match (&record.image, record.archive()) {
        (Some(image), _) => ("oci", Some(format!("sha256:{}", image.manifest.hex()))),
        (None, Some(archive)) => ("generic", Some(format!("sha256:{}", archive.digest.hex()))),
        (None, None) => ("generic", None),
    };
    let mut purl = PackageUrl::new(kind, record.artifact.to_string()).map_err(error)?;
    if let Some(version) = version {
        purl.with_version(version).map_err(error)?;
    }
    if record.image.is_some() {
        purl.add_qualifier("arch", record.target.architecture.oci().to_owned()).map_err(error)?;
    }
    Ok(purl.to_string())
}

/// The package URL of what is in no registry, with the digest of its file where it has one (purl types, "generic").
pub(crate) fn generic_url(
    name: &str,
    version: Option<&str>,
    sha256: Option<&record::Digest>,
) -> Result<String, SbomError> {
    let error = |reason: packageurl::Error| SbomError::PackageUrl {
        component: name.to_owned(),
        reason: reason.to_string(),
    };
    let mut purl = PackageUrl::new("generic", name.to_owned()).map_err(error)?;
    if let Some(version) = version.and_then(known) {
        purl.with_version(version.to_owned()).map_err(error)?;
    }
    if let Some(digest) = sha256 {
        purl.add_qualifier("checksum", digest.to_string()).map_err(error)?;
    }
    Ok(purl.to_string())
}
