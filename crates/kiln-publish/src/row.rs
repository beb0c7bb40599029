//! What was looked at, and how it is.

use kiln_invocation::Environment;
use std::path::Path;

/// How something that was looked at is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it was built, published or entered.
    Same,
    /// Nothing is wrong with it, and there is something to know.
    Noted,
    /// It could not be held against anything.
    NotChecked,
    /// It is not what it should be.
    Differs,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What: a path, or an artifact's history.
    pub subject: String,
    /// How it is.
    pub state: State,
    /// What was looked at, or what is wrong with it.
    pub lines: Vec<String>,
}

impl Row {
    pub(crate) fn new(subject: impl Into<String>, state: State, line: impl Into<String>) -> Self {
        Self { subject: subject.into(), state, lines: vec![line.into()] }
    }
}

/// A path for people: from the workspace, where it is in it.
pub(crate) fn in_workspace(environment: &Environment, path: &Path) -> String {
    path.strip_prefix(&environment.root).unwrap_or(path).display().to_string()
}
