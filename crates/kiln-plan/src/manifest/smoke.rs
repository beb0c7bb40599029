//! Smoke events: what a function must be able to answer before it is published.

use super::path::beside_manifest;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, excerpt};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The most events of one manifest.
const MAX_EVENTS: usize = 100;

/// One `[[smoke]]`: an event, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SmokeEvent {
    /// Its name, for output.
    pub name: String,
    /// The file with the event, relative to the workspace.
    pub event: String,
    /// Whether the function must answer or fail.
    pub status: SmokeStatus,
    /// The error's type, where it must fail.
    pub error_type: Option<String>,
    /// The file with what is expected of the answer, relative to the workspace.
    pub expect: Option<String>,
    /// How the answer is held against it.
    #[serde(rename = "match")]
    pub matching: SmokeMatch,
    /// Whether a new process handles it.
    pub cold: bool,
}

/// How an invocation must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SmokeStatus {
    /// With an answer.
    #[default]
    Ok,
    /// With an error.
    Error,
}

/// How an answer is held against what is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SmokeMatch {
    /// What is expected is there; an object may have more members.
    #[default]
    Subset,
    /// Equal.
    Exact,
    /// What is expected is there with values of the same kinds.
    Shape,
}

/// One `[[smoke]]` as written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SmokeTable {
    name: Spanned<String>,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    event: Spanned<JsonFile>,
    #[serde(default)]
    status: SmokeStatus,
    error_type: Option<Spanned<String>>,
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    expect: Option<Spanned<JsonFile>>,
    #[serde(default, rename = "match")]
    matching: Option<Spanned<SmokeMatch>>,
    #[serde(default)]
    cold: bool,
}

/// What is written where a file with JSON is named.
#[derive(Debug)]
enum JsonFile {
    Path(String),
    /// The JSON itself, it seems.
    Inline,
}

impl<'de> Deserialize<'de> for JsonFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = JsonFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file with JSON")
            }

            fn visit_str<E>(self, text: &str) -> Result<JsonFile, E> {
                let is_json = text.trim_start().starts_with(['{', '[', '"']);
                Ok(if is_json { JsonFile::Inline } else { JsonFile::Path(text.to_owned()) })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<JsonFile, A::Error> {
                while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(JsonFile::Inline)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<JsonFile, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(JsonFile::Inline)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The path that a key names, relative to the workspace.
fn file_of(key: &str, written: &Spanned<JsonFile>, problems: &mut Problems<'_>) -> String {
    let path = match written.get_ref() {
        JsonFile::Path(path) => beside_manifest(path, written.span(), problems),
        JsonFile::Inline => {
            let help = format!(
                "write the JSON into a file beside the manifest, and its path here: {key} = \"app/{key}.json\""
            );
            problems.at(
                written.span(),
                format!("`{key}` names a file with JSON, and here is the JSON itself"),
                help,
            );
            None
        }
    };
    path.unwrap_or_default()
}

/// Reads the events of a manifest.
pub(super) fn parse(
    tables: Vec<SmokeTable>,
    kind: ArtifactKind,
    problems: &mut Problems<'_>,
) -> Vec<SmokeEvent> {
    if let (false, Some(first)) = (kind.is_function(), tables.first()) {
        let (message, help) = match kind {
            ArtifactKind::Image => (
                "an image handles no events, so it has no [[smoke]]",
                "say under [image] with `health-check` how to tell that it works",
            ),
            _ => (
                "a lambda-layer cannot be invoked, so it has no [[smoke]]",
                "add it to a function that uses the layer",
            ),
        };
        problems.at(first.name.span(), message, help);
        return Vec::new();
    }
    if let Some(table) = tables.get(MAX_EVENTS) {
        problems.at(
            table.name.span(),
            format!("there are more than {MAX_EVENTS} events"),
            "keep those that show that the package is sound; the rest are tests of the code",
        );
        return Vec::new();
    }
    let mut events: Vec<SmokeEvent> = Vec::new();
    for table in tables {
        let name = table.name.get_ref().clone();
        if name.trim().is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
            problems.at(
                table.name.span(),
                format!("`{}` is not a name for an event", excerpt(&name)),
                "write a few words on one line",
            );
        }
        if events.iter().any(|event| event.name == name) {
            problems.at(
                table.name.span(),
                format!("two events are named `{name}`"),
                "give each a name of its own",
            );
        }
        if let (SmokeStatus::Ok, Some(error_type)) = (table.status, &table.error_type) {
            problems.at(
                error_type.span(),
                "an answer has no error type",
                "add status = \"error\", or remove `error-type`",
            );
        }
        if let (Some(matching), None) = (&table.matching, &table.expect) {
            problems.at(
                matching.span(),
                "`match` says how to compare, but there is nothing to compare with",
                "name a file with `expect`, or remove `match`",
            );
        }
        events.push(SmokeEvent {
            name,
            event: file_of("event", &table.event, problems),
            status: table.status,
            error_type: table.error_type.map(Spanned::into_inner),
            expect: table.expect.as_ref().map(|file| file_of("expect", file, problems)),
            matching: table.matching.map(Spanned::into_inner).unwrap_or_default(),
            cold: table.cold,
        });
    }
    events
}
