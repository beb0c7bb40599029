//! Whether a change of size is unusual for this artifact, with every number that the judgement rests on.
//!
//! Reproducible builds of a pinned workspace barely move, so the usual statistics fail: with a spread of zero any byte
//! is an outlier, and with few builds a standard deviation means nothing. The rule here looks at the *step* from one
//! build to the next, measures spread by the median absolute deviation (MAD), and never trusts a spread below a floor.

use crate::quantity::{binary, delta, grouped, signed};
use kiln_record::Level;
use serde::Serialize;
use std::fmt;

/// Builds of history that are looked at, newest last. Older ones say little about today's artifact.
pub const HISTORY: usize = 30;
/// Steps smaller than this many bytes are never reported, however steady the history.
pub const STEP_FLOOR: u64 = 256 * 1024;
/// Changes of one component smaller than this many bytes are not pointed out.
pub const COMPONENT_FLOOR: u64 = 64 * 1024;

/// Step in units of scale above which it is unusual.
const Z_LIMIT: f64 = 3.5;
/// Makes the MAD of a normal distribution equal to its standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// The scale is never below this share of the size, nor below [`SCALE_FLOOR`] bytes.
const SCALE_SHARE: f64 = 0.01;
const SCALE_FLOOR: f64 = 32.0 * 1024.0;
/// Share of the size that a step must exceed, with three builds or more.
const STEP_SHARE: f64 = 0.03;
/// The same with one or two builds, where there is no spread to measure.
const EARLY_SHARE: f64 = 0.05;
/// Growth over the whole history that no single step shows.
const CREEP_SHARE: f64 = 0.10;
/// Growth of one component, relative to itself, that is worth pointing out.
pub(crate) const COMPONENT_SHARE: f64 = 0.20;
/// And its share of the artifact's whole step.
pub(crate) const COMPONENT_OF_STEP: f64 = 0.10;

/// Sizes of one earlier build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The build's number in the ledger.
    pub number: u64,
    /// Bytes of its archive.
    pub archive: u64,
    /// Bytes of its files when unpacked.
    pub unpacked: u64,
}

/// Which size is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The archive's.
    Archive,
    /// The unpacked files'.
    Unpacked,
}

impl Measure {
    /// The size of a sample.
    #[must_use]
    pub fn of(self, sample: &Sample) -> u64 {
        match self {
            Self::Archive => sample.archive,
            Self::Unpacked => sample.unpacked,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Archive => "archive",
            Self::Unpacked => "unpacked files",
        })
    }
}

/// What the step rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StepVerdict {
    /// There is no earlier build to compare with.
    NoHistory,
    /// Nothing unusual.
    Usual,
    /// Large, but with fewer than three builds nobody can say whether it is unusual.
    Notice,
    /// Unusual for this artifact.
    Warning,
}

/// A step in size, judged, with all numbers needed to compute the judgement again. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SizeStep {
    /// Which size.
    pub measure: Measure,
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
    /// `after - before`.
    pub step: i64,
    /// Number of earlier builds looked at, `before` included.
    pub n: u64,
    /// The steps between those builds, oldest first; from three builds on.
    pub steps: Vec<i64>,
    /// Their median.
    pub median: Option<f64>,
    /// Their median absolute deviation from the median.
    pub mad: Option<f64>,
    /// The least scale: the larger of 1 % of `before` and 32 KiB.
    pub floor: Option<f64>,
    /// The larger of 1.4826 times the MAD and the floor.
    pub scale: Option<f64>,
    /// `|step - median| / scale`.
    pub z: Option<f64>,
    /// The `z` above which a step is unusual.
    pub z_limit: f64,
    /// Bytes that the step must also exceed, up or down.
    pub gate: f64,
    /// What follows.
    pub verdict: StepVerdict,
    /// The oldest build looked at, if it is not `before`: its number and size.
    pub oldest: Option<(u64, u64)>,
    /// Growth since then in per cent.
    pub growth: Option<f64>,
    /// Whether that growth is more than 10 % and more than the least reported step.
    pub creep: bool,
    /// Whether it is so since this step: `before` had not grown that far yet, or by ten per cent less. A warning that is
    /// repeated with every build is not read.
    pub creep_is_new: bool,
    /// Whether growth is counted from the build that was approved last, and not from the oldest one that is looked at.
    pub since_approved: bool,
}

