//! The program that builds a source distribution in a base, its request and its report.

use super::report::only_report;
use crate::error::PythonError;
use kiln_record::DistributionName;
use serde::{Deserialize, Serialize};

/// The script. Run it in the base as `python3 -I -S -B -c BUILD_SDIST REQUEST`, as a program that may change its
/// user: the build is another one's.
pub const BUILD_SDIST: &str = concat!(include_str!("supervisor.py"), "\n", include_str!("build_sdist.py"));

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
    /// The user and group that the build runs as; none if there is only the script's own.
    pub user: Option<(u32, u32)>,
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

/// What the supervising program writes: the answer of the build as it came, or why there is none to be believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Supervised {
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    tampered: Option<String>,
}

/// The most requirements that a build may ask for, and the most characters of one.
const REQUIREMENTS: usize = 1000;
const REQUIREMENT: usize = 2000;

impl SdistReport {
    /// Reads the report that the script wrote to standard output.
    ///
    /// # Errors
    /// [`PythonError::SdistReport`] if there is none, if it is not what the script writes, or if it tells what no
    /// build has to tell.
    pub fn from_stdout(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::SdistReport { reason };
        if stdout.trim_ascii().is_empty() {
            return Err(error("the build ended without one".to_owned()));
        }
        let line = only_report(stdout, MARKER).map_err(error)?;
        let told: Supervised = serde_json::from_slice(line).map_err(|e| error(e.to_string()))?;
        if let Some(why) = told.tampered {
            return Err(error(format!("the build interferes with what runs it: its process {why}")));
        }
        let answer = told.answer.ok_or_else(|| error("the build ended without one".to_owned()))?;
        let report: Self = serde_json::from_str(&answer).map_err(|e| error(e.to_string()))?;
        let is_long = |text: &String| text.chars().take(REQUIREMENT + 1).count() > REQUIREMENT;
        let too_much = report.requires.len() > REQUIREMENTS || report.requires.iter().any(is_long);
        // Where something is missing, nothing was built.
        let contradicts = report.missing.len() > report.requires.len()
            || !report.missing.is_empty() && report.wheel.is_some();
        match too_much || contradicts {
            true => Err(error("it tells what no build has to tell".to_owned())),
            false => Ok(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_what_was_answered_and_nothing_else() {
        let read = |text: &str| SdistReport::from_stdout(text.as_bytes());
        assert!(read("").is_err() && read("noise\n").is_err());
        let answer =
            |answer: &str| format!("\nKILN-SDIST-REPORT {}\n", serde_json::json!({ "answer": answer }));
        let good = answer(r#"{"requires": ["b"], "missing": [], "wheel": "a-1-py3-none-any.whl"}"#);
        assert_eq!(read(&good).unwrap().wheel.unwrap(), "a-1-py3-none-any.whl");
        assert!(read(&format!("noise{good}")).is_err() && read(&format!("{good}{good}")).is_err());
        for bad in [
            r#"{"requires": [], "missing": ["b"], "wheel": null}"#,
            r#"{"requires": ["b"], "missing": ["b"], "wheel": "a-1-py3-none-any.whl"}"#,
            r#"{"requires": [], "missing": [], "wheel": "a-1-py3-none-any.whl", "more": 1}"#,
        ] {
            assert!(read(&answer(bad)).is_err(), "{bad}");
        }
        let tampered = "KILN-SDIST-REPORT {\"tampered\": \"goes on after its answer\"}";
        assert!(read(tampered).unwrap_err().to_string().contains("goes on after its answer"));
    }
}
