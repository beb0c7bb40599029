//! What is not known of a component, said instead of left out.
//!
//! The standards want "unknown" stated, and not to be guessed from a gap (CISA 2026, "Explicitly Identifying Unknown
//! Information").

use crate::model::{Component, License, LicenseChoice, Organization, Property};

/// The word that SPDX has for "nothing is asserted", which readers of either format take.
pub(crate) const UNKNOWN: &str = "NOASSERTION";

/// Says of a component what is not known of it: who supplies it, its version, its licence, and (where CycloneDX has no place for the
/// word, since a hash is hexadecimal) its hash and identifier by the property `kiln:unknown`.
pub(crate) fn say_unknown(component: &mut Component) {
    if component.supplier.is_none() {
        let name = Some(UNKNOWN.to_owned());
        component.supplier = Some(Organization { name, url: Vec::new(), contact: Vec::new() });
    }
    component.version.get_or_insert_with(|| UNKNOWN.to_owned());
    if component.licenses.is_empty() {
        let name = Some(UNKNOWN.to_owned());
        let license = License { id: None, name, acknowledgement: None, text: None };
        component.licenses.push(LicenseChoice::License { license });
    }
    let mut missing = Vec::new();
    missing.extend(component.hashes.is_empty().then_some("hash"));
    missing.extend(component.purl.is_none().then_some("identifier"));
    component.properties.extend(missing.into_iter().map(|what| Property::new("kiln:unknown", what)));
    component.properties.sort();
}

/// A value that is one.
pub(crate) fn known(value: &str) -> Option<&str> {
    (value != UNKNOWN).then_some(value)
}
