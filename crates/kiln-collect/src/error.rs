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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(CollectError, kiln_record::Exit, usize)> = vec![
            (CollectError::SourceChanged { path: "x".to_owned() }, exit::INPUT_INVALID, 1),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
