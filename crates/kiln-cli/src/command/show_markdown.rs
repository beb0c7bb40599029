//! `kiln show --format markdown`: a build as a comment has it.

use super::show_facts::{by_size, facts, read_facts, role};
use crate::transformations;
use kiln_audit::{Known, format_size};
use kiln_publish::NamedBuild;
use kiln_record::{CheckOutcome, Record, counted};
use kiln_report::{Align, Case, Judgement, Markdown, Remark, markdown};

/// Components, and files, that have a row; how many others there are is said.
const ROWS: usize = 100;

/// A build, with its files or without.
pub(crate) fn build(build: &NamedBuild, files: bool) -> Markdown {
    let record = &build.record;
    let mut out = Markdown::default();
    out.heading(&build.label);
    if let Some(absent) = &build.absent {
        out.paragraph(absent);
    }
    let lacks = build.known.lacks();
    match lacks {
        Some(lacks) => out.facts(&read_facts(record, build.known, lacks)),
        None => out.facts(&facts(record)),
    };
    let components = by_size(record);
    out.subheading("Components").table(
        [("component", Align::Left), ("version", Align::Left), ("bytes", Align::Right)],
        components.iter().take(ROWS).map(|component| {
            let version = component.version.clone().unwrap_or_default();
            let size = match build.known {
                Known::Components => "not known".to_owned(),
                Known::Record | Known::Content => format_size(component.bytes),
            };
            [component.id.to_string(), version, size]
        }),
    );
    more(&mut out, components.len(), "components");
    if lacks.is_none() {
        recorded(&mut out, record);
    }
    if files {
        out.subheading("Files").table(
            [("path", Align::Left), ("bytes", Align::Right), ("component", Align::Left)],
            record.files.iter().map(|file| {
                [file.path.to_string(), format_size(file.entry.size()), file.component.to_string()]
            }),
        );
    }
    out
}

/// What only a record tells.
fn recorded(out: &mut Markdown, record: &Record) {
    let changed = record.transformations.iter();
    let changed: Vec<String> = changed
        .map(|rule| transformations::line(rule).unwrap_or_else(|| transformations::idle(rule)))
        .collect();
    if !changed.is_empty() {
        out.subheading("Changed by packing").list(changed);
    }
    if !record.gaps.is_empty() {
        out.subheading("Locked, but not in the artifact").table(
            ["distribution", "version", "why"].map(|name| (name, Align::Left)),
            record
                .gaps
                .iter()
                .map(|gap| [gap.distribution.clone(), gap.version.clone(), gap.cause.to_string()]),
        );
    }
    out.subheading("Inputs").table(
        ["role", "name", "digest"].map(|name| (name, Align::Left)),
        record
            .inputs
            .iter()
            .take(ROWS)
            .map(|input| [role(input), input.name.clone(), input.digest.to_string()]),
    );
    more(out, record.inputs.len(), "inputs");
    out.subheading("Checks").table(
        ["check", "outcome"].map(|name| (name, Align::Left)),
        record.checks.iter().map(|check| {
            let outcome = match &check.outcome {
                CheckOutcome::Ran { subjects, unit } => format!("ran on {}", counted(subjects, unit)),
                CheckOutcome::NotChecked { reason } => format!("not checked: {reason}"),
            };
            [check.name.to_string(), outcome]
        }),
    );
    let findings = Judgement {
        name: "Findings".to_owned(),
        remarks: record.findings.iter().map(Remark::from).collect(),
        cases: Vec::<Case>::new(),
        declared_in: None,
    };
    out.append(&markdown(&[findings]));
}

fn more(out: &mut Markdown, all: usize, what: &str) {
    if all > ROWS {
        out.paragraph(&format!("and {} more {what}, which --format json has", all - ROWS));
    }
}
