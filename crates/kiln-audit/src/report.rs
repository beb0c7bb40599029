//! A diff in words: for a terminal, and as Markdown for a review comment.
//!
//! Texts in records come from strangers, so control characters never reach a terminal, and Markdown's own characters
//! never leave their cell.

use crate::anomaly::StepVerdict;
use crate::causes::gap_text;
use crate::compare::{ComponentChange, ComponentChangeKind, Diff, Side, Verdict};
use crate::files::{FileChange, FileChangeKind};
use crate::packaging::Packagings;
use crate::quantity::{binary, delta, exact, signed};
use kiln_record::{Finding, InputRole};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// Files listed one by one; beyond that only their number per kind is told.
const LISTED_FILES: usize = 12;
/// Components listed one by one.
const LISTED_COMPONENTS: usize = 40;

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
                if let Some((before, after)) = &change.relicensed {
                    out.line(&format!("              licence: {} -> {}", plain(before), plain(after)));
                }
            }
            out.more(components.len(), LISTED_COMPONENTS, "components");
        }
        if self.verdict == Verdict::Different {
            out.head("Unpacked bytes");
            out.line(&format!("  {}", self.byte_parts()));
        }
        if !self.files.is_empty() {
            out.head(&format!("Files: {}", self.file_counts()));
            for change in self.listed_files(LISTED_FILES) {
                out.line(&format!("  {}", file(change)));
            }
            out.more(self.files.len(), LISTED_FILES, "files");
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
            out.head("Size against history");
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

    /// The diff as a review comment in GitHub's and GitLab's Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = Lines::default();
        out.line(&format!("### {}: {}", cell(&self.artifacts()), cell(&self.headline())));
        if self.verdict == Verdict::Identical {
            return out.text;
        }
        out.line("");
        let build = |side: &Side, word: &str| side.build.as_deref().map_or_else(|| word.to_owned(), cell);
        let (before, after) = (build(&self.before, "before"), build(&self.after, "after"));
        out.line(&format!("| | {before} | {after} | change |"));
        out.line("|---|---:|---:|---:|");
        for (name, before, after) in [
            ("archive", self.before.archive_size, self.after.archive_size),
            ("unpacked", self.before.unpacked_size, self.after.unpacked_size),
        ] {
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
            for anomaly in &self.anomalies {
                out.line(&format!(
                    "- **{}** ({}): {}",
                    anomaly.level,
                    kebab(anomaly.rule),
                    cell(&anomaly.text)
                ));
            }
        }
        let components = self.shown_components();
        if !components.is_empty() {
            out.line("");
            out.line("| component | change | before | after | bytes | cause |");
            out.line("|---|---|---|---|---:|---|");
            for change in components.iter().take(LISTED_COMPONENTS) {
                let version = |v: &Option<String>| cell(v.as_deref().unwrap_or(""));
                out.line(&format!(
                    "| {} | {} | {} | {} | {} | {} |",
                    cell(&change.name),
                    change.kind.word(),
                    version(&change.before_version),
                    version(&change.after_version),
                    exact(self.bytes_with_parts(change)),
                    cell(&change.cause.text),
                ));
            }
            if components.len() > LISTED_COMPONENTS {
                out.line("");
                out.line(&format!("and {} more components", components.len() - LISTED_COMPONENTS));
            }
            out.line("");
            out.line(&format!("Unpacked bytes: {}", self.byte_parts()));
        }
        let mut details: Vec<String> = Vec::new();
        details.extend(self.input_lines());
        details.extend(self.gap_lines().into_iter().map(|line| format!("left out: {line}")));
        details.extend(self.findings_new.iter().map(|f| format!("new finding: {}", finding(f))));
        details.extend(self.findings_gone.iter().map(|f| format!("finding gone: {}", finding(f))));
        details.extend(
            self.sizes.iter().map(|s| format!("{}: {}; {}", s.measure, s.held_against(), s.spread())),
        );
        details.extend(self.listed_files(LISTED_FILES).map(file));
        if self.files.len() > LISTED_FILES {
            details.push(format!("and {} more files", self.files.len() - LISTED_FILES));
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

    /// The artifact; both, if two are compared.
    fn artifacts(&self) -> String {
        let (before, after) = (&self.before.artifact, &self.after.artifact);
        if before == after { after.to_string() } else { format!("{before} -> {after}") }
    }

    /// What it comes to, in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.verdict {
            Verdict::Identical => format!("identical, {}", digest(&self.after)),
            Verdict::SameContent => match &self.container {
                Some(cause) => format!("same content in another archive ({})", plain(&cause.text)),
                None => "same content in another archive".to_owned(),
            },
            Verdict::Different => {
                let total = delta(self.before.unpacked_size, self.after.unpacked_size);
                let counts: Vec<String> = [
                    ComponentChangeKind::Removed,
                    ComponentChangeKind::Downgraded,
                    ComponentChangeKind::Rebuilt,
                    ComponentChangeKind::Added,
                    ComponentChangeKind::Upgraded,
                    ComponentChangeKind::Replaced,
                    ComponentChangeKind::Changed,
                ]
                .into_iter()
                .map(|kind| (self.shown_components().iter().filter(|c| c.kind == kind).count(), kind))
                .filter(|(count, _)| *count > 0)
                .map(|(count, kind)| match kind {
                    ComponentChangeKind::Changed => "own code changed".to_owned(),
                    kind => format!("{count} {}", kind.word()),
                })
                .collect();
                let counts = if counts.is_empty() { "no component".to_owned() } else { counts.join(", ") };
                format!("different ({counts}; {} unpacked)", signed(total))
            }
        }
    }

    /// Components in order of importance. Libraries inside a component that changes as a whole are part of it.
    #[must_use]
    pub fn shown_components(&self) -> Vec<&ComponentChange> {
        let mut shown: Vec<&ComponentChange> = self
            .components
            .iter()
            .filter(|c| {
                !c.within.as_ref().is_some_and(|outer| self.components.iter().any(|o| o.id == *outer))
            })
            .collect();
        shown.sort_by(|a, b| {
            let size = |c: &ComponentChange| self.bytes_with_parts(c).unsigned_abs();
            (a.kind, size(b), &a.id).cmp(&(b.kind, size(a), &b.id))
        });
        shown
    }

    /// The bytes that came or went with a component, those of libraries inside it included.
    #[must_use]
    pub fn bytes_with_parts(&self, change: &ComponentChange) -> i64 {
        self.components
            .iter()
            .filter(|c| c.id == change.id || c.within.as_ref() == Some(&change.id))
            .fold(0_i64, |sum, c| sum.saturating_add(delta(c.before_bytes, c.after_bytes)))
    }

    /// The files worth a line, most telling first: those of components that stay, then those that come or go as a whole
    /// with theirs; large ones before small ones.
    pub fn listed_files(&self, most: usize) -> impl Iterator<Item = &FileChange> {
        let whole = |file: &FileChange| {
            self.components.iter().any(|c| {
                c.id == file.component
                    && matches!(c.kind, ComponentChangeKind::Removed | ComponentChangeKind::Added)
            })
        };
        let mut listed: Vec<(bool, Reverse<u64>, &FileChange)> =
            self.files.iter().map(|file| (whole(file), Reverse(step(file).unsigned_abs()), file)).collect();
        listed.sort_by(|a, b| (a.0, a.1, &a.2.path).cmp(&(b.0, b.1, &b.2.path)));
        listed.into_iter().take(most).map(|(_, _, file)| file)
    }

    fn byte_parts(&self) -> String {
        let parts: Vec<String> = [
            ("removed", self.bytes.removed),
            ("added", self.bytes.added),
            ("other versions", self.bytes.version_changes),
            ("same version", self.bytes.same_version),
            ("own code", self.bytes.application),
            ("without owner", self.bytes.unowned),
        ]
        .into_iter()
        .filter(|(_, bytes)| *bytes != 0)
        .map(|(name, bytes)| format!("{name} {}", exact(bytes)))
        .collect();
        if parts.is_empty() {
            return "as many as before in every component".to_owned();
        }
        format!("{} = {}", exact(self.bytes.total), parts.join(", "))
    }

    /// How many files differ in which way.
    #[must_use]
    pub fn file_counts(&self) -> String {
        let counts: Vec<String> = [
            (FileChangeKind::Added, "added"),
            (FileChangeKind::Removed, "removed"),
            (FileChangeKind::Content, "changed"),
            (FileChangeKind::Mode, "mode only"),
            (FileChangeKind::Kind, "kind"),
            (FileChangeKind::Moved, "moved"),
        ]
        .into_iter()
        .map(|(kind, word)| (self.files.iter().filter(|f| f.kind == kind).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        counts.join(", ")
    }

    /// Inputs that a person chose. Wheels follow from locks, and are in the JSON form.
    fn input_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .inputs
            .iter()
            .filter(|i| {
                !matches!(
                    i.role,
                    InputRole::Distribution
                        | InputRole::Sdist
                        | InputRole::BuildRequirement
                        | InputRole::Crate
                )
            })
            .map(|input| {
                let what = match (&input.before, &input.after) {
                    (None, _) => "new".to_owned(),
                    (_, None) => "gone".to_owned(),
                    (Some(a), Some(b)) => format!("{} -> {}", short(&a.hex()), short(&b.hex())),
                };
                format!("{} {}: {what}", kebab(input.role), plain(&input.name))
            })
            .collect();
        lines.extend(self.properties.iter().map(|p| {
            let value = |v: &Option<String>| v.as_deref().map_or("none".to_owned(), plain);
            format!("{}: {} -> {}", plain(&p.name), value(&p.before), value(&p.after))
        }));
        lines
    }

    fn gap_lines(&self) -> Vec<String> {
        self.gaps
            .iter()
            .map(|gap| match (&gap.before, &gap.after) {
                (_, Some(now)) => plain(&format!("{} {}: {}", gap.distribution, now.version, gap_text(now))),
                (_, None) => plain(&format!("{}: not left out any more", gap.distribution)),
            })
            .collect()
    }
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn head(&mut self, title: &str) {
        self.line("");
        self.line(title);
    }

    fn more(&mut self, all: usize, listed: usize, what: &str) {
        if all > listed {
            self.line(&format!("  and {} more {what} (--format json lists all)", all - listed));
        }
    }
}

