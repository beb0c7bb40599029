//! The workspaces that use a store: what their locks and builds name is needed.

use crate::atomic::{names_in, read_bounded, write_synced};
use crate::{Result, Store};
use fs_err as fs;
use kiln_record::Digest;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The folder of the store that they are in.
const FOLDER: &str = "workspaces";
/// The longest path that is read, in bytes.
const LONGEST: u64 = 1 << 16;

impl Store {
    /// Notes that a workspace uses the store. `root` is an absolute path.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn note_workspace(&self, root: &Path) -> Result<()> {
        let folder = self.root().join(FOLDER);
        let file = folder.join(Digest::of(root.as_os_str().as_bytes()).hex());
        if file.is_file() {
            return Ok(());
        }
        if !folder.is_dir() {
            fs::create_dir_all(&folder)?;
        }
        let (_run, temporary) = self.temporary_path()?;
        write_synced(&temporary, root.as_os_str().as_bytes())?;
        Ok(fs::rename(temporary, file)?)
    }

    /// The workspaces that have used the store, sorted. Some may be gone.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn workspaces(&self) -> Result<Vec<PathBuf>> {
        let folder = self.root().join(FOLDER);
        let mut all = Vec::new();
        for name in names_in(&folder)? {
            if let Some(path) = read_bounded(&folder.join(name), LONGEST)? {
                all.push(PathBuf::from(OsString::from_vec(path)));
            }
        }
        all.sort();
        Ok(all)
    }

    /// Forgets a workspace.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn forget_workspace(&self, root: &Path) -> Result<()> {
        let file = self.root().join(FOLDER).join(Digest::of(root.as_os_str().as_bytes()).hex());
        match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
