//! The `[source]` section: the artifact's own files.

use super::path::beside_manifest;
use crate::problem::Problems;
use kiln_record::TreePath;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Where an image that is no Lambda function has its own files and its distributions, unless the manifest
/// says otherwise.
pub const APP_FOLDER: &str = "app";

/// The `[source]` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// The folder. A manifest writes it relative to its own folder; once read it is relative to the
    /// workspace. Its content lands at the artifact's root.
    pub path: String,
    /// Globs, relative to `path`, of files to take.
    #[serde(default = "everything")]
    pub include: Vec<String>,
    /// Globs, relative to `path`, of files to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The folder of the artifact that the content lands in: `.` is its root. If absent, where Lambda looks
    /// for modules, and [`APP_FOLDER`] in an image of any other service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

pub(super) fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}

impl SourceSection {
    /// Checks it, and makes its path relative to the workspace.
    pub(super) fn parse(mut self, by_dockerfile: bool, problems: &mut Problems<'_>) -> Self {
        if by_dockerfile {
            problems.at_top(
                "there is a [source] section, but the Dockerfile copies what it wants from its context",
                "remove the section; name the folder with `context` under [dockerfile]",
            );
        }
        if let Some(inside) = beside_manifest(&self.path, 0..0, problems) {
            self.path = inside;
        }
        check_globs(self.include.iter().chain(&self.exclude), &(0..0), problems);
        if let Some(into) = self.into.as_deref()
            && into != "."
            && let Err(error) = TreePath::new(into)
        {
            problems.at_top(
                format!("`source.into`: {error}"),
                "name a folder of the artifact, such as \"lib\" or \"bin\", or \".\" for its root",
            );
        }
        self
    }
}

/// Refuses patterns that are none.
pub(super) fn check_globs<'a>(
    globs: impl Iterator<Item = &'a String>,
    span: &Range<usize>,
    problems: &mut Problems<'_>,
) {
    for glob in globs {
        if let Err(error) = globset::Glob::new(glob) {
            problems.at(
                span.clone(),
                format!("`{glob}` is not a glob: {}", error.kind()),
                "see docs/manifests.md for the patterns",
            );
        }
    }
}
