//! The Python of a base, the wheel tags that it loads, and the environment that an artifact will run in.

mod environment;
mod probe;
mod tags;

pub(crate) use environment::{Asked, PatchMatters};
pub use environment::{TargetEnvironment, Verdict};
pub use probe::{Interpreter, PROBE};
pub(crate) use tags::glibc_of_platform;

#[cfg(test)]
pub(crate) use probe::tests::interpreter;
