//! What somebody without a key may do to what is signed: every byte of it is changed, and what is signed as one thing is shown as another.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_attest::{
    AttestError, Checkpoint, Envelope, IN_TOTO_PAYLOAD, ImageSignature, PrivateKey, PublicKey, RELEASE_TYPE,
    Release, RunStatement, SUMMARY_TYPE, SignedNote, Signer, Statement, Subject, Summary, sign_inside,
    verify_inside,
};
use kiln_record::Digest;
use serde_json::{Value, json};

const KEYS: [(&str, &str); 2] = [
    (include_str!("keys/ed25519.pem"), include_str!("keys/ed25519.pub.pem")),
    (include_str!("keys/p256.pem"), include_str!("keys/p256.pub.pem")),
];

fn keys() -> impl Iterator<Item = (Signer, [PublicKey; 1])> {
    KEYS.iter().map(|(private, public)| {
        let signer = Signer::Key(PrivateKey::from_pem(private, None, "key.pem").unwrap());
        (signer, [PublicKey::from_pem(public, "key.pub.pem").unwrap()])
    })
}

/// Every text that differs in one bit of one byte.
fn changed(text: &str) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..text.len()).flat_map(move |at| {
        [1_u8, 0x20].map(|bit| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= bit;
            (at, bytes)
        })
    })
}

