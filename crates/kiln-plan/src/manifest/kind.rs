//! Kinds of artifacts in messages.

use kiln_record::ArtifactKind;

/// A kind with its article.
pub(super) fn a(kind: ArtifactKind) -> String {
    let article = if kind == ArtifactKind::Image { "an" } else { "a" };
    format!("{article} {kind}")
}
