//! What a project asks for by name, and the Pythons that it is for.

use crate::specifier::Constraint;
use kiln_record::DistributionName;
use std::collections::BTreeSet;

/// A `requires-python` with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiresPython {
    /// As written.
    pub text: String,
    /// The file that says so.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The versions it accepts.
    pub constraint: Constraint,
}

impl RequiresPython {
    /// Whether a Python of this version is accepted. Text that is no version is not.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        version.parse().is_ok_and(|version| self.constraint.contains(&version))
    }
}

/// Something that the project asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The distribution.
    pub name: DistributionName,
    /// The requirement as written, without its hashes.
    pub text: String,
    /// The file that says so.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The condition that it is asked for under.
    pub marker: Option<String>,
    /// The versions that are asked for, if any are.
    pub constraint: Option<Constraint>,
    /// The dependency group; `main` where a format has none.
    pub group: String,
    /// The extras of the distribution that are asked for, in normal form.
    pub extras: Vec<String>,
    /// The project's extras that ask for it; empty if it is always asked for.
    pub enabled_by: Vec<String>,
}

/// A requirement as a dependency specifier: `name[extra]>=1,<2 ; marker`.
///
/// # Errors
/// Why its versions cannot be written so.
pub(crate) fn specifier(declared: &Declared, prereleases: bool) -> Result<String, String> {
    let extras =
        if declared.extras.is_empty() { String::new() } else { format!("[{}]", declared.extras.join(",")) };
    let mut versions =
        declared.constraint.as_ref().map(Constraint::to_specifiers).transpose()?.unwrap_or_default();
    if prereleases {
        // A specifier that names a pre-release is how an installer is told that they are wanted of one
        // distribution.
        versions.push_str(if versions.is_empty() { ">=0.dev0" } else { ",>=0.dev0" });
    }
    let marker = declared.marker.as_ref().map_or_else(String::new, |marker| format!(" ; {marker}"));
    Ok(format!("{}{extras}{}{marker}", declared.name, versions.replace(", ", ",")))
}

/// Whether a declaration belongs to the chosen groups and extras.
pub(crate) fn is_asked_for(
    declared: &Declared,
    groups: &BTreeSet<String>,
    extras: &BTreeSet<String>,
) -> bool {
    groups.contains(&declared.group)
        && (declared.enabled_by.is_empty() || declared.enabled_by.iter().any(|extra| extras.contains(extra)))
}
