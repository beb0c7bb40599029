//! Artifacts of a Dockerfile: built by an engine from pinned bases, believed in nothing, taken apart and written anew.

mod build;
mod container;
mod context;
mod error;
mod made;
mod normal;
mod remembered;
mod taken_apart;
mod told;

pub use build::make;
pub use context::read_context;
pub use error::DockerfileError;
pub use made::{Made, collection, found_distributions, judge, reconciled};
