//! Selection: which distributions of a lock go into an artifact, and the reason for each that does not.

mod choice;
mod elsewhere;
mod holds;
mod judge;
mod judge_place;
mod nothing;
mod python_range;
mod python_release;
mod reach;
mod relock;
mod selection;

pub use choice::{Choice, LayerContent};
pub use holds::holds;
pub(crate) use python_release::hangs_on_release;
pub use python_release::way_to_runtime;
pub use selection::{AskedOfLock, Selection, select};

#[cfg(test)]
pub(crate) use selection::tests;
