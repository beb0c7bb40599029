//! `kiln rebuild --attest`: what was found, signed.

use super::expected_build::Wanted;
use crate::failure::Failure;
use crate::settings::{Call, Needs, Settings};
use kiln_attest::{
    Envelope, IN_TOTO_PAYLOAD, InputAttestation, Policy, Signer, Subject, Summary, SummaryResult, Verifier,
};
use kiln_publish::PublishError;
use kiln_rebuild::{Comparison, Level};
use kiln_record::{Digest, IndexRecord};
use kiln_store::write_atomically;
use std::collections::BTreeMap;
use std::path::Path;

/// Signs what a rebuild found, and writes it to a file.
pub(crate) fn attest(
    call: &Call<'_>,
    signer: &Signer,
    wanted: &Wanted,
    comparison: &Comparison,
    is_equal_varied: bool,
    file: &Path,
) -> Result<(), Failure> {
    let now = Settings::new(call.global, call.variables, Needs::Nothing)?.environment;
    // Whoever built something that depends on its surroundings came to these bytes by chance.
    let is_same = comparison.level == Level::E0 && is_equal_varied;
    let level = if is_equal_varied { comparison.level } else { comparison.level.max(Level::X) };
    let (uri, json) = match wanted {
        Wanted::Build(expected) => ("record.json", expected.record.as_ref().map(|record| record.to_json())),
        Wanted::Index(index) => (IndexRecord::FILE, Some(index.to_json())),
    };
    let json = json.transpose().map_err(|error| Failure::unexpected(error.to_string()))?;
    let input_attestations = json.iter().map(|json| InputAttestation {
        uri: uri.to_owned(),
        digest: BTreeMap::from([("sha256".to_owned(), Digest::of(json).hex())]),
    });
    let summary = Summary {
        verifier: Verifier {
            id: Summary::VERIFIER.to_owned(),
            version: BTreeMap::from([("kiln".to_owned(), now.kiln)]),
        },
        time_verified: now.now,
        resource_uri: format!("urn:kiln:artifact:{}", wanted.artifact()),
        policy: Policy { uri: Summary::POLICY.to_owned() },
        input_attestations: input_attestations.collect(),
        verification_result: if is_same { SummaryResult::Passed } else { SummaryResult::Failed },
        verified_levels: Vec::new(),
        equality: level.as_str().to_owned(),
        rebuilt: comparison.found,
    };
    let written = summary
        .statement(subjects(wanted, comparison))
        .and_then(|statement| Envelope::sign(IN_TOTO_PAYLOAD, &statement.to_json(), signer))
        .map_err(PublishError::from)?;
    write_atomically(file, written.to_line().as_bytes())?;
    Ok(())
}

/// What was judged: the file that was named, by its own bytes, else what was published.
fn subjects(wanted: &Wanted, comparison: &Comparison) -> Vec<Subject> {
    let judged = comparison.expected;
    let outputs: BTreeMap<&str, Digest> = match wanted {
        Wanted::Build(expected) => {
            expected.outputs.iter().map(|(name, digest)| (name.as_str(), *digest)).collect()
        }
        Wanted::Index(index) => {
            index.outputs.iter().map(|output| (output.file_name.as_str(), output.digest)).collect()
        }
    };
    let named = outputs.iter().find(|(_, digest)| Some(**digest) == judged);
    let subject = |(name, digest): (&&str, &Digest)| Subject { name: (*name).to_owned(), digest: *digest };
    match (named, judged) {
        (Some(found), _) => vec![subject(found)],
        (None, Some(digest)) => vec![Subject { name: wanted.artifact().to_string(), digest }],
        (None, None) => outputs.iter().map(subject).collect(),
    }
}
