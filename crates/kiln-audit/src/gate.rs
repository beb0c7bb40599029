//! What makes a comparison fail.

use crate::anomaly::Rule;
use crate::compare::{Diff, Verdict};
use crate::components::{ComponentChange, ComponentChangeKind};
use crate::known::Known;
use kiln_record::Level;
use std::fmt;
use std::str::FromStr;

/// What makes a comparison fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailOn {
    /// An artifact is gone.
    RemovedArtifact,
    /// An artifact is new.
    NewArtifact,
    /// A component is gone.
    Removed,
    /// A component is new.
    Added,
    /// A component has an older version.
    Downgrade,
    /// Something changed that no changed input accounts for.
    Unexplained,
    /// A size is unusual, or the step is large and the history too short to tell.
    Size,
    /// The archive or what it unpacks to grew by more than this.
    Growth(Growth),
    /// A component has other content in the same version; the artifact's own code is not meant.
    Rebuilt,
    /// A component has another licence.
    Relicensed,
    /// A component comes from another place.
    Rehomed,
    /// A file runs as its owner or group, and did not before.
    Privileged,
    /// A check that was made is not made any more.
    Check,
    /// The archives are not the same bytes.
    Any,
}

/// How much a size may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Growth {
    /// By this many hundredths of a per cent of what it was.
    Share(u32),
    /// By this many bytes.
    Bytes(u64),
}

impl Growth {
    /// Whether a size grew by more.
    #[must_use]
    pub fn is_exceeded(self, before: u64, after: u64) -> bool {
        let grown = u128::from(after.saturating_sub(before));
        match self {
            Self::Share(share) => grown * 10_000 > u128::from(before) * u128::from(share),
            Self::Bytes(bytes) => grown > u128::from(bytes),
        }
    }

    /// Reads what follows `size:`, such as `+10%` or `+5MB`; else says what is wrong with it.
    fn read(text: &str) -> Result<Self, &'static str> {
        if text.starts_with('-') {
            return Err("nothing is denied for having become smaller");
        }
        let text = text.strip_prefix('+').ok_or("a growth begins with `+`")?;
        let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(number);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if part.len() > 2 {
            return Err("it has more than two decimals");
        }
        let part: u64 = format!("{part:0<2}").parse().map_err(|_| NO_NUMBER)?;
        let hundredths =
            whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(100)?.checked_add(part));
        let hundredths = hundredths.ok_or(NO_NUMBER)?;
        let unit: u64 = match unit.trim() {
            "%" => return Ok(Self::Share(u32::try_from(hundredths).map_err(|_| NO_NUMBER)?)),
            "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "" => return Err("it has no unit"),
            _ => return Err("its unit is none of %, B, kB, MB, GB, KiB, MiB and GiB"),
        };
        Ok(Self::Bytes(hundredths.checked_mul(unit).ok_or(NO_NUMBER)? / 100))
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) if share % 100 == 0 => write!(f, "+{}%", share / 100),
            Self::Share(share) => write!(f, "+{}.{:02}%", share / 100, share % 100),
            Self::Bytes(bytes) => write!(f, "+{bytes}B"),
        }
    }
}

const NO_NUMBER: &str = "what follows `+` is no number, or too large a one";

/// A text that is no reason to fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFailOn {
    /// Nothing is written where one is expected.
    #[error(
        "no reason to fail is named; possible values: {}, or a growth such as size:+10% or size:+5MB",
        words()
    )]
    Nothing,
    /// No reason has this name.
    #[error(
        "`{text}` is not a reason to fail; {}possible values: {}, or a growth such as size:+10% or size:+5MB",
        nearest(text),
        words()
    )]
    Word {
        /// What was written.
        text: String,
    },
    /// It is meant as a growth, and is none.
    #[error("`{text}` is not a reason to fail: {reason}; a growth is written as size:+10% or size:+5MB")]
    Growth {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn words() -> String {
    FailOn::ALL.map(|reason| reason.to_string()).join(", ")
}

/// The reason that was probably meant.
fn nearest(text: &str) -> String {
    let text = text.to_lowercase();
    let similar = FailOn::ALL.map(|reason| (strsim::jaro_winkler(&text, &reason.to_string()), reason));
    let nearest =
        similar.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(similarity, _)| *similarity > 0.8);
    nearest.map_or_else(String::new, |(_, reason)| format!("did you mean `{reason}`? "))
}

