//! `kiln build`.

use crate::args::{Build, Format};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{findings, signals, transformations};
use kiln_audit::format_size;
use kiln_build::{ArtifactResult, BuildReport, BuildRequest, Ending, build};
use kiln_record::{Level, exit};
use serde::Serialize;
use std::time::Instant;

pub(crate) fn run(settings: &Settings, command: &Build, printer: Printer) -> Result<u8, Failure> {
    let mut environment = settings.environment.clone();
    if let Some(dist) = &command.dist {
        environment.dist = std::path::absolute(dist)
            .map_err(|error| Failure::usage(format!("--dist {}: {error}", dist.display())))?;
    }
    if let Some(jobs) = command.jobs {
        environment.jobs = usize::from(jobs);
    }
    let request =
        BuildRequest { artifacts: (!command.all).then(|| command.artifacts.clone()), force: command.force };
    let start = Instant::now();
    let progress = Progress::new(printer);
    let events = progress.events();
    let report =
        signals::run(|engine| Box::pin(async move { build(&environment, &request, &events, engine).await }))?;
    drop(progress);

    let mut notes = 0;
    for result in &report.results {
        let (quiet, loud): (Vec<_>, Vec<_>) =
            result.findings.iter().cloned().partition(|finding| finding.level == Level::Note);
        notes += quiet.len();
        findings::print(printer, result.artifact.as_str(), &loud);
    }
    for result in &report.results {
        for line in result.transformations.iter().filter_map(transformations::line) {
            printer.talk(&format!("{}: {line}", result.artifact));
        }
    }
    let code = exit_code(&report);
    match settings.format {
        Format::Json => printer.data(&json(&report)?),
        Format::Human | Format::Markdown => printer.data(&table(&report, printer)),
    }
    printer.talk(&summary(&report, start, printer));
    if notes > 0 {
        let plural = if notes == 1 { "note" } else { "notes" };
        printer.talk(&printer.on_stderr(Style::Faint, &format!("{notes} {plural}: see kiln show ARTIFACT")));
    }
    for result in report.results {
        if let Some(error) = result.error {
            printer.problem(&format!("{}:", printer.on_stderr(Style::Strong, result.artifact.as_str())));
            Failure::from(error).print(printer);
        }
    }
    if let Some(error) = report.error {
        Failure::from(error).print(printer);
    }
    Ok(code)
}

/// The first reason, in the order in which a person would deal with them.
fn exit_code(report: &BuildReport) -> u8 {
    if report.results.iter().any(|result| result.ending == Ending::Denied) {
        return exit::FINDINGS_DENIED;
    }
    let failed = report.results.iter().find_map(|result| result.error.as_ref()).or(report.error.as_ref());
    match failed {
        Some(error) => crate::failure::exit_code(error),
        None if report.is_success() => exit::SUCCESS,
        None => exit::UNEXPECTED,
    }
}

fn table(report: &BuildReport, printer: Printer) -> String {
    let width = report.results.iter().map(|result| result.artifact.as_str().len()).max().unwrap_or_default();
    report.results.iter().map(|result| row(result, width, printer)).collect()
}

fn row(result: &ArtifactResult, width: usize, printer: Printer) -> String {
    let (style, word) = match result.ending {
        Ending::Unchanged => (Style::Faint, "unchanged"),
        Ending::Published => (Style::Good, "published"),
        Ending::Denied => (Style::Bad, "denied"),
        Ending::Failed => (Style::Bad, "failed"),
        Ending::Skipped => (Style::Warn, "skipped"),
    };
    let word = printer.on_stdout(style, &format!("{word:<9}"));
    let name = result.artifact.as_str();
    match &result.entry {
        Some(entry) => {
            let digest = entry.archive.map(|digest| digest.hex()).unwrap_or_default();
            format!(
                "{name:<width$}  {word}  @{:<4} {:>9} {} {:>9} unpacked  {}\n",
                entry.number,
                format_size(entry.archive_size),
                if result.kind.is_image() { "image" } else { "zip" },
                format_size(entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
                printer.on_stdout(Style::Faint, &digest.chars().take(16).collect::<String>()),
            )
        }
        None => format!("{name:<width$}  {word}\n"),
    }
}

fn summary(report: &BuildReport, start: Instant, printer: Printer) -> String {
    let count = |ending: &Ending| report.results.iter().filter(|result| result.ending == *ending).count();
    let mut parts = Vec::new();
    for (ending, word) in [
        (Ending::Published, "published"),
        (Ending::Unchanged, "unchanged"),
        (Ending::Denied, "denied"),
        (Ending::Failed, "failed"),
        (Ending::Skipped, "skipped for want of a layer"),
    ] {
        let n = count(&ending);
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    let style = if report.is_success() { Style::Good } else { Style::Bad };
    printer.on_stderr(style, &format!("{} in {:.1} s", parts.join(", "), start.elapsed().as_secs_f64()))
}

/// The document of `--format json`. Keys are only ever added.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    success: bool,
    artifacts: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    artifact: &'a str,
    ending: &'static str,
    number: Option<u64>,
    archive: Option<String>,
    archive_size: Option<u64>,
    unpacked_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_unpacked_size: Option<u64>,
    findings: &'a [kiln_record::Finding],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    transformations: &'a [kiln_record::Transformation],
    error: Option<String>,
}

fn json(report: &BuildReport) -> Result<String, Failure> {
    let artifacts = report
        .results
        .iter()
        .map(|result| Row {
            artifact: result.artifact.as_str(),
            ending: match result.ending {
                Ending::Unchanged => "unchanged",
                Ending::Published => "published",
                Ending::Denied => "denied",
                Ending::Failed => "failed",
                Ending::Skipped => "skipped",
            },
            number: result.entry.as_ref().map(|entry| entry.number),
            archive: result.entry.as_ref().and_then(|entry| entry.archive).map(|digest| digest.to_string()),
            archive_size: result.entry.as_ref().map(|entry| entry.archive_size),
            unpacked_size: result.entry.as_ref().map(|entry| entry.unpacked_size),
            image_unpacked_size: result.entry.as_ref().and_then(|entry| entry.image_unpacked_size),
            findings: &result.findings,
            transformations: &result.transformations,
            error: result.error.as_ref().map(ToString::to_string),
        })
        .collect();
    super::document(&Document { format: "1.0", success: report.is_success(), artifacts })
}
