//! `kiln lock --base`: moves a base's pin to what its source has now, and says what moved.

use crate::new_base::{NewBase, WantedBase};
use crate::registry_image::RegistryImage;
use crate::{LockError, freshness};
use fs_err as fs;
use kiln_fetch::{Archive, Client, FetchError, SuiteFile};
use kiln_guest::{Bases, EngineSlot, archive, assemble};
use kiln_image::ImageError;
use kiln_image::debian::{Keyring, PackageIndex, Release, decompress_xz, resolve, verify_cleartext};
use kiln_invocation::{
    Environment, Event, Events, InvocationError, blocking, lock, read_workspace_for_locking, text_file,
};
use kiln_plan::{
    BASE_LOCK_FORMAT, BaseDefinition, BaseKind, BaseLock, DebianDefinition, DebianRelease, InvalidFiles,
    LockedPackage, PlatformLock, Problem, TextFile, line_of_key,
};
use kiln_record::{BaseName, Defect, Digest, Epoch, Platform, Runtime};
use kiln_store::write_atomically;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Unpacked package indexes of Debian's `main` have about 60 MB.
const INDEX_LIMIT: u64 = 512 << 20;

/// What locking a base told.
#[derive(Clone, Debug)]
pub struct LockReport {
    /// The base.
    pub base: BaseName,
    /// The files that state it, where this run wrote them: the definition, and the keys that it names.
    pub made: Vec<String>,
    /// The lock, relative to the workspace.
    pub file: String,
    /// Whether the lock was written: it is left alone where nothing moved.
    pub written: bool,
    /// Whether it was written for its date alone: nothing moved, and the pin was older than the workspace allows.
    pub renewed: bool,
    /// What moved, for each platform.
    pub moves: Vec<BaseMove>,
    /// What should be known about the pin, such as that the age of its release was not judged.
    pub remarks: Vec<String>,
}

/// One thing that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseMove {
    /// The platform.
    pub platform: Platform,
    /// What: `image`, or a package's name.
    pub what: String,
    /// Its digest or version before; absent if it is new.
    pub before: Option<String>,
    /// Its digest or version now; absent if it is gone.
    pub after: Option<String>,
}

impl BaseMove {
    /// One line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { platform, what, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => format!("{what} {before} → {after} ({platform})"),
            (None, after) => format!("{what} + {} ({platform})", after.as_deref().unwrap_or_default()),
            (Some(before), None) => format!("{what} - {before} ({platform})"),
        }
    }
}

