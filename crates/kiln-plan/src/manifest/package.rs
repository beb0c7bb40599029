//! The `[package]` section: what packing leaves out or changes, each by a named rule.

use crate::problem::Problems;
use globset::GlobBuilder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What to leave out of the artifact, and what to change in it. Paths are those of the artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PackageSection {
    /// Globs of files to keep; everything if absent.
    pub include: Option<Vec<String>>,
    /// Globs of files to leave out; they win over `include`.
    pub exclude: Vec<String>,
    /// Sets of files of distributions to leave out.
    pub drop: BTreeSet<DropRule>,
    /// What to remove from native code.
    pub strip: Strip,
    /// Whether to bring bytecode along.
    pub bytecode: Bytecode,
}

/// A set of files that distributions bring and that running code seldom needs. Never applied to the
/// artifact's own source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DropRule {
    /// Test folders that nothing else imports.
    Tests,
    /// Documentation.
    Docs,
    /// Type information for type checkers.
    TypeStubs,
    /// C and Cython headers.
    Headers,
    /// Libraries that only linkers read.
    StaticLibraries,
    /// C, Fortran and Cython code that native modules were compiled from.
    NativeSources,
}

impl DropRule {
    /// The name in manifests, records and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Docs => "docs",
            Self::TypeStubs => "type-stubs",
            Self::Headers => "headers",
            Self::StaticLibraries => "static-libraries",
            Self::NativeSources => "native-sources",
        }
    }
}

/// What to remove from native code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Strip {
    /// Nothing.
    #[default]
    None,
    /// Debug information.
    Debug,
    /// Debug information and the symbols that only debuggers and profilers use.
    Symbols,
}

/// Whether to bring bytecode along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Bytecode {
    /// None: the runtime compiles what it imports.
    #[default]
    None,
    /// Bytecode that the interpreter uses without looking at its source (PEP 552).
    UncheckedHash,
}

impl PackageSection {
    /// Checks it. Where a Dockerfile says what is in the image, there is nothing to leave out.
    pub(super) fn parse(self, by_dockerfile: bool, problems: &mut Problems<'_>) -> Self {
        if by_dockerfile {
            problems.at_top(
                "there is a [package] section, but the Dockerfile says what is in the image",
                "remove the section, and what it left out in the Dockerfile",
            );
        }
        for pattern in self.include.iter().flatten().chain(&self.exclude) {
            if let Err(error) = GlobBuilder::new(pattern).literal_separator(true).build() {
                problems.in_file(
                    format!("`{pattern}` under [package] is not a glob: {}", error.kind()),
                    "see docs/manifests.md for the patterns",
                );
            }
        }
        for pattern in self.exclude.iter().filter(|pattern| pattern.contains("dist-info")) {
            problems.in_file(
                format!("`{pattern}` under [package] would leave out metadata of distributions"),
                "remove it: entry points, versions and licences are read from `.dist-info` folders at run time; to leave \
                 out a whole distribution, name it in `exclude` under [python]",
            );
        }
        if self.include.as_ref().is_some_and(Vec::is_empty) {
            problems.in_file(
                "`include` under [package] is empty: nothing would be in the artifact",
                "remove the key to keep everything",
            );
        }
        self
    }
}
