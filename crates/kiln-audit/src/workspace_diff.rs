//! What changed between two workspaces: artifacts that are new, gone, changed or as they were.

use crate::compare::{Diff, Verdict};
use crate::gate::FailOn;
use crate::quantity::{binary, delta, signed};
use crate::report_parts::{Lines, cell, plain};
use kiln_record::{ArtifactName, FormatVersion, counted};
use serde::Serialize;

/// The version of [`WorkspaceDiff`] as JSON. A minor step adds fields, and values that a field may have.
pub const WORKSPACE_DIFF_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// What changed between two workspaces.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkspaceDiff {
    /// The version of this structure.
    pub format: FormatVersion,
    /// What is compared with, as it was named.
    pub before: String,
    /// What is compared, as it was named.
    pub after: String,
    /// How many artifacts are new, gone, changed and so on.
    pub counts: ArtifactCounts,
    /// Bytes of all archives before and now.
    pub packed: (u64, u64),
    /// Bytes of what they unpack to before and now.
    pub unpacked: (u64, u64),
    /// Every artifact of either side, by name.
    pub artifacts: Vec<ArtifactChange>,
}

/// How many artifacts there are of each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactCounts {
    /// Only after.
    pub new: u64,
    /// Only before.
    pub gone: u64,
    /// With other content.
    pub changed: u64,
    /// With the same content in another archive.
    pub same_content: u64,
    /// With the same bytes.
    pub unchanged: u64,
    /// That could not be read.
    pub not_read: u64,
}

/// What happened to an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactState {
    /// It could not be read.
    NotRead,
    /// It is there only before.
    Gone,
    /// It is there only after.
    New,
    /// Its content is another.
    Changed,
    /// Its content is the same, in another archive.
    SameContent,
    /// It has the same bytes.
    Unchanged,
}

impl ArtifactState {
    /// What it is called in output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotRead => "not read",
            Self::Gone => "gone",
            Self::New => "new",
            Self::Changed => "changed",
            Self::SameContent => "same content",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One artifact of two workspaces.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtifactChange {
    /// Its name.
    pub artifact: ArtifactName,
    /// What happened to it.
    pub state: ArtifactState,
    /// Bytes of its archive before and now; 0 where it is not there.
    pub packed: (u64, u64),
    /// Bytes of what it unpacks to before and now.
    pub unpacked: (u64, u64),
    /// Why it could not be read.
    pub reason: Option<String>,
    /// What changed, where it is on both sides.
    pub diff: Option<Diff>,
}

impl ArtifactChange {
    /// Those of the reasons that hold for it, or may hold.
    #[must_use]
    pub fn exceeds(&self, reasons: &[FailOn]) -> Vec<FailOn> {
        if let Some(diff) = &self.diff {
            return diff.exceeds(reasons);
        }
        let holds = |reason: &FailOn| match self.state {
            ArtifactState::New => matches!(reason, FailOn::NewArtifact | FailOn::Any),
            ArtifactState::Gone => matches!(reason, FailOn::RemovedArtifact | FailOn::Any),
            // Whatever they are about, what could not be read may be it.
            ArtifactState::NotRead => true,
            ArtifactState::Changed | ArtifactState::SameContent | ArtifactState::Unchanged => false,
        };
        let mut holding: Vec<FailOn> = reasons.iter().copied().filter(|reason| holds(reason)).collect();
        holding.sort_unstable();
        holding.dedup();
        holding
    }

    /// What happened to it, in a line: for what is there on one side only, or could not be read.
    #[must_use]
    pub fn told(&self) -> String {
        match (self.state, &self.reason) {
            (ArtifactState::New, _) => "the artifact is new".to_owned(),
            (ArtifactState::Gone, _) => "the artifact is gone".to_owned(),
            (ArtifactState::NotRead, Some(reason)) => format!("the artifact could not be read: {reason}"),
            (state, _) => format!("the artifact is {}", state.word()),
        }
    }
}

impl WorkspaceDiff {
    /// Puts artifacts together.
    #[must_use]
    pub fn new(before: String, after: String, mut artifacts: Vec<ArtifactChange>) -> Self {
        artifacts.sort_by(|a, b| a.artifact.cmp(&b.artifact));
        let count = |state| artifacts.iter().filter(|one| one.state == state).count() as u64;
        let sum = |sizes: fn(&ArtifactChange) -> (u64, u64)| {
            artifacts
                .iter()
                .map(sizes)
                .fold((0_u64, 0_u64), |(a, b), (x, y)| (a.saturating_add(x), b.saturating_add(y)))
        };
        Self {
            format: WORKSPACE_DIFF_FORMAT,
            before,
            after,
            counts: ArtifactCounts {
                new: count(ArtifactState::New),
                gone: count(ArtifactState::Gone),
                changed: count(ArtifactState::Changed),
                same_content: count(ArtifactState::SameContent),
                unchanged: count(ArtifactState::Unchanged),
                not_read: count(ArtifactState::NotRead),
            },
            packed: sum(|one| one.packed),
            unpacked: sum(|one| one.unpacked),
            artifacts,
        }
    }

