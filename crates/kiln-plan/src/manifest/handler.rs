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
            "write module.function; everything before the last dot is the module",
        ),
        _ => {}
    }
    Some(handler.into_inner())
}

/// A module path with dots or slashes, a dot, an attribute.
fn is_handler(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
            && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    text.rsplit_once('.')
        .is_some_and(|(module, attribute)| part(attribute) && module.split(['.', '/']).all(part))
}
