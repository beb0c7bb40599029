//! The shape of the repository is what `docs/architecture.md` says.

use crate::harness::repository;
use crate::lacking;
use kiln_record::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What `docs/messages.md` says of a message that no test holds.
const BY_HAND: &str = "Written by hand.";

/// What the package in a folder depends on inside the workspace, on whatever target, tests left out.
fn edges(folder: &Path) -> BTreeSet<String> {
    let manifest = fs_err::read_to_string(folder.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let targets = manifest.get("target").and_then(|targets| targets.as_table());
    let targets = targets.into_iter().flat_map(|targets| targets.values()).filter_map(|t| t.as_table());
    std::iter::once(&manifest)
        .chain(targets)
        .flat_map(|place| ["dependencies", "build-dependencies"].map(|kind| place.get(kind)))
        .flatten()
        .filter_map(|dependencies| dependencies.as_table())
        .flat_map(|dependencies| dependencies.keys())
        .filter(|name| name.starts_with("kiln-"))
        .cloned()
        .collect()
}

/// The names of all crates.
fn crates() -> BTreeSet<String> {
    let entries = fs_err::read_dir(repository().join("crates")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn crates_depend_on_what_the_architecture_allows() {
    let page = fs_err::read_to_string(repository().join("docs/architecture.md")).unwrap();
    let table = page.split("<!-- edges -->").nth(1).unwrap().split("<!-- /edges -->").next().unwrap();
    let allowed: BTreeMap<String, BTreeSet<String>> = table
        .lines()
        .filter(|line| line.starts_with("| `kiln-"))
        .map(|line| {
            let names: Vec<String> = line.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (names[0].clone(), names[1..].iter().cloned().collect())
        })
        .collect();
    assert_eq!(crates(), allowed.keys().cloned().collect(), "the table lists every crate");
    for (name, allowed) in allowed {
        let found = edges(&repository().join("crates").join(&name));
        assert!(found.is_subset(&allowed), "{name} depends on {:?}", found.difference(&allowed));
    }
}

/// The engine in memory and what tests stand on are in no binary: whatever the table allows, they are dependencies of
/// tests alone.
#[test]
fn only_tests_depend_on_what_is_for_tests() {
    const FOR_TESTS: [&str; 3] = ["kiln-engine-memory", "kiln-fixtures", "kiln-fuzz"];
    let crates = crates().into_iter().filter(|name| !FOR_TESTS.contains(&name.as_str()));
    let crates = crates.map(|name| repository().join("crates").join(name));
    for package in crates.chain([repository().join("tests")]) {
        let found = edges(&package);
        assert!(
            FOR_TESTS.iter().all(|name| !found.contains(*name)),
            "{} depends on {found:?}",
            package.display()
        );
    }
}

#[test]
fn the_top_level_holds_nothing_else() {
    let expected: BTreeSet<&str> = [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "SECURITY.md",
        "clippy.toml",
        "crates",
        "deny.toml",
        "docs",
        "fuzz",
        "images",
        "justfile",
        "kiln.lock",
        "kiln.toml",
        "manifests",
        "rustfmt.toml",
        "tests",
    ]
    .into();
    let ignored = ["target", "dist"];
    let found: BTreeSet<String> = fs_err::read_dir(repository())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !ignored.contains(&name.as_str()))
        .collect();
    assert_eq!(found, expected.into_iter().map(str::to_owned).collect());
}

/// The rows of the first table below a heading, cells without backticks.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split(heading).nth(1).unwrap();
    section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

#[test]
fn the_findings_page_lists_every_code_with_its_level() {
    let page = fs_err::read_to_string(repository().join("docs/findings.md")).unwrap();
    let listed: BTreeMap<String, String> =
        table(&page, "## Codes").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let codes: BTreeMap<String, String> =
        Code::ALL.iter().map(|code| (code.to_string(), code.default_level().to_string())).collect();
    assert_eq!(listed, codes);
}

/// A code that nobody has seen a message of is not documented, and the page says which ones no test holds.
#[test]
fn the_messages_page_shows_every_code_with_cause_and_remedy() {
    let page = fs_err::read_to_string(repository().join("docs/messages.md")).unwrap();
    let tests: String = fs_err::read_dir(repository().join("tests/it"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs_err::read_to_string(path).unwrap())
        .collect();
    let calls: String = tests.split_whitespace().collect();
    for code in Code::ALL {
        let (_, section) = page
            .split_once(&format!("## `{code}`\n"))
            .unwrap_or_else(|| panic!("docs/messages.md shows {code}"));
        let section = section.split("\n## ").next().unwrap();
        let block = section.split("```").nth(1).unwrap_or_else(|| panic!("{code} has a message"));
        assert!(block.contains(&format!("[{code}] ")), "{code}: {block}");
        // A note is one line.
        let note = block.contains("\nnote[");
        let cause = block.lines().any(|line| line.starts_with("  ") && !line.starts_with("  →"));
        assert!(note || cause, "{code}: a cause");
        assert!(note || block.contains("\n  → "), "{code}: a way out");
        let documented = ["deny", "warn", "note"]
            .iter()
            .any(|level| calls.contains(&format!(".documents(\"{level}[{code}]")));
        let by_hand = section.contains(BY_HAND);
        assert!(
            documented != by_hand,
            "{code}: `{BY_HAND}` stands where no test documents the message, and nowhere else"
        );
    }
}

/// Nothing but what is listed can be done without, and the list names tests that there are.
#[test]
fn what_may_be_lacking_belongs_to_a_test() {
    for lack in lacking::ALL {
        let (module, name) = lack.test.split_once("::").unwrap();
        let source = fs_err::read_to_string(repository().join(format!("tests/it/{module}.rs"))).unwrap();
        assert!(source.contains(&format!("#[test]\nfn {name}() {{")), "{lack:?}");
    }
}

/// A snapshot that nothing is compared with is a text that nobody reads.
#[test]
fn every_snapshot_is_compared() {
    let tests = repository().join("tests");
    let source = fs_err::read_to_string(tests.join("it/printed.rs")).unwrap();
    let help = fs_err::read_to_string(tests.join("snapshots/help.snap")).unwrap();
    for entry in fs_err::read_dir(tests.join("snapshots")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".snap").unwrap_or_else(|| panic!("{name} is no snapshot"));
        let of_a_command =
            stem.strip_prefix("help-").is_some_and(|command| help.contains(&format!("\n  {command} ")));
        assert!(of_a_command || source.contains(&format!("\"{stem}\"")), "{name} is never compared");
    }
}

#[test]
fn every_test_file_is_part_of_the_suite() {
    let folder = repository().join("tests/it");
    let main = fs_err::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs_err::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".rs") else { continue };
        assert!(
            stem == "main" || main.contains(&format!("mod {stem};")),
            "tests/it/{name} is never compiled"
        );
    }
}
