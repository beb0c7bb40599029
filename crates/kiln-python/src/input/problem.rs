//! What is wrong with a file that a user wrote, and what was passed over in it.

use kiln_record::{Advice, Code, Finding, Place, RunError, exit};
use std::fmt;

/// Something that a user wrote, or did not write, and that has to change before a build can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputProblem {
    /// What sort of problem.
    pub kind: ProblemKind,
    /// The file concerned.
    pub file: String,
    /// The line, from 1, if there is one.
    pub line: Option<usize>,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do, one way out each.
    pub remedy: Vec<String>,
}

/// Sorts of problems with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A line is not pinned to one version with hashes.
    LockMissingHashes,
    /// The lock does not belong to the project file beside it.
    LockStale,
    /// The file asks for something that kiln does not do.
    Unsupported,
    /// The file cannot be understood.
    Invalid,
}

impl InputProblem {
    pub(crate) fn new(
        kind: ProblemKind,
        file: &str,
        line: Option<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, file: file.to_owned(), line, message: message.into(), remedy: Vec::new() }
    }

    pub(crate) fn remedy(mut self, line: impl Into<String>) -> Self {
        self.remedy.push(line.into());
        self
    }

    /// The line, or the file alone.
    #[must_use]
    pub fn place(&self) -> Place {
        self.line.map_or_else(|| Place::file(&self.file), |line| Place::line(&self.file, line))
    }

    /// The finding that this problem is, where a finding code exists for it: an incomplete or stale lock.
    /// Anything else is an invalid input.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let code = match self.kind {
            ProblemKind::LockMissingHashes => Code::LockMissing,
            ProblemKind::LockStale => Code::LockStale,
            ProblemKind::Unsupported | ProblemKind::Invalid => return None,
        };
        let mut finding = Finding::new(code, self.place().to_string(), self.message.clone()).at(self.place());
        finding.remedy.clone_from(&self.remedy);
        Some(finding)
    }
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl std::error::Error for InputProblem {}

/// Dependency locks or project files are wrong: all their problems, with what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidInput(pub Vec<InputProblem>);

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let line = if number == 0 { "" } else { "\n" };
            write!(f, "{line}{problem}")?;
            for remedy in &problem.remedy {
                write!(f, "\n  help: {remedy}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for InvalidInput {}

impl From<InputProblem> for InvalidInput {
    fn from(problem: InputProblem) -> Self {
        Self(vec![problem])
    }
}

impl RunError for InvalidInput {
    fn advice(&self) -> Advice<'_> {
        Advice::exit(exit::INPUT_INVALID)
    }
}

/// What to do where an option that names an index is passed over.
pub(crate) const NAME_INDEX: &str =
    "if files are to come from another index, name it in kiln.toml, with [[index]] for some names";

/// Something that a file says and that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is passed over and why: a lower-case fragment. It never holds a URL, which may carry a password.
    pub message: String,
    /// What to do, if that was not meant.
    pub remedy: String,
}
