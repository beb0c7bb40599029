//! `kiln verify --cross-check`.

use crate::args::Format;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{findings, signals};
use kiln_build::CrossCheck;
use kiln_record::{Exit, Finding, counted, exit};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many paths of one rule are named to a person.
const SHOWN: usize = 3;

pub(crate) fn run(settings: &Settings, build: &str, printer: Printer) -> Result<Exit, Failure> {
    let progress = Progress::new(printer);
    let events = progress.events();
    let (environment, build) = (settings.environment.clone(), build.to_owned());
    let check = signals::run(|engine| {
        Box::pin(async move { kiln_build::cross_check(&environment, &build, &events, engine).await })
    })?;
    drop(progress);
    findings::print(printer, &check.label, &check.findings);
    match settings.format {
        Format::Json => printer.data(&super::document(&Document::new(&check))?),
        _ => printer.data(&text(&check, printer)),
    }
    Ok(if check.findings.is_empty() { exit::SUCCESS } else { exit::FINDINGS_DENIED })
}

fn text(check: &CrossCheck, printer: Printer) -> String {
    let mut by_rule: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, rule) in &check.explained {
        by_rule.entry(rule).or_default().push(path);
    }
    let (style, word) =
        if check.findings.is_empty() { (Style::Good, "same") } else { (Style::Bad, "differs") };
    let mut text = format!(
        "{} {}: {}, installed by the pip of {}; {} equal, {} explained, {} not\n",
        printer.on_stdout(style, word),
        check.label,
        counted(check.distributions, "distributions"),
        check.base,
        counted(check.same, "files"),
        counted(check.explained.len(), "differences"),
        check.findings.len(),
    );
    for (rule, paths) in by_rule {
        let more = paths.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = paths.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("  {rule:<30} {shown}{more}\n"));
    }
    text
}

/// What installing with pip, too, told. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    build: &'a str,
    base: &'a str,
    distributions: usize,
    same: usize,
    explained: Vec<Explained<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Explained<'a> {
    path: &'a str,
    rule: &'a str,
}

impl<'a> Document<'a> {
    fn new(check: &'a CrossCheck) -> Self {
        Self {
            build: &check.label,
            base: &check.base,
            distributions: check.distributions,
            same: check.same,
            explained: check.explained.iter().map(|(path, rule)| Explained { path, rule }).collect(),
            findings: &check.findings,
        }
    }
}
