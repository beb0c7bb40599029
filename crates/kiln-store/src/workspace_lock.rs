//! One kiln at a time changes a workspace.

use crate::atomic::{at, create_shown};
use crate::{Result, StoreError};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, flock};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a waiting kiln looks again.
const INTERVAL: Duration = Duration::from_millis(50);

/// The right to write to a workspace, held until dropped. The kernel releases it when the process ends, however it ends.
///
/// The lock file stays: removing it would let two processes hold locks on two files of one name.
#[derive(Debug)]
pub struct WorkspaceLock {
    file: fs::File,
}

impl WorkspaceLock {
    /// Takes the lock `<state_dir>/lock`, waiting up to a limit for another kiln to finish. Creates the folder.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the other's process id when the limit has passed; [`StoreError::Io`].
    pub fn acquire(state_dir: &Path, wait: Duration) -> Result<Self> {
        let start = Instant::now();
        loop {
            let (path, mut file) = open(state_dir)?;
            if lock(&path, &file)? {
                return Self::signed(file);
            }
            if start.elapsed() >= wait {
                return Err(StoreError::Locked { holder: holder(&mut file), path });
            }
            std::thread::sleep(INTERVAL.min(wait.saturating_sub(start.elapsed())));
        }
    }

    /// Takes the lock if nobody has it; `None` if somebody does.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn try_acquire(state_dir: &Path) -> Result<Option<Self>> {
        let (path, file) = open(state_dir)?;
        if lock(&path, &file)? { Self::signed(file).map(Some) } else { Ok(None) }
    }

    /// The process that holds the lock, as it wrote itself into the file; `None` if nobody does.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn holder(state_dir: &Path) -> Result<Option<u32>> {
        let (_, mut file) = open(state_dir)?;
        Ok(holder(&mut file))
    }

    /// Writes our process id into the file, for whoever has to wait.
    fn signed(mut file: fs::File) -> Result<Self> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        Ok(Self { file })
    }
}

impl Drop for WorkspaceLock {
    fn drop(&mut self) {
        // Only so that nobody reads a stale id; closing the file is what releases the lock.
        let _ = self.file.set_len(0);
    }
}

fn open(state_dir: &Path) -> Result<(PathBuf, fs::File)> {
    create_shown(state_dir)?;
    let path = state_dir.join("lock");
    let file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path)?;
    Ok((path, file))
}

fn lock(path: &Path, file: &fs::File) -> Result<bool> {
    match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(at(path, "lock", error).into()),
    }
}

fn holder(file: &mut fs::File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
