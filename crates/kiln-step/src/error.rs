//! Why a step or an upstream source gives no files.

use kiln_collect::CollectError;
use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_guest::{FailedStep, GuestError};
use kiln_invocation::{InvocationError, end_of_log};
use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_record::{Advice, Defect, Digest, RunError, exit};
use kiln_store::StoreError;

/// Why a step or an upstream source gives no files.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// An upstream source cannot be had.
    #[error("{file}: upstream source `{name}`: {source}")]
    Upstream {
        /// The manifest, relative to the workspace.
        file: String,
        /// The source.
        name: String,
        /// What git says, or what is wrong with what it brought.
        source: Box<FetchError>,
    },
    /// A repository gives other content for a commit than was locked.
    #[error("upstream source `{name}`: commit {commit} has the tree {found}, but {lock} says {expected}")]
    UpstreamDiffers {
        /// The source.
        name: Box<str>,
        /// The lock, relative to the workspace.
        lock: Box<str>,
        /// The commit.
        commit: Box<str>,
        /// The tree that is locked.
        expected: Digest,
        /// The tree that was found.
        found: Digest,
    },
    /// A step of an artifact failed.
    #[error(
        "the step `{}` of {}, in base `{}`, {}{}",
        .0.step, .0.artifact, .0.base, .0.reason, end_of_log(&.0.lines)
    )]
    Failed(Box<FailedStep>),
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

impl RunError for StepError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Upstream { source, .. } => {
                let advice = Advice::exit(match **source {
                    FetchError::NotInRepository { .. } => exit::INPUT_INVALID,
                    _ => source.exit(),
                })
                .hint("check `git`, `revision` (a tag, a branch, or all 40 digits of a commit) and `folder` under [[upstream]]");
                match **source {
                    FetchError::NotInRepository { .. } => advice,
                    _ => advice.hint("git must reach the repository from here without asking for a login"),
                }
            }
            Self::UpstreamDiffers { lock, .. } => Advice::exit(exit::FETCH_FAILED)
                .hint(format!(
                    "a commit has one content: {lock} was edited, or the repository does not give what it gave before"
                ))
                .hint("nothing was kept; find out which before going on"),
            Self::Failed(failed) => Advice::exit(exit::BUILD_STEP_FAILED)
                .hints(failed.hints.clone())
                .hint("docs/steps.md says what a step has, and what it has not; nothing was published"),
            Self::Input(error) => Advice::of(error),
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
        let rows: Vec<(StepError, kiln_record::Exit, usize)> = vec![
            (
                StepError::Upstream {
                    file: "x".to_owned(),
                    name: "x".to_owned(),
                    source: Box::new(FetchError::NotFound { url: "x".to_owned() }),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                StepError::Upstream {
                    file: "x".to_owned(),
                    name: "x".to_owned(),
                    source: Box::new(FetchError::NotInRepository {
                        url: "x".to_owned(),
                        why: "x".to_owned(),
                    }),
                },
                exit::INPUT_INVALID,
                1,
            ),
            (
                StepError::UpstreamDiffers {
                    name: "x".into(),
                    lock: "x".into(),
                    commit: "x".into(),
                    expected: Digest::of(b""),
                    found: kiln_record::Digest::of(b""),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                StepError::Failed(Box::new(FailedStep {
                    artifact: "app".parse().unwrap(),
                    step: "x".to_owned(),
                    base: "base".parse().unwrap(),
                    place: None,
                    reason: "x".to_owned(),
                    lines: Vec::new(),
                    hints: vec!["x".to_owned()],
                })),
                exit::BUILD_STEP_FAILED,
                2,
            ),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
