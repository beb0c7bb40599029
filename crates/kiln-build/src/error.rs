//! Why a build broke. A wrong build is a finding, not an error.

use kiln_check::CheckError;
use kiln_collect::CollectError;
use kiln_dockerfile::DockerfileError;
use kiln_guest::GuestError;
use kiln_image::ImageError;
use kiln_invocation::InvocationError;
use kiln_pack::PackError;
use kiln_publish::PublishError;
use kiln_record::{Advice, ArtifactName, Defect, Digest, Finding, RunError, exit};
use kiln_step::StepError;
use kiln_store::StoreError;
use kiln_wheel::WheelError;

/// Why a build broke, whichever stage met it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A base is not pinned where only a pinned one will do.
    #[error("{}", .0.cause)]
    Denied(Box<Finding>),
    /// Blobs of the store were not what they should be; they have been removed.
    #[error("{} of the store's files were damaged and have been removed: {}", .damaged.len(), .damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    StoreDamaged {
        /// Their digests.
        damaged: Vec<Digest>,
    },
    /// The packed archive does not hold the tree that was verified.
    #[error(
        "{artifact}: the archive reads back as tree {found}, but {expected} was packed; this is a defect in kiln"
    )]
    ArchiveDiffers {
        /// The artifact.
        artifact: ArtifactName,
        /// The tree that was verified.
        expected: Digest,
        /// The tree read back.
        found: Digest,
    },
    /// It came to something else than it was to come to.
    #[error(
        "{artifact} is not what {label} describes: its {file} is {}, and {} was expected; {first}",
        told(found.as_ref()),
        told(expected.as_ref())
    )]
    NotAsExpected {
        /// The artifact.
        artifact: ArtifactName,
        /// What says what it must be.
        label: String,
        /// The first published file that is another.
        file: String,
        /// What it should be.
        expected: Option<Digest>,
        /// What it is.
        found: Option<Digest>,
        /// The first file inside that differs.
        first: String,
    },
    /// What every part of a run shares.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Collecting.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// Bases and the programs in them.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// Distributions.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// Steps and upstream sources.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Dockerfiles.
    #[error(transparent)]
    Dockerfile(#[from] DockerfileError),
    /// Checks.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Publishing.
    #[error(transparent)]
    Publish(#[from] PublishError),
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

/// A digest, or that there is none.
fn told(digest: Option<&Digest>) -> String {
    digest.map_or_else(|| "not there".to_owned(), ToString::to_string)
}

/// What comes of a stage: see [`kiln_collect::Judged`].
pub(crate) type Judged<T> = kiln_collect::Judged<T, BuildError>;

impl RunError for BuildError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Denied(finding) => Advice::exit(exit::FINDINGS_DENIED).hints(finding.remedy.clone()),
            Self::StoreDamaged { .. } => Advice::exit(exit::STORE_FAILURE)
                .hint("run the command again: they are downloaded or made anew"),
            Self::ArchiveDiffers { .. } => Advice::exit(exit::UNEXPECTED),
            Self::NotAsExpected { label, artifact, .. } => {
                let advice = Advice::exit(exit::NOT_REPRODUCIBLE)
                    .hint("nothing was published: what was published before is as it was");
                match label.ends_with(".json") {
                    true => advice.hint(format!(
                        "to see all that differs: build without --expect, then kiln diff {label} {artifact}"
                    )),
                    false => advice,
                }
            }
            Self::Invocation(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
            Self::Guest(error) => Advice::of(error),
            Self::Wheel(error) => Advice::of(error),
            Self::Step(error) => Advice::of(error),
            Self::Dockerfile(error) => Advice::of(error),
            Self::Check(error) => Advice::of(error),
            Self::Publish(error) => Advice::of(error),
            Self::Image(error) => Advice::of(error),
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
    use kiln_record::Code;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(BuildError, kiln_record::Exit, usize)> = vec![
            (
                BuildError::Denied(Box::new(Finding::new(Code::LockStale, "x", "y").remedy("z"))),
                exit::FINDINGS_DENIED,
                1,
            ),
            (BuildError::StoreDamaged { damaged: Vec::new() }, exit::STORE_FAILURE, 1),
            (
                BuildError::ArchiveDiffers {
                    artifact: "app".parse().unwrap(),
                    expected: Digest::of(b""),
                    found: kiln_record::Digest::of(b""),
                },
                exit::UNEXPECTED,
                0,
            ),
            (
                BuildError::NotAsExpected {
                    artifact: "app".parse().unwrap(),
                    label: "a/record.json".to_owned(),
                    file: "app.zip".to_owned(),
                    expected: Some(Digest::of(b"")),
                    found: None,
                    first: "x".to_owned(),
                },
                exit::NOT_REPRODUCIBLE,
                2,
            ),
            (WheelError::from(GuestError::from(InvocationError::Interrupted)).into(), exit::INTERRUPTED, 1),
            (
                StepError::Failed(Box::new(kiln_guest::FailedStep {
                    artifact: "app".parse().unwrap(),
                    step: "x".to_owned(),
                    base: "base".parse().unwrap(),
                    place: None,
                    reason: "x".to_owned(),
                    lines: Vec::new(),
                    hints: Vec::new(),
                }))
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

    /// What is told is what was met, through however many crates it came.
    #[test]
    fn the_root_is_found_through_all_crates() {
        let met = GuestError::NoMirror { base: "base".parse().unwrap() };
        let error = BuildError::from(WheelError::from(met));
        let root = (&error as &dyn RunError).root() as &(dyn std::error::Error + 'static);
        assert!(matches!(root.downcast_ref(), Some(GuestError::NoMirror { .. })), "{root:?}");
    }
}
