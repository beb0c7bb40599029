//! Why a run broke. A wrong build is a finding, not an error.

use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_image::ImageError;
use kiln_pack::PackError;
use kiln_plan::Problem;
use kiln_python::{InputProblem, PythonError};
use kiln_record::{ArtifactName, BaseName, Digest, Finding, Platform};
use kiln_sbom::SbomError;
use kiln_store::StoreError;
use std::fmt;

/// Why a run broke, by what the reader can do about it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Files of the workspace are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Input(Vec<Problem>),
    /// A dependency lock or project file is wrong.
    #[error("{}", .0.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("\n"))]
    Lock(Vec<InputProblem>),
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
    /// The registry of a base did not give the image that is asked for.
    #[error("base `{base}`: failed to {source}")]
    Registry {
        /// The base.
        base: BaseName,
        /// What the engine says.
        source: Box<EngineError>,
    },
    /// A text does not say where to push to, or what to pull.
    #[error("`{text}` names nothing in a registry: {reason}")]
    Repository {
        /// The text, without a login.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A published file is not what was built.
    #[error("{path} is gone, or is not what its record says any more")]
    NotAsRecorded {
        /// The artifact.
        artifact: ArtifactName,
        /// The file.
        path: String,
    },
    /// A tag of a registry names something else.
    #[error("{reference} names {there} already, not {ours}")]
    TagTaken {
        /// The tag.
        reference: String,
        /// What it names.
        there: Digest,
        /// What it should name.
        ours: Digest,
    },
    /// The list of what refers to a manifest could not be written: others write it all the time.
    #[error("{repository}: the list of referrers was written by others each time it was written here")]
    ReferrersNotListed {
        /// The repository and the tag that holds the list.
        repository: String,
    },
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
    /// The index lacks some of the files that the lock names: which wheel is best cannot be told.
    #[error(
        "{distribution} {version}: {unlisted} of the {locked} files that {lock} names are not in the index at {index}"
    )]
    NotAllListed {
        /// The distribution.
        distribution: String,
        /// Its locked version.
        version: String,
        /// File and line of the lock.
        lock: String,
        /// The index, without credentials.
        index: String,
        /// Files of the lock that it does not list.
        unlisted: usize,
        /// Files of the lock.
        locked: usize,
    },
    /// A file of the lock is no archive that can be read.
    #[error("{file}: {source}")]
    Archive {
        /// The file.
        file: String,
        /// What is wrong.
        source: PackError,
    },
    /// The index offers no file with a locked hash.
    #[error("{distribution} {version}: the index has no file with a hash that {lock} names")]
    HashNotLocked {
        /// The distribution.
        distribution: String,
        /// Its locked version.
        version: String,
        /// File and line of the lock.
        lock: String,
        /// The files of this version that the index has, with their hashes.
        offered: Vec<String>,
        /// The hashes that the lock has for it.
        locked: Vec<Digest>,
    },
    /// A file that the index lists without a hash is none that the lock names.
    #[error("{file} was downloaded and thrown away: its hash is {found}, which {lock} does not name")]
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
    /// A file of the lock's hash is not the wheel that it should be.
    #[error("{file}: {source}")]
    Wheel {
        /// The wheel.
        file: String,
        /// What is wrong.
        source: PythonError,
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
    /// Blobs of the store were not what they should be; they have been removed.
    #[error("{} of the store's files were damaged and have been removed: {}", .damaged.len(), .damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    StoreDamaged {
        /// Their digests.
        damaged: Vec<Digest>,
    },
    /// A file changed between planning and packing.
    #[error("{path} changed while it was being built")]
    SourceChanged {
        /// The file.
        path: String,
    },
    /// A program in a container failed.
    #[error("{what} failed in base `{base}` with exit code {code}")]
    Guest {
        /// What was run.
        what: &'static str,
        /// The base.
        base: BaseName,
        /// Its exit code.
        code: i64,
        /// The last lines it wrote.
        lines: Vec<String>,
    },
    /// A source distribution cannot be built.
    #[error("the build of {sdist} in base `{base}` {reason}")]
    SdistBuild {
        /// The source distribution.
        sdist: String,
        /// The base.
        base: BaseName,
        /// What is wrong, after the name.
        reason: String,
        /// The end of its log.
        lines: Vec<String>,
        /// What the log means, where that can be told.
        hints: Vec<String>,
    },
    /// A step of an artifact failed.
    #[error("{0}")]
    Step(Box<FailedStep>),
    /// A Dockerfile could not be built; `step` is its path.
    #[error("{} of {}, on base `{}`, {}", .0.step, .0.artifact, .0.base, .0.reason)]
    Dockerfile(Box<FailedStep>),
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
    /// What an artifact asks for cannot be resolved.
    #[error("{artifact}: what {input} asks for cannot be locked for {target}")]
    Unresolved {
        /// The artifact.
        artifact: ArtifactName,
        /// The file that says what is asked for.
        input: String,
        /// The target.
        target: String,
        /// What the resolver said.
        lines: Vec<String>,
        /// Distributions of which there are only source distributions.
        only_source: Vec<String>,
        /// Whether the resolver says that the requirements contradict each other or the index; else it broke.
        unsatisfiable: bool,
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
    /// A reference to a build that cannot be resolved.
    #[error("`{text}` does not name a build: {reason}")]
    Reference {
        /// What was given.
        text: String,
        /// Why.
        reason: String,
    },
    /// What was named is there, or is of the kind asked for, but cannot be used for this.
    #[error("{what}: {reason}")]
    NotUsable {
        /// A build, a file or a reference, as it was given.
        what: String,
        /// Why.
        reason: String,
    },
    /// The run was stopped.
    #[error("stopped before it was done; nothing half-finished was published")]
    Interrupted,
    /// The probe or the import check could not be understood.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Images and packages.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Archives.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Documents.
    #[error(transparent)]
    Sbom(#[from] SbomError),
    /// The store and the ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A step that failed.
#[derive(Debug)]
pub struct FailedStep {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The step.
    pub step: String,
    /// The base.
    pub base: BaseName,
    /// What is wrong, after the name.
    pub reason: String,
    /// The end of its log.
    pub lines: Vec<String>,
    /// What the log means, where that can be told.
    pub hints: Vec<String>,
}

impl fmt::Display for FailedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { artifact, step, base, reason, .. } = self;
        write!(f, "the step `{step}` of {artifact}, in base `{base}`, {reason}")
    }
}

impl From<serde_json::Error> for BuildError {
    fn from(error: serde_json::Error) -> Self {
        Self::Io(error.into())
    }
}

impl BuildError {
    /// Whether reading or writing a file failed, whichever part of the work met it.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Pack(PackError::Io(_)) | Self::Image(ImageError::Io { .. }))
    }
}
