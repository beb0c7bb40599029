//! `kiln show`.

use super::show_facts::{by_size, facts, read_facts, role};
use super::{show_environment, show_markdown, show_workspace};
use crate::args::{Format, Show};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use crate::transformations;
use kiln_audit::{Known, format_size};
use kiln_publish::{
    Beside, InRegistry, NamedBuild, NamedWorkspace, Operand, RegistryIndex, is_registry_reference, look_up,
};
use kiln_record::{CheckOutcome, Exit, ImportRecord, Importable, Platform, Record, counted, exit};
use kiln_report::{Align, Markdown, checks_statement};
use kiln_store::{RunDetails, SourceLink, write_atomically};
use serde::Serialize;

pub(crate) fn run(settings: &Settings, command: &Show, printer: Printer) -> Result<Exit, Failure> {
    let Some(named) = command.build.as_deref().filter(|_| !command.environment) else {
        return show_environment::run(settings, command.build.as_deref(), printer);
    };
    let build = match looked_up(settings, named, command.platform)? {
        Shown::Build(build) => build,
        Shown::Workspace(workspace) => {
            return show_workspace::run(settings.format, &workspace, command, printer);
        }
        Shown::Index(_) if command.statement.is_some() => {
            return Err(Failure::usage("--statement is about one build, and this is an index of several")
                .hint("choose one: --platform linux/arm64"));
        }
        Shown::Index(index) => return show_index(settings, &index, printer),
    };
    if let Some(path) = &command.statement {
        if build.known != Known::Record {
            return Err(Failure::input(format!("{} has no record, and so no checks to state", build.label))
                .hint("name a build with its record.json beside it"));
        }
        let line = checks_statement(&build.record).map_err(|error| Failure::unexpected(error.to_string()))?;
        write_atomically(path, &line)?;
    }
    if settings.format == Format::Json {
        let document = Document {
            known: Some(build.known).filter(|known| *known != Known::Record),
            absent: build.absent.as_deref(),
            record: &build.record,
            run: build.run.as_ref(),
        };
        printer.data(&super::document(&document)?);
        return Ok(exit::SUCCESS);
    }
    if settings.format == Format::Markdown {
        printer.data(show_markdown::build(&build, command.files).text());
        return Ok(exit::SUCCESS);
    }
    printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &build.label)));
    if let Some(absent) = &build.absent {
        printer.data(&format!("  {:<13} {absent}\n", "note"));
    }
    printer.data(&text(&build.record, build.known, command.files, printer));
    if let Some(run) = &build.run {
        printer.data(&run.source.as_ref().map(|source| made_of(source, printer)).unwrap_or_default());
        printer.data(&measured(run, printer));
    }
    Ok(exit::SUCCESS)
}

/// What a text names.
enum Shown {
    Build(Box<NamedBuild>),
    /// Several artifacts that are published in one folder.
    Workspace(NamedWorkspace),
    /// An index of a registry, of which no platform is named.
    Index(RegistryIndex),
}

/// What is asked for.
fn looked_up(settings: &Settings, named: &str, platform: Option<Platform>) -> Result<Shown, Failure> {
    if !is_registry_reference(named) {
        if let Some(platform) = platform {
            let message = format!("--platform {platform} chooses from an index in a registry");
            return Err(
                Failure::usage(message).hint("name the artifact that is this platform, such as web.arm64")
            );
        }
        return Ok(match super::operand(settings, named, Beside::default())? {
            Operand::Build(build) => Shown::Build(build),
            Operand::Workspace(workspace) => Shown::Workspace(workspace),
        });
    }
    let (environment, text) = (settings.environment.clone(), named.to_owned());
    let found =
        signals::run(|_| Box::pin(async move { look_up(&environment, &text, platform, false).await }))?;
    Ok(match found {
        InRegistry::Build(build) => Shown::Build(build),
        InRegistry::Index(index) => Shown::Index(index),
    })
}

/// A build: its record, and what the latest run measured. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    /// How much is known of it, if that is not all: what a record would say besides is not to be believed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    /// That what the record describes is not beside it, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<&'a str>,
    #[serde(flatten)]
    record: &'a Record,
    /// No part of the record: it differs from run to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunDetails>,
}

/// An index of a registry. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct IndexDocument<'a> {
    reference: &'a str,
    platforms: Vec<PlatformRow<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PlatformRow<'a> {
    /// As in OCI, such as `linux/arm64`.
    platform: &'a str,
    /// The digest of its manifest.
    manifest: String,
}

