//! What is told of source folders and contexts of Dockerfiles: what rules left out, and what git does not know.

use crate::source::{Git, Ruled, SOURCE_RULES, SourceTree};
use crate::verdict::Verdict;
use kiln_record::{Check, CheckName, Code, Finding, Place, Transformation};
use std::collections::BTreeMap;

/// How many files a finding names.
const SHOWN: usize = 10;

/// The verdict on one source folder, which lies at `path` of the workspace.
#[must_use]
pub fn source_verdict(path: &str, source: &SourceTree) -> Verdict {
    let Ruled { tracked_left_out, .. } = &source.ruled;
    let mut verdict = Verdict::of_checks(tracked(path, source));
    let finding = untracked(path, source, "shipped, and git neither tracks nor ignores");
    verdict.findings.extend(finding.map(|finding| {
        finding
            .remedy("commit what belongs to the code: a clone would build another artifact")
            .remedy("or add the rest to .gitignore, or to `exclude` under `[source]`")
    }));
    if !tracked_left_out.is_empty() {
        let (count, is) = counted(tracked_left_out.len(), "name");
        let cause = format!("{count} of {path} {is} tracked by git, and left out all the same");
        let names = tracked_left_out.iter().map(|(name, rule)| format!("{name}, by the rule {rule}"));
        verdict.findings.push(
            shown(Finding::new(Code::TrackedFileLeftOut, path, cause), names)
                .remedy("bring back what the code needs: add its name to `include` under `[source]`, beside \"**\"")
                .remedy("or take the rest out of the repository, or add it to `exclude` under `[source]`"),
        );
    }
    verdict
}

/// The verdict on what a Dockerfile copies of its context, which lies at `path` of the workspace.
#[must_use]
pub fn context_verdict(path: &str, copied: &SourceTree) -> Verdict {
    let finding =
        untracked(path, copied, "copied by the Dockerfile, and git does not track").map(|finding| {
            finding
                .remedy("commit what belongs to the image: a clone would build another one")
                .remedy("or leave the rest out of the context: add it to .dockerignore")
        });
    Verdict { findings: finding.into_iter().collect(), checks: tracked(path, copied) }
}

/// What git does not track of what is taken; `what` says what is done with it.
fn untracked(path: &str, source: &SourceTree, what: &str) -> Option<Finding> {
    let names = &source.ruled.untracked;
    let first = names.first()?;
    let (count, is) = counted(names.len(), "file");
    let cause = format!("{count} of {path} {is} {what} {}", them(names.len()));
    let finding = Finding::new(Code::UntrackedFile, path, cause).at(Place::file(&in_workspace(path, first)));
    Some(shown(finding, names.iter().cloned()))
}

/// Whether it could be told what git tracks.
fn tracked(path: &str, source: &SourceTree) -> Vec<Check> {
    match &source.ruled.git {
        Git::Absent => Vec::new(),
        Git::Known => vec![Check::ran(CheckName::Tracked, source.tree.len(), "files")],
        Git::Unknown(reason) => vec![Check::not_checked(CheckName::Tracked, format!("{path}: {reason}"))],
    }
}

/// A path of a folder as the workspace has it.
fn in_workspace(folder: &str, path: &str) -> String {
    match folder {
        "." => path.to_owned(),
        _ => format!("{folder}/{path}"),
    }
}

/// What the rules of source folders left out, in the order of the rules' names. Each source is at its path of the workspace.
#[must_use]
pub fn source_transformations<'a>(
    sources: impl Iterator<Item = (&'a str, &'a SourceTree)>,
) -> Vec<Transformation> {
    let mut by_rule: BTreeMap<&str, Transformation> = BTreeMap::new();
    for (path, source) in sources {
        for (rule, names) in &source.ruled.left_out {
            let done = by_rule.entry(rule).or_insert_with(|| Transformation::new(rule, SOURCE_RULES));
            done.not_taken.extend(names.iter().map(|name| in_workspace(path, name)));
            done.files = done.not_taken.len() as u64;
        }
    }
    by_rule.into_values().collect()
}

fn counted(count: usize, noun: &str) -> (String, &'static str) {
    match count {
        1 => (format!("1 {noun}"), "is"),
        _ => (format!("{count} {noun}s"), "are"),
    }
}

fn them(count: usize) -> &'static str {
    if count == 1 { "it" } else { "them" }
}

fn shown(mut finding: Finding, names: impl ExactSizeIterator<Item = String>) -> Finding {
    let count = names.len();
    for name in names.take(SHOWN) {
        finding = finding.detail(name);
    }
    if count > SHOWN {
        finding = finding.detail(format!("and {} more", count - SHOWN));
    }
    finding
}
