//! Problems in files that a user wrote, pointing at the place.

use crate::nearest::nearest;
use kiln_record::{Advice, Code, Place, RunError, exit};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

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

    /// The file, with the line if there is one.
    #[must_use]
    pub fn place(&self) -> Place {
        match self.line() {
            Some(line) => Place::line(&self.file, line),
            None => Place::file(&self.file),
        }
    }

    /// Reads a TOML document; what it does not allow becomes a problem that points at it.
    pub(crate) fn toml<T: serde::de::DeserializeOwned>(file: &str, text: &Arc<str>) -> Result<T, Self> {
        toml::from_str(text).map_err(|error| Self::of_toml(file, text, &error))
    }

    /// The same, with every key that is unknown and every value that is not allowed as a problem of its own.
    pub(crate) fn toml_all<T: serde::de::DeserializeOwned>(
        file: &str,
        text: &Arc<str>,
    ) -> Result<T, Vec<Self>> {
        let first = match Self::toml(file, text) {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        let Ok(mut document) = DeTable::parse(text) else { return Err(vec![first]) };
        let (mut found, mut last) = (vec![first.clone()], first);
        // What is not as it was written any more, with the tables around it: what is wrong with that is no problem of the file.
        let mut touched: Vec<Range<usize>> = Vec::new();
        while found.len() < MOST_PROBLEMS {
            let Some(place) = last.span.clone() else { break };
            let meant = allowed(&last.message).filter(|_| last.message.starts_with("unknown field "));
            if !take(document.get_mut(), &place, meant, &mut touched) {
                break;
            }
            let Err(error) = T::deserialize(Deserializer::from(document.clone())) else { break };
            last = Self::of_toml(file, text, &error);
            if last
                .span
                .as_ref()
                .is_some_and(|place| !touched.contains(place) && stands(document.get_ref(), place))
            {
                found.push(last.clone());
            }
        }
        found.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        Err(found)
    }

    fn of_toml(file: &str, text: &Arc<str>, error: &toml::de::Error) -> Self {
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
    }
}

/// How many problems of a file are told at once.
const MOST_PROBLEMS: usize = 20;

/// Takes what stands at a place, a key or a value, out of a table or out of what is in it. The value of a key goes to the one that was
/// meant, if there is no such yet. Gives whether something stood there, and adds what it touched: the value, and all that it is in.
fn take(
    table: &mut DeTable<'_>,
    place: &Range<usize>,
    meant: Option<&str>,
    touched: &mut Vec<Range<usize>>,
) -> bool {
    // An array of tables has the place of its first.
    let is_it = |value: &Spanned<DeValue<'_>>| {
        value.span() == *place
            && !matches!(value.get_ref(), DeValue::Array(items) if items.iter().any(|item| item.span() == *place))
    };
    let at = table.iter().find(|(key, value)| key.span() == *place || is_it(value));
    let Some(key) = at.map(|(key, _)| key.clone()) else {
        return table.iter_mut().any(|(_, value)| take_within(value, place, meant, touched));
    };
    let Some(value) = table.remove(&key) else { return false };
    touched.push(value.span());
    if let Some(meant) = meant.filter(|meant| !table.contains_key(*meant)) {
        table.insert(Spanned::new(place.clone(), meant.to_owned().into()), value);
    }
    true
}

fn take_within(
    value: &mut Spanned<DeValue<'_>>,
    place: &Range<usize>,
    meant: Option<&str>,
    touched: &mut Vec<Range<usize>>,
) -> bool {
    let around = value.span();
    let is_taken = match value.get_mut() {
        DeValue::Table(table) => take(table, place, meant, touched),
        DeValue::Array(items) if items.iter().any(|item| item.span() == *place) => {
            *items = items.iter().filter(|item| item.span() != *place).cloned().collect();
            true
        }
        DeValue::Array(items) => items.iter_mut().any(|item| take_within(item, place, meant, touched)),
        _ => false,
    };
    if is_taken {
        touched.push(around);
    }
    is_taken
}

/// Whether a key or a value of a table, or of what is in it, stands at a place.
fn stands(table: &DeTable<'_>, place: &Range<usize>) -> bool {
    fn within(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> bool {
        value.span() == *place
            || match value.get_ref() {
                DeValue::Table(table) => stands(table, place),
                DeValue::Array(items) => items.iter().any(|item| within(item, place)),
                _ => false,
            }
    }
    table.iter().any(|(key, value)| key.span() == *place || within(value, place))
}

/// The word that is allowed and most like the one of which a message says that it is not.
fn allowed(message: &str) -> Option<&str> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    nearest(quoted.next()?, quoted)
}

/// What helps against a word that a document does not allow, if that can be told from the message of its reader.
fn meant(file: &str, message: &str) -> Option<String> {
    let nearest = match message {
        _ if message.starts_with("unknown ") => allowed(message),
        _ if message.ends_with("is not a finding code") => {
            nearest(message.split('`').nth(1)?, Code::ALL.iter().map(|code| code.as_str()))
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
        Advice::exit(exit::INPUT_INVALID).at(self.0.first().map(Problem::place))
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
