//! The record: the complete, reproducible description of one build.
//!
//! A record holds no wall-clock time, random id, host name or host path, and nothing of what was built before: equal
//! inputs give equal records. History lives in the ledger's entries, which point to records.

use crate::{
    Architecture, ArtifactName, Binary, Check, Component, ComponentId, ComponentStatement, Digest, Entry,
    Epoch, FactChange, Finding, ImageRecord, JudgedBy, Organization, Transformation, Tree, TreePath,
    canonical_json,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The version of everything that decides bytes: record schema, tree normalisation, zip layout, compressor. A minor
/// step adds fields; a major step may change artifact bytes for equal inputs.
pub const FORMAT_VERSION: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// Two numbers, written `1.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion {
    /// A reader of one major version cannot read another.
    pub major: u16,
    /// A reader ignores additions of a later minor version.
    pub minor: u16,
}

/// A text that is not a format version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format version such as 1.0")]
pub struct FormatVersionError(pub String);

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FormatVersion {
    type Err = FormatVersionError;

    fn from_str(text: &str) -> Result<Self, FormatVersionError> {
        let error = || FormatVersionError(text.to_owned());
        let (major, minor) = text.split_once('.').ok_or_else(error)?;
        Ok(Self { major: major.parse().map_err(|_| error())?, minor: minor.parse().map_err(|_| error())? })
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What kind of thing is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A Lambda function's deployment package, unpacked to `/var/task`.
    LambdaZip,
    /// A Lambda layer, unpacked to `/opt`.
    LambdaLayer,
    /// A Lambda function as a container image, with its files in `/var/task`.
    LambdaImage,
    /// Any service as a container image.
    Image,
}

impl ArtifactKind {
    /// The name in manifests and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LambdaZip => "lambda-zip",
            Self::LambdaLayer => "lambda-layer",
            Self::LambdaImage => "lambda-image",
            Self::Image => "image",
        }
    }

    /// The folder that an artifact of this kind has its tree in where it runs, such as `/var/task`; empty for a tree that
    /// begins at the root of the file system.
    #[must_use]
    pub fn mount(self) -> &'static str {
        match self {
            Self::LambdaZip | Self::LambdaImage => "/var/task",
            Self::LambdaLayer => "/opt",
            Self::Image => "",
        }
    }

    /// Whether it is a container image, which has its base inside.
    #[must_use]
    pub fn is_image(self) -> bool {
        matches!(self, Self::LambdaImage | Self::Image)
    }

    /// Whether it is a Lambda function, which has a handler.
    #[must_use]
    pub fn is_function(self) -> bool {
        matches!(self, Self::LambdaZip | Self::LambdaImage)
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an artifact is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    /// The Lambda runtime identifier, such as `python3.13`; for an image, which has its system inside, the name of its base.
    pub runtime: String,
    /// The architecture it runs on.
    pub architecture: Architecture,
}

/// The part an input plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum InputRole {
    /// The artifact's manifest, as parsed.
    Manifest,
    /// The workspace settings that bear on the artifact.
    Settings,
    /// The base image; the digest is its OCI manifest's.
    Base,
    /// A dependency lock, as a file.
    Lock,
    /// A project file beside a lock, such as `pyproject.toml`.
    Project,
    /// The tree of the artifact's own source.
    Source,
    /// The tree of an upstream source; its component says which repository and commit.
    Upstream,
    /// A wheel.
    Distribution,
    /// Another artifact of the workspace, by its tree digest.
    Layer,
    /// A file that a check uses: an event, or what is expected of its answer.
    Check,
    /// A source distribution that a wheel was built from.
    Sdist,
    /// The base image that source distributions were built in; the digest is its OCI manifest's.
    BuildBase,
    /// The lock of what source distributions are built with, as a file.
    BuildLock,
    /// A wheel that source distributions were built with, and that is not in the artifact.
    BuildRequirement,
    /// The base image that a step ran in; the digest is its OCI manifest's.
    StepBase,
    /// The tree of files of the workspace that a step was given.
    StepSource,
    /// The Dockerfile that it was built by.
    Dockerfile,
    /// The archive of a crate that a step was given, by the checksum of `Cargo.lock`.
    Crate,
    /// The definition of a base that something ran in, as parsed.
    BaseDefinition,
    /// What the lock of such a base states for the platform, as parsed: every package by its digest.
    BaseLock,
    /// The signed file of the distribution's release that the lock of such a base was made from.
    BaseRelease,
}