fn show_index(settings: &Settings, index: &RegistryIndex, printer: Printer) -> Result<Exit, Failure> {
    if settings.format == Format::Json {
        let rows = index.platforms.iter();
        let rows = rows.map(|(platform, digest)| PlatformRow { platform, manifest: digest.to_string() });
        let document = IndexDocument { reference: &index.reference, platforms: rows.collect() };
        printer.data(&super::document(&document)?);
        return Ok(exit::SUCCESS);
    }
    if settings.format == Format::Markdown {
        let mut out = Markdown::default();
        let rows = index.platforms.iter();
        let rows = rows.map(|(platform, digest)| [platform.clone(), digest.to_string()]);
        let head = [("platform", Align::Left), ("manifest", Align::Left)];
        printer.data(out.heading(&index.reference).table(head, rows).text());
        return Ok(exit::SUCCESS);
    }
    printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &index.reference)));
    printer.data(&format!(
        "  an index over {} platforms; --platform shows one of them\n",
        index.platforms.len()
    ));
    for (platform, digest) in &index.platforms {
        printer.data(&format!("  {platform:<16} {digest}\n"));
    }
    Ok(exit::SUCCESS)
}

fn text(record: &Record, known: Known, files: bool, printer: Printer) -> String {
    let heading = |name: &str| format!("\n{}\n", printer.on_stdout(Style::Strong, name));
    if let Some(lacks) = known.lacks() {
        let facts = read_facts(record, known, lacks);
        let mut text: String = facts.iter().map(|(key, value)| format!("  {key:<13} {value}\n")).collect();
        text.push_str(&components(record, known, &heading("components")));
        if files {
            for file in &record.files {
                let size = format_size(file.entry.size());
                text.push_str(&format!("  {size:>9}  {}  {}\n", file.path, file.component));
            }
        }
        return text;
    }
    let facts = facts(record);
    let mut text: String = facts.iter().map(|(key, value)| format!("  {key:<13} {value}\n")).collect();
    text.push_str(&components(record, known, &heading("components")));
    if !record.transformations.is_empty() {
        text.push_str(&heading("changed by packing"));
        for rule in &record.transformations {
            text.push_str(&format!(
                "  {}\n",
                transformations::line(rule).unwrap_or_else(|| transformations::idle(rule))
            ));
            for (component, effect) in transformations::largest(rule) {
                text.push_str(&printer.on_stdout(Style::Faint, &format!("      {component}: {effect}\n")));
            }
            for (path, reason) in &rule.left {
                text.push_str(
                    &printer.on_stdout(Style::Faint, &format!("      left as it is: {path}: {reason}\n")),
                );
            }
        }
    }
    if !record.gaps.is_empty() {
        text.push_str(&heading("locked, but not in the artifact"));
        for gap in &record.gaps {
            text.push_str(&format!("  {:<40} {:<12} {}\n", gap.distribution, gap.version, gap.cause));
        }
    }
    text.push_str(&heading("inputs"));
    let width = record.inputs.iter().map(|input| role(input).len()).max().unwrap_or_default().max(13);
    for input in &record.inputs {
        text.push_str(&format!("  {:<width$} {}  {}\n", role(input), input.digest, input.name));
    }
    text.push_str(&heading("checks"));
    for check in &record.checks {
        let outcome = match &check.outcome {
            CheckOutcome::Ran { subjects, unit } => format!("ran on {}", counted(subjects, unit)),
            CheckOutcome::NotChecked { reason } => {
                printer.on_stdout(Style::Warn, &format!("not checked: {reason}"))
            }
        };
        text.push_str(&format!("  {:<13} {outcome}\n", check.name));
    }
    if let Some(imports) = &record.imports {
        text.push_str(&import_lines(imports, record, &heading("imports")));
    }
    if !record.findings.is_empty() {
        text.push_str(&heading("findings"));
        for finding in &record.findings {
            text.push_str(&format!(
                "  {}[{}] {}: {}\n",
                finding.level, finding.code, finding.subject, finding.cause
            ));
        }
    }
    if files {
        text.push_str(&heading("files"));
        for file in &record.files {
            let mut by = String::new();
            for rule in record.transformations.iter().filter(|rule| rule.changed.contains_key(&file.path)) {
                by.push_str(&format!(", made by {}", rule.rule));
            }
            text.push_str(&format!(
                "  {:>9}  {}  {}\n",
                format_size(file.entry.size()),
                file.path,
                printer.on_stdout(Style::Faint, &format!("{}{by}", file.component))
            ));
        }
    }
    text
}

