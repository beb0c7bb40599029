//! The `layers` key: the layers that a function is used with.

use super::kind::a;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, ArtifactName};
use std::collections::BTreeSet;
use std::ops::Range;

/// The most layers that Lambda gives a function.
const MOST: usize = 5;

/// Reads the key: the names, in order, and where each of them is.
pub(super) fn parse(
    stated: &[Spanned<String>],
    kind: ArtifactKind,
    problems: &mut Problems<'_>,
) -> (Vec<ArtifactName>, Vec<Range<usize>>) {
    let mut layers = Vec::new();
    let mut spans = Vec::new();
    for layer in stated {
        match layer.get_ref().parse::<ArtifactName>() {
            Ok(name) => {
                layers.push(name);
                spans.push(layer.span());
            }
            Err(error) => {
                problems.at(layer.span(), error.to_string(), "name another manifest without its ending");
            }
        }
    }
    if let Some(first) = spans.first() {
        if kind == ArtifactKind::LambdaLayer {
            problems.at(first.clone(), "a layer cannot use layers", "remove `layers`");
        }
        if kind.is_image() {
            problems.at(
                first.clone(),
                format!("{} cannot use layers: Lambda gives them to zips only", a(kind)),
                "remove `layers`, and lock what they hold",
            );
        }
    }
    if let Some(sixth) = spans.get(MOST) {
        problems.at(
            sixth.clone(),
            format!("{} layers are named; Lambda takes five", layers.len()),
            "merge some of them",
        );
    }
    if stated.iter().map(Spanned::get_ref).collect::<BTreeSet<_>>().len() < stated.len() {
        problems.at(stated[0].span(), "a layer is named twice", "name each layer once");
    }
    (layers, spans)
}
