//! Why something could not be looked for.

use kiln_record::{Advice, RunError, exit};
use kiln_store::StoreError;

/// Why something could not be looked for. That it is nowhere is no error.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A query that cannot be understood.
    #[error("`{text}` cannot be looked for: {reason}")]
    Query {
        /// The query.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A place that holds nothing to look into.
    #[error("{place}: {reason}")]
    Place {
        /// The place.
        place: String,
        /// What it lacks.
        reason: String,
    },
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The forms of queries.
const FORMS: &str = "a query is a name with or without versions (`urllib3<2.5`, `libssl3>=3.0.14`), a package URL (pkg:pypi/urllib3), license:GPL-3.0*, base:NAME or base:sha256:…, file:sha256:…, or library:libssl.so*";

impl RunError for FindError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Query { .. } => Advice::exit(exit::USAGE).hint(FORMS),
            Self::Place { .. } => Advice::exit(exit::INPUT_INVALID).hint(
                "name a folder with a ledger, with published artifacts, or with files called record.json",
            ),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
        }
    }
}
