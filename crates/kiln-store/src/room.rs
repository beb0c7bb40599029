//! Whether a disk has room for what is about to be written.

use crate::atomic::at;
use crate::{Result, StoreError};
use std::path::Path;

/// Bytes that this process may still write where a folder is or would be; none where the system does not tell.
///
/// # Errors
/// [`StoreError::Io`].
pub fn free_space(folder: &Path) -> Result<Option<u64>> {
    // A folder that is yet to be made lies on the disk of the nearest one that is there.
    let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else { return Ok(None) };
    let told = rustix::fs::statvfs(there).map_err(|error| at(there, "ask for the free space of", error))?;
    // Some file systems have no limit to tell.
    if told.f_blocks == 0 {
        return Ok(None);
    }
    Ok(Some(told.f_bavail.saturating_mul(told.f_frsize)))
}

/// Makes sure that there is room for a number of bytes before they are written.
///
/// # Errors
/// [`StoreError::NoRoom`]; [`StoreError::Io`].
pub fn has_room(folder: &Path, what: &str, needed: u64) -> Result<()> {
    match free_space(folder)? {
        Some(free) if free < needed => {
            Err(StoreError::NoRoom { folder: folder.to_owned(), what: what.to_owned(), needed, free })
        }
        _ => Ok(()),
    }
}
