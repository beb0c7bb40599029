//! The policy: which finding does what to a build, and which are excused until when.

use kiln_record::{Code, Epoch, Finding, Level};
use std::collections::BTreeMap;
use std::str::FromStr;

/// What a policy says a finding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyLevel {
    /// It is not reported at all.
    Allow,
    /// It is reported at this level.
    Report(Level),
}

/// A text that is not a policy level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a level: use allow, note, warn or deny")]
pub struct UnknownPolicyLevel(pub String);

impl FromStr for PolicyLevel {
    type Err = UnknownPolicyLevel;

    fn from_str(text: &str) -> Result<Self, UnknownPolicyLevel> {
        match text {
            "allow" => Ok(Self::Allow),
            "note" => Ok(Self::Report(Level::Note)),
            "warn" => Ok(Self::Report(Level::Warn)),
            "deny" => Ok(Self::Report(Level::Deny)),
            other => Err(UnknownPolicyLevel(other.to_owned())),
        }
    }
}

/// An excuse for findings of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The code that is excused.
    pub code: Code,
    /// The subject that is excused; every subject if absent.
    pub subject: Option<String>,
    /// Why, in the words of whoever took the exception.
    pub reason: String,
    /// The last moment at which it holds; for good if absent.
    pub until: Option<Epoch>,
}

/// Levels and exceptions of one artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Levels that differ from the codes' defaults.
    pub levels: BTreeMap<Code, PolicyLevel>,
    /// Exceptions, which are applied after the levels.
    pub exceptions: Vec<Exception>,
}

impl Policy {
    /// Gives every finding its level, excuses those that an exception covers at the time `at`, reports exceptions that
    /// have ended, and sorts: highest level first, then by code and subject.
    ///
    /// An excused finding stays, as a note with the exception's reason. The result is part of the record, so `at`
    /// must come from the inputs (the artifact's epoch) if equal inputs are to give equal records.
    #[must_use]
    pub fn apply(&self, findings: Vec<Finding>, at: Epoch) -> Vec<Finding> {
        let mut judged: Vec<Finding> = findings.into_iter().filter_map(|f| self.judge(f, at)).collect();
        for exception in self.exceptions.iter().filter(|e| e.ended(at)) {
            judged.extend(self.level(exception.finding()));
        }
        judged.sort_by(|a, b| {
            (b.level, a.code, &a.subject, &a.cause).cmp(&(a.level, b.code, &b.subject, &b.cause))
        });
        judged.dedup();
        judged
    }

    fn level(&self, mut finding: Finding) -> Option<Finding> {
        match self.levels.get(&finding.code) {
            Some(PolicyLevel::Allow) => return None,
            Some(PolicyLevel::Report(level)) => {
                finding.level = *level;
                // Nobody is told to state a level who has stated one.
                finding.remedy.retain(|remedy| !remedy.contains("[policy.levels]"));
            }
            None => {}
        }
        Some(finding)
    }

    fn judge(&self, finding: Finding, at: Epoch) -> Option<Finding> {
        let mut finding = self.level(finding)?;
        let mut covering: Vec<&Exception> = self.exceptions.iter().filter(|e| e.covers(&finding)).collect();
        // An exception that holds speaks before one that has ended.
        covering.sort_by_key(|e| e.ended(at));
        let Some(exception) = covering.first() else { return Some(finding) };
        match exception.until {
            Some(until) if exception.ended(at) => {
                finding.detail.push(format!("the exception for this ended on {until}: {}", exception.reason));
            }
            until => {
                let end = until.map_or_else(String::new, |u| format!(" until {u}"));
                finding.level = Level::Note;
                // A note is shown without its details, and the reason is what matters now.
                finding.cause.push_str(&format!("; accepted{end}: {}", exception.reason));
            }
        }
        Some(finding)
    }
}

impl Exception {
    fn ended(&self, at: Epoch) -> bool {
        self.until.is_some_and(|until| at > until)
    }

