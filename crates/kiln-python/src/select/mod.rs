//! Selection: which distributions of a lock go into an artifact, and the reason for each that does not.

mod choice;
mod elsewhere;
mod judge;
mod python_range;
mod reach;
mod selection;

pub use choice::{Choice, LayerContent};
pub use selection::{Selection, select};

#[cfg(test)]
pub(crate) use selection::tests;
