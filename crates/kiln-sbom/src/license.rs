//! Licences as a package declares them.
//!
//! Nothing is concluded: an expression is taken as it stands, other texts become an SPDX id only where they are one, or
//! where a classifier means exactly one.

use crate::model::{Attachment, License, LicenseChoice};
use crate::spec_version::SpecVersion;
use crate::text;
use kiln_record::{Metadata, is_license_expression, license_expression};

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

/// A licence in words that stand alone: an expression where they are one, else a name.
pub(crate) fn of_words(words: &str, version: SpecVersion) -> Vec<LicenseChoice> {
    declared(&Metadata { license: Some(words.to_owned()), ..Metadata::default() }, version)
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
