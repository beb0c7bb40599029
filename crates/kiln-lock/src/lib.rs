//! Locks and pins. Nothing else in kiln resolves: what is built follows from locks alone.

mod artifact;
mod base;
mod buildable;
mod crates;
mod error;
mod freshness;
mod index_router;
mod indexes;
mod moved;
mod new_base;
mod newer;
mod no_answer;
mod pending;
mod pins;
mod registry_image;
mod resolution;
mod tool;
mod upstream;
mod uv;

pub use artifact::{ArtifactLock, ArtifactLockRequest, Kept, lock_artifacts};
pub use base::{BaseMove, LockReport, lock_base};
pub use crates::{CratesLock, CratesLockRequest, lock_crates};
pub use error::LockError;
pub use moved::{FileFacts, MovedFile};
pub use new_base::WantedBase;
pub use newer::{Move, Newer, Wanted, newer, newer_upstreams};
pub use pending::{bases_are_young_enough, lockable_artifacts, unpinned_bases};
pub use pins::{Pin, PinnedThing, pins};
pub use tool::{ToolReport, lock_tools};
pub use upstream::{UpstreamLock, UpstreamLockRequest, lock_upstreams};