impl FailOn {
    /// Whether it is about the artifacts of workspaces, so that it says nothing of two builds.
    #[must_use]
    pub fn is_of_workspaces(self) -> bool {
        matches!(self, Self::RemovedArtifact | Self::NewArtifact)
    }

    /// All reasons that are one word.
    pub const ALL: [Self; 13] = [
        Self::Removed,
        Self::Added,
        Self::Downgrade,
        Self::Unexplained,
        Self::Size,
        Self::Rebuilt,
        Self::Relicensed,
        Self::Rehomed,
        Self::Privileged,
        Self::Check,
        Self::RemovedArtifact,
        Self::NewArtifact,
        Self::Any,
    ];
}

impl FromStr for FailOn {
    type Err = UnknownFailOn;

    fn from_str(text: &str) -> Result<Self, UnknownFailOn> {
        let written = || text.to_owned();
        if text.trim().is_empty() {
            return Err(UnknownFailOn::Nothing);
        }
        if let Some(growth) = text.strip_prefix("size:") {
            let growth = Growth::read(growth).map(Self::Growth);
            return growth.map_err(|reason| UnknownFailOn::Growth { text: written(), reason });
        }
        let known = Self::ALL.into_iter().find(|reason| reason.to_string() == text);
        known.ok_or_else(|| UnknownFailOn::Word { text: written() })
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RemovedArtifact => "removed-artifact",
            Self::NewArtifact => "new-artifact",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Downgrade => "downgrade",
            Self::Unexplained => "unexplained",
            Self::Size => "size",
            Self::Growth(growth) => return write!(f, "size:{growth}"),
            Self::Rebuilt => "rebuilt",
            Self::Relicensed => "relicensed",
            Self::Rehomed => "rehomed",
            Self::Privileged => "privileged",
            Self::Check => "check",
            Self::Any => "any",
        })
    }
}

impl Diff {
    /// The components that a reason to fail is about, where it is about components.
    pub fn denied_components(&self, reason: FailOn) -> impl Iterator<Item = &ComponentChange> {
        self.components.iter().filter(move |change| match reason {
            FailOn::Removed => change.kind == ComponentChangeKind::Removed,
            FailOn::Added => change.kind == ComponentChangeKind::Added,
            FailOn::Downgrade => change.kind == ComponentChangeKind::Downgraded,
            FailOn::Rebuilt => change.kind == ComponentChangeKind::Rebuilt,
            FailOn::Relicensed => change.relicensed.is_some(),
            FailOn::Rehomed => change.rehomed.is_some(),
            FailOn::RemovedArtifact
            | FailOn::NewArtifact
            | FailOn::Unexplained
            | FailOn::Size
            | FailOn::Growth(_)
            | FailOn::Privileged
            | FailOn::Check
            | FailOn::Any => false,
        })
    }

