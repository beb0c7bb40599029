//! Upstream sources: brought from git, held against their lock, and made into trees.

use crate::environment::{Context, EngineSlot};
use crate::source::{globs, link_stays_inside};
use crate::workspace::{artifacts_of, read_workspace};
use crate::{BuildError, Environment, Event, Events};
use kiln_fetch::{FetchError, GitObject, Reference, Repository};
use kiln_plan::{
    ARTIFACT_LOCK_FORMAT, ArtifactLockFile, LockedUpstream, Manifest, Problem, UpstreamSection,
    artifact_lock_path,
};
use kiln_record::{ArtifactName, Digest, Entry, Mode, Tree, TreePath};
use kiln_store::write_atomically;
use std::collections::BTreeSet;
use std::path::Path;

/// The first line of a file that stands for a large one kept elsewhere (Git LFS specification, "The Pointer").
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The kind of cache value: the entries of a tree by the tree's digest.
const CACHE: &str = "upstream-tree";

/// An upstream source whose content is in the store.
#[derive(Clone, Debug)]
pub(crate) struct ReadyUpstream {
    pub(crate) section: UpstreamSection,
    pub(crate) locked: LockedUpstream,
    /// The files that the manifest takes.
    pub(crate) tree: Tree,
}

/// What locking an upstream source told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLock {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The source.
    pub name: String,
    /// The lock, relative to the workspace.
    pub file: String,
    /// The revision that the manifest names.
    pub revision: String,
    /// The commit before, if there was a usable pin.
    pub before: Option<String>,
    /// The commit that is locked now.
    pub after: String,
    /// What the revision means at the repository now, where that is not what stays locked.
    pub moved_to: Option<String>,
    /// How many files the folder has.
    pub files: usize,
    /// Whether the lock differs from the one that was there.
    pub differs: bool,
    /// Whether it was written.
    pub written: bool,
}

/// What to lock.
#[derive(Clone, Debug, Default)]
pub struct UpstreamLockRequest {
    /// The artifacts; those without upstream sources have nothing to lock.
    pub artifacts: Vec<ArtifactName>,
    /// Whether tags and branches may move; else what is locked stays, and is compared with what they mean now.
    pub upgrade: bool,
    /// Whether only to say what would be written.
    pub check: bool,
}

/// Locks the upstream sources of artifacts: which commit each revision is, and what its folder holds.
///
/// # Errors
/// The first source that cannot be had or used. The lock of its artifact is then as it was.
pub async fn lock_upstreams(
    environment: &Environment,
    request: &UpstreamLockRequest,
    events: &Events,
) -> Result<Vec<UpstreamLock>, BuildError> {
    let lock = crate::build::lock(environment, events).await?;
    let workspace = read_workspace(&environment.root)?;
    let context = Context::new(environment, events, EngineSlot::default(), lock)?;
    let mut reports = Vec::new();
    let mut done = BTreeSet::new();
    for name in &artifacts_of(&workspace, &request.artifacts) {
        let Some(manifest) = workspace.manifests.get(name).filter(|m| !m.upstreams.is_empty()) else {
            continue;
        };
        // One lock is for all platforms of an image.
        let name = manifest.stated_name();
        if !done.insert(name) {
            continue;
        }
        let there = workspace.artifact_locks.get(name);
        reports.extend(lock_one(&context, manifest, there, request).await?);
    }
    Ok(reports)
}

async fn lock_one(
    context: &Context,
    manifest: &Manifest,
    there: Option<&ArtifactLockFile>,
    request: &UpstreamLockRequest,
) -> Result<Vec<UpstreamLock>, BuildError> {
    let file = artifact_lock_path(manifest.stated_name());
    let mut reports = Vec::new();
    let mut locked = Vec::new();
    for section in &manifest.upstreams {
        let name = format!("{} {}", section.name, section.revision);
        context.events.send(Event::Locking { subject: name, activity: "resolve" });
        let before = there.into_iter().flat_map(|lock| &lock.upstream).find(|l| l.name == section.name);
        let usable = before.filter(|locked| section.is_locked_by(locked));
        let repository = Repository::new(&section.git);
        let now = repository.resolve(&section.revision).await.map_err(|e| of(manifest, section, e.into()))?;
        let stays = usable.filter(|_| !request.upgrade || now.reference == Reference::Commit);
        let commit = stays.map_or_else(|| now.id.clone(), |locked| locked.commit.clone());
        let tree = bring(context, section, &commit, now.name.as_deref())
            .await
            .map_err(|e| of(manifest, section, e))?;
        taken(section, &tree, manifest)?;
        let entry = match usable.filter(|locked| locked.commit == commit) {
            // What has not moved keeps its pin time, and with it the artifact's epoch.
            Some(locked) if locked.tree == tree.digest() => locked.clone(),
            Some(locked) => return Err(differs(manifest, section, locked, &tree)),
            None => LockedUpstream {
                name: section.name.clone(),
                git: section.git.clone(),
                revision: section.revision.clone(),
                folder: section.folder.clone(),
                commit: commit.clone(),
                tree: tree.digest(),
                pinned: context.environment.source_date_epoch.unwrap_or(context.environment.now),
            },
        };
        reports.push(UpstreamLock {
            artifact: manifest.stated_name().clone(),
            name: section.name.clone(),
            file: file.clone(),
            revision: section.revision.clone(),
            before: before.map(|locked| locked.commit.clone()),
            moved_to: (now.id != commit).then_some(now.id),
            after: commit,
            files: tree.len(),
            differs: false,
            written: false,
        });
        locked.push(entry);
    }
    let lock = ArtifactLockFile {
        format: ARTIFACT_LOCK_FORMAT,
        artifact: manifest.stated_name().clone(),
        upstream: locked,
    };
    let differs = there != Some(&lock);
    if differs && !request.check {
        context.go_on()?;
        let text = lock.to_toml().map_err(std::io::Error::other)?;
        write_atomically(&context.environment.root.join(&file), text.as_bytes())?;
    }
    for report in &mut reports {
        report.differs = differs;
        report.written = differs && !request.check;
    }
    Ok(reports)
}

