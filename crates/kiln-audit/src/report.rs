//! A diff in words, for a terminal.

use crate::anomaly::StepVerdict;
use crate::compare::{Diff, Verdict};
use crate::packaging::Packagings;
use crate::quantity::signed;
use crate::report_parts::{LISTED_COMPONENTS, LISTED_FILES, Lines, plain, side};
use crate::report_parts::{components, files, finding, kebab};

impl Diff {
    /// The diff for people: no colour, most important first, one screen in the usual case.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Lines::default();
        out.line(&format!("{}: {}", self.artifacts(), self.headline()));
        if self.verdict != Verdict::Identical {
            out.line(&format!("  before  {}", side(&self.before)));
            out.line(&format!("  after   {}", side(&self.after)));
        }
        if !self.not_compared.is_empty() {
            out.head("Not compared");
            self.not_compared.iter().for_each(|line| out.line(&format!("  {}", plain(line))));
        }
        let packagings = self.packagings.as_ref().map(Packagings::lines).unwrap_or_default();
        if !packagings.is_empty() {
            out.head("Packagings");
            packagings.iter().for_each(|line| out.line(&format!("  {line}")));
        }
        if !self.anomalies.is_empty() {
            out.head("Look at");
            for one in self.attention() {
                out.line(&format!(
                    "  {:<4}  {}: {}",
                    one.level.to_string(),
                    kebab(one.rule),
                    plain(&one.text)
                ));
            }
        }
        let rows = self.component_rows();
        if !rows.is_empty() {
            out.head("Components");
            let listed = &rows[..rows.len().min(LISTED_COMPONENTS)];
            let name = listed.iter().map(|row| components(row).0.chars().count()).max().unwrap_or(0).min(48);
            for row in listed {
                let Some(first) = row.first() else { continue };
                let (title, notes) = components(row);
                out.line(&format!(
                    "  {:<10}  {title:<name$}  {:>11}  {}",
                    first.kind.word(),
                    signed(self.bytes_of(row)),
                    plain(&first.cause.text),
                ));
                notes.iter().for_each(|note| out.line(&format!("              {note}")));
            }
            let count = |rows: &[Vec<_>]| rows.iter().map(Vec::len).sum();
            out.more(count(&rows), count(listed), "components");
        }
        let container = self.container_lines();
        if !container.is_empty() {
            out.head("Archive");
            container.iter().for_each(|line| out.line(&format!("  {line}")));
        }
        if self.verdict == Verdict::Different && !self.lists_components_only() {
            out.head("Unpacked bytes");
            out.line(&format!("  {}", self.byte_parts()));
        }
        if !self.files.is_empty() {
            out.head(&format!("Files: {}", self.file_counts()));
            let rows = self.file_rows();
            let listed = &rows[..rows.len().min(LISTED_FILES)];
            for row in listed {
                let (line, differences) = files(row);
                out.line(&format!("  {line}"));
                differences.iter().for_each(|line| out.line(&format!("           {line}")));
            }
            out.more(self.files.len(), listed.iter().map(Vec::len).sum(), "files");
        }
        let security = self.security_lines();
        if !security.is_empty() {
            out.head("What it may do, and what was checked");
            security.iter().for_each(|line| out.line(&format!("  {line}")));
        }
        let inputs = self.input_lines();
        if !inputs.is_empty() {
            out.head("Inputs that differ");
            inputs.iter().for_each(|line| out.line(&format!("  {line}")));
        }
        let gaps = self.gap_lines();
        if !gaps.is_empty() {
            out.head("Left out");
            gaps.iter().for_each(|line| out.line(&format!("  {line}")));
        }
        for (title, findings) in
            [("New findings", &self.findings_new), ("Findings gone", &self.findings_gone)]
        {
            if !findings.is_empty() {
                out.head(title);
                findings.iter().for_each(|f| out.line(&format!("  {}", finding(f))));
            }
        }
        if self.verdict == Verdict::Different && !self.sizes.is_empty() {
            match &self.size_history {
                Some(source) => out.head(&format!("Size against history, from {}", plain(source))),
                None => out.head("Size against history"),
            }
            for step in &self.sizes {
                let verdict = match step.verdict {
                    StepVerdict::NoHistory => "no history",
                    StepVerdict::Usual => "usual",
                    StepVerdict::Notice => "notice",
                    StepVerdict::Warning => "unusual",
                };
                let measure = step.measure.to_string();
                out.line(&format!("  {measure:<14}  {verdict:<10}  {}", step.held_against()));
                out.line(&format!("  {:<14}  {:<10}  {}", "", "", step.spread()));
            }
        }
        out.text
    }
}
