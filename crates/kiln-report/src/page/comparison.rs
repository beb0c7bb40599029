//! What changed between two builds: what a release is decided by in ten seconds, and then everything.

use super::dependencies::Dependencies;
use super::parts::{
    NOT_KNOWN, ROWS, Tile, Tone, bytes, change, checks, counted, findings, left_out, mark, not_known,
    not_run, row_id, table, tiles, verdict,
};
use super::treemap::{HALF, Part, treemap};
use super::{chart, page};
use crate::word::word;
use kiln_audit::{
    CauseKind, ComponentChange, ComponentChangeKind, Diff, FileChangeKind, FileState, Known, Rule, Sample,
    Side, Verdict, component_notes, file_difference, format_change, format_size,
};
use kiln_record::{ComponentId, Ecosystem, Record};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Two builds and what differs.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// What differs.
    pub diff: &'a Diff,
    /// What is known of the build before.
    pub before: &'a Record,
    /// What is known of the build after.
    pub after: &'a Record,
    /// The builds up to the one before, oldest first, as far as they are known.
    pub history: &'a [Sample],
}

/// The page on two builds, made by a version of kiln.
#[must_use]
pub fn diff_page(kiln: &str, comparison: Comparison<'_>) -> String {
    let Comparison { diff, before, after, history } = comparison;
    let shown = diff.shown_components();
    let (tone, word, sentence) = judged(diff);
    let newest = Sample { number: 0, archive: diff.after.archive_size, unpacked: diff.after.unpacked_size };
    let is_known = is_known(diff);
    let main = html! {
        (verdict(tone, word, &sentence))
        (tiles(&numbers(diff, after, &shown)))
        nav.sections aria-label="Sections" {
            a href="#look-at" { "Look at" }
            a href="#components" { "Components" }
            a href="#size" { "Size" }
            a href="#left-out" { "Left out" }
            a href="#findings" { "Findings" }
            a href="#checks" { "Checks" }
            a href="#inputs" { "Inputs" }
            a href="#files" { "Files" }
        }
        section aria-labelledby="look-at" {
            h2 #look-at { "Look at" }
            (look_at(diff))
            (lines("What could not be compared", &diff.not_compared))
            (lines("What it may do, and what was checked", &diff.security_lines()))
            (lines("What differs in the archive around the content", &diff.container_lines()))
        }
        section aria-labelledby="components" {
            h2 #components { "Components" }
            @if shown.is_empty() { p { "No component differs." } } @else { (component_table(diff, before, after, &shown)) }
        }
        section aria-labelledby="size" {
            h2 #size { "Bytes by component" }
            @if diff.verdict == Verdict::Different { p { "Unpacked: " (diff.byte_parts()) "." } }
            (maps(before, after, &shown))
            h3 { "From build to build" }
            (chart::sizes(history, newest, &name(&diff.after)))
        }
        section aria-labelledby="left-out" {
            h2 #left-out { "Left out, and not left out any more" }
            @if is_known { (gaps(diff)) } @else { (not_known()) }
        }
        section aria-labelledby="findings" {
            h2 #findings { "Findings" }
            @if is_known {
                h3 { "New" }
                @if diff.findings_new.is_empty() { p { "None." } } @else { (findings(&diff.findings_new)) }
                h3 { "Gone" }
                @if diff.findings_gone.is_empty() { p { "None." } } @else { (findings(&diff.findings_gone)) }
            } @else { (not_known()) }
        }
        section aria-labelledby="checks" {
            h2 #checks { "Checks of the build after" }
            @if diff.after.known == Known::Record { (lost(before, after)) (checks(&after.checks)) } @else { (not_known()) }
        }
        section aria-labelledby="inputs" {
            h2 #inputs { "Inputs that differ" }
            @if is_known || !diff.properties.is_empty() { (inputs(diff)) } @else { (not_known()) }
        }
        section aria-labelledby="files" { h2 #files { "Files" } (files(diff)) }
    };
    let title = format!("{} → {}", name(&diff.before), name(&diff.after));
    page(kiln, "What changed", &title, &main)
}

fn name(side: &Side) -> String {
    side.build.clone().unwrap_or_else(|| side.artifact.to_string())
}

/// Whether both builds have a record, so that causes, findings and checks can be told.
fn is_known(diff: &Diff) -> bool {
    diff.before.known == Known::Record && diff.after.known == Known::Record
}

fn judged(diff: &Diff) -> (Tone, &'static str, String) {
    match diff.verdict {
        Verdict::Identical => (Tone::Good, "Identical", "Both builds are the same bytes.".to_owned()),
        Verdict::SameContent => {
            let why = diff.container.as_ref().map_or_else(String::new, |cause| format!(" ({})", cause.text));
            let said =
                format!("Paths, modes and content are the same; only the archive around them differs{why}.");
            (Tone::Good, "Same content", said)
        }
        Verdict::SameComponents => {
            let said = "Both list the same components; files were not compared, as one of them lists none."
                .to_owned();
            (Tone::Plain, "Same components", said)
        }
        Verdict::Different => {
            let unexplained = unexplained(diff);
            let (tone, word) = match (unexplained, diff.anomalies.len()) {
                _ if !is_known(diff) => (Tone::Warn, "Different, and the causes are not known"),
                (0, 0) => (Tone::Plain, "Different, and each change has a cause"),
                (0, _) => (Tone::Warn, "Different, with things to look at"),
                _ => (Tone::Bad, "Different, and not all of it is explained"),
            };
            let line = diff.headline();
            let counts = line.strip_prefix("different (").and_then(|rest| rest.strip_suffix(')'));
            (tone, word, capital(counts.unwrap_or(&line)))
        }
    }
}

/// The headline of a diff as a sentence.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

fn unexplained(diff: &Diff) -> usize {
    diff.anomalies.iter().filter(|one| one.rule == Rule::Unexplained).count()
}

fn numbers(diff: &Diff, after: &Record, shown: &[&ComponentChange]) -> Vec<Tile> {
    let size = |name, before: u64, after: u64| {
        let step = i64::try_from(i128::from(after) - i128::from(before)).unwrap_or(i64::MAX);
        Tile {
            name,
            value: format_size(after),
            more: format!("{} from {}", format_change(step), format_size(before)),
        }
    };
    let count = |kind| shown.iter().filter(|one| one.kind == kind).count();
    let is_known = is_known(diff);
    let (added, removed) = (count(ComponentChangeKind::Added), count(ComponentChangeKind::Removed));
    vec![
        size("Packed", diff.before.archive_size, diff.after.archive_size),
        size("Unpacked", diff.before.unpacked_size, diff.after.unpacked_size),
        Tile {
            name: "Components that differ",
            value: shown.len().to_string(),
            more: format!("{added} new, {removed} gone"),
        },
        Tile {
            name: "Files that differ",
            value: diff.files.len().to_string(),
            more: format!("of {}", after.files.len()),
        },
        Tile {
            name: "Unexplained",
            value: if is_known { unexplained(diff).to_string() } else { NOT_KNOWN.to_owned() },
            more: "changes without a cause".to_owned(),
        },
        Tile {
            name: "Findings",
            value: match is_known {
                true => format!("+{} −{}", diff.findings_new.len(), diff.findings_gone.len()),
                false => NOT_KNOWN.to_owned(),
            },
            more: match diff.after.known {
                Known::Record => format!("{} not run", counted(not_run(&after.checks), "check", "checks")),
                Known::Content | Known::Components => "checks are not known".to_owned(),
            },
        },
    ]
}

fn look_at(diff: &Diff) -> Markup {
    html! {
        @if diff.anomalies.is_empty() && !is_known(diff) {
            p { "Nothing that could be told. What has no record says nothing of causes, findings and checks." }
        } @else if diff.anomalies.is_empty() {
            p { "Nothing: every change follows from an input that changed, and no size is unusual." }
        } @else {
            ul.plain {
                @for one in diff.attention() {
                    li {
                        (mark(if one.rule == Rule::Unexplained { Tone::Bad } else { Tone::of(one.level) }, &word(one.rule)))
                        " " (one.text)
                        @if one.subjects.len() > 1 { details { summary { "all " (one.subjects.len()) } (one.subjects.join(", ")) } }
                    }
                }
            }
        }
    }
}

/// Lines below a heading; nothing if there is none.
fn lines(heading: &str, lines: &[String]) -> Markup {
    html! { @if !lines.is_empty() { h3 { (heading) } ul.plain { @for line in lines { li { (line) } } } } }
}

fn component_table(diff: &Diff, before: &Record, after: &Record, shown: &[&ComponentChange]) -> Markup {
    let (old, new) = (Dependencies::of(before), Dependencies::of(after));
    let rows = html! {
        @for (row, one) in shown.iter().take(ROWS).enumerate() {
            @let path = if one.kind == ComponentChangeKind::Removed { old.path(&one.id) } else { new.path(&one.id) };
            tr id=(row_id(0, row)) {
                th scope="row" { (one.name) }
                td { (mark(tone(one.kind), one.kind.word())) }
                td { (one.before_version.as_deref().unwrap_or_default()) }
                td { (one.after_version.as_deref().unwrap_or_default()) }
                (change(diff.bytes_with_parts(one)))
                td {
                    @if one.cause.kind == CauseKind::Unexplained { (mark(Tone::Bad, "unexplained")) " " }
                    (one.cause.text)
                    @for note in component_notes(one) { div { (note) } }
                    @if path.len() > 1 { details { summary { "required by " (path[path.len() - 2]) } (path.join(" → ")) } }
                }
            }
        }
    };
    let columns = [
        ("component", false),
        ("change", false),
        ("before", false),
        ("after", false),
        ("bytes", true),
        ("cause", false),
    ];
    html! {
        (table("Components that differ", &columns, &rows))
        (left_out(shown.len(), "components", "kiln diff --format json"))
    }
}

fn tone(kind: ComponentChangeKind) -> Tone {
    match kind {
        ComponentChangeKind::Removed | ComponentChangeKind::Downgraded => Tone::Bad,
        ComponentChangeKind::Rebuilt | ComponentChangeKind::Replaced => Tone::Warn,
        ComponentChangeKind::Added => Tone::Good,
        _ => Tone::Plain,
    }
}

/// Both builds as maps of one scale.
fn maps(before: &Record, after: &Record, shown: &[&ComponentChange]) -> Markup {
    let rows: BTreeMap<(bool, &str), usize> =
        shown.iter().enumerate().take(ROWS).map(|(row, one)| (key(&one.id), row)).collect();
    let total = |record: &Record| record.components.iter().map(|one| one.bytes).fold(0, u64::saturating_add);
    let largest = total(before).max(total(after)).max(1);
    let map = |record: &Record, others: &Record, only: &'static str, word: &str| {
        let there: BTreeMap<(bool, &str), u64> =
            others.components.iter().map(|one| (key(&one.id), one.bytes)).collect();
        let parts = record.components.iter().map(|one| {
            let row = rows.get(&key(&one.id)).copied();
            let class = match (there.contains_key(&key(&one.id)), row) {
                (false, _) => only,
                (true, Some(_)) => "changed",
                (true, None) => "same",
            };
            Part {
                name: &one.name,
                bytes: one.bytes,
                class,
                leads_to: row.map(|row| format!("#{}", row_id(0, row))),
            }
        });
        let label = format!("{word}: unpacked bytes by component; the table of components has what changed");
        html! {
            figure {
                figcaption { (word) ", " (format_size(total(record))) }
                (treemap(&label, parts.collect(), HALF, total(record) as f64 / largest as f64))
            }
        }
    };
    html! {
        div.maps {
            (map(before, after, "removed", "Before"))
            (map(after, before, "added", "After"))
        }
        ul.legend {
            @for (class, name) in [("same", "as before"), ("changed", "changed"), ("added", "new"), ("removed", "gone")] {
                li { svg viewBox="0 0 10 10" aria-hidden="true" { rect.(class) x="0" y="0" width="10" height="10" {} } (name) }
            }
        }
        p.faint { "Both maps have one scale: an area is as large as its bytes. Areas that changed lead to their rows." }
    }
}

