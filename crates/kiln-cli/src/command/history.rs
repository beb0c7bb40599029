//! `kiln history`.

use crate::args::{Format, History};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use kiln_audit::format_size;
use kiln_publish::{HistoricRecord, artifacts_with_history, history, newest_build, read_histories};
use kiln_record::{ArtifactName, Digest, Exit, exit};
use kiln_report::{Align, Markdown};
use kiln_store::{LedgerEntry, SourceLink};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) fn run(settings: &Settings, command: &History, printer: Printer) -> Result<Exit, Failure> {
    if !settings.environment.has_workspace() {
        return match command.artifacts.is_empty() {
            false => named(settings, &command.artifacts, printer),
            true => Err(Failure::input("there is no workspace here, and so no ledger")
                .hint("name records, folders of them or references to a registry: kiln history FOLDER")
                .hint("or change to a workspace; kiln init makes one of a project")),
        };
    }
    let known = artifacts_with_history(&settings.environment)?;
    let names: Result<Vec<ArtifactName>, _> = command.artifacts.iter().map(|text| text.parse()).collect();
    // What the ledger has is an artifact, be there a file or a folder of its name or not.
    let is_path = |text: &String| {
        let is_known = text.parse().is_ok_and(|name: ArtifactName| known.contains(&name));
        !is_known && Path::new(text).exists()
    };
    let names = match names {
        Ok(names) if !command.artifacts.iter().any(is_path) => names,
        _ => return named(settings, &command.artifacts, printer),
    };
    let artifacts = if names.is_empty() { known.clone() } else { names };
    let mut all: BTreeMap<ArtifactName, Vec<LedgerEntry>> = BTreeMap::new();
    let mut broken = Vec::new();
    for artifact in artifacts {
        if !known.contains(&artifact) {
            let names: Vec<String> = known.iter().map(ToString::to_string).collect();
            return Err(Failure::input(format!("`{artifact}` has no build in the ledger")).hint(format!(
                "built here: {}",
                if names.is_empty() { "nothing yet".to_owned() } else { names.join(", ") }
            )));
        }
        match history(&settings.environment, &artifact) {
            Ok(entries) => {
                all.insert(artifact, entries);
            }
            // One that is broken keeps nobody from reading the others.
            Err(error) => broken.push(Failure::from(error)),
        }
    }
    if settings.format == Format::Json {
        printer.data(&super::document(&all)?);
        return told(broken, printer);
    }
    if all.is_empty() && broken.is_empty() {
        printer.talk("nothing was built in this workspace yet; build with: kiln build --all");
    }
    if settings.format == Format::Markdown {
        let mut out = Markdown::default();
        all.iter().for_each(|(artifact, entries)| add(&mut out, artifact, entries));
        printer.data(out.text());
        return told(broken, printer);
    }
    for (artifact, entries) in &all {
        let mut text = format!("{}\n", printer.on_stdout(Style::Strong, artifact.as_str()));
        // An entry does not say what it is of; the newest record does.
        let newest = newest_build(&settings.environment, artifact).ok();
        let word = if newest.is_some_and(|build| build.record.kind.is_image()) { "image" } else { "zip" };
        for (entry, step) in entries.iter().zip(steps(entries)) {
            text += &line(entry, &step, word);
        }
        printer.data(&text);
    }
    told(broken, printer)
}

/// The builds that records tell of, in the order in which they are named. They say nothing of when they were made.
fn named(settings: &Settings, named: &[String], printer: Printer) -> Result<Exit, Failure> {
    let (environment, named) = (settings.environment.clone(), named.to_vec());
    let histories = signals::run(|_| Box::pin(async move { read_histories(&environment, &named).await }))?;
    let records = histories.records();
    for unread in histories.unread() {
        printer.talk(&format!("not read: {unread}"));
    }
    // As of `kiln find`: what could not be read may be of any build.
    let ending = if histories.unread().is_empty() { exit::SUCCESS } else { exit::INPUT_INVALID };
    if settings.format == Format::Json {
        let rows: Vec<NamedRow<'_>> = records.iter().map(NamedRow::new).collect();
        printer.data(&super::document(&rows)?);
        return Ok(ending);
    }
    let mut before: BTreeMap<&ArtifactName, u64> = BTreeMap::new();
    let steps: Vec<String> = records
        .iter()
        .map(|HistoricRecord { record, .. }| match before.insert(&record.artifact, record.unpacked_size) {
            None => String::new(),
            Some(was) if record.unpacked_size >= was => {
                format!("+{} unpacked", format_size(record.unpacked_size - was))
            }
            Some(was) => format!("-{} unpacked", format_size(was - record.unpacked_size)),
        })
        .collect();
    if settings.format == Format::Markdown {
        let rows = records.iter().zip(&steps).map(|(HistoricRecord { record, from, tags }, step)| {
            [
                record.artifact.to_string(),
                from.clone(),
                tags.join(", "),
                format_size(record.packed_size()),
                format_size(record.unpacked_size),
                record.archive().map(|archive| archive.digest.to_string()).unwrap_or_default(),
                step.clone(),
            ]
        });
        let head = [
            ("artifact", Align::Left),
            ("from", Align::Left),
            ("tags", Align::Left),
            ("packed", Align::Right),
            ("unpacked", Align::Right),
            ("digest", Align::Left),
            ("step", Align::Left),
        ];
        printer.data(Markdown::default().table(head, rows).text());
        return Ok(ending);
    }
    // Of one place it needs no saying.
    let is_of_one = records.iter().all(|one| one.from == records[0].from);
    for (HistoricRecord { record, from, tags }, step) in records.iter().zip(steps) {
        let digest =
            record.archive().map(|archive| archive.digest.hex()[..16].to_owned()).unwrap_or_default();
        let from = if is_of_one { "" } else { from.as_str() };
        let tags = tags.join(", ");
        let told = [from, &tags, &step].into_iter().filter(|part| !part.is_empty());
        let line = format!(
            "{}  {:>9} packed {:>9} unpacked  {digest}  {}",
            printer.on_stdout(Style::Strong, record.artifact.as_str()),
            format_size(record.packed_size()),
            format_size(record.unpacked_size),
            told.collect::<Vec<_>>().join("  "),
        );
        printer.data(&format!("{}\n", line.trim_end()));
    }
    Ok(ending)
}

