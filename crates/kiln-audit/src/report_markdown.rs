//! A diff as Markdown, for a review comment.

use crate::compare::{Diff, Side, Verdict};
use crate::quantity::{binary, delta, exact};
use crate::report_parts::{LISTED_COMPONENTS, LISTED_FILES, Lines, cell, components, files, finding, kebab};
use kiln_record::counted;

impl Diff {
    /// The diff as a review comment in GitHub's and GitLab's Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = Lines::default();
        out.line(&format!("### {}: {}", cell(&self.artifacts()), cell(&self.headline())));
        // Equal bytes may still be on another base, have come from elsewhere, under another licence, or with fewer checks.
        if self.verdict == Verdict::Identical && self.has_nothing_else() {
            return out.text;
        }
        out.line("");
        for line in &self.not_compared {
            out.line(&format!("- **not compared**: {}", cell(line)));
        }
        if !self.not_compared.is_empty() {
            out.line("");
        }
        let build = |side: &Side, word: &str| side.build.as_deref().map_or_else(|| word.to_owned(), cell);
        let (before, after) = (build(&self.before, "before"), build(&self.after, "after"));
        out.line(&format!("| | {before} | {after} | change |"));
        out.line("|---|---:|---:|---:|");
        let sizes = [
            ("archive", self.before.archive_size, self.after.archive_size),
            ("unpacked", self.before.unpacked_size, self.after.unpacked_size),
        ];
        for (name, before, after) in sizes.into_iter().filter(|_| !self.lists_components_only()) {
            out.line(&format!(
                "| {name} | {} | {} | {} |",
                binary(before),
                binary(after),
                exact(delta(before, after))
            ));
        }
        if let Some(packagings) = &self.packagings {
            out.line("");
            out.line(&format!("| | {} | {} |", packagings.before.kind, packagings.after.kind));
            out.line("|---|---|---|");
            for [what, before, after] in packagings.rows() {
                out.line(&format!("| {} | {} | {} |", cell(&what), cell(&before), cell(&after)));
            }
        }
        if !self.anomalies.is_empty() {
            out.line("");
            for one in self.attention() {
                out.line(&format!("- **{}** ({}): {}", one.level, kebab(one.rule), cell(&one.text)));
            }
        }
        let rows = self.component_rows();
        if !rows.is_empty() {
            out.line("");
            out.line("| component | change | before | after | bytes | cause |");
            out.line("|---|---|---|---|---:|---|");
            let listed = &rows[..rows.len().min(LISTED_COMPONENTS)];
            for row in listed {
                let Some(first) = row.first() else { continue };
                let (title, notes) = components(row);
                let (name, version): (&str, fn(&Option<String>) -> String) = match row.len() {
                    1 => (&first.name, |version| cell(version.as_deref().unwrap_or(""))),
                    _ => (&title, |_| String::new()),
                };
                out.line(&format!(
                    "| {} | {} | {} | {} | {} | {} |",
                    cell(name),
                    first.kind.word(),
                    version(&first.before_version),
                    version(&first.after_version),
                    exact(self.bytes_of(row)),
                    cell(&[vec![first.cause.text.clone()], notes].concat().join("; ")),
                ));
            }
            let count = |rows: &[Vec<_>]| -> usize { rows.iter().map(Vec::len).sum() };
            if rows.len() > listed.len() {
                out.line("");
                out.line(&format!("and {}", counted(count(&rows) - count(listed), "more components")));
            }
            if !self.lists_components_only() {
                out.line("");
                out.line(&format!("Unpacked bytes: {}", self.byte_parts()));
            }
        }
        let container = self.container_lines();
        if !container.is_empty() {
            out.line("");
            container.iter().for_each(|line| out.line(&format!("- archive, {}", cell(line))));
        }
        let security = self.security_lines();
        if !security.is_empty() {
            out.line("");
            security.iter().for_each(|line| out.line(&format!("- {}", cell(line))));
        }
        let mut details: Vec<String> = Vec::new();
        details.extend(self.input_lines());
        details.extend(self.gap_lines().into_iter().map(|line| format!("left out: {line}")));
        details.extend(self.findings_new.iter().map(|f| format!("new finding: {}", finding(f))));
        details.extend(self.findings_gone.iter().map(|f| format!("finding gone: {}", finding(f))));
        if self.verdict == Verdict::Different {
            details.extend(
                self.sizes.iter().map(|s| format!("{}: {}; {}", s.measure, s.held_against(), s.spread())),
            );
            details.extend(self.size_history.iter().map(|source| format!("history of sizes from {source}")));
        }
        let rows = self.file_rows();
        let listed = &rows[..rows.len().min(LISTED_FILES)];
        details.extend(listed.iter().map(|row| {
            let (line, differences) = files(row);
            [vec![line], differences].concat().join("; ")
        }));
        let more = self.files.len() - listed.iter().map(Vec::len).sum::<usize>();
        if more > 0 {
            details.push(format!("and {}", counted(more, "more files")));
        }
        if !details.is_empty() {
            let summary = if self.files.is_empty() {
                "inputs and numbers".to_owned()
            } else {
                format!("inputs, numbers and files: {}", self.file_counts())
            };
            out.line("");
            out.line(&format!("<details><summary>{summary}</summary>"));
            out.line("");
            details.iter().for_each(|line| out.line(&format!("- {}", cell(line))));
            out.line("");
            out.line("</details>");
        }
        out.text
    }
}
