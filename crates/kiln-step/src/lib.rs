//! Files that are made or brought for an artifact: by steps, which are programs that run in a pinned base without a network,
//! and from upstream sources, which are commits of git repositories. Both are [`kiln_collect::Part`]s.

mod crates;
mod error;
mod job;
mod linked;
mod output;
mod run;
mod step;
mod told;
pub mod upstream;

pub use crates::archives;
pub use error::StepError;
pub use linked::linked_from_bases;
pub use step::{ReadyStep, StepFiles, checks, crate_inputs, findings, make_all};
pub use upstream::ReadyUpstream;
