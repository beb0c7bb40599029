//! Envelopes: DSSE 1.0.2 (<https://github.com/secure-systems-lab/dsse>). What is signed is the payload's bytes and their type,
//! so that no JSON has to be brought into a form.

use crate::{AttestError, KeyId, PublicKey, Signer, strict_json};
use base64::Engine as _;
use base64::alphabet::{STANDARD as STANDARD_ALPHABET, URL_SAFE as URL_SAFE_ALPHABET};
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use kiln_record::excerpt;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The type of a payload that is an in-toto statement.
pub const IN_TOTO_PAYLOAD: &str = "application/vnd.in-toto+json";
/// The largest envelope that is read, in bytes.
const MAX_ENVELOPE: usize = 64 << 20;
/// The most signatures that an envelope may have.
const MAX_SIGNATURES: usize = 32;

const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Base64 as writers of envelopes have it: the standard demands that both alphabets are read.
const ALPHABETS: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&STANDARD_ALPHABET, PADDING), GeneralPurpose::new(&URL_SAFE_ALPHABET, PADDING)];

/// A payload with signatures of it. Nothing of the payload is to be believed before [`Envelope::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    /// What the envelope says of the key: a hint, which is not signed.
    key: Option<String>,
    bytes: Vec<u8>,
}

/// What an envelope holds, and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The bytes that were signed.
    pub payload: Vec<u8>,
    /// The keys that signed them, of those that are believed: each once, however many signatures it has there.
    pub keys: BTreeSet<KeyId>,
}

/// What is signed: `DSSEv1 LENGTH TYPE LENGTH PAYLOAD`, lengths in bytes as decimal numbers.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Signs a payload.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn sign(payload_type: &str, payload: &[u8], signer: &Signer) -> Result<Self, AttestError> {
        let bytes = signer.sign(&pre_authentication_encoding(payload_type, payload))?;
        let key = Some(signer.public().id().to_string());
        Ok(Self {
            payload_type: payload_type.to_owned(),
            payload: payload.to_owned(),
            signatures: vec![Signature { key, bytes }],
        })
    }

    /// One line of JSON with sorted keys, ready for a `.jsonl` file.
    #[must_use]
    pub fn to_line(&self) -> String {
        let signatures: Vec<Value> = self
            .signatures
            .iter()
            .map(|one| match &one.key {
                Some(key) => json!({"keyid": key, "sig": STANDARD.encode(&one.bytes)}),
                None => json!({"sig": STANDARD.encode(&one.bytes)}),
            })
            .collect();
        let payload = STANDARD.encode(&self.payload);
        format!(
            "{}\n",
            json!({"payload": payload, "payloadType": self.payload_type, "signatures": signatures})
        )
    }

    /// Reads an envelope. Keys that the standard does not name are passed over; one that comes twice is refused.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, AttestError> {
        let malformed = |reason: &dyn std::fmt::Display| AttestError::malformed("a DSSE envelope", reason);
        if bytes.len() > MAX_ENVELOPE {
            return Err(malformed(&format!("it has more than {MAX_ENVELOPE} bytes")));
        }
        let value = strict_json(bytes).map_err(|error| malformed(&error))?;
        if value.get("predicateType").is_some() {
            return Err(malformed(&"it is a statement without envelope, which nobody signed"));
        }
        let text = |value: &Value, key: &str| {
            let text = value.get(key).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| malformed(&format!("it has no text `{key}`")))
        };
        let decoded = |value: &Value, key: &str| {
            let text = text(value, key)?;
            let bytes = ALPHABETS.iter().find_map(|alphabet| alphabet.decode(&text).ok());
            bytes.ok_or_else(|| malformed(&format!("`{key}` is not base64")))
        };
        let listed = value.get("signatures").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| malformed(&"it has no list `signatures`"))?;
        if listed.is_empty() || listed.len() > MAX_SIGNATURES {
            return Err(malformed(&format!(
                "it has {} signatures, and may have 1 to {MAX_SIGNATURES}",
                listed.len()
            )));
        }
        let signatures = listed.iter().map(|one| {
            let key = one.get("keyid").and_then(Value::as_str).filter(|key| !key.is_empty());
            Ok(Signature { key: key.map(str::to_owned), bytes: decoded(one, "sig")? })
        });
        Ok(Self {
            payload_type: text(&value, "payloadType")?,
            payload: decoded(&value, "payload")?,
            signatures: signatures.collect::<Result<_, AttestError>>()?,
        })
    }

    /// The payload, if one of the keys signed it and it is of that type. Every key is tried: which one an envelope names is
    /// a hint that nobody signed.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`]; [`AttestError::Malformed`] if the type is another one.
    pub fn verify(&self, payload_type: &str, keys: &[PublicKey]) -> Result<Verified, AttestError> {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        let signed = keys
            .iter()
            .filter(|key| self.signatures.iter().any(|one| key.verifies(&message, &one.bytes)))
            .map(PublicKey::id)
            .collect::<BTreeSet<_>>();
        if signed.is_empty() {
            return Err(AttestError::NotSigned { reason: self.nobody(keys) });
        }
        if self.payload_type != payload_type {
            return Err(AttestError::malformed(
                "an in-toto statement",
                format!("its type is `{}`", self.payload_type),
            ));
        }
        Ok(Verified { payload: self.payload.clone(), keys: signed })
    }

    /// Why no signature counts.
    fn nobody(&self, keys: &[PublicKey]) -> String {
        let named: BTreeSet<String> = self.signatures.iter().filter_map(|one| one.key.clone()).collect();
        let tried: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
        if let Some(key) = tried.iter().find(|key| named.contains(*key)) {
            return format!(
                "it names the key {key}, whose signature it is not: the envelope was changed after it was signed"
            );
        }
        let by = match named.len() {
            0 => "it does not say by which key it is signed".to_owned(),
            _ => format!("it names the key {}", excerpt(&named.into_iter().collect::<Vec<_>>().join(", "))),
        };
        format!("no signature is by {}: {by}", tried.join(" or "))
    }

    /// Whether the payload has these bytes somewhere, whoever signed it: to find an envelope, and not to believe it.
    #[must_use]
    pub fn mentions(&self, bytes: &[u8]) -> bool {
        !bytes.is_empty() && self.payload.windows(bytes.len()).any(|window| window == bytes)
    }

    /// The payload, whoever signed it: for a reader who establishes by other means whether it is true.
    #[must_use]
    pub fn unverified(&self) -> &[u8] {
        &self.payload
    }

    /// The payload's type, as the envelope has it.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }
}
