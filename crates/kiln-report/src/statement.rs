//! What was checked, and what changed, as in-toto statements (v1), which can be signed. Each is one line of JSON with sorted keys.

use kiln_audit::{Diff, Known, Rule};
use kiln_record::{CheckOutcome, Importable, Input, InputRole, Level, Record, canonical_json};
use serde_json::{Value, json};

/// The predicate's type for checks: test results, in-toto attestation framework.
pub const CHECKS_PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// The predicate's type for a difference; `docs/evidence.md` describes it.
pub const CHANGE_PREDICATE: &str = "urn:kiln:change:1";

/// What a build was held against. `PASSED` means that every check ran and no finding has the level `warn` or `deny`; a check that
/// did not run is among the warned ones, since nothing is known of it.
///
/// # Errors
/// None that a record could cause.
pub fn checks_statement(record: &Record) -> Result<Vec<u8>, serde_json::Error> {
    let at = |level: Level| {
        let found = record.findings.iter().filter(move |finding| finding.level == level);
        found.map(|finding| format!("{}: {}", finding.code.as_str(), finding.subject))
    };
    let (mut passed, mut warned, mut failed): (Vec<String>, Vec<String>, Vec<String>) =
        (Vec::new(), at(Level::Warn).collect(), at(Level::Deny).collect());
    // Which check a finding is of is not recorded: beside findings, that a check ran does not say that it passed.
    let is_clean = warned.is_empty() && failed.is_empty();
    let (mut ran, mut not_run) = (Vec::new(), Vec::new());
    for check in &record.checks {
        match &check.outcome {
            CheckOutcome::Ran { subjects, unit } => {
                ran.push(json!({"name": check.name, "subjects": subjects, "unit": unit}));
                passed.extend(is_clean.then(|| check.name.as_str().to_owned()));
            }
            CheckOutcome::NotChecked { reason } => {
                not_run.push(json!({"name": check.name, "reason": reason}));
                warned.push(format!("{}: not checked", check.name.as_str()));
            }
        }
    }
    for (name, state) in record.imports.iter().flat_map(|imports| &imports.distributions) {
        match state {
            Importable::Yes => passed.push(format!("import of {name}")),
            Importable::No { .. } => failed.push(format!("import of {name}")),
            Importable::NotChecked { .. } => warned.push(format!("import of {name}: not checked")),
        }
    }
    let result = match (failed.is_empty(), warned.is_empty() && !ran.is_empty()) {
        (false, _) => "FAILED",
        (true, false) => "WARNED",
        (true, true) => "PASSED",
    };
    line(&json!({
        "_type": STATEMENT,
        "subject": subject(record),
        "predicateType": CHECKS_PREDICATE,
        "predicate": {
            "result": result,
            "configuration": record.inputs.iter().filter_map(configuration).collect::<Vec<_>>(),
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
            // Readers of the predicate pass over what they do not know.
            "checksRun": ran,
            "checksNotRun": not_run,
            "tools": record.tools,
        },
    }))
}

/// What changed from one build to another, with the cause of each change, and how many changes have none.
///
/// # Errors
/// None that a difference could cause.
pub fn change_statement(diff: &Diff, before: &Record, after: &Record) -> Result<Vec<u8>, serde_json::Error> {
    // Where one of the two has no record, nobody knows what accounts for a change.
    let are_known = diff.before.known == Known::Record && diff.after.known == Known::Record;
    let unexplained = diff.anomalies.iter().filter(|anomaly| anomaly.rule == Rule::Unexplained).count();
    let unexplained = are_known.then_some(unexplained);
    line(&json!({
        "_type": STATEMENT,
        "subject": subject(after),
        "predicateType": CHANGE_PREDICATE,
        "predicate": {
            "before": subject(before),
            "unexplained": unexplained,
            "verdict": diff.verdict,
            "notCompared": diff.not_compared,
            "difference": diff,
        },
    }))
}

const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The published files, and an image by the digest of its manifest, which is what registries know it by.
fn subject(record: &Record) -> Vec<Value> {
    let files = record
        .outputs
        .iter()
        .map(|output| json!({"name": output.file_name, "digest": {"sha256": output.digest.hex()}}));
    let image = record
        .image
        .iter()
        .map(|image| json!({"name": record.artifact, "digest": {"sha256": image.manifest.hex()}}));
    files.chain(image).collect()
}

/// What checks follow from: manifest and policy, where they ran, and what they were given.
fn configuration(input: &Input) -> Option<Value> {
    let algorithm = match input.role {
        // A value as canonical JSON, and not the bytes of a file.
        InputRole::Manifest | InputRole::Settings => "kilnCanonical1",
        InputRole::Base | InputRole::Check => "sha256",
        _ => return None,
    };
    Some(
        json!({"name": input.name, "digest": {algorithm: input.digest.hex()}, "annotations": {"role": input.role}}),
    )
}

/// One line, with sorted keys.
fn line(statement: &Value) -> Result<Vec<u8>, serde_json::Error> {
    let value: Value = serde_json::from_slice(&canonical_json(statement)?)?;
    let mut line = serde_json::to_vec(&value)?;
    line.push(b'\n');
    Ok(line)
}
