//! Bases: `images/<base>.toml` and its lock beside it, `images/<base>.lock`.

use crate::Problem;
use crate::workspace_path::in_workspace;
use kiln_record::{BaseName, Digest, Epoch, FormatVersion, Platform, digest_of_value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format version of base locks that this kiln writes.
pub const BASE_LOCK_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// What the user states about a base image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseDefinition {
    /// Its name.
    pub name: BaseName,
    /// The file it was read from.
    pub file: String,
    /// Where it comes from.
    pub kind: BaseKind,
    /// The platforms it is locked for.
    pub platforms: Vec<Platform>,
    /// How programs run in it.
    pub image: ImageSettings,
    /// The digest of everything stated: a lock made for another definition is stale.
    pub digest: Digest,
}

/// Where a base comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseKind {
    /// Assembled by kiln from Debian packages.
    Debian(DebianDefinition),
    /// Pulled from a registry.
    Registry(RegistryDefinition),
    /// Nothing at all: what a Dockerfile calls `scratch`.
    Scratch,
}

/// A base made of Debian packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianDefinition {
    /// The suite, such as `bookworm`.
    pub suite: String,
    /// The components of the archive, such as `main`.
    pub components: Vec<String>,
    /// The packages to have; what they depend on comes with them.
    pub packages: Vec<String>,
    /// Dependencies left out on purpose.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The keyring that must have signed the suite's release, relative to the definition.
    pub keyring: String,
    /// The mirror to use; else the environment or the host's apt sources say.
    pub mirror: Option<String>,
    /// An archive of Debian's past, where packages are looked for that the mirror has no more.
    pub snapshot: Option<String>,
}

/// A base in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryDefinition {
    /// Registry, repository and tag. The digest is in the lock.
    pub reference: String,
}

/// How programs run in a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSettings {
    /// Environment variables of the image.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The interpreter's path, such as `/usr/bin/python3.11`; `python3` on the path if absent.
    #[serde(default = "default_python")]
    pub python: String,
}

fn default_python() -> String {
    "python3".to_owned()
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { env: BTreeMap::new(), python: default_python() }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: FileKind,
    platforms: Vec<Platform>,
    debian: Option<DebianDefinition>,
    registry: Option<RegistryDefinition>,
    #[serde(default)]
    image: ImageSettings,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FileKind {
    Debian,
    Registry,
}

impl File {
    /// Where packages are fetched from cannot change what they are: their digests are locked.
    fn without_addresses(&self) -> Self {
        let mut file = self.clone();
        if let Some(debian) = &mut file.debian {
            debian.mirror = None;
            debian.snapshot = None;
        }
        file
    }
}

impl BaseDefinition {
    /// Reads a base definition.
    ///
    /// # Errors
    /// A [`Problem`] that points at what is wrong.
    pub fn parse(name: BaseName, file: &str, text: &Arc<str>) -> Result<Self, Problem> {
        let parsed: File = Problem::toml(file, text)?;
        if parsed.platforms.is_empty() {
            return Err(Problem::in_file(file, "`platforms` is empty")
                .help("name at least one, such as platforms = [\"linux/amd64\"]"));
        }
        let digest = digest_of_value(&parsed.without_addresses())
            .map_err(|error| Problem::in_file(file, format!("it has no canonical form: {error}")))?;
        if let Some(debian) = &parsed.debian
            && let Err(message) = in_workspace("images", &debian.keyring)
        {
            return Err(Problem::in_file(file, format!("`keyring`: {message}"))
                .help("write a path relative to images/"));
        }
        let missing = |section: &str| {
            Problem::in_file(file, format!("kind = \"{section}\" needs a [{section}] section"))
        };
        let kind = match (parsed.kind, parsed.debian, parsed.registry) {
            (FileKind::Debian, Some(debian), None) => BaseKind::Debian(debian),
            (FileKind::Registry, None, Some(registry)) => BaseKind::Registry(registry),
            (FileKind::Debian, None, _) => return Err(missing("debian")),
            (FileKind::Registry, _, None) => return Err(missing("registry")),
            _ => {
                return Err(Problem::in_file(file, "it has a [debian] and a [registry] section")
                    .help("keep the one that `kind` names"));
            }
        };
        Ok(Self {
            name,
            file: file.to_owned(),
            kind,
            platforms: parsed.platforms,
            image: parsed.image,
            digest,
        })
    }
}

/// A lock of a base: generated, never edited by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseLock {
    /// The format version of this file.
    pub format: FormatVersion,
    /// The base it is for.
    pub base: BaseName,
    /// The digest of the definition it was made from.
    pub definition: Digest,
    /// When it was pinned.
    pub pinned: Epoch,
    /// The command that pinned it.
    pub command: String,
    /// The facts for each platform.
    pub platform: BTreeMap<Platform, PlatformLock>,
}

/// What a base is on one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformLock {
    /// The digest of the image manifest.
    pub manifest: Digest,
    /// The digest of the image config, which is the image's id in most engines. Absent for registry bases, where the
    /// engine tells.
    pub config: Option<Digest>,
    /// The release that the packages come from.
    pub release: Option<DebianRelease>,
    /// The packages, sorted by name.
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<LockedPackage>,
}

/// The signed release that a Debian base was resolved from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianRelease {
    /// The code name.
    pub codename: String,
    /// The release's own date.
    pub date: String,
    /// The fingerprint of the key whose signature was accepted.
    pub signed_by: String,
    /// The digest of the `InRelease` file.
    pub digest: Digest,
}

/// One `.deb` of a Debian base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, `all` included.
    pub architecture: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of the `.deb`.
    pub digest: Digest,
    /// Its path in the archive, below the mirror's root.
    pub path: String,
}

impl BaseLock {
    /// Reads a lock.
    ///
    /// # Errors
    /// A [`Problem`] that points at what is wrong.
    pub fn parse(file: &str, text: &Arc<str>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Head {
            format: FormatVersion,
        }
        let help = |base: &str| format!("make it anew: kiln lock --base {base}");
        let stem = file.rsplit('/').next().and_then(|name| name.strip_suffix(".lock")).unwrap_or(file);
        let head: Head = Problem::toml(file, text).map_err(|problem| problem.help(help(stem)))?;
        if head.format.major != BASE_LOCK_FORMAT.major {
            return Err(Problem::in_file(
                file,
                format!("it has format {}; this kiln reads {BASE_LOCK_FORMAT}", head.format),
            )
            .help(format!("use a newer kiln, or {}", help(stem))));
        }
        Problem::toml(file, text).map_err(|problem| problem.help(help(stem)))
    }

    /// The lock as it is written to disk.
    ///
    /// # Errors
    /// Only if a value has no TOML form, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let body = toml::to_string_pretty(self)?;
        Ok(format!(
            "# Written by `{}`. Do not edit: run the command again to move the pin.\n{body}",
            self.command
        ))
    }
}
