//! Paths in manifests.

use crate::problem::Problems;
use crate::workspace_path::{in_workspace, resolved};
use std::ops::Range;

/// The help for a path that leads elsewhere.
const RELATIVE: &str = "write a path relative to the manifest's folder, inside the workspace";

/// The help for a source folder that is not in the workspace.
const OUTSIDE: &str = "write a path relative to the manifest's folder, inside the workspace; where the code lies beside or above \
     the workspace, move kiln.toml, images/ and manifests/ up to the folder that holds both";

/// A path that a manifest writes relative to its own folder, relative to the workspace.
pub(super) fn beside_manifest(text: &str, span: Range<usize>, problems: &mut Problems<'_>) -> Option<String> {
    in_workspace("manifests", text).map_err(|message| problems.at(span, message, RELATIVE)).ok()
}

/// The same for a folder that may also be that of the manifests or the workspace itself, which is `.`.
pub(super) fn beside_manifest_or_at_it(
    text: &str,
    span: Range<usize>,
    problems: &mut Problems<'_>,
) -> Option<String> {
    resolved("manifests", text)
        .map(|path| if path.is_empty() { ".".to_owned() } else { path })
        .map_err(|message| problems.at(span, message, OUTSIDE))
        .ok()
}
