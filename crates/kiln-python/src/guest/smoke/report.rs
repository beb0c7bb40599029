//! What the programs of the smoke check are told, and what they report.

use crate::error::PythonError;
use crate::guest::imports::IMPORT_CHECK;
use crate::guest::report::{clean_text, last_report};
use serde::{Deserialize, Serialize};

/// The script that serves the Runtime API. Run it in the base as `python3 -I -S -B -c RUNTIME_API REQUEST`,
/// where the request is [`SmokeRequest::to_json`]. It needs Python 3.9 and the standard library.
pub const RUNTIME_API: &str = include_str!("runtime_api.py");

/// The part of the function's script that follows the import check's definitions.
const RUNTIME_LOOP: &str = include_str!("runtime_loop.py");

/// The last line of the import check, which [`RUNTIME_LOOP`] stands in for.
const IMPORT_CHECK_END: &str = "\nmain()\n";

/// What the report's line starts with.
const MARKER: &[u8] = b"KILN-SMOKE-REPORT ";

/// Longest report in bytes: a hundred answers of Lambda's largest size would not be a smoke check any more.
const REPORT_LIMIT: usize = 64 << 20;

/// The program that runs a Python handler under the Runtime API: with `awslambdaric` where it is on the
/// search path, and with a loop that does the same where it is not. Run it as a file, with
/// [`FunctionRequest::to_json`] as its argument.
///
/// It shares the import check's rules for search path, stand-ins and what is a frame of the code under check.
#[must_use]
pub fn function_script() -> String {
    let definitions = IMPORT_CHECK.strip_suffix(IMPORT_CHECK_END).unwrap_or(IMPORT_CHECK);
    format!("{definitions}\n{RUNTIME_LOOP}")
}

/// What the function's script needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionRequest {
    /// The handler, `module.attribute`.
    pub handler: String,
    /// The folder that the artifact is unpacked to.
    pub task_root: String,
    /// Folders of layers on the search path.
    pub layer_paths: Vec<String>,
    /// Top-level modules that the runtime provides.
    pub runtime_modules: Vec<String>,
}

impl FunctionRequest {
    /// The request as the script's argument. The descriptor for its notes is filled in by the other script.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut request = serde_json::json!(self);
        request["notes"] = "{notes}".into();
        request.to_string()
    }
}

/// What to start, and which events it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SmokeRequest {
    /// The function's program and arguments.
    pub argv: Vec<String>,
    /// Where it starts.
    pub working_dir: String,
    /// The function's ARN, for its context.
    pub arn: String,
    /// How long it may take until it asks for its first event.
    pub init_seconds: u32,
    /// How long it may take for an event.
    pub seconds: u32,
    /// The events, in order.
    pub events: Vec<RequestedEvent>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestedEvent {
    /// Its name.
    pub name: String,
    /// The file that holds it, in the container.
    pub file: String,
    /// Whether a new process handles it.
    pub cold: bool,
}

impl SmokeRequest {
    /// The request as the script's argument.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What the script reports.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmokeReport {
    /// What became of each event, in the order of the request.
    pub events: Vec<EventReport>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventReport {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: EventOutcome,
    /// The answer, as text.
    pub answer: Option<String>,
    /// The error that the function told of.
    pub error: Option<FunctionError>,
    /// How the process ended, if it did: negative for a signal.
    pub exit: Option<i64>,
    /// Whether a new process handled it.
    pub cold: bool,
    /// Milliseconds from the start of the process until it asked for an event.
    pub init_ms: Option<f64>,
    /// Milliseconds from the event to the answer.
    pub invoke_ms: Option<f64>,
    /// The most memory that the process had, in KiB.
    pub peak_kib: Option<u64>,
    /// The last lines of what the function printed.
    pub log: Vec<String>,
    /// What the handler asked of modules that the base does not have.
    pub stand_ins: Vec<AskedOfStandIn>,
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventOutcome {
    /// The function answered.
    Answered,
    /// The function told of an error.
    Failed,
    /// It did not end in time.
    Timeout,
    /// Its process ended instead.
    Exited,
    /// The function told of an error before it asked for an event.
    InitFailed,
    /// It did not ask for an event in time.
    InitTimeout,
    /// Its process ended before it asked for an event.
    InitExited,
    /// Its program could not be started.
    NotStarted,
}

impl EventOutcome {
    /// The outcome in a word, as run details write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Exited => "exited",
            Self::InitFailed => "init-failed",
            Self::InitTimeout => "init-timeout",
            Self::InitExited => "init-exited",
            Self::NotStarted => "not-started",
        }
    }
}

