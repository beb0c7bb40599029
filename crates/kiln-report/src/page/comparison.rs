//! What changed between two builds: what a release is decided by in ten seconds, and then everything.

use super::chart::{Sizes, sizes};
use super::dependencies::Dependencies;
use super::page;
use super::parts::{
    NOT_KNOWN, Place, Tile, Tone, bytes, change, checks, counted, findings, left_out, legend, mark,
    not_known, not_run, table, tiles, verdict,
};
use super::treemap::{HALF, Part, treemap};
use crate::word::word;
use kiln_audit::{
    CauseKind, ComponentChange, ComponentChangeKind, Diff, FileChangeKind, FileState, Known, Rule, Sample,
    Side, Verdict, component_notes, file_difference, format_change, format_size,
};
use kiln_record::{Component, ComponentId, Ecosystem, Record};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

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
    let diff = comparison.diff;
    let title = format!("{} → {}", name(&diff.before), name(&diff.after));
    page(kiln, "What changed", &title, &article(Place::ALONE, comparison))
}

/// All that is said of two builds.
pub(super) fn article(place: Place, comparison: Comparison<'_>) -> Markup {
    let Comparison { diff, before, after, .. } = comparison;
    let shown = diff.shown_components();
    let (tone, word, sentence) = judged(diff);
    let is_known = is_known(diff);
    html! {
        (verdict(tone, word, &sentence))
        (tiles(&numbers(diff, after, &shown)))
        (place.links(&[
            ("look-at", "Look at"),
            ("components", "Components"),
            ("size", "Size"),
            ("left-out", "Left out"),
            ("findings", "Findings"),
            ("checks", "Checks"),
            ("inputs", "Inputs"),
            ("files", "Files"),
        ]))
        (place.section("look-at", "Look at", &html! {
            (look_at(diff))
            (lines(place, "What could not be compared", &diff.not_compared))
            (lines(place, "What it may do, and what was checked", &diff.security_lines()))
            (lines(place, "What differs in the archive around the content", &diff.container_lines()))
            (packagings(place, diff))
        }))
        (place.section("components", "Components", &html! {
            @if shown.is_empty() { p { "No component differs." } } @else { (component_table(place, comparison, &shown)) }
            (as_before(place, comparison, &shown))
        }))
        (place.section("size", "Bytes by component", &size(place, comparison, &shown)))
        (place.section("left-out", "Left out, and not left out any more", &html! {
            @if is_known { (gaps(diff)) } @else { (not_known()) }
        }))
        (place.section("findings", "Findings", &html! {
            @if is_known {
                (place.subheading("New"))
                @if diff.findings_new.is_empty() { p { "None." } } @else { (findings(&diff.findings_new)) }
                (place.subheading("Gone"))
                @if diff.findings_gone.is_empty() { p { "None." } } @else { (findings(&diff.findings_gone)) }
            } @else { (not_known()) }
        }))
        (place.section("checks", "Checks of the build after", &html! {
            @if diff.after.known == Known::Record { (lost(before, after)) (checks(&after.checks)) } @else { (not_known()) }
        }))
        (place.section("inputs", "Inputs that differ", &html! {
            @if is_known || !diff.properties.is_empty() { (inputs(place, diff)) } @else { (not_known()) }
        }))
        (place.section("files", "Files", &files(place, diff)))
    }
}

/// How a side is called.
pub(super) fn name(side: &Side) -> String {
    side.build.clone().unwrap_or_else(|| side.artifact.to_string())
}

/// Whether both builds have a record, so that causes, findings and checks can be told.
fn is_known(diff: &Diff) -> bool {
    diff.before.known == Known::Record && diff.after.known == Known::Record
}

/// Whether sizes and files are not known of one of the two.
fn lists_components_only(diff: &Diff) -> bool {
    diff.before.known.max(diff.after.known) == Known::Components
}

