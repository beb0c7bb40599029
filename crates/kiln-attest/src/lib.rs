//! Evidence that somebody stands by what was built: statements, the envelopes that they are signed in, keys, and the ledger
//! as a log that proves what is in it.
//!
//! Nothing here touches a file, a clock or a program. A signature by something outside (a key service, a token) comes in as a
//! function.

mod checkpoint;
mod envelope;
mod error;
mod jsf;
mod key;
mod merkle;
mod proof;
mod release;
mod run;
mod signer;
mod simple_signing;
mod statement;
mod strict_json;
mod summary;

pub use checkpoint::{Checkpoint, SignedNote};
pub use envelope::{Envelope, IN_TOTO_PAYLOAD, Verified, pre_authentication_encoding};
pub use error::AttestError;
pub use jsf::{sign_inside, verify_inside};
pub use key::{Algorithm, KeyId, PublicKey};
pub use merkle::{LeafHashes, leaf_hash, verify_consistency, verify_inclusion};
pub use proof::{ConsistencyProof, InclusionProof};
pub use release::{
    FindingCounts, LedgerStatement, LogStatement, RELEASE_TYPE, Release, ReleasedArtifact, SourceStatement,
};
pub use run::{HostStatement, RUN_TYPE, RunStatement, ToldStatement};
pub use signer::{PrivateKey, Signer};
pub use simple_signing::ImageSignature;
pub use statement::{STATEMENT_TYPE, Statement, Subject};
pub use strict_json::strict_json;
pub use summary::{InputAttestation, Policy, SUMMARY_TYPE, Summary, SummaryResult, Verifier};
