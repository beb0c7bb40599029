//! The two streams: stdout is data, stderr is talk.

use crate::args::Colour;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;

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
    pub(crate) fn new(quiet: bool, colour: Colour, no_color: bool, ci: bool) -> Self {
        let wanted = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !no_color,
        };
        let terminal = io::stderr().is_terminal();
        Self {
            quiet,
            stdout_colour: wanted(io::stdout().is_terminal()),
            stderr_colour: wanted(terminal),
            live: terminal && !ci && !quiet,
        }
    }

    /// Writes data. A reader that went away ends the output, not the command; anything else that prevents it is
    /// remembered ([`Printer::output_error`]), because data that is cut off must not look like success.
    pub(crate) fn data(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(printable(text).as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let _ = OUTPUT_ERROR.set(error.to_string());
        }
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

    /// Says something that must be read.
    pub(crate) fn problem(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", printable(line));
    }

    pub(crate) fn on_stderr(&self, style: Style, text: &str) -> String {
        paint(self.stderr_colour, style, text)
    }

    pub(crate) fn on_stdout(&self, style: Style, text: &str) -> String {
        paint(self.stdout_colour, style, text)
    }
}

static OUTPUT_ERROR: OnceLock<String> = OnceLock::new();

/// Text that may hold what a record, a lock or a program said, with nothing in it that would act on a terminal: of all
/// control characters only line feeds, tabs and our own colours are left, and no character that reorders a line.
fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = rest.strip_prefix("\u{1b}[").and_then(|tail| {
            let end = tail.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            tail[end..].starts_with('m').then_some(2 + end + 1)
        });
        if let Some(length) = colour {
            clean.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let acts = c.is_control() && c != '\n' && c != '\t';
        let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        clean.push(if acts || reorders { char::REPLACEMENT_CHARACTER } else { c });
        rest = &rest[c.len_utf8()..];
    }
    clean
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
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_that_acts_on_a_terminal_is_printed() {
        assert_eq!(printable("a\tb\n\u{1b}[1;31mred\u{1b}[0m"), "a\tb\n\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(printable("\u{1b}]0;title\u{7}"), "\u{fffd}]0;title\u{fffd}");
        assert_eq!(printable("\u{1b}[2J"), "\u{fffd}[2J");
        assert_eq!(printable("\u{202e}txt.exe"), "\u{fffd}txt.exe");
    }
}
