//! What signs: a private key that is at hand, or something outside that gives signatures and keeps its key.

use crate::key::{PublicKey, algorithm};
use crate::{Algorithm, AttestError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use std::fmt;

/// The largest signature that something outside may give, in bytes.
const MAX_SIGNATURE: usize = 4 << 10;

/// A private key.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public.id()).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads PKCS#8 in PEM, encrypted (PBES2) or not; `what` is where it is from.
    ///
    /// # Errors
    /// [`AttestError::Key`]; [`AttestError::Passphrase`] if it is encrypted and the passphrase is missing or wrong.
    pub fn from_pem(text: &str, passphrase: Option<&[u8]>, what: &str) -> Result<Self, AttestError> {
        let refused = |reason: String| AttestError::Key { what: what.to_owned(), reason };
        let locked = |reason: String| AttestError::Passphrase { what: what.to_owned(), reason };
        if text.contains("-----BEGIN EC PRIVATE KEY-----") {
            return Err(refused(format!(
                "it is in the older form SEC 1; write it as PKCS#8: openssl pkcs8 -topk8 -nocrypt -in {what}"
            )));
        }
        let (label, document) = SecretDocument::from_pem(text).map_err(|error| {
            refused(format!("it is not PEM ({error}); make one: openssl genpkey -algorithm ed25519"))
        })?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(document.as_bytes()).map_err(refused),
            "ENCRYPTED PRIVATE KEY" => {
                let passphrase = passphrase.ok_or_else(|| {
                    locked(
                        "name where its passphrase is with --passphrase-file or --passphrase-env".to_owned(),
                    )
                })?;
                let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                    .map_err(|error| refused(error.to_string()))?;
                let plain = encrypted.decrypt(passphrase).map_err(|error| {
                    locked(format!("its passphrase is another one, or its encryption is not PBES2 ({error})"))
                })?;
                Self::from_pkcs8(plain.as_bytes()).map_err(refused)
            }
            "PUBLIC KEY" => Err(refused("it is a public key, which cannot sign".to_owned())),
            other => Err(refused(format!("it begins with `BEGIN {other}` and not with `BEGIN PRIVATE KEY`"))),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|error| error.to_string())?;
        let algorithm = algorithm(&info.algorithm)?;
        let (pair, public) = match algorithm {
            Algorithm::Ed25519 => {
                let pair =
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|error| error.to_string())?;
                let public = pair.public_key().as_ref().to_owned();
                (Pair::Ed25519(pair), public)
            }
            Algorithm::EcdsaP256 => {
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random)
                    .map_err(|error| error.to_string())?;
                let public = pair.public_key().as_ref().to_owned();
                (Pair::EcdsaP256(pair), public)
            }
        };
        Ok(Self { pair, public: PublicKey::new(algorithm, &public)? })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AttestError> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_owned()),
            Pair::EcdsaP256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_owned())
                .map_err(|_| AttestError::Signing { reason: "the system gave no random bytes".to_owned() }),
        }
    }
}

/// Gives a signature of a message, or says why not.
type Outside = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, String>>;

/// What signs.
#[expect(clippy::large_enum_variant, reason = "a run makes one")]
pub enum Signer {
    /// A key that is at hand.
    Key(PrivateKey),
    /// Something outside: what it gives is held against this public key.
    Outside {
        /// The key that it signs with.
        public: PublicKey,
        /// Gives the signature: its bytes, or base64 of them.
        sign: Outside,
    },
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public", &self.public().id()).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key that its signatures are verified with.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        match self {
            Self::Key(key) => &key.public,
            Self::Outside { public, .. } => public,
        }
    }

    /// Signs a message. No signature leaves here that its own public key does not verify.
    ///
    /// # Errors
    /// [`AttestError::Signing`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AttestError> {
        let refused = |reason: String| AttestError::Signing { reason };
        let given = match self {
            Self::Key(key) => key.sign(message)?,
            Self::Outside { sign, .. } => sign(message).map_err(refused)?,
        };
        if given.len() <= MAX_SIGNATURE {
            if self.public().verifies(message, &given) {
                return Ok(given);
            }
            let text = String::from_utf8_lossy(&given).split_whitespace().collect::<String>();
            if let Ok(decoded) = STANDARD.decode(text)
                && self.public().verifies(message, &decoded)
            {
                return Ok(decoded);
            }
        }
        Err(refused(format!(
            "what came ({} bytes) is no signature by the key {}",
            given.len(),
            self.public().id()
        )))
    }
}
