//! Orders the stages of a build, and answers what a build would do, and runs what was built: [`build`], [`explain()`], [`cross_check()`], [`invoke()`]; and knows
//! which code does all that: [`rules()`]. It does not know how to resolve anything: that is `kiln-lock`'s.

mod archives;
mod build;
mod built;
mod bundled;
mod cross_check;
mod error;
mod expectation;
mod explain;
mod image;
mod inputs;
mod invoke;
mod long_hashes;
mod prepare;
mod recording;
mod rules;
mod shard;
mod source_link;
mod stage;

pub use build::{ArtifactResult, BuildReport, BuildRequest, build};
pub use bundled::{BundledCrates, bundled_crates};
pub use cross_check::{CrossCheck, cross_check};
pub use error::BuildError;
use error::Judged;
pub use expectation::Expectation;
pub use explain::{
    ExplainedDistribution, ExplainedMarker, ExplainedPath, ExplainedWheel, Explanation, explain, explain_path,
};
pub use inputs::{REMEMBERED_INPUTS, ServedInputs, served_inputs};
pub use invoke::{InvokeRequest, Invoked, invoke};
pub use rules::rules;
pub use shard::{Shard, ShardError};
