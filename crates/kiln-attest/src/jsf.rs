//! Signatures inside a JSON document (JSON Signature Format 0.82), as CycloneDX has a place for: what is signed is the document in
//! the form of RFC 8785 with everything of the signature but its value.
//!
//! The format lets a signature say which parts of the document it leaves out, name several signers, and bring its own key. Nothing of
//! that is taken: a signature is of all of the document, by one of the keys that are believed.

use crate::{Algorithm, AttestError, KeyId, PublicKey, Signer, strict_json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kiln_record::canonical_json;
use pkcs8::der::asn1::{AnyRef, UintRef};
use pkcs8::der::{Decode as _, Reader as _};
use serde_json::{Map, Value, json};

/// Where the signature is.
const SIGNATURE: &str = "signature";
/// What it may have.
const KEYS: [&str; 4] = ["algorithm", "keyId", "publicKey", "value"];
/// The largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 256 << 20;
/// The length of a number of P-256.
const NUMBER: usize = 32;

/// Signs a JSON object, and gives it back with the signature inside.
///
/// # Errors
/// [`AttestError::Malformed`] if it is none, or has a signature; as [`Signer::sign`].
pub fn sign_inside(document: &[u8], signer: &Signer) -> Result<Vec<u8>, AttestError> {
    let mut document = object(document)?;
    if document.contains_key(SIGNATURE) {
        return Err(malformed("it has a signature already"));
    }
    let key = signer.public();
    let signature = json!({
        "algorithm": algorithm(key.algorithm()), "keyId": key.id().to_string(), "publicKey": public_key(key),
    });
    document.insert(SIGNATURE.to_owned(), signature);
    let signed = signer.sign(&form(&document)?)?;
    let signed = match key.algorithm() {
        Algorithm::Ed25519 => signed,
        Algorithm::EcdsaP256 => numbers(&signed).ok_or_else(|| AttestError::Signing {
            reason: "a signature of ECDSA is not two numbers in DER".to_owned(),
        })?,
    };
    document[SIGNATURE]["value"] = Value::from(URL_SAFE_NO_PAD.encode(signed));
    canonical_json(&document).map_err(malformed)
}

/// The document without its signature, if one of the keys signed all of it; and which.
///
/// # Errors
/// [`AttestError::Malformed`]; [`AttestError::NotSigned`].
pub fn verify_inside(document: &[u8], keys: &[PublicKey]) -> Result<(Value, KeyId), AttestError> {
    let mut document = object(document)?;
    let signature = document.get_mut(SIGNATURE).and_then(Value::as_object_mut);
    let signature = signature.ok_or_else(|| malformed("it has no signature inside"))?;
    if let Some(other) = signature.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(malformed(format!(
            "its signature has `{other}`: only one by one key and of the whole document is taken"
        )));
    }
    let value = signature.remove("value");
    let value = value.as_ref().and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let value = value.ok_or_else(|| malformed("the value of its signature is not base64url"))?;
    let (named, stated) = (signature.get("algorithm").cloned(), signature.get("publicKey").cloned());
    let message = form(&document)?;
    let by = keys.iter().find(|key| {
        named.as_ref().and_then(Value::as_str) == Some(algorithm(key.algorithm()))
            && key.verifies_numbers(&message, &value)
    });
    let Some(by) = by else {
        let tried: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
        let reason = format!("the signature inside it is not by {}", tried.join(" or "));
        return Err(AttestError::NotSigned { reason });
    };
    // Other readers believe the key that the document brings.
    if stated.is_some_and(|stated| stated != public_key(by)) {
        return Err(malformed("its signature brings another public key than the one that it is by"));
    }
    document.remove(SIGNATURE);
    Ok((Value::Object(document), by.id()))
}

fn object(document: &[u8]) -> Result<Map<String, Value>, AttestError> {
    if document.len() > MAX_DOCUMENT {
        return Err(malformed(format!("it has more than {MAX_DOCUMENT} bytes")));
    }
    match strict_json(document).map_err(malformed)? {
        Value::Object(document) => Ok(document),
        _ => Err(malformed("it is no object")),
    }
}

/// The bytes that are signed.
fn form(document: &Map<String, Value>) -> Result<Vec<u8>, AttestError> {
    serde_json_canonicalizer::to_vec(document).map_err(malformed)
}

/// What a kind of key is called (RFC 7518 and 8037).
fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::EcdsaP256 => "ES256",
    }
}

/// A key as a JSON Web Key.
fn public_key(key: &PublicKey) -> Value {
    let bytes = key.bytes();
    match key.algorithm() {
        Algorithm::Ed25519 => json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(bytes)}),
        Algorithm::EcdsaP256 => {
            // The first byte says that the point is not compressed.
            let (x, y) = bytes[1..].split_at(NUMBER);
            json!({
                "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
            })
        }
    }
}

/// The two numbers of a signature of ECDSA in DER, one after the other (RFC 7518, 3.4).
fn numbers(der: &[u8]) -> Option<Vec<u8>> {
    let read = AnyRef::from_der(der).ok()?.sequence(|reader| {
        let numbers = [UintRef::decode(reader)?, UintRef::decode(reader)?];
        Ok::<_, pkcs8::der::Error>((numbers, reader.is_finished()))
    });
    let (numbers, true) = read.ok()? else { return None };
    let mut bytes = Vec::with_capacity(2 * NUMBER);
    for number in numbers {
        let number = number.as_bytes();
        bytes.extend(std::iter::repeat_n(0, NUMBER.checked_sub(number.len())?));
        bytes.extend_from_slice(number);
    }
    Some(bytes)
}

fn malformed(reason: impl std::fmt::Display) -> AttestError {
    AttestError::malformed("a document with a signature inside", reason)
}
