//! `kiln invoke`.

use crate::args::Format;
use crate::args::invoke::Invoke;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use fs_err as fs;
use kiln_audit::format_size;
use kiln_build::{InvokeRequest, Invoked};
use kiln_python::FunctionError;
use kiln_record::{Exit, exit};
use serde::Serialize;
use std::io::Read as _;
use std::path::Path;

/// The largest event that is read, in bytes: more than Lambda takes by any way.
const LARGEST_EVENT: u64 = 64 << 20;

pub(crate) fn run(settings: &Settings, command: &Invoke, printer: Printer) -> Result<Exit, Failure> {
    let request = InvokeRequest {
        build: command.function.clone(),
        event: event(&command.event)?,
        variables: command.env.iter().cloned().collect(),
    };
    let progress = Progress::of_function(printer);
    let events = progress.events();
    let environment = settings.environment.clone();
    let invoked = signals::run(|engine| {
        Box::pin(async move { kiln_build::invoke(&environment, &request, &events, engine).await })
    })?;
    drop(progress);
    match settings.format {
        Format::Json => printer.data(&super::document(&Document::new(&invoked))?),
        _ => answer(&invoked, printer)?,
    }
    told(&invoked, printer);
    Ok(if invoked.problem.is_none() { exit::SUCCESS } else { exit::FUNCTION_FAILED })
}

/// The event that the command line names. It must be JSON, as it is for Lambda.
fn event(text: &str) -> Result<Vec<u8>, Failure> {
    let read = |source: &mut dyn std::io::Read, what: &str| {
        let mut bytes = Vec::new();
        let read = source.take(LARGEST_EVENT + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::input(format!("{what}: {error}")))?;
        if bytes.len() as u64 > LARGEST_EVENT {
            return Err(Failure::input(format!("{what} is larger than {LARGEST_EVENT} bytes")));
        }
        Ok(bytes)
    };
    let (bytes, what) = match text {
        "-" => (read(&mut std::io::stdin().lock(), "standard input")?, "standard input".to_owned()),
        // A pipe that a shell made (`<(…)`), or a device, is as good as a file.
        path if Path::new(path).exists() && !Path::new(path).is_dir() => {
            let mut file = fs::File::open(path).map_err(|error| Failure::input(error.to_string()))?;
            (read(&mut file, path)?, path.to_owned())
        }
        json => (json.as_bytes().to_vec(), "--event".to_owned()),
    };
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if what == "--event" => {
            Err(Failure::input(format!("`{text}` is no file, and not JSON either: {error}"))
                .hint("name a file with the event, or write it: --event '{\"key\": \"value\"}'"))
        }
        Err(error) => Err(Failure::input(format!("{what} is not JSON: {error}"))),
    }
}

/// What Lambda would hand to the caller: the answer, or the document of an error that the function told of.
fn answer(invoked: &Invoked, printer: Printer) -> Result<(), Failure> {
    let event = &invoked.event;
    if let Some(answer) = &event.answer {
        printer.data(&format!("{}\n", answer.trim_end_matches('\n')));
    } else if let Some(FunctionError { error_type, message, trace }) = &event.error {
        let error = serde_json::json!({
            "errorMessage": message, "errorType": error_type, "stackTrace": trace,
        });
        printer.data(&super::document(&error)?);
    }
    Ok(())
}

/// What is to be known besides: notes, what is wrong, and what it took.
fn told(invoked: &Invoked, printer: Printer) {
    for note in &invoked.notes {
        printer.problem(&format!("{}: {note}", printer.on_stderr(Style::Warn, "note")));
    }
    if let Some(problem) = &invoked.problem {
        printer.problem(&format!("{}: {}", printer.on_stderr(Style::Bad, "error"), problem.finding.cause));
        for line in &problem.lines {
            printer.problem(&format!("  {line}"));
        }
        for remedy in &problem.finding.remedy {
            printer.problem(&format!("  {}: {remedy}", printer.on_stderr(Style::Note, "help")));
        }
    }
    let event = &invoked.event;
    let mut parts = Vec::new();
    parts.extend(event.init_ms.map(|ms| format!("init {ms:.1} ms")));
    parts.push(match event.invoke_ms {
        Some(ms) => format!("handled in {ms:.1} ms"),
        None => event.outcome.as_str().to_owned(),
    });
    let most = format!("{} MB", invoked.limits.memory);
    parts.push(match event.peak_kib {
        Some(kib) => format!("{} of {most}", format_size(kib << 10)),
        None => format!("memory not measured, of {most}"),
    });
    let word = printer.on_stderr(Style::Strong, "report");
    printer.talk(&format!("{word}  {}  {}", invoked.label, parts.join("  ")));
}

/// What came of an event. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    build: &'a str,
    artifact: &'a str,
    base: &'a str,
    /// `answered`, `failed`, `timeout`, `exited`, `init-failed`, `init-timeout`, `init-exited` or `not-started`.
    outcome: &'static str,
    /// The answer, as the function wrote it.
    answer: Option<&'a str>,
    /// The error that the function told of.
    function_error: Option<Told<'a>>,
    /// What is wrong, in a clause, if it did not answer.
    problem: Option<&'a str>,
    /// How its process ended, if it did: negative for a signal.
    exit: Option<i64>,
    /// Milliseconds until it asked for an event.
    init_ms: Option<f64>,
    /// Milliseconds from the event to the answer.
    invoke_ms: Option<f64>,
    /// The most memory that its process had, in KiB.
    peak_kib: Option<u64>,
    /// Seconds that it may take.
    timeout: u32,
    /// The memory that it may use, in MB.
    memory: u64,
    /// The last lines of what it printed.
    log: &'a [String],
    notes: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Told<'a> {
    #[serde(rename = "type")]
    error_type: &'a str,
    message: &'a str,
    trace: &'a [String],
}

impl<'a> Document<'a> {
    fn new(invoked: &'a Invoked) -> Self {
        let Invoked { label, artifact, base, event, limits, problem, notes } = invoked;
        Self {
            format: "1.0",
            build: label,
            artifact: artifact.as_str(),
            base,
            outcome: event.outcome.as_str(),
            answer: event.answer.as_deref(),
            function_error: event.error.as_ref().map(|error| Told {
                error_type: &error.error_type,
                message: &error.message,
                trace: &error.trace,
            }),
            problem: problem.as_ref().map(|problem| problem.finding.cause.as_str()),
            exit: event.exit,
            init_ms: event.init_ms,
            invoke_ms: event.invoke_ms,
            peak_kib: event.peak_kib,
            timeout: limits.timeout,
            memory: limits.memory,
            log: &event.log,
            notes,
        }
    }
}
