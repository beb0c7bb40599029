//! What every error that can end a run says of itself.

use crate::exit::{self, Exit};
use std::fmt;
use std::panic::Location;

/// An error that can end a run. It knows what the run ends with and what can be done, so that whoever tells it needs to
/// know neither.
pub trait RunError: std::error::Error {
    /// What the process ends with.
    fn exit(&self) -> Exit;

    /// What to do, one way out each.
    fn hints(&self) -> Vec<Hint> {
        Vec::new()
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
#[error("this is a defect in kiln: {thought_impossible} ({}, line {})", at.file(), at.line())]
pub struct Defect {
    thought_impossible: String,
    at: &'static Location<'static>,
}

impl Defect {
    /// A defect at the place of the caller. The text says what is the case although it cannot be, such as `a layer has
    /// no record`.
    #[track_caller]
    #[must_use]
    pub fn new(thought_impossible: impl Into<String>) -> Self {
        Self { thought_impossible: thought_impossible.into(), at: Location::caller() }
    }
}

impl RunError for Defect {
    fn exit(&self) -> Exit {
        exit::UNEXPECTED
    }

    fn hints(&self) -> Vec<Hint> {
        vec![
            "please report it where you have kiln from, with this message, the command, and what `kiln --version` says"
                .into(),
        ]
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

    #[test]
    fn an_error_has_no_hints_unless_it_says_so() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed")]
        struct Failed;
        impl RunError for Failed {
            fn exit(&self) -> Exit {
                exit::FETCH_FAILED
            }
        }
        assert_eq!(Failed.hints(), Vec::<Hint>::new());
    }
}
