//! What the workspace states of components that others make: it fills gaps, is marked, and is in no place of what a component says itself.

use crate::model::{Component, Organization, Property};
use crate::spec_version::SpecVersion;
use crate::{license, text};
use kiln_record::ComponentStatement;
use packageurl::PackageUrl;
use std::str::FromStr as _;

/// Fills what nothing says of a component with what is stated, and marks what was filled.
pub(crate) fn state(component: &mut Component, stated: &[ComponentStatement], version: SpecVersion) {
    for statement in stated {
        if !is_about(statement, component) {
            continue;
        }
        let mut filled = Vec::new();
        if let (true, Some(words)) = (component.licenses.is_empty(), &statement.license) {
            component.licenses = license::concluded(words, version);
            filled.push("license");
        }
        // Whom it has from what it is in is said of that.
        let is_borrowed = component.properties.iter().any(|property| property.name == SUPPLIED_WITHIN);
        if let (true, Some(name)) = (component.supplier.is_none() || is_borrowed, &statement.supplier) {
            component.properties.retain(|property| property.name != SUPPLIED_WITHIN);
            let name = Some(text::line(name));
            component.supplier = Some(Organization { name, url: Vec::new(), contact: Vec::new() });
            filled.push("supplier");
        }
        if !filled.is_empty() {
            let said = format!("{}: {}", filled.join(", "), statement.reason);
            component.properties.push(Property::new("kiln:stated", text::line(&said)));
            component.properties.sort();
        }
    }
}

/// Says that a component's supplier is that of what it is in.
pub(crate) const SUPPLIED_WITHIN: &str = "kiln:supplied-within";

/// Whether a statement is about a component.
pub(crate) fn is_about(statement: &ComponentStatement, component: &Component) -> bool {
    let read = |purl: &str| PackageUrl::from_str(purl).ok();
    let (Some(meant), Some(this)) = (read(&statement.purl), component.purl.as_deref().and_then(read)) else {
        return false;
    };
    let named = |purl: &PackageUrl<'_>| {
        (purl.ty().to_owned(), purl.namespace().map(str::to_owned), purl.name().to_owned())
    };
    named(&meant) == named(&this) && (meant.version().is_none() || meant.version() == this.version())
}
