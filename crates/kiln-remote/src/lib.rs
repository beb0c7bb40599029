//! A cache that machines share: the second level of the store, over the Remote Execution API.
//!
//! A server of that API ("REAPI", version 2) keeps blobs by their SHA-256 and results by the digest of an action. kiln asks
//! it for what the store lacks, and tells it what was made here where it was told to.
//!
//! Whoever may write to such a server is believed about *results*, and about nothing else. Each blob that comes back is
//! hashed before it has a name in the store; a result must be of the key that was asked for, and all of its content must be
//! there. Everything is bounded: messages, blobs, the time of a call, and the time for so many bytes.
//!
//! Nothing here decides what a lost server means; [`Remote`] says that it is lost, and callers go on without it.

mod action;
mod address;
mod blobs;
mod connection;
mod error;
mod login;
mod remote;
mod settings;

pub use address::Address;
pub use error::RemoteError;
pub use login::Login;
pub use remote::Remote;
pub use settings::{Limits, RemoteSettings};

/// The result of asking a server.
pub type Result<T, E = RemoteError> = std::result::Result<T, E>;
