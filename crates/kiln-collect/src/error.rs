//! Why parts do not become a tree.

use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_record::{Advice, Defect, RunError, exit};
use kiln_store::StoreError;

/// Why files cannot be read or do not go together.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A file changed between planning and packing.
    #[error("{path} changed while it was being built")]
    SourceChanged {
        /// The file.
        path: String,
    },
    /// Files of the workspace are wrong.
    #[error(transparent)]
    Input(#[from] InvalidFiles),
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

impl RunError for CollectError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::SourceChanged { .. } => {
                Advice::exit(exit::INPUT_INVALID).hint("build again when nothing writes to the source")
            }
            Self::Input(error) => Advice::of(error),
            Self::Pack(error) => Advice::of(error),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
        }
    }
}