/// Something with a digest that went into a build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input {
    /// The part it plays.
    pub role: InputRole,
    /// Its name: a workspace path, a base, a wheel's file name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// One entry of the artifact's tree with the component that owns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileRecord {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub entry: Entry,
    /// Who brought it.
    pub component: ComponentId,
}

/// Why a locked distribution is not in the artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// Its marker is false in the target environment.
    Marker {
        /// The marker as the lock writes it.
        marker: String,
        /// The variables it names with their values in the target environment, `python_version = "3.13"`.
        values: Vec<String>,
    },
    /// It belongs to a dependency group that the manifest does not choose.
    Group {
        /// The groups it belongs to.
        groups: Vec<String>,
    },
    /// Only an extra that was not chosen needs it.
    Extra {
        /// The extras.
        extras: Vec<String>,
    },
    /// The Lambda runtime has it, and the manifest relies on that.
    Runtime {
        /// The runtime.
        runtime: String,
    },
    /// A declared layer has it.
    Layer {
        /// The layer's artifact name.
        layer: ArtifactName,
        /// The version in the layer.
        version: String,
    },
    /// The manifest excludes it by name.
    Excluded,
    /// It is the project that the lock belongs to: its code is the artifact's own source.
    OwnProject,
    /// No distribution that is installed requires it.
    Unreachable,
    /// Another version of it is installed: the lock has one for each of several conditions.
    Replaced {
        /// The version that is.
        by: String,
        /// The marker of this one, which is false, if that is what decides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        marker: Option<String>,
        /// The variables in it with their values in the target environment.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<String>,
    },
    /// None of its locked wheels can be loaded by base and target. A build is denied for it, so that no record has it.
    NoWheel {
        /// The tag sets of the wheels that the lock names.
        exist: Vec<String>,
        /// What would fit.
        accepted: String,
    },
}

/// The most wheels that a clause names; those come first that come closest.
const NAMED_WHEELS: usize = 5;

impl fmt::Display for Cause {
    /// The reason as a clause: `marker … is false (python_version = "3.13")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What asks for the kernel has no value before it runs.
            Self::Marker { marker, values } if values.is_empty() => {
                write!(f, "marker `{marker}` has no answer for the target")
            }
            Self::Marker { marker, values } => {
                write!(f, "marker `{marker}` is false ({})", values.join(", "))
            }
            Self::Group { groups } => write!(f, "only in groups that are not chosen: {}", groups.join(", ")),
            Self::Extra { extras } => write!(f, "only for extras that are not chosen: {}", extras.join(", ")),
            Self::Runtime { runtime } => write!(f, "provided by the runtime {runtime}"),
            Self::Layer { layer, version } => write!(f, "provided by the layer {layer} in version {version}"),
            Self::Excluded => f.write_str("excluded by the manifest"),
            Self::OwnProject => f.write_str("the project itself, whose code is the artifact's own source"),
            Self::Unreachable => f.write_str("required by nothing that is installed"),
            Self::Replaced { by, marker: Some(marker), values } => {
                write!(f, "replaced by {by}: marker `{marker}` is false ({})", values.join(", "))
            }
            Self::Replaced { by, marker: None, .. } => write!(f, "replaced by {by}"),
            Self::NoWheel { exist, accepted } if exist.is_empty() => {
                write!(f, "no wheel: the lock names none (accepted: {accepted})")
            }
            Self::NoWheel { exist, accepted } => {
                let shown = exist[..exist.len().min(NAMED_WHEELS)].join(", ");
                let more = exist.len().saturating_sub(NAMED_WHEELS);
                let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
                write!(f, "no wheel fits: there are {shown}{rest} (accepted: {accepted})")
            }
        }
    }
}

