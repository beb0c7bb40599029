//! `kiln pull`.

use crate::args::{Format, Pull};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use kiln_publish::{PullRequest, Pulled, pull};
use kiln_record::{Exit, exit};
use serde::Serialize;
use std::path::PathBuf;

pub(crate) fn run(settings: &Settings, command: &Pull, printer: Printer) -> Result<Exit, Failure> {
    let into = command.into.clone().unwrap_or_else(|| PathBuf::from("."));
    let environment = settings.environment.clone();
    let request = PullRequest {
        reference: command.reference.clone(),
        platform: command.platform,
        into,
        plain_http: command.plain_http,
    };
    let pulled = {
        let progress = Progress::new(printer);
        let events = progress.events();
        signals::run(|_| Box::pin(async move { pull(&environment, &request, &events).await }))?
    };
    match settings.format {
        Format::Json => printer.data(&super::document(&Document::new(&pulled))?),
        _ => print(&pulled, printer),
    }
    Ok(exit::SUCCESS)
}

fn print(pulled: &Pulled, printer: Printer) {
    printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &pulled.reference)));
    for (path, digest) in &pulled.files {
        printer.data(&format!("  {:<40} {digest}\n", path.display().to_string()));
    }
    for path in &pulled.foreign {
        printer.problem(&format!(
            "{}: {}: no record that is attached describes it; others may have attached it",
            printer.on_stderr(Style::Warn, "warning"),
            path.display()
        ));
    }
    for departure in &pulled.departures {
        printer.problem(&format!(
            "{}: the ledger of this workspace is not what it was when this was pushed: {departure}",
            printer.on_stderr(Style::Warn, "warning"),
        ));
    }
    for contested in &pulled.contested {
        printer.problem(&format!(
            "{}: {}: it is described by different records, and nothing says which of them is true: {}",
            printer.on_stderr(Style::Warn, "warning"),
            contested.reference,
            contested.records.join("; ")
        ));
    }
}

/// What was pulled. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    reference: &'a str,
    artifact_type: &'a str,
    files: Vec<FileRow>,
    /// What is described by records that differ: none of them is to be believed before it was compared.
    contested: Vec<&'a str>,
    /// Where the ledger of this workspace is not what it was when this was pushed.
    departures: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct FileRow {
    path: String,
    digest: String,
    described: bool,
}

impl<'a> Document<'a> {
    fn new(pulled: &'a Pulled) -> Self {
        Self {
            reference: &pulled.reference,
            artifact_type: &pulled.artifact_type,
            files: pulled
                .files
                .iter()
                .map(|(path, digest)| FileRow {
                    path: path.display().to_string(),
                    digest: digest.to_string(),
                    described: !pulled.foreign.contains(path),
                })
                .collect(),
            departures: &pulled.departures,
            contested: pulled.contested.iter().map(|contested| contested.reference.as_str()).collect(),
        }
    }
}
