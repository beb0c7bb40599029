//! What is told of source folders: what their rules left out, and what git does not know.

use crate::source::{Git, Ruled, SOURCE_RULES, SourceTree};
use crate::verdict::Verdict;
use kiln_record::{Check, CheckName, Code, Finding, Transformation};
use std::collections::BTreeMap;

/// How many files a finding names.
const SHOWN: usize = 10;

/// The verdict on one source folder, which lies at `path` of the workspace.
#[must_use]
pub fn source_verdict(path: &str, source: &SourceTree) -> Verdict {
    let Ruled { tracked_left_out, untracked, git, .. } = &source.ruled;
    let mut verdict = Verdict::default();
    if !untracked.is_empty() {
        let (count, is) = counted(untracked.len(), "file");
        let cause = format!(
            "{count} of {path} {is} shipped, and git neither tracks nor ignores {}",
            them(untracked.len())
        );
        verdict.findings.push(
            shown(Finding::new(Code::UntrackedFile, path, cause), untracked.iter().cloned())
                .remedy("commit what belongs to the code: a clone would build another artifact")
                .remedy("or add the rest to .gitignore, or to `exclude` under `[source]`"),
        );
    }
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
    match git {
        Git::Absent => {}
        Git::Known => {
            verdict.checks.push(Check::ran(CheckName::Tracked, source.tree.len(), "files"));
        }
        Git::Unknown(reason) => {
            verdict.checks.push(Check::not_checked(CheckName::Tracked, format!("{path}: {reason}")));
        }
    }
    verdict
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
            done.not_taken.extend(names.iter().map(|name| match path {
                "." => name.clone(),
                _ => format!("{path}/{name}"),
            }));
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