/// The components, largest first, where their sizes are known.
fn components(record: &Record, known: Known, heading: &str) -> String {
    let mut text = heading.to_owned();
    for component in by_size(record) {
        let size = match known {
            Known::Components => String::new(),
            Known::Record | Known::Content => format!("{:>9}  ", format_size(component.bytes)),
        };
        text.push_str(&format!(
            "  {size}{:<40} {}\n",
            component.id.as_str(),
            component.version.as_deref().unwrap_or_default()
        ));
    }
    text
}

/// The commit that the latest run was of; it is no part of the record.
fn made_of(source: &SourceLink, printer: Printer) -> String {
    let head = printer.on_stdout(Style::Strong, "made of (not part of the record)");
    let mut text = format!("\n{head}\n  {source}\n");
    let Some(commit) = source.commit() else { return text };
    let repository = commit.repository.as_deref().unwrap_or("no remote on another machine");
    text.push_str(&format!("  {repository}, folder {}\n  {}\n", commit.workspace, commit.commit));
    for (folder, tree) in &commit.trees {
        let held = if commit.source_is_committed { "is this tree" } else { "is not this tree" };
        text.push_str(&format!("  {folder} {held} of the commit: {tree}\n"));
    }
    for path in &commit.changed_paths {
        text.push_str(&format!("  differs: {path}\n"));
    }
    let more = commit.changed.saturating_sub(commit.changed_paths.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}

/// What the latest run measured; it is no part of the record.
fn measured(run: &RunDetails, printer: Printer) -> String {
    let mut text = told(run, printer);
    let Some(smoke) = &run.smoke else { return text };
    text += &format!(
        "\n{}\n",
        printer.on_stdout(
            Style::Strong,
            &format!("measured on {} with {} (not part of the record)", run.at, smoke.client)
        )
    );
    let width = smoke.events.iter().map(|event| event.name.chars().count()).max().unwrap_or_default();
    let time = |us: Option<u64>| match us {
        #[expect(clippy::cast_precision_loss, reason = "minutes are few microseconds")]
        Some(us) => format!("{:.1} ms", us as f64 / 1000.0),
        None => "-".to_owned(),
    };
    for event in &smoke.events {
        let start = match (event.cold, event.init_us) {
            (true, init) => format!("cold, {} to import", time(init)),
            (false, _) => "warm".to_owned(),
        };
        let memory =
            event.peak_kib.map(|kib| format!(", {} at most", format_size(kib * 1024))).unwrap_or_default();
        text.push_str(&format!(
            "  {:<width$}  {} in {}, {start}{memory}\n",
            event.name,
            event.outcome,
            time(event.invoke_us)
        ));
        for line in &event.lines {
            text.push_str(&format!("      {line}\n"));
        }
    }
    for note in &smoke.notes {
        text.push_str(&format!("  {}\n", printer.on_stdout(Style::Warn, note)));
    }
    text
}

/// What the latest run did not make.
fn told(run: &RunDetails, printer: Printer) -> String {
    if run.told.is_empty() {
        return String::new();
    }
    let head = format!("not made on {}, but taken on the word of others (not part of the record)", run.at);
    let mut text = format!("\n{}\n", printer.on_stdout(Style::Strong, &head));
    for told in &run.told {
        text.push_str(&format!("  {} ({}), from {}\n", told.what, told.key, told.from));
    }
    text
}

/// What importing the artifact told that is no finding: data for whoever wants it smaller.
fn import_lines(imports: &ImportRecord, record: &Record, heading: &str) -> String {
    let mut lines = Vec::new();
    for (name, state) in &imports.distributions {
        if let Importable::No { reason } = state {
            lines.push(format!("  {name} cannot be imported: {reason}\n"));
        }
    }
    if !imports.never_imported.is_empty() {
        let bytes: u64 = record
            .components
            .iter()
            .filter(|component| imports.never_imported.contains(&component.name))
            .map(|component| component.bytes)
            .sum();
        lines.push(format!(
            "  {} of {} ({}) not loaded by the handler and own modules: {}\n",
            imports.never_imported.len(),
            counted(imports.distributions.len(), "distributions"),
            format_size(bytes),
            imports.never_imported.join(", ")
        ));
    }
    if !imports.imported_lazily.is_empty() {
        lines.push(format!(
            "  of these, imported when a function is called: {}\n",
            imports.imported_lazily.join(", ")
        ));
    }
    if !imports.computed.is_empty() {
        lines.push(format!("  names computed at run time, not followed: {}\n", imports.computed.join(", ")));
    }
    if lines.is_empty() { String::new() } else { format!("{heading}{}", lines.concat()) }
}
