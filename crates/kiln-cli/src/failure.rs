//! Errors, as they are told: what, where, why, what to do, and which exit code.

use crate::printer::{Printer, Style, harmless_in_place, with_own_colours};
use kiln_plan::{InvalidFiles, Problem};
use kiln_record::{Exit, Hint, RunError, exit};
use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report, SourceSpan};
use std::error::Error;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Exit,
    message: String,
    hints: Vec<Hint>,
    problems: Vec<Problem>,
}

impl Failure {
    fn new(code: Exit, message: String) -> Self {
        Self { code, message, hints: Vec::new(), problems: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message.into())
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(exit::INPUT_INVALID, message.into())
    }

    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(exit::STORE_FAILURE, message.into())
    }

    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self::new(exit::UNEXPECTED, message.into())
    }

    pub(crate) fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.code
    }

    pub(crate) fn print(&self, printer: Printer) {
        for problem in &self.problems {
            printer.problem(&render_problem(problem, printer));
        }
        if self.problems.is_empty() {
            let head = printer.on_stderr(Style::Bad, "error");
            printer.problem(&format!("{head}: {}", self.message));
        }
        for hint in &self.hints {
            printer.problem(&format!("  {}: {hint}", printer.on_stderr(Style::Note, "help")));
        }
    }
}

impl<E: RunError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let root = (&error as &dyn RunError).root() as &(dyn Error + 'static);
        let problems = root.downcast_ref::<InvalidFiles>().map_or_else(Vec::new, |files| files.0.clone());
        Self { code: error.exit(), message: chain(&error), hints: error.hints(), problems }
    }
}

/// An error with what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!("\n  because {cause_text}"));
        }
        source = cause.source();
    }
    text
}

/// Shows a problem with the lines around it.
fn render_problem(problem: &Problem, printer: Printer) -> String {
    // What the renderer adds are its own colours, so none may be in what it is given.
    let (message, file) = (harmless_in_place(&problem.message), harmless_in_place(&problem.file));
    let mut diagnostic = MietteDiagnostic::new(message);
    if let Some(help) = &problem.help {
        diagnostic = diagnostic.with_help(harmless_in_place(help));
    }
    let theme = if printer.stderr_colour {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(110);
    let mut text = String::new();
    let shown = match (&problem.text, &problem.span) {
        (Some(source), Some(span)) if !span.is_empty() => {
            let label = LabeledSpan::underline(SourceSpan::from(span.clone()));
            let report = Report::new(diagnostic.with_label(label))
                .with_source_code(NamedSource::new(file, harmless_in_place(source)));
            handler.render_report(&mut text, report.as_ref())
        }
        _ => {
            diagnostic.message = format!("{file}: {}", diagnostic.message);
            handler.render_report(&mut text, &diagnostic)
        }
    };
    if shown.is_err() {
        return problem.to_string();
    }
    with_own_colours(text.trim_end())
}
