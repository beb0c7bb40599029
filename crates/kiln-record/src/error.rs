//! What every error that can end a run says of itself.

use crate::exit::{self, Exit};
use crate::finding::Place;
use std::fmt;
use std::io;
use std::panic::Location;

/// An error that can end a run. It knows what the run ends with and what can be done, so that whoever tells it needs to
/// know neither.
pub trait RunError: std::error::Error {
    /// What the run ends with and what to do, for each variant in one place.
    fn advice(&self) -> Advice<'_>;

    /// What the process ends with.
    fn exit(&self) -> Exit {
        self.advice().exit
    }

    /// What to do, one way out each.
    fn hints(&self) -> Vec<Hint> {
        self.advice().hints
    }

    /// Where in the workspace it is, if that is one place.
    fn place(&self) -> Option<Place> {
        self.advice().place
    }
}

impl dyn RunError {
    /// The error that is told: of one that only passes on what happened further down, that.
    #[must_use]
    pub fn root(&self) -> &(dyn RunError + 'static) {
        self.advice().of.map_or(self, |error| error.root())
    }
}

/// What an error says beside its message.
#[derive(Debug)]
pub struct Advice<'a> {
    exit: Exit,
    hints: Vec<Hint>,
    place: Option<Place>,
    of: Option<&'a (dyn RunError + 'static)>,
}

impl<'a> Advice<'a> {
    /// The run ends with this.
    #[must_use]
    pub const fn exit(exit: Exit) -> Self {
        Self { exit, hints: Vec::new(), place: None, of: None }
    }

    /// All that another error says, which is only passed on.
    #[must_use]
    pub fn of(error: &'a (dyn RunError + 'static)) -> Self {
        Self { of: Some(error), ..error.advice() }
    }

    /// With one way out more.
    #[must_use]
    pub fn hint(self, hint: impl Into<Hint>) -> Self {
        self.hints([hint.into()])
    }

    /// With the place in the workspace that it is about.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// With more ways out.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = impl Into<Hint>>) -> Self {
        self.hints.extend(hints.into_iter().map(Into::into));
        self
    }
}

/// A way out of an error, as a lower-case fragment without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// The hint as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something was found that kiln takes for impossible. Whoever sees it can do nothing about it but report it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is a defect in kiln: {thought_impossible} ({file}, line {line})")]
pub struct Defect {
    thought_impossible: String,
    file: String,
    line: u32,
}

impl Defect {
    /// A defect at the place of the caller. The text says what is the case although it cannot be, such as `a layer has
    /// no record`.
    #[track_caller]
    #[must_use]
    pub fn new(thought_impossible: impl Into<String>) -> Self {
        let at = Location::caller();
        Self::at(thought_impossible, at.file(), at.line())
    }

    /// A defect at a place that something else told of, such as a panic.
    #[must_use]
    pub fn at(thought_impossible: impl Into<String>, file: &str, line: u32) -> Self {
        Self { thought_impossible: thought_impossible.into(), file: file.to_owned(), line }
    }
}

impl RunError for Defect {
    fn advice(&self) -> Advice<'_> {
        Advice::exit(exit::UNEXPECTED).hint(
            "please report it where you have kiln from, with this message, the command, and what `kiln --version` says",
        )
    }
}

/// Files of the store, of the output folder or of the workspace. Where they could be read and only hold something else
/// than they should, the disk is not to blame.
impl RunError for io::Error {
    fn advice(&self) -> Advice<'_> {
        // What is read through readers of the standard library can only be told in its own errors.
        if let Some(defect) = self.get_ref().and_then(|error| error.downcast_ref::<Defect>()) {
            return Advice::of(defect);
        }
        Advice::exit(match self.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => exit::INPUT_INVALID,
            _ => exit::STORE_FAILURE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_says_what_and_where_and_whom_to_tell() {
        let (defect, line) = (Defect::new("a layer has no record"), line!());
        assert_eq!(
            defect.to_string(),
            format!("this is a defect in kiln: a layer has no record ({}, line {line})", file!())
        );
        assert_eq!(defect.exit().number(), 1);
        assert!(defect.hints()[0].as_str().starts_with("please report it"), "{:?}", defect.hints());
    }

    /// `ok_or_else` has a closure between the place and the defect.
    #[test]
    fn the_place_is_where_it_was_met() {
        let met: Result<u8, Defect> = None.ok_or_else(|| Defect::new("nothing"));
        assert!(met.unwrap_err().to_string().contains(file!()));
    }

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("failed")]
        Own,
        #[error(transparent)]
        Defect(#[from] Defect),
    }

    impl RunError for Outer {
        fn advice(&self) -> Advice<'_> {
            match self {
                Self::Own => Advice::exit(exit::FETCH_FAILED),
                Self::Defect(error) => Advice::of(error),
            }
        }
    }

    #[test]
    fn an_error_has_no_hints_unless_it_says_so() {
        assert_eq!((Outer::Own.exit(), Outer::Own.hints()), (exit::FETCH_FAILED, Vec::new()));
    }

    #[test]
    fn what_is_passed_on_is_told() {
        let outer = Outer::from(Defect::new("nothing"));
        assert_eq!((outer.exit(), outer.hints().len()), (exit::UNEXPECTED, 1));
        let as_error = |error: &'static dyn RunError| -> &'static dyn std::error::Error { error };
        let root = as_error((Box::leak(Box::new(outer)) as &dyn RunError).root());
        assert!(root.is::<Defect>());
        let own: &'static dyn RunError = &Outer::Own;
        assert!(as_error(own.root()).is::<Outer>());
    }

    #[test]
    fn a_file_that_can_be_read_is_not_the_fault_of_the_disk() {
        let exit = |kind| io::Error::from(kind).exit();
        assert_eq!(exit(io::ErrorKind::InvalidData), exit::INPUT_INVALID);
        assert_eq!(exit(io::ErrorKind::StorageFull), exit::STORE_FAILURE);
        assert_eq!(exit(io::ErrorKind::NotFound), exit::STORE_FAILURE);
        assert_eq!(io::Error::other("anything").exit(), exit::STORE_FAILURE);
    }

    #[test]
    fn a_defect_that_a_reader_met_is_none_of_the_disk() {
        let error = io::Error::other(Defect::new("nothing"));
        assert_eq!((error.exit(), error.hints().len()), (exit::UNEXPECTED, 1));
    }
}
