//! One advisory in the form of OSV.
//!
//! A document says more than is needed, and comes from whoever runs a database: what is taken is bounded, and what is out of
//! shape makes the document unreadable rather than the vulnerability unknown.

use crate::severity::Rating;
use crate::time::time;
use kiln_record::{Epoch, excerpt};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;

/// The largest document that is read, in bytes: those that list every version of a package are some hundred thousand.
pub(crate) const LARGEST: u64 = 16 << 20;
/// The longest id, name or version in bytes.
const LONGEST: usize = 500;
/// The most ids and ratings that are taken of one document.
const MOST: usize = 1_000;

/// An advisory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advisory {
    /// What its database calls it.
    pub id: String,
    /// What others call the same.
    pub aliases: Vec<String>,
    /// What it stands for in another database (`upstream`): one name is the same thing, several are what it covers.
    pub upstream: Vec<String>,
    /// One line on what it is.
    pub summary: Option<String>,
    /// When it last changed.
    pub modified: Option<Epoch>,
    /// How severe it is, as it says.
    pub ratings: Vec<Rating>,
    /// The packages that it is about.
    pub affected: Vec<Affected>,
}

/// A package that an advisory is about, with the versions that it affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// The ecosystem, such as `PyPI` or `Debian:13`.
    pub ecosystem: String,
    /// The package's name there.
    pub name: String,
    /// Versions that are affected, each by name.
    pub versions: Vec<String>,
    /// Ranges of versions that are.
    pub ranges: Vec<Range>,
    /// How severe it is for this package, where that is another thing than for all.
    pub ratings: Vec<Rating>,
}

/// A range of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whose order the versions are in.
    pub kind: RangeKind,
    /// Where being affected begins and ends.
    pub events: Vec<Event>,
}

/// Whose order the versions of a range are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// The ecosystem's own.
    Ecosystem,
    /// Semantic versions.
    Semver,
    /// Commits, of which nothing here knows the order.
    Git,
    /// Some other.
    Other,
}

/// Where being affected begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From this version on; `0` is before all.
    Introduced(String),
    /// Not any more from this version on.
    Fixed(String),
    /// Not any more behind this version.
    LastAffected(String),
    /// Nothing is said from this version on.
    Limit(String),
}

/// What decides whether the rest of a document is looked at.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
    #[expect(dead_code, reason = "it must be there: what has no id is no advisory")]
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    modified: Option<String>,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    affected: Vec<HeadAffected<'a>>,
}

#[derive(Deserialize)]
struct HeadAffected<'a> {
    #[serde(borrow, default)]
    package: Option<Package<'a>>,
}

#[derive(Deserialize)]
struct Package<'a> {
    #[serde(borrow)]
    ecosystem: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'a> Head<'a> {
    /// Reads it; the rest of the document is only known to be JSON then.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| excerpt(&error.to_string()))
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_some()
    }

    pub(crate) fn modified(&self) -> Option<Epoch> {
        self.modified.as_deref().and_then(time)
    }

    /// The packages that it is about, each with its ecosystem.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&str, &str)> {
        self.affected
            .iter()
            .filter_map(|one| one.package.as_ref())
            .map(|package| (&*package.ecosystem, &*package.name))
    }
}

