//! Releases: all that is published, signed once; and what a signature vouches for, looked at in any folder.

mod aspects;
mod attached;
mod check;
mod files;
mod history;
mod sign;
mod signed;
mod verdicts;

pub(crate) use attached::{signature_of_manifest, signatures};
pub use check::check_release;
pub use files::{CHECKPOINT, RELEASE, is_signature};
pub(crate) use files::{files_below, manifest_payload};
pub use history::{LogState, checkpoint_of, consistency_proof, hold_log, log_state, origin_of};
pub use sign::{SignRequest, SignedRelease, require_signable, sign_release};
pub use signed::{Aspect, CheckRequest, CheckedRelease};
pub use verdicts::{RebuildersRequest, Threshold, rebuilt_by};
