//! `[[upstream]]`: files of an artifact that come from a git repository.

use super::source::everything;
use crate::problem::Problems;
use kiln_record::{ArtifactName, TreePath, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One `[[upstream]]` of a manifest: a folder of a git repository, at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

impl UpstreamSection {
    /// What is wrong with it, if anything.
    fn problem(&self) -> Option<(String, &'static str)> {
        let is_name = !self.name.is_empty()
            && self.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
            && self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !is_name {
            return Some((
                format!("`upstream.name`: `{}` is not a name", excerpt(&self.name)),
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
                    excerpt(&self.revision)
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

/// What is wrong with the address of a repository. What git would take for an option or for a program to run
/// is refused, and so is a password: the manifest is shared.
fn problem_of_address(git: &str) -> Option<String> {
    if git.is_empty() || git.starts_with('-') || git.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some(format!("`{}` is not the address of a repository", excerpt(git)));
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

/// Checks the upstream sources of a manifest, whatever the repositories hold.
pub(super) fn parse(
    upstreams: Vec<UpstreamSection>,
    artifact: &ArtifactName,
    problems: &mut Problems<'_>,
) -> Vec<UpstreamSection> {
    let mut names = BTreeSet::new();
    for upstream in &upstreams {
        if let Some((message, help)) = upstream.problem() {
            problems.at_top(message, help);
        }
        if !names.insert(&upstream.name) {
            problems.at_top(
                format!("two upstream sources are called `{}`", upstream.name),
                "give each its own name",
            );
        }
        if upstream.name == artifact.as_str() {
            problems.at_top(
                format!("the upstream source `{}` is called as the artifact is", upstream.name),
                "name it after its project",
            );
        }
        for glob in upstream.include.iter().chain(&upstream.exclude) {
            if let Err(error) = globset::Glob::new(glob) {
                problems.at_top(
                    format!("upstream `{}`: `{glob}` is not a glob: {}", upstream.name, error.kind()),
                    "see docs/manifests.md for the patterns",
                );
            }
        }
    }
    upstreams
}

/// The file with the lock of an artifact's upstream sources.
#[must_use]
pub fn artifact_lock_path(artifact: &ArtifactName) -> String {
    format!("manifests/{artifact}.lock")
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
}
