//! `kiln pull`.

use crate::args::{Format, Pull};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use kiln_invocation::read_workspace;
use kiln_publish::{PullAllRequest, PullRequest, Pulled, PulledAll, pull, pull_all};
use kiln_record::{ArtifactName, Exit, exit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) fn run(settings: &Settings, command: &Pull, printer: Printer) -> Result<Exit, Failure> {
    let into = command.into.clone().unwrap_or_else(|| PathBuf::from("."));
    let Some(reference) = command.reference.clone() else {
        return everything(settings, command, into, printer);
    };
    let environment = settings.environment.clone();
    let request = PullRequest { reference, platform: command.platform, into, plain_http: command.plain_http };
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

/// Brings all that the registry has of the workspace under one tag.
fn everything(settings: &Settings, command: &Pull, into: PathBuf, printer: Printer) -> Result<Exit, Failure> {
    let environment = settings.environment.clone();
    let workspace = read_workspace(&environment.root)?;
    let stated = workspace.manifests.values().map(|manifest| manifest.stated_name().clone());
    let request = PullAllRequest {
        from: command.from.clone().unwrap_or_default().trim_end_matches('/').to_owned(),
        tag: command.tag.clone().unwrap_or_default(),
        artifacts: stated.collect(),
        into,
        plain_http: command.plain_http,
    };
    let (from, tag, into) = (request.from.clone(), request.tag.clone(), request.into.clone());
    let all = {
        let progress = Progress::new(printer);
        let events = progress.events();
        signals::run(|_| Box::pin(async move { pull_all(&environment, &request, &events).await }))?
    };
    for path in &all.left {
        printer.problem(&format!(
            "{}: {}: it was there before, and was not brought from the tag {tag}; whatever reads the folder takes it for part of that: pull into an empty folder",
            printer.on_stderr(Style::Warn, "warning"),
            into.join(path).display()
        ));
    }
    for (name, reason) in &all.left_out {
        printer.problem(&format!(
            "{}: {name}: not in {}: {reason}",
            printer.on_stderr(Style::Warn, "warning"),
            into.join("index.json").display()
        ));
    }
    // Of an artifact of the workspace, whoever compares with the folder would find nothing to compare with.
    let exit =
        match all.left_out.keys().all(|name| all.not_here.contains(name) || !all.pulled.contains_key(name)) {
            true => exit::SUCCESS,
            false => exit::NOT_REPRODUCIBLE,
        };
    if settings.format == Format::Json {
        printer.data(&super::document(&All::new(&all))?);
        return Ok(exit);
    }
    for (name, pulled) in &all.pulled {
        print(pulled, printer);
        if all.not_here.contains(name) {
            printer
                .data(&format!("  this workspace has no artifact {name}; it was released with the others\n"));
        }
    }
    for name in &all.missing {
        printer.talk(&format!("{name}: {from}/{name} has nothing under the tag {tag}"));
    }
    if all.pulled.is_empty() {
        printer.talk(&format!("nothing is published in {from} under the tag {tag} yet"));
    }
    Ok(exit)
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

/// What was pulled of all artifacts. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct All<'a> {
    /// By the name of the folder that it is in.
    artifacts: BTreeMap<&'a str, Document<'a>>,
    /// What the registry has nothing of under that tag.
    missing: Vec<&'a str>,
    /// What the workspace has no more.
    not_here: Vec<&'a str>,
    /// What is not in the index over them, with the reason.
    left_out: BTreeMap<&'a str, &'a str>,
    /// What lies in the folder, and was not brought: artifacts, and records of those that were, relative to it.
    left: Vec<String>,
}

impl<'a> All<'a> {
    fn new(all: &'a PulledAll) -> Self {
        let pulled = all.pulled.iter();
        Self {
            artifacts: pulled.map(|(name, pulled)| (name.as_str(), Document::new(pulled))).collect(),
            missing: all.missing.iter().map(ArtifactName::as_str).collect(),
            not_here: all.not_here.iter().map(ArtifactName::as_str).collect(),
            left_out: all.left_out.iter().map(|(name, reason)| (name.as_str(), reason.as_str())).collect(),
            left: all.left.iter().map(|path| path.display().to_string()).collect(),
        }
    }
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
