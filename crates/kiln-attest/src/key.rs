//! Public keys: Ed25519 and ECDSA on P-256, as PEM files with a SubjectPublicKeyInfo (RFC 5280, 8410 and 5480).

use crate::AttestError;
use kiln_record::Digest;
use pkcs8::der::Encode as _;
use pkcs8::der::asn1::BitStringRef;
use pkcs8::der::oid::ObjectIdentifier;
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{Document, der::AnyRef};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use std::fmt;

/// `id-Ed25519` (RFC 8410).
pub(crate) const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// `id-ecPublicKey` (RFC 5480).
pub(crate) const EC_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1` (RFC 5480).
pub(crate) const P256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// The largest key file that is read, in bytes.
const MAX_PEM: usize = 16 << 10;
/// The PEM label of a public key.
const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 over SHA-256, signatures in DER.
    EcdsaP256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256",
        })
    }
}

/// What a key is known by: the SHA-256 of its SubjectPublicKeyInfo in DER, in lower-case hexadecimal. `openssl pkey -pubin
/// -in KEY -outform DER | sha256sum` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// The 32 bytes of Ed25519, or the uncompressed point of P-256.
    bytes: Vec<u8>,
    /// The whole in DER: one text for one key.
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM file; `what` is where it is from.
    ///
    /// # Errors
    /// [`AttestError::Key`] if it is none, or one of another kind.
    pub fn from_pem(text: &str, what: &str) -> Result<Self, AttestError> {
        let refused = |reason: String| AttestError::Key { what: what.to_owned(), reason };
        if text.len() > MAX_PEM {
            return Err(refused(format!("it has more than {MAX_PEM} bytes")));
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(refused(format!(
                "it is a private key, which verifies nothing and is to be kept apart; its public key: openssl pkey -in {what} -pubout"
            )));
        }
        let (label, document) = Document::from_pem(text)
            .map_err(|error| refused(format!("it is not PEM ({error}); openssl pkey -pubout writes it")))?;
        if label != PUBLIC_LABEL {
            return Err(refused(format!(
                "it begins with `BEGIN {label}` and not with `BEGIN {PUBLIC_LABEL}`"
            )));
        }
        Self::from_spki(document.as_bytes()).map_err(refused)
    }

    fn from_spki(der: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|error| error.to_string())?;
        let algorithm = algorithm(&info.algorithm)?;
        let bytes = info.subject_public_key.as_bytes().ok_or("its bits are no whole bytes")?;
        Self::new(algorithm, bytes)
    }

    /// A key of its bytes.
    pub(crate) fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, String> {
        let is_right = match algorithm {
            Algorithm::Ed25519 => bytes.len() == 32,
            Algorithm::EcdsaP256 => bytes.len() == 65 && bytes[0] == 4,
        };
        if !is_right {
            return Err(match algorithm {
                Algorithm::Ed25519 => "an Ed25519 key has 32 bytes".to_owned(),
                Algorithm::EcdsaP256 => {
                    "a P-256 key is written as an uncompressed point of 65 bytes: openssl ec -conv_form uncompressed".to_owned()
                }
            });
        }
        let identifier = match algorithm {
            Algorithm::Ed25519 => AlgorithmIdentifierRef { oid: ED25519_OID, parameters: None },
            Algorithm::EcdsaP256 => {
                AlgorithmIdentifierRef { oid: EC_OID, parameters: Some(AnyRef::from(&P256_OID)) }
            }
        };
        let key = BitStringRef::from_bytes(bytes).map_err(|error| error.to_string())?;
        let info = SubjectPublicKeyInfoRef { algorithm: identifier, subject_public_key: key };
        let spki = info.to_der().map_err(|error| error.to_string())?;
        Ok(Self { algorithm, bytes: bytes.to_owned(), spki })
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.spki))
    }

    /// Its bytes without what says of which kind it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its SubjectPublicKeyInfo in DER.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether a signature is by this key over exactly this message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let bytes = self.bytes.as_slice();
        match self.algorithm {
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature),
            Algorithm::EcdsaP256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes).verify(message, signature)
            }
        }
        .is_ok()
    }
}

impl PublicKey {
    /// The same of a signature whose numbers stand one after the other, where those of ECDSA are in DER otherwise (RFC 7518, 3.4).
    pub(crate) fn verifies_numbers(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Ed25519 => self.verifies(message, signature),
            Algorithm::EcdsaP256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.bytes)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

/// Of which kind a key is.
pub(crate) fn algorithm(identifier: &AlgorithmIdentifierRef<'_>) -> Result<Algorithm, String> {
    match identifier.oid {
        ED25519_OID => Ok(Algorithm::Ed25519),
        EC_OID => match identifier.parameters.map(|curve| curve.decode_as::<ObjectIdentifier>()) {
            Some(Ok(P256_OID)) => Ok(Algorithm::EcdsaP256),
            _ => Err("it is on another curve than P-256".to_owned()),
        },
        other => Err(format!("its algorithm is {other}; kiln signs with Ed25519 and ECDSA P-256")),
    }
}
