//! What a run is given: folders, time, settings. Nothing here reads the process's environment.

use crate::{NamedIndexSetting, Rules, SharedCache, Trial, WORKSPACE_FILE};
use kiln_engine::EngineSettings;
use kiln_fetch::{CrateSetting, IndexSetting, Mirror, NetworkSettings};
use kiln_image::RegistryMirror;
use kiln_plan::Trust;
use kiln_record::Epoch;
use kiln_remote::ExecutorSettings;
use kiln_store::Ledger;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that the command line hands to a run.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The version of this kiln, with its commit where that is known, as records name it.
    pub kiln: String,
    /// The digests of its code.
    pub rules: Rules,
    /// The workspace.
    pub root: PathBuf,
    /// Where artifacts are published.
    pub dist: PathBuf,
    /// The workspace's own state: the ledger, the lock, what is known of source files.
    pub state: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Artifacts built side by side.
    pub jobs: usize,
    /// The time of the run. It reaches the ledger and the pin times of locks, and no artifact.
    pub now: Epoch,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<Epoch>,
    /// How to reach servers.
    pub network: NetworkSettings,
    /// From where anything may come.
    pub trust: Trust,
    /// The Python index that the environment is configured for, used where the workspace names none.
    pub index: Option<IndexSetting>,
    /// The indexes that `kiln.toml` names.
    pub indexes: BTreeMap<String, NamedIndexSetting>,
    /// Where pip and uv are told of further indexes, none of which is asked.
    pub further_indexes: Vec<String>,
    /// The Debian mirrors of the environment, used where neither base nor workspace names one.
    pub debian_mirrors: Vec<Mirror>,
    /// Mirrors of container registries, those of the workspace first.
    pub registry_mirrors: Vec<RegistryMirror>,
    /// The cache that machines share, if there is one.
    pub remote: Option<SharedCache>,
    /// The crates registry that the environment's cargo is configured for, if any; or why that cannot be told.
    pub crates: Result<Option<CrateSetting>, String>,
    /// How to reach the engine.
    pub engine: EngineSettings,
    /// The server that programs run on instead, if there is one.
    pub executor: Option<ExecutorSettings>,
    /// Variables that a tool run on this machine needs to reach servers: certificates and proxies.
    pub tool_variables: BTreeMap<String, String>,
    /// What is done otherwise where a build is made to be compared with another.
    pub trial: Trial,
    /// Whether answers of checks are taken that an earlier run was given for the same question.
    pub recalls: bool,
    /// How long to wait for another kiln in this workspace.
    pub lock_wait: Duration,
}

impl Environment {
    /// Whether there is a workspace. Without one, what only reads runs where it was started.
    #[must_use]
    pub fn has_workspace(&self) -> bool {
        self.root.join(WORKSPACE_FILE).is_file()
    }

    /// The history of the workspace's builds, for the folder that is published in.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::open(&self.state.join("ledger")).publishing_in(self.published_in())
    }

    /// What the ledger calls the folder that is published in: its path from the workspace; none for the workspace's `dist`.
    fn published_in(&self) -> Option<String> {
        let (root, dist) = (real(&self.root), real(&self.dist));
        if dist == real(&self.root.join("dist")) {
            return None;
        }
        let shared = root.components().zip(dist.components()).take_while(|(a, b)| a == b).count();
        let up = root.components().skip(shared).map(|_| Path::new("..").as_os_str());
        let down = dist.components().skip(shared).map(|component| component.as_os_str());
        Some(up.chain(down).collect::<PathBuf>().display().to_string())
    }
}

/// A path without links, as far as there is something at it.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    })
}
