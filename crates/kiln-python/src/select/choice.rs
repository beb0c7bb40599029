//! What a manifest says about its dependencies.

use kiln_record::{ArtifactName, DistributionName};
use std::collections::{BTreeMap, BTreeSet};

/// What a manifest says about its dependencies.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Dependency groups beside `main`, which always belongs to it.
    pub groups: Vec<String>,
    /// Extras of the project.
    pub extras: Vec<String>,
    /// Distributions that are left out by name, with what only they require. Of a project of the same
    /// workspace only its own code is left out, which the artifact's sources hold: what it requires is still
    /// installed.
    pub excluded: BTreeSet<DistributionName>,
    /// Whether the project that the lock belongs to is installed like any other, with its metadata.
    pub install_project: bool,
    /// Whether the artifact has sources of its own, which a project that is not installed is taken to be in.
    pub has_source: bool,
    /// Distributions of which the project itself decides the version, whatever others require (uv's overrides).
    pub overridden: BTreeSet<DistributionName>,
    /// Distributions that are left to the Lambda runtime.
    pub from_runtime: BTreeSet<DistributionName>,
    /// A base of the workspace for each Python that one has, for messages.
    pub bases: BTreeMap<(u32, u32), String>,
    /// Whether the artifact runs on its base, as an image does that is for no runtime of Lambda's: its manifest states none.
    pub runs_on_base: bool,
    /// The layers that the artifact is used with, in order: of two that hold one file, Lambda keeps the
    /// later.
    pub layers: Vec<LayerContent>,
}

/// What a layer holds.
#[derive(Clone, Debug)]
pub struct LayerContent {
    /// The layer's artifact.
    pub name: ArtifactName,
    /// Its distributions with their versions.
    pub distributions: BTreeMap<DistributionName, String>,
}