#[derive(Deserialize)]
struct Document {
    id: String,
    #[serde(default)]
    modified: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    aliases: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    upstream: Vec<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    details: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    severity: Vec<DocumentSeverity>,
    #[serde(default, deserialize_with = "or_default")]
    affected: Vec<DocumentAffected>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct DocumentSeverity {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct DocumentAffected {
    #[serde(default)]
    package: Option<DocumentPackage>,
    #[serde(default, deserialize_with = "or_default")]
    versions: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    ranges: Vec<DocumentRange>,
    #[serde(default, deserialize_with = "or_default")]
    severity: Vec<DocumentSeverity>,
    #[serde(default)]
    ecosystem_specific: Value,
}

#[derive(Deserialize)]
struct DocumentPackage {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct DocumentRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    events: Vec<DocumentEvent>,
}

#[derive(Deserialize)]
struct DocumentEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// What writers of Go put for an empty list is `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a document of OSV.
///
/// # Errors
/// What is wrong with it, in at most a line: no JSON, no advisory, or an id that is no id.
pub fn read_advisory(bytes: &[u8]) -> Result<Advisory, String> {
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it has {} bytes, and {LARGEST} are read", bytes.len()));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| excerpt(&error.to_string()))?;
    if !is_id(&document.id) {
        return Err(format!("`{}` is no id of an advisory", excerpt(&document.id)));
    }
    let ids = |ids: Vec<String>| ids.into_iter().filter(|id| is_id(id)).take(MOST).collect();
    let words = |of: &Value| {
        let word = of.get("severity").or_else(|| of.get("urgency")).and_then(Value::as_str);
        word.filter(|word| is_short(word))
            .map(|word| Rating { method: "database".to_owned(), value: word.to_owned() })
    };
    let mut ratings = ratings(document.severity);
    ratings.extend(words(&document.database_specific));
    let summary = document.summary.filter(|text| !text.trim().is_empty()).or(document.details);
    let affected = document.affected.into_iter().filter_map(|one| {
        let package = one.package?;
        let mut own = self::ratings(one.severity);
        own.extend(words(&one.ecosystem_specific));
        Some(Affected {
            ecosystem: package.ecosystem,
            name: package.name,
            versions: one.versions,
            ranges: one.ranges.into_iter().map(range).collect(),
            ratings: own,
        })
    });
    Ok(Advisory {
        aliases: ids(document.aliases),
        upstream: ids(document.upstream),
        summary: summary.as_deref().and_then(first_line),
        modified: document.modified.as_deref().and_then(time),
        ratings,
        affected: affected.collect(),
        id: document.id,
    })
}

fn ratings(severity: Vec<DocumentSeverity>) -> Vec<Rating> {
    let all = severity.into_iter().filter(|one| is_id(&one.kind) && is_short(&one.score));
    all.take(MOST).map(|one| Rating { method: one.kind, value: one.score }).collect()
}

fn range(range: DocumentRange) -> Range {
    let kind = match range.kind.as_str() {
        "ECOSYSTEM" => RangeKind::Ecosystem,
        "SEMVER" => RangeKind::Semver,
        "GIT" => RangeKind::Git,
        _ => RangeKind::Other,
    };
    let events = range.events.into_iter().flat_map(|event| {
        // One of them by the form; whoever writes several means each.
        [
            event.introduced.map(Event::Introduced),
            event.fixed.map(Event::Fixed),
            event.last_affected.map(Event::LastAffected),
            event.limit.map(Event::Limit),
        ]
    });
    Range { kind, events: events.flatten().collect() }
}

/// Whether a text is what databases call advisories by: one word of printable ASCII.
fn is_id(text: &str) -> bool {
    is_short(text) && text.bytes().all(|c| c.is_ascii_graphic())
}

fn is_short(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST
}

/// The first line of a text, short and harmless.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(excerpt(line.trim_start_matches('#').trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_read_as_far_as_it_matters() {
        let document = json!({
            "schema_version": "1.6.0", "id": "GHSA-xxxx-1", "modified": "2025-02-03T04:05:06.7Z", "aliases": ["CVE-2025-1", "no id"],
            "related": null, "summary": "", "details": "## Words\nare \u{1b}[31m wrong",
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [
                {"package": {"ecosystem": "PyPI", "name": "words", "purl": "pkg:pypi/words"}, "versions": ["1.0"],
                 "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}], "severity": null},
                {"ranges": [{"type": "GIT", "repo": "https://example.org/x", "events": [{"introduced": "0"}]}]},
            ],
            "database_specific": {"severity": "HIGH"},
        });
        let bytes = serde_json::to_vec(&document).unwrap();
        let advisory = read_advisory(&bytes).unwrap();
        assert_eq!((advisory.id.as_str(), advisory.aliases), ("GHSA-xxxx-1", vec!["CVE-2025-1".to_owned()]));
        assert_eq!(advisory.summary.as_deref(), Some("Words"));
        assert_eq!(advisory.ratings.len(), 2);
        let [affected] = &advisory.affected[..] else { panic!("{:?}", advisory.affected) };
        let events = [Event::Introduced("0".to_owned()), Event::Fixed("2.0".to_owned())];
        assert_eq!(affected.ranges, [Range { kind: RangeKind::Ecosystem, events: events.to_vec() }]);
        let head = Head::read(&bytes).unwrap();
        assert_eq!(head.packages().collect::<Vec<_>>(), [("PyPI", "words")]);
        assert_eq!(head.modified().unwrap().to_string(), "2025-02-03T04:05:06Z");
        assert!(!head.is_withdrawn());
    }

    #[test]
    fn what_is_no_advisory_says_why() {
        for (document, reason) in [
            (json!([]).to_string(), "invalid length"),
            (json!({"id": "a b"}).to_string(), "no id of an advisory"),
            (json!({"id": "A", "affected": 1}).to_string(), "invalid type"),
            ("[".repeat(100_000), "invalid type"),
            ("{\"id\":\"A\",\"x\":".to_owned() + &"[".repeat(100_000), "EOF while parsing"),
        ] {
            let error = read_advisory(document.as_bytes()).unwrap_err();
            assert!(error.contains(reason) && error.len() < 400, "{error}");
        }
    }
}
