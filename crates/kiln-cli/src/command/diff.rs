//! `kiln diff`.

use crate::args::{Diff as Arguments, Format};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_audit::{Sample, compare};
use kiln_publish::{NamedBuild, history};
use kiln_record::{Exit, exit};

pub(crate) fn run(settings: &Settings, command: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    let before = super::named(settings, &command.before)?;
    let after = super::named(settings, &command.after)?;
    let samples = samples(settings, &before)?;
    let mut diff = compare(&before.record, &after.record, &samples);
    (diff.before.build, diff.after.build) = (Some(before.label), Some(after.label));
    match settings.format {
        Format::Human => printer.data(&diff.to_text()),
        Format::Markdown => printer.data(&diff.to_markdown()),
        Format::Json => printer.data(&super::document(&diff)?),
    }
    let exceeded = diff.exceeds(&command.fail_on);
    if exceeded.is_empty() {
        return Ok(exit::SUCCESS);
    }
    let names: Vec<String> = exceeded.iter().map(ToString::to_string).collect();
    printer.problem(&format!("{}: --fail-on {}", printer.on_stderr(Style::Bad, "denied"), names.join(", ")));
    Ok(exit::DIFFERENCE_DENIED)
}

/// The sizes of the builds up to the one before, oldest first: what a size is compared with.
fn samples(settings: &Settings, before: &NamedBuild) -> Result<Vec<Sample>, Failure> {
    let entries = history(&settings.environment, &before.record.artifact)?;
    // A record from elsewhere counts up to its place in our own history, if it has one.
    let digest = before.record.archive().map(|archive| archive.digest);
    let last = before.number.or_else(|| entries.iter().rev().find(|e| e.archive == digest).map(|e| e.number));
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
