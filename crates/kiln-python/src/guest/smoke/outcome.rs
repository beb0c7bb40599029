//! What the report of a smoke check means: findings, and what was left unchecked.

use super::answer::{Match, differences};
use super::report::{EventOutcome, EventReport, SmokeReport};
use crate::guest::report::{LINES_SHOWN, clean_text};
use kiln_record::{Check, CheckName, Code, Finding, Place, Runtime, bounds, counted};
use serde_json::Value;
use std::collections::BTreeSet;

/// How many places of an answer a finding shows.
const DIFFERENCES_SHOWN: usize = 12;

/// What the function's script notes where it had to replace the native part of AWS's client.
const NATIVE_CLIENT: &str = "awslambdaric.runtime_client";

/// What must come of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The event's name.
    pub name: String,
    /// Whether it must end with an error.
    pub fails: bool,
    /// The error's type.
    pub error_type: Option<String>,
    /// What is expected of the answer or of the error's document, with the file that says so.
    pub answer: Option<(String, Value)>,
    /// How the two are compared.
    pub matching: Match,
}

/// What the report means for the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmokeOutcome {
    /// What was not as expected.
    pub problems: Vec<SmokeProblem>,
    /// What ran.
    pub checks: Vec<Check>,
}

/// Something that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmokeProblem {
    /// The event.
    pub event: String,
    /// The finding, with what is the same in every run.
    pub finding: Finding,
    /// What this run saw: values, traces, the function's output. It may differ in the next run, so it is for
    /// people and for run details, not for records.
    pub lines: Vec<String>,
    /// The places that the error's trace names, outermost first, by their paths in the container and by the function's own word.
    pub trace: Vec<Place>,
}

/// What a report means.
#[must_use]
pub fn smoke_outcome(
    report: &SmokeReport,
    expected: &[Expectation],
    runtime: &Runtime,
    limits: &SmokeLimits,
) -> SmokeOutcome {
    let mut outcome = SmokeOutcome::default();
    let (mut report, mut without_native) = (report.clone(), None);
    for event in &mut report.events {
        event.stand_ins.retain(|note| {
            let is_client = note.asked == NATIVE_CLIENT;
            if is_client {
                without_native = Some(note.at.clone());
            }
            !is_client
        });
    }
    for (event, expectation) in report.events.iter().zip(expected) {
        if let Some((cause, lines, remedies)) = judge(event, expectation, limits) {
            outcome.problems.push(problem(event, cause, lines, remedies, runtime));
        }
    }
    outcome.checks.push(Check::ran(CheckName::Smoke, report.events.len(), "events"));
    if let Some(why) = without_native {
        let reason = format!(
            "the native part of awslambdaric cannot be loaded in the base, so kiln's stood in for it: {why}"
        );
        outcome.checks.push(Check::not_checked(CheckName::SmokeClient, reason));
    }
    let left = expected.len().saturating_sub(report.events.len());
    if left > 0 {
        let reason =
            format!("{left} of {}: the function cannot be started", counted(expected.len(), "events"));
        outcome.checks.push(Check::not_checked(CheckName::Smoke, reason));
    }
    outcome
}

/// What a function may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmokeLimits {
    /// Seconds for an event.
    pub timeout: u32,
    /// Seconds until it asks for its first event.
    pub init: u32,
    /// The same where it runs.
    pub lambda_init: u64,
    /// Memory in MB.
    pub memory: u64,
    /// Whether the kernel killed a process because memory ran out.
    pub out_of_memory: bool,
    /// Whether the manifest states the timeout.
    pub timeout_stated: bool,
    /// Whether the manifest states the memory.
    pub memory_stated: bool,
}

impl SmokeLimits {
    /// What helps where time runs out.
    fn longer(&self) -> String {
        let most = bounds("timeout").map_or(u64::MAX, |(_, most)| most);
        match self.timeout_stated {
            _ if u64::from(self.timeout) >= most => {
                format!("Lambda gives no function more than {most} s: let it do less in one event")
            }
            true => "if it needs longer, in Lambda too, raise `timeout` under [check]".to_owned(),
            false => {
                "if it needs longer, in Lambda too, state its timeout: `timeout` under [check]".to_owned()
            }
        }
    }

    /// What helps where memory runs out.
    fn more_memory(&self) -> String {
        let most = bounds("memory").map_or(u64::MAX, |(_, most)| most);
        match self.memory_stated {
            _ if self.memory >= most => {
                format!("Lambda gives no function more than {most} MB: let it hold less at once")
            }
            true => "if it needs more, in Lambda too, raise `memory` under [check]".to_owned(),
            false => "if it needs more, in Lambda too, state it: `memory` under [check]".to_owned(),
        }
    }
}

