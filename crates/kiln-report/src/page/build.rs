//! What is in builds: a page with a part for each.

use super::chart::{Sizes, sizes};
use super::dependencies::Dependencies;
use super::page;
use super::parts::{
    NOT_KNOWN, Place, Tile, Tone, bytes, checks, counted, findings, gaps, left_out, legend, not_known,
    not_run, table, tiles, unpacked, verdict,
};
use super::treemap::{Part, WHOLE, treemap};
use crate::word::word;
use kiln_audit::{Known, Sample, format_size};
use kiln_record::{Component, Ecosystem, Importable, Level, Record};
use maud::{Markup, html};

/// A build that is reported on.
#[derive(Clone, Copy, Debug)]
pub struct BuildReport<'a> {
    /// How it is called, such as `dashboard@7`.
    pub name: &'a str,
    /// What is known of it.
    pub record: &'a Record,
    /// How much that is.
    pub known: Known,
    /// That what the record describes is not beside it, in a line.
    pub absent: Option<&'a str>,
    /// The builds before it, oldest first, as far as they are known.
    pub history: &'a [Sample],
    /// Where these are from.
    pub history_source: Option<&'a str>,
}

/// The page on some builds, made by a version of kiln.
#[must_use]
pub fn build_page(kiln: &str, builds: &[BuildReport<'_>]) -> String {
    let title = match builds {
        [one] => one.name.to_owned(),
        several => counted(several.len(), "build", "builds"),
    };
    let main = html! {
        @if builds.len() > 1 {
            nav.sections aria-label="Builds" {
                @for (index, build) in builds.iter().enumerate() { a href={ "#build" (index) } { (build.name) } }
            }
        }
        @for (index, build) in builds.iter().enumerate() {
            article id={ "build" (index) } {
                @if builds.len() > 1 { h2 { (build.name) } }
                (article(Place::one_of(builds.len(), index), build))
            }
        }
    };
    page(kiln, "Build report", &title, &main)
}

fn article(place: Place, build: &BuildReport<'_>) -> Markup {
    let record = build.record;
    let mut components: Vec<&Component> = record.components.iter().collect();
    components.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.id.cmp(&b.id)));
    let (tone, word, sentence) = judged(build);
    let is_known = build.known == Known::Record;
    html! {
        (verdict(tone, word, &sentence))
        @if let Some(absent) = build.absent { p { (absent) "." } }
        (tiles(&numbers(build)))
        (place.links(&[
            ("findings", "Findings"),
            ("size", "Size"),
            ("components", "Components"),
            ("left-out", "Left out"),
            ("checks", "Checks"),
            ("identity", "Identity and inputs"),
        ]))
        (place.section("findings", "Findings", &html! {
            @if !is_known { (not_known()) } @else if record.findings.is_empty() { p { "None." } } @else { (findings(&record.findings)) }
            // What is not reported leaves no finding.
            @if let Some(policy) = &record.policy {
                (place.subheading("Judged under this policy"))
                ul {
                    @for (code, level) in &policy.levels { li { code { (code.as_str()) } ": " (level.as_str()) } }
                    @for one in &policy.exceptions { li { code { (one.accepts()) } " is accepted " (one.terms()) } }
                }
            }
        }))
        (place.section("size", "Bytes by component", &size(place, build, &components)))
        (place.section("components", "Components, and why they are there", &component_table(place, build, &components)))
        (place.section("left-out", "Locked, but not in it", &left_out_of_it(place, build)))
        (place.section("checks", "Checks", &html! { @if is_known { (checks(&record.checks)) } @else { (not_known()) } }))
        (place.section("identity", "Identity and inputs", &identity(place, build)))
    }
}

