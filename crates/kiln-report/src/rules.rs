//! What the rules behind remarks mean, and what to do: the findings from their own page, word for word.

use kiln_record::{Code, Level, exit};

/// A page of the documentation that is compiled in, so that there is no second text to keep in step.
const PAGE: &str = include_str!("../../../docs/findings.md");

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it means where it holds, as text.
    pub meaning: String,
    /// What usually helps, as text.
    pub way_out: String,
    /// Its usual level.
    pub level: Level,
}

/// Rules of comparisons and verifications, which are no findings.
const OTHERS: [(&str, Level, &str, &str); 11] = [
    (
        "diff-unexplained",
        Level::Warn,
        "Something changed that no changed input accounts for.",
        "Find out what made it: with pinned inputs nothing changes on its own.",
    ),
    (
        "diff-step",
        Level::Warn,
        "A size changed by more than is usual for this artifact.",
        "Look at the components that explain the step.",
    ),
    (
        "diff-creep",
        Level::Warn,
        "A size grew in many steps that are each too small to be noticed.",
        "Look at what came since the oldest build of the history.",
    ),
    (
        "diff-component",
        Level::Note,
        "One component makes up much of a change of size.",
        "Look at why it changed.",
    ),
    (
        "diff-privileged",
        Level::Warn,
        "A file runs as its owner or group, and did not before.",
        "Find out who asked for it; what a function runs needs no other rights than its own.",
    ),
    (
        "diff-check",
        Level::Warn,
        "A check was made before, and is not made now.",
        "Let it be made again, or say in the policy why it is not.",
    ),
    (
        "diff-changed",
        Level::Note,
        "A component differs between the two builds, or an artifact is there on one side only.",
        "",
    ),
    ("diff-allows", Level::Note, "A build may do, needs or was held against something else than before.", ""),
    (
        "diff-denied",
        Level::Deny,
        "The comparison found something that `--fail-on` denies.",
        "Take the change back, or let the comparison pass it.",
    ),
    (
        "verify-differs",
        Level::Deny,
        "What is published, or a file, is not what was built.",
        "kiln verify --repair sets right what can be set right from what is left.",
    ),
    ("verify-noted", Level::Note, "Something is as it should be, and worth knowing.", ""),
];

/// The rule of a name: the code of a finding, what comparisons and verifications hold, or the kind of an error. What has no page of its own says no more
/// than its name.
#[must_use]
pub fn rule(name: &str) -> Rule {
    if let Some((_, level, meaning, way_out)) = OTHERS.iter().find(|(known, ..)| *known == name) {
        return Rule { meaning: (*meaning).to_owned(), way_out: (*way_out).to_owned(), level: *level };
    }
    if let Some(exit) = exit::ALL.iter().find(|exit| exit.kind() == name) {
        let (meaning, way_out) = (exit.meaning().to_owned(), String::new());
        return Rule { meaning, way_out, level: Level::Deny };
    }
    let level = name.parse::<Code>().map_or(Level::Warn, Code::default_level);
    let start = format!("| `{name}` |");
    let row = PAGE.lines().find(|line| line.starts_with(&start));
    let mut cells = row.unwrap_or_default().split(" | ").skip(2).map(text_of);
    let mut next = || cells.next().filter(|cell| !cell.is_empty());
    Rule { meaning: next().unwrap_or_else(|| name.to_owned()), way_out: next().unwrap_or_default(), level }
}

/// Whether there is a rule of this name.
#[must_use]
pub fn is_rule(name: &str) -> bool {
    name.parse::<Code>().is_ok() || OTHERS.iter().any(|(known, ..)| *known == name)
}

/// A cell of a table in Markdown without its links, which lead nowhere from elsewhere.
fn text_of(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell.trim_end_matches('|').trim();
    while let Some((before, after)) = rest.split_once('[') {
        let Some((name, link)) = after.split_once("](") else { break };
        let Some((_, behind)) = link.split_once(')') else { break };
        text.push_str(before);
        text.push_str(name);
        rest = behind;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_meaning_and_its_way_out() {
        for code in Code::ALL {
            let rule = rule(code.as_str());
            assert!(rule.meaning.len() > 15 && rule.way_out.len() > 5, "{code}: {rule:?}");
            assert!(!rule.meaning.contains("](") && !rule.way_out.contains("]("), "{code}: {rule:?}");
        }
    }

    #[test]
    fn links_are_told_by_their_names() {
        assert_eq!(text_of("see [Policy](manifests.md#policy) and `[a]` |"), "see Policy and `[a]`");
    }
}
