//! `.gitignore` files, from the root of the repository (or of the workspace, where there is none) down to a folder.
//!
//! What a machine ignores for itself (`core.excludesFile`, `.git/info/exclude`) is not looked at: it is not part of a commit.

use fs_err as fs;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// The largest `.gitignore` that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The `.gitignore` files that hold in one folder, the outermost first.
#[derive(Clone, Default)]
pub(super) struct GitIgnores(Vec<Arc<Gitignore>>);

impl GitIgnores {
    /// Those of every folder from `top` down to `folder`, with that of `folder` itself.
    ///
    /// # Errors
    /// Which file cannot be read, or is too large.
    pub(super) fn down_to(top: &Path, folder: &Path) -> Result<Self, String> {
        let mut ignores = Self::default().with(top)?;
        let mut at = top.to_owned();
        for part in folder.strip_prefix(top).into_iter().flat_map(Path::components) {
            at.push(part);
            ignores = ignores.with(&at)?;
        }
        Ok(ignores)
    }

    /// These, and that of a folder below, if it has one.
    ///
    /// # Errors
    /// If it cannot be read, or is too large.
    pub(super) fn with(&self, folder: &Path) -> Result<Self, String> {
        let file = folder.join(".gitignore");
        let mut all = self.clone();
        // As git does it: one that is a link is none.
        if !fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(all);
        }
        let mut text = String::new();
        let mut bytes = Vec::new();
        let opened = fs::File::open(&file).map_err(|error| error.to_string())?;
        opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("{} is larger than {MAX_BYTES} bytes", file.display()));
        }
        text.push_str(&String::from_utf8_lossy(&bytes));
        let mut builder = GitignoreBuilder::new(folder);
        for line in text.lines() {
            // A line that is no pattern matches nothing, for git as for us.
            let _ = builder.add_line(None, line);
        }
        let built = builder.build().map_err(|error| format!("{}: {error}", file.display()))?;
        all.0.push(Arc::new(built));
        Ok(all)
    }

    /// Whether a file or folder is ignored; the folders above it are not.
    #[must_use]
    pub(super) fn ignores(&self, path: &Path, folder: bool) -> bool {
        for ignore in self.0.iter().rev() {
            let matched = ignore.matched(path, folder);
            if matched.is_ignore() {
                return true;
            }
            if matched.is_whitelist() {
                return false;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_files_overrule_outer_ones() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(root.path().join(".gitignore"), "*.log\n/top\nbuild/\n# a comment\n").unwrap();
        fs::write(root.path().join("a/.gitignore"), "!keep.log\nlocal\n").unwrap();
        let ignores = GitIgnores::down_to(root.path(), &inner).unwrap();
        for (path, folder, expect) in [
            ("a/b/x.log", false, true),
            ("a/b/keep.log", false, false),
            ("a/b/top", false, false),
            ("a/b/build", true, true),
            ("a/b/build", false, false),
            ("a/b/local", false, true),
            ("a/b/app.py", false, false),
        ] {
            assert_eq!(ignores.ignores(&root.path().join(path), folder), expect, "{path}");
        }
        fs::write(root.path().join("a/.gitignore"), "x".repeat(1 << 21)).unwrap();
        assert!(GitIgnores::down_to(root.path(), &inner).is_err_and(|error| error.contains("larger")));
    }
}
