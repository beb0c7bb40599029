//! The two streams: stdout is data, stderr is talk.

use crate::args::Colour;
use crate::wrapping::wrapped;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use terminal_size::{Width, terminal_size_of};

/// Writes to both streams, with or without colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    quiet: bool,
    /// Whether colour may be used on stdout.
    stdout_colour: bool,
    /// Whether colour may be used on stderr.
    pub(crate) stderr_colour: bool,
    /// Whether stderr is a terminal on which lines may be redrawn.
    pub(crate) live: bool,
    /// Whether GitHub Actions reads what is said.
    annotates: bool,
    /// Whether data is words for a person.
    words: bool,
    /// How wide the terminal is that these go to.
    width: Option<usize>,
}

/// What a piece of text is, where colour can say it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Good,
    Note,
    Warn,
    Bad,
    Strong,
    Faint,
}

impl Printer {
    /// `plain` is whether terminals are given lines and nothing else. Who asks for colour gets it all the same.
    pub(crate) fn new(quiet: bool, colour: Colour, plain: bool, ci: bool) -> Self {
        let wanted = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !plain,
        };
        let terminal = io::stderr().is_terminal();
        Self {
            quiet,
            stdout_colour: wanted(io::stdout().is_terminal()),
            stderr_colour: wanted(terminal),
            live: terminal && !plain && !ci && !quiet,
            annotates: false,
            words: false,
            width: None,
        }
    }

    /// The same for words, which go on below their column where a terminal ends. What goes elsewhere keeps its lines.
    pub(crate) fn wrapping(self) -> Self {
        Self { words: true, width: terminal_width(io::stdout()), ..self }
    }

    /// How wide a line of a message may be, of which this is usual.
    pub(crate) fn message_width(&self, usual: usize) -> usize {
        terminal_width(io::stderr()).map_or(usual, |width| width.min(usual))
    }

    /// The same in a job of GitHub Actions, or not.
    pub(crate) fn annotating(self, annotates: bool) -> Self {
        Self { annotates, ..self }
    }

    /// Commands for the runner of GitHub Actions, if it reads what is said. They are asked for by its variable, so that
    /// `--quiet` does not hold them back.
    pub(crate) fn annotations(&self, commands: &str) {
        if self.annotates && !commands.is_empty() {
            say(commands.trim_end());
        }
    }

    /// Writes data. A reader that went away ends the output, not the command; anything else that prevents it is
    /// remembered ([`Printer::output_error`]), because data that is cut off must not look like success.
    pub(crate) fn data(&self, text: &str) {
        WRITTEN.store(true, Ordering::Relaxed);
        let mut stdout = io::stdout().lock();
        let text = printable(text);
        let text = if self.annotates && self.words { without_commands(&text) } else { text };
        let text = self.width.map_or_else(|| text.clone(), |width| wrapped(&text, width));
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let _ = OUTPUT_ERROR.set(error.to_string());
        }
    }

    /// Whether anything was written as data.
    pub(crate) fn has_written(&self) -> bool {
        WRITTEN.load(Ordering::Relaxed)
    }

    /// Why data could not be written, if that happened.
    pub(crate) fn output_error(&self) -> Option<&'static str> {
        OUTPUT_ERROR.get().map(String::as_str)
    }

    /// Says something about what is going on; silent under `--quiet`.
    pub(crate) fn talk(&self, line: &str) {
        if !self.quiet {
            self.problem(line);
        }
    }

    /// Says something that must be read. To the runner of GitHub Actions, none of its lines is a command.
    pub(crate) fn problem(&self, line: &str) {
        match self.annotates {
            true => say(&without_commands(line)),
            false => say(line),
        }
    }

    pub(crate) fn on_stderr(&self, style: Style, text: &str) -> String {
        paint(self.stderr_colour, style, text)
    }

    pub(crate) fn on_stdout(&self, style: Style, text: &str) -> String {
        paint(self.stdout_colour, style, text)
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// Text in which the runner of GitHub Actions finds no command: it looks for `::` behind the space that a line begins with, and for
/// `##[` anywhere, as `ActionCommand` of its source has it.
fn without_commands(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let line = line.replace("##[", "# #[");
        let rest = line.trim_start();
        match rest.starts_with("::") {
            true => format!("{}| {rest}", &line[..line.len() - rest.len()]),
            false => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same JSON without `##[`, which the runner of GitHub Actions takes for a command anywhere in a line. It can only be inside of a
/// string, where a character may be written by its number.
pub(crate) fn json_without_commands(json: &str) -> String {
    json.replace("##[", "\\u0023#[")
}

/// How wide a stream's terminal is, if it is one that has room for a word.
fn terminal_width(stream: impl AsFd) -> Option<usize> {
    let (Width(width), _) = terminal_size_of(stream)?;
    (width >= 20).then_some(width.into())
}

static WRITTEN: AtomicBool = AtomicBool::new(false);
static OUTPUT_ERROR: OnceLock<String> = OnceLock::new();

/// Text that may hold what a record, a lock or a program said, with nothing in it that would act on a terminal: of all
/// control characters only line feeds, tabs and our own colours are left, and no character that reorders a line.
fn printable(text: &str) -> String {
    let mut parts = text.split(own_escape());
    let mut clean: String = parts.next().unwrap_or_default().chars().map(harmless).collect();
    for part in parts {
        clean.push('\u{1b}');
        clean.extend(part.chars().map(harmless));
    }
    clean
}

fn harmless(c: char) -> char {
    let acts = c.is_control() && c != '\n' && c != '\t';
    let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if acts || reorders { char::REPLACEMENT_CHARACTER } else { c }
}

/// What stands for the escape character of our own colours until a text is printed: another in each process, so that no
/// file can hold it.
fn own_escape() -> &'static str {
    static OWN: OnceLock<String> = OnceLock::new();
    OWN.get_or_init(|| format!("\u{1b}{:016x}", RandomState::new().hash_one(())))
}

/// What a renderer of ours made of text without escape characters: each that is there now is of a colour.
pub(crate) fn with_own_colours(rendered: &str) -> String {
    rendered.replace('\u{1b}', own_escape())
}

/// The same text without what would act on a terminal, with every byte where it was.
pub(crate) fn harmless_in_place(text: &str) -> String {
    let in_place = |c: char| match (c, c.len_utf8()) {
        _ if harmless(c) == c => c,
        ('\r', _) => ' ',
        (_, 1) => '?',
        (_, 2) => '¿',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(in_place).collect()
}

fn paint(colour: bool, style: Style, text: &str) -> String {
    if !colour {
        return text.to_owned();
    }
    let code = match style {
        Style::Good => "32",
        Style::Note => "36",
        Style::Warn => "33",
        Style::Bad => "1;31",
        Style::Strong => "1",
        Style::Faint => "2",
    };
    let escape = own_escape();
    format!("{escape}[{code}m{text}{escape}[0m")
}

#[cfg(test)]
mod tests {
    use super::{
        Style, harmless_in_place, json_without_commands, paint, printable, with_own_colours, without_commands,
    };

    #[test]
    fn no_line_is_a_command_of_github_actions() {
        let text = "why:\n  ::add-mask::a\n::warning::x\na ##[error]b\n a::b";
        assert_eq!(without_commands(text), "why:\n  | ::add-mask::a\n| ::warning::x\na # #[error]b\n a::b");
    }

    #[test]
    fn no_document_holds_a_command_of_github_actions() {
        let value = serde_json::json!({"##[group]": ["a ##[error]b", "\\##[", "###[##[", "# #["]});
        let json = json_without_commands(&value.to_string());
        assert!(!json.contains("##["), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value, "{json}");
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_is_printed() {
        assert_eq!(printable("a\tb\n"), "a\tb\n");
        assert_eq!(printable("\u{1b}[1;31mred\u{1b}[0m"), "\u{fffd}[1;31mred\u{fffd}[0m");
        assert_eq!(printable("\u{1b}]0;title\u{7}"), "\u{fffd}]0;title\u{fffd}");
        assert_eq!(printable("\u{1b}[2J"), "\u{fffd}[2J");
        assert_eq!(printable("\u{202e}txt.exe"), "\u{fffd}txt.exe");
    }

    #[test]
    fn our_own_colours_are_printed() {
        let painted = paint(true, Style::Bad, "a\u{1b}[0mb");
        assert_eq!(printable(&painted), "\u{1b}[1;31ma\u{fffd}[0mb\u{1b}[0m");
        assert_eq!(printable(&with_own_colours("\u{1b}[31mred")), "\u{1b}[31mred");
    }

    #[test]
    fn places_in_a_file_stay_what_they_are() {
        let text = "a\u{1b}[0m\u{9b}\u{202e}b\r\n";
        assert_eq!(harmless_in_place(text), "a?[0m¿\u{fffd}b \n");
        assert_eq!(harmless_in_place(text).len(), text.len());
    }
}
