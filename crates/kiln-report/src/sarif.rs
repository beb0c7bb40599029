//! Judgements as SARIF 2.1.0, the form that code scanning reads.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/> says what each member means. What has no place in a file is shown
//! where the subject is declared, because code scanning passes over results without a place.

use crate::judgement::{CaseState, Judgement, Remark};
use crate::rules::rule;
use kiln_record::{Digest, Level};
use serde::Serialize;
use std::collections::BTreeSet;

/// The schema that the document is of.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The document of a run of kiln in a version.
///
/// # Errors
/// None that a text or number could cause.
pub fn sarif(kiln: &str, judgements: &[Judgement]) -> Result<String, serde_json::Error> {
    let names: BTreeSet<&str> =
        judgements.iter().flat_map(Judgement::shown).map(|remark| remark.rule.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let index = |remark: &Remark| names.binary_search(&remark.rule.as_str()).unwrap_or_default();
    let results = judgements
        .iter()
        .flat_map(|one| one.shown().map(move |remark| (one, remark)))
        .map(|(judgement, remark)| Found::new(judgement, remark, index(remark)))
        .collect();
    let notifications = judgements.iter().flat_map(notifications).collect();
    let successful = !judgements
        .iter()
        .flat_map(|one| &one.cases)
        .any(|case| matches!(case.state, CaseState::Broken { .. }));
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "kiln",
                    version: kiln,
                    rules: names.iter().map(|name| Descriptor::new(name)).collect(),
                },
            },
            invocations: [Invocation {
                execution_successful: successful,
                tool_execution_notifications: notifications,
            }],
            column_kind: "unicodeCodePoints",
            results,
        }],
    };
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    invocations: [Invocation; 1],
    column_kind: &'static str,
    results: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
struct Driver<'a> {
    name: &'static str,
    version: &'a str,
    rules: Vec<Descriptor<'a>>,
}

/// A `reportingDescriptor`: what a rule means.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    id: &'a str,
    short_description: Text,
    help: Text,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

impl<'a> Descriptor<'a> {
    fn new(name: &'a str) -> Self {
        let rule = rule(name);
        let help = format!("{} {}", rule.meaning, rule.way_out).trim_end().to_owned();
        Self {
            id: name,
            short_description: Text { text: rule.meaning },
            help: Text { text: help },
            default_configuration: Configuration { level: level(rule.level) },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    tool_execution_notifications: Vec<Notification>,
}

/// What did not run, or broke off.
#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Text,
}

fn notifications(judgement: &Judgement) -> Vec<Notification> {
    let cases = judgement.cases.iter();
    cases
        .filter_map(|case| {
            let (level, what, why) = match &case.state {
                CaseState::Ran => return None,
                CaseState::NotRun(why) => ("note", "was not run", why),
                CaseState::Broken { why, .. } => ("error", "broke off", why),
            };
            let text = format!("{}: {} {what}: {why}", judgement.name, case.name);
            Some(Notification { level, message: Text { text } })
        })
        .collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    rule_id: &'a str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: Fingerprints,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    logical_locations: [LogicalLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    uri_base_id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
}

/// What lets a reader tell that a result is the one of an earlier run, whatever line it is at by now.
#[derive(Serialize)]
struct Fingerprints {
    #[serde(rename = "kiln/v1")]
    kiln: String,
}

impl<'a> Found<'a> {
    fn new(judgement: &Judgement, remark: &'a Remark, rule_index: usize) -> Self {
        let place = judgement.place(remark);
        let name = format!("{}/{}", judgement.name, remark.subject);
        let identity = format!("{}\0{}\0{}", judgement.name, remark.rule, remark.subject);
        Self {
            rule_id: &remark.rule,
            rule_index,
            level: level(remark.level),
            message: Text { text: format!("{}: {}", judgement.title(remark), remark.lines()) },
            locations: [Location {
                physical_location: place.map(|place| PhysicalLocation {
                    artifact_location: ArtifactLocation { uri: uri(&place.file), uri_base_id: "%SRCROOT%" },
                    region: place.line.map(|start_line| Region { start_line }),
                }),
                logical_locations: [LogicalLocation { fully_qualified_name: name }],
            }],
            partial_fingerprints: Fingerprints { kiln: Digest::of(identity.as_bytes()).hex() },
        }
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Deny => "error",
        Level::Warn => "warning",
        Level::Note => "note",
    }
}

/// A path as a relative reference (RFC 3986): what is no letter, digit or mark of a path is written in hexadecimal.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("a/b c:é%.txt"), "a/b%20c%3A%C3%A9%25.txt");
    }
}
