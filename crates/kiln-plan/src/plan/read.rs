//! What is read from the workspace for a plan.

use kiln_record::{ArtifactName, Digest, Epoch};

/// What the caller read from the workspace for one artifact.
#[derive(Clone, Debug, Default)]
pub struct PlanInputs {
    /// Digests of the artifact's own source trees, in the order of its source folders.
    pub sources: Vec<Digest>,
    /// Digest of what the rules of source folders did, where that is told in the record.
    pub ruled: Option<Digest>,
    /// Path in the workspace and digest of the dependency lock.
    pub lock: Option<(String, Digest)>,
    /// Paths and digests of the files that the lock includes.
    pub included: Vec<(String, Digest)>,
    /// Paths and digests of the wheels and projects of the workspace that the lock names.
    pub local: Vec<(String, Digest)>,
    /// Path in the workspace and digest of the project file beside the lock.
    pub project: Option<(String, Digest)>,
    /// Paths and digests of the lock of build requirements and of the files that it includes.
    pub build_locks: Vec<(String, Digest)>,
    /// Paths and digests of what that lock is made from, if the manifest says so, and of the files that it
    /// includes.
    pub build_projects: Vec<(String, Digest)>,
    /// Paths and digests of the files that its checks use: events, and what is expected of their answers.
    pub check_files: Vec<(String, Digest)>,
    /// For each step that takes files of the workspace: its name, the path, and the digest of their tree.
    pub step_files: Vec<(String, String, Digest)>,
    /// Digest of the files that its Dockerfile can copy, if it has one.
    pub context: Option<Digest>,
    /// The layers that it is used with, already planned.
    pub layers: Vec<LayerInput>,
    /// The time that overrides the pin times (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<Epoch>,
    /// The digest of everything in the program that decides bytes, documents or findings.
    pub rules: Option<Digest>,
}

/// A layer that a function is used with.
#[derive(Clone, Debug)]
pub struct LayerInput {
    /// Its name.
    pub name: ArtifactName,
    /// The digest of its plan.
    pub plan: Digest,
    /// Its epoch.
    pub epoch: Epoch,
}
