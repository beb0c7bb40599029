//! The policy: which finding does what to a build, and which are excused until when.

use kiln_record::{Code, Epoch, Finding, Level, PolicyLevel};
use std::collections::BTreeMap;

/// An excuse for findings of one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The code that is excused.
    pub code: Code,
    /// The subject that is excused; every subject if absent.
    pub subject: Option<String>,
    /// Why, in the words of whoever took the exception.
    pub reason: String,
    /// Who answers for it, if that is stated.
    pub owner: Option<String>,
    /// The last moment at which it holds; for good if absent.
    pub until: Option<Epoch>,
    /// Whether it is stated for this artifact alone. One of the workspace may be there for another.
    pub is_own: bool,
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

    /// A finding for each exception of this artifact alone that holds at the time `at` and accepts none of its findings. They must be all
    /// that were made: nothing is known of the findings of checks that are still to come.
    #[must_use]
    pub fn unused(&self, findings: &[Finding], at: Epoch) -> Vec<Finding> {
        let is_used = |exception: &Exception| findings.iter().any(|finding| exception.covers(finding));
        let own = self.exceptions.iter().filter(|exception| exception.is_own && !exception.ended(at));
        own.filter(|exception| !is_used(exception)).map(Exception::unused).collect()
    }

    fn level(&self, mut finding: Finding) -> Option<Finding> {
        if let Some(level) = self.levels.get(&finding.code) {
            finding.level = level.level()?;
            // Nobody is told to state a level who has stated one.
            finding.remedy.retain(|remedy| !remedy.contains("[policy.levels]"));
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
                let terms = format!(
                    "the exception for this ended on {until}{}: {}",
                    exception.by(),
                    exception.reason
                );
                finding.detail.push(terms);
            }
            until => {
                let end = until.map_or_else(String::new, |u| format!(" until {u}"));
                finding.level = Level::Note;
                // A note is shown without its details, and the reason is what matters now.
                finding.cause.push_str(&format!("; accepted{end}{}: {}", exception.by(), exception.reason));
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

    /// Who answers for it, as a clause.
    fn by(&self) -> String {
        self.owner.as_ref().map(|owner| format!(", by {owner}")).unwrap_or_default()
    }

    fn accepts(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{} {subject}", self.code),
            None => self.code.to_string(),
        }
    }

    fn unused(&self) -> Finding {
        let subject = self.accepts();
        let cause = format!("the manifest's exception for `{subject}` accepts nothing that was found");
        Finding::new(Code::ExceptionUnused, subject, cause)
            .detail(format!("its reason is: {}", self.reason))
            .remedy("remove it if what it excused is fixed")
            .remedy("or write its subject as the finding does")
    }

    fn finding(&self) -> Finding {
        let subject = self.accepts();
        let until = self.until.map_or_else(String::new, |u| u.to_string());
        Finding::new(
            Code::ExceptionExpired,
            subject.clone(),
            format!("the policy's exception for `{subject}` ended on {until}"),
        )
        .detail(format!("its reason was{}: {}", self.by(), self.reason))
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
                owner: None,
                until: until.map(at),
                is_own: true,
            }],
        }
    }

    #[test]
    fn levels_are_set_and_allow_removes() {
        let policy = Policy {
            levels: [(Code::ImportFailed, PolicyLevel::Allow), (Code::ProvidedByLayer, PolicyLevel::Deny)]
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
    fn who_answers_for_an_exception_is_told_with_its_reason() {
        let mut policy = excuse(None, Some("2026-12-31T00:00:00Z"));
        policy.exceptions[0].owner = Some("the platform team".to_owned());
        let told = |time: &str| policy.apply(vec![Finding::new(Code::GlibcTooNew, "a.so", "x")], at(time));
        let cause = &told("2026-01-01T00:00:00Z")[0].cause;
        assert!(
            cause.ends_with(
                "accepted until 2026-12-31T00:00:00Z, by the platform team: only used on our own hosts"
            ),
            "{cause}"
        );
        let ended = told("2027-01-01T00:00:00Z");
        assert!(
            ended.iter().all(|finding| finding.detail[0].contains(", by the platform team: ")),
            "{ended:?}"
        );
    }

    #[test]
    fn an_exception_that_accepts_nothing_is_told() {
        let time = at("2026-01-01T00:00:00Z");
        let found = [Finding::new(Code::GlibcTooNew, "a.so", "x")];
        let unused = |policy: &Policy, found: &[Finding]| -> Vec<String> {
            policy
                .unused(found, time)
                .into_iter()
                .map(|one| format!("{} {}", one.code, one.subject))
                .collect()
        };
        assert_eq!(unused(&excuse(Some("a.so"), None), &found), [""; 0]);
        assert_eq!(unused(&excuse(None, None), &found), [""; 0]);
        assert_eq!(unused(&excuse(Some("b.so"), None), &found), ["exception-unused glibc-too-new b.so"]);
        assert_eq!(unused(&excuse(None, None), &[]), ["exception-unused glibc-too-new"]);
        // One that has ended is told as that, and one of the workspace may be for another artifact.
        assert_eq!(unused(&excuse(None, Some("2025-12-31T00:00:00Z")), &[]), [""; 0]);
        let mut of_workspace = excuse(None, None);
        of_workspace.exceptions[0].is_own = false;
        assert_eq!(unused(&of_workspace, &[]), [""; 0]);
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
