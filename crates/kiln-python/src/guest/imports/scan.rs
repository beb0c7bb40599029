//! What the imports of an artifact's own code mean, as reading its files told.

use super::check::{ImportReport, UnresolvedImport, place_of};
use super::surroundings::Surroundings;
use kiln_record::{Check, CheckName, Code, Finding, Level, Place};
use std::collections::{BTreeMap, BTreeSet};

/// The way out for a module of which nothing is known: the same words for each, so that they are told together.
const ADD: &str = "add the distribution that has it to the project's dependencies and lock again";

/// What the scan means. `found` are the findings of the live import: what they say of a module is not said
/// again.
#[must_use]
pub fn scan_findings(
    report: &ImportReport,
    around: &Surroundings,
    found: &[Finding],
) -> (Vec<Finding>, Check) {
    let scan = &report.scan;
    let mut by_module: BTreeMap<&str, Vec<&UnresolvedImport>> = BTreeMap::new();
    for unresolved in &scan.unresolved {
        by_module.entry(&unresolved.module).or_default().push(unresolved);
    }
    let told = |module: &str| {
        found.iter().filter(|finding| finding.code == Code::ImportFailed).any(|finding| {
            finding.subject == module
                || module.strip_prefix(finding.subject.as_str()).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let mut findings: Vec<Finding> = by_module
        .into_iter()
        .filter(|(module, _)| !told(module))
        .map(|(module, places)| match tests(&places) {
            Some(patterns) => unresolved(module, &places)
                .remedy(format!("leave the tests out: add {patterns} to `exclude` under `[source]`"))
                .remedy(
                    "or, if they are to be shipped and not to be read, name them in `skip` under `[check]`",
                ),
            None => around
                .explain_missing(module, unresolved(module, &places), ADD)
                .remedy("or, if the code can do without it, catch `ImportError` around the import"),
        })
        .collect();
    findings.extend(not_declared(report, around));
    let check = Check::ran(CheckName::ImportsRead, scan.imports, "imports");
    (findings, check)
}

fn unresolved(module: &str, places: &[&UnresolvedImport]) -> Finding {
    let conditional = places.iter().all(|place| place.conditional);
    let lazy = places.iter().all(|place| place.lazy);
    let when = match (conditional, lazy) {
        (true, _) => "under a condition that is not known here",
        (false, true) => "when a function is called",
        (false, false) => "when its file is imported",
    };
    let mut finding = Finding::new(
        Code::ImportUnresolved,
        module,
        format!(
            "it is imported {when}, and it is neither in the artifact, nor in a layer, the runtime or the standard library"
        ),
    );
    if conditional {
        finding.level = Level::Warn;
    }
    if let Some(place) = places.first() {
        finding = finding.at(Place { file: place.file.clone(), line: Some(place.line) });
    }
    for place in places.iter().take(5) {
        finding = finding.detail(format!("imported at {}:{}", place.file, place.line));
    }
    finding
}

/// The patterns of the test files that alone import something; none if others do.
fn tests(places: &[&UnresolvedImport]) -> Option<String> {
    let pattern = |place: &&UnresolvedImport| {
        let parts: Vec<&str> = place.file.split('/').collect();
        let (name, folders) = parts.split_last()?;
        if let Some(depth) = folders.iter().position(|folder| matches!(*folder, "test" | "tests")) {
            return Some(format!("\"{}/**\"", folders[..=depth].join("/")));
        }
        let is_test = name.starts_with("test_") || name.ends_with("_test.py") || *name == "conftest.py";
        is_test.then(|| format!("\"{}\"", place.file))
    };
    let patterns: Option<BTreeSet<String>> = places.iter().map(pattern).collect();
    Some(patterns?.into_iter().collect::<Vec<_>>().join(", "))
}

fn not_declared(report: &ImportReport, around: &Surroundings) -> Vec<Finding> {
    let Some(declared) = &around.declared else { return Vec::new() };
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for first in &report.scan.first {
        let Some(owner) = around.owner(&first.module) else { continue };
        if declared.contains(owner) || !told.insert(owner) {
            continue;
        }
        let mut finding = Finding::new(
            Code::ImportedNotDeclared,
            owner.as_str(),
            format!(
                "`{}` is imported at {}, but {owner} is here only because another distribution requires it",
                first.module, first.at
            ),
        )
        .remedy(format!(
            "add {owner} to the project's dependencies, so that it stays when the other one goes"
        ));
        finding.place = place_of(&first.at);
        findings.push(finding);
    }
    findings
}
