//! Envelopes and notes: the vectors of their standards, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

use kiln_attest::{
    AttestError, Checkpoint, Envelope, IN_TOTO_PAYLOAD, PrivateKey, PublicKey, SignedNote, Signer, leaf_hash,
    pre_authentication_encoding,
};

// Made for these tests: openssl genpkey -algorithm ed25519, and EC with P-256.
const ED25519: &str = include_str!("keys/ed25519.pem");
const ED25519_PUBLIC: &str = include_str!("keys/ed25519.pub.pem");
const ED25519_ENCRYPTED: &str = include_str!("keys/ed25519.encrypted.pem");
const P256: &str = include_str!("keys/p256.pem");
const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");

fn signer(pem: &str) -> Signer {
    Signer::Key(PrivateKey::from_pem(pem, None, "key.pem").unwrap())
}

fn public(pem: &str) -> PublicKey {
    PublicKey::from_pem(pem, "key.pub.pem").unwrap()
}

#[test]
fn what_is_signed_is_the_encoding_of_the_standard() {
    let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
}

#[test]
fn a_signature_of_two_bare_numbers_is_not_ours() {
    // The envelope of protocol.md of DSSE, "Test vectors".
    let envelope = br#"{"payload": "aGVsbG8gd29ybGQ=", "payloadType": "http://example.com/HelloWorld", "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
    let envelope = Envelope::from_json(envelope).unwrap();
    assert_eq!(envelope.payload_type(), "http://example.com/HelloWorld");
    let error = envelope.verify("http://example.com/HelloWorld", &[public(P256_PUBLIC)]).unwrap_err();
    assert!(matches!(error, AttestError::NotSigned { .. }), "{error}");
}

#[test]
fn both_kinds_of_keys_sign_and_verify() {
    for (private, key) in [(ED25519, ED25519_PUBLIC), (P256, P256_PUBLIC)] {
        let (signer, key) = (signer(private), public(key));
        assert_eq!(*signer.public(), key);
        let line = Envelope::sign(IN_TOTO_PAYLOAD, b"{}", &signer).unwrap().to_line();
        let verified = Envelope::from_json(line.as_bytes())
            .unwrap()
            .verify(IN_TOTO_PAYLOAD, std::slice::from_ref(&key))
            .unwrap();
        assert_eq!((verified.payload.as_slice(), verified.keys.first()), (b"{}".as_slice(), Some(&key.id())));
        // The same signature of another type, and of other bytes.
        for (from, to) in [("in-toto", "in-tota"), ("e30=", "e31=")] {
            if let Ok(envelope) = Envelope::from_json(line.replace(from, to).as_bytes()) {
                envelope.verify(IN_TOTO_PAYLOAD, std::slice::from_ref(&key)).unwrap_err();
            }
        }
    }
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let key = PrivateKey::from_pem(ED25519_ENCRYPTED, Some(b"correct horse"), "key.pem").unwrap();
    assert_eq!(*Signer::Key(key).public(), public(ED25519_PUBLIC));
    for wrong in [None, Some(b"wrong".as_slice()), Some(b"")] {
        let error = PrivateKey::from_pem(ED25519_ENCRYPTED, wrong, "key.pem").unwrap_err();
        assert!(matches!(error, AttestError::Passphrase { .. }), "{error}");
    }
}

#[test]
fn what_is_no_key_is_refused_with_its_reason() {
    let said = |pem: &str| PublicKey::from_pem(pem, "key.pem").unwrap_err().to_string();
    assert!(said(ED25519).contains("private key"), "{}", said(ED25519));
    assert!(said("").contains("not PEM"), "{}", said(""));
    assert!(said(&ED25519_PUBLIC.replace("MCow", "MCoX")).starts_with("key.pem is no key"));
    let error = PrivateKey::from_pem(P256_PUBLIC, None, "key.pem").unwrap_err().to_string();
    assert!(error.contains("public key"), "{error}");
}

