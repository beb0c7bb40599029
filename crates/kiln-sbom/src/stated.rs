//! What the workspace states of components that others make: it fills gaps, is marked, and is in no place of what a component says itself.

use crate::component::{sha512, take_hashes};
use crate::model::{Component, Hash, Organization, Property};
use crate::spec_version::SpecVersion;
use crate::{license, text};
use kiln_record::{ComponentStatement, cpe_name};
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
        if let (None, Some(name)) = (&component.cpe, statement.cpe.as_deref().and_then(cpe_name)) {
            component.cpe = Some(name);
            filled.push("cpe");
        }
        if let Some(archive) = statement.archive.as_deref().map(text::line)
            && take_hashes(component, hashes(statement).collect(), &archive, &archive)
        {
            filled.push("archive");
        }
        if !filled.is_empty() {
            let said = format!("{}: {}", filled.join(", "), statement.reason);
            component.properties.push(Property::new("kiln:stated", text::line(&said)));
            component.properties.sort();
        }
    }
}

/// What is known of a component's archive, if a statement is about that component and gives it another digest.
pub(crate) fn contradicts<'a>(statement: &ComponentStatement, component: &'a Component) -> Option<&'a Hash> {
    let other = |stated: Hash| {
        component.hashes.iter().find(|known| known.alg == stated.alg && known.content != stated.content)
    };
    hashes(statement).find_map(other).filter(|_| is_about(statement, component))
}

/// What a statement says of the archive of a component.
fn hashes(statement: &ComponentStatement) -> impl Iterator<Item = Hash> {
    let sha256 = statement.digest.map(|digest| Hash { alg: "SHA-256", content: digest.hex() });
    sha256.into_iter().chain(sha512(statement.sha512.as_deref()))
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
