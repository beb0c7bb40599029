//! Artifacts of a Dockerfile: built by an engine from pinned bases, believed in nothing, taken apart and written anew.

mod absent;
mod build;
mod by_actions;
mod container;
mod content;
mod context;
mod copied;
mod error;
mod made;
mod normal;
mod remembered;
mod taken_apart;
mod told;
mod users;

pub use build::make;
pub use context::read_context;
pub use copied::copied;
pub use error::DockerfileError;
pub use made::{Made, collection, found_distributions, judge, reconciled};
