//! The lock of an artifact's upstream sources: which commit and which files each of them is.

use crate::Problem;
use crate::manifest::{UpstreamSection, artifact_lock_path};
use kiln_record::{ArtifactName, Code, Digest, Epoch, Finding, FormatVersion};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The format version of `manifests/<artifact>.lock` that this kiln writes.
pub const ARTIFACT_LOCK_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// The lock of an artifact's upstream sources, `manifests/<artifact>.lock`: generated, never edited by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ArtifactLockFile {
    /// The format version of this file.
    pub format: FormatVersion,
    /// The artifact it is for.
    pub artifact: ArtifactName,
    /// What each upstream source is, in the manifest's order.
    #[serde(default)]
    pub upstream: Vec<LockedUpstream>,
}

/// What an upstream source was when it was locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LockedUpstream {
    /// As in the manifest.
    pub name: String,
    /// As in the manifest.
    pub git: String,
    /// As in the manifest.
    pub revision: String,
    /// As in the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The commit, in full.
    pub commit: String,
    /// The digest of the folder's tree, before `include` and `exclude`.
    pub tree: Digest,
    /// When it was pinned.
    pub pinned: Epoch,
}

impl UpstreamSection {
    /// Whether a lock's entry is about this source.
    #[must_use]
    pub fn is_locked_by(&self, locked: &LockedUpstream) -> bool {
        self.name == locked.name
            && self.git == locked.git
            && self.revision == locked.revision
            && self.folder == locked.folder
    }
}

impl ArtifactLockFile {
    /// Reads the file.
    ///
    /// # Errors
    /// A [`Problem`] that points at what is wrong.
    pub fn parse(artifact: &ArtifactName, text: &Arc<str>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Head {
            format: FormatVersion,
        }
        let file = artifact_lock_path(artifact);
        let help = format!("make it anew: kiln lock {artifact}");
        let head: Head = Problem::toml(&file, text).map_err(|problem| problem.help(help.clone()))?;
        if head.format.major != ARTIFACT_LOCK_FORMAT.major {
            let message = format!("it has format {}; this kiln reads {ARTIFACT_LOCK_FORMAT}", head.format);
            return Err(Problem::in_file(&file, message).help(format!("use a newer kiln, or {help}")));
        }
        let lock: Self = Problem::toml(&file, text).map_err(|problem| problem.help(help.clone()))?;
        if lock.artifact != *artifact {
            let message = format!("it is the lock of `{}`", lock.artifact);
            return Err(Problem::in_file(&file, message).help(help));
        }
        Ok(lock)
    }

    /// The file as it is written.
    ///
    /// # Errors
    /// Only if a value has no TOML form, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let body = toml::to_string_pretty(self)?;
        Ok(format!(
            "# Written by `kiln lock {}`. Do not edit: run the command again, with --upgrade to move a pin.\n{body}",
            self.artifact
        ))
    }
}

/// Joins the upstream sources of a manifest with their lock.
///
/// # Errors
/// A finding that names the source that is not locked, or not as the manifest states it now, and the command
/// that locks it.
pub fn locked_upstreams(
    artifact: &ArtifactName,
    upstreams: &[UpstreamSection],
    lock: Option<&ArtifactLockFile>,
) -> Result<Vec<LockedUpstream>, Box<Finding>> {
    let file = artifact_lock_path(artifact);
    let each = upstreams.iter().map(|upstream| {
        let refuse = |code: Code, cause: String| {
            Box::new(
                Finding::new(code, &file, cause)
                    .detail(format!("upstream source: {} at {}", upstream.git, upstream.revision))
                    .remedy(format!("lock it: kiln lock {artifact}")),
            )
        };
        let Some(lock) = lock else {
            let cause =
                format!("the upstream source `{}` is not locked: {file} does not exist", upstream.name);
            return Err(refuse(Code::LockMissing, cause));
        };
        match lock.upstream.iter().find(|locked| locked.name == upstream.name) {
            Some(locked) if upstream.is_locked_by(locked) => Ok(locked.clone()),
            Some(locked) => {
                let moved = [
                    ("git", upstream.git.as_str(), locked.git.as_str()),
                    ("revision", &upstream.revision, &locked.revision),
                    (
                        "folder",
                        upstream.folder.as_deref().unwrap_or("."),
                        locked.folder.as_deref().unwrap_or("."),
                    ),
                ];
                let moved: Vec<String> = moved
                    .into_iter()
                    .filter(|(_, now, then)| now != then)
                    .map(|(key, now, then)| format!("{key} is {now}, locked was {then}"))
                    .collect();
                let cause = format!(
                    "the upstream source `{}` has changed since it was locked: {}",
                    upstream.name,
                    moved.join("; ")
                );
                Err(refuse(Code::LockStale, cause))
            }
            None => {
                let cause = format!("the upstream source `{}` is not in {file}", upstream.name);
                Err(refuse(Code::LockStale, cause))
            }
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(git: &str, revision: &str) -> UpstreamSection {
        UpstreamSection {
            name: "acme".to_owned(),
            git: git.to_owned(),
            revision: revision.to_owned(),
            folder: None,
            include: Vec::new(),
            exclude: Vec::new(),
            into: None,
        }
    }

    fn locked(section: &UpstreamSection) -> LockedUpstream {
        LockedUpstream {
            name: section.name.clone(),
            git: section.git.clone(),
            revision: section.revision.clone(),
            folder: section.folder.clone(),
            commit: "a".repeat(40),
            tree: Digest::of(b""),
            pinned: "2026-01-31T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_lock_holds_for_what_the_manifest_states_and_nothing_else() {
        let artifact: ArtifactName = "app".parse().unwrap();
        let there = section("file:///a", "v1");
        let lock = ArtifactLockFile {
            format: ARTIFACT_LOCK_FORMAT,
            artifact: artifact.clone(),
            upstream: vec![locked(&there)],
        };
        let text: Arc<str> = lock.to_toml().unwrap().into();
        assert_eq!(ArtifactLockFile::parse(&artifact, &text).unwrap(), lock);
        let judged = |section: &UpstreamSection, lock: Option<&ArtifactLockFile>| {
            locked_upstreams(&artifact, std::slice::from_ref(section), lock)
        };
        assert_eq!(judged(&there, Some(&lock)).unwrap(), lock.upstream);
        assert_eq!(judged(&there, None).unwrap_err().code, Code::LockMissing);
        let moved = judged(&section("file:///a", "v2"), Some(&lock)).unwrap_err();
        assert_eq!(moved.code, Code::LockStale);
        assert!(moved.cause.contains("revision is v2, locked was v1"), "{}", moved.cause);
        let other: ArtifactName = "other".parse().unwrap();
        assert!(ArtifactLockFile::parse(&other, &text).unwrap_err().to_string().contains("lock of `app`"));
    }
}
