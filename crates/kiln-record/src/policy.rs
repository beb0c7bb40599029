//! The policy that a build was judged by: levels of findings, and findings that somebody accepted.

use crate::{Code, Finding, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a policy makes of a finding code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

    /// The name in policies and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for PolicyLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the workspace and the manifest state together about findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JudgedBy {
    /// Levels that differ from the usual ones.
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "$ref": "#/$defs/Code" })))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<Code, PolicyLevel>,
    /// Accepted findings, as they are stated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<StatedException>,
}

/// A finding that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatedException {
    /// The code.
    pub code: Code,
    /// The subject; every subject if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// Who answers for it, if that is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The last day it holds, `YYYY-MM-DD`.
    pub until: String,
}

impl StatedException {
    /// Whether a finding is one of those that it accepts.
    #[must_use]
    pub fn covers(&self, finding: &Finding) -> bool {
        self.code == finding.code && self.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
    }

    /// What it accepts: the code, and the subject if it is for one.
    #[must_use]
    pub fn accepts(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{} {subject}", self.code),
            None => self.code.to_string(),
        }
    }

    /// Until when, by whom and why.
    #[must_use]
    pub fn terms(&self) -> String {
        let owner = self.owner.as_ref().map(|owner| format!(", by {owner}")).unwrap_or_default();
        format!("until {}{owner}: {}", self.until, self.reason)
    }
}