fn size(place: Place, build: &BuildReport<'_>, components: &[&Component]) -> Markup {
    let record = build.record;
    if build.known == Known::Components {
        return html! { p { "Not known: a list of components has no sizes." } };
    }
    let newest = Sample { number: 0, archive: record.packed_size(), unpacked: record.unpacked_size };
    let total = components.iter().map(|one| one.bytes).fold(0, u64::saturating_add);
    html! {
        figure {
            figcaption { "Unpacked, " (format_size(total)) ". Each area leads to its row." }
            (treemap("Unpacked bytes by component; the table of components has the same numbers", areas(place, components), WHOLE, 1.0))
        }
        (legend(&[("application", "own code"), ("python", "Python distributions"), ("native", "native libraries"), ("debian", "packages of the system")]))
        (place.subheading("From build to build"))
        (sizes(Sizes { history: build.history, source: build.history_source, newest, name: build.name, judged: &[] }))
    }
}

/// What is locked and is not there, what is there and of no use, and what nothing loads.
fn left_out_of_it(place: Place, build: &BuildReport<'_>) -> Markup {
    let record = build.record;
    if build.known != Known::Record {
        return not_known();
    }
    html! {
        @if record.gaps.is_empty() { p { "Nothing: all that is locked is there." } } @else { (gaps(&record.gaps)) }
        @if let Some(imports) = &record.imports {
            @let failed: Vec<_> = imports.distributions.iter().filter_map(|(name, state)| match state { Importable::No { reason } => Some((name, reason)), _ => None }).collect();
            @if !failed.is_empty() {
                (place.subheading("There, but not importable"))
                ul { @for (name, reason) in failed { li { strong { (name) } ": " (reason) } } }
            }
            @if !imports.never_imported.is_empty() {
                (place.subheading("There, but not loaded by the handler"))
                p { (imports.never_imported.join(", ")) }
            }
        }
    }
}

/// What a build comes to.
fn judged(build: &BuildReport<'_>) -> (Tone, &'static str, String) {
    if let Some(lacks) = build.known.lacks() {
        return (Tone::Plain, "Read, and not judged", format!("There is no record of it: {lacks}."));
    }
    let record = build.record;
    let count = |level| record.findings.iter().filter(|finding| finding.level == level).count();
    let (denied, warned, open) = (count(Level::Deny), count(Level::Warn), not_run(&record.checks));
    let ran = record.checks.len() - open;
    let said = format!(
        "{} run, {open} not run; {}, {}; {} locked and left out, each with its reason.",
        counted(ran, "check", "checks"),
        counted(warned, "warning", "warnings"),
        counted(count(Level::Note), "note", "notes"),
        counted(record.gaps.len(), "distribution", "distributions"),
    );
    match (denied, warned + open) {
        (0, 0) => (Tone::Good, "Nothing to look at", said),
        (0, _) => (Tone::Warn, "Built, with things to look at", said),
        _ => (Tone::Bad, "Denied", said),
    }
}

fn numbers(build: &BuildReport<'_>) -> Vec<Tile> {
    let record = build.record;
    let of_record = |value: usize| match build.known {
        Known::Record => value.to_string(),
        Known::Content | Known::Components => NOT_KNOWN.to_owned(),
    };
    let size = |bytes: u64| match build.known {
        Known::Components => NOT_KNOWN.to_owned(),
        Known::Record | Known::Content => format_size(bytes),
    };
    let of = |ecosystem| record.components.iter().filter(|one| one.ecosystem == ecosystem).count();
    let unpacked = unpacked(record);
    vec![
        Tile { name: "Packed", value: size(record.packed_size()), more: record.kind.to_string() },
        Tile {
            name: "Unpacked",
            value: size(unpacked),
            more: match build.known {
                Known::Components => "files are not known".to_owned(),
                Known::Record | Known::Content => {
                    format!("{} of its own", counted(record.files.len(), "file", "files"))
                }
            },
        },
        Tile {
            name: "Components",
            value: record.components.len().to_string(),
            more: format!("{} of Python", of(Ecosystem::Python)),
        },
        Tile {
            name: "Runs on",
            value: record.target.runtime.to_string(),
            more: record.target.architecture.lambda().to_owned(),
        },
        Tile {
            name: "Findings",
            value: of_record(record.findings.len()),
            more: match build.known {
                Known::Record => format!(
                    "{} to look at",
                    record.findings.iter().filter(|one| one.level > Level::Note).count()
                ),
                Known::Content | Known::Components => "no record tells".to_owned(),
            },
        },
        Tile {
            name: "Checks",
            value: of_record(record.checks.len() - not_run(&record.checks)),
            more: match build.known {
                Known::Record => format!("run, {} not run", not_run(&record.checks)),
                Known::Content | Known::Components => "no record tells".to_owned(),
            },
        },
    ]
}

