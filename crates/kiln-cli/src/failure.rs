//! Errors, as they are told: what, where, why, what to do, and which exit code.

use crate::printer::{Printer, Style, harmless_in_place, with_own_colours};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use kiln_plan::{InvalidFiles, Problem};
use kiln_record::{Exit, Hint, Level as Judged, Place, RunError, exit};
use kiln_report::{Case, Judgement, Remark, github_annotations};
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
    /// Where in the workspace it is, if that is one place and no problem of a file.
    place: Option<Place>,
}

impl Failure {
    fn new(code: Exit, message: String) -> Self {
        Self { code, message, hints: Vec::new(), problems: Vec::new(), place: None }
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

    /// The same, at a place of a file.
    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
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

    /// What helps: against each thing that is wrong in a file, and against the error itself.
    pub(crate) fn ways_out(&self) -> Vec<String> {
        let of_files = self.problems.iter().filter_map(|problem| problem.help.clone());
        of_files.chain(self.hints.iter().map(ToString::to_string)).collect()
    }

    /// Tells of it as what a command ended with.
    pub(crate) fn print(&self, printer: Printer) {
        self.tell(printer);
        printer.annotations(&github_annotations(&[self.judgement()]));
    }

    /// Tells of it to a person alone, where its annotations are told with others.
    pub(crate) fn tell(&self, printer: Printer) {
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

    /// The document of `--format json` for a command that failed. Keys are only ever added.
    pub(crate) fn document(&self) -> Document<'_> {
        let problems: Vec<InFile<'_>> = self.problems.iter().map(InFile::of).collect();
        let place = self.place.as_ref();
        let line = place.and_then(|place| usize::try_from(place.line?).ok());
        Document {
            format: "1.0",
            error: Told {
                code: self.code.number(),
                kind: self.code.kind(),
                message: &self.message,
                file: problems.first().map(|problem| problem.file).or(place.map(|place| place.file.as_str())),
                line: problems.first().map_or(line, |problem| problem.line),
                key: problems.first().and_then(|problem| problem.key),
                hints: self.hints.iter().map(Hint::as_str).collect(),
                problems,
            },
        }
    }

    /// The same as what became of a run, for the forms that have findings alone.
    pub(crate) fn judgement(&self) -> Judgement {
        Judgement { name: "kiln".to_owned(), cases: vec![self.broken("run")], ..Judgement::default() }
    }

    /// The same as something that broke off, with a remark for each line that is wrong.
    pub(crate) fn broken(&self, case: &str) -> Case {
        let hints = || self.hints.iter().map(ToString::to_string);
        let remark = |subject: &str, text: &str| Remark::new(self.code.kind(), Judged::Deny, subject, text);
        let of_problem = |problem: &Problem| Remark {
            remedy: problem.help.iter().cloned().chain(hints()).collect(),
            place: Some(problem.place()),
            ..remark(&InFile::of(problem).subject(), &problem.message)
        };
        let errors = match self.problems.is_empty() {
            true => vec![Remark {
                remedy: hints().collect(),
                place: self.place.clone(),
                ..remark(case, &self.message)
            }],
            false => self.problems.iter().map(of_problem).collect(),
        };
        Case::broken(case, &self.message, errors)
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
    /// The file that the first problem is in, or in which a line failed, relative to the workspace.
    file: Option<&'a str>,
    /// The line of that, counted from 1.
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

    /// What of the file it is about, whatever line that is at by now.
    fn subject(&self) -> String {
        self.key.map_or_else(|| self.file.to_owned(), |key| format!("{}: {key}", self.file))
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
        Self::of(&error)
    }
}

impl Failure {
    /// The failure that an error is.
    pub(crate) fn of(error: &(impl RunError + 'static)) -> Self {
        let root = (error as &dyn RunError).root() as &(dyn Error + 'static);
        let problems = root.downcast_ref::<InvalidFiles>().map_or_else(Vec::new, |files| files.0.clone());
        let mut hints = error.hints();
        if is_disk_full(root) || is_disk_full(error) {
            hints.push(FULL.into());
        }
        let (code, place) = (error.exit(), error.place());
        Self { code, message: cut(&chain(error)), hints, problems, place }
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