    /// Those of the reasons that hold for any artifact, or may hold for one that could not be read; empty if the comparison passes.
    #[must_use]
    pub fn exceeds(&self, reasons: &[FailOn]) -> Vec<FailOn> {
        let mut holding: Vec<FailOn> = self.artifacts.iter().flat_map(|one| one.exceeds(reasons)).collect();
        holding.sort_unstable();
        holding.dedup();
        holding
    }

    /// How many artifacts are in which state, in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        let counts = &self.counts;
        let parts: Vec<String> = [
            (counts.new, ArtifactState::New),
            (counts.gone, ArtifactState::Gone),
            (counts.changed, ArtifactState::Changed),
            (counts.same_content, ArtifactState::SameContent),
            (counts.unchanged, ArtifactState::Unchanged),
            (counts.not_read, ArtifactState::NotRead),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", state.word()))
        .collect();
        format!("{}: {}", counted(self.artifacts.len(), "artifacts"), parts.join(", "))
    }

    /// For people: one table, then, unless only a summary is asked for, what changed in each artifact.
    #[must_use]
    pub fn to_text(&self, summary: bool) -> String {
        let mut out = Lines::default();
        out.line(&format!("{} -> {}", plain(&self.before), plain(&self.after)));
        out.line(&self.headline());
        out.line("");
        let width = self.artifacts.iter().map(|one| one.artifact.as_str().len()).max().unwrap_or(0).max(5);
        let row = |name: &str, state: &str, packed: (u64, u64), unpacked: (u64, u64), what: &str| {
            let step = |sizes: (u64, u64)| signed(delta(sizes.0, sizes.1));
            format!(
                "  {name:<width$}  {state:<12}  {:>10}  {:>11}  {:>11} unpacked  {what}",
                binary(packed.1.max(if packed.1 == 0 { packed.0 } else { 0 })),
                step(packed),
                step(unpacked)
            )
        };
        for one in &self.artifacts {
            let (name, state, what) = (one.artifact.as_str(), one.state.word(), one.what());
            out.line(&match one.state {
                ArtifactState::NotRead => format!("  {name:<width$}  {state:<12}  {what}"),
                _ => row(name, state, one.packed, one.unpacked, &what),
            });
        }
        out.line(&row("total", "", self.packed, self.unpacked, ""));
        if !summary {
            for diff in self.changed() {
                out.line("");
                diff.to_text().lines().for_each(|line| out.line(line));
            }
        }
        out.text
    }

    /// As a review comment.
    #[must_use]
    pub fn to_markdown(&self, summary: bool) -> String {
        let mut out = Lines::default();
        out.line(&format!("## {} → {}: {}", cell(&self.before), cell(&self.after), self.headline()));
        out.line("");
        out.line("| artifact | | packed | change | unpacked | what |");
        out.line("|---|---|---:|---:|---:|---|");
        for one in &self.artifacts {
            let [packed, step, unpacked] = match one.state {
                ArtifactState::NotRead => [const { String::new() }; 3],
                _ => [
                    binary(one.packed.1),
                    signed(delta(one.packed.0, one.packed.1)),
                    signed(delta(one.unpacked.0, one.unpacked.1)),
                ],
            };
            let (name, state) = (cell(one.artifact.as_str()), one.state.word());
            out.line(&format!(
                "| {name} | {state} | {packed} | {step} | {unpacked} | {} |",
                cell(&one.what())
            ));
        }
        let (packed, unpacked) = (self.packed, self.unpacked);
        out.line(&format!(
            "| **total** | | {} | {} | {} | |",
            binary(packed.1),
            signed(delta(packed.0, packed.1)),
            signed(delta(unpacked.0, unpacked.1))
        ));
        if !summary {
            for diff in self.changed() {
                out.line("");
                diff.to_markdown().lines().for_each(|line| out.line(line));
            }
        }
        out.text
    }

    /// What is to be told of artifacts that are on both sides: of those that are not the same bytes, and of those of which
    /// something else changed that a person should look at.
    pub fn changed(&self) -> impl Iterator<Item = &Diff> {
        self.artifacts
            .iter()
            .filter_map(|one| one.diff.as_ref())
            .filter(|diff| diff.verdict != Verdict::Identical || diff.has_more_than_inputs())
    }
}

impl ArtifactChange {
    /// What happened, in a few words.
    #[must_use]
    pub fn what(&self) -> String {
        match (&self.reason, &self.diff) {
            (Some(reason), _) => plain(reason),
            (None, Some(diff)) if diff.verdict == Verdict::Identical => {
                let inputs: Vec<String> = diff.chosen_inputs().map(|input| plain(&input.name)).collect();
                match inputs.is_empty() {
                    true => String::new(),
                    false => format!("the same bytes from another {}", inputs.join(", ")),
                }
            }
            (None, Some(diff)) => {
                let headline = diff.headline();
                headline
                    .strip_prefix("different (")
                    .and_then(|rest| rest.split(';').next())
                    .map_or_else(|| headline.clone(), str::to_owned)
            }
            (None, None) => String::new(),
        }
    }
}
