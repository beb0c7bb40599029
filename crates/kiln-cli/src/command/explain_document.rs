//! What `kiln explain --format json` prints.

use kiln_build::{ExplainedDistribution, ExplainedMarker, ExplainedPath, ExplainedWheel, Explanation};
use kiln_record::{ArtifactName, BuiltFrom, Cause, Digest, Entry, Finding, Importable};
use serde::Serialize;

/// An artifact with all distributions that have to do with it. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Overview<'a> {
    artifact: &'a ArtifactName,
    /// What it is for.
    runtime: &'a str,
    architecture: &'static str,
    base: &'a str,
    /// The lock, if it has distributions.
    lock: Option<&'a str>,
    /// The build that was looked at, such as `app@3`.
    build: Option<&'a str>,
    /// Whether that build is of the inputs as they are now.
    build_is_current: bool,
    distributions: Vec<Distribution<'a>>,
    findings: &'a [Finding],
}

impl<'a> Overview<'a> {
    pub(crate) fn new(explanation: &'a Explanation) -> Self {
        Self {
            artifact: &explanation.artifact,
            runtime: &explanation.target.runtime,
            architecture: explanation.target.architecture.lambda(),
            base: &explanation.base,
            lock: explanation.lock.as_deref(),
            build: explanation.build.as_ref().map(|build| build.label.as_str()),
            build_is_current: explanation.build_is_current,
            distributions: explanation.distributions.iter().map(Distribution::new).collect(),
            findings: &explanation.findings,
        }
    }
}

/// All that is known of one distribution. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Distribution<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// Where the project asks for it.
    declared: Vec<Declared<'a>>,
    /// Where the lock names it, as `file:line`.
    locked: Option<&'a str>,
    /// The wheel that was chosen, if it was fetched.
    fetched: Option<Wheel<'a>>,
    /// Whether the build that was looked at has it in this version.
    installed: Option<bool>,
    /// Whether that build could import it.
    importable: Option<&'a Importable>,
    /// Why it is left out, if it is.
    gap: Option<&'a Cause>,
    /// The same in words.
    reason: Option<String>,
    /// What requires it and is left out itself.
    parents_left_out: Vec<LeftOut<'a>>,
    /// The conditions on it.
    markers: Vec<Marker<'a>>,
    /// The shortest way from what the project asks for to it, itself included.
    chain: &'a [String],
    required_by: &'a [String],
    /// Other files of the lock, which were not taken.
    other_files: Vec<OtherFile<'a>>,
    /// How many files the lock allows by their hash alone.
    unnamed_files: usize,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Declared<'a> {
    text: &'a str,
    /// `file:line`.
    at: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct LeftOut<'a> {
    name: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct OtherFile<'a> {
    file_name: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Marker<'a> {
    marker: &'a str,
    /// None where it cannot be evaluated.
    value: Option<bool>,
    /// The variables in it with their values, or why it cannot be evaluated.
    values: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Wheel<'a> {
    file_name: &'a str,
    digest: Digest,
    size: u64,
    /// The tag by which it was chosen.
    tag: Option<&'a str>,
    built_from: Option<&'a BuiltFrom>,
    /// How many files it installs, and their bytes.
    files: usize,
    bytes: u64,
    largest: Vec<LargeFile<'a>>,
    native: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct LargeFile<'a> {
    path: &'a str,
    size: u64,
}

impl<'a> Distribution<'a> {
    pub(crate) fn new(row: &'a ExplainedDistribution) -> Self {
        let declared = row.declared.iter().map(|(text, at)| Declared { text, at });
        let left_out = row.parents_left_out.iter().map(|(name, reason)| LeftOut { name, reason });
        let other_files = row.other_files.iter().map(|(file_name, reason)| OtherFile { file_name, reason });
        Self {
            name: &row.name,
            version: row.version.as_deref(),
            declared: declared.collect(),
            locked: row.locked.as_deref(),
            fetched: row.wheel.as_ref().map(Wheel::new),
            installed: row.installed,
            importable: row.importable.as_ref(),
            gap: row.gap.as_ref(),
            reason: row.gap.as_ref().map(ToString::to_string),
            parents_left_out: left_out.collect(),
            markers: row.markers.iter().map(Marker::new).collect(),
            chain: &row.chain,
            required_by: &row.required_by,
            other_files: other_files.collect(),
            unnamed_files: row.unnamed_files,
        }
    }
}

impl<'a> Marker<'a> {
    fn new(marker: &'a ExplainedMarker) -> Self {
        Self { marker: &marker.marker, value: marker.value, values: &marker.values }
    }
}

impl<'a> Wheel<'a> {
    fn new(wheel: &'a ExplainedWheel) -> Self {
        Self {
            file_name: &wheel.file_name,
            digest: wheel.digest,
            size: wheel.size,
            tag: wheel.tag.as_deref(),
            built_from: wheel.built_from.as_ref(),
            files: wheel.files,
            bytes: wheel.bytes,
            largest: wheel.largest.iter().map(|(path, size)| LargeFile { path, size: *size }).collect(),
            native: &wheel.native,
        }
    }
}

/// One path of an artifact. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Path<'a> {
    path: &'a str,
    entry: &'a Entry,
    /// The component that owns it.
    component: &'a str,
    /// Where its content comes from, in words.
    origin: &'a str,
    /// The rules of packing that changed or made it.
    rules: Vec<Rule<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Rule<'a> {
    rule: &'a str,
    /// The content before; none where the rule made it.
    before: Option<Digest>,
}

impl<'a> Path<'a> {
    pub(crate) fn new(found: &'a ExplainedPath) -> Self {
        Self {
            path: &found.path,
            entry: &found.entry,
            component: &found.component,
            origin: &found.origin,
            rules: found.rules.iter().map(|(rule, before)| Rule { rule, before: *before }).collect(),
        }
    }
}
