//! A base that is pinned: its definition and its lock, which belong together.

use super::{BaseDefinition, BaseKind, BaseLock, PlatformLock};
use kiln_record::{
    Architecture, BaseName, Code, Defect, Digest, Epoch, Finding, Input, InputRole, Place, Platform,
    digest_of_value,
};
use std::collections::BTreeMap;

/// A base that is pinned: the only way to get one is from a lock that belongs to its definition.
#[derive(Clone, Debug)]
pub struct PinnedBase {
    /// What the user stated.
    pub definition: BaseDefinition,
    /// The platform.
    pub platform: Platform,
    /// What it is on this platform.
    pub lock: PlatformLock,
    /// When it was pinned.
    pub pinned: Epoch,
    /// What it is on the definition's other platforms: the same source, pinned by the same command.
    pub elsewhere: BTreeMap<Platform, PlatformLock>,
    /// The workspace's bases, each with its Python where its definition says which: for messages.
    pub others: BTreeMap<BaseName, Option<(u32, u32)>>,
}

impl PinnedBase {
    /// A digest of what its image has, whatever engines call that.
    ///
    /// # Errors
    /// A defect alone.
    pub fn content(&self) -> Result<Digest, Defect> {
        digest_of_value(&(self.lock.manifest, self.platform))
    }

    /// What it is made of: its definition, what its lock states for the platform, and the signed release that this is from, if it
    /// is of Debian. The digest of its manifest follows from the first two; these are where somebody else can begin.
    ///
    /// # Panics
    /// Never: what a lock states has a JSON form.
    #[must_use]
    pub fn recipe(&self) -> Vec<Input> {
        let BaseDefinition { name, file, digest, .. } = &self.definition;
        if self.definition.kind == BaseKind::Scratch {
            return Vec::new();
        }
        let input = |role, name: String, digest| Input { role, name, digest };
        let lock =
            digest_of_value(&self.lock).expect("plain structs with string keys always have a JSON form");
        let mut recipe = vec![
            input(InputRole::BaseDefinition, file.clone(), *digest),
            input(InputRole::BaseLock, format!("images/{name}.lock"), lock),
        ];
        recipe.extend(self.lock.release.as_ref().map(|release| {
            let named = format!("{name} {} signed by {}", release.codename, release.signed_by);
            input(InputRole::BaseRelease, named, release.digest)
        }));
        recipe
    }

    /// Joins a definition with its lock for one platform.
    ///
    /// # Errors
    /// A finding `base-not-pinned` that says which of lock, platform or agreement is missing, and the command
    /// that makes it.
    pub fn new(
        definition: &BaseDefinition,
        lock: Option<&BaseLock>,
        platform: Platform,
    ) -> Result<Self, Box<Finding>> {
        let refuse = |cause: String| Err(Box::new(base_not_pinned(definition, cause)));
        let Some(lock) = lock else {
            return refuse(match &definition.kind {
                BaseKind::Registry(registry) => {
                    format!(
                        "`{}` names a tag, and a tag can move: no digest is locked for it",
                        registry.reference
                    )
                }
                BaseKind::Debian(_) => "its packages are not locked".to_owned(),
                BaseKind::Scratch => "nothing says for which platform".to_owned(),
            });
        };
        if lock.definition != definition.digest {
            return refuse(format!("{} has changed since it was locked on {}", definition.file, lock.pinned));
        }
        match lock.platform.get(&platform) {
            Some(facts) => Ok(Self {
                definition: definition.clone(),
                platform,
                lock: facts.clone(),
                pinned: lock.pinned,
                elsewhere: lock
                    .platform
                    .iter()
                    .filter(|(other, _)| **other != platform)
                    .map(|(other, facts)| (*other, facts.clone()))
                    .collect(),
                others: BTreeMap::new(),
            }),
            None => refuse(format!("it is not locked for {platform}")),
        }
    }
}

impl PinnedBase {
    /// The same base on another architecture.
    ///
    /// # Errors
    /// Why it is not known to have the same software: in words, for a message. A Debian base must have each
    /// package in one version on both platforms, but for a rebuild of the same source (`+b1`).
    pub fn twin(&self, architecture: Architecture) -> Result<Self, String> {
        let platform = Platform { architecture };
        let name = &self.definition.name;
        let Some(lock) = self.elsewhere.get(&platform) else {
            return Err(format!("{name} is not locked for {platform}, which could have told it"));
        };
        let there: BTreeMap<&str, &str> =
            lock.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
        for package in &self.lock.packages {
            match there.get(package.name.as_str()) {
                Some(version) if source_version(version) != source_version(&package.version) => {
                    return Err(format!(
                        "{name} has {} {} on {} and {version} on {platform}",
                        package.name, package.version, self.platform
                    ));
                }
                _ => {}
            }
        }
        let mut elsewhere = self.elsewhere.clone();
        elsewhere.remove(&platform);
        elsewhere.insert(self.platform, self.lock.clone());
        Ok(Self {
            definition: self.definition.clone(),
            platform,
            lock: lock.clone(),
            pinned: self.pinned,
            elsewhere,
            others: self.others.clone(),
        })
    }

    /// The same, beside the other bases of its workspace.
    #[must_use]
    pub fn among(self, bases: &BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>) -> Self {
        let others =
            bases.iter().map(|(name, (definition, _))| (name.clone(), definition.python())).collect();
        Self { others, ..self }
    }
}

/// A Debian version without the number of a rebuild (Debian Policy 5.6.12, "binary NMUs"): the source is the
/// same.
fn source_version(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((source, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => source,
        _ => version,
    }
}

/// The finding for a base without a usable lock.
#[must_use]
pub fn base_not_pinned(definition: &BaseDefinition, cause: impl Into<String>) -> Finding {
    Finding::new(Code::BaseNotPinned, definition.name.as_str(), cause)
        .at(Place::file(&definition.file))
        .detail(format!("base defined in {}", definition.file))
        .remedy(format!("pin it: kiln lock --base {}", definition.name))
}
