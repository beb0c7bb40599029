//! Verification summaries (SLSA, `verification_summary/v1`): what somebody who built again found.

use crate::{AttestError, Statement, Subject};
use kiln_record::{Digest, Epoch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The type of the predicate.
pub const SUMMARY_TYPE: &str = "https://slsa.dev/verification_summary/v1";

/// Whether it was the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SummaryResult {
    /// It was: every byte, or at the level that is stated.
    Passed,
    /// It was not.
    Failed,
}

/// What was found by building again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Who looked.
    pub verifier: Verifier,
    /// When, by the clock of whoever looked.
    pub time_verified: Epoch,
    /// What was looked at: `urn:kiln:artifact:NAME`.
    pub resource_uri: String,
    /// By which rule: `urn:kiln:rebuild:1`, described in `docs/signing.md`.
    pub policy: Policy,
    /// The documents that it was rebuilt from, by digest.
    pub input_attestations: Vec<InputAttestation>,
    /// Whether it was the same bytes.
    pub verification_result: SummaryResult,
    /// What the result means in the words of SLSA: none. A rebuild proves equality, and no track of SLSA is about that.
    pub verified_levels: Vec<String>,
    /// How equal it was, `E0` to `E3` or `X`; an addition of kiln's, as the standard allows.
    #[serde(rename = "urn:kiln:equality")]
    pub equality: String,
    /// What came of the rebuild, if anything did; an addition of kiln's.
    #[serde(rename = "urn:kiln:rebuilt", default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Digest>,
}

/// Who looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// The program. Who ran it is known by the key.
    pub id: String,
    /// Its version.
    pub version: BTreeMap<String, String>,
}

/// By which rule something was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The rule.
    pub uri: String,
}

/// A document that was believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputAttestation {
    /// Its name.
    pub uri: String,
    /// Its digest, by algorithm.
    pub digest: BTreeMap<String, String>,
}

impl Summary {
    /// Who verifies: kiln's rebuild.
    pub const VERIFIER: &str = "urn:kiln:rebuilder";
    /// The rule: equality of what is built again.
    pub const POLICY: &str = "urn:kiln:rebuild:1";

    /// The statement about these files.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if it has no form as JSON.
    pub fn statement(&self, subjects: Vec<Subject>) -> Result<Statement, AttestError> {
        let predicate = serde_json::to_value(self)
            .map_err(|error| AttestError::malformed("a verification summary", error))?;
        Ok(Statement { subjects, predicate_type: SUMMARY_TYPE.to_owned(), predicate })
    }

    /// What a statement says of a rebuild.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if it is about something else, or is the verdict of something else.
    pub fn of(statement: &Statement) -> Result<Self, AttestError> {
        let malformed =
            |reason: String| AttestError::malformed("a verification summary of a rebuild", reason);
        if statement.predicate_type != SUMMARY_TYPE {
            return Err(malformed(format!("its predicate type is `{}`", statement.predicate_type)));
        }
        let summary =
            Self::deserialize(&statement.predicate).map_err(|error| malformed(error.to_string()))?;
        if summary.policy.uri != Self::POLICY {
            return Err(malformed(format!("its policy is `{}`", summary.policy.uri)));
        }
        // A pass that is not of equal bytes, or a failure that is, contradicts itself.
        if (summary.verification_result == SummaryResult::Passed) != (summary.equality == "E0") {
            return Err(malformed(format!("its result contradicts the equality `{}`", summary.equality)));
        }
        Ok(summary)
    }
}
