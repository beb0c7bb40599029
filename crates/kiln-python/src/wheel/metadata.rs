//! Core metadata: what a distribution says about itself in METADATA (PEP 241 to PEP 794).

use kiln_record::{Metadata, MetadataFields, Supplier, excerpt};

/// The most that is kept of a field that only people read, in bytes.
const LONGEST_ABOUT: usize = 4 << 10;
/// The most that is kept of a licence, in bytes: some write the whole text there.
const LONGEST_LICENSE: usize = 64 << 10;
/// The most classifiers of licences that are kept.
const MOST_CLASSIFIERS: usize = 64;

/// The fields of METADATA that kiln uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreMetadata {
    /// `Name`, as written.
    pub(crate) name: Option<String>,
    /// `Version`, as written.
    pub(crate) version: Option<String>,
    /// `Requires-Dist` lines, as written.
    pub(crate) requires_dist: Vec<String>,
    /// `Requires-Python`, as written.
    pub(crate) requires_python: Option<String>,
    /// `Provides-Extra` lines, as written.
    pub(crate) extras: Vec<String>,
    /// Licence, supplier and addresses.
    pub(crate) about: Metadata,
}

/// Reads METADATA. The format is a mail header: unknown fields are passed over, and nothing in it can fail.
pub(crate) fn parse_metadata(text: &str) -> CoreMetadata {
    let fields = MetadataFields::read(text);
    let all = |name: &'static str| fields.all(name);
    let one = |name: &'static str| fields.one(name).map(str::to_owned);
    let list = |name: &'static str| all(name).filter(|v| !v.is_empty()).map(str::to_owned).collect();
    let expression = one("license-expression");
    let (license_expression, stray) = match expression {
        Some(text) if text.len() <= LONGEST_ABOUT && is_spdx_shaped(&text) => (Some(text), None),
        other => (None, other),
    };
    CoreMetadata {
        name: one("name"),
        version: one("version"),
        requires_dist: list("requires-dist"),
        requires_python: one("requires-python"),
        extras: list("provides-extra"),
        about: Metadata {
            license_expression,
            license: one("license").or(stray).map(|text| kept(text, LONGEST_LICENSE)),
            license_classifiers: all("classifier")
                .filter_map(license_classifier)
                .map(|text| kept(text, LONGEST_ABOUT))
                .take(MOST_CLASSIFIERS)
                .collect(),
            supplier: supplier(one("author"), one("author-email"))
                .or_else(|| supplier(one("maintainer"), one("maintainer-email"))),
            summary: one("summary").map(|text| kept(text, LONGEST_ABOUT)),
            homepage: one("home-page")
                .filter(|url| is_web_address(url))
                .or_else(|| project_url(all("project-url"), &["homepage"])),
            source: project_url(all("project-url"), &["source", "repository", "sourcecode", "github"]),
        },
    }
}

/// The licence that METADATA names, for people: an expression of SPDX, or else its own words, in quotes.
#[must_use]
pub fn license_in_metadata(text: &str) -> Option<String> {
    let about = parse_metadata(text).about;
    let words = || {
        let own = about.license.as_deref().and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
        let words = own.map_or_else(|| about.license_classifiers.join(", "), |line| line.trim().to_owned());
        let shown: String = excerpt(&words).chars().take(60).collect();
        (!shown.is_empty()).then(|| format!("\"{shown}\""))
    };
    about.declared_license().or_else(words)
}

/// A text that goes into records and documents, cut where it is longer than anyone reads. The cut is shown.
fn kept(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether a text has only what an SPDX expression consists of; whether its names are known is not judged
/// here.
fn is_spdx_shaped(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b".-+:() ".contains(&c))
}

/// The licence in a trove classifier: `License :: OSI Approved :: MIT License` gives `MIT License`.
fn license_classifier(classifier: &str) -> Option<String> {
    let rest = classifier.trim().strip_prefix("License ::")?.trim();
    let name =
        rest.strip_prefix("OSI Approved").map_or(rest, |r| r.trim_start().trim_start_matches(':').trim());
    (!name.is_empty()).then(|| name.to_owned())
}

fn supplier(name: Option<String>, email: Option<String>) -> Option<Supplier> {
    let (mail_name, address) = email.map(|text| first_mailbox(&text)).unwrap_or_default();
    let name = name.or(mail_name);
    let cut = |text: Option<String>| text.map(|text| kept(text, LONGEST_ABOUT));
    (name.is_some() || address.is_some()).then_some(Supplier { name: cut(name), email: cut(address) })
}

/// Name and address of the first mailbox in a list such as `A <a@x>, "B, C" <b@x>` or `a@x, b@x`.
fn first_mailbox(text: &str) -> (Option<String>, Option<String>) {
    let mut quoted = false;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            quoted ^= *c == '"';
            *c == ',' && !quoted
        })
        .map_or(text.len(), |(i, _)| i);
    let first = text[..end].trim();
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match first.split_once('<') {
        Some((name, rest)) => (
            filled(name.trim().trim_matches('"').trim()),
            filled(rest.split('>').next().unwrap_or_default().trim()),
        ),
        None if first.contains('@') => (None, filled(first)),
        None => (filled(first), None),
    }
}

