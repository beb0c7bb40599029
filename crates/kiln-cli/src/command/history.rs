//! `kiln history`.

use crate::args::{Format, History};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_audit::{Sample, format_size};
use kiln_publish::{NamedBuild, artifacts_with_history, history, resolve};
use kiln_record::{ArtifactName, Exit, exit};
use kiln_report::{Align, Markdown};
use kiln_store::LedgerEntry;
use std::collections::BTreeMap;

pub(crate) fn run(settings: &Settings, command: &History, printer: Printer) -> Result<Exit, Failure> {
    let known = artifacts_with_history(&settings.environment)?;
    let artifacts = if command.artifacts.is_empty() { known.clone() } else { command.artifacts.clone() };
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
        printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, artifact.as_str())));
        // An entry does not say what it is of; the newest record does.
        let newest = resolve(&settings.environment, artifact.as_str()).ok();
        let word = if newest.is_some_and(|build| build.record.kind.is_image()) { "image" } else { "zip" };
        let mut before: Option<&LedgerEntry> = None;
        for entry in entries {
            printer.data(&line(entry, before, word));
            before = Some(entry);
        }
    }
    told(broken, printer)
}

/// Tells of all histories that are broken; the last one's code is the command's.
fn told(mut broken: Vec<Failure>, printer: Printer) -> Result<Exit, Failure> {
    let last = broken.pop();
    broken.iter().for_each(|failure| failure.print(printer));
    last.map_or(Ok(exit::SUCCESS), Err)
}

fn add(out: &mut Markdown, artifact: &ArtifactName, entries: &[LedgerEntry]) {
    let before = std::iter::once(None).chain(entries.iter().map(Some));
    let rows = entries.iter().zip(before).map(|(entry, before)| {
        [
            format!("{artifact}@{}", entry.number),
            entry.at.to_string(),
            format_size(entry.archive_size),
            format_size(entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
            entry.archive.map(|digest| digest.to_string()).unwrap_or_default(),
            step(entry, before),
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

/// What changed since the build before, in words.
fn step(entry: &LedgerEntry, before: Option<&LedgerEntry>) -> String {
    match before {
        None => String::new(),
        Some(before) if before.archive == entry.archive => "same bytes".to_owned(),
        Some(before) if before.tree == entry.tree => "same content, other bytes".to_owned(),
        Some(before) => {
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
    }
}

fn line(entry: &LedgerEntry, before: Option<&LedgerEntry>, word: &str) -> String {
    let step = step(entry, before);
    let digest = entry.archive.map(|digest| digest.hex()[..16].to_owned()).unwrap_or_default();
    format!(
        "  @{:<4} {}  {:>9} {word} {:>9} unpacked  {digest}  {step}\n",
        entry.number,
        entry.at,
        format_size(entry.archive_size),
        format_size(entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
    )
}

/// The sizes of the builds of this workspace up to one of them, oldest first: what a size is held against.
pub(super) fn samples(settings: &Settings, build: &NamedBuild) -> Result<Vec<Sample>, Failure> {
    let entries = history(&settings.environment, &build.record.artifact)?;
    // A record from elsewhere counts up to its place in our own history, if it has one.
    let digest = build.record.archive().map(|archive| archive.digest);
    let last = build.number.or_else(|| entries.iter().rev().find(|e| e.archive == digest).map(|e| e.number));
    Ok(entries
        .iter()
        .filter(|entry| last.is_some_and(|last| entry.number <= last))
        .map(|entry| Sample {
            number: entry.number,
            archive: entry.archive_size,
            unpacked: entry.unpacked_size,
        })
        .collect())
}
