//! `kiln verify` without files: everything that is published, the index over it, and the ledger.

use crate::args::Format;
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use kiln_publish::{Anchors, Row, State, repair, verify_workspace};
use kiln_record::{Exit, Level, Place, exit};
use kiln_report::{Align, Case, Judgement, Markdown, Remark};
use kiln_store::WorkspaceLock;
use serde::Serialize;
use std::path::Path;

pub(crate) fn run(
    settings: &Settings,
    repairs: bool,
    anchors: Anchors,
    printer: Printer,
) -> Result<Exit, Failure> {
    let environment = &settings.environment;
    let mut done = Vec::new();
    if repairs {
        let lock = WorkspaceLock::acquire(&environment.state, environment.lock_wait)?;
        done = repair(environment, &lock)?;
    }
    let given = environment.clone();
    let rows = signals::run(|_| Box::pin(async move { verify_workspace(&given, &anchors).await }))?;
    if settings.format == Format::Json {
        let looked = rows.iter().map(|row| Looked {
            subject: &row.subject,
            state: word(row.state),
            lines: &row.lines,
        });
        let document =
            Document { format: "1.0", success: is_whole(&rows), repaired: &done, rows: looked.collect() };
        printer.data(&super::document(&document)?);
    } else if settings.format != Format::Human {
        let judgement = judgement(&environment.root, &rows);
        let table = || markdown_table(&rows, &done);
        printer.data(&forms::judged(settings.format, &[judgement], table)?);
    } else {
        for line in &done {
            printer.data(&format!("{} {line}\n", printer.on_stdout(Style::Note, "repaired")));
        }
        rows.iter().for_each(|row| printer.data(&text(row, printer)));
        printer.talk(&summary(&rows));
    }
    Ok(if is_whole(&rows) { exit::SUCCESS } else { exit::NOT_REPRODUCIBLE })
}

fn is_whole(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.state != State::Differs)
}

/// What was looked at: a case for each, and a remark for what is wrong, at its file or folder where that is one of the workspace.
fn judgement(root: &Path, rows: &[Row]) -> Judgement {
    let said = |row: &Row| row.lines.join("; ");
    let place = |subject: &str| {
        let is_inside = Path::new(subject).is_relative() && root.join(subject).exists();
        is_inside.then(|| Place::file(subject))
    };
    let cases = rows.iter().filter(|row| row.state != State::Differs).map(|row| match row.state {
        State::NotChecked => Case::not_run(&row.subject, said(row)),
        _ => Case::ran(&row.subject),
    });
    let remarks = rows.iter().filter(|row| matches!(row.state, State::Differs | State::Noted)).map(|row| {
        let (rule, level) = match row.state {
            State::Differs => ("verify-differs", Level::Deny),
            _ => ("verify-noted", Level::Note),
        };
        Remark { place: place(&row.subject), ..Remark::new(rule, level, &row.subject, said(row)) }
    });
    Judgement {
        name: "published".to_owned(),
        declared_in: None,
        cases: cases.collect(),
        remarks: remarks.collect(),
    }
}

fn markdown_table(rows: &[Row], done: &[String]) -> Markdown {
    let mut out = Markdown::default();
    out.list(done.iter().map(|line| format!("repaired: {line}")));
    let head = ["", "subject", "what"].map(|name| (name, Align::Left));
    out.table(
        head,
        rows.iter().map(|row| [word(row.state).to_owned(), row.subject.clone(), row.lines.join("; ")]),
    );
    out
}

fn word(state: State) -> &'static str {
    match state {
        State::Same => "same",
        State::Noted => "noted",
        State::NotChecked => "not-checked",
        State::Differs => "differs",
    }
}

fn text(row: &Row, printer: Printer) -> String {
    let style = match row.state {
        State::Same => Style::Good,
        State::Noted => Style::Note,
        State::NotChecked => Style::Warn,
        State::Differs => Style::Bad,
    };
    let state = printer.on_stdout(style, &format!("{:<11}", word(row.state)));
    match row.lines.as_slice() {
        [line] => format!("{state} {}: {line}\n", row.subject),
        lines => {
            let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
            format!("{state} {}\n{lines}", row.subject)
        }
    }
}

fn summary(rows: &[Row]) -> String {
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let (wrong, unchecked) = (count(State::Differs), count(State::NotChecked));
    let mut text = format!("{} looked at", rows.len());
    text.push_str(&match wrong {
        0 => ", nothing is wrong".to_owned(),
        wrong => format!(", {wrong} not as they should be; set right what can be: kiln verify --repair"),
    });
    if unchecked > 0 {
        text.push_str(&format!("; {unchecked} could not be held against anything"));
    }
    text
}

/// What was looked at. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// Whether nothing is wrong.
    success: bool,
    /// What `--repair` did, and what it could not do.
    repaired: &'a [String],
    rows: Vec<Looked<'a>>,
}

/// One thing that was looked at.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Looked<'a> {
    subject: &'a str,
    /// `same`, `noted`, `not-checked` or `differs`.
    state: &'static str,
    lines: &'a [String],
}
