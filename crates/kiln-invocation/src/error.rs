//! Why a run broke in what all parts of it share. A wrong build is a finding, not an error.

use crate::message::listed;
use kiln_fetch::FetchError;
use kiln_pack::PackError;
use kiln_plan::{InvalidFiles, nearest};
use kiln_record::{Advice, ArtifactName, Defect, Digest, RunError, exit};
use kiln_store::StoreError;

/// Why a workspace, a server or the run itself cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// A name on the command line that the workspace does not have.
    #[error("there is no {kind} `{name}` in this workspace")]
    Unknown {
        /// `artifact` or `base`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The name of an image for several platforms, where one of them has to be named.
    #[error(
        "`{name}` is an image for several platforms, each of which is an artifact: {}",
        .artifacts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    SeveralPlatforms {
        /// The name.
        name: ArtifactName,
        /// Its platforms.
        artifacts: Vec<ArtifactName>,
    },
    /// All of a workspace was asked for, and there is nothing in it.
    #[error("there is no artifact in {folder}: no file manifests/NAME.toml")]
    NoArtifacts {
        /// The workspace.
        folder: String,
    },
    /// Everything was asked for, and all that the workspace states is built on request.
    #[error(
        "nothing was built: every manifest of the workspace says `on-request = true`, which `--all` leaves out"
    )]
    AllOnRequest {
        /// What is stated.
        names: Vec<String>,
    },
    /// What reads like a manifest has a name that no manifest has.
    #[error("{} reads like a manifest and is none: the names of manifests end in .toml", .files.join(", "))]
    StrayManifests {
        /// The files, relative to the workspace.
        files: Vec<String>,
    },
    /// The store lacks something, and no server may be asked for it.
    #[error("{what} is not in the store, and the network is switched off")]
    Offline {
        /// What is missing, with what names it.
        what: String,
    },
    /// No Python index is configured anywhere.
    #[error("no Python package index is configured")]
    NoIndex,
    /// An index that `kiln.toml` names cannot be asked from here, as something is not set or wrong.
    #[error("the index `{index}` of kiln.toml cannot be used: {reason}")]
    Index {
        /// Its name.
        index: String,
        /// Why.
        reason: String,
    },
    /// The keyring does not give the login of an index.
    #[error("the index `{index}` of kiln.toml cannot be used: {reason}")]
    Keyring {
        /// The index.
        index: String,
        /// Why.
        reason: String,
    },
    /// No crates registry is configured anywhere.
    #[error("no registry of crates is configured")]
    NoCrates,
    /// The crates registry of the environment cannot be used.
    #[error("the registry of crates cannot be used: {reason}")]
    Crates {
        /// Why.
        reason: String,
    },
    /// A file that the index lists without a hash is none that the lock names.
    #[error(
        "{file} was downloaded and thrown away: its hash is {found}, which {lock} does not name\n  locked:{}",
        listed(.locked)
    )]
    ServedNotLocked {
        /// The file.
        file: String,
        /// File and line of the lock.
        lock: String,
        /// The hash of what the index served.
        found: Digest,
        /// The hashes that the lock has for the distribution.
        locked: Vec<Digest>,
    },
    /// A file of the lock is no archive that can be read.
    #[error("{file}: {source}")]
    Archive {
        /// The file.
        file: String,
        /// What is wrong.
        source: PackError,
    },
    /// The run was stopped.
    #[error("stopped before it was done; nothing half-finished was published")]
    Interrupted,
    /// Files of the workspace are wrong.
    #[error(transparent)]
    Input(#[from] InvalidFiles),
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
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

impl RunError for InvocationError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Unknown { kind: "base", name, known } => {
                let advice = Advice::exit(exit::INPUT_INVALID);
                let advice = match known.is_empty() {
                    true => advice,
                    false => advice.hint(format!("there are: {}", known.join(", "))),
                };
                advice.hint(format!(
                    "kiln makes one for a runtime of Lambda, such as python3.12: kiln lock --base {name} --runtime RUNTIME"
                ))
            }
            Self::Unknown { known, name, .. } if !known.is_empty() => {
                let advice = Advice::exit(exit::INPUT_INVALID);
                let advice = match nearest(name, known.iter().map(String::as_str)) {
                    Some(nearest) => advice.hint(format!("did you mean `{nearest}`?")),
                    None => advice,
                };
                advice.hint(format!("there are: {}", known.join(", ")))
            }
            Self::Unknown { kind: "artifact", name, .. } => Advice::exit(exit::INPUT_INVALID)
                .hint(format!("it would be stated in manifests/{name}.toml: kiln new artifact {name} writes that")),
            Self::Unknown { .. } | Self::Index { .. } => Advice::exit(exit::INPUT_INVALID),
            Self::NoArtifacts { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("kiln init writes the manifests of a project that states its functions elsewhere")
                .hint("kiln new artifact NAME writes one"),
            Self::AllOnRequest { names } => Advice::exit(exit::INPUT_INVALID)
                .hint(format!("build what is wanted by its name: kiln build {}", names.join(" "))),
            Self::StrayManifests { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("name it manifests/NAME.toml, or move it to another folder"),
            Self::SeveralPlatforms { .. } => Advice::exit(exit::INPUT_INVALID).hint("name one of them"),
            Self::Offline { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("bring it with a bundle that holds it: kiln bundle use FILE")
                .hint("or run the same command without --offline where servers can be reached"),
            Self::NoIndex => Advice::exit(exit::FETCH_FAILED)
                .hint("name one in kiln.toml: [python] index = \"https://…\"")
                .hint("or set UV_DEFAULT_INDEX or PIP_INDEX_URL, or configure pip or uv"),
            Self::NoCrates => Advice::exit(exit::FETCH_FAILED)
                .hint("use cargo once on this machine, or configure it: kiln takes the registry that cargo is configured for")
                .hint("or say with KILN_CRATES where archives are: the `dl` of the registry's config.json"),
            Self::ServedNotLocked { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("if the lock is right, the index serves other files than it was made from: find out why before going on")
                .hint("if files were added since, lock again with the tool that made the lock"),
            Self::Archive { source, .. } => Advice::exit(match source {
                PackError::Io(error) => error.exit(),
                _ => exit::FETCH_FAILED,
            }),
            Self::Crates { .. } | Self::Keyring { .. } => Advice::exit(exit::FETCH_FAILED),
            Self::Interrupted => {
                Advice::exit(exit::INTERRUPTED).hint("the same command goes on with what is missing")
            }
            Self::Input(error) => Advice::of(error),
            Self::Fetch(error) => Advice::of(error),
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
        let rows: Vec<(InvocationError, kiln_record::Exit, usize)> = vec![
            (
                InvocationError::Unknown { kind: "base", name: "x".to_owned(), known: Vec::new() },
                exit::INPUT_INVALID,
                1,
            ),
            (
                InvocationError::Unknown { kind: "base", name: "x".to_owned(), known: vec!["x".to_owned()] },
                exit::INPUT_INVALID,
                2,
            ),
            (
                InvocationError::SeveralPlatforms { name: "app".parse().unwrap(), artifacts: Vec::new() },
                exit::INPUT_INVALID,
                1,
            ),
            (InvocationError::NoArtifacts { folder: "x".to_owned() }, exit::INPUT_INVALID, 2),
            (InvocationError::AllOnRequest { names: vec!["x".to_owned()] }, exit::INPUT_INVALID, 1),
            (InvocationError::StrayManifests { files: Vec::new() }, exit::INPUT_INVALID, 1),
            (InvocationError::Offline { what: "x".to_owned() }, exit::FETCH_FAILED, 2),
            (InvocationError::NoIndex, exit::FETCH_FAILED, 2),
            (
                InvocationError::Index { index: "x".to_owned(), reason: "x".to_owned() },
                exit::INPUT_INVALID,
                0,
            ),
            (
                InvocationError::Keyring { index: "x".to_owned(), reason: "x".to_owned() },
                exit::FETCH_FAILED,
                0,
            ),
            (InvocationError::NoCrates, exit::FETCH_FAILED, 2),
            (InvocationError::Crates { reason: "x".to_owned() }, exit::FETCH_FAILED, 0),
            (
                InvocationError::ServedNotLocked {
                    file: "x".to_owned(),
                    lock: "x".to_owned(),
                    found: Digest::of(b""),
                    locked: Vec::new(),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                InvocationError::Archive {
                    file: "x".to_owned(),
                    source: PackError::Malformed { place: "x".to_owned(), reason: "x".to_owned() },
                },
                exit::FETCH_FAILED,
                0,
            ),
            (
                InvocationError::Archive {
                    file: "x".to_owned(),
                    source: PackError::Io(std::io::ErrorKind::StorageFull.into()),
                },
                exit::STORE_FAILURE,
                0,
            ),
            (InvocationError::Interrupted, exit::INTERRUPTED, 1),
            (InvalidFiles(Vec::new()).into(), exit::INPUT_INVALID, 0),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
