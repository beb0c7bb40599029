//! The stages of one artifact's build. Each is a type that takes the one before it by value, with fields that only its own
//! file can fill: what was not verified cannot be packed, and what was not packed cannot be recorded.

mod collect;
mod fetch;
mod pack;
mod publish;
mod standing;
mod trial;
mod verify;

pub(crate) use collect::Collected;
pub(crate) use fetch::{ArtifactFiles, Planned};
pub(crate) use publish::{Done, Published};
pub(crate) use standing::Standing;
pub(crate) use verify::Judgement;
