//! What the workspaces of a store need of it: the digests that their locks and their newest builds name.

use crate::{InvocationError, WORKSPACE_FILE, read_usable_workspace};
use fs_err as fs;
use kiln_plan::StepInput;
use kiln_record::{ArtifactName, Digest};
use kiln_store::{Ledger, digests_in};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The largest lock that is read, in bytes.
const LARGEST_LOCK: u64 = 256 << 20;

/// What names something in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedBy {
    /// A lock, or another file that pins something, by its path in the workspace.
    Lock {
        /// The workspace.
        workspace: PathBuf,
        /// The file.
        file: String,
    },
    /// A build of the ledger.
    Build {
        /// The workspace.
        workspace: PathBuf,
        /// The artifact.
        artifact: ArtifactName,
        /// The build's number.
        number: u64,
    },
}

impl NamedBy {
    /// Whether it is a lock.
    #[must_use]
    pub fn is_lock(&self) -> bool {
        matches!(self, Self::Lock { .. })
    }

    /// The workspace that it is of.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        match self {
            Self::Lock { workspace, .. } | Self::Build { workspace, .. } => workspace,
        }
    }
}

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock { workspace, file } => write!(f, "{}", workspace.join(file).display()),
            Self::Build { workspace, artifact, number } => {
                write!(f, "{artifact}@{number} of {}", workspace.display())
            }
        }
    }
}

/// What workspaces need.
#[derive(Clone, Debug, Default)]
pub struct Needed {
    /// Each digest with what names it.
    pub digests: BTreeMap<Digest, BTreeSet<NamedBy>>,
    /// Workspaces that are not there any more.
    pub gone: Vec<PathBuf>,
}

impl Needed {
    /// The digests that locks name, or that builds do.
    #[must_use]
    pub fn by(&self, locks: bool) -> BTreeSet<Digest> {
        let is = |by: &BTreeSet<NamedBy>| by.iter().any(|by| by.is_lock() == locks);
        self.digests.iter().filter(|(_, by)| is(by)).map(|(digest, _)| *digest).collect()
    }
}

/// What the locks of workspaces name, and the newest builds of each of their artifacts, as many as `builds`. Locks are read as
/// text, whatever format they have; a record names what went into a build and each of its files.
///
/// # Errors
/// If a workspace that is there cannot be read: what it needs is not known then.
pub fn needed(workspaces: &[PathBuf], builds: usize) -> Result<Needed, InvocationError> {
    let mut needed = Needed::default();
    for root in workspaces {
        if !root.join(WORKSPACE_FILE).is_file() {
            needed.gone.push(root.clone());
            continue;
        }
        for file in locks(root)? {
            let path = root.join(&file);
            if path.metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST_LOCK) {
                needed.add(&fs::read(path)?, &NamedBy::Lock { workspace: root.clone(), file });
            }
        }
        let ledger = Ledger::open(&root.join(".kiln/ledger"));
        for artifact in ledger.artifacts()? {
            let Some(newest) = ledger.newest(&artifact)? else { continue };
            let oldest = newest.saturating_sub(u64::try_from(builds.max(1)).unwrap_or(u64::MAX) - 1).max(1);
            for number in oldest..=newest {
                // One that is lost names nothing.
                let Ok(record) = ledger.record(&artifact, number) else { continue };
                let Ok(text) = record.to_json() else { continue };
                let by = NamedBy::Build { workspace: root.clone(), artifact: artifact.clone(), number };
                needed.add(&text, &by);
            }
        }
    }
    Ok(needed)
}

impl Needed {
    fn add(&mut self, text: &[u8], by: &NamedBy) {
        for digest in digests_in(text).collect::<BTreeSet<_>>() {
            self.digests.entry(digest).or_default().insert(by.clone());
        }
    }
}

/// The files of a workspace that pin something: kiln's own locks, and those that manifests name.
fn locks(root: &Path) -> Result<BTreeSet<String>, InvocationError> {
    let workspace = read_usable_workspace(root)?;
    let mut files = BTreeSet::from(["kiln.lock".to_owned()]);
    for folder in ["images", "manifests"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        for entry in entries {
            if let Ok(name) = entry?.file_name().into_string()
                && name.ends_with(".lock")
            {
                files.insert(format!("{folder}/{name}"));
            }
        }
    }
    for python in workspace.manifests.values().filter_map(|manifest| manifest.python.as_ref()) {
        files.insert(python.lock.clone());
        files.extend(python.build_lock().map(str::to_owned));
    }
    for step in workspace.manifests.values().flat_map(|manifest| &manifest.steps) {
        files.extend(step.inputs.iter().filter_map(|input| match input {
            StepInput::Crates { lock, .. } => Some(lock.clone()),
            StepInput::Files { .. } | StepInput::Step { .. } => None,
        }));
    }
    Ok(files)
}
