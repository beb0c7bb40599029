//! Why a run broke. A wrong build is a finding, not an error.

use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_image::ImageError;
use kiln_pack::PackError;
use kiln_plan::InvalidFiles;
use kiln_python::{InvalidInput, PythonError};
use kiln_record::{Advice, ArtifactName, BaseName, Defect, Digest, Finding, Platform, RunError, exit};
use kiln_sbom::SbomError;
use kiln_store::StoreError;
use std::fmt::Display;

/// Why a run broke, by what the reader can do about it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Files of the workspace are wrong.
    #[error(transparent)]
    Input(#[from] InvalidFiles),
    /// A dependency lock or project file is wrong.
    #[error(transparent)]
    Lock(#[from] InvalidInput),
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
    #[error(
        "{distribution} {version}: the index has no file with a hash that {lock} names\n  locked:{}\n  offered:{}",
        listed(.locked), listed(.offered)
    )]
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
    #[error("{what} failed in base `{base}` with exit code {code}{}", indented(.lines))]
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
    #[error("the build of {sdist} in base `{base}` {reason}{}", end_of_log(.lines))]
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
    #[error(
        "the step `{}` of {}, in base `{}`, {}{}",
        .0.step, .0.artifact, .0.base, .0.reason, end_of_log(&.0.lines)
    )]
    Step(Box<FailedStep>),
    /// A Dockerfile could not be built; `step` is its path.
    #[error("{} of {}, on base `{}`, {}{}", .0.step, .0.artifact, .0.base, .0.reason, end_of_log(&.0.lines))]
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
    #[error("{artifact}: what {input} asks for cannot be locked for {target}; uv says:{}", indented(.lines))]
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
    /// What cannot be.
    #[error(transparent)]
    Defect(#[from] Defect),
    /// The probe or the import check could not be understood.
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

impl RunError for BuildError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Unknown { known, .. } if !known.is_empty() => {
                Advice::exit(exit::INPUT_INVALID).hint(format!("there are: {}", known.join(", ")))
            }
            Self::Unknown { .. }
            | Self::Repository { .. }
            | Self::Index { .. }
            | Self::Reference { .. }
            | Self::NotUsable { .. } => Advice::exit(exit::INPUT_INVALID),
            Self::SeveralPlatforms { .. } => Advice::exit(exit::INPUT_INVALID).hint("name one of them"),
            Self::TagTaken { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("nothing was sent: whoever uses the tag would get something else")
                .hint("push under another tag with --tag, or move this one with --move-tag"),
            Self::SourceChanged { .. } => {
                Advice::exit(exit::INPUT_INVALID).hint("build again when nothing writes to the source")
            }
            Self::NoIndex => Advice::exit(exit::FETCH_FAILED)
                .hint("name one in kiln.toml: [python] index = \"https://…\"")
                .hint("or set UV_DEFAULT_INDEX or PIP_INDEX_URL, or configure pip or uv"),
            Self::NoCrates => Advice::exit(exit::FETCH_FAILED)
                .hint("use cargo once on this machine, or configure it: kiln takes the registry that cargo is configured for")
                .hint("or say with KILN_CRATES where archives are: the `dl` of the registry's config.json"),
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
            Self::Release { keyring, source, .. } => Advice::exit(match **source {
                ImageError::Io { .. } => source.exit(),
                _ => exit::FETCH_FAILED,
            })
            .hint("nothing was pinned: a mirror, or a proxy on the way, changes files or is not what it should be")
            .hint(format!(
                "if the suite is signed by newer keys, bring images/{keyring} up to date from a source that you trust"
            )),
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
            Self::HashNotLocked { .. } | Self::ServedNotLocked { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("if the lock is right, the index serves other files than it was made from: find out why before going on")
                .hint("if files were added since, lock again with the tool that made the lock"),
            Self::NotAllListed { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("which wheel is the best depends on all of them, so kiln would build something else here than elsewhere")
                .hint("use an index that has every file of the lock, or lock again against this one"),
            Self::Archive { source, .. } => Advice::exit(match source {
                PackError::Io(error) => error.exit(),
                _ => exit::FETCH_FAILED,
            }),
            Self::Crates { .. }
            | Self::Keyring { .. }
            | Self::Registry { .. }
            | Self::ReferrersNotListed { .. }
            | Self::Wheel { .. } => Advice::exit(exit::FETCH_FAILED),
            Self::Tool { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("name a version that can be used: kiln lock --tools --tool uv==VERSION"),
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
            Self::Denied(finding) => Advice::exit(exit::FINDINGS_DENIED).hints(finding.remedy.clone()),
            Self::BaseDiffers { base, .. } => Advice::exit(exit::NOT_REPRODUCIBLE).hint(format!(
                "the lock was made by another format version of kiln: pin it again with kiln lock --base {base}"
            )),
            Self::NotAsRecorded { artifact, path } => Advice::exit(exit::NOT_REPRODUCIBLE)
                .hint(format!("what differs: kiln verify {path}"))
                .hint(format!("build it again: kiln build {artifact}")),
            Self::EngineImageDiffers { .. } => Advice::exit(exit::ENGINE_UNAVAILABLE),
            Self::ForeignBase { base, here, .. } => Advice::exit(exit::ENGINE_UNAVAILABLE)
                .hint(format!(
                    "lock the base for {here} too, from one state of its source: add it to `platforms` in images/{base}.toml and run: kiln lock --base {base}"
                ))
                .hint("or use an engine that can run the platform"),
            Self::Guest { base, .. } => Advice::exit(exit::BUILD_STEP_FAILED)
                .hint(format!("is image.python in images/{base}.toml a Python that runs in this base?")),
            Self::SdistBuild { hints, base, .. } if !hints.is_empty() => Advice::exit(exit::BUILD_STEP_FAILED)
                .hints(hints.clone())
                .hint(format!("docs/python.md says what a build has in base `{base}`, and what it has not")),
            Self::SdistBuild { .. } => Advice::exit(exit::BUILD_STEP_FAILED)
                .hint("docs/python.md says what a build has, and what it has not; nothing was published"),
            Self::Step(failed) => Advice::exit(exit::BUILD_STEP_FAILED)
                .hints(failed.hints.clone())
                .hint("docs/steps.md says what a step has, and what it has not; nothing was published"),
            Self::Dockerfile(failed) => Advice::exit(exit::BUILD_STEP_FAILED)
                .hints(failed.hints.clone())
                .hint("docs/dockerfiles.md says what a Dockerfile has, and what it has not; nothing was published"),
            Self::StoreDamaged { .. } => Advice::exit(exit::STORE_FAILURE)
                .hint("run the command again: they are downloaded or made anew"),
            Self::ArchiveDiffers { .. } => Advice::exit(exit::UNEXPECTED),
            Self::Interrupted => {
                Advice::exit(exit::INTERRUPTED).hint("the same command goes on with what is missing")
            }
            Self::Input(error) => Advice::of(error),
            Self::Lock(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
            Self::Python(error) => Advice::of(error),
            Self::Fetch(error) => Advice::of(error),
            Self::Engine(error) => Advice::of(error),
            Self::Image(error) => Advice::of(error),
            Self::Pack(error) => Advice::of(error),
            Self::Sbom(error) => Advice::of(error),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
        }
    }
}

/// The first few of a list, one a line.
fn listed(items: &[impl Display]) -> String {
    const MOST: usize = 8;
    if items.is_empty() {
        return "\n    nothing of this version".to_owned();
    }
    let mut text = indented(&items[..items.len().min(MOST)]);
    if let Some(others @ 1..) = items.len().checked_sub(MOST) {
        text.push_str(&format!("\n    and {others} more"));
    }
    text
}

/// Lines below a message.
fn indented(lines: &[impl Display]) -> String {
    lines.iter().map(|line| format!("\n    {line}")).collect()
}

/// The end of the log of what failed.
fn end_of_log(lines: &[String]) -> String {
    let log = if lines.is_empty() { "" } else { "; the end of its log:" };
    format!("{log}{}", indented(lines))
}