/// Pins a base. One that is not stated yet is made for what is wanted: its definition is written once it is pinned.
///
/// # Errors
/// Where the source cannot be reached or is not to be believed. The lock is then as it was.
pub async fn lock_base(
    environment: &Environment,
    name: &BaseName,
    wanted: Option<&WantedBase>,
    events: &Events,
    engine: EngineSlot,
) -> Result<LockReport, LockError> {
    let lock = lock(environment, events).await?;
    let workspace = read_workspace_for_locking(&environment.root, name.as_str())?;
    let mut remarks = Vec::new();
    let stated = workspace.bases.get(name);
    let new = match wanted.filter(|_| stated.is_none()) {
        Some(wanted) => Some(NewBase::of(name, wanted, &workspace.settings)?),
        None => None,
    };
    let (definition, before, keys) = match (stated, &new) {
        (Some((definition, before)), _) => {
            remarks.extend(wanted.and_then(|wanted| kept(definition, wanted)));
            (definition, before.as_ref(), None)
        }
        (None, Some(new)) => (&new.definition, None, new.keys()),
        (None, None) => {
            return Err(InvocationError::Unknown {
                kind: "base",
                name: name.to_string(),
                known: workspace.bases.keys().map(ToString::to_string).collect(),
            }
            .into());
        }
    };
    let bases = Bases::open(environment, events, engine, lock)?;

    let mut platforms = BTreeMap::new();
    let in_registry = match &definition.kind {
        BaseKind::Registry(registry) => Some(RegistryImage::of(&bases, definition, registry).await?),
        BaseKind::Debian(_) | BaseKind::Scratch => None,
    };
    for platform in &definition.platforms {
        let facts = match (&definition.kind, &in_registry) {
            (BaseKind::Debian(debian), _) => {
                if debian.frozen && remarks.is_empty() {
                    let suite = &debian.suite;
                    remarks
                        .push(format!("`frozen` is set: how old the release of {suite} is was not judged"));
                }
                let locked = before.as_ref().and_then(|lock| lock.platform.get(platform));
                lock_debian(&bases, definition, debian, keys, *platform, locked).await?
            }
            (_, Some(image)) => image.lock(*platform).await?,
            // No definition says that; only Dockerfiles do.
            (_, None) => return Err(Defect::new(format!("base `{name}` is `scratch`")).into()),
        };
        platforms.insert(*platform, facts);
    }
    let file = format!("images/{name}.lock");
    let after = BaseLock {
        format: BASE_LOCK_FORMAT,
        base: name.clone(),
        definition: definition.digest,
        pinned: environment.source_date_epoch.unwrap_or(environment.now),
        command: format!("kiln lock --base {name}"),
        platform: platforms,
    };
    let moves = moves(before, &after);
    // A lock in which nothing moved keeps its pin time, and with it every artifact's epoch. A release that was only
    // signed anew moves nothing.
    let moved = !moves.is_empty() || before.is_none_or(|before| before.definition != after.definition);
    // But where the workspace says how old pins may be, one that was asked about today is of today.
    let renewed = !moved
        && before.is_some_and(|before| {
            let days = days_since(before.pinned, environment.now);
            let review = definition.review.or(workspace.settings.review);
            workspace.settings.trust.age(name.as_str(), days, "").is_err()
                || review.is_some_and(|period| days > period.days())
        });
    let written = moved || renewed;
    let made = new.as_ref().map(|new| new.write(&environment.root)).transpose()?.unwrap_or_default();
    if written {
        let text = after.to_toml().map_err(|error| Defect::new(error.to_string()))?;
        write_atomically(&environment.root.join(&file), text.as_bytes())?;
    }
    Ok(LockReport { base: name.clone(), made, file, written, renewed, moves, remarks })
}

/// The whole days since something was pinned.
pub(crate) fn days_since(pinned: Epoch, now: Epoch) -> u64 {
    now.seconds().saturating_sub(pinned.seconds()) / 86_400
}

/// What is to be known where a definition is there and another Python is wanted.
fn kept(definition: &BaseDefinition, wanted: &WantedBase) -> Option<String> {
    let python = Runtime::named(&wanted.runtime)?.python?;
    let there = definition.python().filter(|there| *there != python)?;
    Some(format!(
        "{} is there and has Python {}.{}, not that of {}: it is used as it is",
        definition.file, there.0, there.1, wanted.runtime
    ))
}

/// What a suite has for a base, before an image is made of it.
pub(crate) struct Resolved {
    release: DebianRelease,
    pub(crate) packages: Vec<LockedPackage>,
}

async fn lock_debian(
    bases: &Bases,
    definition: &BaseDefinition,
    debian: &DebianDefinition,
    keys: Option<&[u8]>,
    platform: Platform,
    locked: Option<&PlatformLock>,
) -> Result<PlatformLock, LockError> {
    let before = locked.and_then(|lock| lock.release.as_ref());
    let Resolved { release, packages } =
        resolve_debian(bases, definition, debian, keys, platform, before).await?;
    if let Some(was) = locked.map(|lock| lock.packages.as_slice()) {
        // Before anything is brought or written.
        let moves = package_moves(platform, was, &packages);
        if !moves.is_empty() {
            let known: BTreeSet<Digest> = was.iter().map(|package| package.digest).collect();
            let new = packages.iter().filter(|package| !known.contains(&package.digest));
            bases.run().tell(Event::Moving {
                file: format!("images/{}.lock", definition.name),
                moves: moves.iter().map(BaseMove::line).collect(),
                bytes: Some(new.map(|package| package.size).sum()),
            });
        }
    }
    let image = assemble(bases.network(), definition, debian, platform, &packages).await?;
    Ok(PlatformLock {
        manifest: image.manifest_digest,
        index: None,
        config: Some(image.config_digest),
        release: Some(release),
        packages,
    })
}

