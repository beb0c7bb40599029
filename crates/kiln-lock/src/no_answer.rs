//! Why a resolver gave no answer.

use kiln_invocation::BuildError;

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// uv refused: its words, and whether it says that there is no solution.
    Refused { lines: Vec<String>, unsatisfiable: bool },
    /// Anything else.
    Broken(BuildError),
}

impl<E: Into<BuildError>> From<E> for NoAnswer {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}