/// The first `Project-URL` whose label, normalised as "Well-known Project URLs" says, is one of those given.
fn project_url<'a>(urls: impl Iterator<Item = &'a str> + Clone, labels: &[&str]) -> Option<String> {
    labels.iter().find_map(|wanted| {
        urls.clone().find_map(|line| {
            let (label, url) = line.split_once(',')?;
            let label: String = label
                .chars()
                .filter(|c| !c.is_ascii_punctuation() && !c.is_whitespace())
                .flat_map(char::to_lowercase)
                .collect();
            (label == *wanted && is_web_address(url.trim())).then(|| url.trim().to_owned())
        })
    })
}

fn is_web_address(text: &str) -> bool {
    text.len() <= LONGEST_ABOUT
        && (text.starts_with("https://") || text.starts_with("http://"))
        && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_told_as_an_expression_or_in_its_own_words() {
        for (metadata, told) in [
            ("License-Expression: MIT\nLicense: whatever\n", Some("MIT")),
            ("License: Apache License, Version 2.0\n", Some("Apache-2.0")),
            ("License: Ours\n  and nobody else's\n", Some("\"Ours\"")),
            ("Classifier: License :: OSI Approved :: BSD License\n", Some("\"BSD License\"")),
            ("Name: x\n", None),
        ] {
            assert_eq!(license_in_metadata(metadata).as_deref(), told, "{metadata}");
        }
    }

    #[test]
    fn a_modern_file() {
        let m = parse_metadata(
            "Metadata-Version: 2.4\r\nName: Demo.Pkg\r\nVersion: 1.0\r\nSummary: One line\r\n\
             License-Expression: MIT OR Apache-2.0\r\nAuthor-email: \"Doe, Jane\" <jane@example.org>, B <b@example.org>\r\n\
             Project-URL: Source Code, https://example.org/src\r\nProject-URL: Home page, https://example.org/\r\n\
             Requires-Python: >=3.9\r\nRequires-Dist: six ; extra == 'x'\r\nProvides-Extra: x\r\n\r\nName: body\r\n",
        );
        assert_eq!(m.name.as_deref(), Some("Demo.Pkg"));
        assert_eq!(m.version.as_deref(), Some("1.0"));
        assert_eq!(m.about.license_expression.as_deref(), Some("MIT OR Apache-2.0"));
        let supplier = m.about.supplier.unwrap();
        assert_eq!(supplier.name.as_deref(), Some("Doe, Jane"));
        assert_eq!(supplier.email.as_deref(), Some("jane@example.org"));
        assert_eq!(m.about.homepage.as_deref(), Some("https://example.org/"));
        assert_eq!(m.about.source.as_deref(), Some("https://example.org/src"));
        assert_eq!(m.requires_dist, ["six ; extra == 'x'"]);
        assert_eq!(m.extras, ["x"]);
    }

    #[test]
    fn an_old_file() {
        let m = parse_metadata(
            "Name: a\nAuthor: Jane\nAuthor-email: jane@example.org\nHome-page: UNKNOWN\n\
             License: BSD\n        Redistribution\n       |  and use\nLicense-Expression: see <file>\n\
             Classifier: License :: OSI Approved :: BSD License\nClassifier: License :: Public Domain\n\
             Classifier: License :: OSI Approved\nClassifier: Topic :: X\n",
        );
        assert_eq!(m.about.license.as_deref(), Some("BSD\nRedistribution\n  and use"));
        assert_eq!(m.about.license_expression, None);
        assert_eq!(m.about.license_classifiers, ["BSD License", "Public Domain"]);
        assert_eq!(m.about.homepage, None);
        let supplier = m.about.supplier.unwrap();
        assert_eq!(
            (supplier.name.as_deref(), supplier.email.as_deref()),
            (Some("Jane"), Some("jane@example.org"))
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "é".repeat(20 << 20);
        let m = parse_metadata(&format!(
            "Name: a\nSummary: {long}\nLicense: {long}\nAuthor: {long}\nAuthor-email: {long}@x\nHome-page: https://{long}\n\
             License-Expression: {}\nProject-URL: Source, https://{long}\n{}",
            "MIT OR ".repeat(1 << 20),
            "Classifier: License :: x\n".repeat(10_000),
        ));
        let size = serde_json::to_vec(&m.about).unwrap().len();
        assert!(size < 100_000, "{size}");
        assert!(m.about.summary.unwrap().ends_with('…'));
    }

    #[test]
    fn noise_is_no_error() {
        assert_eq!(parse_metadata(" \n\t:\n:::\n\u{feff}"), CoreMetadata::default());
        assert_eq!(parse_metadata("Author-email: ,\"\nName: \n").about.supplier, None);
    }
}
