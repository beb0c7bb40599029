//! `kiln show --environment`: what a function finds in Lambda, and what a check does about it.

use super::{document, named};
use crate::args::Format;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_record::{Environment, Exit, Fact, FactChange, Imitated, Runtime, exit};
use serde::Serialize;

/// Shows the facts of one runtime, of what a build was checked for, or all of them.
pub(crate) fn run(settings: &Settings, of: Option<&str>, printer: Printer) -> Result<Exit, Failure> {
    let (environment, changes) = match of {
        None => (Environment::of_all(&[]), Vec::new()),
        Some(name) => match Runtime::named(name) {
            Some(runtime) => (Environment::of(runtime, &[]), Vec::new()),
            None => {
                let record = named(settings, name)?.record;
                let environment = match Runtime::named(&record.target.runtime) {
                    Some(runtime) => Environment::of(runtime, &record.environment),
                    // Of a base, or described in the workspace.
                    None => Environment::of_all(&record.environment),
                };
                (environment, record.environment)
            }
        },
    };
    let rows: Vec<Row<'_>> = environment.facts().iter().map(|fact| Row::new(fact, &changes)).collect();
    printer.data(&match settings.format {
        Format::Json => document(&rows)?,
        Format::Markdown => markdown(&rows),
        _ => rows.iter().map(|row| row.text(printer)).collect(),
    });
    Ok(exit::SUCCESS)
}

/// One fact. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Row<'a> {
    /// Its name, under which a manifest states another value.
    fact: &'a str,
    /// What it is about.
    what: &'a str,
    /// Which runtimes have it.
    runtimes: String,
    /// The value in Lambda, or what the manifest states: one, or the places of a list.
    value: &'a [String],
    /// What it is in Lambda, for people.
    lambda: String,
    /// Whether a check does the same.
    imitated: Imitated,
    /// What a check does, for people.
    check: String,
    /// How it is known.
    sources: &'a [String],
    /// Why the manifest states another value, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(fact: &'a Fact, changes: &'a [FactChange]) -> Self {
        let change = changes.iter().find(|change| change.fact == fact.name);
        Self {
            fact: &fact.name,
            what: &fact.what,
            runtimes: fact.runtimes(),
            value: &fact.value,
            lambda: fact.in_lambda(),
            imitated: fact.imitated,
            check: fact.here(),
            sources: &fact.sources,
            reason: change.map(|change| change.reason.as_str()),
        }
    }

    fn text(&self, printer: Printer) -> String {
        let mut text =
            format!("{}\n", printer.on_stdout(Style::Strong, &format!("{}: {}", self.fact, self.what)));
        let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<10} {value}\n"));
        line("in Lambda", &self.lambda);
        let marked = match self.imitated {
            Imitated::No => format!("{}: {}", printer.on_stdout(Style::Warn, "not imitated"), self.check),
            _ => self.check.clone(),
        };
        line("in a check", &marked);
        if let Some(reason) = self.reason {
            line("stated", &format!("by the manifest: {reason}"));
        }
        line("runtimes", &self.runtimes);
        line("source", &self.sources.join("; "));
        text
    }
}

fn markdown(rows: &[Row<'_>]) -> String {
    let mut text = String::from(
        "| fact | what | in Lambda | imitated | in a check | source |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let imitated = match row.imitated {
            Imitated::Yes => "yes",
            Imitated::Partly => "partly",
            Imitated::No => "no",
        };
        let runtimes = if row.runtimes == "all" { String::new() } else { format!(" ({})", row.runtimes) };
        let stated =
            row.reason.map(|reason| format!(" (stated by the manifest: {reason})")).unwrap_or_default();
        let cells = [
            &format!("`{}`", row.fact),
            &format!("{}{runtimes}", row.what),
            &format!("{}{stated}", row.lambda),
            imitated,
            &row.check,
            &row.sources.join("; "),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}
