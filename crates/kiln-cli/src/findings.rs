//! Findings, as a person reads them: one block for each thing to do, the way out last.

use crate::printer::{Printer, Style};
use kiln_record::{Finding, Level};

/// How many findings of a group are told in full.
const TOLD: usize = 3;
/// How many of the others are named. All of them are in `--format json`.
const NAMED: usize = 20;

/// Prints findings to stderr, the most important last, where the eye is when the command ends.
pub(crate) fn print(printer: Printer, artifact: &str, findings: &[Finding]) {
    for group in groups(findings).iter().rev() {
        if group[0].level == Level::Note {
            group.iter().for_each(|finding| printer.talk(&line(printer, artifact, finding)));
        } else {
            printer.problem(&block(printer, artifact, group));
        }
    }
}

/// Findings of one code that have the same ways out are one thing to do: a lock made for another Python gives a finding
/// for each of its lines, and they would push everything else off the screen.
fn groups(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        let same = |group: &&mut Vec<&Finding>| {
            (group[0].level, group[0].code, &group[0].remedy)
                == (finding.level, finding.code, &finding.remedy)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn head(printer: Printer, artifact: &str, finding: &Finding, others: usize) -> String {
    let style = match finding.level {
        Level::Deny => Style::Bad,
        Level::Warn => Style::Warn,
        Level::Note => Style::Note,
    };
    let level = printer.on_stderr(style, &format!("{}[{}]", finding.level, finding.code));
    let others = if others == 0 { String::new() } else { format!(" and {others} more") };
    format!("{level} {}: {}{others}", printer.on_stderr(Style::Strong, artifact), finding.subject)
}

/// A note needs no more than its sentence.
fn line(printer: Printer, artifact: &str, finding: &Finding) -> String {
    format!("{}: {}", head(printer, artifact, finding, 0), finding.cause)
}

fn block(printer: Printer, artifact: &str, group: &[&Finding]) -> String {
    let (told, rest) = group.split_at(group.len().min(TOLD));
    let mut text = head(printer, artifact, group[0], group.len() - 1);
    for (index, finding) in told.iter().enumerate() {
        let subject = if index == 0 || finding.cause.contains(&finding.subject) {
            String::new()
        } else {
            format!("{}: ", finding.subject)
        };
        text.push_str(&format!("\n  {subject}{}", finding.cause));
        // What every finding of the group adds is said once.
        let said = told[..index].iter().any(|before| before.detail == finding.detail);
        for detail in finding.detail.iter().filter(|_| !said) {
            text.push_str(&format!("\n    {detail}"));
        }
    }
    if !rest.is_empty() {
        let names: Vec<&str> = rest.iter().take(NAMED).map(|finding| finding.subject.as_str()).collect();
        text.push_str(&format!("\n  the same holds for {}", names.join(", ")));
        if rest.len() > NAMED {
            text.push_str(&format!(" and {} more, which --format json lists", rest.len() - NAMED));
        }
    }
    for remedy in &group[0].remedy {
        text.push_str(&format!("\n  {} {remedy}", printer.on_stderr(Style::Good, "→")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Colour;
    use kiln_record::Code;

    fn printer() -> Printer {
        Printer::new(false, Colour::Never, true, true)
    }

    fn finding(subject: &str, remedy: &str) -> Finding {
        Finding::new(Code::WrongMachine, subject, format!("`{subject}` is for aarch64"))
            .detail("as its header says")
            .remedy(remedy)
    }

    #[test]
    fn findings_with_the_same_way_out_are_one_block() {
        let mut findings: Vec<Finding> =
            (0..30).map(|n| finding(&format!("f{n}.so"), "lock again")).collect();
        findings.insert(1, finding("other.so", "compile it again"));
        let groups = groups(&findings);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [30, 1]);
        let text = block(printer(), "app", &groups[0]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "deny[wrong-machine] app: f0.so and 29 more");
        assert_eq!(
            lines[1..5],
            [
                "  `f0.so` is for aarch64",
                "    as its header says",
                "  `f1.so` is for aarch64",
                "  `f2.so` is for aarch64"
            ]
        );
        assert!(
            lines[5].starts_with("  the same holds for f3.so, f4.so, ")
                && lines[5].ends_with("f22.so and 7 more, which --format json lists"),
            "{text}"
        );
        assert_eq!(lines[6..], ["  → lock again"]);
    }

    #[test]
    fn a_finding_alone_is_told_with_everything() {
        let text = block(printer(), "app", &[&finding("a.so", "lock again")]);
        assert_eq!(
            text,
            "deny[wrong-machine] app: a.so\n  `a.so` is for aarch64\n    as its header says\n  → lock again"
        );
    }
}
