//! Source distributions: which of several is built, what they say about how, and what they require. The
//! program that builds them is among the guest's.

mod best_sdist;
mod build_system;
mod metadata;

pub use best_sdist::best_sdist;
pub use build_system::{BuildSystem, unmet_build_requirements};
pub use metadata::{SdistMetadata, dependency_metadata, sdist_metadata};
