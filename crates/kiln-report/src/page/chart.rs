//! Sizes from build to build, with the band that the next one is usual in.

use kiln_audit::{Measure, Sample, SizeStep, StepVerdict, format_size, size_step};
use maud::{Markup, html};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 190.0;
/// Room for words at the left, the right, above and below.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;
/// How far around its place the band of a build reaches.
const BAND: f64 = 12.0;

/// Sizes of an artifact, oldest first, and what they are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes<'a> {
    /// The builds before the newest one.
    pub(super) history: &'a [Sample],
    /// Where they are from, if that is known.
    pub(super) source: Option<&'a str>,
    /// The newest build.
    pub(super) newest: Sample,
    /// How it is called.
    pub(super) name: &'a str,
    /// How its step was judged, if that was done already.
    pub(super) judged: &'a [SizeStep],
}

/// Both sizes as charts; those alone that were judged, if any was. Nothing is shown without a history.
pub(super) fn sizes(sizes: Sizes<'_>) -> Markup {
    if sizes.history.is_empty() {
        return html! { p.faint { "No earlier build is known here, so there is no history to show." } };
    }
    let history = &sizes.history[sizes.history.len().saturating_sub(kiln_audit::HISTORY)..];
    let before = |measure: Measure| history.last().map_or(0, |sample| measure.of(sample));
    let steps = [Measure::Unpacked, Measure::Archive].map(|measure| {
        if sizes.judged.is_empty() {
            return Some(size_step(measure, history, None, before(measure), measure.of(&sizes.newest)));
        }
        sizes.judged.iter().find(|step| step.measure == measure).cloned()
    });
    html! {
        @if let Some(source) = sizes.source { p.faint { "The history is from " (source) "." } }
        div.maps {
            @for step in steps.iter().flatten() { (chart(step, history, sizes.newest, sizes.name)) }
        }
        ul.legend {
            li { svg.chart viewBox="0 0 10 10" aria-hidden="true" { rect.band x="0" y="0" width="10" height="10" {} } "where the newest build would be usual" }
            li { svg.chart viewBox="0 0 10 10" aria-hidden="true" { circle.newest cx="5" cy="5" r="4" {} } "the newest build" }
        }
    }
}

fn chart(step: &SizeStep, history: &[Sample], newest: Sample, newest_name: &str) -> Markup {
    let measure = step.measure;
    let bands = usual(step);
    let name = |sample: &Sample| match sample.number {
        0 => "the build before".to_owned(),
        number => format!("build {number}"),
    };
    let names = history.iter().map(name).chain([newest_name.to_owned()]);
    let values: Vec<(String, f64)> =
        names.zip(history.iter().chain([&newest]).map(|sample| measure.of(sample) as f64)).collect();
    let ends =
        values.iter().map(|(_, value)| *value).chain(bands.iter().flat_map(|(low, high)| [*low, *high]));
    let (low, high) = ends.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = ((high - low) * 0.06).max(1.0);
    let (low, high) = ((low - room).max(0.0), high + room);
    let x = |index: usize| {
        LEFT + BAND + (WIDTH - LEFT - RIGHT - 2.0 * BAND) * index as f64 / (values.len() - 1).max(1) as f64
    };
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (value - low) / (high - low));
    let last = values.len() - 1;
    let line: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(index, (_, value))| format!("{:.1},{:.1}", x(index), y(*value)))
        .collect();
    let verdict = match step.verdict {
        StepVerdict::NoHistory => "no history",
        StepVerdict::Usual => "usual",
        StepVerdict::Notice => "large, and the history is too short to know whether it is usual",
        StepVerdict::Warning => "unusual",
    };
    let caption =
        format!("{}: {verdict}. {}; {}", capital(&measure.to_string()), step.held_against(), step.spread());
    html! {
        figure {
            figcaption { (caption) }
            div.scroll { svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(caption) {
                @for (low_of_band, high_of_band) in &bands {
                    rect.band x=(format!("{:.1}", x(last) - BAND)) y=(format!("{:.1}", y(*high_of_band)))
                        width=(2.0 * BAND) height=(format!("{:.1}", (y(*low_of_band) - y(*high_of_band)).max(1.0))) {
                        title { "usual: " (format_size(*low_of_band as u64)) " to " (format_size(*high_of_band as u64)) }
                    }
                }
                line.axis x1=(LEFT) y1=(HEIGHT - BOTTOM) x2=(WIDTH - RIGHT) y2=(HEIGHT - BOTTOM) {}
                text x=(LEFT - 8.0) y=(TOP + 8.0) text-anchor="end" { (format_size(high as u64)) }
                text x=(LEFT - 8.0) y=(HEIGHT - BOTTOM) text-anchor="end" { (format_size(low as u64)) }
                text x=(format!("{:.1}", x(0))) y=(HEIGHT - 8.0) text-anchor="middle" { (values[0].0) }
                text x=(format!("{:.1}", x(last))) y=(HEIGHT - 8.0) text-anchor="end" { (values[last].0) }
                polyline.line points=(line.join(" ")) {}
                @for (index, (name, value)) in values.iter().enumerate() {
                    circle class=(if index == last { "newest" } else { "dot" }) cx=(format!("{:.1}", x(index)))
                        cy=(format!("{:.1}", y(*value))) r=(if index == last { "5" } else { "3" }) {
                        title { (name) ": " (format_size(*value as u64)) }
                    }
                }
            } }
        }
    }
}

