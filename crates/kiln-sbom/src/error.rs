//! What can go wrong while a document is written.

use kiln_record::{Advice, RunError, exit};

/// Why a document cannot be made from a record.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// The record names no archive, so the document would have no subject.
    #[error("the record of `{artifact}` lists no archive: a document needs the file it is about")]
    NoArchive {
        /// The artifact.
        artifact: String,
    },
    /// A component's name and version do not form a package URL.
    #[error("no package URL can be made for component `{component}`: {reason}")]
    PackageUrl {
        /// The component's id.
        component: String,
        /// What the package URL rules say.
        reason: String,
    },
    /// The document has no JSON form.
    #[error("the document cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl RunError for SbomError {
    fn advice(&self) -> Advice<'_> {
        Advice::exit(exit::UNEXPECTED)
    }
}
