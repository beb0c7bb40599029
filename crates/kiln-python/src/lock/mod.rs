//! Locks: what one says, whatever its format, and how each format is read and held against its project file.

mod file_place;
mod foreign;
mod header;
mod locked;
mod pipfile;
mod pipfile_hash;
mod poetry;
mod poetry_hash;
mod pylock;
mod python_json;
mod read;
mod requirements;
mod requirements_direct;
mod requirements_lines;
mod uv;
mod uv_fresh;

pub use file_place::FilePlace;
pub use header::{LockHeader, LockTarget};
pub use locked::{
    ConflictItem, Lock, LockFormat, Locked, LockedDependency, LockedFile, LockedIndex, SourceFolder, WeakFile,
};
pub use pipfile::parse_pipfile;
pub use poetry::parse_poetry;
pub use pylock::parse_pylock;
pub use read::{NamedText, read_lock};
pub use requirements::parse_requirements;
pub(crate) use requirements_lines::{DEEPEST, MOST_FILES, logical_lines, without_comment, words};
pub use uv::parse_uv;

#[cfg(test)]
pub(crate) use poetry::tests as poetry_tests;
