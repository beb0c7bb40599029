//! Why Python metadata could not be read.

use kiln_record::{Advice, RunError, TreePath, exit};

/// A Python input that cannot be understood. What a *user* wrote in a lock or project file is reported as
/// [`InputProblem`](crate::InputProblem) instead, with its line; what is wrong with a *build* is a finding.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The probe printed something that is not its JSON document.
    #[error("the base's Python did not answer the probe: {reason}")]
    Probe {
        /// What is wrong with the answer.
        reason: String,
    },
    /// What an interpreter says of itself cannot be told for another machine.
    #[error("what the base's Python says on {from} cannot be told for {to}: {reason}")]
    NotTransposable {
        /// The machine that was asked.
        from: String,
        /// The machine it should be told for.
        to: &'static str,
        /// Why not.
        reason: String,
    },
    /// The base's interpreter is not the one the target runtime has.
    #[error("the base has Python {base}, but runtime {runtime} has {expected}")]
    PythonDiffers {
        /// The version of the base, such as `3.11.2`.
        base: String,
        /// The runtime's identifier.
        runtime: String,
        /// The runtime's version, major and minor; `no Python` for a runtime without one.
        expected: String,
    },
    /// The base's processor architecture is not the target's.
    #[error("the base's Python is for {base}, but the artifact is for {expected}")]
    MachineDiffers {
        /// The machine in the probe's answer, such as `x86_64`.
        base: String,
        /// The machine of the target.
        expected: String,
    },
    /// A marker is not one by PEP 508, or has no answer for a target.
    #[error("the environment marker `{marker}` cannot be evaluated: {reason}")]
    Marker {
        /// The marker as written.
        marker: String,
        /// Why it was refused.
        reason: String,
    },
    /// A dependency is not one by the specification of dependency specifiers.
    #[error("`{text}` is not a dependency: {reason}")]
    Dependency {
        /// The dependency as written, shortened.
        text: String,
        /// Why it was refused.
        reason: String,
    },
    /// A version constraint is neither PEP 440 nor Poetry's notation.
    #[error("`{text}` is not a version constraint: {reason}")]
    Constraint {
        /// The constraint as written.
        text: String,
        /// Why it was refused.
        reason: String,
    },
    /// A file name is not a wheel's by the binary distribution format.
    #[error("`{file_name}` is not a wheel file name: {reason}")]
    WheelName {
        /// The file name as given.
        file_name: String,
        /// Why it was refused.
        reason: String,
    },
    /// A wheel breaks the binary distribution format.
    #[error("`{file_name}` is not a valid wheel: {reason}")]
    InvalidWheel {
        /// The wheel's file name.
        file_name: String,
        /// The rule it breaks.
        reason: String,
    },
    /// A wheel's content differs from its RECORD.
    #[error("`{file_name}` does not match its RECORD: `{path}` {reason}")]
    RecordMismatch {
        /// The wheel's file name.
        file_name: String,
        /// The member concerned, as RECORD or the archive names it.
        path: String,
        /// What differs.
        reason: String,
    },
    /// A member of a wheel could not be read.
    #[error("`{path}` in `{file_name}` cannot be read: {reason}")]
    Member {
        /// The wheel's file name.
        file_name: String,
        /// The member.
        path: TreePath,
        /// What the reader said.
        reason: String,
    },
    /// The import check printed something that is not its report.
    #[error("the report of the import check cannot be read: {reason}")]
    ImportReport {
        /// What is wrong with it.
        reason: String,
    },
    /// The smoke check printed something that is not its report.
    #[error("the report of the smoke check cannot be read: {reason}")]
    SmokeReport {
        /// What is wrong with it.
        reason: String,
    },
    /// The script that builds a source distribution printed something that is not its report.
    #[error("the report of the build cannot be read: {reason}")]
    SdistReport {
        /// What is wrong with it.
        reason: String,
    },
    /// A resolver's answer has another form than expected.
    #[error("the resolver's answer cannot be read: `{line}`")]
    Resolution {
        /// The line.
        line: String,
    },
}

impl RunError for PythonError {
    fn advice(&self) -> Advice<'_> {
        Advice::exit(match self {
            // A program in a base did not say what it was asked for.
            Self::Probe { .. }
            | Self::ImportReport { .. }
            | Self::SmokeReport { .. }
            | Self::SdistReport { .. } => exit::BUILD_STEP_FAILED,
            // What an index served.
            Self::WheelName { .. }
            | Self::InvalidWheel { .. }
            | Self::RecordMismatch { .. }
            | Self::Member { .. }
            | Self::Resolution { .. } => exit::FETCH_FAILED,
            Self::NotTransposable { .. }
            | Self::PythonDiffers { .. }
            | Self::MachineDiffers { .. }
            | Self::Marker { .. }
            | Self::Dependency { .. }
            | Self::Constraint { .. } => exit::INPUT_INVALID,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(PythonError, kiln_record::Exit, usize)> = vec![
            (PythonError::Probe { reason: "x".to_owned() }, exit::BUILD_STEP_FAILED, 0),
            (
                PythonError::InvalidWheel { file_name: "x".to_owned(), reason: "x".to_owned() },
                exit::FETCH_FAILED,
                0,
            ),
            (PythonError::Marker { marker: "x".to_owned(), reason: "x".to_owned() }, exit::INPUT_INVALID, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
