//! What kiln keeps on disk: content-addressed blobs, small cached values, the ledger, published artifacts, and what it
//! knows about unchanged files.
//!
//! One rule holds everywhere: a file appears under its final name only when it is complete. It is written under another
//! name, synced and renamed, so that a killed run leaves nothing but leftovers that the next sweep removes.
//!
//! Nothing here reads the clock, the environment or the current directory. Times and folders are arguments.

mod approvals;
mod atomic;
mod back;
mod cache;
mod contents;
mod error;
mod garbage;
mod heads;
mod ledger;
mod log;
mod lost;
mod memo;
mod presence;
mod publication;
mod regular;
mod room;
mod run_details;
mod run_folder;
mod source_link;
mod spool;
mod stat_cache;
mod store;
mod survey;
mod unpacked;
mod verified;
mod workspace_lock;
mod workspaces;

pub use approvals::Approval;
pub use atomic::{sweep_unfinished, write_atomically};
pub use contents::{Held, Usage, digests_in};
pub use error::StoreError;
pub use garbage::{AloneStore, Garbage, Keep};
pub use heads::{Head, HeadState, Heads};
pub use ledger::{Ledger, LedgerEntry};
pub use log::LogLine;
pub use lost::LostEntry;
pub use memo::Memo;
pub use publication::{Publication, Sealed, Settled, is_unsettled, settle};
pub use regular::{open_regular, read_regular};
pub use room::{free_space, has_room};
pub use run_details::{
    EventMeasure, RUN_DETAILS_FORMAT, RunDetails, RunHost, RunTimes, SmokeMeasure, ToldResult,
};
pub use source_link::{SourceCommit, SourceLink};
pub use spool::{Spool, SpoolReader};
pub use stat_cache::StatCache;
pub use store::{Batch, BlobWriter, STORE_FORMAT, Store, TemporaryFolder};
pub use survey::{Damage, Survey};
pub use workspace_lock::WorkspaceLock;

/// The result of an operation on disk.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