/// A build that a record tells of. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct NamedRow<'a> {
    artifact: &'a ArtifactName,
    plan: Digest,
    tree: Digest,
    /// The digest of its archive.
    archive: Option<Digest>,
    packed_size: u64,
    unpacked_size: u64,
    /// What it was read from: its file, or what was named.
    from: &'a str,
    /// The tags under which a registry has it.
    tags: &'a [String],
}

impl<'a> NamedRow<'a> {
    fn new(HistoricRecord { record, from, tags }: &'a HistoricRecord) -> Self {
        Self {
            artifact: &record.artifact,
            plan: record.plan,
            tree: record.tree,
            archive: record.archive().map(|archive| archive.digest),
            packed_size: record.packed_size(),
            unpacked_size: record.unpacked_size,
            from,
            tags,
        }
    }
}

/// Tells of all histories that are broken; the last one's code is the command's.
fn told(mut broken: Vec<Failure>, printer: Printer) -> Result<Exit, Failure> {
    let last = broken.pop();
    broken.iter().for_each(|failure| failure.print(printer));
    last.map_or(Ok(exit::SUCCESS), Err)
}

fn add(out: &mut Markdown, artifact: &ArtifactName, entries: &[LedgerEntry]) {
    let rows = entries.iter().zip(steps(entries)).map(|(entry, step)| {
        [
            format!("{artifact}@{}", entry.number),
            entry.at.to_string(),
            format_size(entry.archive_size),
            format_size(entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
            entry.archive.map(|digest| digest.to_string()).unwrap_or_default(),
            step,
        ]
    });
    let head = [
        ("build", Align::Left),
        ("when", Align::Left),
        ("packed", Align::Right),
        ("unpacked", Align::Right),
        ("digest", Align::Left),
        ("step", Align::Left),
    ];
    out.heading(artifact.as_str()).table(head, rows);
}

/// What changed since the build before each, in words; or which earlier one had the same bytes.
fn steps(entries: &[LedgerEntry]) -> Vec<String> {
    let mut newest_with: BTreeMap<Digest, u64> = BTreeMap::new();
    let before = std::iter::once(None).chain(entries.iter().map(Some));
    let steps = before.zip(entries).map(|(before, entry)| {
        let same = entry.archive.and_then(|archive| newest_with.insert(archive, entry.number));
        before.map_or_else(String::new, |before| step(before, entry, same))
    });
    steps.collect()
}

/// What changed between two builds, in words; `same` is the number of the newest build before that had the same bytes.
fn step(before: &LedgerEntry, entry: &LedgerEntry, same: Option<u64>) -> String {
    if before.archive == entry.archive && entry.archive.is_some() {
        return "same bytes".to_owned();
    }
    if let Some(number) = same {
        return format!("same bytes as @{number}");
    }
    if before.tree == entry.tree {
        return "same content, other bytes".to_owned();
    }
    let (was, now) = match (before.image_unpacked_size, entry.image_unpacked_size) {
        (Some(was), Some(now)) => (was, now),
        _ => (before.unpacked_size, entry.unpacked_size),
    };
    if now >= was {
        format!("+{} unpacked", format_size(now - was))
    } else {
        format!("-{} unpacked", format_size(was - now))
    }
}

fn line(entry: &LedgerEntry, step: &str, word: &str) -> String {
    let digest = entry.archive.map(|digest| digest.hex()[..16].to_owned()).unwrap_or_default();
    format!(
        "  @{:<4} {}  {:>9} {word} {:>9} unpacked  {digest}  {step}\n",
        entry.number,
        entry.at,
        format_size(entry.archive_size),
        format_size(entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
    ) + &entry
        .source
        .as_ref()
        .and_then(SourceLink::commit)
        .map(|commit| format!("        {commit}\n"))
        .unwrap_or_default()
}
