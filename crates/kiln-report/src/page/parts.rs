//! Pieces that pages are put together from.

use crate::judgement::Remark;
use kiln_audit::{format_change, format_size};
use kiln_record::{Check, CheckOutcome, Finding, Gap, Level};
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

/// What a table leaves out.
pub(super) fn left_out(all: usize, what: &str, where_all_are: &str) -> Markup {
    html! { @if all > ROWS { p.faint { "and " (all - ROWS) " more " (what) ", which " code { (where_all_are) } " lists" } } }
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

/// A count with its noun.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The id of the element of a row, by the number of its page's part and its own.
pub(super) fn row_id(part: usize, row: usize) -> String {
    format!("c{part}-{row}")
}
