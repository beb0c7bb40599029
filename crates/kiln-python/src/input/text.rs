//! The lines of a text, and how long one may be.

use super::problem::{InputProblem, ProblemKind};

/// Longest lock or project file that is read, in bytes.
pub(crate) const LONGEST_FILE: usize = 16 * 1024 * 1024;

/// Most distributions that a lock may hold; the largest real locks have some two thousand.
pub(crate) const MOST_DISTRIBUTIONS: usize = 20_000;

/// The problem of a file that exceeds one of these bounds.
pub(crate) fn too_large(file: &str, length: usize, distributions: usize) -> Option<InputProblem> {
    let message = if length > LONGEST_FILE {
        format!("the file is longer than {LONGEST_FILE} bytes")
    } else if distributions > MOST_DISTRIBUTIONS {
        format!("the file holds more than {MOST_DISTRIBUTIONS} distributions")
    } else {
        return None;
    };
    Some(InputProblem::new(ProblemKind::Invalid, file, None, message))
}

/// The lines of a text, to turn an offset into a line number.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_lines() {
        let lines = Lines::new("a\nbc\n\nd");
        assert_eq!([0, 1, 2, 4, 5, 6, 99].map(|at| lines.of(at)), [1, 1, 2, 2, 3, 4, 4]);
    }
}
