//! Bytes as areas: a squarified treemap (Bruls, Huizing and van Wijk, 2000) as SVG.

use kiln_audit::format_size;
use maud::{Markup, html};

/// How large the picture of a map is, in units that are as large as points of a screen where there is room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// One of two beside each other.
pub(super) const HALF: Picture = Picture { width: 720.0, height: 400.0 };
/// One alone.
pub(super) const WHOLE: Picture = Picture { width: 1160.0, height: 420.0 };
/// Parts that have an area of their own; smaller ones share one.
const SHOWN: usize = 60;
/// How wide a letter is, about, and how high a line.
const LETTER: f64 = 6.7;
const LINE: f64 = 15.0;

/// A part of the whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// How many bytes it has.
    pub(super) bytes: u64,
    /// What decides its colour: a class of the style.
    pub(super) class: &'static str,
    /// What says more, as the target of a link.
    pub(super) leads_to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The map of some parts. `scale` is the share of the picture that they fill, so that two maps can be compared.
pub(super) fn treemap(label: &str, mut parts: Vec<Part<'_>>, picture: Picture, scale: f64) -> Markup {
    parts.retain(|part| part.bytes > 0);
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(b.name)));
    let rest = parts.split_off(parts.len().min(SHOWN));
    let others = format!("{} smaller ones", rest.len());
    let mut parts: Vec<Part<'_>> = parts;
    if !rest.is_empty() {
        let bytes = rest.iter().map(|part| part.bytes).fold(0, u64::saturating_add);
        parts.push(Part { name: &others, bytes, class: "rest", leads_to: None });
    }
    let side = scale.clamp(0.05, 1.0).sqrt();
    let whole = Area { x: 0.0, y: 0.0, width: picture.width * side, height: picture.height * side };
    let areas = squarified(&parts.iter().map(|part| part.bytes as f64).collect::<Vec<_>>(), whole);
    html! {
        div.scroll { svg.map viewBox={ "0 0 " (picture.width) " " (picture.height) } role="group" aria-label=(label) {
            @for (part, area) in parts.iter().zip(areas) {
                @match &part.leads_to {
                    Some(target) => a href=(target) { (tile(part, area)) }
                    None => g { (tile(part, area)) }
                }
            }
        } }
    }
}

fn tile(part: &Part<'_>, area: Area) -> Markup {
    let size = format_size(part.bytes);
    let room = ((area.width - 8.0) / LETTER).max(0.0) as usize;
    let name = shortened(part.name, room);
    let fits = area.height > LINE + 3.0;
    let two = area.height > 2.0 * LINE + 5.0 && room >= size.len();
    html! {
        title { (part.name) ": " (size) }
        rect.(part.class) x=(unit(area.x)) y=(unit(area.y)) width=(unit(area.width)) height=(unit(area.height)) {}
        @if fits {
            @if let Some(name) = name {
                text x=(unit(area.x + 5.0)) y=(unit(area.y + LINE)) { (name) }
                @if two { text.small x=(unit(area.x + 5.0)) y=(unit(area.y + 2.0 * LINE)) { (size) } }
            }
        }
    }
}

/// As much of a name as there is room for, if that says anything.
fn shortened(name: &str, room: usize) -> Option<String> {
    if name.chars().count() <= room {
        return Some(name.to_owned());
    }
    (room >= 5).then(|| name.chars().take(room - 1).chain(['…']).collect())
}

/// A coordinate with as many digits as can be seen.
fn unit(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// The areas of values, which are positive and sorted, largest first: as square as they can be in one pass.
fn squarified(values: &[f64], whole: Area) -> Vec<Area> {
    let total: f64 = values.iter().sum();
    let mut areas = Vec::with_capacity(values.len());
    let mut free = whole;
    let scale = if total > 0.0 { whole.width * whole.height / total } else { 0.0 };
    let mut rest: Vec<f64> = values.iter().map(|value| value * scale).collect();
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut count = 1;
        while count < rest.len() && worst(&rest[..=count], side) <= worst(&rest[..count], side) {
            count += 1;
        }
        let row: Vec<f64> = rest.drain(..count).collect();
        free = lay(&row, free, &mut areas);
    }
    areas
}

/// How far from square the worst of a row is along a side.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let ratio = |value: &f64| {
        let (long, short) = (side * side * value, sum * sum);
        if long > 0.0 && short > 0.0 { (long / short).max(short / long) } else { f64::MAX }
    };
    row.iter().map(ratio).fold(0.0, f64::max)
}

/// Lays a row along the shorter side, and returns what is left.
fn lay(row: &[f64], free: Area, areas: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    let (mut x, mut y) = (free.x, free.y);
    if free.width >= free.height {
        let width = if free.height > 0.0 { sum / free.height } else { 0.0 };
        for value in row {
            let height = if sum > 0.0 { free.height * value / sum } else { 0.0 };
            areas.push(Area { x, y, width, height });
            y += height;
        }
        return Area { x: free.x + width, width: (free.width - width).max(0.0), ..free };
    }
    let height = if free.width > 0.0 { sum / free.width } else { 0.0 };
    for value in row {
        let width = if sum > 0.0 { free.width * value / sum } else { 0.0 };
        areas.push(Area { x, y, width, height });
        x += width;
    }
    Area { y: free.y + height, height: (free.height - height).max(0.0), ..free }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Area = Area { x: 0.0, y: 0.0, width: 600.0, height: 400.0 };

    #[test]
    fn the_example_of_the_paper() {
        let areas = squarified(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], AREA);
        let first = areas[0];
        assert_eq!((first.x, first.y, first.width, first.height), (0.0, 0.0, 300.0, 200.0));
        assert_eq!((areas[1].y, areas[1].width), (200.0, 300.0));
        assert!((areas[2].x - 300.0).abs() < 1e-9 && (areas[2].height - 233.333).abs() < 0.01, "{areas:?}");
    }

    #[test]
    fn areas_are_as_their_values_and_fill_the_whole() {
        let values: Vec<f64> = (1..200).rev().map(|n| f64::from(n * n)).collect();
        let total: f64 = values.iter().sum();
        let areas = squarified(&values, AREA);
        for (value, area) in values.iter().zip(&areas) {
            let share = area.width * area.height / (AREA.width * AREA.height);
            assert!((share - value / total).abs() < 1e-9);
            assert!(area.x + area.width <= AREA.width + 1e-6 && area.y + area.height <= AREA.height + 1e-6);
        }
    }

    #[test]
    fn nothing_and_huge_sizes_have_a_map() {
        assert!(treemap("empty", Vec::new(), HALF, 1.0).into_string().contains("<svg"));
        let part = |bytes| Part { name: "a", bytes, class: "same", leads_to: None };
        let text = treemap("huge", vec![part(u64::MAX), part(0), part(u64::MAX)], HALF, 0.0).into_string();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