/// An error that the function told of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionError {
    /// Its type, such as `KeyError` or `Runtime.MarshalError`.
    #[serde(rename = "type")]
    pub error_type: String,
    /// Its text.
    pub message: String,
    /// The last lines of its trace.
    pub trace: Vec<String>,
}

/// Something that a handler called and that only the real runtime has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedOfStandIn {
    /// What was called, such as `boto3.client`.
    pub asked: String,
    /// The file and line of the call.
    pub at: String,
}

impl SmokeReport {
    /// Finds the report in what the script wrote to standard output. Control characters in its texts, which
    /// come from the function, become replacement characters; answers stay as they are.
    ///
    /// # Errors
    /// [`PythonError::SmokeReport`] if there is none or it is not what the script writes.
    pub fn from_stdout(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::SmokeReport { reason };
        let line = last_report(stdout, MARKER)
            .ok_or_else(|| error("there is none on standard output".to_owned()))?;
        if line.len() > REPORT_LIMIT {
            return Err(error(format!("it is longer than {REPORT_LIMIT} bytes")));
        }
        let mut report: Self = serde_json::from_slice(line).map_err(|e| error(e.to_string()))?;
        for event in &mut report.events {
            let errors = event.error.iter_mut();
            let errors =
                errors.flat_map(|e| [&mut e.error_type, &mut e.message].into_iter().chain(&mut e.trace));
            let asked = event.stand_ins.iter_mut().flat_map(|s| [&mut s.asked, &mut s.at]);
            errors.chain(&mut event.log).chain(asked).for_each(clean_text);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_script_continues_the_import_check() {
        assert!(IMPORT_CHECK.ends_with(IMPORT_CHECK_END));
        let script = function_script();
        assert!(!script.contains(IMPORT_CHECK_END), "the import check itself does not run");
        for definition in ["class StandIns(", "def prepare(", "def importer()", "def run_loop("] {
            assert_eq!(script.matches(definition).count(), 1, "{definition}");
        }
        assert!(script.ends_with("\nrun_function()\n"));
    }

    #[test]
    fn the_last_report_is_read_and_cleaned() {
        let report = r#"{"events": [{"name": "a", "outcome": "init-exited", "answer": null, "error": {"type": "E",
            "message": "\u001b[31m", "trace": []}, "exit": -9, "cold": true, "init_ms": 1.5, "invoke_ms": null,
            "peak_kib": 7, "log": ["\u0007"], "stand_ins": [{"asked": "boto3.client", "at": "x:1"}]}]}"#
            .replace('\n', "");
        let stdout = format!("KILN-SMOKE-REPORT forged\n\nKILN-SMOKE-REPORT {report}\n");
        let report = SmokeReport::from_stdout(stdout.as_bytes()).unwrap();
        assert_eq!(report.events[0].outcome, EventOutcome::InitExited);
        assert_eq!(report.events[0].log, ["\u{fffd}"]);
        assert_eq!(report.events[0].error.as_ref().unwrap().message, "\u{fffd}[31m");
        assert!(SmokeReport::from_stdout(b"KILN-SMOKE-REPORT {}").is_err());
    }

    #[test]
    fn every_outcome_has_one_name() {
        for outcome in [
            EventOutcome::Answered,
            EventOutcome::Failed,
            EventOutcome::Timeout,
            EventOutcome::Exited,
            EventOutcome::InitFailed,
            EventOutcome::InitTimeout,
            EventOutcome::InitExited,
            EventOutcome::NotStarted,
        ] {
            assert_eq!(serde_json::json!(outcome), outcome.as_str());
        }
    }
}
