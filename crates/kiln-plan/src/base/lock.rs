//! The lock of a base, `images/<base>.lock`.

use crate::Problem;
use kiln_record::{BaseName, Digest, Epoch, FormatVersion, Platform};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format version of base locks that this kiln writes.
pub const BASE_LOCK_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 1 };

/// A lock of a base: generated, never edited by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlatformLock {
    /// The digest of the image manifest of this platform.
    pub manifest: Digest,
    /// The digest of the index that names it, for an image in a registry that is for several platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The digest of the image config, which is the image's id in most engines. Absent for registry bases,
    /// where the engine tells.
    pub config: Option<Digest>,
    /// The release that the packages come from.
    pub release: Option<DebianRelease>,
    /// The packages, sorted by name.
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<LockedPackage>,
}

/// The signed release that a Debian base was resolved from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
