//! What a record says of a container image beyond its tree: documents, layers, the base beneath, and how it is started.

use crate::{BaseName, Digest, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A container image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageRecord {
    /// The digest of its manifest: the image's digest in registries.
    pub manifest: Digest,
    /// The digest of its config: the image's id in Docker's classic store.
    pub config: Digest,
    /// The variant of the processor, where the base's config states one, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What it is made on.
    pub base: ImageBase,
    /// Its layers, bottom first.
    pub layers: Vec<ImageLayer>,
    /// Sum of the lengths of its layers' blobs in bytes: what a registry keeps.
    pub size: u64,
    /// Sum of the files in all its layers in bytes.
    pub unpacked_size: u64,
    /// The folder of the tree that distributions are installed in, if it has any; empty for the tree's own root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_folder: Option<String>,
    /// How it is started.
    pub runs: ImageRuns,
    /// Modes, owners and extended attributes of files and folders, where they are not the usual ones: of what a Dockerfile
    /// made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<TreePath, Attributes>,
    /// What the base has and the image does not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<TreePath>,
    /// Annotations of its manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The base of an image. Its packages are among the components of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageBase {
    /// Its name in the workspace.
    pub name: BaseName,
    /// What it is called elsewhere, as the image's annotation has it.
    pub reference: String,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// SHA-512 of its manifest in lower-case hexadecimal, where the manifest is at hand: of a base that kiln put together, and in no older
    /// record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha512: Option<String>,
    /// Number of its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that no package accounts for.
    pub unowned_bytes: u64,
    /// What someone who gets in can use of it; absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<Surface>,
}

/// What a layer says of a path besides its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attributes {
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner's number.
    pub user: u64,
    /// The group's number.
    pub group: u64,
    /// Extended attributes, in hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
}

impl Attributes {
    /// Whether they are others than those of root's, with a usual mode and no more.
    #[must_use]
    pub fn are_unusual(&self, usual_mode: u32) -> bool {
        self.mode != usual_mode || self.user != 0 || self.group != 0 || !self.xattrs.is_empty()
    }
}

/// What someone who gets into a container can use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Surface {
    /// Files that may be executed, libraries aside.
    pub executables: u64,
    /// Shared libraries.
    pub libraries: u64,
    /// Shells, by any of their names.
    pub shells: BTreeSet<TreePath>,
    /// Files that run as their owner or group (setuid, setgid).
    pub privileged: BTreeSet<TreePath>,
}

impl Surface {
    /// Names of shells, and of the program that is all of them.
    const SHELLS: [&str; 10] = ["ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"];

    /// Counts a file or link. A link counts as a shell's further name only.
    pub fn count(&mut self, path: &TreePath, executable: bool, link: bool, privileged: bool) {
        let name = path.file_name();
        let is_library = name.ends_with(".so") || name.contains(".so.");
        if (executable || link) && Self::SHELLS.contains(&name) && path.parent().ends_with("bin") {
            self.shells.insert(path.clone());
        }
        if link {
            return;
        }
        if is_library {
            self.libraries += 1;
        } else if executable {
            self.executables += 1;
        }
        if privileged {
            self.privileged.insert(path.clone());
        }
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            executables: self.executables + other.executables,
            libraries: self.libraries + other.libraries,
            shells: self.shells.union(&other.shells).cloned().collect(),
            privileged: self.privileged.union(&other.privileged).cloned().collect(),
        }
    }
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageLayer {
    /// What it holds.
    pub role: LayerRole,
    /// The digest of the blob.
    pub digest: Digest,
    /// The digest of the uncompressed tar, which no compressor can change.
    pub diff_id: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// The media type of the blob.
    pub media_type: String,
}

/// The reason that a layer changes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LayerRole {
    /// A layer of the base.
    Base,
    /// Everything that distributions brought.
    Dependencies,
    /// The artifact's own files.
    Application,
}

impl LayerRole {
    /// The name in records and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Dependencies => "dependencies",
            Self::Application => "application",
        }
    }
}

/// How an image is started: its config as engines read it, what the base says included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageRuns {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments.
    pub command: Vec<String>,
    /// The user, numeric or a name of the base; root if absent.
    pub user: Option<String>,
    /// The folder it starts in; `/` if absent.
    pub working_dir: Option<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports it listens on, such as `8080/tcp`.
    pub ports: BTreeSet<String>,
    /// Folders that are mounted from elsewhere.
    pub volumes: BTreeSet<String>,
    /// The signal that ends it; the engine's default if absent.
    pub stop_signal: Option<String>,
    /// How an engine tells whether it works.
    pub health_check: Option<HealthCheck>,
}

/// A program that tells whether a container works: exit code 0 if so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthCheck {
    /// The program and its arguments, run in the container.
    pub command: Vec<String>,
    /// Seconds between two runs.
    pub interval: u32,
    /// Seconds that a run may take.
    pub timeout: u32,
    /// Seconds from the start in which failures do not count.
    pub start_period: u32,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}
