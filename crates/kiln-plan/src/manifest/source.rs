//! The `[source]` section: the artifact's own files.

use serde::{Deserialize, Serialize};

/// Where an image that is no Lambda function has its own files and its distributions, unless the manifest says otherwise.
pub const APP_FOLDER: &str = "app";

/// The `[source]` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// The folder. A manifest writes it relative to its own folder; once read it is relative to the workspace. Its content
    /// lands at the artifact's root.
    pub path: String,
    /// Globs, relative to `path`, of files to take.
    #[serde(default = "everything")]
    pub include: Vec<String>,
    /// Globs, relative to `path`, of files to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The folder of the artifact that the content lands in: `.` is its root. If absent, where Lambda looks for modules,
    /// and [`APP_FOLDER`] in an image of any other service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

pub(super) fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}
