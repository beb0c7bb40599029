//! What the programs of the smoke check are told, and what they report.

use crate::error::PythonError;
use crate::guest::imports::IMPORT_CHECK;
use crate::guest::report::{clean_lines, clean_text, only_report};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The script that serves the Runtime API. Run it in the base as `python3 -I -S -B -c RUNTIME_API REQUEST`,
/// where the request is [`SmokeRequest::to_json`]. It needs Python 3.9 and the standard library.
///
/// It has to be a program that may change its user: the function runs as another one.
pub const RUNTIME_API: &str = concat!(include_str!("../supervisor.py"), "\n", include_str!("runtime_api.py"));

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
    /// The most bytes of an answer.
    pub answer_bytes: u64,
    /// The user and group that the function runs as; none if there is only the server's own.
    pub user: Option<(u32, u32)>,
    /// Variables that the function gets and the server must not start with.
    pub environment: BTreeMap<String, String>,
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
    /// Finds the report in what the script wrote to standard output. Its texts come from the function, and are without
    /// escape sequences and control characters, but that a message has lines; answers stay as they are.
    ///
    /// # Errors
    /// [`PythonError::SmokeReport`] if there is none or it is not what the script writes.
    pub fn from_stdout(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::SmokeReport { reason };
        let line = only_report(stdout, MARKER).map_err(error)?;
        if line.len() > REPORT_LIMIT {
            return Err(error(format!("it is longer than {REPORT_LIMIT} bytes")));
        }
        let mut report: Self = serde_json::from_slice(line).map_err(|e| error(e.to_string()))?;
        for event in &mut report.events {
            event.error.iter_mut().for_each(|error| clean_lines(&mut error.message));
            let errors = event.error.iter_mut();
            let errors = errors.flat_map(|e| std::iter::once(&mut e.error_type).chain(&mut e.trace));
            let asked = event.stand_ins.iter_mut().flat_map(|s| [&mut s.asked, &mut s.at]);
            errors.chain(&mut event.log).chain(asked).for_each(clean_text);
            event.log.retain(|line| !line.trim().is_empty());
        }
        Ok(report)
    }
}

// What the script keeps to, too: lines of a log or trace and their length, a text, notes.
const LINES: usize = 40;
const LINE: usize = 400;
const TEXT: usize = 4000;
const STAND_INS: usize = 40;

impl SmokeReport {
    /// Holds the report against its request: the events in order, all of them or up to one that shows that the
    /// function cannot be started, each with what an event of its outcome has. `code` is the exit code that the
    /// script ended with.
    ///
    /// # Errors
    /// A clause about the first thing that the script would not have written.
    pub fn hold(&self, request: &SmokeRequest, code: i64) -> Result<(), String> {
        let killed = self.events.iter().any(|event| event.exit == Some(-9));
        if code != if killed { 3 } else { 0 } {
            return Err(format!("its events do not fit its exit code {code}"));
        }
        for (index, asked) in request.events.iter().enumerate() {
            let Some(event) = self.events.get(index) else {
                let stopped = self.events.last().is_some_and(|event| event.outcome.stops());
                return if stopped {
                    Ok(())
                } else {
                    Err(format!("it says nothing of event {}", asked.name))
                };
            };
            if event.name != asked.name || (asked.cold && !event.cold) {
                return Err(format!("it does not tell of event {} where that was asked for", asked.name));
            }
            if index + 1 < self.events.len() && event.outcome.stops() {
                return Err(format!("it goes on after event {}", event.name));
            }
            event.hold(usize::try_from(request.answer_bytes).unwrap_or(usize::MAX))?;
        }
        match self.events.len() == request.events.len() {
            true => Ok(()),
            false => Err("it tells of events that were not asked for".to_owned()),
        }
    }
}

impl EventReport {
    /// `answer` is how long an answer may be, in characters that UTF-8 may have been replaced by.
    fn hold(&self, answer: usize) -> Result<(), String> {
        use EventOutcome::{Answered, Failed, InitFailed, NotStarted};
        let is_long = |text: &String, most: usize| text.chars().take(most + 1).count() > most;
        let error = self.error.iter();
        let lines = self.log.iter().chain(error.clone().flat_map(|error| &error.trace));
        let notes = self.stand_ins.iter().flat_map(|note| [&note.asked, &note.at]);
        let too_much = self.log.len() > LINES
            || self.stand_ins.len() > STAND_INS
            || error.clone().any(|error| error.trace.len() > LINES || is_long(&error.message, TEXT))
            || lines.chain(notes).chain(error.map(|error| &error.error_type)).any(|line| is_long(line, LINE))
            || self.answer.as_ref().is_some_and(|text| is_long(text, answer));
        if too_much {
            return Err(format!("it tells more of event {} than it may", self.name));
        }
        let is_sound = self.answer.is_some() == (self.outcome == Answered)
            && self.error.is_some() == matches!(self.outcome, Failed | InitFailed | NotStarted)
            && self.invoke_ms.is_some() == matches!(self.outcome, Answered | Failed)
            && [self.init_ms, self.invoke_ms].iter().flatten().all(|ms| ms.is_finite() && *ms >= 0.0);
        if is_sound {
            Ok(())
        } else {
            Err(format!("what it tells of event {} contradicts itself", self.name))
        }
    }
}

impl EventOutcome {
    /// Whether no other event can be handled, either.
    fn stops(self) -> bool {
        matches!(self, Self::InitFailed | Self::InitTimeout | Self::InitExited | Self::NotStarted)
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
    fn the_only_report_is_read_and_cleaned() {
        let report = r#"{"events": [{"name": "a", "outcome": "init-exited", "answer": null, "error": {"type": "E",
            "message": "\u001b[31mone\u001b[0m\r\n\ttwo", "trace": []}, "exit": -9, "cold": true, "init_ms": 1.5, "invoke_ms": null,
            "peak_kib": 7, "log": ["\u001b[32mINFO\u001b[0m\u0007", "\u001b[0m"], "stand_ins": [{"asked": "boto3.client", "at": "x:1"}]}]}"#
            .replace('\n', "");
        let stdout = format!("\nKILN-SMOKE-REPORT {report}\n");
        assert!(SmokeReport::from_stdout(format!("KILN-SMOKE-REPORT forged\n{stdout}").as_bytes()).is_err());
        let report = SmokeReport::from_stdout(stdout.as_bytes()).unwrap();
        assert_eq!(report.events[0].outcome, EventOutcome::InitExited);
        assert_eq!(report.events[0].log, ["INFO\u{fffd}"]);
        assert_eq!(report.events[0].error.as_ref().unwrap().message, "one\n two");
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