#[test]
fn no_byte_of_an_envelope_can_be_changed_but_for_the_name_of_the_key() {
    for (signer, keys) in keys() {
        let line = Envelope::sign(IN_TOTO_PAYLOAD, b"{\"a\":1}", &signer).unwrap().to_line();
        let (from, length) = (line.find("\"keyid\":\"").unwrap() + 9, 64);
        for (at, bytes) in changed(line.trim_end()) {
            let verified =
                Envelope::from_json(&bytes).and_then(|envelope| envelope.verify(IN_TOTO_PAYLOAD, &keys));
            // The name is a hint that nobody signed; called otherwise, it is none.
            let is_hint = (from - 9..from + length).contains(&at);
            match verified {
                Ok(verified) => {
                    assert!(is_hint, "byte {at} of {line}");
                    assert_eq!(verified.payload, b"{\"a\":1}");
                }
                Err(AttestError::NotSigned { .. } | AttestError::Malformed { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn no_byte_of_a_note_and_of_a_signed_manifest_can_be_changed() {
    for (signer, keys) in keys() {
        let checkpoint =
            Checkpoint { origin: "example.org/log".to_owned(), size: 12, root: Digest::of(b"root") };
        let note = checkpoint.sign(&signer).unwrap().to_text();
        for (at, bytes) in changed(&note) {
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let refused = SignedNote::parse(&text).map_or(true, |note| note.verify(&keys).is_err());
            assert!(refused, "byte {at} of {note}");
        }
        let line = ImageSignature::sign(&Digest::of(b"manifest"), &signer).unwrap().to_line();
        for (at, bytes) in changed(line.trim_end()) {
            let refused = ImageSignature::from_json(&bytes).map_or(true, |one| one.verify(&keys).is_err());
            assert!(refused, "byte {at} of {line}");
        }
    }
}

#[test]
fn no_byte_of_a_document_with_a_signature_inside_can_be_changed_but_for_its_layout() {
    for (signer, keys) in keys() {
        let document =
            br#"{"bomFormat": "CycloneDX", "components": [{"name": "a", "version": "1.0"}], "version": 1}"#;
        let signed = String::from_utf8(sign_inside(document, &signer).unwrap()).unwrap();
        let (expected, _) = verify_inside(signed.as_bytes(), &keys).unwrap();
        for (at, bytes) in changed(&signed) {
            if let Ok((content, _)) = verify_inside(&bytes, &keys) {
                assert!(signed.as_bytes()[at].is_ascii_whitespace(), "byte {at} of {signed}");
                assert_eq!(content, expected);
            }
        }
    }
}

/// One envelope with several signatures of one key is by one; with another's beside it, by whom is believed.
#[test]
fn a_key_counts_once_however_many_signatures_it_has() {
    let (mine, my_keys) = keys().next().unwrap();
    let (theirs, their_keys) = keys().nth(1).unwrap();
    let envelope = |signer: &Signer| -> Value {
        serde_json::from_str(&Envelope::sign(IN_TOTO_PAYLOAD, b"{}", signer).unwrap().to_line()).unwrap()
    };
    let (mut several, other) = (envelope(&mine), envelope(&theirs));
    let one = several["signatures"][0].clone();
    let named = json!({"keyid": "another", "sig": one["sig"]});
    several["signatures"] = json!([one, one, named, {"sig": one["sig"]}]);
    let both: Vec<PublicKey> = my_keys.iter().chain(&their_keys).cloned().collect();
    let read = |envelope: &Value| Envelope::from_json(envelope.to_string().as_bytes()).unwrap();
    assert_eq!(read(&several).verify(IN_TOTO_PAYLOAD, &both).unwrap().keys.len(), 1);
    several["signatures"].as_array_mut().unwrap().push(other["signatures"][0].clone());
    assert_eq!(read(&several).verify(IN_TOTO_PAYLOAD, &both).unwrap().keys.len(), 2);
    assert_eq!(read(&several).verify(IN_TOTO_PAYLOAD, &my_keys).unwrap().keys.len(), 1);
}

#[test]
fn what_is_signed_as_one_thing_is_not_taken_as_another() {
    for (signer, keys) in keys() {
        // An envelope of another type, by the right key.
        let line = Envelope::sign("application/json", b"{}", &signer).unwrap().to_line();
        let error = Envelope::from_json(line.as_bytes()).unwrap().verify(IN_TOTO_PAYLOAD, &keys).unwrap_err();
        assert!(error.to_string().contains("its type is `application/json`"), "{error}");
        // A signature of a manifest as that of an envelope, and of an envelope as that of a manifest.
        let image = ImageSignature::sign(&Digest::of(b"manifest"), &signer).unwrap();
        let mut envelope: Value = serde_json::from_str(&line).unwrap();
        envelope["payload"] = STANDARD.encode(image.payload()).into();
        envelope["signatures"][0]["sig"] = image.base64().into();
        let envelope = Envelope::from_json(envelope.to_string().as_bytes()).unwrap();
        assert!(matches!(envelope.verify("application/json", &keys), Err(AttestError::NotSigned { .. })));
        let envelope: Value = serde_json::from_str(&line).unwrap();
        let as_image =
            json!({"Payload": envelope["payload"], "Base64Signature": envelope["signatures"][0]["sig"]});
        let as_image = ImageSignature::from_json(as_image.to_string().as_bytes()).unwrap();
        assert!(matches!(as_image.verify(&keys), Err(AttestError::NotSigned { .. })));
        // Bytes that a key signed bare are no manifest's signature.
        let bare = json!({"Payload": STANDARD.encode("{}"), "Base64Signature": STANDARD.encode(signer.sign(b"{}").unwrap())});
        let bare = ImageSignature::from_json(bare.to_string().as_bytes()).unwrap();
        assert!(matches!(bare.verify(&keys), Err(AttestError::Malformed { .. })));
    }
}

#[test]
fn a_statement_is_of_its_own_kind_and_names_each_file_once() {
    let subject = |name: &str| Subject { name: name.to_owned(), digest: Digest::of(b"x") };
    let of = |kind: &str| Statement {
        subjects: vec![subject("a")],
        predicate_type: kind.to_owned(),
        predicate: json!({}),
    };
    for kind in [RELEASE_TYPE, SUMMARY_TYPE, kiln_attest::RUN_TYPE, "https://slsa.dev/provenance/v1"] {
        let statement = Statement::from_json(&of(kind).to_json()).unwrap();
        for told in [
            Release::of(&statement).map(drop),
            Summary::of(&statement).map(drop),
            RunStatement::of(&statement).map(drop),
        ] {
            assert!(matches!(told, Err(AttestError::Malformed { .. })), "{kind}");
        }
    }
    // Names that look alike are two names, and one that comes twice is refused, however it is written.
    let alike = Statement { subjects: vec![subject("\u{e9}"), subject("e\u{301}")], ..of(RELEASE_TYPE) };
    assert_eq!(Statement::from_json(&alike.to_json()).unwrap().subjects.len(), 2);
    let twice = Statement { subjects: vec![subject("\u{e9}"), subject("\u{e9}")], ..of(RELEASE_TYPE) };
    let error = Statement::from_json(&twice.to_json()).unwrap_err().to_string();
    assert!(error.contains("comes twice"), "{error}");
    let escaped = String::from_utf8(alike.to_json()).unwrap().replace("e\u{301}", "\\u00e9");
    assert!(Statement::from_json(escaped.as_bytes()).unwrap_err().to_string().contains("comes twice"));
}
