//! What an audit found as an in-toto statement, which can be signed: dated, and about an artifact by its digest.

use crate::AdvisoryError;
use crate::audit::{Audit, Finding};
use crate::export::Export;
use kiln_record::{Epoch, Record, canonical_json};
use serde_json::{Value, json};

/// The predicate's type: vulnerabilities, in-toto attestation framework.
pub const PREDICATE_TYPE: &str = "https://in-toto.io/attestation/vulns/v0.2";

/// Writes it, on one line. `started` and `finished` are when the audit was made; they are why it is no part of what is
/// reproducible.
///
/// # Errors
/// [`AdvisoryError::Document`] if the record names no published file.
pub fn vulnerability_statement(
    record: &Record,
    audit: &Audit,
    export: &Export,
    kiln: &str,
    (started, finished): (Epoch, Epoch),
) -> Result<Vec<u8>, AdvisoryError> {
    let error = |reason: String| AdvisoryError::Document { artifact: record.artifact.to_string(), reason };
    if record.archive().is_none() {
        return Err(error("the record names no published file".to_owned()));
    }
    let mut subject: Vec<Value> = record
        .outputs
        .iter()
        .map(|output| json!({"name": output.file_name, "digest": {"sha256": output.digest.hex()}}))
        .collect();
    subject.extend(
        record
            .image
            .iter()
            .map(|image| json!({"name": record.artifact, "digest": {"sha256": image.manifest.hex()}})),
    );
    let not_checked = audit.not_checked.iter().map(|one| {
        json!({"component": one.component, "name": one.name, "version": one.version, "reason": one.reason})
    });
    let mut db = json!({
        "uri": format!("urn:sha256:{}", export.digest.hex()),
        "version": export.digest.to_string(),
    });
    if let Some(newest) = export.newest {
        db["lastUpdate"] = json!(newest);
    }
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "scanner": {
                "uri": "urn:kiln:audit",
                "version": kiln,
                "db": db,
                "result": audit.findings.iter().map(result).collect::<Vec<_>>(),
            },
            "metadata": {"scanStartedOn": started, "scanFinishedOn": finished},
            // Readers of the predicate pass over what they do not know.
            "notChecked": not_checked.collect::<Vec<_>>(),
            "documentsNotRead": export.unread_count,
        },
    });
    let text = canonical_json(&statement).map_err(|wrong| error(wrong.to_string()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|wrong| error(wrong.to_string()))?;
    let mut line = serde_json::to_vec(&value).map_err(|wrong| error(wrong.to_string()))?;
    line.push(b'\n');
    Ok(line)
}

fn result(finding: &Finding) -> Value {
    let mut severity: Vec<Value> = Vec::new();
    for rating in &finding.ratings {
        severity.push(json!({"method": rating.method, "score": rating.value}));
    }
    if let Some(score) = finding.score {
        severity.push(json!({"method": "cvss_score", "score": format!("{}.{}", score / 10, score % 10)}));
    }
    let mut annotations = vec![
        json!({"purl": finding.subject.purl}),
        json!({"component": finding.subject.component}),
        json!({"advisories": finding.advisories}),
        json!({"fixed": finding.fixed}),
    ];
    annotations.extend(finding.undecided.iter().map(|reason| json!({"undecided": reason})));
    annotations.extend(finding.silenced.iter().map(|said| {
        json!({"vex": {"status": said.status, "justification": said.justification, "author": said.author, "reason": said.reason}})
    }));
    json!({"id": finding.id, "severity": severity, "annotations": annotations})
}
