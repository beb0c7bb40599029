//! Container images: the artifact's tree as layers on its base, in our own process, and how the result is started. What is
//! assembled here is checked as it will run, and only then written out.

mod assemble;
mod layers;
mod output;
mod start;

pub(crate) use assemble::assemble;
pub(crate) use output::write;
