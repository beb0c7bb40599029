//! What the pages tell a reader to type is what kiln understands, and it is run: each page in the situation that it is for.

mod air_gap;
mod evidence;
mod invoke;
mod pins;
mod publishing;
mod readme;
mod rebuild;
mod release;
mod reports;
mod scale;
mod signing;
mod store;
mod vulnerabilities;

use crate::harness::page::{blocks, commands, has_job, inline_code, pages, text};
use crate::harness::{Outcome, Sandbox, repository};
use std::collections::{BTreeMap, BTreeSet};

/// Every page that has commands, and the file of the test that reads the page and runs them.
const PAGES: [(&str, &str); 20] = [
    ("README.md", "documented/readme.rs"),
    ("docs/air-gap.md", "documented/air_gap.rs"),
    ("docs/audit.md", "audit_walk.rs"),
    ("docs/ci/README.md", "ci_pages.rs"),
    ("docs/ci/github.md", "ci_pages.rs"),
    ("docs/ci/gitlab.md", "ci_pages.rs"),
    ("docs/ci/jenkins.md", "ci_pages.rs"),
    ("docs/evidence.md", "documented/evidence.rs"),
    ("docs/invoke.md", "documented/invoke.rs"),
    ("docs/pins.md", "documented/pins.rs"),
    ("docs/publishing.md", "documented/publishing.rs"),
    ("docs/rebuild.md", "documented/rebuild.rs"),
    ("docs/release.md", "documented/release.rs"),
    ("docs/reports.md", "documented/reports.rs"),
    ("docs/runbooks.md", "runbooks.rs"),
    ("docs/scale.md", "documented/scale.rs"),
    ("docs/signing.md", "documented/signing.rs"),
    ("docs/start.md", "init.rs"),
    ("docs/store.md", "documented/store.rs"),
    ("docs/vulnerabilities.md", "documented/vulnerabilities.rs"),
];

#[test]
fn every_page_with_commands_is_run() {
    let known = BTreeMap::from(PAGES);
    assert_eq!(known.len(), PAGES.len(), "each page is once in the table");
    let is_to_be_run = |page: &String| {
        let text = text(page);
        !commands(&text).is_empty() || has_job(&text)
    };
    let all: Vec<String> = pages().into_iter().filter(is_to_be_run).collect();
    assert_eq!(
        all,
        known.keys().copied().collect::<Vec<_>>(),
        "the pages that have commands are those of the table"
    );
    for (page, file) in known {
        let source = fs_err::read_to_string(repository().join("tests/it").join(file)).unwrap();
        // By its path, or by that below a folder of pages.
        let name = page.trim_start_matches("docs/").trim_start_matches("ci/");
        let reads = source.contains(&format!("{page}\"")) || source.contains(&format!("(\"{name}\""));
        assert!(reads && source.contains("#[test]"), "no test in {file} reads {page}");
    }
}

/// Where a block says nothing of what it is, it is not known whether it is to be typed.
#[test]
fn every_block_says_what_it_is() {
    for page in pages() {
        let text = text(&page);
        let indented =
            text.lines().find(|line| line.trim_start().starts_with("```") && !line.starts_with("```"));
        assert!(
            indented.is_none_or(|line| line.trim() != "```sh" && line.trim() != "```console"),
            "{page}: not found by a test: {indented:?}"
        );
        for (language, block) in blocks(&text) {
            assert!(!language.is_empty(), "{page}: a block without a language:\n{block}");
            let hidden = !["sh", "console"].contains(&language)
                && block.lines().any(|line| line.starts_with("$ ") || line.starts_with("kiln "));
            assert!(!hidden, "{page}: a command in a block of {language}:\n{block}");
        }
    }
}

/// Lets kiln read a command without doing it.
fn read(sandbox: &Sandbox, command: &str) -> Outcome {
    // All of it is read, and then help is given instead of doing it.
    let command = command.replace(" -- ", " ").replace("sha256:…", &format!("sha256:{}", "0".repeat(64)));
    let script = format!("program=$1; kiln() {{ \"$program\" \"$@\" --help > /dev/null; }}\n{command}");
    sandbox.kiln().in_shell(&script).run::<&str>([])
}

#[test]
fn every_command_of_the_pages_is_one_that_kiln_has() {
    let sandbox = Sandbox::bare();
    sandbox.write("event.json", "{}");
    let mut all = 0;
    for page in pages() {
        for command in commands(&text(&page)).iter().filter(|command| command.starts_with("kiln ")) {
            let outcome = read(&sandbox, command);
            assert_eq!(outcome.code, Some(0), "{page}: {command}\n{outcome}");
            all += 1;
        }
    }
    assert!(all > 90, "{all} commands");
}

/// What stands for one of a few words where a page names a command, and one of them.
const ONE_OF: [(&str, &str); 3] = [("FORMAT", "terraform"), ("SHELL", "bash"), ("NAME", "name")];

/// In a sentence, a command has words for what the reader chooses, may be open at its end, and may name an option without its value.
#[test]
fn every_command_in_a_sentence_is_one_that_kiln_has() {
    let sandbox = Sandbox::bare();
    let choice = regex::Regex::new(r"\[([^\]|\\]*)[^\]]*\]").unwrap();
    let mut known = BTreeSet::new();
    for page in pages() {
        for mentioned in inline_code(&text(&page)) {
            if !mentioned.starts_with("kiln ") || !known.insert(mentioned.clone()) {
                continue;
            }
            let command = choice.replace_all(mentioned.replace('…', "").trim_end(), "$1").into_owned();
            let command = ONE_OF.iter().fold(command, |command, (word, one)| command.replace(word, one));
            let outcome = read(&sandbox, &command);
            let is_open = command.split(' ').next_back().is_some_and(|word| word.starts_with("--"));
            let with_value = || read(&sandbox, &format!("{command} x"));
            let is_one = outcome.code == Some(0) || is_open && with_value().code == Some(0);
            assert!(is_one, "{page}: {mentioned}\n{outcome}");
        }
    }
    assert!(known.len() > 100, "{known:?}");
}
