//! `[source]`, or `[[source]]` for several: the artifact's own files.

use super::path::beside_manifest_or_at_it;
use crate::problem::Problems;
use kiln_record::TreePath;
use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
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
    /// workspace, with `.` for its root. Its content lands at the artifact's root.
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

/// One `[source]`, or any number of `[[source]]`.
#[derive(Default)]
pub(super) struct SourceTables(pub(super) Vec<SourceSection>);

impl<'de> Deserialize<'de> for SourceTables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;

        impl<'de> Visitor<'de> for Tables {
            type Value = SourceTables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table `[source]`, or tables `[[source]]`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SourceTables, A::Error> {
                let one = SourceSection::deserialize(MapAccessDeserializer::new(map))?;
                Ok(SourceTables(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<SourceTables, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = tables.next_element()? {
                    all.push(one);
                }
                Ok(SourceTables(all))
            }
        }

        deserializer.deserialize_any(Tables)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SourceTables {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SourceTables".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<SourceSection>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl SourceTables {
    /// Checks each of them.
    pub(super) fn parse(self, by_dockerfile: bool, problems: &mut Problems<'_>) -> Vec<SourceSection> {
        let mut taken: Vec<SourceSection> = Vec::new();
        for section in self.0 {
            let section = section.parse(by_dockerfile, problems);
            if taken.iter().any(|other| (&other.path, &other.into) == (&section.path, &section.into)) {
                problems.at_top(
                    format!("two [[source]] tables take the same folder, {}", section.path),
                    "make one of them, with the `include` of both",
                );
            }
            taken.push(section);
        }
        taken
    }
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
        if let Some(inside) = beside_manifest_or_at_it(&self.path, 0..0, problems) {
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
