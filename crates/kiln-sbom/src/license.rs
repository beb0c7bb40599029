//! Licences as a package declares them.
//!
//! Nothing is concluded: an expression is taken as it stands, other texts become an SPDX id only where they are one, or
//! where a classifier means exactly one.

use crate::model::{Attachment, License, LicenseChoice};
use crate::spec_version::SpecVersion;
use crate::text;
use kiln_record::Metadata;

/// The licences that a package declares. From the source that says most: expression, then its own words, then
/// classifiers.
pub(crate) fn declared(metadata: &Metadata, version: SpecVersion) -> Vec<LicenseChoice> {
    let acknowledgement = (version >= SpecVersion::V1_6).then_some("declared");
    if let Some(expression) = non_empty(metadata.license_expression.as_deref()) {
        return vec![LicenseChoice::Expression { expression: text::line(expression), acknowledgement }];
    }
    let license = |id: Option<&str>, name: Option<String>, text: Option<Attachment>| LicenseChoice::License {
        license: License { id: id.map(str::to_owned), name, acknowledgement, text },
    };
    if let Some(words) = non_empty(metadata.license.as_deref()) {
        if let Some(id) = SPDX_IDS.iter().find(|id| **id == words) {
            return vec![license(Some(id), None, None)];
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
        .map(|name| match CLASSIFIERS.iter().find(|(classifier, _)| *classifier == name) {
            Some((_, id)) => license(Some(id), None, None),
            None => license(None, Some(text::line(name)), None),
        })
        .collect()
}

fn non_empty(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|t| !t.is_empty() && *t != "UNKNOWN")
}

/// Ids of the SPDX list that packages write in the old `License` field. The list has hundreds; these are the ones that
/// occur, and any other text keeps its own words.
const SPDX_IDS: [&str; 17] = [
    "0BSD",
    "AGPL-3.0-only",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "GPL-2.0-only",
    "GPL-3.0-only",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-3.0-only",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
];

/// Classifiers that mean exactly one licence. `BSD License` or `Apache Software License` mean several, so they are not
/// here.
const CLASSIFIERS: [(&str, &str); 7] = [
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Zero-Clause BSD (0BSD)", "0BSD"),
    ("zlib/libpng License", "Zlib"),
];
