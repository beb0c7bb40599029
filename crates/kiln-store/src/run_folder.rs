//! A folder for the unfinished files of one run, and the removal of those that dead runs left.
//!
//! A run holds an exclusive `flock` on `<name>.lock` for as long as its folder `<name>` may be in use. The kernel
//! releases the lock when the process ends, however it ends, so a lock that can be taken belongs to a dead run. Process
//! ids alone would not do: they are reused, and a store may be shared between containers that count them separately.

use crate::atomic::{at, names_in, remove_folder, unique};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, flock};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The folder of a living run. Dropping it removes the folder.
#[derive(Debug)]
pub(crate) struct RunFolder {
    folder: PathBuf,
    lock_path: PathBuf,
    // Held, not read: closing it releases the lock.
    _lock: fs::File,
}

impl RunFolder {
    /// Creates a folder below `parent`.
    pub(crate) fn create(parent: &Path) -> io::Result<Self> {
        loop {
            let folder = parent.join(unique());
            let lock_path = folder.with_extension("lock");
            let lock = match fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&lock_path)
            {
                Ok(lock) => lock,
                // A dead run of a process with our id was here.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            if !lock_file(&lock, &lock_path)? || !is_still_at(&lock, &lock_path) {
                // A sweep took the file between its creation and its locking.
                continue;
            }
            // Debris without a lock may have our name; holding the lock makes it ours to remove.
            remove_folder(&folder)?;
            fs::create_dir(&folder)?;
            return Ok(Self { folder, lock_path, _lock: lock });
        }
    }

    /// A path in the folder that nothing has used.
    pub(crate) fn new_path(&self) -> PathBuf {
        self.folder.join(unique())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // A failure here leaves what the next sweep removes. The lock file goes last: without it the folder would be
        // anybody's.
        if remove_folder(&self.folder).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Removes the folders of dead runs below `parent` and returns how many there were.
pub(crate) fn sweep(parent: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for name in names_in(parent)? {
        let path = parent.join(&name);
        if let Some(folder) = name.strip_suffix(".lock").map(|stem| parent.join(stem)) {
            let lock = match fs::File::open(&path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if lock_file(&lock, &path)? && is_still_at(&lock, &path) {
                remove_folder(&folder)?;
                fs::remove_file(&path)?;
                removed += 1;
            }
        } else if !parent.join(format!("{name}.lock")).exists() && path.is_dir() {
            // The lock is made before its folder and removed after it. One without the other is debris; but look again
            // now, because the folder may have been removed and another made between listing and here.
            remove_folder(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Takes the lock without waiting; false if somebody has it.
fn lock_file(file: &fs::File, path: &Path) -> io::Result<bool> {
    match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(at(path, "lock", error)),
    }
}

/// Whether the path still names the open file.
fn is_still_at(file: &fs::File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_spares_the_living_and_removes_the_dead() {
        let parent = tempfile::tempdir().unwrap();
        let living = RunFolder::create(parent.path()).unwrap();
        fs::write(living.new_path(), b"in use").unwrap();
        // What a killed process leaves: a lock file that nobody holds, and its folder.
        fs::write(parent.path().join("77-0.lock"), b"").unwrap();
        fs::create_dir(parent.path().join("77-0")).unwrap();
        fs::write(parent.path().join("77-0/5"), b"half").unwrap();
        fs::create_dir(parent.path().join("78-0")).unwrap();
        assert_eq!(sweep(parent.path()).unwrap(), 2);
        assert!(living.folder.exists());
        assert_eq!(names_in(parent.path()).unwrap().len(), 2, "the living run's folder and lock");
        drop(living);
        assert_eq!(names_in(parent.path()).unwrap(), Vec::<String>::new());
    }
}
