//! The program that builds a source distribution in a base, its request and its report.

use super::report::last_report;
use crate::error::PythonError;
use kiln_record::DistributionName;
use serde::{Deserialize, Serialize};

/// The script. Run it in the base as `python3 -S -s -c BUILD_SDIST REQUEST`.
pub const BUILD_SDIST: &str = include_str!("build_sdist.py");

const MARKER: &[u8] = b"KILN-SDIST-REPORT ";

/// What to build, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SdistRequest {
    /// The folder with the unpacked source.
    pub source: String,
    /// Where it is copied to and built.
    pub work: String,
    /// Where the wheel goes.
    pub out: String,
    /// Where the build requirements are installed.
    pub requirements: String,
    /// Where `python3` is put on the path.
    pub commands: String,
    /// The build backend.
    pub backend: String,
    /// Folders of the source in which it is looked for first.
    pub backend_path: Vec<String>,
    /// Names of the build requirements that are installed.
    pub locked: Vec<DistributionName>,
    /// The time that every file of the source gets, in seconds since 1970.
    pub epoch: u64,
    /// Whether the entries of each folder are made from the last to the first.
    pub reverse: bool,
}

impl SdistRequest {
    /// The request as the script's argument.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What the script reports of a build that did not fail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SdistReport {
    /// What the backend asks for beside `[build-system] requires`.
    pub requires: Vec<String>,
    /// Those of them that are not installed. If there are any, nothing was built.
    pub missing: Vec<String>,
    /// The wheel's file name.
    pub wheel: Option<String>,
}

impl SdistReport {
    /// Finds the report in what the script wrote to standard output.
    ///
    /// # Errors
    /// [`PythonError::SdistReport`] if there is none or it is not what the script writes.
    pub fn from_stdout(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::SdistReport { reason };
        let line =
            last_report(stdout, MARKER).ok_or_else(|| error("the build ended without one".to_owned()))?;
        serde_json::from_slice(line).map_err(|e| error(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_found_in_what_was_written() {
        assert!(SdistReport::from_stdout(b"noise\n").is_err());
        let report = b"x\nKILN-SDIST-REPORT {\"requires\": [], \"missing\": [], \"wheel\": \"a-1-py3-none-any.whl\"}\n";
        assert_eq!(SdistReport::from_stdout(report).unwrap().wheel.unwrap(), "a-1-py3-none-any.whl");
    }
}
