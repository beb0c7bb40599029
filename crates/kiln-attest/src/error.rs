//! Why something signed is not believed, or cannot be signed.

use kiln_record::excerpt;

/// Why something signed is not believed, or cannot be signed. `what` says which file or text it is about.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// A key cannot be read.
    #[error("{what} is no key that kiln can use: {reason}")]
    Key {
        /// Where the key is from.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key is encrypted, and there is no passphrase or a wrong one.
    #[error("{what} is an encrypted key: {reason}")]
    Passphrase {
        /// Where the key is from.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// Signing failed.
    #[error("nothing was signed: {reason}")]
    Signing {
        /// Why.
        reason: String,
    },
    /// Not an envelope, statement, note or proof.
    #[error("not {expected}: {reason}")]
    Malformed {
        /// What it should be, with its article.
        expected: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// No signature is by a key that is believed.
    #[error("{reason}")]
    NotSigned {
        /// By whom it says it is, and which keys were tried.
        reason: String,
    },
    /// A proof does not prove what it is for.
    #[error("the proof does not hold: {reason}")]
    Unproven {
        /// Why.
        reason: String,
    },
}

impl AttestError {
    /// That a text is not what it should be; what it quotes is cut.
    pub(crate) fn malformed(expected: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { expected, reason: excerpt(&reason.to_string()) }
    }
}
