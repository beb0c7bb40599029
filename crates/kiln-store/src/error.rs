//! Why the store, the ledger or an output folder could not be read or written.

use kiln_record::{Advice, ArtifactName, Digest, Epoch, RecordError, RunError, exit};
use std::io;
use std::path::PathBuf;

/// A failure on disk. Every message names the file or folder it is about.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Bytes arrived that are not the expected ones. Nothing was kept.
    #[error("content has digest {found} where {expected} was expected")]
    DigestMismatch {
        /// What should have come.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A blob is not in the store.
    #[error("blob {digest} is not in the store at {}", .root.display())]
    BlobMissing {
        /// Which blob.
        digest: Digest,
        /// The store.
        root: PathBuf,
    },
    /// A blob no longer has the content that its name promises. It has been removed, so that it is fetched or made
    /// anew.
    #[error(
        "blob {digest} in the store was damaged: its content had digest {found}; it has been removed, run the command again"
    )]
    BlobDamaged {
        /// Its name.
        digest: Digest,
        /// The digest of what it held.
        found: Digest,
    },
    /// The folder was written by a later kiln, or is no kiln folder at all.
    #[error("{} says `{found}`, but this kiln reads `{known}`: use a newer kiln, or another folder", .path.display())]
    Format {
        /// The file that states the format.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this kiln knows.
        known: String,
    },
    /// A cache kind is not made of lower-case letters, digits and `-`.
    #[error("`{0}` is not a cache kind: use lower-case letters, digits and `-`")]
    CacheKind(String),
    /// A value has no JSON form.
    #[error("could not write {what} as JSON: {source}")]
    Serialize {
        /// What was to be written.
        what: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The history is another user's, who lets nobody else read it.
    #[error("the history in {} is not to be read by this user", .folder.display())]
    Shut {
        /// The folder with everything that kiln keeps of the workspace.
        folder: PathBuf,
    },
    /// Another kiln works in the workspace.
    #[error(
        "{} is held by {}: wait for it to finish, or stop it", .path.display(),
        .holder.map_or_else(|| "another kiln".to_owned(), |pid| format!("another kiln (process {pid})"))
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, as it wrote itself into the file.
        holder: Option<u32>,
    },
    /// An entry of the ledger is not the one its successor or its folder promises.
    #[error("the ledger is broken at {}: {reason}", .path.display())]
    LedgerBroken {
        /// The entry's folder or file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry of the ledger is known to be lost.
    #[error("build {number} of {artifact} is lost, as was found at {found}: {reason}")]
    EntryLost {
        /// The artifact.
        artifact: ArtifactName,
        /// The build's number.
        number: u64,
        /// When that was found.
        found: Epoch,
        /// What was wrong with the entry.
        reason: String,
    },
    /// A file in which kiln keeps what it knows cannot be understood.
    #[error("{} is damaged: {reason}", .path.display())]
    StateDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk has no room for what is about to be written. Nothing was.
    #[error(
        "{} has room for {free} bytes, and {what} needs {needed}: nothing was begun", .folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// What is to be written there.
        what: String,
        /// Bytes that it needs at least.
        needed: u64,
        /// Bytes that there are.
        free: u64,
    },
    /// The ledger has no such entry.
    #[error(
        "{artifact} has no build {number} in the ledger{}",
        .newest.map_or_else(|| ": it was never built here".to_owned(), |n| format!("; the newest is {n}"))
    )]
    NoSuchEntry {
        /// The artifact.
        artifact: ArtifactName,
        /// The number asked for.
        number: u64,
        /// The newest number there is.
        newest: Option<u64>,
    },
    /// A record in the ledger cannot be read.
    #[error("{}: {source}", .path.display())]
    Record {
        /// The record's file.
        path: PathBuf,
        /// Why not.
        source: RecordError,
    },
    /// A name for a published file is not a plain file name.
    #[error(
        "`{0}` cannot be the name of a published file: it must be one path component that does not start with `.`"
    )]
    FileName(String),
    /// A folder that is to be replaced holds something else than an earlier publication.
    #[error("{} holds something else than an earlier build of this artifact: it is left alone", .0.display())]
    NotPublished(PathBuf),
    /// Something that should be a regular file is not.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file kept changing while it was read.
    #[error("{} changes while it is read: stop whatever writes to it, then try again", .0.display())]
    Unstable(PathBuf),
}

impl RunError for StoreError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Locked { .. } => {
                Advice::exit(exit::STORE_FAILURE).hint("KILN_LOCK_WAIT says how many seconds to wait for it")
            }
            Self::NoSuchEntry { .. } | Self::EntryLost { .. } => Advice::exit(exit::INPUT_INVALID),
            Self::LedgerBroken { .. } | Self::StateDamaged { .. } => Advice::exit(exit::STORE_FAILURE)
                .hint("what else is wrong: kiln verify")
                .hint("set it right from what is left: kiln verify --repair"),
            Self::NoRoom { .. } => Advice::exit(exit::STORE_FAILURE)
                .hint("make room there, or name a store on another disk with KILN_STORE, or an output folder with --dist"),
            Self::Shut { folder } => Advice::exit(exit::STORE_FAILURE)
                .hint(format!("its owner opens it for reading: chmod -R go+rX {}", folder.display())),
            Self::Io(error) => Advice::of(error),
            Self::NotPublished(_) => Advice::exit(exit::STORE_FAILURE)
                .hint("replaced is a folder of files alone with the record.json of this artifact: restore that file if it was lost, or move the folder away")
                .hint("or name another output folder with --dist"),
            Self::CacheKind(_) | Self::FileName(_) | Self::Serialize { .. } => Advice::exit(exit::UNEXPECTED),
            Self::DigestMismatch { .. }
            | Self::BlobMissing { .. }
            | Self::BlobDamaged { .. }
            | Self::Format { .. }
            | Self::Record { .. }
            | Self::NotAFile(_)
            | Self::Unstable(_) => Advice::exit(exit::STORE_FAILURE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(StoreError, kiln_record::Exit, usize)> = vec![
            (StoreError::Io(io::ErrorKind::StorageFull.into()), exit::STORE_FAILURE, 0),
            (StoreError::Shut { folder: PathBuf::from("x") }, exit::STORE_FAILURE, 1),
            (StoreError::Locked { path: PathBuf::from("x"), holder: None }, exit::STORE_FAILURE, 1),
            (
                StoreError::NoSuchEntry { artifact: "x".parse().unwrap(), number: 1, newest: None },
                exit::INPUT_INVALID,
                0,
            ),
            (StoreError::NotPublished(PathBuf::from("x")), exit::STORE_FAILURE, 2),
            (StoreError::CacheKind("x".to_owned()), exit::UNEXPECTED, 0),
            (
                StoreError::LedgerBroken { path: PathBuf::from("x"), reason: "x".to_owned() },
                exit::STORE_FAILURE,
                2,
            ),
            (
                StoreError::StateDamaged { path: PathBuf::from("x"), reason: "x".to_owned() },
                exit::STORE_FAILURE,
                2,
            ),
            (
                StoreError::NoRoom { folder: PathBuf::from("x"), what: "x".to_owned(), needed: 2, free: 1 },
                exit::STORE_FAILURE,
                1,
            ),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