/// A distribution of the lock that is not in the artifact, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// The distribution, by PEP 503 name.
    pub distribution: String,
    /// Its locked version; `not locked` where the lock does not have it ([`Gap::NOT_LOCKED`]).
    pub version: String,
    /// Why it is not there.
    pub cause: Cause,
}

impl Gap {
    /// What stands for the version of a distribution that is asked for under a condition that does not hold, so that the lock does not
    /// have it.
    pub const NOT_LOCKED: &str = "not locked";
}

/// What importing an artifact told: data, for whoever wants to know what is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImportRecord {
    /// For each distribution in the artifact, by PEP 503 name, whether its modules can be imported.
    pub distributions: BTreeMap<String, Importable>,
    /// Distributions of which neither the handler nor any of the artifact's own modules loaded a file, sorted. What is only
    /// imported when a function is called is among them.
    pub never_imported: Vec<String>,
    /// Of those, the ones that the artifact's own code imports within functions, sorted.
    pub imported_lazily: Vec<String>,
    /// Where the artifact's own code computes the name of a module that it imports, as `file:line`.
    pub computed: Vec<String>,
}

/// Whether a distribution's modules can be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Importable {
    /// All that were tried, or those that the artifact's own code needs, were loaded.
    Yes,
    /// One of them failed.
    No {
        /// The module and the error.
        reason: String,
    },
    /// None was tried.
    NotChecked {
        /// Why.
        reason: String,
    },
}

/// A file that the build publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Output {
    /// Its name in the artifact's folder under `dist/`.
    pub file_name: String,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// The same digest in base64, as Lambda and Terraform write it.
    pub sha256_base64: String,
    /// Its SHA-512 in lower-case hexadecimal, of what has one file: what BSI TR-03183-2 asks an SBOM to state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
}

/// Everything about one build that follows from its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// The format version it was written under.
    pub format: FormatVersion,
    /// The artifact's name.
    pub artifact: ArtifactName,
    /// Its kind.
    pub kind: ArtifactKind,
    /// What it is for.
    pub target: Target,
    /// The handler, for functions: `module.attribute`.
    pub handler: Option<String>,
    /// The layers it is used with, in order.
    pub layers: Vec<ArtifactName>,
    /// What it was checked with otherwise than Lambda's environment is known to be, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<FactChange>,
    /// The digest of the plan: all inputs and settings that decide bytes or findings.
    pub plan: Digest,
    /// The time that stands for this build in every document.
    pub epoch: Epoch,
    /// Who makes it, if the workspace says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Organization>,
    /// What the workspace states of components of it that others make, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<ComponentStatement>,
    /// All inputs, sorted.
    pub inputs: Vec<Input>,
    /// The digest of the tree ([`Tree::digest`]).
    pub tree: Digest,
    /// Sum of the sizes in the tree in bytes.
    pub unpacked_size: u64,
    /// The image around the tree, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRecord>,
    /// The tree, in path order, with owners.
    pub files: Vec<FileRecord>,
    /// What it is made of, sorted by id.
    pub components: Vec<Component>,
    /// Its native files, with what is linked into them as far as their bytes tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binaries: BTreeMap<TreePath, Binary>,
    /// Locked distributions that are not in it, sorted by name.
    pub gaps: Vec<Gap>,
    /// What packing left out or changed, in the order in which the rules were applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transformations: Vec<Transformation>,
    /// What the workspace and the manifest state about findings: what is reported otherwise than usual, or not at all, and what is
    /// accepted. Absent where nothing is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<JudgedBy>,
    /// Judgements under that policy, highest level first, then by code and subject.
    pub findings: Vec<Finding>,
    /// Checks that ran and checks that did not.
    pub checks: Vec<Check>,
    /// What importing it told, where that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports: Option<ImportRecord>,
    /// Names and exact versions of what decided bytes: kiln, with its commit where that is known, and the compressor.
    pub tools: BTreeMap<String, String>,
    /// The published archive, first; of an OCI layout its files, first the image's manifest. Documents made from this record are not listed in it.
    pub outputs: Vec<Output>,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or not a record.
    #[error("not a kiln record: {0}")]
    Json(#[from] serde_json::Error),
    /// Its parts say different things.
    #[error("the record contradicts itself: {0}")]
    Contradiction(String),
    /// Written by a later kiln.
    #[error("the record has format version {found}; this kiln reads {known}: use a newer kiln")]
    Version {
        /// The version in the record.
        found: FormatVersion,
        /// The version this kiln knows.
        known: FormatVersion,
    },
}

