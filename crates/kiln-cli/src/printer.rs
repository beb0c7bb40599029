//! The two streams: stdout is data, stderr is talk.

use crate::args::Colour;
use std::io::{self, IsTerminal as _, Write as _};

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

    /// Writes data. A reader that went away ends the output, not the command.
    pub(crate) fn data(&self, text: &str) {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// Says something about what is going on; silent under `--quiet`.
    pub(crate) fn talk(&self, line: &str) {
        if !self.quiet {
            self.problem(line);
        }
    }

    /// Says something that must be read.
    pub(crate) fn problem(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    pub(crate) fn on_stderr(&self, style: Style, text: &str) -> String {
        paint(self.stderr_colour, style, text)
    }

    pub(crate) fn on_stdout(&self, style: Style, text: &str) -> String {
        paint(self.stdout_colour, style, text)
    }
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
