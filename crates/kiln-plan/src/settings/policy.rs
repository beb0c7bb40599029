//! `[policy]`: what is made of findings, in `kiln.toml` and in manifests.

use crate::Problem;
use kiln_record::{Code, DistributionName, JudgedBy, PolicyLevel, StatedException};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An accepted finding, with its reason and end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyException {
    /// The finding code it accepts.
    pub code: Code,
    /// The subject it accepts; every subject if absent.
    pub subject: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// Who answers for it: a person or a team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The last day it holds, `YYYY-MM-DD`.
    pub until: String,
}

/// The `[policy]` section of `kiln.toml` or a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// Level by finding code.
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "$ref": "#/$defs/Code" })))]
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

    /// It as records state it; none where nothing is stated.
    #[must_use]
    pub fn stated(&self) -> Option<JudgedBy> {
        let exceptions = self.exceptions.iter().map(|one| StatedException {
            code: one.code,
            subject: one.subject.clone(),
            reason: one.reason.clone(),
            owner: one.owner.clone(),
            until: one.until.clone(),
        });
        let stated = JudgedBy { levels: self.levels.clone(), exceptions: exceptions.collect() };
        (stated != JudgedBy::default()).then_some(stated)
    }
}

/// Refuses exceptions without a reason or with an end date that is none.
pub(crate) fn check_policy(file: &str, policy: &PolicySection) -> Result<(), Problem> {
    let lowered =
        policy.levels.iter().filter(|(_, level)| **level != PolicyLevel::Deny).map(|(code, _)| *code);
    // A wheel whose own list of files is wrong is still the file that the lock names, so a person can take it.
    let by_name = |exception: &&PolicyException| {
        exception.code == Code::RecordMismatch
            && exception.subject.as_ref().is_some_and(|subject| subject.parse::<DistributionName>().is_ok())
    };
    let excused = policy.exceptions.iter().filter(|one| !by_name(one)).map(|exception| exception.code);
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
        if exception.owner.as_ref().is_some_and(|owner| owner.trim().is_empty()) {
            return Err(Problem::in_file(
                file,
                format!("the exception for `{}` has an empty `owner`", exception.code),
            )
            .help("name the person or team that answers for it, or leave `owner` out"));
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

#[cfg(test)]
mod tests {
    use crate::Settings;

    #[test]
    fn a_wrong_record_is_accepted_for_one_distribution_and_nothing_else_of_its_kind() {
        let check = |code: &str, subject: &str| {
            let text = format!(
                "format = \"1\"\n[[policy.exception]]\ncode = \"{code}\"\n{subject}reason = \"looked at\"\nuntil = \"2999-01-01\"\n"
            );
            Settings::parse("kiln.toml", &text.into())
                .map(|_| ())
                .map_err(|problems| problems.0[0].message.clone())
        };
        assert_eq!(check("record-mismatch", "subject = \"alpha\"\n"), Ok(()));
        for (code, subject) in [
            ("record-mismatch", ""),
            ("record-mismatch", "subject = \"alpha 1.0\"\n"),
            ("path-collision", "subject = \"alpha\"\n"),
        ] {
            assert!(check(code, subject).unwrap_err().contains("the policy accepts"), "{code} {subject}");
        }
    }
}