    /// Why nobody can say whether a reason holds, where that is so: a side does not tell what it is about. What cannot be told is
    /// denied, since a gate that was not held against anything let everything pass.
    #[must_use]
    pub fn undecided(&self, reason: FailOn) -> Option<&'static str> {
        let least = self.before.known.max(self.after.known);
        match (reason, least) {
            (_, Known::Record) => None,
            (FailOn::Size | FailOn::Growth(_), Known::Components) => {
                Some("one of the two is a list of components, and has no size")
            }
            (FailOn::Privileged, Known::Components) => {
                Some("one of the two is a list of components, and has no modes")
            }
            (FailOn::Rebuilt, Known::Components) => {
                Some("one of the two is a list of components, and has no content")
            }
            (FailOn::Rehomed, _) => Some("only a record tells which index or server a component is from"),
            (FailOn::Check, _) => Some("only a record tells which checks were made"),
            _ => None,
        }
    }

    /// Those of the reasons that hold, or of which nobody can say that they do not; empty if the comparison passes.
    #[must_use]
    pub fn exceeds(&self, reasons: &[FailOn]) -> Vec<FailOn> {
        let rule = |rule| self.anomalies.iter().any(|a| a.rule == rule);
        let mut holding: Vec<FailOn> = reasons
            .iter()
            .copied()
            .filter(|reason| {
                self.undecided(*reason).is_some()
                    || match reason {
                        FailOn::RemovedArtifact | FailOn::NewArtifact => false,
                        FailOn::Removed
                        | FailOn::Added
                        | FailOn::Downgrade
                        | FailOn::Rebuilt
                        | FailOn::Relicensed
                        | FailOn::Rehomed => self.denied_components(*reason).next().is_some(),
                        FailOn::Unexplained => rule(Rule::Unexplained),
                        FailOn::Size => self.anomalies.iter().any(|a| {
                            a.rule == Rule::Step || (a.rule == Rule::Creep && a.level >= Level::Warn)
                        }),
                        FailOn::Growth(growth) => self.grew_by_more_than(*growth),
                        FailOn::Privileged => rule(Rule::Privileged),
                        FailOn::Check => rule(Rule::Check),
                        FailOn::Any => self.verdict != Verdict::Identical,
                    }
            })
            .collect();
        holding.sort_unstable();
        holding.dedup();
        holding
    }

    /// Whether a size grew by more than is allowed.
    fn grew_by_more_than(&self, growth: Growth) -> bool {
        let (before, after) = (&self.before, &self.after);
        growth.is_exceeded(before.unpacked_size, after.unpacked_size)
            // What was read from a folder has no archive to compare.
            || (before.archive.is_some()
                && after.archive.is_some()
                && growth.is_exceeded(before.archive_size, after.archive_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_to_fail_read_back() {
        for reason in FailOn::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        for (text, growth) in [
            ("size:+10%", Growth::Share(1000)),
            ("size:+0.5%", Growth::Share(50)),
            ("size:+5MB", Growth::Bytes(5_000_000)),
            ("size:+1.5 MiB", Growth::Bytes(1_572_864)),
        ] {
            assert_eq!(text.parse(), Ok(FailOn::Growth(growth)), "{text}");
            let again = FailOn::Growth(growth).to_string();
            assert_eq!(again.parse(), Ok(FailOn::Growth(growth)), "{again}");
        }
        for (bad, why) in [
            ("everything", "possible values: removed, added"),
            ("Privilged", "did you mean `privileged`?"),
            ("downgraded", "did you mean `downgrade`?"),
            ("size:10%", "a growth begins with `+`"),
            ("size:10", "a growth begins with `+`"),
            ("size:", "a growth begins with `+`"),
            ("size:-5%", "nothing is denied for having become smaller"),
            ("size:+", "no number"),
            ("size:+-1%", "no number"),
            ("size:+5", "it has no unit"),
            ("size:+5mb", "its unit is none of"),
            ("size:+5 parsecs", "its unit is none of"),
            ("size:+1.234%", "more than two decimals"),
            ("size:+99999999999999999999%", "too large"),
            ("size:+99999999999999GiB", "too large"),
        ] {
            let told = bad.parse::<FailOn>().unwrap_err().to_string();
            assert!(
                told.starts_with(&format!("`{bad}` is not a reason to fail")) && told.contains(why),
                "{told}"
            );
        }
        for nothing in ["", " "] {
            let told = nothing.parse::<FailOn>().unwrap_err().to_string();
            assert!(told.starts_with("no reason to fail is named; possible values: removed, "), "{told}");
        }
        assert!(!"everything".parse::<FailOn>().unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn growth_is_more_than_what_is_allowed() {
        assert!(!Growth::Share(1000).is_exceeded(100, 110) && Growth::Share(1000).is_exceeded(100, 111));
        assert!(!Growth::Bytes(5).is_exceeded(100, 105) && Growth::Bytes(5).is_exceeded(100, 106));
        assert!(Growth::Share(1000).is_exceeded(0, 1), "from nothing, anything is more");
        assert!(!Growth::Share(0).is_exceeded(u64::MAX, 0));
    }
}
