//! `kiln.lock`: the tools that kiln runs on this machine, each file by digest, and the archives of crates that distributions have
//! inside.

use crate::Problem;
use kiln_record::{Archive, Digest, Epoch, FormatVersion, crate_of_url, excerpt, is_sha512};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file with the pins of tools and the archives of crates, beside `kiln.toml`.
pub const TOOLS_LOCK: &str = "kiln.lock";
/// The format version of it that this kiln writes.
pub const TOOLS_LOCK_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// The tools of a workspace, and the crates that its distributions have inside: generated, never edited by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolsLock {
    /// The format version of this file.
    pub format: FormatVersion,
    /// The tools, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tool: BTreeMap<String, ToolLock>,
    /// The archives of crates that distributions have inside, sorted by name and version.
    #[serde(default, rename = "crate", skip_serializing_if = "Vec::is_empty")]
    pub crates: Vec<CrateArchive>,
}

/// A crate of cargo's default registry that something has inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedCrate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its archive, if whoever names it states one.
    pub stated: Option<Digest>,
}

impl NamedCrate {
    /// The crate that a package URL names, if it is one of the registry.
    #[must_use]
    pub fn of_url(purl: &str, stated: Option<Digest>) -> Option<Self> {
        crate_of_url(purl).map(|(name, version)| Self { name, version, stated })
    }
}

/// The archive of a crate, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CrateArchive {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The licence that its `Cargo.toml` declares, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Its digest.
    pub digest: Digest,
    /// Its SHA-512 in lower-case hexadecimal.
    pub sha512: String,
}

impl CrateArchive {
    /// As what a part of an artifact is distributed as.
    #[must_use]
    pub fn archive(&self) -> Archive {
        Archive {
            file_name: format!("{}-{}.crate", self.name, self.version),
            digest: self.digest,
            sha512: self.sha512.clone(),
            license: self.license.clone(),
            member: None,
        }
    }
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolLock {
    /// Its version.
    pub version: String,
    /// When it was pinned.
    pub pinned: Epoch,
    /// The command that pinned it.
    pub command: String,
    /// Its file for each platform that it can be run on, such as `linux-x86_64-gnu`.
    pub file: BTreeMap<String, ToolFile>,
}

/// The file of a tool for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolFile {
    /// Its name in the index.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

impl ToolsLock {
    /// Reads the file.
    ///
    /// # Errors
    /// A [`Problem`] that points at what is wrong.
    pub fn parse(file: &str, text: &Arc<str>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Head {
            format: FormatVersion,
        }
        let help = "make it anew: kiln lock --tools --crates";
        let head: Head = Problem::toml(file, text).map_err(|problem| problem.help(help))?;
        if head.format.major != TOOLS_LOCK_FORMAT.major {
            let message = format!("it has format {}; this kiln reads {TOOLS_LOCK_FORMAT}", head.format);
            return Err(Problem::in_file(file, message).help(format!("use a newer kiln, or {help}")));
        }
        let lock: Self = Problem::toml(file, text).map_err(|problem| problem.help(help))?;
        match lock.crates.iter().find(|one| !is_sha512(&one.sha512)) {
            Some(one) => {
                let message =
                    format!("`sha512` of the crate {} {} is none", excerpt(&one.name), excerpt(&one.version));
                Err(Problem::in_file(file, message).help(help))
            }
            None => Ok(lock),
        }
    }

    /// The file as it is written.
    ///
    /// # Errors
    /// Only if a value has no TOML form, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let body = toml::to_string_pretty(self)?;
        let commands = match (self.tool.is_empty(), self.crates.is_empty()) {
            (_, true) => "`kiln lock --tools`",
            (true, false) => "`kiln lock --crates`",
            (false, false) => "`kiln lock --tools` and `kiln lock --crates`",
        };
        Ok(format!("# Written by {commands}. Do not edit: run the command again to move the pin.\n{body}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_later_formats_are_refused() {
        let file = ToolFile { name: "uv-1-py3-none-any.whl".to_owned(), digest: Digest::of(b"") };
        let tool = ToolLock {
            version: "1".to_owned(),
            pinned: "2026-01-31T12:00:00Z".parse().unwrap(),
            command: "kiln lock --tools".to_owned(),
            file: BTreeMap::from([("linux-x86_64-gnu".to_owned(), file)]),
        };
        let archive = CrateArchive {
            name: "memchr".to_owned(),
            version: "2.7.4".to_owned(),
            license: Some("Unlicense OR MIT".to_owned()),
            digest: Digest::of(b"crate"),
            sha512: "ab".repeat(64),
        };
        let lock = ToolsLock {
            format: TOOLS_LOCK_FORMAT,
            tool: BTreeMap::from([("uv".to_owned(), tool)]),
            crates: vec![archive],
        };
        let text = lock.to_toml().unwrap();
        assert!(text.contains("[tool.uv.file.linux-x86_64-gnu]"), "{text}");
        assert_eq!(ToolsLock::parse("kiln.lock", &text.clone().into()).unwrap(), lock);
        // One that was written before crates were in it, and one with nothing but crates.
        let of_tools = ToolsLock { crates: Vec::new(), ..lock.clone() };
        let before = of_tools.to_toml().unwrap();
        assert!(
            before.starts_with("# Written by `kiln lock --tools`.") && !before.contains("crate"),
            "{before}"
        );
        assert_eq!(ToolsLock::parse("kiln.lock", &before.into()).unwrap(), of_tools);
        let of_crates = ToolsLock { tool: BTreeMap::new(), ..lock.clone() };
        let alone = of_crates.to_toml().unwrap();
        assert!(alone.contains("[[crate]]\nname = \"memchr\""), "{alone}");
        assert_eq!(ToolsLock::parse("kiln.lock", &alone.clone().into()).unwrap(), of_crates);
        let short = alone.replace(&"ab".repeat(64), "ab");
        let problem = ToolsLock::parse("kiln.lock", &short.into()).unwrap_err();
        assert!(problem.message.contains("memchr 2.7.4"), "{}", problem.message);
        let later = text.replace("format = \"1.0\"", "format = \"2.0\"");
        assert_ne!(later, text);
        let problem = ToolsLock::parse("kiln.lock", &later.into()).unwrap_err();
        assert!(problem.message.contains("2.0") && problem.help.unwrap().contains("kiln lock --tools"));
    }
}
