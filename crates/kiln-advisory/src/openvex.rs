//! OpenVEX (<https://github.com/openvex/spec>, version 0.2.0), read and written.

use crate::AdvisoryError;
use crate::audit::{Audit, day};
use crate::subject::Subject;
use crate::time::time;
use crate::vex::{Justification, Product, Statement, Status};
use kiln_record::{Digest, Epoch, Record, canonical_json, excerpt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The context of the version that is written.
const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";
/// What every version's context begins with.
const CONTEXTS: &str = "https://openvex.dev/ns";
/// The largest document that is read, in bytes, and the most statements, names and products of each.
const LARGEST: usize = 64 << 20;
const MOST: usize = 100_000;
const MOST_OF_ONE: usize = 10_000;

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    statements: Vec<Stated>,
}

#[derive(Deserialize)]
struct Stated {
    vulnerability: Vulnerability,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    products: Vec<StatedProduct>,
    status: Status,
    #[serde(default)]
    justification: Option<Justification>,
    #[serde(default)]
    impact_statement: Option<String>,
    #[serde(default)]
    status_notes: Option<String>,
}

/// Before 0.0.2 a name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vulnerability {
    Name(String),
    Described {
        name: String,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StatedProduct {
    Name(String),
    Described {
        #[serde(rename = "@id", default)]
        id: Option<String>,
        #[serde(default)]
        identifiers: BTreeMap<String, String>,
        #[serde(default)]
        hashes: BTreeMap<String, String>,
        #[serde(default)]
        subcomponents: Vec<StatedProduct>,
    },
}

/// Reads the statements of a document.
///
/// # Errors
/// [`AdvisoryError::Statements`] if it is no OpenVEX, out of bounds, or says `not_affected` without saying why.
pub fn read_openvex(path: &str, bytes: &[u8]) -> Result<Vec<Statement>, AdvisoryError> {
    let error = |reason: String| AdvisoryError::Statements { path: excerpt(path), reason };
    if bytes.len() > LARGEST {
        return Err(error(format!("it has {} bytes, and {LARGEST} are read", bytes.len())));
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|wrong| error(format!("no OpenVEX document: {}", excerpt(&wrong.to_string()))))?;
    if !document.context.starts_with(CONTEXTS) {
        return Err(error(format!(
            "its context is `{}`, and OpenVEX's is {CONTEXTS}",
            excerpt(&document.context)
        )));
    }
    if document.statements.len() > MOST {
        return Err(error(format!("it has more than {MOST} statements")));
    }
    let (author, said) = (excerpt(&document.author), document.timestamp);
    let read = document.statements.into_iter().enumerate().map(|(index, stated)| {
        let place = format!("{}, statement {}", excerpt(path), index + 1);
        statement(stated, &author, said.as_deref(), place)
            .map_err(|reason| error(format!("statement {}: {reason}", index + 1)))
    });
    read.collect()
}

fn statement(stated: Stated, author: &str, said: Option<&str>, place: String) -> Result<Statement, String> {
    let names: BTreeSet<String> = match stated.vulnerability {
        Vulnerability::Name(name) => BTreeSet::from([name]),
        Vulnerability::Described { name, aliases } => {
            std::iter::once(name).chain(aliases.into_iter().take(MOST_OF_ONE)).collect()
        }
    };
    if stated.products.len() > MOST_OF_ONE {
        return Err(format!("it is about more than {MOST_OF_ONE} products"));
    }
    if stated.status == Status::NotAffected
        && stated.justification.is_none()
        && stated.impact_statement.is_none()
    {
        return Err("`not_affected` needs a justification or an impact statement".to_owned());
    }
    let reason = stated.impact_statement.or(stated.status_notes);
    Ok(Statement {
        names: names.into_iter().filter(|name| !name.is_empty()).collect(),
        products: stated.products.into_iter().map(product).collect(),
        status: stated.status,
        justification: stated.justification,
        reason: reason.map(|text| excerpt(&text)),
        author: author.to_owned(),
        at: stated.timestamp.as_deref().or(said).and_then(time),
        until: None,
        place,
    })
}

fn product(stated: StatedProduct) -> Product {
    match stated {
        StatedProduct::Name(id) => Product { purl: Some(id), ..Product::default() },
        StatedProduct::Described { id, mut identifiers, hashes, subcomponents } => Product {
            sha256: hashes
                .get("sha-256")
                .or_else(|| hashes.get("sha256"))
                .and_then(|hex| Digest::from_hex(hex).ok()),
            purl: identifiers.remove("purl").or(id),
            parts: subcomponents
                .into_iter()
                .take(MOST_OF_ONE)
                .filter_map(|part| product(part).purl)
                .collect(),
        },
    }
}

/// Writes what a build's evidence and people say of the vulnerabilities that advisories have for it. What nobody has said
/// anything about is under investigation.
///
/// # Errors
/// [`AdvisoryError::Document`] if the record names no published file.
pub fn openvex(record: &Record, audit: &Audit, kiln: &str, now: Epoch) -> Result<Vec<u8>, AdvisoryError> {
    let error = |reason: String| AdvisoryError::Document { artifact: record.artifact.to_string(), reason };
    let archive = record.archive().ok_or_else(|| error("the record names no published file".to_owned()))?;
    let of = |subject: &Subject| {
        json!([{
            "@id": format!("pkg:generic/{}?checksum=sha256:{}", record.artifact, archive.digest.hex()),
            "hashes": {"sha-256": archive.digest.hex()},
            "subcomponents": [{"@id": subject.purl}],
        }])
    };
    let vulnerability = |id: &str, names: &BTreeSet<String>| json!({"name": id, "aliases": names.iter().filter(|name| *name != id).collect::<Vec<_>>()});
    let mut statements: Vec<Value> = Vec::new();
    for absent in &audit.absent {
        statements.push(json!({
            "vulnerability": vulnerability(&absent.id, &absent.names), "products": of(&absent.subject),
            "status": Status::NotAffected, "justification": Justification::ComponentNotPresent,
            "impact_statement": format!("{} is not in the artifact: {}", absent.subject.label(), absent.reason),
        }));
    }
    for finding in &audit.findings {
        let mut one = json!({"vulnerability": vulnerability(&finding.id, &finding.names), "products": of(&finding.subject)});
        match &finding.silenced {
            Some(said) => {
                one["status"] = json!(said.status);
                if let Some(justification) = said.justification {
                    one["justification"] = json!(justification);
                }
                if let (Some(reason), Status::NotAffected) = (&said.reason, said.status) {
                    one["impact_statement"] = json!(reason);
                }
                one["status_notes"] = json!(said_by(said));
            }
            None => {
                one["status"] = json!(Status::UnderInvestigation);
                one["status_notes"] = json!(notes(finding.draft(), finding.undecided.as_deref()));
            }
        }
        statements.push(one);
    }
    let author = record.organization.as_ref().map(|organization| organization.name.clone());
    let content = canonical_json(&statements).map_err(|wrong| error(wrong.to_string()))?;
    let document = json!({
        "@context": CONTEXT,
        "@id": Uuid::new_v5(&Uuid::NAMESPACE_OID, &content).urn().to_string(),
        "author": author.unwrap_or_else(|| "kiln".to_owned()),
        "timestamp": now,
        "version": 1,
        "tooling": kiln,
        "statements": statements,
    });
    canonical_json(&document).map_err(|wrong| error(wrong.to_string()))
}

/// Who said something, where, and until when it counts.
pub(crate) fn said_by(said: &Statement) -> String {
    let until = said.until.map(|until| format!(", until {}", day(until))).unwrap_or_default();
    format!("said by {} ({}){until}", said.author, said.place)
}

/// What is known of a vulnerability of which nobody said anything.
pub(crate) fn notes(draft: Option<&str>, undecided: Option<&str>) -> String {
    match (undecided, draft) {
        (Some(reason), _) => format!("whether this version has it cannot be told: {reason}"),
        (None, Some(draft)) => format!("draft, which a person has to confirm: {draft}"),
        (None, None) => "nothing has been said of it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::python;

    #[test]
    fn documents_of_others_are_read() {
        let document = json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex", "author": "Words", "version": 1,
            "timestamp": "2023-01-16T19:07:16.853479631-06:00",
            "statements": [
                {"vulnerability": {"@id": "https://example.org/CVE-1", "name": "CVE-1", "aliases": ["GHSA-1"]},
                 "products": [{"@id": "pkg:pypi/words@1.0", "identifiers": {"purl": "pkg:pypi/words@1.0"}}],
                 "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path", "impact_statement": "never"},
                {"vulnerability": "CVE-2", "products": ["pkg:pypi/words"], "status": "fixed"},
                {"vulnerability": {"name": "CVE-3"}, "status": "affected", "action_statement": "upgrade"},
            ],
        });
        let statements = read_openvex("vex.json", document.to_string().as_bytes()).unwrap();
        let about = |name: &str| {
            let names = BTreeSet::from([name.to_owned()]);
            statements
                .iter()
                .filter(|one| one.is_about(&names, &python("words", "1.0"), &BTreeSet::new()))
                .count()
        };
        assert_eq!(["CVE-1", "GHSA-1", "CVE-2", "CVE-3"].map(about), [1, 1, 1, 0]);
        assert_eq!(statements[0].at.unwrap().to_string(), "2023-01-17T01:07:16Z");
        assert_eq!(statements[1].place, "vex.json, statement 2");
    }

    #[test]
    fn what_is_no_statement_says_why() {
        let document = |statement: Value| json!({"@context": CONTEXT, "statements": [statement]}).to_string();
        for (text, reason) in [
            ("{".to_owned(), "no OpenVEX document"),
            (json!({"@context": "https://example.org"}).to_string(), "its context is `https://example.org`"),
            (document(json!({"vulnerability": "CVE-1", "status": "fine"})), "unknown variant `fine`"),
            (
                document(json!({"vulnerability": "CVE-1", "status": "not_affected"})),
                "statement 1: `not_affected` needs",
            ),
        ] {
            let error = read_openvex("vex.json", text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