/// The sizes at which the rule says nothing: within its limit of the median step, or within the gate. None if there are too
/// few builds for a judgement.
fn usual(step: &SizeStep) -> Vec<(f64, f64)> {
    let before = step.before as f64;
    let gate = (before - step.gate, before + step.gate);
    let Some((median, scale)) = step.median.zip(step.scale) else {
        return if step.n == 0 { Vec::new() } else { vec![at_least_nothing(gate)] };
    };
    let reach = step.z_limit * scale;
    let around = (before + median - reach, before + median + reach);
    let bands = if around.0 <= gate.1 && gate.0 <= around.1 {
        vec![(around.0.min(gate.0), around.1.max(gate.1))]
    } else {
        vec![around, gate]
    };
    bands.into_iter().map(at_least_nothing).collect()
}

fn at_least_nothing((low, high): (f64, f64)) -> (f64, f64) {
    (low.max(0.0), high.max(0.0))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn samples(sizes: &[u64]) -> Vec<Sample> {
        sizes
            .iter()
            .zip(1..)
            .map(|(size, number)| Sample { number, archive: *size, unpacked: *size })
            .collect()
    }

    #[test]
    fn what_is_in_the_band_is_what_the_rule_calls_usual() {
        for sizes in [&[20, 20, 20, 20][..], &[20, 22, 21, 24], &[10, 14, 18, 22], &[20, 21]] {
            let history: Vec<Sample> = samples(&sizes.iter().map(|size| size * MIB).collect::<Vec<_>>());
            let before = history.last().unwrap().unpacked;
            for after in (0..60).map(|half| half * MIB / 2 + 7) {
                let step = size_step(Measure::Unpacked, &history, None, before, after);
                let inside = usual(&step).iter().any(|(low, high)| (*low..=*high).contains(&(after as f64)));
                assert_eq!(inside, step.verdict == StepVerdict::Usual, "{sizes:?} {after}: {step:?}");
            }
        }
    }

    #[test]
    fn any_sizes_have_a_chart() {
        for sizes in [&[0][..], &[0, 0, 0], &[u64::MAX, 0, u64::MAX, 7]] {
            let newest = Sample { number: 9, archive: 0, unpacked: u64::MAX };
            let history = samples(sizes);
            let sizes = Sizes { history: &history, source: None, newest, name: "now", judged: &[] };
            let text = super::sizes(sizes).into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
