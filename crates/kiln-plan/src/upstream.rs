//! Upstream sources: files of an artifact that come from a git repository, and the lock that says which they are.

use crate::Problem;
use kiln_record::{ArtifactName, Code, Digest, Epoch, Finding, FormatVersion, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The format version of `manifests/<artifact>.lock` that this kiln writes.
pub const ARTIFACT_LOCK_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// One `[[upstream]]` of a manifest: a folder of a git repository, at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSection {
    /// What its files are called together, in findings, records and bills of materials.
    pub name: String,
    /// The repository: a URL that git understands, without a password.
    pub git: String,
    /// A commit, a tag or a branch. A tag or a branch means the commit that the lock names.
    pub revision: String,
    /// The folder of the repository whose content is taken; all of it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Globs, relative to `folder`, of files to take.
    #[serde(default = "everything")]
    pub include: Vec<String>,
    /// Globs, relative to `folder`, of files to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The folder of the artifact that the content lands in, as `into` of `[source]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}

/// The lock of an artifact's upstream sources, `manifests/<artifact>.lock`: generated, never edited by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    /// What is wrong with it, if anything.
    fn problem(&self) -> Option<(String, &'static str)> {
        let is_name = !self.name.is_empty()
            && self.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
            && self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !is_name {
            return Some((
                format!("`upstream.name`: `{}` is not a name", self.name.escape_debug()),
                "use small letters, digits, `-`, `_` and `.`, with a letter or digit first",
            ));
        }
        if let Some(message) = problem_of_address(&self.git) {
            return Some((
                format!("upstream `{}`: {message}", self.name),
                "write a URL, such as https://…/repository.git, ssh://git@…/repository.git or file:///…",
            ));
        }
        let is_revision = !self.revision.is_empty()
            && !self.revision.starts_with('-')
            && !self.revision.contains("..")
            && !self.revision.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\@".contains(c));
        if !is_revision {
            return Some((
                format!(
                    "upstream `{}`: `{}` is not a commit, tag or branch",
                    self.name,
                    self.revision.escape_debug()
                ),
                "write the name of a tag or a branch, or a commit's 40 digits",
            ));
        }
        if let Some(Err(error)) = self.folder.as_deref().map(TreePath::new) {
            return Some((
                format!("upstream `{}`: `folder`: {error}", self.name),
                "name a folder of the repository, or leave `folder` out for all of it",
            ));
        }
        match self.into.as_deref() {
            Some(into) if into != "." => TreePath::new(into).err().map(|error| {
                (
                    format!("upstream `{}`: `into`: {error}", self.name),
                    "name a folder of the artifact, such as \"lib\", or \".\" for its root",
                )
            }),
            _ => None,
        }
    }
}

/// What is wrong with the address of a repository. What git would take for an option or for a program to run is refused,
/// and so is a password: the manifest is shared.
fn problem_of_address(git: &str) -> Option<String> {
    if git.is_empty() || git.starts_with('-') || git.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some(format!("`{}` is not the address of a repository", git.escape_debug()));
    }
    let Some((scheme, rest)) = git.split_once("://") else {
        let is_scp_like = git.split_once(':').is_some_and(|(host, path)| {
            !host.is_empty() && !host.contains('/') && !path.is_empty() && !path.starts_with(':')
        });
        return (!is_scp_like).then(|| format!("`{git}` is not the address of a repository"));
    };
    if !["https", "http", "ssh", "git", "file"].contains(&scheme) {
        return Some(format!("`{scheme}` is not a protocol that kiln lets git use"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') || scheme.starts_with("http")).then(
        || {
            "it holds a login: leave it out of the address, and let git's credential helper or a netrc file know it"
                .to_owned()
        },
    )
}

/// What is wrong with the upstream sources of a manifest, whatever the repositories hold.
pub(crate) fn problems_of_upstreams(
    artifact: &ArtifactName,
    upstreams: &[UpstreamSection],
    problem: &mut impl FnMut(String, &str),
) {
    let mut names = BTreeSet::new();
    for upstream in upstreams {
        if let Some((message, help)) = upstream.problem() {
            problem(message, help);
        }
        if !names.insert(&upstream.name) {
            problem(format!("two upstream sources are called `{}`", upstream.name), "give each its own name");
        }
        if upstream.name == artifact.as_str() {
            problem(
                format!("the upstream source `{}` is called as the artifact is", upstream.name),
                "name it after its project",
            );
        }
        for glob in upstream.include.iter().chain(&upstream.exclude) {
            if let Err(error) = globset::Glob::new(glob) {
                problem(
                    format!("upstream `{}`: `{glob}` is not a glob: {}", upstream.name, error.kind()),
                    "see docs/manifests.md for the patterns",
                );
            }
        }
    }
}

/// The file with the lock of an artifact's upstream sources.
#[must_use]
pub fn artifact_lock_path(artifact: &ArtifactName) -> String {
    format!("manifests/{artifact}.lock")
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
/// A finding that names the source that is not locked, or not as the manifest states it now, and the command that locks it.
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
            include: everything(),
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
    fn addresses_that_git_would_run_or_that_hold_a_login_are_refused() {
        for good in [
            "https://example.org/a.git",
            "ssh://git@example.org/a.git",
            "git@example.org:a.git",
            "file:///srv/a",
        ] {
            assert_eq!(section(good, "v1").problem(), None, "{good}");
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "ext::sh -c x",
            "ext::x",
            "/srv/a",
            "../a",
            "fd://3",
            "https://me:secret@example.org/a",
            "https://token@example.org/a",
            "ssh://me:secret@example.org/a",
        ] {
            let (message, _) = section(bad, "v1").problem().unwrap_or_else(|| panic!("{bad}"));
            assert!(!message.contains("secret") && !message.contains("token"), "{message}");
        }
        for bad in ["", "-x", "a..b", "HEAD~1", "a b", "v1^{}", "a:b", "@{-1}"] {
            assert!(section("file:///a", bad).problem().is_some(), "{bad}");
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
