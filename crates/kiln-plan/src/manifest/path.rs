//! Paths in manifests.

use crate::problem::Problems;
use crate::workspace_path::in_workspace;
use std::ops::Range;

/// The help for a path that leads elsewhere.
const RELATIVE: &str = "write a path relative to the manifest's folder, inside the workspace";

/// A path that a manifest writes relative to its own folder, relative to the workspace.
pub(super) fn beside_manifest(text: &str, span: Range<usize>, problems: &mut Problems<'_>) -> Option<String> {
    in_workspace("manifests", text).map_err(|message| problems.at(span, message, RELATIVE)).ok()
}
