//! The `handler` key: what Lambda calls.

use super::kind::a;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::ArtifactKind;

/// Reads the key: functions have it, nothing else does.
pub(super) fn parse(
    stated: Option<Spanned<String>>,
    kind: ArtifactKind,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let Some(handler) = stated else {
        if kind.is_function() {
            problems.at_top(format!("{} needs a handler", a(kind)), "add handler = \"module.function\"");
        }
        return None;
    };
    match kind {
        ArtifactKind::LambdaLayer => problems.at(
            handler.span(),
            "a lambda-layer has no handler",
            "remove it, or make this a lambda-zip",
        ),
        ArtifactKind::Image => problems.at(
            handler.span(),
            "an image has no handler",
            "remove it and say under [image] what starts the service, or make this a lambda-image",
        ),
        _ if !is_handler(handler.get_ref()) => problems.at(
            handler.span(),
            format!("`{}` is not a handler", handler.get_ref()),
            "write module.function, without space and in at most 128 characters; what is before the last dot is the module",
        ),
        _ => {}
    }
    Some(handler.into_inner())
}

/// Whether Lambda takes this as the handler of a function: up to 128 characters without space. What it names
/// the runtime finds, which imports any module that there is a file for; checks tell where it finds none.
fn is_handler(text: &str) -> bool {
    !text.is_empty()
        && text.chars().count() <= 128
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
