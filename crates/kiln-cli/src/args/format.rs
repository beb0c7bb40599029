//! The forms of what a command prints, and which command has which.

use clap::ValueEnum;
use clap::builder::{EnumValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use std::ffi::OsStr;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    Human,
    /// For a program: one JSON document, whose keys are only ever added to
    Json,
    /// For a review comment
    Markdown,
    /// For code scanning: SARIF 2.1.0, with file and line
    Sarif,
    /// For CI systems: JUnit XML, with what was not run
    Junit,
    /// For GitHub Actions: annotations beside the code
    Github,
    /// For a browser: one page that loads nothing
    Html,
}

impl Format {
    /// The forms of a command, by its name.
    pub(super) fn of_command(name: &str) -> &'static [Self] {
        use Format::{Github, Html, Human, Json, Junit, Markdown, Sarif};
        match name {
            "diff" => &[Human, Json, Markdown, Sarif, Junit, Github, Html],
            "build" | "verify" | "audit" => &[Human, Json, Markdown, Sarif, Junit, Github],
            "pins" | "explain" | "history" | "show" | "find" | "rebuild" => &[Human, Json, Markdown],
            // The page is all that it gives, so that it need not be asked for.
            "report" => &[Human, Html],
            "new" | "util" => &[Human],
            _ => &[Human, Json],
        }
    }

    /// The name on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
            Self::Github => "github",
            Self::Html => "html",
        }
    }
}

/// Lists the forms that a command has, for its help and for shells. Another form is taken, too: the command refuses it with those
/// that it has as it is called.
#[derive(Clone)]
pub(super) struct Listed(pub(super) &'static [Format]);

impl TypedValueParser for Listed {
    type Value = Format;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Format, clap::Error> {
        let listed = PossibleValuesParser::new(self.0.iter().filter_map(Format::to_possible_value));
        let any = EnumValueParser::<Format>::new().parse_ref(command, argument, value);
        any.map_err(|error| listed.parse_ref(command, argument, value).err().unwrap_or(error))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().filter_map(Format::to_possible_value)))
    }
}
