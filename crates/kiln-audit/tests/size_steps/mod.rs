//! The rule for sizes, held against any history: what it says follows from a band that is computed here a second time.

use kiln_audit::{HISTORY, Measure, STEP_FLOOR, Sample, SizeStep, StepVerdict, size_step};
use proptest::prelude::*;

fn samples(sizes: &[u64]) -> Vec<Sample> {
    (1..).zip(sizes).map(|(number, size)| Sample { number, archive: *size, unpacked: 0 }).collect()
}

fn judged(sizes: &[u64], after: u64) -> SizeStep {
    size_step(Measure::Archive, &samples(sizes), None, *sizes.last().unwrap(), after)
}

/// The middle of some numbers, times two, so that it is whole.
fn twice_the_middle(mut numbers: Vec<i128>) -> i128 {
    numbers.sort_unstable();
    numbers[(numbers.len() - 1) / 2] + numbers[numbers.len() / 2]
}

/// The steps that are usual after three builds or more, as the middle of the band and half its width; and the bytes that an unusual
/// one exceeds as well.
fn band(sizes: &[u64]) -> (f64, f64, f64) {
    let sizes = &sizes[sizes.len().saturating_sub(30)..];
    let steps: Vec<i128> = sizes.windows(2).map(|pair| i128::from(pair[1]) - i128::from(pair[0])).collect();
    let twice = twice_the_middle(steps.clone());
    let spread = twice_the_middle(steps.iter().map(|step| (2 * step - twice).abs()).collect());
    let before = *sizes.last().unwrap() as f64;
    let scale = (1.4826 * spread as f64 / 4.0).max(before / 100.0).max(32_768.0);
    (twice as f64 / 2.0, 3.5 * scale, (0.03 * before).max(262_144.0))
}

