//! Signatures inside documents: what is taken, and what a forger may try.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kiln_attest::{AttestError, PrivateKey, PublicKey, Signer, sign_inside, verify_inside};
use serde_json::{Value, json};

const ED25519: &str = include_str!("keys/ed25519.pem");
const ED25519_PUBLIC: &str = include_str!("keys/ed25519.pub.pem");
const P256: &str = include_str!("keys/p256.pem");
const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");

fn signer(pem: &str) -> Signer {
    Signer::Key(PrivateKey::from_pem(pem, None, "key.pem").unwrap())
}

fn public(pem: &str) -> PublicKey {
    PublicKey::from_pem(pem, "key.pub.pem").unwrap()
}

/// Keys in an order of their own, numbers in several spellings, and characters beyond the basic plane.
const DOCUMENT: &str = r#"{"z": 1.0, "a": [0.5, 1e3, -0.0, 10], "\u20ac": "\u00e9\u0001", "\ud83d\ude00": null, "b": {"y": true, "x": ""}}"#;

fn signed(pem: &str) -> Value {
    serde_json::from_slice(&sign_inside(DOCUMENT.as_bytes(), &signer(pem)).unwrap()).unwrap()
}

fn verify(document: &Value, pem: &str) -> Result<Value, AttestError> {
    verify_inside(document.to_string().as_bytes(), &[public(pem)]).map(|(content, _)| content)
}

#[test]
fn both_kinds_of_keys_sign_and_verify_however_the_document_is_written() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    for (private, key, name, length) in
        [(ED25519, ED25519_PUBLIC, "Ed25519", 64), (P256, P256_PUBLIC, "ES256", 64)]
    {
        for _ in 0..8 {
            let signed = signed(private);
            assert_eq!(signed["signature"]["algorithm"], name);
            let value = URL_SAFE_NO_PAD.decode(signed["signature"]["value"].as_str().unwrap()).unwrap();
            assert_eq!(value.len(), length, "two numbers of one length, and not DER");
            assert_eq!(verify(&signed, key).unwrap(), document);
            let pretty = serde_json::to_string_pretty(&signed).unwrap();
            let (_, id) = verify_inside(pretty.as_bytes(), &[public(key)]).unwrap();
            assert_eq!(id, public(key).id());
        }
    }
}

#[test]
fn whatever_is_changed_is_found() {
    for (private, key, other) in [(ED25519, ED25519_PUBLIC, P256_PUBLIC), (P256, P256_PUBLIC, ED25519_PUBLIC)]
    {
        let good = signed(private);
        assert!(
            matches!(verify(&good, other), Err(AttestError::NotSigned { .. })),
            "a key of the other kind"
        );
        let changes: [fn(&mut Value); 9] = [
            |document| document["z"] = json!(2),
            |document| drop(document.as_object_mut().unwrap().remove("b")),
            |document| document["added"] = json!(null),
            |document| document["a"].as_array_mut().unwrap().reverse(),
            |document| document["signature"]["keyId"] = json!("another"),
            |document| document["signature"]["algorithm"] = json!("Ed448"),
            |document| document["signature"]["publicKey"]["x"] = json!("AAAA"),
            |document| document["signature"]["value"] = json!("AAAA"),
            |document| document["signature"]["value"] = json!(""),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(
                matches!(verify(&changed, key), Err(AttestError::NotSigned { .. })),
                "change {number} is found"
            );
        }
    }
}

#[test]
fn what_signs_less_than_all_or_by_several_is_not_taken() {
    let good = signed(ED25519);
    // A part that is left out could say anything.
    for (name, value) in [
        ("excludes", json!(["z"])),
        ("extensions", json!(["x"])),
        ("certificatePath", json!(["AAAA"])),
        ("signers", json!([good["signature"]])),
    ] {
        let mut changed = good.clone();
        changed["signature"][name] = value;
        let error = verify(&changed, ED25519_PUBLIC).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("whole document"), "{error}");
    }
    for (document, says) in [
        (json!({}), "no signature inside"),
        (json!([1]), "no object"),
        (json!({"signature": "x"}), "no signature inside"),
        (json!({"signature": {}}), "not base64url"),
    ] {
        let error = verify(&document, ED25519_PUBLIC).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // One reader takes the first of two keys, and another the last.
    let twice = good.to_string().replacen('{', "{\"z\":2,", 1);
    let error = verify_inside(twice.as_bytes(), &[public(ED25519_PUBLIC)]).unwrap_err().to_string();
    assert!(error.contains("comes twice"), "{error}");
    let again = sign_inside(good.to_string().as_bytes(), &signer(ED25519)).unwrap_err().to_string();
    assert!(again.contains("has a signature already"), "{again}");
}

/// A document may bring a key that it was not signed with, to whoever believes that one.
#[test]
fn a_key_that_the_document_brings_is_the_one_that_signed() {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let theirs = signed(P256)["signature"]["publicKey"].clone();
    document["signature"] = json!({"algorithm": "Ed25519", "publicKey": theirs});
    // Signed as it is, foreign key included.
    let form = serde_json_canonicalizer::to_vec(&document).unwrap();
    let value = signer(ED25519).sign(&form).unwrap();
    document["signature"]["value"] = json!(URL_SAFE_NO_PAD.encode(value));
    let error = verify(&document, ED25519_PUBLIC).unwrap_err().to_string();
    assert!(error.contains("brings another public key"), "{error}");
}