/// Brings the upstream sources of an artifact, as its lock names them.
pub(crate) async fn bring_all(
    context: &Context,
    manifest: &Manifest,
    locked: &[LockedUpstream],
) -> Result<Vec<ReadyUpstream>, BuildError> {
    let mut ready = Vec::new();
    for (section, locked) in manifest.upstreams.iter().zip(locked) {
        let tree = match known(context, &locked.tree)? {
            Some(tree) => tree,
            None => {
                bring(context, section, &locked.commit, None).await.map_err(|e| of(manifest, section, e))?
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
fn of(manifest: &Manifest, section: &UpstreamSection, error: BuildError) -> BuildError {
    match error {
        BuildError::Fetch(source) => BuildError::Upstream {
            file: manifest.file.clone(),
            name: section.name.clone(),
            source: Box::new(source),
        },
        other => other,
    }
}

/// A commit has one content: another one is a repository that lies, or a lock that was edited.
fn differs(
    manifest: &Manifest,
    section: &UpstreamSection,
    locked: &LockedUpstream,
    tree: &Tree,
) -> BuildError {
    BuildError::UpstreamDiffers {
        name: section.name.as_str().into(),
        lock: artifact_lock_path(manifest.stated_name()).into(),
        commit: locked.commit.as_str().into(),
        expected: locked.tree,
        found: tree.digest(),
    }
}

/// The tree that an earlier run stored, if the store still has all of it.
fn known(context: &Context, digest: &Digest) -> Result<Option<Tree>, BuildError> {
    let Some(entries) = context.store.cache_get::<Vec<(TreePath, Entry)>>(CACHE, digest)? else {
        return Ok(None);
    };
    let mut tree = Tree::new();
    for (path, entry) in entries {
        let is_there = match &entry {
            Entry::File { digest, .. } => context.store.contains(digest),
            Entry::Symlink { .. } => true,
        };
        if !is_there || tree.insert(path, entry).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(tree))
}

/// Brings a commit's folder into the store.
async fn bring(
    context: &Context,
    section: &UpstreamSection,
    commit: &str,
    name: Option<&str>,
) -> Result<Tree, BuildError> {
    let label = format!("{} ({})", section.name, &commit[..commit.len().min(12)]);
    context.events.send(Event::DownloadStarted { file: label.clone(), size: None });
    let folder = context.store.temporary_folder()?;
    let outcome = bring_into(context, section, commit, name, folder.path()).await;
    context.events.send(Event::DownloadEnded { file: label });
    let tree = outcome?;
    let entries: Vec<(&TreePath, &Entry)> = tree.iter().collect();
    context.store.cache_put(CACHE, &tree.digest(), &entries)?;
    Ok(tree)
}

async fn bring_into(
    context: &Context,
    section: &UpstreamSection,
    commit: &str,
    name: Option<&str>,
    scratch: &Path,
) -> Result<Tree, BuildError> {
    let repository = Repository::new(&section.git);
    repository.fetch(commit, name, scratch).await?;
    let files = repository.files(commit, section.folder.as_deref(), scratch).await?;
    let refuse = |why: String| {
        BuildError::Fetch(FetchError::NotInRepository {
            url: section.git.clone(),
            why: format!("commit {commit}: {why}"),
        })
    };
    let mut read: Vec<(GitObject, Vec<u8>)> = Vec::new();
    let mut tree = Tree::new();
    let mut pending = 0;
    // Stored in batches: a store write is a rename each, and the whole folder need not be in memory.
    let flush = |read: &mut Vec<(GitObject, Vec<u8>)>, tree: &mut Tree| -> Result<(), BuildError> {
        let contents: Vec<&Vec<u8>> = read.iter().map(|(_, content)| content).collect();
        let digests = context.store.put_all(&contents)?;
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
        .read(&files, scratch, |file, content| -> Result<(), BuildError> {
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
fn taken(section: &UpstreamSection, tree: &Tree, manifest: &Manifest) -> Result<Tree, BuildError> {
    let problem = |message: String| {
        BuildError::Input(vec![
            Problem::in_file(&manifest.file, format!("upstream `{}`: {message}", section.name))
                .help("check `folder`, `include` and `exclude`"),
        ])
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