/// Judges the step from the build `before` to a new one. `history` holds the builds up to and including `before`,
/// oldest first; at most the last [`HISTORY`] of them count.
///
/// - No build: no judgement. One or two: a notice above the larger of 256 KiB and 5 %.
/// - Three or more: a warning if `z` is above 3.5 **and** the step is above the larger of 256 KiB and 3 %.
///
/// Shrinking counts as much as growing: half a package gone is as unusual as one too many.
///
/// Growth over many steps is counted from `baseline`, the build that was approved last; without one, from the oldest build of
/// the history.
#[must_use]
pub fn size_step(
    measure: Measure,
    history: &[Sample],
    baseline: Option<&Sample>,
    before: u64,
    after: u64,
) -> SizeStep {
    let history = &history[history.len().saturating_sub(HISTORY)..];
    let n = history.len();
    let step = delta(before, after);
    let size = before as f64;
    let share = if n < 3 { EARLY_SHARE } else { STEP_SHARE };
    let mut judged = SizeStep {
        measure,
        before,
        after,
        step,
        n: n as u64,
        steps: Vec::new(),
        median: None,
        mad: None,
        floor: None,
        scale: None,
        z: None,
        z_limit: Z_LIMIT,
        gate: (share * size).max(STEP_FLOOR as f64),
        verdict: StepVerdict::Usual,
        oldest: None,
        growth: None,
        creep: false,
        creep_is_new: false,
        since_approved: baseline.is_some(),
    };
    let large = step.unsigned_abs() as f64 > judged.gate;
    match n {
        0 => judged.verdict = StepVerdict::NoHistory,
        1 | 2 if large => judged.verdict = StepVerdict::Notice,
        1 | 2 => {}
        _ => {
            judged.steps =
                history.windows(2).map(|pair| delta(measure.of(&pair[0]), measure.of(&pair[1]))).collect();
            let center = median(judged.steps.iter().map(|s| *s as f64).collect());
            let mad = median(judged.steps.iter().map(|s| (*s as f64 - center).abs()).collect());
            let floor = (SCALE_SHARE * size).max(SCALE_FLOOR);
            let scale = (MAD_TO_SIGMA * mad).max(floor);
            let z = (step as f64 - center).abs() / scale;
            if z > Z_LIMIT && large {
                judged.verdict = StepVerdict::Warning;
            }
            judged.median = Some(center);
            judged.mad = Some(mad);
            judged.floor = Some(floor);
            judged.scale = Some(scale);
            judged.z = Some(z);
        }
    }
    let oldest = history.first().filter(|_| n > 1);
    if let Some(from) = baseline.or(oldest) {
        let first = measure.of(from);
        judged.oldest = Some((from.number, first));
        if first > 0 {
            judged.growth = Some(100.0 * delta(first, after) as f64 / first as f64);
            judged.creep = creep_steps(first, after) > 0;
            judged.creep_is_new = creep_steps(first, after) > creep_steps(first, before);
        }
    }
    judged
}