impl RecordError {
    /// The line of the text that is wrong, counted from 1, if it is one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Json(error) => Some(error.line()).filter(|line| *line > 0),
            Self::Contradiction(_) | Self::Version { .. } => None,
        }
    }
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`] if the text is no record, or one of another major version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            format: FormatVersion,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.format.major != FORMAT_VERSION.major {
            return Err(RecordError::Version { found: head.format, known: FORMAT_VERSION });
        }
        let record: Self = serde_json::from_slice(bytes)?;
        record.check()?;
        Ok(record)
    }

    /// Holds a record against itself: one that was edited by hand, or by somebody with an interest, is refused.
    ///
    /// # Errors
    /// [`RecordError::Contradiction`] with what does not agree.
    pub fn check(&self) -> Result<(), RecordError> {
        let error = |reason: String| Err(RecordError::Contradiction(reason));
        if let Some(pair) = self.files.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return error(format!("`{}` is not in order", pair[1].path));
        }
        let tree = self.to_tree();
        if tree.digest() != self.tree {
            return error(format!(
                "its files have tree digest {}, but it states {}",
                tree.digest(),
                self.tree
            ));
        }
        if tree.size() != self.unpacked_size {
            return error(format!(
                "its files have {} bytes, but it states {}",
                tree.size(),
                self.unpacked_size
            ));
        }
        let mut owned: BTreeMap<&ComponentId, (u64, u64)> = BTreeMap::new();
        for file in &self.files {
            let (bytes, files) = owned.entry(&file.component).or_default();
            *bytes = bytes.saturating_add(file.entry.size());
            *files += 1;
        }
        // What a base brings is not in the tree.
        for component in self.components.iter().filter(|component| !component.from_base) {
            let own = owned.get(&component.id).copied().unwrap_or_default();
            if own != (component.bytes, component.files) {
                return error(format!("{} does not own what it states", component.id));
            }
        }
        match self.outputs.iter().find(|output| output.digest.base64() != output.sha256_base64) {
            Some(output) => error(format!("the digests of {} differ", output.file_name)),
            None => Ok(()),
        }
    }

    /// The record as canonical JSON.
    ///
    /// # Errors
    /// As [`canonical_json`].
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical_json(self)
    }

    /// The tree without owners.
    #[must_use]
    pub fn to_tree(&self) -> Tree {
        self.files.iter().map(|f| (f.path.clone(), f.entry.clone())).collect()
    }

    /// The main output: the zip, the image as a tar, or the manifest of its layout.
    #[must_use]
    pub fn archive(&self) -> Option<&Output> {
        self.outputs.first()
    }

    /// Bytes of what is deployed: the archive, or all layers of an image, in whatever form that is published. 0 if the record
    /// lists no output.
    #[must_use]
    pub fn packed_size(&self) -> u64 {
        match &self.image {
            Some(image) => image.size,
            None => self.archive().map_or(0, |output| output.size),
        }
    }
}
