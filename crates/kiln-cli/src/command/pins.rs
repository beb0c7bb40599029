//! `kiln pins`.

use crate::args::Format;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_lock::{Pin, pins};
use kiln_record::{Epoch, Exit, exit};
use kiln_report::{Align, Markdown};
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) fn run(settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let (pins, now) = (pins(&settings.environment.root)?, settings.environment.now);
    match settings.format {
        Format::Json => {
            let rows: Vec<Row<'_>> = pins.iter().map(|pin| Row::new(pin, now)).collect();
            printer.data(&super::document(&rows)?);
        }
        Format::Markdown => printer.data(markdown(&pins, now).text()),
        _ => print(&pins, now, printer),
    }
    Ok(exit::SUCCESS)
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
            pin.command.clone(),
            pin.problem.clone().unwrap_or_default(),
        ]
    });
    let head = ["pin", "follows", "since", "pinned to", "moved by", "problem"];
    out.table(head.map(|name| (name, Align::Left)), rows);
    if pins.is_empty() {
        out.paragraph("Nothing is pinned here: this workspace has no bases and no tools.");
    }
    out
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
        if let Some(problem) = &pin.problem {
            printer.data(&format!("      {}\n", printer.on_stdout(Style::Warn, problem)));
        }
    }
}

/// One thing that is pinned. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    follows: &'a str,
    /// What it is pinned to, by platform.
    pinned_to: BTreeMap<&'a str, &'a str>,
    pinned: Option<String>,
    age_days: Option<u64>,
    /// The file with the pin.
    file: &'a str,
    /// What moves the pin.
    command: &'a str,
    /// Why the pin is not in force, if it is not.
    problem: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(pin: &'a Pin, now: Epoch) -> Self {
        Self {
            kind: pin.thing.as_str(),
            name: &pin.name,
            follows: &pin.follows,
            pinned_to: pin
                .pinned_to
                .iter()
                .map(|(platform, digest)| (platform.as_str(), digest.as_str()))
                .collect(),
            pinned: pin.pinned.map(|pinned| pinned.to_string()),
            age_days: pin.age(now),
            file: &pin.file,
            command: &pin.command,
            problem: pin.problem.as_deref(),
        }
    }
}
