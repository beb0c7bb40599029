//! Errors, as they are told: what, where, why, what to do, and which exit code.

use crate::printer::{Printer, Style, harmless_in_place, with_own_colours};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use kiln_plan::{InvalidFiles, Problem};
use kiln_record::{Exit, Hint, Level as Judged, Place, RunError, exit};
use kiln_report::github_annotation;
use serde::Serialize;
use std::error::Error;
use std::io::ErrorKind;

/// How long a line of source may be before it is cut.
const WIDTH: usize = 110;

/// How long a line of a message may be. Errors cut what they quote themselves; this is for those of libraries that do not.
const LONGEST_LINE: usize = 1_000;

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

    /// The same, about a file.
    pub(crate) fn about(mut self, file: &std::path::Path) -> Self {
        self.message = format!("{}: {}", file.display(), self.message);
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
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
        printer.annotations(&self.annotations());
    }

    /// The document of `--format json` for a command that failed. Keys are only ever added.
    pub(crate) fn document(&self) -> Document<'_> {
        let problems: Vec<InFile<'_>> = self.problems.iter().map(InFile::of).collect();
        Document {
            format: "1.0",
            error: Told {
                code: self.code.number(),
                kind: self.code.name().to_lowercase().replace('_', "-"),
                message: &self.message,
                file: problems.first().map(|problem| problem.file),
                line: problems.first().and_then(|problem| problem.line),
                key: problems.first().and_then(|problem| problem.key),
                hints: self.hints.iter().map(Hint::as_str).collect(),
                problems,
            },
        }
    }

    /// The same for GitHub Actions, beside the lines that it is about.
    fn annotations(&self) -> String {
        let title = self.code.name().to_lowercase().replace('_', " ");
        let with_hints = |message: &str, help: Option<&str>| {
            let hints = help.into_iter().chain(self.hints.iter().map(Hint::as_str));
            std::iter::once(message).chain(hints).collect::<Vec<_>>().join("\n")
        };
        let of_problem = |problem: &Problem| {
            let place = match problem.line() {
                Some(line) => Place::line(&problem.file, line),
                None => Place::file(&problem.file),
            };
            let message = with_hints(&problem.message, problem.help.as_deref());
            github_annotation(Judged::Deny, Some(&place), &title, &message)
        };
        match self.problems.is_empty() {
            true => github_annotation(Judged::Deny, None, &title, &with_hints(&self.message, None)),
            false => self.problems.iter().map(of_problem).collect(),
        }
    }
}

/// Why a command failed, for a program.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    error: Told<'a>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Told<'a> {
    /// The exit code.
    code: u8,
    /// Its name, such as `input-invalid`.
    kind: String,
    /// What went wrong, with its causes.
    message: &'a str,
    /// The file that the first problem is in, relative to the workspace.
    file: Option<&'a str>,
    /// The line of the first problem, counted from 1.
    line: Option<usize>,
    /// The key that this line of a TOML file sets.
    key: Option<&'a str>,
    /// What to do, one way out each.
    hints: Vec<&'a str>,
    /// What is wrong in files that somebody wrote, if that is why.
    problems: Vec<InFile<'a>>,
}

/// One thing that is wrong in a file.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct InFile<'a> {
    file: &'a str,
    line: Option<usize>,
    key: Option<&'a str>,
    message: &'a str,
    /// What to do.
    help: Option<&'a str>,
}

impl<'a> InFile<'a> {
    fn of(problem: &'a Problem) -> Self {
        let Problem { file, message, help, text, .. } = problem;
        let line = problem.line();
        let of_toml = text.as_deref().filter(|_| file.ends_with(".toml"));
        let key = of_toml.zip(line).and_then(|(text, line)| key_of(text.lines().nth(line - 1)?));
        Self { file, line, key, message, help: help.as_deref() }
    }
}

/// The key that a line of a TOML file sets, dotted as it is written; of a table its name.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let key = match line.strip_prefix('[') {
        Some(table) => table.trim_start_matches('[').split(']').next()?,
        None => line.split_once('=')?.0,
    };
    let key = key.trim();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    // A text that goes on behind the sign is no key.
    let is_whole = |quote: char| key.matches(quote).count().is_multiple_of(2);
    let is_one = !key.is_empty() && key.chars().all(is_key) && is_whole('"') && is_whole('\'');
    is_one.then_some(key)
}

impl<E: RunError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let root = (&error as &dyn RunError).root() as &(dyn Error + 'static);
        let problems = root.downcast_ref::<InvalidFiles>().map_or_else(Vec::new, |files| files.0.clone());
        let mut hints = error.hints();
        if is_disk_full(root) || is_disk_full(&error) {
            hints.push(FULL.into());
        }
        Self { code: error.exit(), message: cut(&chain(&error)), hints, problems }
    }
}

