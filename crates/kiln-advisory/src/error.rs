//! Why advisories or statements could not be read.

use kiln_record::{Advice, RunError, exit};

/// Why advisories or statements could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AdvisoryError {
    /// A path that holds no export.
    #[error("{path} is no export of advisories: {reason}")]
    Export {
        /// The folder or file.
        path: String,
        /// What it lacks, or has too much of.
        reason: String,
    },
    /// A file with statements that cannot be understood.
    #[error("{path}: {reason}")]
    Statements {
        /// The file.
        path: String,
        /// What is wrong, with the line where it is known.
        reason: String,
    },
    /// A document that cannot be written.
    #[error("{artifact}: {reason}")]
    Document {
        /// The artifact.
        artifact: String,
        /// What it lacks.
        reason: String,
    },
    /// Files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl RunError for AdvisoryError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Export { .. } => Advice::exit(exit::INPUT_INVALID).hint(
                "an export is a folder or zip of JSON documents in the form of OSV, one for each advisory, or a folder with such zips",
            ),
            Self::Statements { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("statements are an OpenVEX document (.json), or a file of your own (.toml) as docs/vulnerabilities.md has it"),
            Self::Document { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("name a build with its record: what was only read has no digest to speak of"),
            Self::Io(error) => Advice::of(error),
        }
    }
}