/// What two components have in common that are one: the artifact's own code is called as the artifact, which may differ.
fn key(id: &ComponentId) -> (bool, &str) {
    match id.ecosystem() {
        Ecosystem::Application => (true, ""),
        _ => (false, id.as_str()),
    }
}

fn gaps(diff: &Diff) -> Markup {
    let rows = html! {
        @for gap in &diff.gaps {
            tr {
                th scope="row" { (gap.distribution) }
                @for side in [&gap.before, &gap.after] {
                    td { @match side { Some(side) => (format!("{} left out: {}", side.version, side.cause)), None => "not left out" } }
                }
            }
        }
    };
    html! {
        @if diff.gaps.is_empty() { p { "Nothing that is locked was left out for another reason than before." } }
        @else { (table("Left out", &[("distribution", false), ("before", false), ("after", false)], &rows)) }
    }
}

/// Checks that the build before had and the one after does not.
fn lost(before: &Record, after: &Record) -> Markup {
    let ran = |record: &Record| -> Vec<&'static str> {
        let ran =
            record.checks.iter().filter(|one| matches!(one.outcome, kiln_record::CheckOutcome::Ran { .. }));
        ran.map(|check| check.name.as_str()).collect()
    };
    let now = ran(after);
    let lost: Vec<&str> = ran(before).into_iter().filter(|name| !now.contains(name)).collect();
    html! {
        @if !lost.is_empty() {
            p { (mark(Tone::Warn, "lost")) " Run for the build before, and not for this one: " (lost.join(", ")) "." }
        }
    }
}

