//! `kiln pins`.

use super::pins_check;
use super::pins_document::Row;
use crate::args::Format;
use crate::args::pins::Pins;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_lock::{Pin, pins};
use kiln_record::{ArtifactName, Epoch, Exit, exit};
use kiln_report::{Align, Markdown};
use std::time::Duration;

pub(crate) fn run(settings: &Settings, command: &Pins, printer: Printer) -> Result<Exit, Failure> {
    let (pins, now) = (pins(&settings.environment.root)?, settings.environment.now);
    let asked = match command.check {
        true => pins_check::run(settings, &pins, printer)?,
        false => {
            list(settings, &pins, printer)?;
            exit::SUCCESS
        }
    };
    Ok(if too_old(&pins, command.max_age, now, printer) { exit::FINDINGS_DENIED } else { asked })
}

/// Tells of pins that are older than is allowed, or than their review, and says whether there are any. What has no time, as what a Dockerfile pins, is
/// told, too: its age was not judged.
fn too_old(pins: &[Pin], most: Option<Duration>, now: Epoch, printer: Printer) -> bool {
    let mut any = false;
    for pin in pins {
        let what = format!("{} {}", pin.thing.as_str(), pin.name);
        let allowed = most.map(|most| (most.as_secs(), format!("{} are allowed", days(most))));
        let reviewed = pin
            .review
            .as_ref()
            .map(|(period, file)| (period.days() * 86_400, format!("its review is {period} ({file})")));
        let Some((seconds, rule)) = allowed.into_iter().chain(reviewed).min() else { continue };
        let Some(pinned) = pin.pinned else {
            let note = printer.on_stderr(Style::Note, "note");
            printer.problem(&format!(
                "{note}: {what}: how old it is was not judged, as {} does not say",
                pin.file
            ));
            continue;
        };
        if now.seconds().saturating_sub(pinned.seconds()) > seconds {
            any = true;
            let error = printer.on_stderr(Style::Bad, "error");
            printer.problem(&format!("{error}: {what} was pinned {} ago, and {rule}", age(pin, now)));
            printer.problem(&format!("  {}: {}", printer.on_stderr(Style::Note, "help"), pin.command));
        }
    }
    any
}

fn days(time: Duration) -> String {
    let hours = time.as_secs() / 3600;
    if hours.is_multiple_of(24) { format!("{} days", hours / 24) } else { format!("{hours} hours") }
}

/// Lists pins.
fn list(settings: &Settings, pins: &[Pin], printer: Printer) -> Result<(), Failure> {
    let now = settings.environment.now;
    match settings.format {
        Format::Json => {
            let rows: Vec<Row<'_>> = pins.iter().map(|pin| Row::new(pin, now)).collect();
            printer.data(&super::document(&rows)?);
        }
        Format::Markdown => printer.data(markdown(pins, now).text()),
        _ => print(pins, now, printer),
    }
    Ok(())
}

fn age(pin: &Pin, now: Epoch) -> String {
    match pin.age(now) {
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => "-".to_owned(),
    }
}

/// The day on which something was pinned.
fn day(pin: &Pin) -> String {
    pin.pinned.map_or_else(|| "-".to_owned(), |pinned| pinned.to_string()[..10].to_owned())
}

fn markdown(pins: &[Pin], now: Epoch) -> Markdown {
    let mut out = Markdown::default();
    let rows = pins.iter().map(|pin| {
        let to: Vec<String> =
            pin.pinned_to.iter().map(|(platform, digest)| format!("{platform} {digest}")).collect();
        [
            format!("{} {}", pin.thing.as_str(), pin.name),
            pin.follows.clone(),
            format!("{}, {}", day(pin), age(pin, now)),
            to.join("; "),
            used_by(pin),
            pin.command.clone(),
            pin.problem.clone().unwrap_or_default(),
        ]
    });
    let head = ["pin", "follows", "since", "pinned to", "used by", "moved by", "problem"];
    out.table(head.map(|name| (name, Align::Left)), rows);
    if pins.is_empty() {
        out.paragraph("Nothing is pinned here: this workspace has no bases and no tools.");
    }
    out
}

/// Who needs a pin.
fn used_by(pin: &Pin) -> String {
    let names: Vec<&str> = pin.used_by.iter().map(ArtifactName::as_str).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn print(pins: &[Pin], now: Epoch, printer: Printer) {
    if pins.is_empty() {
        printer.talk("nothing is pinned here: this workspace has no bases and no tools");
        return;
    }
    let name = pins.iter().map(|pin| pin.name.len()).max().unwrap_or_default();
    let follows = pins.iter().map(|pin| pin.follows.len()).max().unwrap_or_default();
    let file = pins.iter().map(|pin| pin.file.len()).max().unwrap_or_default();
    for pin in pins {
        let (age, when) = (age(pin, now), day(pin));
        printer.data(&format!(
            "{}  {:name$}  {:follows$}  {when:>10}  {age:>9}  {:file$}  {}\n",
            pin.thing.as_str(),
            printer.on_stdout(Style::Strong, &format!("{:name$}", pin.name)),
            pin.follows,
            pin.file,
            pin.command,
        ));
        for (platform, digest) in &pin.pinned_to {
            printer.data(&printer.on_stdout(Style::Faint, &format!("      {platform:<18} {digest}")));
            printer.data("\n");
        }
        printer.data(&format!("      used by {}\n", used_by(pin)));
        if let Some((period, file)) = &pin.review {
            let word = if pin.is_overdue(now) {
                printer.on_stdout(Style::Bad, "overdue")
            } else {
                "reviewed".to_owned()
            };
            printer.data(&format!("      {word}: {period} ({file})\n"));
        }
        if let Some(problem) = &pin.problem {
            printer.data(&format!("      {}\n", printer.on_stdout(Style::Warn, problem)));
        }
    }
}
