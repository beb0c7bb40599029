//! `kiln diff`.

use super::history::samples;
use crate::args::{Diff as Arguments, Format, VERSION};
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_audit::{Diff, FailOn, Side, compare};
use kiln_record::{Exit, Level, exit};
use kiln_report::{Case, Comparison, Judgement, Markdown, Remark, diff_page, github_annotations};
use std::slice;

pub(crate) fn run(settings: &Settings, command: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    let before = super::named(settings, &command.before)?;
    let after = super::named(settings, &command.after)?;
    let samples = samples(settings, &before)?;
    let mut diff = compare(&before.record, &after.record, &samples);
    (diff.before.build, diff.after.build) = (Some(before.label), Some(after.label));
    let (before, after, history) = (&before.record, &after.record, &samples[..]);
    let exceeded = diff.exceeds(&command.fail_on);
    let judgement = judgement(&diff, &command.fail_on, &exceeded);
    match settings.format {
        Format::Human => printer.data(&diff.to_text()),
        Format::Markdown => printer.data(&diff.to_markdown()),
        Format::Json => printer.data(&super::document(&diff)?),
        Format::Html => {
            printer.data(&diff_page(VERSION, Comparison { diff: &diff, before, after, history }));
        }
        format => printer.data(&forms::judged(format, slice::from_ref(&judgement), Markdown::default)?),
    }
    if settings.format != Format::Github {
        printer.annotations(&github_annotations(&[judgement]));
    }
    if exceeded.is_empty() {
        return Ok(exit::SUCCESS);
    }
    let names: Vec<String> = exceeded.iter().map(ToString::to_string).collect();
    printer.problem(&format!("{}: --fail-on {}", printer.on_stderr(Style::Bad, "denied"), names.join(", ")));
    Ok(exit::DIFFERENCE_DENIED)
}

/// What a comparison says that somebody has to deal with: what it was to be denied for, what is unusual, and findings
/// that were not there before.
fn judgement(diff: &Diff, reasons: &[FailOn], exceeded: &[FailOn]) -> Judgement {
    let name = |side: &Side| side.build.clone().unwrap_or_else(|| side.artifact.to_string());
    let denied = exceeded.iter().map(|reason| {
        Remark::new("diff-denied", Level::Deny, reason.to_string(), format!("--fail-on {reason} holds"))
    });
    let unusual = diff.anomalies.iter().map(Remark::from);
    Judgement {
        name: format!("{} -> {}", name(&diff.before), name(&diff.after)),
        declared_in: None,
        cases: reasons
            .iter()
            .filter(|reason| !exceeded.contains(reason))
            .map(|reason| Case::ran(format!("fail-on {reason}")))
            .collect(),
        remarks: denied.chain(unusual).chain(diff.findings_new.iter().map(Remark::from)).collect(),
    }
}
