//! The first page of a site: all artifacts of a folder, each with a link to its own page.

use super::page;
use super::parts::{Tile, Tone, bytes, counted, mark, not_run, table, tiles, unpacked, verdict};
use super::treemap::{Part, WHOLE, treemap};
use kiln_audit::format_size;
use kiln_record::{Level, Record};
use maud::html;

/// An artifact of the site.
#[derive(Clone, Copy, Debug)]
pub struct SiteEntry<'a> {
    /// How its build is called.
    pub name: &'a str,
    /// Its page, relative to the first one.
    pub page: &'a str,
    /// What is known of it.
    pub record: &'a Record,
}

/// The first page, made by a version of kiln.
#[must_use]
pub fn site_index(kiln: &str, entries: &[SiteEntry<'_>]) -> String {
    let count = |record: &Record, level| record.findings.iter().filter(|one| one.level == level).count();
    let sum = |of: fn(&Record) -> u64| entries.iter().map(|one| of(one.record)).fold(0, u64::saturating_add);
    let warnings: usize = entries.iter().map(|one| count(one.record, Level::Warn)).sum();
    let open: usize = entries.iter().map(|one| not_run(&one.record.checks)).sum();
    let numbers = [
        Tile { name: "Artifacts", value: entries.len().to_string(), more: "a page each".to_owned() },
        Tile { name: "Packed", value: format_size(sum(Record::packed_size)), more: "together".to_owned() },
        Tile { name: "Unpacked", value: format_size(sum(unpacked)), more: "together".to_owned() },
        Tile { name: "Warnings", value: warnings.to_string(), more: "of what is published".to_owned() },
        Tile { name: "Checks not run", value: open.to_string(), more: "each with its reason".to_owned() },
    ];
    let rows = html! {
        @for entry in entries {
            @let (warned, open) = (count(entry.record, Level::Warn), not_run(&entry.record.checks));
            tr {
                th scope="row" { a href=(entry.page) { (entry.name) } }
                td.word { (entry.record.kind.as_str()) }
                td { (entry.record.target.runtime) " on " (entry.record.target.architecture.lambda()) }
                (bytes(entry.record.packed_size()))
                (bytes(unpacked(entry.record)))
                td.number data-value=(entry.record.components.len()) { (entry.record.components.len()) }
                td.number data-value=(warned) {
                    @if warned == 0 { (mark(Tone::Good, "none")) } @else { (mark(Tone::Warn, &warned.to_string())) }
                }
                td.number data-value=(open) { (open) }
            }
        }
    };
    let columns = [
        ("artifact", false),
        ("kind", false),
        ("target", false),
        ("packed", true),
        ("unpacked", true),
        ("components", true),
        ("warnings", true),
        ("checks not run", true),
    ];
    let areas = entries.iter().map(|entry| Part {
        name: entry.name,
        bytes: unpacked(entry.record),
        class: "application",
        leads_to: Some(entry.page.to_owned()),
    });
    let (tone, word) = match warnings + open {
        0 => (Tone::Good, "Nothing to look at"),
        _ => (Tone::Warn, "Published, with things to look at"),
    };
    let said = format!(
        "{}, {}; {} not run, each with its reason.",
        counted(entries.len(), "artifact", "artifacts"),
        counted(warnings, "warning", "warnings"),
        counted(open, "check", "checks"),
    );
    let main = html! {
        (verdict(tone, word, &said))
        (tiles(&numbers))
        section aria-labelledby="artifacts" {
            h2 #artifacts { "Each of them" }
            (table("Artifacts", &columns, &rows))
        }
        section aria-labelledby="size" {
            h2 #size { "Bytes by artifact" }
            figure {
                figcaption { "Unpacked, of images with their bases. Each area leads to its page." }
                (treemap("Unpacked bytes by artifact; the table has the same numbers", areas.collect(), WHOLE, 1.0))
            }
        }
    };
    page(kiln, "Artifacts", "What is published", &main)
}
