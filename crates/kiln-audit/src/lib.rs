//! Judging what is about to be packed, and comparing what was built.
//!
//! Two halves, both pure: *verify* turns a tree and what its files say into findings (`elf`, `binary`, `reconcile`,
//! `limits`, under a `policy`); *compare* turns two records and a size history into a diff (`compare`, `anomaly`,
//! `report`). Nothing here reads a file: content arrives as bytes.

mod binary;
mod elf;
mod error;
mod limits;
mod policy;
mod quantity;
mod reconcile;

pub use binary::{BinaryTarget, check_binary};
pub use elf::{ElfFacts, Libc, NeededVersion, inspect_elf};
pub use error::AuditError;
pub use limits::{Budget, UNPACKED_LIMIT, ZIP_UPLOAD_LIMIT, check_limits};
pub use policy::{Exception, Policy, PolicyLevel, UnknownPolicyLevel};
pub use reconcile::{Expected, FoundDistribution, MAX_PROBLEMS, distributions_in_tree, reconcile};