/// Which packages a suite has for a base now. `locked` is the release that is pinned, which the new one may not be older than.
pub(crate) async fn resolve_debian(
    bases: &Bases,
    definition: &BaseDefinition,
    debian: &DebianDefinition,
    keys: Option<&[u8]>,
    platform: Platform,
    locked: Option<&DebianRelease>,
) -> Result<Resolved, LockError> {
    let keyring = read_keyring(bases.run().root(), definition, debian, keys)?;
    let archive = archive(bases.network(), &definition.name, debian)?;
    bases.run().tell(Event::Base { base: definition.name.clone(), activity: "resolve" });
    let client = bases.network().client().await?;
    let document = archive.in_release(client, &debian.suite).await.map_err(|error| match error {
        FetchError::NotFound { url } => {
            let suite = &debian.suite;
            let problem = Problem::in_file(
                &definition.file,
                format!("there is no suite `{suite}`: {url} does not exist"),
            );
            let problem = at_key(bases.run().root(), problem, "suite");
            LockError::from(InvalidFiles(vec![
                problem.help("correct `suite`; one that is maintained no more is at a mirror of the archive"),
            ]))
        }
        error => error.into(),
    })?;
    let refused = |source: ImageError| LockError::Release {
        base: definition.name.clone(),
        url: archive.in_release_url(&debian.suite),
        keyring: debian.keyring.clone(),
        source: Box::new(source),
    };
    let now = bases.run().now();
    // Whoever holds a key that has expired may write any date, unless the archive is known to be an old one.
    let present = (!debian.frozen).then(|| now.seconds());
    let signed = verify_cleartext(&document, &keyring, present).map_err(refused)?;
    let release = Release::parse(&String::from_utf8_lossy(&signed.text)).map_err(refused)?;
    if !release.is_for(&debian.suite) {
        return Err(InvalidFiles(vec![Problem::in_file(
            &definition.file,
            format!(
                "the mirror's release for `{}` calls itself {} ({})",
                debian.suite, release.codename, release.suite
            ),
        )])
        .into());
    }
    freshness::judge(&release, locked, now, debian.frozen).map_err(|reason| LockError::Stale {
        base: definition.name.clone(),
        file: definition.file.clone(),
        url: archive.in_release_url(&debian.suite),
        reason,
    })?;
    let index = package_index(&archive, client, definition, debian, &release, platform).await?;
    let packages =
        resolve(&index, platform.architecture.oci(), &debian.packages, &debian.exclude).map_err(|error| -> LockError { match error {
            ImageError::Unresolved { .. } => InvalidFiles(vec![
                Problem::in_file(&definition.file, format!("suite `{}`: {error}", debian.suite))
                    .help("correct `packages`; what is not needed, or cannot be met, can be left out with `exclude`"),
            ]).into(),
            other => other.into(),
        }})?;
    let packages = packages
        .into_iter()
        .map(|package| LockedPackage {
            name: package.name.clone(),
            version: package.version.as_str().to_owned(),
            architecture: package.architecture.clone(),
            size: package.size,
            digest: package.digest,
            path: package.path.clone(),
        })
        .collect();
    let release = DebianRelease {
        codename: release.codename.clone(),
        date: release.date.clone(),
        signed_by: signed.signer,
        digest: Digest::of(&document),
    };
    Ok(Resolved { release, packages })
}

