//! `kiln.toml`: what holds for the whole workspace.

use crate::Problem;
use crate::index::{IndexTable, NamedIndex, named_indexes, no_password};
use crate::runtime_table::{RuntimeTable, own_runtimes};
use kiln_record::{Code, Level, Runtime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;

/// The settings of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Python package index to use, if the workspace names one.
    pub python_index: Option<String>,
    /// The package indexes that it names, in the order of the file.
    pub indexes: Vec<NamedIndex>,
    /// The Debian mirror to use, if the workspace names one.
    pub debian_mirror: Option<String>,
    /// Levels and exceptions for findings.
    pub policy: PolicySection,
    /// Targets that the workspace adds to Lambda's runtimes.
    pub runtimes: Vec<Arc<Runtime>>,
}

/// What a policy makes of a finding code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyLevel {
    /// Not reported.
    Allow,
    /// Reported as a fact.
    Note,
    /// Reported as something to look at.
    Warn,
    /// Stops publication.
    Deny,
}

impl PolicyLevel {
    /// The level of a finding, or `None` where it is not reported.
    #[must_use]
    pub fn level(self) -> Option<Level> {
        match self {
            Self::Allow => None,
            Self::Note => Some(Level::Note),
            Self::Warn => Some(Level::Warn),
            Self::Deny => Some(Level::Deny),
        }
    }
}

/// An accepted finding, with its reason and end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyException {
    /// The finding code it accepts.
    pub code: Code,
    /// The subject it accepts; every subject if absent.
    pub subject: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day it holds, `YYYY-MM-DD`.
    pub until: String,
}

/// The `[policy]` section of `kiln.toml` or a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// Level by finding code.
    pub levels: BTreeMap<Code, PolicyLevel>,
    /// Accepted findings.
    #[serde(rename = "exception")]
    pub exceptions: Vec<PolicyException>,
}

impl PolicySection {
    /// This policy with another laid over it: the other's levels win, its exceptions are added.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        merged.levels.extend(other.levels.iter().map(|(code, level)| (*code, *level)));
        merged.exceptions.extend(other.exceptions.iter().cloned());
        merged
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    #[serde(default)]
    python: PythonTable,
    #[serde(default)]
    debian: DebianTable,
    #[serde(default)]
    policy: PolicySection,
    #[serde(default)]
    runtime: Vec<Spanned<RuntimeTable>>,
    #[serde(default)]
    index: Vec<Spanned<IndexTable>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PythonTable {
    index: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DebianTable {
    mirror: Option<String>,
}

impl Settings {
    /// Reads `kiln.toml`.
    ///
    /// # Errors
    /// A [`Problem`] that points at the first thing that is wrong.
    pub fn parse(file: &str, text: &Arc<str>) -> Result<Self, Problem> {
        let parsed: File = Problem::toml(file, text)?;
        if parsed.format != "1" {
            return Err(Problem::in_file(file, format!("format `{}` is not known", parsed.format))
                .help("this kiln reads format = \"1\"; use a newer kiln for a later one"));
        }
        check_policy(file, &parsed.policy)?;
        let addresses =
            [("`python.index`", &parsed.python.index), ("`debian.mirror`", &parsed.debian.mirror)];
        for (what, url) in addresses {
            let url = url.as_deref().unwrap_or_default();
            no_password(file, what, url, "a netrc file can hold it, or the variable that names the address")?;
        }
        Ok(Self {
            indexes: named_indexes(file, text, parsed.index, parsed.python.index.is_some())?,
            python_index: parsed.python.index,
            debian_mirror: parsed.debian.mirror,
            runtimes: own_runtimes(file, text, parsed.runtime)?,
            policy: parsed.policy,
        })
    }
}

/// Refuses exceptions without a reason or with an end date that is none.
pub(crate) fn check_policy(file: &str, policy: &PolicySection) -> Result<(), Problem> {
    let lowered =
        policy.levels.iter().filter(|(_, level)| **level != PolicyLevel::Deny).map(|(code, _)| *code);
    let excused = policy.exceptions.iter().map(|exception| exception.code);
    if let Some(code) = lowered.chain(excused).find(|code| code.is_integrity()) {
        return Err(Problem::in_file(
            file,
            format!("the policy accepts `{code}`: the artifact would not hold what its lock or its files say"),
        )
        .help("leave what is not wanted out by name (`exclude`), which the record shows, and remove it from the policy"));
    }
    for exception in &policy.exceptions {
        if exception.reason.trim().is_empty() {
            return Err(Problem::in_file(
                file,
                format!("the exception for `{}` has no reason", exception.code),
            )
            .help("say in `reason` why it is accepted"));
        }
        if format!("{}T00:00:00Z", exception.until).parse::<kiln_record::Epoch>().is_err() {
            return Err(Problem::in_file(
                file,
                format!(
                    "the exception for `{}` has `until = \"{}\"`, which is not a date",
                    exception.code, exception.until
                ),
            )
            .help("write the last day it holds as YYYY-MM-DD"));
        }
    }
    Ok(())
}
