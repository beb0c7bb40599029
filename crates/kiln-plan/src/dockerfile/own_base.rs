//! Bases that a Dockerfile pins itself: nothing at all, and an image with its digest.

use crate::base::{BaseDefinition, BaseKind, BaseLock, ImageSettings, PlatformLock, RegistryDefinition};
use kiln_record::{BaseName, Digest, Epoch, FormatVersion, Platform};
use std::collections::BTreeMap;

/// The image that is nothing (Dockerfile reference, "FROM").
pub(super) const SCRATCH: &str = "scratch";

/// A name for the base that an image would be: the end of its repository, and its tag.
pub(super) fn slug(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let text: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(48)
        .collect();
    text.trim_matches(['-', '.']).to_owned()
}

/// A base with its lock, for what a Dockerfile pins itself.
pub(super) fn own_base(
    file: &str,
    name: &str,
    kind: BaseKind,
    stated: Digest,
    platform: Platform,
) -> (BaseDefinition, BaseLock) {
    // The name is made of what names are made of.
    let name: BaseName = name.parse().unwrap_or_else(|_| unreachable!("{name} is a name"));
    let definition = BaseDefinition {
        review: None,
        name: name.clone(),
        file: file.to_owned(),
        kind,
        platforms: vec![platform],
        image: ImageSettings::default(),
        digest: stated,
    };
    let facts =
        PlatformLock { manifest: stated, index: None, config: None, release: None, packages: Vec::new() };
    let lock = BaseLock {
        format: FormatVersion { major: 1, minor: 0 },
        base: name,
        definition: stated,
        // It says nothing of a time, and so decides none.
        pinned: Epoch::from_seconds(0).unwrap_or_else(|_| unreachable!("0 is a time")),
        command: format!("written in {file}"),
        platform: BTreeMap::from([(platform, facts)]),
    };
    (definition, lock)
}

pub(super) fn scratch(file: &str, platform: Platform) -> (BaseDefinition, BaseLock) {
    own_base(file, SCRATCH, BaseKind::Scratch, Digest::of(SCRATCH.as_bytes()), platform)
}

pub(super) fn pinned_here(
    file: &str,
    image: &str,
    name: &str,
    digest: Digest,
    platform: Platform,
) -> (BaseDefinition, BaseLock) {
    let slug = slug(name);
    let short = &digest.hex()[..12];
    let name = if slug.is_empty() { short.to_owned() } else { format!("{slug}-{short}") };
    let reference = image.to_owned();
    own_base(
        file,
        &name,
        BaseKind::Registry(RegistryDefinition { reference, mirror: None }),
        digest,
        platform,
    )
}
