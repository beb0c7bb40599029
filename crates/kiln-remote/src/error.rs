//! Why a server could not be used.

use kiln_record::Digest;
use kiln_store::StoreError;

/// Why a server could not be used. But for [`RemoteError::Store`], a build goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address cannot be one.
    #[error("`{address}` is not the address of a server: {why}")]
    Address {
        /// What was given, without what could be a secret.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The login cannot be had, or must not be sent.
    #[error("there is no login for the server {address}: {why}")]
    Login {
        /// The server.
        address: String,
        /// Why.
        why: String,
    },
    /// It does not answer, or not in time.
    #[error("the server {address} does not answer: {why}")]
    Unreachable {
        /// The server.
        address: String,
        /// Why.
        why: String,
    },
    /// It answers that it will not.
    #[error("the server {address} refuses to {what}: {why}")]
    Refused {
        /// The server.
        address: String,
        /// What it was asked to do, such as `read blobs`.
        what: &'static str,
        /// Its words.
        why: String,
    },
    /// It does not speak what kiln speaks.
    #[error("the server {address} cannot be used: {why}")]
    Unfit {
        /// The server.
        address: String,
        /// What it lacks.
        why: String,
    },
    /// What it gave is not what it says.
    #[error("the server {address} gave something else than it was asked for: {why}")]
    Wrong {
        /// The server.
        address: String,
        /// What.
        why: String,
    },
    /// It lacks a blob that it said there is.
    #[error("the server {address} has lost the blob {digest}")]
    Lost {
        /// The server.
        address: String,
        /// Which.
        digest: Digest,
    },
    /// Nobody took an action.
    #[error(
        "the server {address} had no worker for an action within {seconds} s; asked for was {properties}"
    )]
    Queued {
        /// The server.
        address: String,
        /// How long it was waited for.
        seconds: u64,
        /// What a worker must be like.
        properties: String,
    },
    /// What is under way was given up.
    #[error("the action on {address} was given up")]
    GivenUp {
        /// The server.
        address: String,
    },
    /// The store cannot take it, or lacks what is to be sent.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RemoteError {
    /// A file of this machine cannot be read or written.
    #[must_use]
    pub fn file(error: std::io::Error) -> Self {
        StoreError::from(error).into()
    }

    /// A blob that is another.
    pub(crate) fn other_bytes(address: &str, wanted: &Digest, found: &Digest) -> Self {
        Self::Wrong { address: address.to_owned(), why: format!("the blob {wanted} has the digest {found}") }
    }
}
