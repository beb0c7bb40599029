//! Problems in files that a user wrote, pointing at the place.

use crate::nearest::nearest;
use kiln_record::{Advice, Code, RunError, exit};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Something wrong in an input file: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the workspace.
    pub file: String,
    /// The file's text, if it could be read; for showing the place.
    pub text: Option<Arc<str>>,
    /// The bytes of the text that are wrong.
    pub span: Option<Range<usize>>,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

impl Problem {
    /// A problem with a whole file.
    #[must_use]
    pub fn in_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), text: None, span: None, message: message.into(), help: None }
    }

    /// Points at a place in the file's text.
    #[must_use]
    pub fn at(mut self, text: &Arc<str>, span: Range<usize>) -> Self {
        self.text = Some(Arc::clone(text));
        self.span = Some(span);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The line of the place, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        let before = self.text.as_ref()?.get(..start)?;
        Some(before.bytes().filter(|b| *b == b'\n').count() + 1)
    }

    /// Reads a TOML document; what it does not allow becomes a problem that points at it.
    pub(crate) fn toml<T: serde::de::DeserializeOwned>(file: &str, text: &Arc<str>) -> Result<T, Self> {
        toml::from_str(text).map_err(|error| {
            let message = error.message().trim();
            let problem = Self::in_file(file, message);
            let problem = match meant(file, message) {
                Some(help) => problem.help(help),
                None => problem,
            };
            match error.span() {
                Some(span) => problem.at(text, span),
                None => problem,
            }
        })
    }
}

/// What helps against a word that a document does not allow, if that can be told from the message of its reader.
fn meant(file: &str, message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next()?;
    let nearest = match message {
        _ if message.starts_with("unknown ") => nearest(word, quoted),
        _ if message.ends_with("is not a finding code") => {
            nearest(word, Code::ALL.iter().map(|code| code.as_str()))
        }
        "missing field `format`" if file == "kiln.toml" => {
            return Some("begin the file with the line format = \"1\"".to_owned());
        }
        _ => None,
    };
    Some(format!("did you mean `{}`?", nearest?))
}

/// The line of a TOML document that sets a key, as the bytes of the text.
#[must_use]
pub fn line_of_key(text: &str, key: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start().strip_prefix(key);
        if rest.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return Some(start..start + line.trim_end().len());
        }
        start += line.len();
    }
    None
}

/// Files of the workspace are wrong: all their problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFiles(pub Vec<Problem>);

impl fmt::Display for InvalidFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for InvalidFiles {}

impl From<Problem> for InvalidFiles {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl RunError for InvalidFiles {
    fn advice(&self) -> Advice<'_> {
        Advice::exit(exit::INPUT_INVALID)
    }
}

/// The problems of one file, as they are found.
pub(crate) struct Problems<'a> {
    file: &'a str,
    text: &'a Arc<str>,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// None so far.
    pub(crate) fn new(file: &'a str, text: &'a Arc<str>) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// Adds one that has a place.
    pub(crate) fn at(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Problem::in_file(self.file, message).at(self.text, span).help(help));
    }

    /// Adds one that has no place of its own, such as something that is missing; it is shown at the top.
    pub(crate) fn at_top(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.at(0..0, message, help);
    }

    /// Adds one with the whole file.
    pub(crate) fn in_file(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Problem::in_file(self.file, message).help(help));
    }

    /// Adds one that was found elsewhere.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// All of them, or the value if there are none.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line() {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
