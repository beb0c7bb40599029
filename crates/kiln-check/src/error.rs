//! Why a check could not be made. What a check finds is a finding.

use kiln_collect::CollectError;
use kiln_engine::EngineError;
use kiln_guest::GuestError;
use kiln_invocation::InvocationError;
use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_record::{Advice, Defect, RunError};
use kiln_store::StoreError;

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Files of the workspace are wrong.
    #[error(transparent)]
    Input(#[from] InvalidFiles),
    /// What every part of a run shares.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Collecting.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// Bases and the programs in them.
    #[error(transparent)]
    Guest(#[from] GuestError),
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

impl RunError for CheckError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Input(error) => Advice::of(error),
            Self::Invocation(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
            Self::Guest(error) => Advice::of(error),
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
    use kiln_record::exit;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(CheckError, kiln_record::Exit, usize)> = vec![
            (CollectError::SourceChanged { path: "x".to_owned() }.into(), exit::INPUT_INVALID, 1),
            (
                GuestError::Program {
                    what: "pip",
                    base: "base".parse().unwrap(),
                    how: "with exit code 1".to_owned(),
                    lines: Vec::new(),
                }
                .into(),
                exit::BUILD_STEP_FAILED,
                1,
            ),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