/// Points at the line of a file of the workspace that sets a key, if it can be read and there is one.
fn at_key(root: &Path, problem: Problem, key: &str) -> Problem {
    let Ok(TextFile { text, .. }) = text_file(root, &problem.file) else { return problem };
    match line_of_key(&text, key) {
        Some(line) => problem.at(&text, line),
        None => problem,
    }
}

fn read_keyring(
    root: &Path,
    definition: &BaseDefinition,
    debian: &DebianDefinition,
    keys: Option<&[u8]>,
) -> Result<Keyring, LockError> {
    let path = root.join("images").join(&debian.keyring);
    if !path.is_file() {
        if let Some(keys) = keys {
            return Ok(Keyring::parse(keys)?);
        }
        return Err(InvalidFiles(vec![
            Problem::in_file(&definition.file, format!("`keyring` names images/{}, which does not exist", debian.keyring))
                .help("put the archive's public keys there; Debian ships them in the package debian-archive-keyring"),
        ]).into());
    }
    Ok(Keyring::parse(&fs::read(path)?)?)
}

async fn package_index(
    archive: &Archive,
    client: &Client,
    definition: &BaseDefinition,
    debian: &DebianDefinition,
    release: &Release,
    platform: Platform,
) -> Result<PackageIndex, LockError> {
    let mut index = PackageIndex::default();
    for component in &debian.components {
        let Some((path, digest, size)) = release.package_index(component, platform.architecture.oci()) else {
            return Err(InvalidFiles(vec![
                Problem::in_file(
                    &definition.file,
                    format!("the suite `{}` has no component `{component}` for {platform}", debian.suite),
                )
                .help(format!("its components are: {}", release.components.join(", "))),
            ])
            .into());
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        let file = SuiteFile {
            suite: &debian.suite,
            component,
            architecture: platform.architecture,
            name,
            digest,
            size,
        };
        let bytes = archive.package_index(client, &file).await?;
        index = blocking::<_, LockError>(move || {
            index.add(&decompress_xz(&bytes, INDEX_LIMIT)?)?;
            Ok(index)
        })
        .await?;
    }
    Ok(index)
}

fn moves(before: Option<&BaseLock>, after: &BaseLock) -> Vec<BaseMove> {
    let mut moves = Vec::new();
    for (platform, now) in &after.platform {
        let was = before.and_then(|lock| lock.platform.get(platform));
        let (before, after) = (was.map(|lock| lock.manifest), Some(now.manifest));
        if before != after {
            let told = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
            let what = "image".to_owned();
            moves.push(BaseMove { platform: *platform, what, before: told(before), after: told(after) });
        }
        let was = was.map(|lock| lock.packages.as_slice()).unwrap_or_default();
        moves.extend(package_moves(*platform, was, &now.packages));
    }
    moves
}

/// Which packages differ, those that are there now first.
pub(crate) fn package_moves(
    platform: Platform,
    was: &[LockedPackage],
    now: &[LockedPackage],
) -> Vec<BaseMove> {
    let mut moves = Vec::new();
    let mut add = |what: &str, before: Option<String>, after: Option<String>| {
        if before != after {
            moves.push(BaseMove { platform, what: what.to_owned(), before, after });
        }
    };
    let versions = |packages: &[LockedPackage]| -> BTreeMap<String, (String, Digest)> {
        packages.iter().map(|p| (p.name.clone(), (p.version.clone(), p.digest))).collect()
    };
    let (was, now) = (versions(was), versions(now));
    for (name, (version, digest)) in &now {
        match was.get(name) {
            Some((old, old_digest)) if old == version && old_digest != digest => {
                add(name, Some(format!("{old} {old_digest}")), Some(format!("{version} {digest}")));
            }
            other => add(name, other.map(|(version, _)| version.clone()), Some(version.clone())),
        }
    }
    for (name, (version, _)) in was.iter().filter(|(name, _)| !now.contains_key(*name)) {
        add(name, Some(version.clone()), None);
    }
    moves
}
