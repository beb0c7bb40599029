//! Why a lock cannot be made.

use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_guest::GuestError;
use kiln_image::ImageError;
use kiln_invocation::{InvocationError, indented};
use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_python::{InvalidInput, PythonError};
use kiln_record::{Advice, ArtifactName, BaseName, Defect, Finding, Platform, RunError, exit};
use kiln_step::StepError;
use kiln_store::StoreError;
use kiln_wheel::WheelError;

/// Why a lock cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A mirror's release is not signed by a key of the base's keyring, or is no release.
    #[error("{url} is refused for base `{base}`, with the keys of images/{keyring}: {source}")]
    Release {
        /// The base.
        base: BaseName,
        /// Where the release came from, without credentials.
        url: String,
        /// The keyring, relative to `images/`.
        keyring: String,
        /// What is wrong.
        source: Box<ImageError>,
    },
    /// A release has a good signature and is not the newest: its time has passed, or a newer one is locked.
    #[error("base `{base}`: the release at {url} is not taken: {reason}")]
    Stale {
        /// The base.
        base: BaseName,
        /// Its definition.
        file: String,
        /// Where the release came from, without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// What an artifact asks for cannot be resolved.
    #[error("{artifact}: what {input} asks for cannot be locked for {target}; uv says:{}", indented(.lines))]
    Unresolved {
        /// The artifact.
        artifact: ArtifactName,
        /// The file that says what is asked for.
        input: Box<str>,
        /// The target.
        target: Box<str>,
        /// What the resolver said.
        lines: Vec<String>,
        /// Distributions of which there are only source distributions.
        only_source: Vec<String>,
        /// Whether the resolver says that the requirements contradict each other or the index; else it broke.
        unsatisfiable: bool,
    },
    /// An image in a registry is for another platform than the one that it is to be pinned for.
    #[error("base `{base}`: {reference} is for {found}, and images/{base}.toml asks for {wanted}")]
    OtherPlatform {
        /// The base.
        base: BaseName,
        /// The reference.
        reference: Box<str>,
        /// The platform of the definition.
        wanted: Platform,
        /// What the image's config or the index says.
        found: Box<str>,
    },
    /// A tool that kiln runs on this machine does not do what it should.
    #[error("{tool}: {reason}")]
    Tool {
        /// The tool with its version.
        tool: String,
        /// What is wrong.
        reason: String,
    },
    /// A base is not pinned where only a pinned one will do.
    #[error("{}", .0.cause)]
    Denied(Box<Finding>),
    /// What was named is there, or is of the kind asked for, but cannot be used for this.
    #[error("{what}: {reason}")]
    NotUsable {
        /// A build, a file or a reference, as it was given.
        what: String,
        /// Why.
        reason: String,
    },
    /// Files of the workspace are wrong.
    #[error(transparent)]
    Input(#[from] InvalidFiles),
    /// A dependency lock or project file is wrong.
    #[error(transparent)]
    Lock(#[from] InvalidInput),
    /// What every part of a run shares.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Bases and the programs in them.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// Distributions.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// Steps and upstream sources.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Wheels, and what a Python in a base says.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
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

impl RunError for LockError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Release { keyring, source, .. } => Advice::exit(match **source {
                ImageError::Io { .. } => source.exit(),
                _ => exit::FETCH_FAILED,
            })
            .hint("nothing was pinned: a mirror, or a proxy on the way, changes files or is not what it should be")
            .hint(format!(
                "if the suite is signed by newer keys, bring images/{keyring} up to date from a source that you trust"
            )),
            Self::Stale { file, .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("nothing was pinned: the mirror holds updates back or is broken; try another one")
                .hint(format!(
                    "for an archive that is kept as it was on purpose (a snapshot, a suite without maintenance): frozen = true under [debian] in {file}"
                )),
            Self::Unresolved { only_source, unsatisfiable, input, .. } => {
                let advice = Advice::exit(if *unsatisfiable { exit::INPUT_INVALID } else { exit::FETCH_FAILED });
                if !only_source.is_empty() {
                    let sdists = only_source.iter().map(|name| {
                        format!("{name} has no wheel that fits, only a source distribution: to let it be built, name it in `sdists` under [python] (see docs/python.md)")
                    });
                    advice.hints(sdists).hint(format!(
                        "ask for a version that has a wheel, or for something else, in {input}; the lock is as it was"
                    ))
                } else if *unsatisfiable {
                    advice.hint(format!("change what {input} asks for, or the target; the lock is as it was"))
                } else {
                    advice.hint("the lock is as it was")
                }
            }
            Self::OtherPlatform { base, wanted, .. } => Advice::exit(exit::INPUT_INVALID)
                .hint(format!("take {wanted} out of `platforms` in images/{base}.toml"))
                .hint(format!("or name a reference that has an image for {wanted}; nothing was pinned")),
            Self::Tool { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("name a version that can be used: kiln lock --tools --tool uv==VERSION"),
            Self::Denied(finding) => Advice::exit(exit::FINDINGS_DENIED).hints(finding.remedy.clone()),
            Self::NotUsable { .. } => Advice::exit(exit::INPUT_INVALID),
            Self::Input(error) => Advice::of(error),
            Self::Lock(error) => Advice::of(error),
            Self::Invocation(error) => Advice::of(error),
            Self::Guest(error) => Advice::of(error),
            Self::Wheel(error) => Advice::of(error),
            Self::Step(error) => Advice::of(error),
            Self::Python(error) => Advice::of(error),
            Self::Fetch(error) => Advice::of(error),
            Self::Engine(error) => Advice::of(error),
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
        let rows: Vec<(LockError, kiln_record::Exit, usize)> = vec![
            (
                LockError::Release {
                    base: "base".parse().unwrap(),
                    url: "x".to_owned(),
                    keyring: "x".to_owned(),
                    source: Box::new(ImageError::BadSignature { reasons: Vec::new() }),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                LockError::Stale {
                    base: "base".parse().unwrap(),
                    file: "x".to_owned(),
                    url: "x".to_owned(),
                    reason: "x".to_owned(),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                LockError::Unresolved {
                    artifact: "app".parse().unwrap(),
                    input: "x".into(),
                    target: "x".into(),
                    lines: Vec::new(),
                    only_source: Vec::new(),
                    unsatisfiable: true,
                },
                exit::INPUT_INVALID,
                1,
            ),
            (
                LockError::Unresolved {
                    artifact: "app".parse().unwrap(),
                    input: "x".into(),
                    target: "x".into(),
                    lines: Vec::new(),
                    only_source: Vec::new(),
                    unsatisfiable: false,
                },
                exit::FETCH_FAILED,
                1,
            ),
            (
                LockError::Unresolved {
                    artifact: "app".parse().unwrap(),
                    input: "x".into(),
                    target: "x".into(),
                    lines: Vec::new(),
                    only_source: vec!["x".to_owned(), "x".to_owned()],
                    unsatisfiable: true,
                },
                exit::INPUT_INVALID,
                3,
            ),
            (
                LockError::OtherPlatform {
                    base: "base".parse().unwrap(),
                    reference: "x".into(),
                    wanted: "linux/arm64".parse().unwrap(),
                    found: "linux/amd64".into(),
                },
                exit::INPUT_INVALID,
                2,
            ),
            (LockError::Tool { tool: "x".to_owned(), reason: "x".to_owned() }, exit::FETCH_FAILED, 1),
            (
                LockError::Denied(Box::new(Finding::new(Code::LockStale, "x", "y").remedy("z"))),
                exit::FINDINGS_DENIED,
                1,
            ),
            (LockError::NotUsable { what: "x".to_owned(), reason: "x".to_owned() }, exit::INPUT_INVALID, 0),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
