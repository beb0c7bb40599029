//! `kiln pins --check`: what is upstream of each pin now. Nothing is written, and no package or image is downloaded.

use crate::base::{BaseMove, package_moves, resolve_debian};
use crate::pins::PinnedThing;
use crate::registry_image::RegistryImage;
use crate::tool::{UV, any_index, newest, read_tools};
use crate::{LockError, UpstreamLock, UpstreamLockRequest, lock_upstreams};
use kiln_guest::{Bases, EngineSlot};
use kiln_invocation::{Environment, Events, lock, read_workspace};
use kiln_plan::{BaseDefinition, BaseKind, BaseLock};
use kiln_record::{ArtifactName, BaseName};
use std::collections::BTreeSet;

/// What is upstream of one pin.
#[derive(Debug)]
pub struct Newer {
    /// What sort of thing is pinned.
    pub thing: PinnedThing,
    /// Its name in the workspace.
    pub name: String,
    /// What would move, or why that could not be told.
    pub moves: Result<Vec<Move>, LockError>,
    /// The command that moves it.
    pub command: String,
}

/// One thing that would move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What: a package with its platform, `image`, a version, a revision.
    pub what: String,
    /// What is pinned; absent if it would be new.
    pub before: Option<String>,
    /// What is there now; absent if it would be gone.
    pub after: Option<String>,
    /// Bytes that moving would bring, where that is known beforehand.
    pub bytes: Option<u64>,
}

/// Of which pins to ask.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The bases; all of them if absent.
    pub bases: Option<BTreeSet<BaseName>>,
    /// Whether of tools, too.
    pub tools: bool,
}

/// Asks what is upstream of the bases and tools that are pinned. What cannot be asked of one pin keeps the others from nothing.
///
/// # Errors
/// What concerns all of them: the workspace cannot be read.
pub async fn newer(
    environment: &Environment,
    wanted: &Wanted,
    events: &Events,
    engine: EngineSlot,
) -> Result<Vec<Newer>, LockError> {
    let lock = lock(environment, events).await?;
    let workspace = read_workspace(&environment.root)?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let mut all = Vec::new();
    for (name, (definition, lock)) in &workspace.bases {
        // What a Dockerfile pins by a digest follows nothing.
        let Some(lock) = lock.as_ref().filter(|_| definition.file.starts_with("images/")) else { continue };
        if !wanted.bases.as_ref().is_none_or(|bases| bases.contains(name)) {
            continue;
        }
        all.push(Newer {
            thing: PinnedThing::Base,
            name: name.to_string(),
            moves: of_base(&bases, definition, lock).await,
            command: format!("kiln lock --base {name}"),
        });
    }
    if wanted.tools
        && let Some(tool) = read_tools(&environment.root)?.and_then(|mut lock| lock.tool.remove(UV))
    {
        let there = async { newest(&bases, &any_index(&bases).await?).await };
        all.push(Newer {
            thing: PinnedThing::Tool,
            name: UV.to_owned(),
            moves: there.await.map(|there| moved("version", &tool.version, &there)),
            command: "kiln lock --tools".to_owned(),
        });
    }
    Ok(all)
}

/// The same of the upstream sources of an artifact: what their revisions mean now.
///
/// # Errors
/// As [`newer`].
pub async fn newer_upstreams(
    environment: &Environment,
    artifact: &ArtifactName,
    events: &Events,
) -> Result<Vec<Newer>, LockError> {
    let request = UpstreamLockRequest { artifacts: vec![artifact.clone()], upgrade: true, check: true };
    let locks = lock_upstreams(environment, &request, events).await?;
    let one = |lock: UpstreamLock| Newer {
        thing: PinnedThing::Upstream,
        name: format!("{}/{}", lock.artifact, lock.name),
        moves: Ok(match &lock.before {
            Some(before) => moved(&lock.revision, before, &lock.after),
            None => vec![Move { what: lock.revision, before: None, after: Some(lock.after), bytes: None }],
        }),
        command: format!("kiln lock {} --upgrade", lock.artifact),
    };
    Ok(locks.into_iter().map(one).collect())
}

fn moved(what: &str, before: &str, after: &str) -> Vec<Move> {
    let is_same = before == after;
    let (before, after) = (Some(before.to_owned()), Some(after.to_owned()));
    let moved = Move { what: what.to_owned(), before, after, bytes: None };
    if is_same { Vec::new() } else { vec![moved] }
}

async fn of_base(
    bases: &Bases,
    definition: &BaseDefinition,
    lock: &BaseLock,
) -> Result<Vec<Move>, LockError> {
    let mut all = Vec::new();
    match &definition.kind {
        BaseKind::Debian(debian) => {
            for platform in &definition.platforms {
                let there = lock.platform.get(platform);
                let release = there.and_then(|lock| lock.release.as_ref());
                let now = resolve_debian(bases, definition, debian, None, *platform, release).await?.packages;
                let was = there.map(|lock| lock.packages.as_slice()).unwrap_or_default();
                let known: BTreeSet<_> = was.iter().map(|package| package.digest).collect();
                for BaseMove { what, before, after, .. } in package_moves(*platform, was, &now) {
                    let new = now.iter().find(|package| package.name == what);
                    let bytes = new.filter(|new| !known.contains(&new.digest)).map(|new| new.size);
                    all.push(Move { what: format!("{what} {platform}"), before, after, bytes });
                }
            }
        }
        BaseKind::Registry(registry) => {
            let image = RegistryImage::of(bases, definition, registry).await?;
            for platform in &definition.platforms {
                let now = image.lock(*platform).await?.manifest.to_string();
                let what = format!("image {platform}");
                match lock.platform.get(platform) {
                    Some(was) => all.extend(moved(&what, &was.manifest.to_string(), &now)),
                    None => all.push(Move { what, before: None, after: Some(now), bytes: None }),
                }
            }
        }
        BaseKind::Scratch => {}
    }
    Ok(all)
}
