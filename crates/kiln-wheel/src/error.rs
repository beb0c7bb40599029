//! Why a distribution cannot be had.

use kiln_collect::CollectError;
use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_guest::GuestError;
use kiln_invocation::{InvocationError, end_of_log, listed};
use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_python::{InvalidInput, PythonError};
use kiln_record::{Advice, BaseName, Defect, Digest, RunError, exit};
use kiln_store::StoreError;

/// Why a distribution cannot be chosen, brought, built or packaged.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The index lacks some of the files that the lock names: which wheel is best cannot be told.
    #[error(
        "{distribution} {version}: {unlisted} of the {locked} files that {lock} names are not in the index at {index}"
    )]
    NotAllListed {
        /// The distribution.
        distribution: String,
        /// Its locked version.
        version: String,
        /// File and line of the lock.
        lock: String,
        /// The index, without credentials.
        index: String,
        /// Files of the lock that it does not list.
        unlisted: usize,
        /// Files of the lock.
        locked: usize,
    },
    /// The index offers no file with a locked hash.
    #[error(
        "{distribution} {version}: the index has no file with a hash that {lock} names\n  locked:{}\n  offered:{}",
        listed(.locked), listed(.offered)
    )]
    HashNotLocked {
        /// The distribution.
        distribution: String,
        /// Its locked version.
        version: String,
        /// File and line of the lock.
        lock: String,
        /// The files of this version that the index has, with their hashes.
        offered: Vec<String>,
        /// The hashes that the lock has for it.
        locked: Vec<Digest>,
    },
    /// A file of the lock's hash is not the wheel that it should be.
    #[error("{file}: {source}")]
    Unusable {
        /// The wheel.
        file: String,
        /// What is wrong.
        source: PythonError,
    },
    /// A source distribution cannot be built.
    #[error("the build of {sdist} in base `{base}` {reason}{}", end_of_log(.lines))]
    SdistBuild {
        /// The source distribution.
        sdist: String,
        /// The base.
        base: BaseName,
        /// What is wrong, after the name.
        reason: String,
        /// The end of its log.
        lines: Vec<String>,
        /// What the log means, where that can be told.
        hints: Vec<String>,
    },
    /// Files of the workspace are wrong.
    #[error(transparent)]
    Input(#[from] InvalidFiles),
    /// A dependency lock or project file is wrong.
    #[error(transparent)]
    Lock(#[from] InvalidInput),
    /// What every part of a run shares.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Collecting.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// Bases and the programs in them.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The engine.
    #[error("failed to {0}")]
    Engine(#[from] EngineError),
    /// Archives.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The store and the ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What cannot be.
    #[error(transparent)]
    Defect(#[from] Defect),
}

/// What comes of a stage: see [`kiln_collect::Judged`].
pub(crate) type Judged<T> = kiln_collect::Judged<T, WheelError>;

impl RunError for WheelError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::NotAllListed { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("which wheel is the best depends on all of them, so kiln would build something else here than elsewhere")
                .hint("use an index that has every file of the lock, or lock again against this one"),
            Self::HashNotLocked { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("if the lock is right, the index serves other files than it was made from: find out why before going on")
                .hint("if files were added since, lock again with the tool that made the lock"),
            Self::Unusable { .. } => Advice::exit(exit::FETCH_FAILED),
            Self::SdistBuild { hints, base, .. } if !hints.is_empty() => Advice::exit(exit::BUILD_STEP_FAILED)
                .hints(hints.clone())
                .hint(format!("docs/python.md says what a build has in base `{base}`, and what it has not")),
            Self::SdistBuild { .. } => Advice::exit(exit::BUILD_STEP_FAILED)
                .hint("docs/python.md says what a build has, and what it has not; nothing was published"),
            Self::Input(error) => Advice::of(error),
            Self::Lock(error) => Advice::of(error),
            Self::Invocation(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
            Self::Guest(error) => Advice::of(error),
            Self::Fetch(error) => Advice::of(error),
            Self::Engine(error) => Advice::of(error),
            Self::Pack(error) => Advice::of(error),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(WheelError, kiln_record::Exit, usize)> = vec![
            (
                WheelError::NotAllListed {
                    distribution: "x".to_owned(),
                    version: "x".to_owned(),
                    lock: "x".to_owned(),
                    index: "x".to_owned(),
                    unlisted: 1,
                    locked: 2,
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                WheelError::HashNotLocked {
                    distribution: "x".to_owned(),
                    version: "x".to_owned(),
                    lock: "x".to_owned(),
                    offered: Vec::new(),
                    locked: Vec::new(),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                WheelError::Unusable {
                    file: "x".to_owned(),
                    source: PythonError::InvalidWheel { file_name: "x".to_owned(), reason: "x".to_owned() },
                },
                exit::FETCH_FAILED,
                0,
            ),
            (
                WheelError::SdistBuild {
                    sdist: "x".to_owned(),
                    base: "base".parse().unwrap(),
                    reason: "x".to_owned(),
                    lines: Vec::new(),
                    hints: Vec::new(),
                },
                exit::BUILD_STEP_FAILED,
                1,
            ),
            (
                WheelError::SdistBuild {
                    sdist: "x".to_owned(),
                    base: "base".parse().unwrap(),
                    reason: "x".to_owned(),
                    lines: Vec::new(),
                    hints: vec!["x".to_owned()],
                },
                exit::BUILD_STEP_FAILED,
                2,
            ),
            (InvalidInput(Vec::new()).into(), exit::INPUT_INVALID, 0),
            (GuestError::NoMirror { base: "base".parse().unwrap() }.into(), exit::FETCH_FAILED, 2),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
