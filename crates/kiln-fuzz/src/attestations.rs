//! What is signed: envelopes with statements, checkpoints, and proofs of logs.

use crate::invariant::holds;
use kiln_attest::{
    ConsistencyProof, Envelope, IN_TOTO_PAYLOAD, ImageSignature, InclusionProof, PrivateKey, PublicKey,
    Release, RunStatement, SignedNote, Statement, Summary, leaf_hash, strict_json, verify_consistency,
    verify_inclusion, verify_inside,
};
use kiln_record::Digest;
use std::sync::OnceLock;

/// A key that signed nothing of what is tried.
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

fn key() -> &'static PublicKey {
    static READ: OnceLock<PublicKey> = OnceLock::new();
    READ.get_or_init(|| holds(PublicKey::from_pem(KEY, "a key"), "a key is read"))
}

/// Envelopes, statements and keys: what is written is read back equal, and nothing that nobody signed is verified.
pub fn envelope(data: &[u8]) {
    if let Ok(envelope) = Envelope::from_json(data) {
        let line = envelope.to_line();
        assert_eq!(holds(Envelope::from_json(line.as_bytes()), "what was written is read"), envelope);
        assert!(envelope.verify(IN_TOTO_PAYLOAD, &[key().clone()]).is_err(), "nobody signed it");
    }
    if let Ok(signature) = ImageSignature::from_json(data) {
        let line = signature.to_line();
        assert_eq!(holds(ImageSignature::from_json(line.as_bytes()), "what was written is read"), signature);
        assert!(signature.verify(&[key().clone()]).is_err(), "nobody signed it");
    }
    if let Ok(statement) = Statement::from_json(data) {
        let json = statement.to_json();
        let again = holds(Statement::from_json(&json), "what was written is read");
        assert_eq!(again.to_json(), json, "one statement, one text");
        if let Ok(release) = Release::of(&statement) {
            let again = holds(release.statement(statement.subjects.clone()), "a release is written");
            assert_eq!(holds(Release::of(&again), "and read"), release);
        }
        if let Ok(run) = RunStatement::of(&statement) {
            let again = holds(run.statement(statement.subjects.clone()), "a run is written");
            assert_eq!(holds(RunStatement::of(&again), "and read"), run);
        }
        if let Ok(summary) = Summary::of(&statement) {
            let again = holds(summary.statement(statement.subjects.clone()), "a verdict is written");
            assert_eq!(holds(Summary::of(&again), "and read"), summary);
        }
    }
    assert!(verify_inside(data, &[key().clone()]).is_err(), "nobody signed it");
    if strict_json(data).is_ok() {
        holds(serde_json::from_slice::<serde_json::Value>(data), "what is strict is JSON");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = PublicKey::from_pem(text, "a key") {
        assert!(!key.verifies(b"a message", &[0; 64]), "nobody signed it");
    }
    // How long one that is encrypted takes is whatever it says, and it is the user's own: without a passphrase it is refused.
    let _ = PrivateKey::from_pem(text, None, "a key");
}

/// Checkpoints: what is read is written as it was.
pub fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(note) = SignedNote::parse(text) else { return };
    let written = note.to_text();
    assert_eq!(holds(SignedNote::parse(&written), "what was written is read"), note);
    assert!(note.verify(&[key().clone()]).is_err(), "nobody signed it");
    assert!(note.unverified().text().lines().count() == 3, "a checkpoint has three lines");
}

/// Proofs: what is read is written and read again, and no hashes of others lead to a root.
pub fn log_proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let root = Digest::of(b"a root that nothing leads to");
    if let Ok(proof) = InclusionProof::parse(text) {
        assert_eq!(holds(InclusionProof::parse(&proof.to_text()), "what was written is read"), proof);
        let leaf = leaf_hash(proof.extra.as_deref().unwrap_or_default());
        let size = proof.checkpoint.unverified().size;
        assert!(verify_inclusion(&leaf, proof.index, size, &proof.path, &root).is_err());
        assert!(proof.verify(&leaf, &[key().clone()]).is_err(), "nobody signed it");
    }
    if let Ok(proof) = ConsistencyProof::parse(text) {
        assert_eq!(holds(ConsistencyProof::parse(&proof.to_text()), "what was written is read"), proof);
        let newer = proof.checkpoint.unverified();
        let to_other = verify_consistency((proof.old, &newer.root), (newer.size, &root), &proof.path);
        assert!(proof.old == 0 || to_other.is_err());
    }
}
