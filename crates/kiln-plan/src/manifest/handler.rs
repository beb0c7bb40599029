//! The `handler` key: what Lambda calls.

use super::kind::a;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, Runtime};

/// Reads the key: functions have it, nothing else does. Where the runtime has no language of its own, what it says is the
/// affair of the program that reads it.
pub(super) fn parse(
    stated: Option<Spanned<String>>,
    kind: ArtifactKind,
    runtime: Option<&Runtime>,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let Some(handler) = stated else {
        if kind.is_function() {
            problems.at_top(format!("{} needs a handler", a(kind)), "add handler = \"module.function\"");
        }
        return None;
    };
    let has_no_language = runtime.is_some_and(|runtime| runtime.python.is_none());
    let is_text = !handler.get_ref().is_empty() && !handler.get_ref().contains(char::is_whitespace);
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
        _ if has_no_language && !is_text => problems.at(
            handler.span(),
            "the handler is empty, or has spaces in it, which Lambda does not take",
            "write what the program `bootstrap` expects; `bootstrap` itself is usual",
        ),
        _ if has_no_language => {}
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