fn inputs(diff: &Diff) -> Markup {
    let digest =
        |digest: &Option<kiln_record::Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
    let rows = html! {
        @for input in diff.inputs.iter().take(ROWS) {
            tr {
                td { (word(input.role)) }
                td { (input.name) @if let Some(stated) = &input.stated { br; (stated) } }
                td.code { (digest(&input.before)) } td.code { (digest(&input.after)) }
            }
            @if let Some(packages) = &input.packages {
                @if let Some(why) = &packages.not_known {
                    tr { td { "packages" } td { (input.name) } td { "not known" } td { (why) } }
                }
                @for one in packages.moved.iter().take(ROWS) {
                    tr {
                        td { "package" } td { (one.name) }
                        td { (one.before.as_deref().unwrap_or("none")) } td { (one.after.as_deref().unwrap_or("none")) }
                    }
                }
            }
        }
        @for one in &diff.properties {
            tr {
                td { "property" } td { (one.name) }
                td { (one.before.as_deref().unwrap_or("none")) } td { (one.after.as_deref().unwrap_or("none")) }
            }
        }
    };
    html! {
        @if diff.inputs.is_empty() && diff.properties.is_empty() { p { "None." } }
        @else {
            (table("Inputs that differ", &[("role", false), ("name", false), ("before", false), ("after", false)], &rows))
            (left_out(diff.inputs.len(), "inputs", "kiln diff --format json"))
        }
    }
}

fn files(diff: &Diff) -> Markup {
    let size = |state: &Option<FileState>| state.map_or(0, |state| state.size);
    let mode = |state: &Option<FileState>| {
        state.and_then(|state| state.mode).map_or("link".to_owned(), |mode| mode.to_string())
    };
    let rows = html! {
        @for one in diff.listed_files(ROWS) {
            tr {
                th.code scope="row" {
                    @if let Some(from) = &one.from { (from) " → " }
                    (one.path)
                    @for line in file_difference(one) { div.faint { (line) } }
                }
                td { (word(one.kind)) @if matches!(one.kind, FileChangeKind::Mode | FileChangeKind::Kind) { " " (mode(&one.before)) " → " (mode(&one.after)) } }
                td { (one.component) }
                (bytes(size(&one.before)))
                (bytes(size(&one.after)))
            }
        }
    };
    let columns =
        [("path", false), ("change", false), ("component", false), ("before", true), ("after", true)];
    html! {
        @if diff.files.is_empty() { p { "No file differs." } }
        @else {
            p { (diff.file_counts()) "." }
            (table("Files that differ", &columns, &rows))
            (left_out(diff.files.len(), "files", "kiln diff --format json"))
        }
    }
}
