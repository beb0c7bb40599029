//! The `[check]` section: what the checks need.

use crate::duration::parse_seconds;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{bounds, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The `[check]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckSection {
    /// Environment variables that the code needs to be imported and to run.
    pub env: BTreeMap<String, String>,
    /// Modules to import besides the artifact's own.
    pub modules: Vec<String>,
    /// The artifact's own modules that are not imported: dotted names, or `package.*` for all below a
    /// package.
    pub skip: Vec<String>,
    /// The function's timeout, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// The function's memory, in MB as Lambda counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
}

#[derive(Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckTable {
    env: BTreeMap<String, String>,
    modules: Vec<String>,
    skip: Vec<String>,
    timeout: Option<Spanned<String>>,
    memory: Option<Spanned<String>>,
}

impl CheckSection {
    /// Reads the section.
    pub(super) fn parse(table: CheckTable, problems: &mut Problems<'_>) -> Self {
        let mut amount =
            |text: Option<&Spanned<String>>, read: fn(&str) -> Result<u32, String>, help: &str| {
                let text = text?;
                read(text.get_ref()).map_err(|message| problems.at(text.span(), message, help)).ok()
            };
        let timeout = amount(table.timeout.as_ref(), parse_timeout, "for example timeout = \"10 s\"");
        let memory = amount(table.memory.as_ref(), parse_memory, "for example memory = \"256 MB\"");
        for name in table.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                problems.at_top(
                    format!("`check.env` has the variable `{}`, which cannot be set", excerpt(name)),
                    "a name is not empty and has no `=`",
                );
            }
        }
        Self { env: table.env, modules: table.modules, skip: table.skip, timeout, memory }
    }
}

/// Reads a time in whole seconds: a number with `s` or `min`, as long as Lambda takes.
///
/// # Errors
/// A message that says which forms are understood.
fn parse_timeout(text: &str) -> Result<u32, String> {
    let (least, most) = bounds("timeout").unwrap_or_default();
    parse_seconds(text, u32::try_from(most).unwrap_or(u32::MAX)).ok_or_else(|| {
        let minutes = most / 60;
        format!(
            "`{text}` is not a timeout that Lambda has: write {least} s to {most} s, or whole minutes up to {minutes} min"
        )
    })
}

/// Reads an amount of memory in whole MB, which Lambda counts as 1024 × 1024 bytes.
///
/// # Errors
/// A message that says which forms are understood.
fn parse_memory(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix("MB").map(|number| number.trim().parse::<u32>());
    let (least, most) = bounds("memory").unwrap_or_default();
    match number {
        Some(Ok(megabytes)) if (least..=most).contains(&u64::from(megabytes)) => Ok(megabytes),
        _ => {
            Err(format!("`{text}` is not an amount of memory that Lambda has: write {least} MB to {most} MB"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambdas_amounts_are_read() {
        assert_eq!(parse_timeout("10 s"), Ok(10));
        assert_eq!(parse_timeout("15 min"), Ok(900));
        for bad in ["", "10", "0 s", "901 s", "16 min", "1.5 s", "-1 s", "10 h", "99999999999 min"] {
            assert!(parse_timeout(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_memory("256 MB"), Ok(256));
        assert_eq!(parse_memory("10240MB"), Ok(10_240));
        for bad in ["", "256", "127 MB", "10241 MB", "1 GB", "256 MiB", "-256 MB"] {
            assert!(parse_memory(bad).is_err(), "{bad}");
        }
    }
}
