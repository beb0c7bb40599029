//! The `[[environment]]` tables: what a function finds in Lambda otherwise than the table of `kiln-record` says.

use super::kind::a;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, FactChange, changeable, facts};
use serde::Deserialize;

/// One `[[environment]]` as written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentTable {
    /// The fact: `kiln show --environment` lists them.
    fact: Spanned<String>,
    /// What it is for this artifact.
    value: Spanned<String>,
    /// Why, for whoever reads the record.
    reason: Spanned<String>,
}

/// Reads the tables of a manifest, in order.
pub(super) fn parse(
    tables: &[EnvironmentTable],
    kind: ArtifactKind,
    problems: &mut Problems<'_>,
) -> Vec<FactChange> {
    if let (ArtifactKind::Image, Some(first)) = (kind, tables.first()) {
        problems.at(
            first.fact.span(),
            format!("{} does not run in Lambda, so it has no [[environment]]", a(kind)),
            "say under [image] how it runs",
        );
        return Vec::new();
    }
    let mut changes: Vec<FactChange> = Vec::new();
    for table in tables {
        let name = table.fact.get_ref();
        let Some(fact) = facts().iter().find(|fact| fact.name == *name) else {
            problems.at(
                table.fact.span(),
                format!("`{name}` is no fact of Lambda's environment that kiln knows"),
                format!("use one of: {}", changeable().join(", ")),
            );
            continue;
        };
        if let Err((message, help)) = fact.check(table.value.get_ref()) {
            problems.at(table.value.span(), message, help);
        }
        if table.reason.get_ref().trim().is_empty() {
            problems.at(table.reason.span(), "the reason is empty", "say how it is known, in a sentence");
        }
        if changes.iter().any(|change| change.fact == *name) {
            problems.at(table.fact.span(), format!("`{name}` is stated twice"), "state it once");
        }
        changes.push(FactChange {
            fact: name.clone(),
            value: table.value.get_ref().trim().to_owned(),
            reason: table.reason.get_ref().trim().to_owned(),
        });
    }
    changes
}
