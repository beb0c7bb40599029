//! What changed between two workspaces: all artifacts in one table, then each that differs.

use super::comparison::{Comparison, article, judged, size_tile, unexplained};
use super::page;
use super::parts::{Place, Tile, Tone, bytes, change, counted, legend, mark, table, tiles, verdict};
use super::treemap::{HALF, Part, treemap};
use kiln_audit::{ArtifactChange, ArtifactState, WorkspaceDiff, format_size};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The page on two workspaces, made by a version of kiln. `artifacts` has the comparison of each that has a part of its own.
#[must_use]
pub fn workspace_page(kiln: &str, diff: &WorkspaceDiff, artifacts: &[Comparison<'_>]) -> String {
    let parts: BTreeMap<&str, usize> =
        artifacts.iter().zip(0..).map(|(one, part)| (one.diff.after.artifact.as_str(), part)).collect();
    let (tone, word) = verdict_of(diff);
    let main = html! {
        (verdict(tone, word, &format!("{}.", diff.headline())))
        (tiles(&numbers(diff)))
        section aria-labelledby="artifacts" {
            h2 #artifacts { "Artifacts" }
            (artifact_table(diff, &parts))
        }
        section aria-labelledby="bytes" {
            h2 #bytes { "Bytes by artifact" }
            (maps(diff, &parts))
        }
        @for (part, one) in artifacts.iter().enumerate() {
            article aria-labelledby={ "artifact-" (part) } {
                h2 id={ "artifact-" (part) } { (one.diff.after.artifact) }
                (article(Place::one_of(artifacts.len().max(2), part), *one))
            }
        }
    };
    page(kiln, "What changed", &format!("{} → {}", diff.before, diff.after), &main)
}

/// How the worst of the artifacts is to be taken.
fn verdict_of(diff: &WorkspaceDiff) -> (Tone, &'static str) {
    let counts = &diff.counts;
    let tones: Vec<Tone> =
        diff.artifacts.iter().filter_map(|one| one.diff.as_ref()).map(|diff| judged(diff).0).collect();
    if counts.not_read > 0 {
        (Tone::Bad, "Not all of it could be read")
    } else if tones.contains(&Tone::Bad) {
        (Tone::Bad, "Different, and not all of it is explained")
    } else if tones.contains(&Tone::Warn) || counts.gone > 0 {
        (Tone::Warn, "Different, with things to look at")
    } else if counts.new + counts.changed > 0 {
        (Tone::Plain, "Different, and each change has a cause")
    } else if counts.same_content > 0 {
        (Tone::Good, "Same content")
    } else {
        (Tone::Good, "Identical")
    }
}

fn numbers(diff: &WorkspaceDiff) -> Vec<Tile> {
    let counts = &diff.counts;
    let each = || diff.artifacts.iter().filter_map(|one| one.diff.as_ref());
    let sum = |of: fn(&kiln_audit::Diff) -> usize| each().map(of).sum::<usize>();
    vec![
        Tile {
            name: "Artifacts",
            value: diff.artifacts.len().to_string(),
            more: format!("{} new, {} gone", counts.new, counts.gone),
        },
        Tile {
            name: "Changed",
            value: counts.changed.to_string(),
            more: format!("{} as before", counts.unchanged + counts.same_content),
        },
        size_tile("Packed", Some(diff.packed.0), Some(diff.packed.1)),
        size_tile("Unpacked", Some(diff.unpacked.0), Some(diff.unpacked.1)),
        Tile {
            name: "Unexplained",
            value: sum(unexplained).to_string(),
            more: match counts.not_read {
                0 => "changes without a cause".to_owned(),
                unread => format!(
                    "without {} that could not be read",
                    counted(unread as usize, "artifact", "artifacts")
                ),
            },
        },
        Tile {
            name: "Findings",
            value: format!("+{} −{}", sum(|one| one.findings_new.len()), sum(|one| one.findings_gone.len())),
            more: "of those that are on both sides".to_owned(),
        },
    ]
}

fn tone(state: ArtifactState) -> Tone {
    match state {
        ArtifactState::NotRead => Tone::Bad,
        ArtifactState::Gone => Tone::Warn,
        ArtifactState::New | ArtifactState::Changed => Tone::Plain,
        ArtifactState::SameContent | ArtifactState::Unchanged => Tone::Good,
    }
}

/// The bytes by which a pair of sizes differs.
fn step((before, after): (u64, u64)) -> i64 {
    i64::try_from(i128::from(after) - i128::from(before)).unwrap_or(i64::MAX)
}

fn artifact_table(diff: &WorkspaceDiff, parts: &BTreeMap<&str, usize>) -> Markup {
    let rows = html! {
        @for one in &diff.artifacts {
            tr {
                th scope="row" {
                    @match parts.get(one.artifact.as_str()) {
                        Some(part) => a href={ "#artifact-" (part) } { (one.artifact) },
                        None => (one.artifact),
                    }
                }
                td {
                    (mark(tone(one.state), one.state.word()))
                    @if let Some(diff) = &one.diff {
                        @if judged(diff).0 == Tone::Bad { " " (mark(Tone::Bad, "unexplained")) }
                        @else if judged(diff).0 == Tone::Warn { " " (mark(Tone::Warn, "look at it")) }
                    }
                }
                @if one.state == ArtifactState::NotRead {
                    td.number data-value="0" { "not known" }
                    td.number data-value="0" { "not known" }
                    td.number data-value="0" { "not known" }
                } @else {
                    (bytes(one.packed.1))
                    (change(step(one.packed)))
                    (change(step(one.unpacked)))
                }
                td { (one.what()) }
            }
        }
    };
    let columns = [
        ("artifact", false),
        ("state", false),
        ("packed", true),
        ("packed change", true),
        ("unpacked change", true),
        ("what", false),
    ];
    table("Artifacts", &columns, &rows)
}

/// Both workspaces as maps of one scale.
fn maps(diff: &WorkspaceDiff, parts: &BTreeMap<&str, usize>) -> Markup {
    let largest = diff.unpacked.0.max(diff.unpacked.1).max(1);
    let map = |of: fn(&ArtifactChange) -> u64, total: u64, word: &str| {
        let areas = diff.artifacts.iter().map(|one| Part {
            name: one.artifact.as_str(),
            bytes: of(one),
            class: match one.state {
                ArtifactState::New => "added",
                ArtifactState::Gone => "removed",
                ArtifactState::Changed => "changed",
                ArtifactState::NotRead | ArtifactState::SameContent | ArtifactState::Unchanged => "same",
            },
            leads_to: parts.get(one.artifact.as_str()).map(|part| format!("#artifact-{part}")),
        });
        let label = format!("{word}: unpacked bytes by artifact; the table of artifacts has what changed");
        html! {
            figure {
                figcaption { (word) ", " (format_size(total)) " unpacked" }
                (treemap(&label, areas.collect(), HALF, total as f64 / largest as f64))
            }
        }
    };
    html! {
        div.maps {
            (map(|one| one.unpacked.0, diff.unpacked.0, "Before"))
            (map(|one| one.unpacked.1, diff.unpacked.1, "After"))
        }
        (legend(&[("same", "as before"), ("changed", "changed"), ("added", "new"), ("removed", "gone")]))
        p.faint { "Both maps have one scale. Areas that changed lead to what is said of them." }
    }
}
