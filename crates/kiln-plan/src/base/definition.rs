//! What the user states about a base, `images/<base>.toml`.

use crate::period::Period;
use crate::workspace_path::in_workspace;
use crate::{InvalidFiles, Problem};
use kiln_record::{BaseName, Digest, Platform, digest_of_value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// How often its pin is looked at again, if it says so itself.
    pub review: Option<Period>,
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The archive is kept as it was on purpose, such as a snapshot or a suite that is no longer maintained: its release is
    /// believed though its time, or that of the key that signed it, has passed, and though it is older than the one locked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
}

/// A base in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegistryDefinition {
    /// Registry, repository and tag. The digest is in the lock.
    pub reference: String,
    /// What stands in place of the registry when the image is brought, such as `mirror.example.org/ecr-public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
}

/// How programs run in a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct File {
    /// Where it comes from: the section of that name says more.
    kind: FileKind,
    /// The platforms that it is locked for.
    platforms: Vec<Platform>,
    /// How often its pin is looked at again, where that is not what `kiln.toml` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Period>,
    debian: Option<DebianDefinition>,
    registry: Option<RegistryDefinition>,
    /// How programs run in it.
    #[serde(default)]
    image: ImageSettings,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum FileKind {
    Debian,
    Registry,
}

impl File {
    /// Where packages and images are fetched from, and when they are looked at, cannot change what they are: their digests are locked.
    fn without_addresses(&self) -> Self {
        let mut file = self.clone();
        file.review = None;
        if let Some(debian) = &mut file.debian {
            debian.mirror = None;
            debian.snapshot = None;
            debian.frozen = false;
        }
        if let Some(registry) = &mut file.registry {
            registry.mirror = None;
        }
        file
    }
}

impl BaseDefinition {
    /// The path of its Python, if the definition says where that is.
    #[must_use]
    pub fn stated_python(&self) -> Option<&str> {
        Some(self.image.python.as_str()).filter(|python| python.starts_with('/'))
    }

    /// Whether it asks for a package of Debian.
    #[must_use]
    pub fn has_package(&self, name: &str) -> bool {
        matches!(&self.kind, BaseKind::Debian(debian) if debian.packages.iter().any(|package| package == name))
    }

    /// What the definition of a base may say.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema(generator: schemars::SchemaGenerator) -> schemars::Schema {
        generator.into_root_schema_for::<File>()
    }

    /// Reads a base definition.
    ///
    /// # Errors
    /// What is wrong, each with its place: every key and value that the form does not allow, or else the first that makes no sense.
    pub fn parse(name: BaseName, file: &str, text: &Arc<str>) -> Result<Self, InvalidFiles> {
        let parsed = Problem::toml_all(file, text).map_err(InvalidFiles)?;
        Ok(Self::checked(parsed, name, file)?)
    }

    fn checked(parsed: File, name: BaseName, file: &str) -> Result<Self, Problem> {
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
            review: parsed.review,
            digest,
        })
    }
}
