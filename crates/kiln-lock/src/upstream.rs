//! `kiln lock` for upstream sources: which commit each revision is, and what its folder holds.

use crate::LockError;
use crate::base::days_since;
use kiln_fetch::{Reference, Repository};
use kiln_guest::{Bases, EngineSlot};
use kiln_invocation::{Environment, Event, Events, Network, artifacts_of, lock, read_workspace};
use kiln_plan::{
    ARTIFACT_LOCK_FORMAT, ArtifactLockFile, InvalidFiles, LockedUpstream, Manifest, Workspace,
    artifact_lock_path,
};
use kiln_record::{ArtifactName, Defect};
use kiln_step::upstream::{bring, differs, of, taken};
use kiln_store::write_atomically;
use std::collections::BTreeSet;

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
) -> Result<Vec<UpstreamLock>, LockError> {
    let lock = lock(environment, events).await?;
    let workspace = read_workspace(&environment.root)?;
    let bases = Bases::open(environment, events, EngineSlot::default(), lock)?;
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
        reports.extend(lock_one(bases.network(), &workspace, manifest, there, request).await?);
    }
    Ok(reports)
}

async fn lock_one(
    network: &Network,
    workspace: &Workspace,
    manifest: &Manifest,
    there: Option<&ArtifactLockFile>,
    request: &UpstreamLockRequest,
) -> Result<Vec<UpstreamLock>, LockError> {
    let file = artifact_lock_path(manifest.stated_name());
    let mut reports = Vec::new();
    let mut locked = Vec::new();
    let now_pinned = network.run().source_date_epoch().unwrap_or(network.run().now());
    for section in &manifest.upstreams {
        let name = format!("{} {}", section.name, section.revision);
        network.run().tell(Event::Locking { subject: name, activity: "resolve" });
        let before = there.into_iter().flat_map(|lock| &lock.upstream).find(|l| l.name == section.name);
        let usable = before.filter(|locked| section.is_locked_by(locked));
        let repository = Repository::new(&section.git);
        let now = repository.resolve(&section.revision).await.map_err(|e| of(manifest, section, e.into()))?;
        let stays = usable.filter(|_| !request.upgrade || now.reference == Reference::Commit);
        let commit = stays.map_or_else(|| now.id.clone(), |locked| locked.commit.clone());
        let tree = bring(network, section, &commit, now.name.as_deref())
            .await
            .map_err(|e| of(manifest, section, e))?;
        taken(section, &tree, manifest)?;
        let entry = match usable.filter(|locked| locked.commit == commit) {
            // What has not moved keeps its pin time, and with it the artifact's epoch.
            Some(locked) if locked.tree == tree.digest() => {
                let what = format!("upstream source {}", section.name);
                let command = format!("kiln lock {} --upgrade", manifest.stated_name());
                let days = days_since(locked.pinned, network.run().now());
                let young = workspace.settings.trust.age(&what, days, &command);
                match (young, request.upgrade) {
                    (Ok(()), _) => locked.clone(),
                    // It was asked about today.
                    (Err(_), true) => LockedUpstream { pinned: now_pinned, ..locked.clone() },
                    (Err(problem), false) => return Err(InvalidFiles::from(problem).into()),
                }
            }
            Some(locked) => return Err(differs(manifest, section, locked, &tree).into()),
            None => LockedUpstream {
                name: section.name.clone(),
                git: section.git.clone(),
                revision: section.revision.clone(),
                folder: section.folder.clone(),
                commit: commit.clone(),
                tree: tree.digest(),
                pinned: now_pinned,
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
        network.run().go_on()?;
        let text = lock.to_toml().map_err(|error| Defect::new(error.to_string()))?;
        write_atomically(&network.run().root().join(&file), text.as_bytes())?;
    }
    for report in &mut reports {
        report.differs = differs;
        report.written = differs && !request.check;
    }
    Ok(reports)
}
