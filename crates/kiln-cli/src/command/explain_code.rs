//! `kiln explain CODE`: what a finding or an exit code means, from the pages that are compiled in.

use crate::args::Format;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use kiln_record::{Exit, exit};
use kiln_report::{is_rule, rule};
use serde::Serialize;

/// Where both are explained in full.
const PAGE: &str = "docs/findings.md";

/// What a code means. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document {
    /// The code of a finding, or the number of an exit code.
    code: String,
    /// The usual level of a finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    /// The name of an exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    meaning: String,
    /// What usually helps.
    #[serde(skip_serializing_if = "String::is_empty")]
    way_out: String,
    /// The page of the documentation.
    page: &'static str,
}

/// What a text means, if it is a code: that of a finding, or the number or name of an exit code.
pub(crate) fn of(text: &str) -> Option<Document> {
    if is_rule(text) {
        let rule = rule(text);
        return Some(Document {
            code: text.to_owned(),
            level: Some(rule.level.to_string()),
            name: None,
            meaning: rule.meaning,
            way_out: rule.way_out,
            page: PAGE,
        });
    }
    let code = exit::ALL.iter().find(|code| code.number().to_string() == text || code.name() == text)?;
    Some(Document {
        code: code.number().to_string(),
        level: None,
        name: Some(code.name()),
        meaning: code.meaning().to_owned(),
        way_out: String::new(),
        page: PAGE,
    })
}

pub(crate) fn run(document: &Document, format: Format, printer: Printer) -> Result<Exit, Failure> {
    let Document { code, level, name, meaning, way_out, page } = document;
    let what = match (level, name) {
        (Some(level), _) => format!("usually {level}"),
        (None, name) => format!("exit code {}", name.unwrap_or_default()),
    };
    let way_out = if way_out.is_empty() { String::new() } else { format!("\n→ {way_out}\n") };
    match format {
        Format::Json => printer.data(&super::document(document)?),
        Format::Markdown => printer.data(&format!("**`{code}`** ({what}): {meaning}\n{way_out}")),
        _ => printer.data(&format!(
            "{} ({what})\n\n{meaning}\n{way_out}\nmore: {page}\n",
            printer.on_stdout(Style::Strong, code)
        )),
    }
    Ok(exit::SUCCESS)
}
