//! Files that appear whole or not at all.

use crate::{Result, StoreError};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Permission bits of every file meant for others, whatever the umask.
pub(crate) const FILE_MODE: u32 = 0o644;
/// Permission bits of every folder meant for others, whatever the umask.
pub(crate) const FOLDER_MODE: u32 = 0o755;

/// How many files and folders are brought to the disk at once.
const SYNCED_AT_ONCE: usize = 8;

/// Permission bits of a file that only this run reads.
pub(crate) const PRIVATE_FILE: u32 = 0o600;

/// Permission bits of a folder that kiln makes for itself: what a private index served is nobody else's.
pub(crate) const PRIVATE_MODE: u32 = 0o700;

/// Replaces a file: readers see the old content or the new, never a part, and a crash leaves one of the two.
///
/// The file's mode is 0644, whatever the umask and whatever was there. A process killed on the way may leave a file
/// `.<name>.<process>-<number>.tmp` beside it, which [`sweep_unfinished`] removes.
///
/// # Errors
/// [`StoreError::Io`] if the folder does not exist or cannot be written; the old file is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = replace(path, |temporary| write_synced(temporary, bytes))?;
    sync_folder(folder)?;
    Ok(())
}

/// The same for what is only known faster with it: nobody waits for the disk. After a power failure there may be anything, which whoever
/// reads it has to take for nothing.
pub(crate) fn write_cache(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |temporary| write_new(temporary, bytes).map(drop)).map(drop)
}

/// Puts what is written into a file beside it in the place of a file, and says in which folder that is.
fn replace(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<&Path> {
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(StoreError::NotAFile(path.to_owned())),
    };
    let name = path.file_name().ok_or_else(|| StoreError::NotAFile(path.to_owned()))?;
    let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), unique()));
    let written = write(&temporary).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one worth reporting; a leftover is only untidy.
        let _ = fs::remove_file(&temporary);
        return Err(error.into());
    }
    Ok(folder)
}

/// Removes what killed calls of [`write_atomically`] left in a folder, and returns how many files there were. The caller
/// knows that nobody else writes there.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sweep_unfinished(folder: &Path) -> Result<usize> {
    let mut removed = 0;
    for name in names_in(folder)?.iter().filter(|name| is_unfinished(name)) {
        fs::remove_file(folder.join(name))?;
        removed += 1;
    }
    Ok(removed)
}

/// Whether a name is one that [`write_atomically`] gives to a file before it is complete.
fn is_unfinished(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let middle = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp"));
    middle
        .and_then(|middle| middle.rsplit_once('.'))
        .and_then(|(_, unique)| unique.split_once('-'))
        .is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// Creates a file of mode 0644 that did not exist, writes and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new(path, bytes)?.sync_all()
}

/// The same without waiting for the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<fs::File> {
    let mut file = create_new(path)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Brings files and folders to the disk, several at once: each waits for the same journal of the file system.
pub(crate) fn sync_all(paths: &[PathBuf]) -> io::Result<()> {
    for some in paths.chunks(SYNCED_AT_ONCE) {
        std::thread::scope(|scope| {
            let sync = |path| scope.spawn(move || fs::File::open(path)?.sync_all());
            let syncing: Vec<_> = some.iter().map(sync).collect();
            syncing.into_iter().try_for_each(|thread| match thread.join() {
                Ok(synced) => synced,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
    }
    Ok(())
}

/// Creates a file that did not exist.
pub(crate) fn create_new(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Makes a folder that only its owner may look into; one that is there is left as it is. The folders above are made as
/// the umask says.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(PRIVATE_MODE).create(folder) {
        // Another process was as fast.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other.map_err(|error| at(folder, "create directory", error)),
    }
}

/// Makes a folder that others may look into, whatever the umask, with those above it; one that is there is left as it is.
pub(crate) fn create_shown(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, std::fs::Permissions::from_mode(FOLDER_MODE)),
        // Another process was as fast.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Makes renames in a folder survive a power failure.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Removes a folder and everything in it; one that is not there is fine.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a whole file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    read_or_reason(path, limit)?
        .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display())))
}

/// The same, with a reason, as a clause, where what is there cannot be such a file. A pipe is not waited for.
pub(crate) fn read_or_reason(path: &Path, limit: u64) -> io::Result<Result<Option<Vec<u8>>, String>> {
    let size = match fs::metadata(path) {
        Ok(there) if !there.is_file() => return Ok(Err("it is no regular file".to_owned())),
        Ok(there) => there.len().min(limit),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(match bytes.len() as u64 > limit {
        true => Err(format!("it is larger than the {limit} bytes that such a file may have")),
        false => Ok(Some(bytes)),
    })
}

/// The names in a folder, sorted; none if the folder is not there. Names that are not UTF-8 are never kiln's.
pub(crate) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A text that no other living process and no other call in this one has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Adds the path to an error of a system call that does not know it.
pub(crate) fn at(path: &Path, what: &str, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("failed to {what} {}: {error}", path.display()))
}

/// The path of a file beside another, in the same folder.
pub(crate) fn beside(folder: &Path, prefix: &str, name: &str) -> PathBuf {
    folder.join(format!("{prefix}{name}-{}", unique()))
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
pub(crate) struct Unfinished(pub(crate) PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there after a commit, and the next sweep removes what cannot be removed now.
        let _ = std::fs::remove_file(&self.0);
    }
}
