//! The Remote Execution API: a cache that machines share, as the second level of the store, and machines that run programs.
//!
//! A server of that API ("REAPI", version 2) keeps blobs by their SHA-256 and results by the digest of an action. kiln asks
//! it for what the store lacks, and tells it what was made here where it was told to.
//!
//! Whoever may write to such a server is believed about *results*, and about nothing else. Each blob that comes back is
//! hashed before it has a name in the store; a result must be of the key that was asked for, and all of its content must be
//! there. Everything is bounded: messages, blobs, the time of a call, and the time for so many bytes.
//!
//! Some such servers run programs, too: [`Executor`] sends actions there. What an action is made of is for its caller.
//!
//! Nothing here decides what a lost server means; [`Remote`] says that it is lost, and callers go on without it.

mod action;
mod address;
mod blobs;
mod connection;
mod error;
mod execution;
mod executor;
mod login;
mod notice;
mod remote;
mod settings;

pub use address::Address;
pub use blobs::Open;
pub use error::RemoteError;
pub use execution::{Ending, Executed};
pub use executor::{Execution, Executor, Fetched};
pub use login::Login;
pub use notice::{Notice, Notices};
pub use remote::Remote;
pub use settings::{ExecutorSettings, Limits, RemoteSettings};

/// The result of asking a server.
pub type Result<T, E = RemoteError> = std::result::Result<T, E>;
