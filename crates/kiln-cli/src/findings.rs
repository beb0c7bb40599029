//! Findings, as a person reads them: one block each, the way out last.

use crate::printer::{Printer, Style};
use kiln_record::{Finding, Level};

/// Prints findings to stderr, the most important last, where the eye is when the command ends.
pub(crate) fn print(printer: Printer, artifact: &str, findings: &[Finding]) {
    for finding in findings.iter().rev() {
        if finding.level == Level::Note {
            printer.talk(&line(printer, artifact, finding));
        } else {
            printer.problem(&block(printer, artifact, finding));
        }
    }
}

fn head(printer: Printer, artifact: &str, finding: &Finding) -> String {
    let style = match finding.level {
        Level::Deny => Style::Bad,
        Level::Warn => Style::Warn,
        Level::Note => Style::Note,
    };
    let level = printer.on_stderr(style, &format!("{}[{}]", finding.level, finding.code));
    format!("{level} {}: {}", printer.on_stderr(Style::Strong, artifact), finding.subject)
}

/// A note needs no more than its sentence.
fn line(printer: Printer, artifact: &str, finding: &Finding) -> String {
    format!("{}: {}", head(printer, artifact, finding), finding.cause)
}

fn block(printer: Printer, artifact: &str, finding: &Finding) -> String {
    let mut text = format!("{}\n  {}", head(printer, artifact, finding), finding.cause);
    for detail in &finding.detail {
        text.push_str(&format!("\n    {detail}"));
    }
    for remedy in &finding.remedy {
        text.push_str(&format!("\n  {} {remedy}", printer.on_stderr(Style::Good, "→")));
    }
    text
}
