//! Licences as a package declares them, and what is concluded from the texts that it brings.
//!
//! An expression is taken as it stands, other words become an SPDX id only where they are one, or where a classifier means exactly
//! one. What is concluded stands beside that and never in its place.

use crate::model::{Attachment, License, LicenseChoice};
use crate::spec_version::SpecVersion;
use crate::text;
use kiln_record::{Component, Metadata, is_license_expression, license_expression};

/// The licences that a package declares. From the source that says most: expression, then its own words, then
/// classifiers.
pub(crate) fn declared(metadata: &Metadata, version: SpecVersion) -> Vec<LicenseChoice> {
    let acknowledgement = (version >= SpecVersion::V1_6).then_some("declared");
    let license = |id: Option<String>, name: Option<String>, text: Option<Attachment>| {
        LicenseChoice::License { license: License { id, name, acknowledgement, text } }
    };
    // A field for expressions may hold anything: what is none is carried in its own words.
    let stated = non_empty(metadata.license_expression.as_deref());
    if let Some(expression) = stated.and_then(license_expression) {
        return vec![expressed(expression, acknowledgement)];
    }
    if let Some(words) = stated.or(non_empty(metadata.license.as_deref())) {
        if let Some(expression) = license_expression(words) {
            return vec![expressed(expression, acknowledgement)];
        }
        let first = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(words);
        let name: String = text::line(first).chars().take(100).collect();
        let whole = (name != words)
            .then(|| Attachment { content_type: "text/plain", content: words.replace('\0', "\u{fffd}") });
        return vec![license(None, Some(name), whole)];
    }
    let mut names: Vec<&str> =
        metadata.license_classifiers.iter().filter_map(|c| non_empty(Some(c.as_str()))).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| match license_expression(name) {
            Some(id) => license(Some(id), None, None),
            None => license(None, Some(text::line(name)), None),
        })
        .collect()
}

/// The licences of a component: declared, and concluded where its texts bear one out. Before 1.6 no licence says which of the two it
/// is, and before 1.7 an expression stands alone; where there is no place for a conclusion, it is among the evidence
/// ([`of_texts`]) only.
pub(crate) fn of_component(component: &Component, version: SpecVersion) -> Vec<LicenseChoice> {
    let mut all = declared(&component.metadata, version);
    if version < SpecVersion::V1_6 {
        return all;
    }
    let concluded = component.license_texts().concluded.map(|one| expressed(one, Some("concluded")));
    let is_one = |choice: &LicenseChoice| matches!(choice, LicenseChoice::License { .. });
    all.extend(concluded.filter(|one| {
        version >= SpecVersion::V1_7 || (is_one(one) && all.iter().all(is_one)) || all.is_empty()
    }));
    all
}

/// What is concluded from a component's licence texts, as evidence.
pub(crate) fn of_texts(component: &Component) -> Vec<LicenseChoice> {
    component.license_texts().concluded.map(|one| expressed(one, None)).into_iter().collect()
}

/// A licence in words that stand alone: an expression where they are one, else a name.
pub(crate) fn of_words(words: &str, version: SpecVersion) -> Vec<LicenseChoice> {
    declared(&Metadata { license: Some(words.to_owned()), ..Metadata::default() }, version)
}

/// A licence that somebody else than its maker states. Before 1.6 nothing says so but the property beside it.
pub(crate) fn concluded(expression: &str, version: SpecVersion) -> Vec<LicenseChoice> {
    let acknowledgement = (version >= SpecVersion::V1_6).then_some("concluded");
    vec![expressed(expression.to_owned(), acknowledgement)]
}

/// An expression; one that is a single licence of SPDX's list is that licence, which more readers understand.
fn expressed(expression: String, acknowledgement: Option<&'static str>) -> LicenseChoice {
    let is_one =
        !expression.contains([' ', '(']) && !expression.contains("LicenseRef-") && !expression.ends_with('+');
    if is_one && is_license_expression(&expression) {
        let license = License { id: Some(expression), name: None, acknowledgement, text: None };
        return LicenseChoice::License { license };
    }
    LicenseChoice::Expression { expression, acknowledgement }
}

fn non_empty(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|t| !t.is_empty() && *t != "UNKNOWN")
}
