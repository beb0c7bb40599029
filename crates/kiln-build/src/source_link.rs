//! The commit that a build is of: what git has of the files that the build read, told once for each run.

use crate::prepare::Prepared;
use kiln_fetch::{Checkout, StoredFile};
use kiln_plan::{StepInput, TOOLS_LOCK, artifact_lock_path};
use kiln_record::{InputRole, excerpt};
use kiln_store::{SourceCommit, SourceLink};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The checkout that a workspace is in. git is asked when the first build is entered, and once.
pub(crate) struct SourceLinks {
    root: PathBuf,
    known: OnceLock<Result<Known, String>>,
}

/// What git says of the workspace.
struct Known {
    checkout: Checkout,
    repository: Option<String>,
    commit: String,
    tags: Vec<String>,
    /// The workspace's folder in the repository; empty for its root.
    within: String,
    /// The files of that folder in the commit.
    files: BTreeMap<String, StoredFile>,
}

/// The files of the workspace that an artifact was made of, as paths in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilesRead {
    /// Its own source, and what its steps were given.
    sources: BTreeSet<String>,
    /// The folders that its own source and what its steps were given were taken from.
    folders: BTreeSet<String>,
    /// What states how it is made: manifest, settings, definitions, locks.
    stated: BTreeSet<String>,
}

impl FilesRead {
    pub(crate) fn of(prepared: &Prepared, root: &Path) -> Self {
        let (plan, files) = (&prepared.plan, &prepared.files);
        let inside = |path: &Path| path.strip_prefix(root).ok().and_then(Path::to_str).map(str::to_owned);
        let own = files.own.iter().flat_map(|source| source.files.values());
        // A step may be given one file instead of a folder; what it takes of that is a file that was read.
        let given =
            plan.manifest.steps.iter().flat_map(|step| &step.inputs).filter_map(|input| match input {
                StepInput::Files { source, .. } => Some(source.path.clone()),
                StepInput::Crates { .. } | StepInput::Step { .. } => None,
            });
        let folders = plan.manifest.sources.iter().map(|section| section.path.clone()).chain(given);
        let mut stated = BTreeSet::from(["kiln.toml".to_owned(), plan.manifest.file.clone()]);
        for input in &plan.inputs {
            match input.role {
                InputRole::Lock
                | InputRole::Project
                | InputRole::Check
                | InputRole::BuildLock
                | InputRole::Dockerfile => {
                    stated.insert(input.name.clone());
                }
                InputRole::Base | InputRole::BuildBase | InputRole::StepBase => {
                    // They are named with their platform.
                    let name = input.name.split(' ').next().unwrap_or_default();
                    stated.extend(["toml", "lock"].map(|ending| format!("images/{name}.{ending}")));
                }
                _ => {}
            }
        }
        if !plan.crates.is_empty() {
            stated.insert(TOOLS_LOCK.to_owned());
        }
        if !plan.upstreams.is_empty() {
            stated.insert(artifact_lock_path(plan.manifest.stated_name()));
        }
        stated.retain(|path| root.join(path).is_file());
        Self {
            sources: own.chain(files.steps.files()).filter_map(|path| inside(path)).collect(),
            folders: folders.filter(|path| root.join(path).is_dir()).collect(),
            stated,
        }
    }
}

impl SourceLinks {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: OnceLock::new() }
    }

    /// What git knows of these files.
    pub(crate) fn link(&self, read: &FilesRead) -> SourceLink {
        let known = match self.known.get_or_init(|| Known::of(&self.root)) {
            Ok(known) => known,
            Err(reason) => return SourceLink::Unknown { reason: reason.clone() },
        };
        let is_as_stored = |path: &String| {
            let stored = known.files.get(&known.in_repository(path));
            stored.is_some_and(|stored| stored.is(&self.root.join(path)))
        };
        // What the commit has in a source folder and the disk has not.
        let gone = read.folders.iter().flat_map(|folder| {
            let prefix = match folder.as_str() {
                "." => known.in_repository(""),
                folder => format!("{}/", known.in_repository(folder)),
            };
            let below =
                known.files.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix));
            below.filter_map(|(path, _)| path.get(known.in_repository("").len()..).map(str::to_owned))
        });
        let mut changed: BTreeSet<String> =
            gone.filter(|path| self.root.join(path).symlink_metadata().is_err()).collect();
        changed.extend(read.sources.iter().filter(|path| !is_as_stored(path)).cloned());
        let source_is_committed = changed.is_empty();
        changed.extend(read.stated.iter().filter(|path| !is_as_stored(path)).cloned());
        let mut trees = BTreeMap::new();
        for folder in &read.folders {
            let place = known.in_repository(if folder == "." { "" } else { folder });
            match known.checkout.tree(&known.commit, place.trim_end_matches('/')) {
                Ok(Some(tree)) => drop(trees.insert(folder.clone(), tree)),
                Ok(None) => {}
                Err(reason) => return SourceLink::Unknown { reason },
            }
        }
        SourceLink::Commit(SourceCommit {
            repository: known.repository.clone(),
            commit: known.commit.clone(),
            tags: known.tags.clone(),
            workspace: if known.within.is_empty() { ".".to_owned() } else { known.within.clone() },
            trees,
            source_is_committed,
            changed: changed.len() as u64,
            changed_paths: changed.iter().take(SourceCommit::SHOWN_PATHS).map(|path| excerpt(path)).collect(),
        })
    }
}

impl Known {
    fn of(root: &Path) -> Result<Self, String> {
        let checkout =
            Checkout::around(root).ok_or_else(|| "the workspace is in no git repository".to_owned())?;
        let within = root.strip_prefix(checkout.root()).ok().and_then(Path::to_str);
        let within = within.ok_or("the workspace's path is not UTF-8")?.to_owned();
        let commit = checkout.commit()?;
        let (tags, repository) = (checkout.tags(&commit)?, checkout.remote()?);
        let files = checkout.files(&commit, &within)?;
        Ok(Self { checkout, repository, commit, tags, within, files })
    }

    /// A path of the workspace as the repository has it; of the workspace itself, what its paths begin with.
    fn in_repository(&self, path: &str) -> String {
        match self.within.as_str() {
            "" => path.to_owned(),
            within => format!("{within}/{path}"),
        }
    }
}
