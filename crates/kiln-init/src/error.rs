//! Why a project cannot be read.

use std::path::PathBuf;

/// Why there is no plan. What is wrong with one file of the project is a remark of the plan instead.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder itself cannot be listed.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// More entries than a project has that somebody could read.
    #[error("{} holds more than {most} files and folders", path.display())]
    TooLarge {
        /// The folder.
        path: PathBuf,
        /// The bound.
        most: usize,
    },
    /// Kiln has a definition of its own that it cannot use; a defect.
    #[error("`{0}` has no base that kiln knows")]
    NoBase(String),
}
