//! Upstream sources: brought from git, held against their lock, and made into trees.

use crate::StepError;
use kiln_collect::{BroughtBy, Part, component, globs, link_stays_inside};
use kiln_fetch::{FetchError, GitObject, Repository};
use kiln_invocation::{Event, Network};
use kiln_plan::{InvalidFiles, LockedUpstream, Manifest, Problem, UpstreamSection, artifact_lock_path};
use kiln_record::{Component, ComponentId, Digest, Ecosystem, Entry, Mode, Tree, TreePath, Upstream};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::path::Path;

/// The first line of a file that stands for a large one kept elsewhere (Git LFS specification, "The Pointer").
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The kind of cache value: the entries of a tree by the tree's digest.
pub const CACHE: &str = "upstream-tree";

/// An upstream source whose content is in the store.
#[derive(Clone, Debug)]
pub struct ReadyUpstream {
    /// What the manifest says of it.
    pub section: UpstreamSection,
    /// What its lock says of it.
    pub locked: LockedUpstream,
    /// The files that the manifest takes.
    pub tree: Tree,
}

impl ReadyUpstream {
    /// What the artifact takes of it, below the folder that its manifest says.
    #[must_use]
    pub fn part(&self, manifest: &Manifest) -> Part {
        let name = self.section.name.as_str();
        let id = ComponentId::new(Ecosystem::Application, name);
        let locked = &self.locked;
        let component = Component {
            // The commit, since a tag can be moved.
            version: Some(locked.commit.clone()),
            upstream: Some(Upstream {
                git: locked.git.clone(),
                revision: locked.revision.clone(),
                commit: locked.commit.clone(),
                folder: locked.folder.clone(),
            }),
            ..component(id, Ecosystem::Application, name)
        };
        let into = manifest.own_folder(self.section.into.as_deref());
        Part::own(component, BroughtBy::Upstream, &self.tree, &BTreeMap::new(), into)
    }
}

/// Brings the upstream sources of an artifact, as its lock names them.
pub async fn bring_all(
    network: &Network,
    manifest: &Manifest,
    locked: &[LockedUpstream],
) -> Result<Vec<ReadyUpstream>, StepError> {
    let mut ready = Vec::new();
    for (section, locked) in manifest.upstreams.iter().zip(locked) {
        let tree = match known(network.store(), &locked.tree)? {
            Some(tree) => tree,
            None => {
                bring(network, section, &locked.commit, None).await.map_err(|e| of(manifest, section, e))?
            }
        };
        if tree.digest() != locked.tree {
            return Err(differs(manifest, section, locked, &tree));
        }
        let tree = taken(section, &tree, manifest)?;
        ready.push(ReadyUpstream { section: section.clone(), locked: locked.clone(), tree });
    }
    Ok(ready)
}

/// What a repository did, with the section of the manifest that it is about.
pub fn of(manifest: &Manifest, section: &UpstreamSection, error: StepError) -> StepError {
    match error {
        StepError::Fetch(source) => StepError::Upstream {
            file: manifest.file.clone(),
            name: section.name.clone(),
            source: Box::new(source),
        },
        other => other,
    }
}

/// A commit has one content: another one is a repository that lies, or a lock that was edited.
pub fn differs(
    manifest: &Manifest,
    section: &UpstreamSection,
    locked: &LockedUpstream,
    tree: &Tree,
) -> StepError {
    StepError::UpstreamDiffers {
        name: section.name.as_str().into(),
        lock: artifact_lock_path(manifest.stated_name()).into(),
        commit: locked.commit.as_str().into(),
        expected: locked.tree,
        found: tree.digest(),
    }
}

/// The tree that an earlier run stored, if the store still has all of it.
///
/// # Errors
/// If the store cannot be read.
pub fn known(store: &Store, digest: &Digest) -> Result<Option<Tree>, StepError> {
    let Some(entries) = store.cache_get::<Vec<(TreePath, Entry)>>(CACHE, digest)? else {
        return Ok(None);
    };
    let mut tree = Tree::new();
    for (path, entry) in entries {
        let is_there = match &entry {
            Entry::File { digest, .. } => store.contains(digest),
            Entry::Symlink { .. } => true,
        };
        if !is_there || tree.insert(path, entry).is_err() {
            return Ok(None);
        }
    }
    // What is remembered may have come from elsewhere.
    Ok(Some(tree).filter(|tree| tree.digest() == *digest))
}

