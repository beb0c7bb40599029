//! Where a rebuild's workspace is: the folder that was named, or what a commit has, written into a folder of its own.

use crate::{RebuildError, Source};
use fs_err as fs;
use kiln_fetch::Repository;
use kiln_invocation::WORKSPACE_FILE;
use kiln_record::TreePath;
use kiln_store::{Store, TemporaryFolder};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A workspace to build in, and a folder for everything that is written. Both are gone with the value, but for a workspace
/// that is the user's own.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    scratch: TemporaryFolder,
}

impl Place {
    /// Brings a source to where it can be built. The folder for what is written lies in the store, on whose disk there is
    /// room for it.
    ///
    /// # Errors
    /// If the source is not there, or holds no workspace.
    pub async fn of(source: &Source, store: &Path) -> Result<Self, RebuildError> {
        let scratch = Store::open(store)?.temporary_folder()?;
        let refused = |reason: String| RebuildError::NoWorkspace { source_name: source.to_string(), reason };
        let root = match source {
            Source::Folder(folder) => {
                if !folder.join(WORKSPACE_FILE).is_file() {
                    return Err(refused(format!("it holds no {WORKSPACE_FILE}")));
                }
                fs::canonicalize(folder)?
            }
            Source::Git { address, revision, workspace } => {
                let tree = scratch.path().join("source");
                let paths = bring(address, revision, &tree).await?;
                tree.join(workspace_in(&paths, workspace.as_deref()).map_err(refused)?)
            }
        };
        Ok(Self { root, scratch })
    }

    /// The workspace.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for what is written.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}

/// Writes the files of a commit below `tree`, as they are stored and with what git knows of them, and gives their paths.
async fn bring(address: &str, revision: &str, tree: &Path) -> Result<Vec<String>, RebuildError> {
    let git = tree.join(".git");
    fs::create_dir_all(&git)?;
    let local = Path::new(address);
    let address = match local.is_dir() {
        true => fs::canonicalize(local)?.display().to_string(),
        false => address.to_owned(),
    };
    let repository = Repository::new(&address);
    let found = repository.resolve(revision).await?;
    repository.fetch(&found.id, found.name.as_deref(), &git).await?;
    repository.track(&found.id, &git).await?;
    let files = repository.files(&found.id, None, &git).await?;
    let mut links: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    repository
        .read::<RebuildError>(&files, &git, |file, content| {
            let path = TreePath::new(&file.path).map_err(|error| RebuildError::NotUsable {
                what: file.path.clone(),
                reason: error.to_string(),
            })?;
            let path = tree.join(path.as_str());
            if file.link {
                // After all files, so that nothing is written through one.
                links.insert(path, content);
                return Ok(());
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, content)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            Ok(())
        })
        .await?;
    for (path, target) in links {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        std::os::unix::fs::symlink(std::ffi::OsString::from_vec(target), &path)?;
    }
    Ok(files.into_iter().map(|file| file.path).collect())
}

/// The folder of the workspace among the paths of a commit.
fn workspace_in(paths: &[String], known: Option<&str>) -> Result<String, String> {
    let all: Vec<&str> = paths
        .iter()
        .filter_map(|path| path.strip_suffix(WORKSPACE_FILE))
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(|folder| folder.trim_end_matches('/'))
        .collect();
    match known.map(|known| if known == "." { "" } else { known }) {
        Some(known) if all.contains(&known) => return Ok(known.to_owned()),
        Some(known) => {
            let place = if known.is_empty() { String::new() } else { format!(" in `{known}`") };
            return Err(format!(
                "the commit has no {WORKSPACE_FILE}{place}: what was built was not committed with it; commit, and build again"
            ));
        }
        None => {}
    }
    match all.as_slice() {
        [] => Err(format!("the commit has no {WORKSPACE_FILE}")),
        all if all.contains(&"") => Ok(String::new()),
        [one] => Ok((*one).to_owned()),
        several => Err(format!("the commit has several workspaces: {}", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::workspace_in;

    #[test]
    fn the_workspace_of_a_commit_is_found() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let root = paths(&["kiln.toml", "sub/kiln.toml", "not-kiln.toml"]);
        assert_eq!(workspace_in(&root, None).unwrap(), "");
        assert_eq!(workspace_in(&root, Some("sub")).unwrap(), "sub");
        assert_eq!(workspace_in(&paths(&["a/b/kiln.toml", "x"]), None).unwrap(), "a/b");
        assert!(workspace_in(&paths(&["a/kiln.toml", "b/kiln.toml"]), None).unwrap_err().contains("a, b"));
        assert!(workspace_in(&paths(&["x"]), None).is_err());
        assert!(workspace_in(&root, Some("gone")).is_err());
    }
}
