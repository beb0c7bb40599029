//! What a rebuild is made of: a folder, or a commit of a repository.

use crate::RebuildError;
use kiln_fetch::{Checkout, Url, without_credentials};
use kiln_store::{SourceCommit, SourceLink};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the workspace comes from that is built again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A workspace in a folder, which is read and not written to.
    Folder(PathBuf),
    /// A commit of a repository.
    Git {
        /// An address that git understands, or a folder.
        address: String,
        /// The commit, or a tag or branch.
        revision: String,
        /// The workspace's folder in it, if that is known.
        workspace: Option<String>,
    },
}

impl Source {
    /// Reads what was given on the command line: `FOLDER`, or `git:ADDRESS@REVISION`.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("git:") else {
            return Ok(Self::Folder(PathBuf::from(text)));
        };
        match rest.rsplit_once('@') {
            Some((address, revision))
                if !address.is_empty()
                    && !revision.is_empty()
                    && !revision.contains(['/', ':'])
                    && !address.starts_with('-')
                    && !revision.starts_with('-') =>
            {
                Ok(Self::Git { address: address.to_owned(), revision: revision.to_owned(), workspace: None })
            }
            _ => Err(format!(
                "`{}` is not git:URL@COMMIT, such as git:https://example.org/app.git@0123abc… or git:../app@v1.2",
                told(text)
            )),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Git { address, revision, .. } => write!(f, "git:{}@{revision}", told(address)),
        }
    }
}

/// An address without its login.
fn told(address: &str) -> String {
    match address.parse::<Url>() {
        Ok(url) if url.has_host() => without_credentials(&url).to_string(),
        _ => address.to_owned(),
    }
}

/// The source that the ledger knows for a build, and what is to be said of it. `root` is the workspace whose ledger that is.
///
/// # Errors
/// [`RebuildError::NoSource`] if the ledger does not know a commit, or nothing says where that is to be had.
pub fn linked_source(
    link: Option<&SourceLink>,
    root: &Path,
    what: &str,
) -> Result<(Source, Vec<String>), RebuildError> {
    let none = |reason: String| RebuildError::NoSource { what: what.to_owned(), reason };
    let commit = match link {
        None => return Err(none("nothing says which commit it was made of".to_owned())),
        Some(SourceLink::Unknown { reason }) => {
            return Err(none(format!("the ledger does not know its commit: {reason}")));
        }
        Some(SourceLink::Commit(commit)) => commit,
    };
    let here = Checkout::around(root).filter(|checkout| checkout.has(&commit.commit) == Ok(true));
    let address = match (here, &commit.repository) {
        (Some(checkout), _) => checkout.root().display().to_string(),
        (None, Some(repository)) => repository.clone(),
        (None, None) => {
            return Err(none(format!(
                "commit {} is not in the repository around {}, and the ledger knows no remote on another machine",
                commit.commit,
                root.display()
            )));
        }
    };
    let source =
        Source::Git { address, revision: commit.commit.clone(), workspace: Some(commit.workspace.clone()) };
    Ok((source, remarks(commit)))
}

/// What the commit does not have of what was built.
fn remarks(commit: &SourceCommit) -> Vec<String> {
    if commit.is_clean() {
        return Vec::new();
    }
    let shown = commit.changed_paths.join(", ");
    let files = if commit.changed == 1 { "1 file was" } else { "some files were" };
    vec![format!(
        "{files} not as commit {} has {} when it was built ({} in all): {shown}",
        commit.commit,
        if commit.changed == 1 { "it" } else { "them" },
        commit.changed
    )]
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn what_is_given_is_a_folder_or_a_commit() {
        assert_eq!(Source::parse("a/b").unwrap(), Source::Folder("a/b".into()));
        let git = |text: &str| match Source::parse(text) {
            Ok(Source::Git { address, revision, .. }) => Ok((address, revision)),
            Ok(other) => panic!("{other:?}"),
            Err(reason) => Err(reason),
        };
        let pair = |address: &str, revision: &str| Ok((address.to_owned(), revision.to_owned()));
        assert_eq!(git("git:https://u@example.org/a.git@v1"), pair("https://u@example.org/a.git", "v1"));
        assert_eq!(git("git:git@example.org:a.git@abc"), pair("git@example.org:a.git", "abc"));
        for wrong in
            ["git:", "git:x", "git:@v1", "git:x@", "git:git@example.org:a.git", "git:--upload-pack=x@v1"]
        {
            assert!(git(wrong).is_err(), "{wrong}");
        }
        let told = Source::parse("git:https://u:secret@example.org/a.git@v1").unwrap().to_string();
        assert_eq!(told, "git:https://example.org/a.git@v1");
    }
}
