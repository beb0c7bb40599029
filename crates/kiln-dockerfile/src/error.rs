//! Why a Dockerfile gives no image.

use kiln_collect::CollectError;
use kiln_engine::EngineError;
use kiln_guest::{FailedStep, GuestError};
use kiln_image::ImageError;
use kiln_invocation::{InvocationError, end_of_log};
use kiln_pack::PackError;
use kiln_plan::{ArtifactPlan, InvalidFiles};
use kiln_record::{Advice, Defect, Place, RunError, exit};
use kiln_store::StoreError;

/// Why a Dockerfile gives no image.
#[derive(Debug, thiserror::Error)]
pub enum DockerfileError {
    /// A Dockerfile could not be built; `step` is its path, and `place` the instruction that failed.
    #[error("{} of {}, on base `{}`, {}{}", .0.place.as_ref().map_or_else(|| .0.step.clone(), ToString::to_string), .0.artifact, .0.base, .0.reason, end_of_log(&.0.lines))]
    Failed(Box<FailedStep>),
    /// A container of the image has something else than its layers say.
    #[error("the engine's layers and its containers do not agree: {why}")]
    Unlike {
        /// The first difference.
        why: String,
    },
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
    /// Images and packages.
    #[error(transparent)]
    Image(#[from] ImageError),
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

impl DockerfileError {
    /// That an artifact's Dockerfile gives nothing, for this reason, with the end of a log and what may help.
    pub(crate) fn failed(
        plan: &ArtifactPlan,
        reason: String,
        lines: Vec<String>,
        hints: Vec<String>,
    ) -> Self {
        let section = plan.manifest.dockerfile();
        Self::Failed(Box::new(FailedStep {
            artifact: plan.manifest.name.clone(),
            step: section.map_or_else(|| plan.manifest.file.clone(), |section| section.path.clone()),
            base: plan.base.definition.name.clone(),
            place: None,
            reason,
            lines,
            hints,
        }))
    }

    /// The same of the instruction that begins in a line, if it is known which.
    pub(crate) fn in_line(mut self, line: Option<usize>) -> Self {
        if let Self::Failed(failed) = &mut self {
            failed.place = line.map(|line| Place::line(&failed.step, line));
        }
        self
    }
}

impl RunError for DockerfileError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Failed(failed) => Advice::exit(exit::BUILD_STEP_FAILED)
                .at(failed.place.clone())
                .hints(failed.hints.clone())
                .hint("docs/dockerfiles.md says what a Dockerfile has, and what it has not; nothing was published"),
            Self::Unlike { .. } => Advice::exit(exit::BUILD_STEP_FAILED).hint(
                "build it with the engine's other builder (DOCKER_BUILDKIT) or another storage driver; nothing was published",
            ),
            Self::Input(error) => Advice::of(error),
            Self::Invocation(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
            Self::Guest(error) => Advice::of(error),
            Self::Engine(error) => Advice::of(error),
            Self::Image(error) => Advice::of(error),
            Self::Pack(error) => Advice::of(error),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
        }
    }
}

/// What to do where a program is not there that a stage starts, if that is a shell.
pub(crate) fn no_shell(program: &str) -> Option<String> {
    program.ends_with("sh").then(|| {
        format!(
            "what the stage starts from has no {program}, which a RUN in words is given to: write a list, as in RUN [\"/path/of/program\", \"argument\"], or start from an image that has a shell"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(DockerfileError, kiln_record::Exit, usize)> = vec![
            (
                DockerfileError::Failed(Box::new(FailedStep {
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
            (DockerfileError::Unlike { why: "x".to_owned() }, exit::BUILD_STEP_FAILED, 1),
            (CollectError::SourceChanged { path: "x".to_owned() }.into(), exit::INPUT_INVALID, 1),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