/// Sizes of packages, up to a few hundred megabytes, that move by little or by much.
fn histories(builds: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u64>> {
    let walk = |from: u64, most: i64| {
        prop::collection::vec(-most..=most, 0..40).prop_map(move |steps| {
            steps
                .iter()
                .scan(from, |size, step| {
                    *size = size.saturating_add_signed(*step).max(1);
                    Some(*size)
                })
                .collect::<Vec<u64>>()
        })
    };
    (1_u64..400 << 20, prop_oneof![Just(0_i64), Just(500), Just(100_000), Just(5 << 20)], builds)
        .prop_flat_map(move |(from, most, length)| {
            walk(from, most).prop_map(move |mut sizes| {
                sizes.insert(0, from);
                sizes.resize(length, *sizes.last().unwrap_or(&from));
                sizes
            })
        })
}

/// The size after a step, if there is one.
fn stepped(before: u64, step: f64) -> Option<u64> {
    before.checked_add_signed(step as i64)
}

proptest! {
    #[test]
    fn never_within_the_band_and_always_beyond(
        sizes in histories(3..40), part in 0.0..0.98_f64, beyond in 1.02..40.0_f64, grows: bool,
    ) {
        let before = *sizes.last().unwrap();
        let (middle, half, gate) = band(&sizes);
        let sign = if grows { 1.0 } else { -1.0 };
        if let Some(after) = stepped(before, middle + sign * part * half) {
            prop_assert_eq!(judged(&sizes, after).verdict, StepVerdict::Usual);
        }
        // However steady the history, less than the gate is nothing.
        if let Some(after) = stepped(before, sign * part * gate) {
            prop_assert_eq!(judged(&sizes, after).verdict, StepVerdict::Usual);
        }
        let step = sign * (sign * middle + half).max(gate) * beyond;
        if let Some(after) = stepped(before, step) {
            prop_assert_eq!(judged(&sizes, after).verdict, StepVerdict::Warning, "{:?}", judged(&sizes, after));
        }
    }

    #[test]
    fn a_larger_step_the_same_way_is_no_less_unusual(
        sizes in histories(1..40), one in 0_u64..100 << 20, more in 0_u64..100 << 20, grows: bool,
    ) {
        let before = *sizes.last().unwrap();
        let after = |step: u64| if grows { Some(before + step) } else { before.checked_sub(step) };
        let (Some(near), Some(far)) = (after(one), after(one + more)) else { return Ok(()) };
        let (near, far) = (judged(&sizes, near), judged(&sizes, far));
        // Of a history that grows all the time, staying where it is is far from the middle: the order counts from there on.
        let middle = near.median.unwrap_or(0.0);
        let is_past = if grows { near.step as f64 >= middle } else { near.step as f64 <= middle };
        if near.verdict != StepVerdict::Usual && is_past {
            prop_assert_eq!(far.verdict, near.verdict);
        }
    }

    #[test]
    fn with_one_or_two_builds_only_the_step_counts(
        sizes in histories(1..3), step in 0_u64..50 << 20, grows: bool,
    ) {
        let before = *sizes.last().unwrap();
        let after = if grows { Some(before + step) } else { before.checked_sub(step) };
        let Some(after) = after else { return Ok(()) };
        let large = step > STEP_FLOOR && u128::from(step) * 20 > u128::from(before);
        let expected = if large { StepVerdict::Notice } else { StepVerdict::Usual };
        prop_assert_eq!(judged(&sizes, after).verdict, expected);
    }

    #[test]
    fn what_stays_is_usual_whatever_was_before(sizes in histories(1..40)) {
        let same = judged(&sizes, *sizes.last().unwrap());
        prop_assert!(!same.creep_is_new, "{:?}", same);
        // Of a history that grows by much all the time, a stop is not usual: it is the one step that differs.
        if sizes.len() < 3 || sizes.windows(2).all(|pair| pair[0] == pair[1]) {
            prop_assert_eq!(same.verdict, StepVerdict::Usual);
        }
    }

    #[test]
    fn a_step_of_a_steady_artifact_is_told_once(
        size in 1_u64 << 20..400 << 20, builds in 3_usize..40, share in 0.04..3.0_f64, grows: bool,
    ) {
        let step = ((size as f64 * share) as u64).max(STEP_FLOOR + 1);
        let after = if grows { size + step } else { size.saturating_sub(step) };
        let mut sizes = vec![size; builds];
        prop_assert_eq!(judged(&sizes, size).verdict, StepVerdict::Usual);
        prop_assert_eq!(judged(&sizes, after).verdict, StepVerdict::Warning);
        for _ in 0..HISTORY + 2 {
            sizes.push(after);
            let again = judged(&sizes, after);
            prop_assert_eq!((again.verdict, again.creep_is_new), (StepVerdict::Usual, false));
        }
    }

    #[test]
    fn above_the_floors_only_proportions_count(
        from in 16_u64 << 20..100 << 20, steps in prop::collection::vec(-100_i64..100, 0..40), after in -400_i64..400, doublings in 1_u32..5,
    ) {
        // In thousandths of the first size, and never below where a floor would hold.
        let of = |thousandths: i64| from.saturating_add_signed(thousandths * i64::try_from(from / 1000).unwrap());
        let mut at = 0;
        let walk: Vec<u64> = steps.iter().map(|step| { at = (at + step).clamp(-300, 3000); of(at) }).collect();
        let sizes: Vec<u64> = std::iter::once(from).chain(walk).collect();
        let next = of((at + after).clamp(-300, 3000));
        // A power of two, so that floating-point numbers scale without rounding.
        let scaled = |size: u64| size << doublings;
        let (small, large) = (judged(&sizes, next), judged(&sizes.iter().copied().map(scaled).collect::<Vec<_>>(), scaled(next)));
        prop_assert_eq!(small.verdict, large.verdict);
        prop_assert_eq!((small.creep, small.creep_is_new, small.z), (large.creep, large.creep_is_new, large.z));
    }

    #[test]
    fn builds_of_long_ago_count_for_nothing(old in histories(1..40), sizes in histories(30..31), after in 0_u64..400 << 20) {
        let all: Vec<u64> = old.into_iter().chain(sizes.iter().copied()).collect();
        prop_assert_eq!(HISTORY, sizes.len());
        prop_assert_eq!(judged(&all, after).verdict, judged(&sizes, after).verdict);
        prop_assert_eq!(judged(&all, after).steps, judged(&sizes, after).steps);
    }

    #[test]
    fn growth_is_told_once_for_each_ten_per_cent(
        baseline in 3_u64 << 20..400 << 20, steps in prop::collection::vec(0_u64..2 << 20, 1..60),
    ) {
        let approved = Sample { number: 1, archive: baseline, unpacked: 0 };
        let (mut before, mut told) = (baseline, 0);
        for step in steps {
            let judge = |after| size_step(Measure::Archive, &[], Some(&approved), before, after);
            let judgement = judge(before + step);
            prop_assert!(judgement.creep || !judgement.creep_is_new);
            prop_assert!(!judge(before).creep_is_new, "nothing has changed");
            told += u64::from(judgement.creep_is_new);
            before += step;
            let tenths = u64::try_from(u128::from(before - baseline) * 10 / u128::from(baseline)).unwrap();
            prop_assert!(told <= tenths, "{told} times for {tenths} tenths");
            prop_assert_eq!(told > 0, judgement.creep, "what is so was told");
        }
    }

    #[test]
    fn any_history_is_survived(
        sizes in prop::collection::vec(any::<u64>(), 0..100), approved in prop::option::of(any::<u64>()),
        before: u64, after: u64,
    ) {
        let approved = approved.map(|size| Sample { number: 1, archive: size, unpacked: size });
        for measure in [Measure::Archive, Measure::Unpacked] {
            let step = size_step(measure, &samples(&sizes), approved.as_ref(), before, after);
            prop_assert_eq!(step.verdict == StepVerdict::NoHistory, sizes.is_empty());
            prop_assert!(step.n <= HISTORY as u64);
            prop_assert!([step.median, step.mad, step.scale, step.z, step.growth].into_iter().flatten().all(f64::is_finite));
            prop_assert!(!step.held_against().is_empty() && !step.spread().is_empty());
        }
    }
}
