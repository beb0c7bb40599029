//! One line of `kiln doctor`, and how long anything may take that is asked for one.

use serde::Serialize;
use std::time::Duration;

/// How long anything may take that is asked; all of it is asked side by side.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What was found out about one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It is as kiln needs it.
    Ok,
    /// It is not.
    Problem,
    /// It was not looked at, for the reason that is given.
    NotChecked,
}

/// One line. Keys are only ever added.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Row {
    /// Such as `engine` or `index`.
    pub(super) subject: &'static str,
    pub(super) state: State,
    /// What was seen, or why it was not looked at.
    pub(super) fact: String,
    /// What to do about a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Row {
    pub(super) fn ok(subject: &'static str, fact: impl Into<String>) -> Self {
        Self { subject, state: State::Ok, fact: fact.into(), remedy: None }
    }

    pub(super) fn not_checked(subject: &'static str, why: impl Into<String>) -> Self {
        Self { subject, state: State::NotChecked, fact: why.into(), remedy: None }
    }

    pub(super) fn problem(subject: &'static str, fact: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, state: State::Problem, fact: fact.into(), remedy: Some(remedy.into()) }
    }
}

/// The first line of a text from elsewhere, whole: whoever prints it wraps it.
pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn a_long_line_is_not_cut() {
        let line = "the address does not answer, ".repeat(20);
        assert_eq!(first_line(&format!("{line}\nand more")), line);
        assert_eq!(first_line(""), "");
    }
}