fn side(side: &Side) -> String {
    let build = side.build.as_deref().map_or_else(String::new, |build| format!("{}  ", plain(build)));
    let (packed, unpacked) = (binary(side.archive_size), binary(side.unpacked_size));
    format!("{build}{}  {packed} packed, {unpacked} unpacked", digest(side))
}

fn digest(side: &Side) -> String {
    side.archive.map_or_else(|| "no archive".to_owned(), |d| format!("sha256:{}", short(&d.hex())))
}

/// Enough of a digest to tell two apart on a screen.
fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}

fn title(change: &ComponentChange) -> String {
    let version = match (&change.before_version, &change.after_version) {
        (Some(a), Some(b)) if a != b => format!(" {a} -> {b}"),
        (_, Some(version)) | (Some(version), None) => format!(" {version}"),
        (None, None) => String::new(),
    };
    plain(&format!("{}{version}", change.name))
}

/// The bytes by which an entry grew.
fn step(change: &FileChange) -> i64 {
    let size = |state: &Option<crate::files::FileState>| state.map_or(0, |s| s.size);
    delta(size(&change.before), size(&change.after))
}

fn file(change: &FileChange) -> String {
    let path = plain(change.path.as_str());
    let bytes = signed(step(change));
    let mode = |state: &Option<crate::files::FileState>| {
        state.and_then(|s| s.mode).map_or("link".to_owned(), |m| m.to_string())
    };
    match change.kind {
        FileChangeKind::Added => format!("added    {path} ({bytes})"),
        FileChangeKind::Removed => format!("removed  {path} ({bytes})"),
        FileChangeKind::Content => format!("changed  {path} ({bytes})"),
        FileChangeKind::Mode => {
            format!("mode     {path} ({} -> {})", mode(&change.before), mode(&change.after))
        }
        FileChangeKind::Kind => {
            format!("kind     {path} ({} -> {})", mode(&change.before), mode(&change.after))
        }
        FileChangeKind::Moved => {
            format!(
                "moved    {} -> {path}",
                change.from.as_ref().map_or(String::new(), |f| plain(f.as_str()))
            )
        }
    }
}

fn finding(finding: &Finding) -> String {
    format!("{} {}: {}", finding.level, finding.code, plain(&finding.cause))
}

/// A kebab-case name of a value that serialises as one.
fn kebab(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

/// A text without control characters, direction marks and other format characters that could rewrite a terminal line.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if hidden {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A text that stays in its Markdown table cell and is only text there.
#[must_use]
pub fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // An at sign would mention whoever has that name.
            '@' => out.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_stay_texts() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\u{a}");
        assert_eq!(cell("a|b`<img> @all"), "a\\|b\\`&lt;img&gt; &#64;all");
    }
}
