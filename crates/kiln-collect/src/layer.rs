//! Layers that a function is used with.

use crate::Collection;
use kiln_record::{ArtifactName, DistributionName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A layer that a function is used with, collected in this run.
#[derive(Clone, Debug)]
pub struct ReadyLayer {
    /// Its name.
    pub name: ArtifactName,
    /// What it holds.
    pub collection: Arc<Collection>,
    /// Its distributions with their versions.
    pub distributions: BTreeMap<DistributionName, String>,
}