#[test]
fn malformed_envelopes_are_refused() {
    let line = Envelope::sign(IN_TOTO_PAYLOAD, b"{}", &signer(ED25519)).unwrap().to_line();
    for cut in 0..line.len() - 1 {
        Envelope::from_json(&line.as_bytes()[..cut]).unwrap_err();
    }
    let twice = line.replacen("{\"payload\"", "{\"payload\":\"e30=\",\"payload\"", 1);
    assert!(Envelope::from_json(twice.as_bytes()).unwrap_err().to_string().contains("comes twice"));
    let error = Envelope::from_json(br#"{"predicateType": "x", "_type": "y"}"#).unwrap_err().to_string();
    assert!(error.contains("nobody signed"), "{error}");
    Envelope::from_json(br#"{"payload":"e30=","payloadType":"a","signatures":[]}"#).unwrap_err();
}

/// The order of the group of Ed25519: a signature and one with it added would both fit, were that not looked at.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn an_ed25519_signature_has_no_twin() {
    let signer = signer(ED25519);
    let mut signature = signer.sign(b"message").unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert!(!signer.public().verifies(b"message", &signature));
}

#[test]
fn what_signs_outside_is_held_against_its_public_key() {
    let inner = signer(P256);
    let raw = move |message: &[u8]| inner.sign(message).map_err(|error| error.to_string());
    let outside = Signer::Outside { public: public(P256_PUBLIC), sign: Box::new(raw) };
    outside.sign(b"message").unwrap();
    let other = signer(ED25519);
    let raw = move |message: &[u8]| other.sign(message).map_err(|error| error.to_string());
    let outside = Signer::Outside { public: public(P256_PUBLIC), sign: Box::new(raw) };
    let error = outside.sign(b"message").unwrap_err();
    assert!(matches!(error, AttestError::Signing { .. }), "{error}");
}

#[test]
fn checkpoints_are_signed_notes() {
    for (private, key) in [(ED25519, ED25519_PUBLIC), (P256, P256_PUBLIC)] {
        let (signer, key) = (signer(private), public(key));
        let checkpoint =
            Checkpoint { origin: "example.org/team".to_owned(), size: 7, root: leaf_hash(b"root") };
        let text = checkpoint.sign(&signer).unwrap().to_text();
        let note = SignedNote::parse(&text).unwrap();
        assert_eq!(note.to_text(), text);
        assert_eq!(note.verify(std::slice::from_ref(&key)).unwrap(), (&checkpoint, key.id()));
        // A line of another key, such as a witness's, is passed over.
        let witnessed = format!("{text}\u{2014} witness.example mJirIg==\n");
        assert!(SignedNote::parse(&witnessed).is_err());
        let witnessed = format!("{text}\u{2014} witness.example mJirIkljmJirIklj\n");
        SignedNote::parse(&witnessed).unwrap().verify(std::slice::from_ref(&key)).unwrap();
        for (from, to) in [("\n7\n", "\n8\n"), ("example.org", "example.net")] {
            SignedNote::parse(&text.replace(from, to))
                .unwrap()
                .verify(std::slice::from_ref(&key))
                .unwrap_err();
        }
        for (from, to) in [("\n7\n", "\n07\n"), ("\n\n", "\n"), ("\n7", "\n7\r"), ("\u{2014} ", "- ")] {
            SignedNote::parse(&text.replace(from, to)).unwrap_err();
        }
        let other = if private == P256 { public(ED25519_PUBLIC) } else { public(P256_PUBLIC) };
        note.verify(&[other]).unwrap_err();
    }
    let name = Checkpoint { origin: "two words".to_owned(), size: 0, root: leaf_hash(b"") };
    name.sign(&signer(ED25519)).unwrap_err();
}

/// The order of P-256: of a signature (r, s), (r, order - s) is one, too.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A number in DER: without zeroes before it, but for one that says that it is positive.
fn der_number(bytes: &[u8]) -> Vec<u8> {
    let at = bytes.iter().position(|byte| *byte != 0).unwrap();
    let sign = if bytes[at] & 0x80 == 0 { vec![] } else { vec![0] };
    let content = [sign.as_slice(), &bytes[at..]].concat();
    [&[2, u8::try_from(content.len()).unwrap()], content.as_slice()].concat()
}

#[test]
fn the_twin_of_an_ecdsa_signature_is_by_the_same_key_and_counts_once() {
    let signer = signer(P256);
    let message = pre_authentication_encoding(IN_TOTO_PAYLOAD, b"{}");
    let signature = signer.sign(&message).unwrap();
    let length = usize::from(signature[3]);
    let (r, s) = (&signature[4..4 + length], &signature[6 + length..]);
    let mut padded = vec![0; 32_usize.saturating_sub(s.len())];
    padded.extend(&s[s.len().saturating_sub(32)..]);
    let (mut twin, mut borrow) = ([0_u8; 32], 0_i16);
    for at in (0..32).rev() {
        let difference = i16::from(P256_ORDER[at]) - i16::from(padded[at]) - borrow;
        borrow = i16::from(difference < 0);
        twin[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let body = [der_number(r), der_number(&twin)].concat();
    let twin = [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat();
    assert_ne!(twin, signature);
    assert!(signer.public().verifies(&message, &twin), "anybody can compute it");
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let both = format!(
        r#"{{"payload":"e30=","payloadType":"{IN_TOTO_PAYLOAD}","signatures":[{{"sig":"{}"}},{{"sig":"{}"}}]}}"#,
        encode(&signature),
        encode(&twin)
    );
    let verified =
        Envelope::from_json(both.as_bytes()).unwrap().verify(IN_TOTO_PAYLOAD, &[signer.public().clone()]);
    assert_eq!(verified.unwrap().keys.len(), 1);
}