/// What the difference comes to: how it is to be taken, in a few words, and in a sentence.
pub(super) fn judged(diff: &Diff) -> (Tone, &'static str, String) {
    match diff.verdict {
        Verdict::Identical if !diff.anomalies.is_empty() => {
            let said = "Both builds are the same bytes; what is said of them is not the same.".to_owned();
            (Tone::Warn, "Identical, with things to look at", said)
        }
        Verdict::Identical if diff.chosen_inputs().next().is_some() => {
            let said = "Both builds are the same bytes, from inputs that are not the same.".to_owned();
            (Tone::Good, "Identical", said)
        }
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

/// How many changes nothing explains.
pub(super) fn unexplained(diff: &Diff) -> usize {
    diff.anomalies.iter().filter(|one| one.rule == Rule::Unexplained).count()
}

/// Bytes after, and how they came to be that; what is not known of a side is said.
pub(super) fn size_tile(name: &'static str, before: Option<u64>, after: Option<u64>) -> Tile {
    let step =
        |before: u64, after: u64| i64::try_from(i128::from(after) - i128::from(before)).unwrap_or(i64::MAX);
    Tile {
        name,
        value: after.map_or_else(|| NOT_KNOWN.to_owned(), format_size),
        more: match (before, after) {
            (Some(before), Some(after)) => {
                format!("{} from {}", format_change(step(before, after)), format_size(before))
            }
            (Some(before), None) => format!("{} before", format_size(before)),
            (None, _) => "before: not known".to_owned(),
        },
    }
}

/// Bytes of the archive of a side, and of what it unpacks to, as far as they are known.
fn known_sizes(side: &Side) -> (Option<u64>, Option<u64>) {
    let has_files = side.known != Known::Components;
    (
        (has_files && side.archive.is_some()).then_some(side.archive_size),
        has_files.then_some(side.unpacked_size),
    )
}

fn numbers(diff: &Diff, after: &Record, shown: &[&ComponentChange]) -> Vec<Tile> {
    let (before_sizes, after_sizes) = (known_sizes(&diff.before), known_sizes(&diff.after));
    let has_files = !lists_components_only(diff);
    let count = |kind| shown.iter().filter(|one| one.kind == kind).count();
    let is_known = is_known(diff);
    let (added, removed) = (count(ComponentChangeKind::Added), count(ComponentChangeKind::Removed));
    vec![
        size_tile("Packed", before_sizes.0, after_sizes.0),
        size_tile(
            if after.image.is_some() { "Unpacked, above the base" } else { "Unpacked" },
            before_sizes.1,
            after_sizes.1,
        ),
        Tile {
            name: "Components that differ",
            value: shown.len().to_string(),
            more: format!("{added} new, {removed} gone"),
        },
        Tile {
            name: "Files that differ",
            value: if has_files { diff.files.len().to_string() } else { NOT_KNOWN.to_owned() },
            more: if has_files {
                format!("of {} now", after.files.len())
            } else {
                "no list of files".to_owned()
            },
        },
        Tile {
            name: "Unexplained",
            value: if is_known { unexplained(diff).to_string() } else { NOT_KNOWN.to_owned() },
            more: if is_known { "changes without a cause" } else { "causes are not known" }.to_owned(),
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
        } @else if diff.anomalies.is_empty() && diff.verdict != Verdict::Different {
            p { "Nothing." }
        } @else if diff.anomalies.is_empty() {
            p {
                "Nothing: every change follows from an input that changed"
                @if diff.sizes.is_empty() { "; sizes were not held against a history." } @else { ", and no size is unusual." }
            }
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
fn lines(place: Place, heading: &str, lines: &[String]) -> Markup {
    html! { @if !lines.is_empty() { (place.subheading(heading)) ul.plain { @for line in lines { li { (line) } } } } }
}

/// What each of two packagings brings along.
fn packagings(place: Place, diff: &Diff) -> Markup {
    html! {
        @if let Some(both) = &diff.packagings {
            (place.subheading("What each packaging brings"))
            div.scroll { table aria-label="Packagings" {
                thead { tr { th scope="col" { "what" } th scope="col" { (both.before.kind) } th scope="col" { (both.after.kind) } } }
                tbody { @for [what, before, after] in both.rows() { tr { th scope="row" { (what) } td { (before) } td { (after) } } } }
            } }
        }
    }
}

fn component_table(place: Place, comparison: Comparison<'_>, shown: &[&ComponentChange]) -> Markup {
    let diff = comparison.diff;
    let (old, new) = (Dependencies::of(comparison.before), Dependencies::of(comparison.after));
    let has_sizes = !lists_components_only(diff);
    let rows = html! {
        @for (row, one) in shown.iter().take(place.rows).enumerate() {
            @let path = if one.kind == ComponentChangeKind::Removed { old.path(&one.id) } else { new.path(&one.id) };
            tr id=(place.row(row)) {
                th scope="row" { (one.name) }
                td { (mark(tone(one.kind), one.kind.word())) }
                td { (one.before_version.as_deref().unwrap_or_default()) }
                td { (one.after_version.as_deref().unwrap_or_default()) }
                @if has_sizes { (change(diff.bytes_with_parts(one))) }
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
        &[("component", false), ("change", false), ("before", false), ("after", false)][..],
        if has_sizes { &[("bytes", true)][..] } else { &[] },
        &[("cause", false)],
    ];
    html! {
        (table("Components that differ", &columns.concat(), &rows))
        (left_out(shown.len(), place.rows, "components", "kiln diff --format json"))
    }
}

/// The components that do not differ, folded, each with why it is there.
fn as_before(place: Place, comparison: Comparison<'_>, shown: &[&ComponentChange]) -> Markup {
    let (before, after) = (comparison.before, comparison.after);
    let has_sizes = !lists_components_only(comparison.diff);
    let there: BTreeSet<(bool, &str)> = before.components.iter().map(|one| key(&one.id)).collect();
    let differing: BTreeSet<(bool, &str)> = shown.iter().map(|one| key(&one.id)).collect();
    let same: Vec<&Component> = after
        .components
        .iter()
        .filter(|one| there.contains(&key(&one.id)) && !differing.contains(&key(&one.id)))
        .filter(|one| one.within.as_ref().is_none_or(|outer| !differing.contains(&key(outer))))
        .collect();
    let dependencies = Dependencies::of(after);
    let rows = html! {
        @for one in same.iter().take(place.rows) {
            tr {
                th scope="row" { (one.name) }
                td { (one.version.as_deref().unwrap_or_default()) }
                @if has_sizes { (bytes(one.bytes)) }
                td { (dependencies.why(one)) }
            }
        }
    };
    let columns = [
        &[("component", false), ("version", false)][..],
        if has_sizes { &[("bytes", true)] } else { &[] },
        &[("required by", false)],
    ];
    html! {
        @if !same.is_empty() {
            details {
                summary { (counted(same.len(), "component is", "components are")) " as before" }
                (table("Components that are as before", &columns.concat(), &rows))
                (left_out(same.len(), place.rows, "components", "kiln show --format json"))
            }
        }
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

/// Where the bytes are, and how many there were from build to build.
fn size(place: Place, comparison: Comparison<'_>, shown: &[&ComponentChange]) -> Markup {
    let diff = comparison.diff;
    if lists_components_only(diff) {
        return html! { p { "Not known: one of the two is a list of components, which has no sizes." } };
    }
    let before = Sample { number: 0, archive: diff.before.archive_size, unpacked: diff.before.unpacked_size };
    let newest = Sample { number: 0, archive: diff.after.archive_size, unpacked: diff.after.unpacked_size };
    // The build before is all that is known where there is no other history, and its last one where that has other builds.
    let mut history = comparison.history.to_vec();
    if history.last().is_none_or(|last| (last.archive, last.unpacked) != (before.archive, before.unpacked)) {
        history.push(before);
    }
    html! {
        @if diff.verdict == Verdict::Different { p { "Unpacked: " (diff.byte_parts()) "." } }
        (maps(place, comparison, shown))
        (place.subheading("From build to build"))
        @if diff.sizes.is_empty() {
            p { "Not held against a history: the two are not builds of one artifact, kind and architecture." }
        } @else {
            (sizes(Sizes {
                history: &history,
                source: diff.size_history.as_deref(),
                newest,
                name: &name(&diff.after),
                judged: &diff.sizes,
            }))
        }
    }
}

/// Both builds as maps of one scale.
fn maps(place: Place, comparison: Comparison<'_>, shown: &[&ComponentChange]) -> Markup {
    let Comparison { before, after, .. } = comparison;
    let rows: BTreeMap<(bool, &str), usize> =
        shown.iter().enumerate().take(place.rows).map(|(row, one)| (key(&one.id), row)).collect();
    let total = |record: &Record| record.components.iter().map(|one| one.bytes).fold(0, u64::saturating_add);
    let largest = total(before).max(total(after)).max(1);
    let map = |record: &Record, others: &Record, only: &'static str, word: &str| {
        let there: BTreeSet<(bool, &str)> = others.components.iter().map(|one| key(&one.id)).collect();
        let parts = record.components.iter().map(|one| {
            let row = rows.get(&key(&one.id)).copied();
            let class = match (there.contains(&key(&one.id)), row) {
                (false, _) => only,
                (true, Some(_)) => "changed",
                (true, None) => "same",
            };
            Part {
                name: &one.name,
                bytes: one.bytes,
                class,
                leads_to: row.map(|row| format!("#{}", place.row(row))),
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
        (legend(&[("same", "as before"), ("changed", "changed"), ("added", "new"), ("removed", "gone")]))
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

fn inputs(place: Place, diff: &Diff) -> Markup {
    let digest =
        |digest: &Option<kiln_record::Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
    let rows = html! {
        @for input in diff.inputs.iter().take(place.rows) {
            tr {
                td.word { (word(input.role)) }
                th.code scope="row" { (input.name) @if let Some(stated) = &input.stated { br; (stated) } }
                td.code { (digest(&input.before)) } td.code { (digest(&input.after)) }
            }
            @if let Some(packages) = &input.packages {
                @if let Some(why) = &packages.not_known {
                    tr { td { "packages" } th.code scope="row" { (input.name) } td { "not known" } td { (why) } }
                }
                @for one in packages.moved.iter().take(place.rows) {
                    tr {
                        td { "package" } th.code scope="row" { (one.name) }
                        td { (one.before.as_deref().unwrap_or("none")) } td { (one.after.as_deref().unwrap_or("none")) }
                    }
                }
            }
        }
        @for one in &diff.properties {
            tr {
                td { "property" } th.code scope="row" { (one.name) }
                td { (one.before.as_deref().unwrap_or("none")) } td { (one.after.as_deref().unwrap_or("none")) }
            }
        }
    };
    html! {
        @if diff.inputs.is_empty() && diff.properties.is_empty() { p { "None." } }
        @else {
            (table("Inputs that differ", &[("role", false), ("name", false), ("before", false), ("after", false)], &rows))
            (left_out(diff.inputs.len(), place.rows, "inputs", "kiln diff --format json"))
        }
    }
}

fn files(place: Place, diff: &Diff) -> Markup {
    let size = |state: &Option<FileState>| {
        html! { @match state { Some(state) => (bytes(state.size)), None => td.number data-value="-1" { "none" } } }
    };
    let mode = |state: &Option<FileState>| {
        state.and_then(|state| state.mode).map_or("link".to_owned(), |mode| mode.to_string())
    };
    let rows = html! {
        @for one in diff.listed_files(place.rows) {
            tr {
                th.code scope="row" {
                    @if let Some(from) = &one.from { (from) " → " }
                    (one.path)
                    @for line in file_difference(one) { div.faint { (line) } }
                }
                td.word { (word(one.kind)) @if matches!(one.kind, FileChangeKind::Mode | FileChangeKind::Kind) { " " (mode(&one.before)) " → " (mode(&one.after)) } }
                td { (one.component) }
                (size(&one.before))
                (size(&one.after))
            }
        }
    };
    let columns =
        [("path", false), ("change", false), ("component", false), ("before", true), ("after", true)];
    html! {
        @if lists_components_only(diff) { p { "Not known: one of the two is a list of components, which has no files." } }
        @else if diff.files.is_empty() { p { "No file differs." } }
        @else {
            p { (diff.file_counts()) "." }
            (table("Files that differ", &columns, &rows))
            (left_out(diff.files.len(), place.rows, "files", "kiln diff --format json"))
        }
    }
}