/// How many times a size has grown by [`CREEP_SHARE`] of what it was; none where that is too little to be reported.
fn creep_steps(first: u64, now: u64) -> u64 {
    let grown = delta(first, now) as f64;
    let share = CREEP_SHARE * first as f64;
    if grown > share && grown > STEP_FLOOR as f64 { (grown / share) as u64 } else { 0 }
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (_, Some(upper)) if values.len() % 2 == 1 => *upper,
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

impl SizeStep {
    /// The step and what it is held against, in words.
    #[must_use]
    pub fn held_against(&self) -> String {
        let z = self.z.map_or_else(String::new, |z| format!(", z {z:.1} (limit {})", self.z_limit));
        format!("step {} (gate {}){z}", signed(self.step), binary(self.gate as u64))
    }

    /// The history behind the judgement in words, with the numbers needed to compute it again.
    #[must_use]
    pub fn spread(&self) -> String {
        let builds =
            if self.n == 1 { "1 earlier build".to_owned() } else { format!("{} earlier builds", self.n) };
        let bytes = |value: f64| grouped(value.abs().round() as u64);
        match (self.median, self.mad, self.floor, self.scale) {
            (Some(median), Some(mad), Some(floor), Some(scale)) => format!(
                "{builds}: median step {}{} B, MAD {} B, floor {} B, scale {} B",
                if median < 0.0 { "-" } else { "" },
                bytes(median),
                bytes(mad),
                bytes(floor),
                bytes(scale)
            ),
            _ => format!("{builds}: too few to know what is usual"),
        }
    }

    /// What this step gives rise to.
    pub(crate) fn anomalies(&self) -> Vec<Anomaly> {
        let mut anomalies = Vec::new();
        let subject = self.measure.to_string();
        let percent = if self.before == 0 { 0.0 } else { 100.0 * self.step as f64 / self.before as f64 };
        let change = format!(
            "the {} went from {} to {} ({}, {percent:+.1} %)",
            self.measure,
            binary(self.before),
            binary(self.after),
            signed(self.step)
        );
        let level = match self.verdict {
            StepVerdict::Notice => {
                Some((Level::Note, "large, and the history is too short to know whether it is usual"))
            }
            StepVerdict::Warning => Some((Level::Warn, "unusual for this artifact")),
            StepVerdict::NoHistory | StepVerdict::Usual => None,
        };
        if let Some((level, why)) = level {
            anomalies.push(Anomaly {
                rule: Rule::Step,
                level,
                subject: subject.clone(),
                text: format!("{change}: {why}"),
            });
        }
        if self.creep_is_new
            && let (Some((number, size)), Some(growth)) = (self.oldest, self.growth)
        {
            anomalies.push(Anomaly {
                rule: Rule::Creep,
                level: Level::Warn,
                subject,
                text: format!(
                    "the {} grew {growth:.1} % since {}build {number} ({} to {}), more than {:.0} %",
                    self.measure,
                    if self.since_approved { "the approved " } else { "" },
                    binary(size),
                    binary(self.after),
                    CREEP_SHARE * 100.0
                ),
            });
        }
        anomalies
    }
}

/// Which rule noticed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A change that no changed input accounts for.
    Unexplained,
    /// A file runs as its owner or group, and did not before.
    Privileged,
    /// A check is not made any more.
    Check,
    /// A step in size.
    Step,
    /// Growth over many small steps.
    Creep,
    /// A component that makes up much of the step.
    Component,
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Anomaly {
    /// Which rule noticed it.
    pub rule: Rule,
    /// `note` or `warn`.
    pub level: Level,
    /// What it is about: a measure, a component, a path.
    pub subject: String,
    /// One sentence with the numbers.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn history(sizes: &[u64]) -> Vec<Sample> {
        sizes
            .iter()
            .zip(1..)
            .map(|(s, number)| Sample { number, archive: *s, unpacked: s.saturating_mul(3) })
            .collect()
    }

    fn judge(sizes: &[u64], after: u64) -> SizeStep {
        size_step(Measure::Archive, &history(sizes), None, *sizes.last().unwrap_or(&0), after)
    }

    #[test]
    fn five_steady_builds_then_six_per_cent_is_flagged_with_numbers_and_the_five_are_not() {
        let sizes = [20 * MIB, 20 * MIB + 900, 20 * MIB + 700, 20 * MIB + 2500, 20 * MIB + 2600];
        for end in 1..sizes.len() {
            let step = judge(&sizes[..end], sizes[end]);
            assert_eq!(step.verdict, StepVerdict::Usual, "{step:?}");
            assert!(step.anomalies().is_empty());
        }
        let before = sizes[4];
        let step = judge(&sizes, before + before * 6 / 100);
        assert_eq!(step.verdict, StepVerdict::Warning);
        assert_eq!(step.steps, [900, -200, 1800, 100]);
        assert_eq!(step.median, Some(500.0));
        assert_eq!(step.mad, Some(550.0));
        assert_eq!(step.floor, Some(before as f64 / 100.0));
        assert_eq!(step.scale, step.floor);
        assert!((step.z.unwrap() - 5.998).abs() < 0.001, "{:?}", step.z);
        let text = [step.anomalies()[0].text.as_str(), &step.held_against(), &step.spread()].join("\n");
        for words in [
            "median step 500 B",
            "MAD 550 B",
            "scale 209,741 B",
            "floor",
            "z 6.0 (limit 3.5)",
            "5 earlier builds",
            "+6.0 %",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn the_ladder() {
        let verdict = |sizes: &[u64], after| judge(sizes, after).verdict;
        assert_eq!(verdict(&[], MIB), StepVerdict::NoHistory);
        // One or two builds: a notice above the larger of 256 KiB and 5 %.
        assert_eq!(verdict(&[20 * MIB], 21 * MIB), StepVerdict::Usual);
        assert_eq!(verdict(&[20 * MIB], 21 * MIB + 1), StepVerdict::Notice);
        assert_eq!(verdict(&[MIB], MIB + STEP_FLOOR), StepVerdict::Usual);
        assert_eq!(verdict(&[MIB, MIB], MIB + STEP_FLOOR + 1), StepVerdict::Notice);
        // Three builds: z and the gate must both agree.
        let steady = [20 * MIB; 3];
        assert_eq!(verdict(&steady, 20 * MIB * 103 / 100), StepVerdict::Usual);
        assert_eq!(verdict(&steady, 20 * MIB * 104 / 100), StepVerdict::Warning);
        assert_eq!(verdict(&steady, 20 * MIB * 96 / 100), StepVerdict::Warning);
        assert_eq!(verdict(&[MIB; 3], MIB + STEP_FLOOR), StepVerdict::Usual);
        assert_eq!(verdict(&[MIB; 3], MIB + STEP_FLOOR + 1), StepVerdict::Warning);
    }

    #[test]
    fn an_artifact_that_always_moves_is_given_room() {
        let restless = [20 * MIB, 22 * MIB, 21 * MIB, 22 * MIB, 20 * MIB, 21 * MIB];
        assert_eq!(judge(&restless, 20 * MIB).verdict, StepVerdict::Usual);
        let growing = [20 * MIB, 21 * MIB, 22 * MIB, 23 * MIB, 24 * MIB];
        assert_eq!(judge(&growing, 25 * MIB).verdict, StepVerdict::Usual);
    }

    #[test]
    fn small_steps_that_add_up_are_creep() {
        let mut sizes = vec![20 * MIB];
        while *sizes.last().unwrap() < 22 * MIB {
            let next = sizes.last().unwrap() * 1009 / 1000;
            sizes.push(next);
        }
        let after = sizes.pop().unwrap();
        let step = judge(&sizes, after);
        assert_eq!(step.verdict, StepVerdict::Usual);
        assert!(step.creep);
        assert_eq!(step.anomalies()[0].rule, Rule::Creep);
        assert!(!judge(&[1000, 1000], 2000).creep, "a kilobyte is no creep");
    }

    #[test]
    fn creep_is_told_once_for_each_ten_per_cent_since_the_approved_build() {
        let baseline = Sample { number: 1, archive: 20 * MIB, unpacked: 0 };
        let told = |before: u64, after: u64| {
            let step = size_step(Measure::Archive, &history(&[before; 5]), Some(&baseline), before, after);
            step.anomalies().iter().filter(|anomaly| anomaly.rule == Rule::Creep).count()
        };
        assert_eq!(told(21 * MIB, 22 * MIB), 0, "ten per cent are not more than ten per cent");
        assert_eq!(told(22 * MIB, 22 * MIB + 4), 1);
        assert_eq!(told(22 * MIB + 4, 22 * MIB + 8), 0);
        assert_eq!(told(22 * MIB + 8, 23 * MIB), 0);
        assert_eq!(told(23 * MIB, 24 * MIB + 1), 1);
        assert_eq!(told(24 * MIB + 1, 24 * MIB + 1), 0);
        let step = size_step(Measure::Archive, &[], Some(&baseline), 22 * MIB, 23 * MIB);
        assert!(step.anomalies()[0].text.contains("since the approved build 1"), "{step:?}");
    }

    #[test]
    fn any_sizes_are_survived() {
        for after in [0, 1, u64::MAX] {
            for sizes in [&[0, 0, 0][..], &[u64::MAX, 0, u64::MAX, 0], &[u64::MAX]] {
                let step = judge(sizes, after);
                assert!(step.z.is_none_or(f64::is_finite));
                let _ = step.anomalies();
            }
        }
        assert_eq!(judge(&[7; 100], 7).n, HISTORY as u64);
    }
}
