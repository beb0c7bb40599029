//! Why a resolver gave no answer.

use crate::LockError;

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// uv refused: its words, and whether it says that there is no solution.
    Refused { lines: Vec<String>, unsatisfiable: bool },
    /// Anything else.
    Broken(LockError),
}

impl<E: Into<LockError>> From<E> for NoAnswer {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}