    fn covers(&self, finding: &Finding) -> bool {
        self.code == finding.code && self.subject.as_ref().is_none_or(|s| *s == finding.subject)
    }

    fn finding(&self) -> Finding {
        let subject = match &self.subject {
            Some(subject) => format!("{} {subject}", self.code),
            None => self.code.to_string(),
        };
        let until = self.until.map_or_else(String::new, |u| u.to_string());
        Finding::new(
            Code::ExceptionExpired,
            subject.clone(),
            format!("the policy's exception for `{subject}` ended on {until}"),
        )
        .detail(format!("its reason was: {}", self.reason))
        .remedy("remove the exception if what it excused is fixed")
        .remedy("or set a new end date, with a reason that holds today")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Epoch {
        text.parse().unwrap()
    }

    fn excuse(subject: Option<&str>, until: Option<&str>) -> Policy {
        Policy {
            levels: BTreeMap::new(),
            exceptions: vec![Exception {
                code: Code::GlibcTooNew,
                subject: subject.map(str::to_owned),
                reason: "only used on our own hosts".to_owned(),
                until: until.map(at),
            }],
        }
    }

    #[test]
    fn levels_are_set_and_allow_removes() {
        let policy = Policy {
            levels: [
                (Code::ImportFailed, PolicyLevel::Allow),
                (Code::ProvidedByLayer, "deny".parse().unwrap()),
            ]
            .into(),
            exceptions: Vec::new(),
        };
        let findings = policy.apply(
            vec![Finding::new(Code::ImportFailed, "a", "x"), Finding::new(Code::ProvidedByLayer, "b", "y")],
            at("2026-01-01T00:00:00Z"),
        );
        assert_eq!(
            findings.iter().map(|f| (f.code, f.level)).collect::<Vec<_>>(),
            [(Code::ProvidedByLayer, Level::Deny)]
        );
        assert!("severe".parse::<PolicyLevel>().is_err());
    }

    #[test]
    fn an_exception_makes_a_note_with_its_reason() {
        let finding = Finding::new(Code::GlibcTooNew, "a.so", "x");
        let noted = excuse(Some("a.so"), Some("2026-12-31T00:00:00Z"))
            .apply(vec![finding.clone()], at("2026-12-31T00:00:00Z"));
        assert_eq!(noted[0].level, Level::Note);
        assert_eq!(noted[0].cause, "x; accepted until 2026-12-31T00:00:00Z: only used on our own hosts");
        let other = excuse(Some("b.so"), None).apply(vec![finding], at("2026-01-01T00:00:00Z"));
        assert_eq!(other[0].level, Level::Deny);
    }

    #[test]
    fn an_exception_that_ended_excuses_nothing_and_is_reported() {
        let findings = excuse(None, Some("2026-01-01T00:00:00Z"))
            .apply(vec![Finding::new(Code::GlibcTooNew, "a.so", "x")], at("2026-01-01T00:00:01Z"));
        let got: Vec<(Code, Level)> = findings.iter().map(|f| (f.code, f.level)).collect();
        assert_eq!(got, [(Code::GlibcTooNew, Level::Deny), (Code::ExceptionExpired, Level::Warn)]);
        assert!(findings[0].detail[0].contains("ended on 2026-01-01"));
    }

    #[test]
    fn order_is_level_then_code_then_subject() {
        let findings = Policy::default().apply(
            vec![
                Finding::new(Code::ProvidedByRuntime, "z", "x"),
                Finding::new(Code::ImportFailed, "b", "x"),
                Finding::new(Code::ImportFailed, "a", "x"),
                Finding::new(Code::LockedNotInstalled, "c", "x"),
            ],
            at("2026-01-01T00:00:00Z"),
        );
        let subjects: Vec<&str> = findings.iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(subjects, ["c", "a", "b", "z"]);
    }
}
