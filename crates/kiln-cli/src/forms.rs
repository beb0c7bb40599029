//! What a command found out, in the form that was asked for.

use crate::args::{Format, VERSION};
use crate::failure::Failure;
use crate::printer::json_without_commands;
use kiln_report::{Judgement, Markdown, github_annotations, junit, markdown, sarif};

/// Judgements in one of the forms that have findings alone; in Markdown below what the command shows as a table.
pub(crate) fn judged(
    format: Format,
    judgements: &[Judgement],
    table: impl FnOnce() -> Markdown,
) -> Result<String, Failure> {
    match format {
        Format::Sarif => {
            let text = sarif(VERSION, judgements).map_err(|error| Failure::unexpected(error.to_string()))?;
            Ok(json_without_commands(&text))
        }
        Format::Junit => Ok(junit(judgements)),
        Format::Github => Ok(github_annotations(judgements)),
        Format::Markdown => {
            let (table, rest) = (table(), markdown(judgements));
            let between = if rest.is_empty() { "" } else { "\n" };
            Ok(format!("{}{between}{rest}", table.text()))
        }
        Format::Human | Format::Json | Format::Html => {
            Err(Failure::unexpected(format!("`{}` is no form of judgements", format.as_str())))
        }
    }
}
