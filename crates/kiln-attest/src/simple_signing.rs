//! Signatures of what a registry has, as cosign makes them: over a payload that names a manifest by its digest ("simple signing", of
//! the specification of container signatures by the makers of skopeo; cosign's `SIGNATURE_SPEC`).

use crate::{AttestError, PublicKey, Signer, strict_json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_record::Digest;
use serde_json::{Value, json};

/// What the payload says that it is.
const KIND: &str = "cosign container image signature";
/// The largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 1 << 20;

/// A signature of a manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSignature {
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl ImageSignature {
    /// Signs the digest of a manifest. Under which name a registry will have it is left open, as it is not known yet.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn sign(manifest: &Digest, signer: &Signer) -> Result<Self, AttestError> {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": ""},
                "image": {"docker-manifest-digest": manifest.to_string()},
                "type": KIND,
            },
            "optional": null,
        });
        let payload = payload.to_string().into_bytes();
        let signature = signer.sign(&payload)?;
        Ok(Self { payload, signature })
    }

    /// The bytes that were signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature in base64.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.signature)
    }

    /// The manifest that it is about, whoever signed it.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] if the payload names none.
    pub fn manifest(&self) -> Result<Digest, AttestError> {
        let payload = strict_json(&self.payload).map_err(malformed)?;
        let critical = &payload["critical"];
        if critical["type"] != KIND {
            return Err(malformed("its payload is of another type"));
        }
        let named = critical["image"]["docker-manifest-digest"].as_str();
        let named = named.ok_or_else(|| malformed("its payload names no manifest"))?;
        named.parse().map_err(malformed)
    }

    /// The manifest that it is about, if one of the keys signed it.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`]; [`AttestError::Malformed`] as [`Self::manifest`].
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Digest, AttestError> {
        if !keys.iter().any(|key| key.verifies(&self.payload, &self.signature)) {
            let tried: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
            let reason = format!("the signature of its manifest is not by {}", tried.join(" or "));
            return Err(AttestError::NotSigned { reason });
        }
        self.manifest()
    }

    /// One line of JSON, as `cosign download signature` prints it.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{}\n", json!({"Base64Signature": self.base64(), "Payload": STANDARD.encode(&self.payload)}))
    }

    /// Reads what [`Self::to_line`] wrote.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, AttestError> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(malformed(format!("it has more than {MAX_DOCUMENT} bytes")));
        }
        let value = strict_json(bytes).map_err(malformed)?;
        let decoded = |key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            let text = text.ok_or_else(|| malformed(format!("it has no text `{key}`")))?;
            STANDARD.decode(text).map_err(|_| malformed(format!("`{key}` is not base64")))
        };
        Ok(Self { payload: decoded("Payload")?, signature: decoded("Base64Signature")? })
    }
}

fn malformed(reason: impl std::fmt::Display) -> AttestError {
    AttestError::malformed("a signature of a manifest", reason)
}