type Judgement = (String, Vec<String>, Vec<String>);

fn judge(event: &EventReport, expected: &Expectation, limits: &SmokeLimits) -> Option<Judgement> {
    let failure = match failure(event, limits) {
        None => return answered(event, expected),
        Some(failure) => failure,
    };
    let Failure { error_type, cause, lines, remedies } = failure;
    if !expected.fails {
        return Some((cause, lines, remedies));
    }
    match &expected.error_type {
        Some(wanted) if *wanted != error_type => {
            Some((format!("{cause}, where the error `{wanted}` was expected"), lines, remedies))
        }
        // An end without a word from the function is an expected error only where it is named.
        None if event.outcome != EventOutcome::Failed => {
            let named = format!("if this is meant, say so: error-type = \"{error_type}\"");
            Some((format!("{cause}, where an error of its own was expected"), lines, vec![named]))
        }
        _ => {
            let (file, wanted) = expected.answer.as_ref()?;
            let error = event.error.as_ref()?;
            let document = serde_json::json!({
                "errorType": error.error_type,
                "errorMessage": error.message,
                "stackTrace": error.trace,
            });
            unlike(file, wanted, &document, expected.matching, "its error")
        }
    }
}

fn answered(event: &EventReport, expected: &Expectation) -> Option<Judgement> {
    let text = event.answer.as_deref().unwrap_or_default();
    if expected.fails {
        let wanted = expected.error_type.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
        return Some((
            format!("it answers, where the error{wanted} was expected"),
            vec![format!("it answered {}", start_of(text))],
            vec!["correct the code, or the `status` of the event".to_owned()],
        ));
    }
    let (file, wanted) = expected.answer.as_ref()?;
    match serde_json::from_str::<Value>(text) {
        Ok(got) => unlike(file, wanted, &got, expected.matching, "its answer"),
        Err(error) => Some((
            "its answer is not JSON".to_owned(),
            vec![format!("{error}: {}", start_of(text))],
            vec![
                "answer with JSON; in Python, with a value that has a JSON form and no NaN in it".to_owned(),
            ],
        )),
    }
}

fn unlike(file: &str, wanted: &Value, got: &Value, how: Match, what: &str) -> Option<Judgement> {
    let mut lines = differences(wanted, got, how);
    if lines.is_empty() {
        return None;
    }
    let more = lines.len().saturating_sub(DIFFERENCES_SHOWN);
    lines.truncate(DIFFERENCES_SHOWN);
    if more > 0 {
        lines.push(format!("and {}", counted(more, "more places")));
    }
    Some((
        format!("{what} is not what {file} expects"),
        lines,
        vec![format!("correct the code, or {file} if this is right")],
    ))
}

struct Failure {
    error_type: String,
    cause: String,
    lines: Vec<String>,
    remedies: Vec<String>,
}

