//! A project that kiln does not know yet, read as what it is: which functions, layers and images its own files state, and the
//! workspace that follows.
//!
//! Nothing is written here, and nothing is guessed: what no file of the project tells is a commented line of the manifest, with
//! what could stand there. The files read are somebody else's: their number, size and depth are bounded.

mod artifact;
mod dependencies;
mod dockerfile;
mod error;
mod existing;
mod folder;
mod handler;
mod plain;
mod plan;
mod reading;
mod render;
mod sam;
mod serverless;
mod stated;
mod terraform;
mod yaml;

pub use artifact::{Artifact, Kind, Lock, Source, Told, Variable};
pub use error::InitError;
pub use existing::Difference;
pub use plan::{Found, InitPlan, Options, PlannedFile, plan};
pub use render::manifest;
