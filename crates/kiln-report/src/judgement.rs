//! What a command found out about its subjects, before it has a form: the cases that were tried, and what is to be said.

use crate::word::word;
use kiln_audit::Anomaly;
use kiln_record::{Check, CheckOutcome, Finding, Level, Place};

/// All that was found out about one subject: an artifact, a file, a pair of builds.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// The subject, such as the artifact's name.
    pub name: String,
    /// The file of the workspace that says what the subject is, where there is one: an artifact's manifest.
    pub declared_in: Option<String>,
    /// What was tried, in order.
    pub cases: Vec<Case>,
    /// What is to be said, the most important first.
    pub remarks: Vec<Remark>,
}

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name, such as that of a check.
    pub name: String,
    /// What came of it.
    pub state: CaseState,
}

/// What came of something that was tried. What it found is in the remarks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseState {
    /// It was tried to its end.
    Ran,
    /// It was not tried, with the reason.
    NotRun(String),
    /// It broke off.
    Broken {
        /// The reason, in full.
        why: String,
        /// The same for forms that show what is wrong beside the code: a remark for each place.
        errors: Vec<Remark>,
    },
}

/// One thing to be said about a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The stable name of the rule behind it: a finding's code, or what a comparison or verification looks for.
    pub rule: String,
    /// How much it matters. [`Level::Deny`] is a failure.
    pub level: Level,
    /// What it is about.
    pub subject: String,
    /// What is wrong, in a sentence.
    pub text: String,
    /// Further lines.
    pub detail: Vec<String>,
    /// What to do, one way out each.
    pub remedy: Vec<String>,
    /// Where in the workspace.
    pub place: Option<Place>,
}

impl Judgement {
    /// What is to be shown beside the code: what is to be said, and why something broke off.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Remark> {
        self.remarks.iter().chain(self.cases.iter().flat_map(|case| match &case.state {
            CaseState::Broken { errors, .. } => errors.as_slice(),
            CaseState::Ran | CaseState::NotRun(_) => &[],
        }))
    }

    /// What one of them is about, by its name: that of the judgement comes before it, unless it is that.
    pub(crate) fn title(&self, remark: &Remark) -> String {
        match remark.subject == self.name {
            true => self.name.clone(),
            false => format!("{}: {}", self.name, remark.subject),
        }
    }

    /// Where one of them is shown: what has no place of its own, where the subject is declared.
    pub(crate) fn place(&self, remark: &Remark) -> Option<Place> {
        remark.place.clone().or_else(|| self.declared_in.as_deref().map(Place::file))
    }
}

impl Case {
    /// A case that was tried to its end.
    #[must_use]
    pub fn ran(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: CaseState::Ran }
    }

    /// A case that was not tried.
    #[must_use]
    pub fn not_run(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), state: CaseState::NotRun(why.into()) }
    }

    /// A case that broke off.
    #[must_use]
    pub fn broken(name: impl Into<String>, why: impl Into<String>, errors: Vec<Remark>) -> Self {
        Self { name: name.into(), state: CaseState::Broken { why: why.into(), errors } }
    }
}

impl From<&Check> for Case {
    fn from(check: &Check) -> Self {
        match &check.outcome {
            CheckOutcome::Ran { .. } => Self::ran(check.name.as_str()),
            CheckOutcome::NotChecked { reason } => Self::not_run(check.name.as_str(), reason),
        }
    }
}

impl Remark {
    /// A remark without details.
    #[must_use]
    pub fn new(
        rule: impl Into<String>,
        level: Level,
        subject: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.into(),
            level,
            subject: subject.into(),
            text: text.into(),
            detail: Vec::new(),
            remedy: Vec::new(),
            place: None,
        }
    }

    /// All that it says, in lines.
    #[must_use]
    pub fn lines(&self) -> String {
        let ways = self.remedy.iter().map(|way| format!("→ {way}"));
        let lines: Vec<String> =
            std::iter::once(self.text.clone()).chain(self.detail.iter().cloned()).chain(ways).collect();
        lines.join("\n")
    }
}

impl From<&Finding> for Remark {
    fn from(finding: &Finding) -> Self {
        Self {
            detail: finding.detail.clone(),
            remedy: finding.remedy.clone(),
            place: finding.place.clone(),
            ..Self::new(finding.code.as_str(), finding.level, &finding.subject, &finding.cause)
        }
    }
}

impl From<&Anomaly> for Remark {
    fn from(anomaly: &Anomaly) -> Self {
        let rule = format!("diff-{}", word(anomaly.rule));
        Self::new(rule, anomaly.level, &anomaly.subject, &anomaly.text)
    }
}
