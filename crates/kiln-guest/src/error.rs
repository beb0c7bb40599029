//! Why a base, or a program in one, cannot be used.

use kiln_collect::CollectError;
use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_image::ImageError;
use kiln_invocation::{InvocationError, indented};
use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_python::PythonError;
use kiln_record::{Advice, ArtifactName, BaseName, Defect, Digest, Place, Platform, RunError, exit};
use kiln_store::StoreError;

/// Why a base, or a program in one, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A base cannot be run here, and nothing that can tells the same of its Python.
    #[error(
        "base `{base}` for {platform} cannot be asked about its Python: the engine here runs {here} alone, and {reason}"
    )]
    ForeignBase {
        /// The base.
        base: BaseName,
        /// The platform that is asked for.
        platform: Platform,
        /// What the engine runs, as Lambda calls it.
        here: &'static str,
        /// Why the base's twin for that does not say it.
        reason: String,
    },
    /// No Debian mirror is configured anywhere.
    #[error("no Debian mirror is known for base `{base}`")]
    NoMirror {
        /// The base.
        base: BaseName,
    },
    /// A package of a base lock is gone from the mirror and the snapshot.
    #[error(
        "package {file} of base `{base}`, locked in images/{base}.lock, is no longer to be had: {source}"
    )]
    PackageGone {
        /// The base.
        base: BaseName,
        /// The `.deb`.
        file: String,
        /// What the servers said.
        source: Box<FetchError>,
    },
    /// The registry of a base did not give the image that is asked for.
    #[error("base `{base}`: failed to {source}")]
    Registry {
        /// The base.
        base: BaseName,
        /// Whether it stands in place of the one that the base's definition states.
        is_mirror: bool,
        /// What the engine says.
        source: Box<EngineError>,
    },
    /// The assembled base is not the one that the lock names.
    #[error("base `{base}` was assembled as {found}, but its lock says {expected}")]
    BaseDiffers {
        /// The base.
        base: BaseName,
        /// The manifest digest in the lock.
        expected: Digest,
        /// The manifest digest that was assembled.
        found: Digest,
    },
    /// The engine holds another image than the one that was loaded.
    #[error("base `{base}`: the engine's image {found} is not the one that was loaded, {expected}")]
    EngineImageDiffers {
        /// The base.
        base: BaseName,
        /// What was loaded.
        expected: String,
        /// What the engine says it has.
        found: String,
    },
    /// A program in a container failed.
    #[error("{what} failed in base `{base}` {how}{}", indented(.lines))]
    Program {
        /// What was run.
        what: &'static str,
        /// The base.
        base: BaseName,
        /// How it ended, as a clause: `with exit code 2`.
        how: String,
        /// The last lines it wrote.
        lines: Vec<String>,
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

/// Something that a manifest has run in a base and that failed there.
#[derive(Debug)]
pub struct FailedStep {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The step.
    pub step: String,
    /// The base.
    pub base: BaseName,
    /// The line of a file of the workspace in which it failed, if that can be told.
    pub place: Option<Place>,
    /// What is wrong, after the name.
    pub reason: String,
    /// The end of its log.
    pub lines: Vec<String>,
    /// What the log means, where that can be told.
    pub hints: Vec<String>,
}

impl RunError for GuestError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::ForeignBase { base, here, .. } => Advice::exit(exit::ENGINE_UNAVAILABLE)
                .hint(format!(
                    "lock the base for {here} too, from one state of its source: add it to `platforms` in images/{base}.toml and run: kiln lock --base {base}"
                ))
                .hint("or use an engine that can run the platform"),
            Self::NoMirror { base } => Advice::exit(exit::FETCH_FAILED)
                .hint(format!(
                    "name one in images/{base}.toml ([debian] mirror = \"…\") or in kiln.toml ([debian] mirror = \"…\")"
                ))
                .hint("or set KILN_DEBIAN_MIRROR; on Debian, kiln takes the mirror of apt's own sources"),
            Self::PackageGone { base, .. } => Advice::exit(exit::FETCH_FAILED)
                .hint(format!("move the pin to what the mirror has now: kiln lock --base {base}"))
                .hint(format!(
                    "or name an archive of Debian's past: snapshot = \"…\" in [debian] of images/{base}.toml"
                )),
            Self::BaseDiffers { base, .. } => Advice::exit(exit::NOT_REPRODUCIBLE).hint(format!(
                "the lock was made by another format version of kiln: pin it again with kiln lock --base {base}"
            )),
            Self::EngineImageDiffers { .. } => Advice::exit(exit::ENGINE_UNAVAILABLE),
            Self::Program { base, .. } => Advice::exit(exit::BUILD_STEP_FAILED)
                .hint(format!("is image.python in images/{base}.toml a Python that runs in this base?")),
            Self::Registry { is_mirror: true, .. } => Advice::exit(exit::FETCH_FAILED),
            Self::Registry { is_mirror: false, .. } => Advice::exit(exit::FETCH_FAILED).hint(
                "where another registry stands for this one, name it in kiln.toml: [[registry]] with prefix and mirror",
            ),
            Self::Input(error) => Advice::of(error),
            Self::Invocation(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
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

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(GuestError, kiln_record::Exit, usize)> = vec![
            (
                GuestError::ForeignBase {
                    base: "base".parse().unwrap(),
                    platform: "linux/arm64".parse().unwrap(),
                    here: "x86_64",
                    reason: "x".to_owned(),
                },
                exit::ENGINE_UNAVAILABLE,
                2,
            ),
            (GuestError::NoMirror { base: "base".parse().unwrap() }, exit::FETCH_FAILED, 2),
            (
                GuestError::PackageGone {
                    base: "base".parse().unwrap(),
                    file: "x".to_owned(),
                    source: Box::new(FetchError::NotFound { url: "x".to_owned() }),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                GuestError::Registry {
                    base: "base".parse().unwrap(),
                    is_mirror: true,
                    source: Box::new(EngineError::Stopped),
                },
                exit::FETCH_FAILED,
                0,
            ),
            (
                GuestError::Registry {
                    base: "base".parse().unwrap(),
                    is_mirror: false,
                    source: Box::new(EngineError::Stopped),
                },
                exit::FETCH_FAILED,
                1,
            ),
            (
                GuestError::BaseDiffers {
                    base: "base".parse().unwrap(),
                    expected: Digest::of(b""),
                    found: kiln_record::Digest::of(b""),
                },
                exit::NOT_REPRODUCIBLE,
                1,
            ),
            (
                GuestError::EngineImageDiffers {
                    base: "base".parse().unwrap(),
                    expected: "x".to_owned(),
                    found: "x".to_owned(),
                },
                exit::ENGINE_UNAVAILABLE,
                0,
            ),
            (
                GuestError::Program {
                    what: "probe",
                    base: "base".parse().unwrap(),
                    how: "with exit code 1".to_owned(),
                    lines: Vec::new(),
                },
                exit::BUILD_STEP_FAILED,
                1,
            ),
            (InvocationError::NoIndex.into(), exit::FETCH_FAILED, 2),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }

    #[test]
    fn the_log_and_what_the_engine_says_are_in_the_message() {
        let program = GuestError::Program {
            what: "the probe",
            base: "base".parse().unwrap(),
            how: "with exit code 1".to_owned(),
            lines: vec!["one".to_owned(), "two".to_owned()],
        };
        assert_eq!(program.to_string(), "the probe failed in base `base` with exit code 1\n    one\n    two");
        assert!(GuestError::from(EngineError::Stopped).to_string().starts_with("failed to start"));
    }
}
