//! Whether what a manifest runs is run twice.

use serde::{Deserialize, Serialize};

/// Whether a step, or the build of a Dockerfile, is held against itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reproducible {
    /// It runs twice, and what differs is a finding.
    #[default]
    Check,
    /// It runs once: somebody else answers for it.
    Assume,
}
