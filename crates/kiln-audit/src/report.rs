//! A diff in words, for a terminal.

use crate::anomaly::StepVerdict;
use crate::compare::{Diff, Verdict};
use crate::packaging::Packagings;
use crate::quantity::signed;
use crate::report_parts::{LISTED_COMPONENTS, LISTED_FILES, Lines, plain, side, title};
use crate::report_parts::{component_notes, file, file_difference, finding, kebab};

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
            for anomaly in &self.anomalies {
                out.line(&format!(
                    "  {:<4}  {}: {}",
                    anomaly.level.to_string(),
                    kebab(anomaly.rule),
                    plain(&anomaly.text)
                ));
            }
        }
        let components = self.shown_components();
        if !components.is_empty() {
            out.head("Components");
            let name = components.iter().map(|c| title(c).chars().count()).max().unwrap_or(0).min(48);
            for change in components.iter().take(LISTED_COMPONENTS) {
                out.line(&format!(
                    "  {:<10}  {:<name$}  {:>11}  {}",
                    change.kind.word(),
                    title(change),
                    signed(self.bytes_with_parts(change)),
                    plain(&change.cause.text),
                ));
                component_notes(change).iter().for_each(|note| out.line(&format!("              {note}")));
            }
            out.more(components.len(), LISTED_COMPONENTS, "components");
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
            for change in self.listed_files(LISTED_FILES) {
                out.line(&format!("  {}", file(change)));
                file_difference(change).iter().for_each(|line| out.line(&format!("           {line}")));
            }
            out.more(self.files.len(), LISTED_FILES, "files");
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
