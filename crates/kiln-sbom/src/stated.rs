//! What the workspace states of components that others make: it fills gaps, is marked, and is in no place of what a component says itself.

use crate::model::{Component, Organization, Property};
use crate::spec_version::SpecVersion;
use crate::{SbomError, graph::Graph, license, text};
use kiln_record::{ComponentStatement, Record};
use packageurl::PackageUrl;
use std::str::FromStr as _;

/// The statements of a record that are about something in it, or about what it runs on.
///
/// # Errors
/// As [`crate::cyclonedx`].
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

fn is_about(statement: &ComponentStatement, component: &Component) -> bool {
    let read = |purl: &str| PackageUrl::from_str(purl).ok();
    let (Some(meant), Some(this)) = (read(&statement.purl), component.purl.as_deref().and_then(read)) else {
        return false;
    };
    let named = |purl: &PackageUrl<'_>| {
        (purl.ty().to_owned(), purl.namespace().map(str::to_owned), purl.name().to_owned())
    };
    named(&meant) == named(&this) && (meant.version().is_none() || meant.version() == this.version())
}