/// Brings a commit's folder into the store.
pub async fn bring(
    network: &Network,
    section: &UpstreamSection,
    commit: &str,
    name: Option<&str>,
) -> Result<Tree, StepError> {
    let label = format!("{} ({})", section.name, &commit[..commit.len().min(12)]);
    network.may_ask(|| format!("the upstream source {label}"))?;
    network.run().tell(Event::DownloadStarted { file: label.clone(), size: None });
    let folder = network.store().temporary_folder()?;
    let outcome = bring_into(network, section, commit, name, folder.path()).await;
    network.run().tell(Event::DownloadEnded { file: label });
    let tree = outcome?;
    let entries: Vec<(&TreePath, &Entry)> = tree.iter().collect();
    network.store().cache_put(CACHE, &tree.digest(), &entries)?;
    Ok(tree)
}

async fn bring_into(
    network: &Network,
    section: &UpstreamSection,
    commit: &str,
    name: Option<&str>,
    scratch: &Path,
) -> Result<Tree, StepError> {
    let repository = Repository::new(&section.git);
    repository.fetch(commit, name, scratch).await?;
    let files = repository.files(commit, section.folder.as_deref(), scratch).await?;
    let refuse = |why: String| {
        StepError::Fetch(FetchError::NotInRepository {
            url: section.git.clone(),
            why: format!("commit {commit}: {why}"),
        })
    };
    let mut read: Vec<(GitObject, Vec<u8>)> = Vec::new();
    let mut tree = Tree::new();
    let mut pending = 0;
    // Stored in batches: a store write is a rename each, and the whole folder need not be in memory.
    let flush = |read: &mut Vec<(GitObject, Vec<u8>)>, tree: &mut Tree| -> Result<(), StepError> {
        let contents: Vec<&Vec<u8>> = read.iter().map(|(_, content)| content).collect();
        let digests = network.store().put_all(&contents)?;
        for ((file, content), digest) in read.drain(..).zip(digests) {
            let path = TreePath::new(&file.path).map_err(|error| refuse(error.to_string()))?;
            let mode = if file.executable { Mode::Executable } else { Mode::Plain };
            let size = content.len() as u64;
            tree.insert(path, Entry::File { digest, size, mode })
                .map_err(|error| refuse(error.to_string()))?;
        }
        Ok(())
    };
    let mut links = Vec::new();
    repository
        .read(&files, scratch, |file, content| -> Result<(), StepError> {
            if content.starts_with(LFS_POINTER) {
                return Err(refuse(format!(
                    "`{}` is a pointer to a file that Git LFS keeps elsewhere, which kiln does not fetch",
                    file.path
                )));
            }
            if file.link {
                links.push((file.path.clone(), content));
                return Ok(());
            }
            pending += content.len();
            read.push((file.clone(), content));
            if pending > 64 << 20 || read.len() >= 4096 {
                pending = 0;
                flush(&mut read, &mut tree)?;
            }
            Ok(())
        })
        .await?;
    flush(&mut read, &mut tree)?;
    for (path, target) in links {
        let target = String::from_utf8(target)
            .map_err(|_| refuse(format!("the link {path} has a target that is not UTF-8")))?;
        link_stays_inside(&path, &target).map_err(&refuse)?;
        let path = TreePath::new(&path).map_err(|error| refuse(error.to_string()))?;
        tree.insert(path, Entry::Symlink { target }).map_err(|error| refuse(error.to_string()))?;
    }
    Ok(tree)
}

/// What the manifest takes of a tree.
pub fn taken(section: &UpstreamSection, tree: &Tree, manifest: &Manifest) -> Result<Tree, StepError> {
    let problem = |message: String| {
        InvalidFiles(vec![
            Problem::in_file(&manifest.file, format!("upstream `{}`: {message}", section.name))
                .help("check `folder`, `include` and `exclude`"),
        ])
        .into()
    };
    let include = globs(&section.include).map_err(problem)?;
    let exclude = globs(&section.exclude).map_err(problem)?;
    let mut chosen = Tree::new();
    for (path, entry) in tree.iter() {
        if include.is_match(path.as_str()) && !exclude.is_match(path.as_str()) {
            chosen.insert(path.clone(), entry.clone()).map_err(|error| problem(error.to_string()))?;
        }
    }
    if chosen.is_empty() {
        return Err(problem("it takes no file".to_owned()));
    }
    Ok(chosen)
}
