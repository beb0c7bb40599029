//! The document of `kiln pins`.

use kiln_lock::Pin;
use kiln_record::{ArtifactName, Epoch};
use serde::Serialize;
use std::collections::BTreeMap;

/// One thing that is pinned. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    follows: &'a str,
    /// What it is pinned to, by platform.
    pinned_to: BTreeMap<&'a str, &'a str>,
    pinned: Option<String>,
    age_days: Option<u64>,
    /// The file with the pin.
    file: &'a str,
    /// What moves the pin.
    command: &'a str,
    /// Why the pin is not in force, if it is not.
    problem: Option<&'a str>,
    /// How often it is to be looked at again: `monthly`, `30 days`.
    review: Option<String>,
    /// Whether that should have been done by now.
    overdue: bool,
    /// The artifacts that need it.
    used_by: Vec<&'a str>,
}

impl<'a> Row<'a> {
    pub(super) fn new(pin: &'a Pin, now: Epoch) -> Self {
        Self {
            kind: pin.thing.as_str(),
            name: &pin.name,
            follows: &pin.follows,
            pinned_to: pin
                .pinned_to
                .iter()
                .map(|(platform, digest)| (platform.as_str(), digest.as_str()))
                .collect(),
            pinned: pin.pinned.map(|pinned| pinned.to_string()),
            age_days: pin.age(now),
            file: &pin.file,
            command: &pin.command,
            problem: pin.problem.as_deref(),
            review: pin.review.as_ref().map(|(period, _)| period.to_string()),
            overdue: pin.is_overdue(now),
            used_by: pin.used_by.iter().map(ArtifactName::as_str).collect(),
        }
    }
}
