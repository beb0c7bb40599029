//! Who is at work in a store: each run holds a lock with the others, and whoever removes what is not needed holds it alone.

use crate::atomic::at;
use crate::{Result, StoreError};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, flock};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file of the lock. It stays: removing it would let two processes hold locks on two files of one name.
const FILE: &str = "in-use";
/// How often a waiting kiln looks again.
const INTERVAL: Duration = Duration::from_millis(50);

/// With whom a store is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// With every other run.
    Others,
    /// With nobody: what is there may be removed.
    Nobody,
}

/// A run in a store. The kernel ends it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Presence {
    // Held, not read: closing it releases the lock.
    _file: Option<fs::File>,
}

impl Presence {
    /// Takes the lock, waiting up to a limit for whoever is in the way.
    pub(crate) fn begin(root: &Path, company: Company, wait: Duration) -> Result<Self> {
        let path = root.join(FILE);
        let file = match fs::OpenOptions::new().append(true).create(true).mode(0o644).open(&path) {
            Ok(file) => file,
            // Nobody removes anything from a store that cannot be written to.
            Err(error)
                if company == Company::Others
                    && matches!(
                        error.kind(),
                        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
                    ) =>
            {
                return Ok(Self { _file: None });
            }
            Err(error) => return Err(error.into()),
        };
        let operation = match company {
            Company::Others => FlockOperation::NonBlockingLockShared,
            Company::Nobody => FlockOperation::NonBlockingLockExclusive,
        };
        let start = Instant::now();
        loop {
            match flock(file.file(), operation) {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < wait => {
                    std::thread::sleep(INTERVAL.min(wait.saturating_sub(start.elapsed())));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Locked { path, holder: None }),
                Err(error) => return Err(at(&path, "lock", error).into()),
            }
        }
    }
}
