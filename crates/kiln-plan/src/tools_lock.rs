//! `kiln.lock`: the tools that kiln runs on this machine, each file by digest.

use crate::Problem;
use kiln_record::{Digest, Epoch, FormatVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file with the pins of tools, beside `kiln.toml`.
pub const TOOLS_LOCK: &str = "kiln.lock";
/// The format version of it that this kiln writes.
pub const TOOLS_LOCK_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// The tools of a workspace: generated, never edited by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolsLock {
    /// The format version of this file.
    pub format: FormatVersion,
    /// The tools, by name.
    pub tool: BTreeMap<String, ToolLock>,
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
        let help = "make it anew: kiln lock --tools";
        let head: Head = Problem::toml(file, text).map_err(|problem| problem.help(help))?;
        if head.format.major != TOOLS_LOCK_FORMAT.major {
            let message = format!("it has format {}; this kiln reads {TOOLS_LOCK_FORMAT}", head.format);
            return Err(Problem::in_file(file, message).help(format!("use a newer kiln, or {help}")));
        }
        Problem::toml(file, text).map_err(|problem| problem.help(help))
    }

    /// The file as it is written.
    ///
    /// # Errors
    /// Only if a value has no TOML form, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let body = toml::to_string_pretty(self)?;
        Ok(format!(
            "# Written by `kiln lock --tools`. Do not edit: run the command again to move the pin.\n{body}"
        ))
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
        let lock = ToolsLock { format: TOOLS_LOCK_FORMAT, tool: BTreeMap::from([("uv".to_owned(), tool)]) };
        let text = lock.to_toml().unwrap();
        assert!(text.contains("[tool.uv.file.linux-x86_64-gnu]"), "{text}");
        assert_eq!(ToolsLock::parse("kiln.lock", &text.clone().into()).unwrap(), lock);
        let later = text.replace("format = \"1.0\"", "format = \"2.0\"");
        assert_ne!(later, text);
        let problem = ToolsLock::parse("kiln.lock", &later.into()).unwrap_err();
        assert!(problem.message.contains("2.0") && problem.help.unwrap().contains("kiln lock --tools"));
    }
}
