//! `kiln rebuild --attest`: what was found, signed.

use crate::failure::Failure;
use crate::settings::{Call, Needs, Settings};
use kiln_attest::{
    Envelope, IN_TOTO_PAYLOAD, InputAttestation, Policy, Signer, Subject, Summary, SummaryResult, Verifier,
};
use kiln_publish::PublishError;
use kiln_rebuild::{Comparison, Expected, Level};
use kiln_record::Digest;
use kiln_store::write_atomically;
use std::collections::BTreeMap;
use std::path::Path;

/// Signs what a rebuild found, and writes it to a file.
pub(crate) fn attest(
    call: &Call<'_>,
    signer: &Signer,
    expected: &Expected,
    comparison: &Comparison,
    is_equal_varied: bool,
    file: &Path,
) -> Result<(), Failure> {
    let now = Settings::new(call.global, call.variables, Needs::Nothing)?.environment;
    // Whoever built something that depends on its surroundings came to these bytes by chance.
    let is_same = comparison.level == Level::E0 && is_equal_varied;
    let level = if is_equal_varied { comparison.level } else { comparison.level.max(Level::X) };
    let input_attestations = match &expected.record {
        Some(record) => {
            let json = record.to_json().map_err(|error| Failure::unexpected(error.to_string()))?;
            let digest = BTreeMap::from([("sha256".to_owned(), Digest::of(&json).hex())]);
            vec![InputAttestation { uri: "record.json".to_owned(), digest }]
        }
        None => Vec::new(),
    };
    let summary = Summary {
        verifier: Verifier {
            id: Summary::VERIFIER.to_owned(),
            version: BTreeMap::from([("kiln".to_owned(), now.kiln)]),
        },
        time_verified: now.now,
        resource_uri: format!("urn:kiln:artifact:{}", expected.artifact),
        policy: Policy { uri: Summary::POLICY.to_owned() },
        input_attestations,
        verification_result: if is_same { SummaryResult::Passed } else { SummaryResult::Failed },
        verified_levels: Vec::new(),
        equality: level.as_str().to_owned(),
        rebuilt: comparison.found,
    };
    let written = summary
        .statement(subjects(expected, comparison))
        .and_then(|statement| Envelope::sign(IN_TOTO_PAYLOAD, &statement.to_json(), signer))
        .map_err(PublishError::from)?;
    write_atomically(file, written.to_line().as_bytes())?;
    Ok(())
}

/// What was judged: the file that was named, by its own bytes, else what was published.
fn subjects(expected: &Expected, comparison: &Comparison) -> Vec<Subject> {
    let judged = comparison.expected;
    let named = expected.outputs.iter().find(|(_, digest)| Some(**digest) == judged);
    match (named, judged) {
        (Some((name, digest)), _) => vec![Subject { name: name.clone(), digest: *digest }],
        (None, Some(digest)) => vec![Subject { name: expected.artifact.to_string(), digest }],
        (None, None) => expected
            .outputs
            .iter()
            .map(|(name, digest)| Subject { name: name.clone(), digest: *digest })
            .collect(),
    }
}