fn areas<'a>(place: Place, components: &[&'a Component]) -> Vec<Part<'a>> {
    let part = |(row, component): (usize, &&'a Component)| Part {
        name: &component.name,
        bytes: component.bytes,
        class: component.ecosystem.as_str(),
        leads_to: (row < place.rows).then(|| format!("#{}", place.row(row))),
    };
    components.iter().enumerate().map(part).collect()
}

fn component_table(place: Place, build: &BuildReport<'_>, components: &[&Component]) -> Markup {
    let dependencies = Dependencies::of(build.record);
    let has_sizes = build.known != Known::Components;
    let rows = html! {
        @for (row, component) in components.iter().take(place.rows).enumerate() {
            tr id=(place.row(row)) {
                th scope="row" { (component.name) }
                td { (component.version.as_deref().unwrap_or_default()) }
                td { (component.ecosystem.as_str()) }
                @if has_sizes {
                    (bytes(component.bytes))
                    td.number data-value=(component.files) { (component.files) }
                }
                td { (licence(component)) }
                td { (dependencies.why(component)) }
            }
        }
    };
    let sizes = [("bytes", true), ("files", true)];
    let columns = [
        &[("component", false), ("version", false), ("kind", false)][..],
        if has_sizes { &sizes[..] } else { &[] },
        &[("licence", false), ("required by", false)],
    ];
    html! {
        (table("Components", &columns.concat(), &rows))
        (left_out(components.len(), place.rows, "components", "kiln show --format json"))
    }
}

/// What a component says its licence is. Some put the whole text there.
fn licence(component: &Component) -> String {
    const LONGEST: usize = 60;
    let metadata = &component.metadata;
    let said = metadata.license_expression.clone().or_else(|| metadata.license.clone());
    let said = said.unwrap_or_else(|| metadata.license_classifiers.join(", "));
    let line = said.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn identity(place: Place, build: &BuildReport<'_>) -> Markup {
    let record = build.record;
    let mut facts = vec![("artifact", record.artifact.to_string())];
    facts.extend(record.outputs.iter().take(1).map(|output| ("file", output.file_name.clone())));
    facts.extend(record.outputs.iter().take(1).map(|output| ("archive", output.digest.to_string())));
    if build.known != Known::Components {
        facts.push(("tree", record.tree.to_string()));
    }
    if build.known == Known::Record {
        facts.extend([("plan", record.plan.to_string()), ("epoch", record.epoch.to_string())]);
    }
    facts.extend(record.tools.iter().map(|(name, version)| (name.as_str(), version.clone())));
    let rows = html! {
        @for input in record.inputs.iter().take(place.rows) {
            tr { td.word { (word(input.role)) } th.code scope="row" { (input.name) } td.code { (input.digest) } }
        }
    };
    html! {
        div.scroll { table aria-label="Identity" { tbody { @for (name, value) in &facts { tr { th scope="row" { (name) } td.code { (value) } } } } } }
        @if build.known == Known::Record { details {
            summary { (counted(record.inputs.len(), "input", "inputs")) ", each with its digest" }
            (table("Inputs", &[("role", false), ("name", false), ("digest", false)], &rows))
            (left_out(record.inputs.len(), place.rows, "inputs", "kiln show --format json"))
        } }
    }
}
