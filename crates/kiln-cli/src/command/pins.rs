//! `kiln pins`.

use super::pins_check;
use super::pins_document::Row;
use crate::args::Format;
use crate::args::pins::Pins;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_lock::{Pin, PinnedThing, pins};
use kiln_record::{ArtifactName, Epoch, Exit, exit};
use kiln_report::{Align, Markdown};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) fn run(settings: &Settings, command: &Pins, printer: Printer) -> Result<Exit, Failure> {
    let (pins, now) = (pins(&settings.environment.root)?, settings.environment.now);
    let (asked, outdated) = match command.check {
        true => pins_check::run(settings, &pins, printer)?,
        false => {
            list(settings, &pins, printer)?;
            (exit::SUCCESS, BTreeSet::new())
        }
    };
    let too_old = too_old(&pins, command.max_age, &outdated, now, printer);
    Ok(if too_old { exit::FINDINGS_DENIED } else { asked })
}

/// Tells of pins that are older than is allowed, or than their review, and says whether there are any. What has no time, as what a
/// Dockerfile pins, is told, too: its age was not judged. A lock of distributions is too old if something is newer, which was asked
/// for the artifacts that are `outdated`: where nothing is, no commit could make it younger.
fn too_old(
    pins: &[Pin],
    most: Option<Duration>,
    outdated: &BTreeSet<ArtifactName>,
    now: Epoch,
    printer: Printer,
) -> bool {
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
            let why = pin.undated.as_deref().unwrap_or("it is not pinned");
            printer.problem(&format!("{note}: {what}: how old it is was not judged: {why}"));
            continue;
        };
        if now.seconds().saturating_sub(pinned.seconds()) > seconds {
            let (_, age) = since(pin, now).unwrap_or_default();
            if pin.thing == PinnedThing::Lock && !pin.used_by.iter().any(|name| outdated.contains(name)) {
                let note = printer.on_stderr(Style::Note, "note");
                printer.problem(&format!(
                    "{note}: {what} was changed {age} ago, and {rule}; kiln pins --check says of locks that kiln makes whether anything is newer"
                ));
                continue;
            }
            any = true;
            let error = printer.on_stderr(Style::Bad, "error");
            printer.problem(&format!("{error}: {what} was pinned {age} ago, and {rule}"));
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

/// The day on which something was pinned, and how long ago that was.
fn since(pin: &Pin, now: Epoch) -> Option<(String, String)> {
    let age = match pin.age(now)? {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    Some((pin.pinned?.to_string()[..10].to_owned(), age))
}

/// What stands in the place of that.
fn undated(pin: &Pin) -> &'static str {
    if pin.undated.is_some() { "age not known" } else { "not pinned" }
}

fn markdown(pins: &[Pin], now: Epoch) -> Markdown {
    let mut out = Markdown::default();
    let rows = pins.iter().map(|pin| {
        let to: Vec<String> =
            pin.pinned_to.iter().map(|(platform, digest)| format!("{platform} {digest}")).collect();
        [
            format!("{} {}", pin.thing.as_str(), pin.name),
            pin.follows.clone(),
            match (since(pin, now), &pin.undated) {
                (Some((day, age)), _) => format!("{day}, {age}"),
                (None, Some(why)) => format!("{}: {why}", undated(pin)),
                (None, None) => undated(pin).to_owned(),
            },
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
        let since = match since(pin, now) {
            Some((day, age)) => format!("{day}  {age:>9}"),
            None => undated(pin).to_owned(),
        };
        printer.data(&format!(
            "{}  {:name$}  {:follows$}  {since:21}  {:file$}  {}\n",
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
        if let Some(why) = &pin.undated {
            printer.data(&format!("      {}: {why}\n", undated(pin)));
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
