//! Pieces that pages are put together from.

use crate::judgement::Remark;
use kiln_audit::{format_change, format_size};
use kiln_record::{Check, CheckOutcome, Finding, Gap, Level, Record};
use maud::{Markup, html};

/// Rows of a table that may be long; how many others there are is said below it.
pub(super) const ROWS: usize = 1_000;

/// What stands for a number that there is no record of.
pub(super) const NOT_KNOWN: &str = "not known";

/// How something is to be taken: a class of the style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warn,
    Bad,
    Plain,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }

    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::Deny => Self::Bad,
            Level::Warn => Self::Warn,
            Level::Note => Self::Plain,
        }
    }
}

/// What the page comes to, in a word and a sentence.
pub(super) fn verdict(tone: Tone, word: &str, sentence: &str) -> Markup {
    html! { div.verdict.(tone.class()) { strong { (word) } span { (sentence) } } }
}

/// A word in the colour of how it is to be taken.
pub(super) fn mark(tone: Tone, word: &str) -> Markup {
    html! { span.mark.(tone.class()) { (word) } }
}

/// A number that is looked for first: its name, its value, and what belongs to it.
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) more: String,
}

pub(super) fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        ul.tiles {
            @for tile in tiles {
                li {
                    span.name { (tile.name) }
                    span.value { (tile.value) }
                    span.more { (tile.more) }
                }
            }
        }
    }
}

/// The head of a table: names of columns, and whether numbers are in them.
pub(super) fn head(columns: &[(&str, bool)]) -> Markup {
    html! {
        thead { tr { @for (name, numbers) in columns {
            @if *numbers { th.number scope="col" { (name) } } @else { th scope="col" { (name) } }
        } } }
    }
}

/// Where something of a page stands: which of its parts it is of, how deep its headings are, and how long its tables may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the part: what has an id ends with it.
    pub(super) part: usize,
    /// The level of the headings of sections.
    pub(super) level: u8,
    /// Rows that a table may have.
    pub(super) rows: usize,
}

impl Place {
    /// The only part of a page.
    pub(super) const ALONE: Self = Self { part: 0, level: 2, rows: ROWS };

    /// One of several parts, each below a heading of its own. Together they have about as many rows as one alone.
    pub(super) fn one_of(parts: usize, part: usize) -> Self {
        if parts < 2 {
            Self { part, ..Self::ALONE }
        } else {
            Self { part, level: 3, rows: (ROWS / parts).max(50) }
        }
    }

    /// The id of a section.
    pub(super) fn id(self, section: &str) -> String {
        format!("{section}-{}", self.part)
    }

    /// The id of a row of the table that maps lead to.
    pub(super) fn row(self, row: usize) -> String {
        format!("c{}-{row}", self.part)
    }

    /// A section with its heading, which it is labelled by.
    pub(super) fn section(self, name: &str, title: &str, content: &Markup) -> Markup {
        let id = self.id(name);
        html! {
            section aria-labelledby=(id) {
                @if self.level == 2 { h2 id=(id) { (title) } } @else { h3 id=(id) { (title) } }
                (content)
            }
        }
    }

    /// The heading of something within a section.
    pub(super) fn subheading(self, title: &str) -> Markup {
        html! { @if self.level == 2 { h3 { (title) } } @else { h4 { (title) } } }
    }

    /// Links to sections, each an id's beginning and its title.
    pub(super) fn links(self, sections: &[(&str, &str)]) -> Markup {
        html! {
            nav.sections aria-label=(if self.level == 2 { "Sections".to_owned() } else { format!("Sections of part {}", self.part + 1) }) {
                @for (name, title) in sections { a href={ "#" (self.id(name)) } { (title) } }
            }
        }
    }
}

/// A table that can be sorted and filtered.
pub(super) fn table(caption: &str, columns: &[(&str, bool)], rows: &Markup) -> Markup {
    html! { div.scroll { table.sortable aria-label=(caption) { (head(columns)) tbody { (rows) } } } }
}

/// A cell with bytes.
pub(super) fn bytes(bytes: u64) -> Markup {
    html! { td.number data-value=(bytes) { (format_size(bytes)) } }
}

/// A cell with a change of bytes.
pub(super) fn change(delta: i64) -> Markup {
    html! { td.number data-value=(delta) { (format_change(delta)) } }
}

/// What a table of some rows leaves out.
pub(super) fn left_out(all: usize, rows: usize, what: &str, where_all_are: &str) -> Markup {
    html! { @if all > rows { p.faint { "and " (all - rows) " more " (what) ", which " code { (where_all_are) } " lists" } } }
}

/// What the colours of a map mean, each a class of the style and its meaning.
pub(super) fn legend(colours: &[(&str, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (class, name) in colours {
                li { svg viewBox="0 0 10 10" aria-hidden="true" { rect.(class) x="0" y="0" width="10" height="10" {} } (name) }
            }
        }
    }
}

/// Findings, each with what to do.
pub(super) fn findings(findings: &[Finding]) -> Markup {
    html! {
        ul.plain {
            @for finding in findings {
                @let remark = Remark::from(finding);
                li {
                    (mark(Tone::of(finding.level), &finding.level.to_string())) " "
                    strong { (remark.rule) } " " (remark.subject)
                    @if let Some(place) = &remark.place { " " span.code.faint { (place) } }
                    div { (remark.text) }
                    @if !remark.detail.is_empty() || !remark.remedy.is_empty() {
                        details {
                            summary { "details and what to do" }
                            ul {
                                @for line in &remark.detail { li { (line) } }
                                @for line in &remark.remedy { li { "→ " (line) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Checks that were run and that were not; those that were not come first.
pub(super) fn checks(checks: &[Check]) -> Markup {
    let (open, ran): (Vec<&Check>, Vec<&Check>) =
        checks.iter().partition(|check| matches!(check.outcome, CheckOutcome::NotChecked { .. }));
    let rows = html! {
        @for check in open.into_iter().chain(ran) {
            tr {
                th scope="row" { (check.name.as_str()) }
                @match &check.outcome {
                    CheckOutcome::Ran { subjects, unit } => {
                        td { (mark(Tone::Good, "run")) }
                        td { "on " (subjects) " " (unit) }
                    }
                    CheckOutcome::NotChecked { reason } => {
                        td { (mark(Tone::Warn, "not run")) }
                        td { (reason) }
                    }
                }
            }
        }
    };
    html! {
        @if checks.is_empty() { p { "The record has no check." } }
        @else { (table("Checks", &[("check", false), ("state", false), ("on what, or why not", false)], &rows)) }
    }
}

/// What is not known where something was read that has no record.
pub(super) fn not_known() -> Markup {
    html! { p { "Not known: there is no record that could tell." } }
}

/// How many of the checks were not run.
pub(super) fn not_run(checks: &[Check]) -> usize {
    checks.iter().filter(|check| matches!(check.outcome, CheckOutcome::NotChecked { .. })).count()
}

/// Locked distributions that are not there, each with why.
pub(super) fn gaps(gaps: &[Gap]) -> Markup {
    let rows = html! {
        @for gap in gaps {
            tr { th scope="row" { (gap.distribution) } td { (gap.version) } td { (gap.cause) } }
        }
    };
    table("Left out", &[("distribution", false), ("version", false), ("why", false)], &rows)
}

/// Bytes that a build unpacks to; of an image with those of its base, as it is packed with them.
pub(super) fn unpacked(record: &Record) -> u64 {
    record.image.as_ref().map_or(record.unpacked_size, |image| image.unpacked_size)
}

/// A count with its noun.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