/// How an event failed, if it did, with the type that Lambda gives to it.
fn failure(event: &EventReport, limits: &SmokeLimits) -> Option<Failure> {
    let make = |error_type: &str, cause: String, remedy: &str| {
        Some(Failure {
            error_type: error_type.to_owned(),
            cause,
            lines: Vec::new(),
            remedies: vec![remedy.to_owned()],
        })
    };
    let before = "before its first event, while its modules are loaded";
    match event.outcome {
        EventOutcome::Answered => {
            event.peak_kib.filter(|kib| *kib > limits.memory * 1024).map(|kib| Failure {
                error_type: "Runtime.OutOfMemory".to_owned(),
                cause: format!("it needs more than {} MB of memory", limits.memory),
                lines: vec![format!("it answered, and its process had had {} MB", kib / 1024)],
                remedies: vec![limits.more_memory()],
            })
        }
        EventOutcome::Failed | EventOutcome::InitFailed | EventOutcome::NotStarted => {
            let error = event.error.as_ref()?;
            let kind = &error.error_type;
            let cause = match event.outcome {
                EventOutcome::InitFailed => format!("it fails with {kind} {before}"),
                EventOutcome::NotStarted => "its program cannot be started".to_owned(),
                _ if kind == "Runtime.MarshalError" => {
                    format!("its answer has no JSON form, so Lambda fails with {kind}")
                }
                _ => format!("it fails with {kind}"),
            };
            let mut lines: Vec<String> =
                error.trace[error.trace.len().saturating_sub(LINES_SHOWN)..].to_vec();
            let told = format!("{kind}: {}", error.message);
            lines.extend(told.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
            let mut remedies = Vec::new();
            if wants_network(&error.message) {
                remedies.push(
                    "the check has no network: use an event that the function answers without it, or catch the failure"
                        .to_owned(),
                );
            } else if kind == "Runtime.MarshalError" {
                remedies
                    .push("answer with texts, numbers, booleans, lists and dictionaries of them".to_owned());
            } else if kind == "KeyError" && error.trace.iter().any(|line| is_of_environ(line)) {
                remedies.push(
                    "if it is an environment variable, give the checks a value under `[check] env` of the manifest"
                        .to_owned(),
                );
            } else {
                remedies.push("correct the code or the event; the trace says where it failed".to_owned());
            }
            Some(Failure { error_type: kind.clone(), cause, lines, remedies })
        }
        EventOutcome::Timeout => make(
            "Sandbox.Timedout",
            format!("it did not answer within {}", seconds(limits.timeout)),
            &limits.longer(),
        ),
        EventOutcome::InitTimeout => make(
            "Sandbox.Timedout",
            format!(
                "it was not ready within {} {before}; Lambda waits {} s",
                seconds(limits.init),
                limits.lambda_init
            ),
            "do less while modules are loaded, or do it when an event needs it",
        ),
        EventOutcome::Exited | EventOutcome::InitExited => {
            let when =
                if event.outcome == EventOutcome::InitExited { before } else { "instead of answering" };
            match event.exit {
                Some(-9) if limits.out_of_memory => make(
                    "Runtime.OutOfMemory",
                    format!("it was killed {when}: it needs more than {} MB of memory", limits.memory),
                    &limits.more_memory(),
                ),
                Some(code) if code < 0 => make(
                    "Runtime.ExitError",
                    format!("its process crashed {when} (signal {})", -code),
                    "native code crashed; the last lines of its output may say where",
                ),
                code => make(
                    "Runtime.ExitError",
                    format!("its process ended {when}, with exit code {}", code.unwrap_or_default()),
                    "a handler must return: remove the call that ends the process, such as `sys.exit`",
                ),
            }
        }
    }
}

fn seconds(count: u32) -> String {
    format!("{count} s")
}

/// Whether a line of a trace is in `os.environ` itself: a line that only uses it may lack a key of something else.
fn is_of_environ(line: &str) -> bool {
    (line.contains("\"<frozen os>\"") || line.contains("/os.py\"")) && line.contains("in __getitem__")
}

fn wants_network(message: &str) -> bool {
    ["Network is unreachable", "Temporary failure in name resolution", "Name or service not known"]
        .iter()
        .any(|text| message.contains(text))
}

fn problem(
    event: &EventReport,
    cause: String,
    mut lines: Vec<String>,
    remedies: Vec<String>,
    runtime: &Runtime,
) -> SmokeProblem {
    let mut finding = Finding::new(Code::SmokeFailed, &*event.name, cause);
    if event.stand_ins.is_empty() {
        finding.remedy = remedies;
    } else {
        let asked: BTreeSet<&str> = event.stand_ins.iter().map(|s| s.asked.as_str()).collect();
        let distributions: BTreeSet<&str> = asked
            .iter()
            .map(|asked| {
                let module = asked.split(['.', '(']).next().unwrap_or_default();
                runtime.provider_of_module(module).map_or(module, |provided| &*provided.distribution)
            })
            .collect();
        let distributions: Vec<&str> = distributions.into_iter().collect();
        let names = distributions.join(", ");
        for stand_in in &event.stand_ins {
            finding = finding.detail(format!(
                "it calls `{}` at {}: {names} is provided by runtime {} and is not in the base, so nothing can answer",
                stand_in.asked, stand_in.at, runtime.name
            ));
        }
        finding = finding
            .remedy(format!("use an event that the function answers without calling {names}"))
            .remedy(format!(
                "or ship it, which AWS recommends: add `{}` to the project's dependencies and lock again; the check still \
                 has no network",
                distributions.join("`, `")
            ));
    }
    let log = own_lines(event);
    if !log.is_empty() {
        lines.push("the last lines of its output:".to_owned());
        lines.extend(log[log.len().saturating_sub(LINES_SHOWN)..].iter().map(|line| format!("  {line}")));
    }
    let trace = event.error.iter().flat_map(|error| &error.trace).filter_map(|line| place_in(line)).collect();
    SmokeProblem { event: event.name.clone(), finding, lines, trace }
}

/// The place that a line of a trace names, as Python writes it.
fn place_in(line: &str) -> Option<Place> {
    let (file, rest) = line.trim_start_matches(blank).strip_prefix("File \"")?.split_once("\", line ")?;
    let number = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    (number > 0).then(|| Place { file: file.to_owned(), line: Some(number) })
}

/// What the function printed, without the error that its runtime client prints, too: its message, and its trace.
fn own_lines(event: &EventReport) -> Vec<&String> {
    let Some(error) = &event.error else { return event.log.iter().collect() };
    let bare = |line: &str| line.trim_matches(blank).to_owned();
    let trace: BTreeSet<String> = error.trace.iter().map(|line| bare(line)).collect();
    let message: BTreeSet<String> = error.message.lines().map(bare).collect();
    let begins = |line: &str| line.starts_with("[ERROR] ");
    // Of a long log the end is kept, and the beginning of what the client printed may be gone.
    let mut is_client = !event.log.iter().any(|line| begins(line));
    let is_own = |line: &&String| {
        is_client |= begins(line);
        !(begins(line)
            || line.starts_with("Traceback (most recent call last)")
            || trace.contains(&bare(line))
            || is_client && message.contains(&bare(line)))
    };
    event.log.iter().filter(is_own).collect()
}

/// Spaces, and what the client indents with.
fn blank(c: char) -> bool {
    c == ' ' || c == '\u{a0}'
}

fn start_of(text: &str) -> String {
    let mut start: String = text.chars().take(160).collect();
    clean_text(&mut start);
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AskedOfStandIn, FunctionError};
    use serde_json::json;

    const LIMITS: SmokeLimits = SmokeLimits {
        timeout: 3,
        init: 60,
        lambda_init: 10,
        memory: 128,
        out_of_memory: false,
        timeout_stated: false,
        memory_stated: false,
    };

    fn event(outcome: EventOutcome) -> EventReport {
        EventReport {
            name: "health".to_owned(),
            outcome,
            answer: None,
            error: None,
            exit: None,
            cold: true,
            init_ms: None,
            invoke_ms: None,
            peak_kib: None,
            log: Vec::new(),
            stand_ins: Vec::new(),
        }
    }

    fn failed(kind: &str, message: &str) -> EventReport {
        let error = FunctionError {
            error_type: kind.to_owned(),
            message: message.to_owned(),
            trace: vec!["  File \"/var/task/app.py\", line 3, in handler".to_owned()],
        };
        EventReport { error: Some(error), ..event(EventOutcome::Failed) }
    }

    fn ok() -> Expectation {
        Expectation {
            name: "health".to_owned(),
            fails: false,
            error_type: None,
            answer: None,
            matching: Match::Subset,
        }
    }

    fn fails(error_type: Option<&str>) -> Expectation {
        Expectation { fails: true, error_type: error_type.map(str::to_owned), ..ok() }
    }

    fn causes(event: &EventReport, expectation: &Expectation, out_of_memory: bool) -> Vec<String> {
        let limits = SmokeLimits { out_of_memory, ..LIMITS };
        let report = SmokeReport { events: vec![event.clone()] };
        let runtime = Runtime::named("python3.13").unwrap();
        let outcome = smoke_outcome(&report, std::slice::from_ref(expectation), runtime, &limits);
        outcome.problems.into_iter().map(|problem| problem.finding.cause).collect()
    }

    #[test]
    fn endings_are_held_against_what_is_expected() {
        let answer =
            |text: &str| EventReport { answer: Some(text.to_owned()), ..event(EventOutcome::Answered) };
        let exited = |exit| EventReport { exit: Some(exit), ..event(EventOutcome::Exited) };
        let expecting = |value| Expectation { answer: Some(("e.json".to_owned(), value)), ..ok() };
        let none: [&str; 0] = [];
        assert_eq!(causes(&answer("{}"), &ok(), false), none);
        assert_eq!(causes(&answer("{"), &ok(), false), none, "nothing was expected of it");
        assert_eq!(causes(&answer("{"), &expecting(json!({})), false), ["its answer is not JSON"]);
        assert_eq!(
            causes(&answer("1"), &expecting(json!(2)), false),
            ["its answer is not what e.json expects"]
        );
        assert_eq!(
            causes(&answer("1"), &fails(Some("E")), false),
            ["it answers, where the error `E` was expected"]
        );
        assert_eq!(causes(&failed("KeyError", "'a'"), &ok(), false), ["it fails with KeyError"]);
        assert_eq!(causes(&failed("KeyError", "'a'"), &fails(None), false), none);
        assert_eq!(causes(&failed("KeyError", "'a'"), &fails(Some("KeyError")), false), none);
        assert_eq!(
            causes(&failed("KeyError", "'a'"), &fails(Some("ValueError")), false),
            ["it fails with KeyError, where the error `ValueError` was expected"]
        );
        let of_message = Expectation {
            answer: Some(("e.json".to_owned(), json!({"errorMessage": "'b'"}))),
            ..fails(None)
        };
        assert_eq!(
            causes(&failed("KeyError", "'a'"), &of_message, false),
            ["its error is not what e.json expects"]
        );
        assert_eq!(causes(&event(EventOutcome::Timeout), &ok(), false), ["it did not answer within 3 s"]);
        assert_eq!(causes(&event(EventOutcome::Timeout), &fails(Some("Sandbox.Timedout")), false), none);
        assert_eq!(causes(&event(EventOutcome::Timeout), &fails(None), false).len(), 1);
        assert_eq!(
            causes(&exited(-9), &ok(), true),
            ["it was killed instead of answering: it needs more than 128 MB of memory"]
        );
        assert_eq!(
            causes(&exited(-11), &ok(), false),
            ["its process crashed instead of answering (signal 11)"]
        );
        assert_eq!(
            causes(&exited(1), &ok(), false),
            ["its process ended instead of answering, with exit code 1"]
        );
    }

    #[test]
    fn nothing_is_advised_that_is_stated_or_that_lambda_does_not_have() {
        let advised = |event: &EventReport, limits: SmokeLimits| -> String {
            let report = SmokeReport { events: vec![event.clone()] };
            let runtime = Runtime::named("python3.13").unwrap();
            smoke_outcome(&report, &[ok()], runtime, &limits).problems[0].finding.remedy.join("\n")
        };
        let slow = event(EventOutcome::Timeout);
        assert!(advised(&slow, LIMITS).contains("state its timeout"));
        let stated = SmokeLimits { timeout: 30, timeout_stated: true, ..LIMITS };
        assert!(advised(&slow, stated).contains("raise `timeout`"));
        let most = SmokeLimits { timeout: 900, timeout_stated: true, ..LIMITS };
        assert!(!advised(&slow, most).contains("[check]"));
        let large = EventReport { exit: Some(-9), ..event(EventOutcome::Exited) };
        let limits = SmokeLimits { out_of_memory: true, ..LIMITS };
        assert!(advised(&large, limits).contains("state it: `memory`"));
        assert!(advised(&large, SmokeLimits { memory_stated: true, ..limits }).contains("raise `memory`"));
        let most = SmokeLimits { memory: 10_240, memory_stated: true, ..limits };
        assert!(!advised(&large, most).contains("[check]"));
        let mut absent = failed("KeyError", "'TABLE'");
        let trace = &mut absent.error.as_mut().unwrap().trace;
        trace[0].push_str("\n    return NAMES[os.environ['STAGE']]");
        assert!(!advised(&absent, LIMITS).contains("[check] env"), "the variable is there");
        absent
            .error
            .as_mut()
            .unwrap()
            .trace
            .push("  File \"<frozen os>\", line 685, in __getitem__".to_owned());
        assert!(advised(&absent, LIMITS).contains("[check] env"));
    }

    #[test]
    fn what_a_run_saw_is_apart_from_the_finding() {
        let mut event = failed("NotInBase", "boto3.client was called");
        event.stand_ins =
            vec![AskedOfStandIn { asked: "boto3.client".to_owned(), at: "/var/task/app.py:3".to_owned() }];
        event.log = vec![
            "at 12:00".to_owned(),
            "[ERROR] NotInBase: boto3.client was called".to_owned(),
            "\u{a0}\u{a0}File \"/var/task/app.py\", line 3, in handler".to_owned(),
        ];
        let report = SmokeReport { events: vec![event] };
        let runtime = Runtime::named("python3.13").unwrap();
        let outcome = smoke_outcome(&report, &[ok(), ok()], runtime, &LIMITS);
        let [problem] = &outcome.problems[..] else { panic!("{outcome:?}") };
        assert!(problem.finding.detail[0].contains("boto3 is provided by runtime python3.13"), "{problem:?}");
        assert_eq!(
            problem.lines[1..],
            [
                "NotInBase: boto3.client was called".to_owned(),
                "the last lines of its output:".to_owned(),
                "  at 12:00".to_owned(),
            ]
        );
        assert_eq!(outcome.checks.len(), 2, "one event was left out");

        let mut several = failed("ValueError", "2 validation errors\nid\n  Field required");
        several.log = ["id", "at 12:00", "[ERROR] ValueError: 2 validation errors", "id", "  Field required"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            own_lines(&several),
            ["id", "at 12:00"],
            "what the client prints of a message is no output"
        );
        several.log.drain(..3);
        assert_eq!(own_lines(&several), [""; 0], "its beginning may be gone");
    }
}
