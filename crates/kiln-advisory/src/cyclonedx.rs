//! The same as a CycloneDX document with vulnerabilities and nothing else (VEX, specification 1.6).

use crate::AdvisoryError;
use crate::audit::{Audit, Finding};
use crate::openvex::{notes, said_by};
use crate::severity::{Rating, Severity};
use crate::vex::{Justification, Statement, Status};
use kiln_record::{Epoch, Record, canonical_json};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Writes what a build's evidence and people say of the vulnerabilities that advisories have for it.
///
/// # Errors
/// [`AdvisoryError::Document`] if the record names no published file.
pub fn cyclonedx_vex(
    record: &Record,
    audit: &Audit,
    kiln: &str,
    now: Epoch,
) -> Result<Vec<u8>, AdvisoryError> {
    let error = |reason: String| AdvisoryError::Document { artifact: record.artifact.to_string(), reason };
    let archive = record.archive().ok_or_else(|| error("the record names no published file".to_owned()))?;
    let artifact = format!("artifact/{}", record.artifact);
    let mut components: BTreeMap<String, Value> = BTreeMap::new();
    let mut vulnerabilities: Vec<Value> = Vec::new();
    for absent in &audit.absent {
        // What is not in it can be no component: the artifact is what is not affected.
        vulnerabilities.push(json!({
            "id": absent.id, "references": references(&absent.id, absent.names.iter()),
            "affects": [{"ref": artifact}],
            "analysis": {"state": "not_affected", "justification": "code_not_present",
                "detail": format!("{} is not in the artifact: {}", absent.subject.label(), absent.reason)},
        }));
    }
    for finding in &audit.findings {
        let (subject, place) =
            (&finding.subject, format!("{}/{}", finding.subject.component, finding.subject.purl));
        components.entry(place.clone()).or_insert_with(|| {
            json!({"type": "library", "bom-ref": place, "name": subject.name, "version": subject.version, "purl": subject.purl})
        });
        vulnerabilities.push(vulnerability(finding, &place));
    }
    let content = canonical_json(&vulnerabilities).map_err(|wrong| error(wrong.to_string()))?;
    let document = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": Uuid::new_v5(&Uuid::NAMESPACE_OID, &content).urn().to_string(),
        "metadata": {
            "timestamp": now,
            "tools": {"components": [{"type": "application", "name": "kiln", "version": kiln}]},
            "component": {"type": "application", "bom-ref": artifact, "name": record.artifact,
                "hashes": [{"alg": "SHA-256", "content": archive.digest.hex()}]},
        },
        "components": components.into_values().collect::<Vec<_>>(),
        "vulnerabilities": vulnerabilities,
    });
    canonical_json(&document).map_err(|wrong| error(wrong.to_string()))
}

fn references<'a>(id: &str, names: impl Iterator<Item = &'a String>) -> Vec<Value> {
    let others = names.filter(|name| *name != id);
    others.map(|name| json!({"id": name, "source": {"name": source(name)}})).collect()
}

/// The database that a name is of, as far as its form says.
fn source(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

fn vulnerability(finding: &Finding, place: &str) -> Value {
    let mut one = json!({
        "bom-ref": format!("{place}/{}", finding.id), "id": finding.id, "source": {"name": source(&finding.id)},
        "references": references(&finding.id, finding.names.iter()),
        "ratings": finding.ratings.iter().map(rating).collect::<Vec<_>>(),
        "affects": [{"ref": place}],
        "analysis": analysis(finding),
    });
    if let Some(summary) = &finding.summary {
        one["description"] = json!(summary);
    }
    if !finding.fixed.is_empty() {
        one["recommendation"] = json!(format!("fixed in {}", finding.fixed.join(", ")));
    }
    one
}

fn rating(rating: &Rating) -> Value {
    let (severity, score) = rating.judged().map_or((None, None), |(severity, score)| (Some(severity), score));
    let mut one = json!({
        "severity": severity.map_or("unknown", Severity::as_str),
        "method": match (rating.method.as_str(), rating.value.get(..8)) {
            ("CVSS_V2", _) => "CVSSv2",
            ("CVSS_V3", Some("CVSS:3.1")) => "CVSSv31",
            ("CVSS_V3", _) => "CVSSv3",
            ("CVSS_V4", _) => "CVSSv4",
            _ => "other",
        },
    });
    if let Some(score) = score {
        one["score"] = json!(f64::from(score) / 10.0);
    }
    if rating.method.starts_with("CVSS") {
        one["vector"] = json!(rating.value);
    }
    one
}

fn analysis(finding: &Finding) -> Value {
    let Some(said) = &finding.silenced else {
        return json!({"state": "in_triage", "detail": notes(finding.draft(), finding.undecided.as_deref())});
    };
    let mut one = json!({"state": state(said), "detail": detail(said)});
    let justification = said.justification.and_then(|justification| match justification {
        Justification::ComponentNotPresent | Justification::VulnerableCodeNotPresent => {
            Some("code_not_present")
        }
        Justification::VulnerableCodeNotInExecutePath => Some("code_not_reachable"),
        Justification::InlineMitigationsAlreadyExist => Some("protected_by_mitigating_control"),
        // CycloneDX has no word for it: it is in the detail.
        Justification::VulnerableCodeCannotBeControlledByAdversary => None,
    });
    if let Some(justification) = justification {
        one["justification"] = json!(justification);
    }
    one
}

fn state(said: &Statement) -> &'static str {
    match said.status {
        Status::NotAffected => "not_affected",
        Status::Fixed => "resolved",
        Status::Affected => "exploitable",
        Status::UnderInvestigation => "in_triage",
    }
}

fn detail(said: &Statement) -> String {
    let label = said.justification.map(|one| format!("{}: ", one.as_str())).unwrap_or_default();
    let reason = said.reason.as_deref().map(|reason| format!("{reason}; ")).unwrap_or_default();
    format!("{label}{reason}{}", said_by(said))
}