/// What to do where a disk is full: the message names the file.
const FULL: &str = "make room on that disk, or use another one: KILN_STORE names the store, --dist the output folder; what was published and recorded is as it was";

/// Whether an error, or what caused it, is that a disk is full.
fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind.is_some_and(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn Error) -> String {
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

/// A text whose lines are no longer than anyone reads.
fn cut(text: &str) -> String {
    let short = |line: &str| match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}… ({} bytes)", &line[..end], line.len()),
        None => line.to_owned(),
    };
    text.split('\n').map(short).collect::<Vec<_>>().join("\n")
}

/// Shows a problem with the line that it is in.
fn render_problem(problem: &Problem, printer: Printer) -> String {
    // What the renderer adds are its own colours, so none may be in what it is given.
    let (message, file) = (harmless_in_place(&cut(&problem.message)), harmless_in_place(&problem.file));
    let help = problem.help.as_deref().map(harmless_in_place);
    let (source, span) = match (&problem.text, &problem.span) {
        (Some(source), Some(span)) if source.get(span.clone()).is_some_and(|part| !part.is_empty()) => {
            (harmless_in_place(source), Some(span.clone()))
        }
        _ => (String::new(), None),
    };
    let message = if span.is_some() { message } else { format!("{file}: {message}") };
    let mut report = Level::ERROR.primary_title(message).elements(
        span.map(|span| Snippet::source(source).path(file).annotation(AnnotationKind::Primary.span(span))),
    );
    if let Some(help) = help {
        report = report.element(Level::HELP.message(help));
    }
    let renderer = if printer.stderr_colour { Renderer::styled() } else { Renderer::plain() };
    with_own_colours(renderer.term_width(printer.message_width(WIDTH)).render(&[report]).trim_end())
}

#[cfg(test)]
mod tests {
    use super::{cut, key_of, render_problem};
    use crate::args::Colour;
    use crate::printer::Printer;
    use kiln_plan::Problem;
    use std::sync::Arc;

    fn shown(text: &str, part: &str) -> String {
        let start = text.find(part).unwrap();
        let mut problem = Problem::in_file("kiln.toml", "not a format of this kiln");
        problem.help = Some("write \"1\"".to_owned());
        let problem = problem.at(&Arc::from(text), start..start + part.len());
        render_problem(&problem, Printer::new(false, Colour::Never, false, false))
    }

    #[test]
    fn a_place_is_shown_with_its_line() {
        let expected = "error: not a format of this kiln\n --> kiln.toml:2:10\n  |\n2 | format = \"ü\"\n  |          ^^^\n  |\n  = help: write \"1\"";
        assert_eq!(shown("# first\nformat = \"ü\"\n", "\"ü\""), expected);
        // Several lines, up to the end of the file.
        let several = shown("a = 1\nb = [\n  2,\n]", "[\n  2,\n]");
        assert!(several.contains("--> kiln.toml:2:5") && several.contains("4 | | ]"), "{several}");
    }

    #[test]
    fn the_key_of_a_line_is_what_it_sets() {
        for (line, key) in [
            ("  format = \"1\"", Some("format")),
            ("[[index]] # x", Some("index")),
            ("python.index=1", Some("python.index")),
            ("  \"a = b\",", None),
            ("]", None),
            ("", None),
        ] {
            assert_eq!(key_of(line), key, "{line}");
        }
    }

    #[test]
    fn a_long_line_of_a_message_is_cut() {
        let long = format!("first\n`{}` is no version\nlast", "é".repeat(400_000));
        let shown = cut(&long);
        assert!(
            shown.len() < 2_200 && shown.starts_with("first\n`é") && shown.ends_with("\nlast"),
            "{shown}"
        );
        let problem = Problem::in_file("a.lock", long);
        let shown = render_problem(&problem, Printer::new(false, Colour::Never, false, false));
        assert!(shown.len() < 3_000, "{}", shown.len());
    }

    #[test]
    fn what_a_file_holds_does_not_act_on_the_terminal() {
        let text = shown("format = \"\u{1b}[31m\u{202e}\r\"\n", "\"\u{1b}[31m\u{202e}\r\"");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
    }

    #[test]
    fn a_place_that_the_text_does_not_have_is_left_out() {
        let text: Arc<str> = Arc::from("a = 1\n");
        for span in [3..3, 4..40, 40..41] {
            let problem = Problem::in_file("kiln.toml", "wrong").at(&text, span);
            let shown = render_problem(&problem, Printer::new(false, Colour::Never, false, false));
            assert_eq!(shown, "error: kiln.toml: wrong");
        }
    }
}
