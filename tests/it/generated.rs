//! What is in the repository and follows from the code: it is as the code would write it.
//!
//! `KILN_TESTS_WRITE_GENERATED=1 cargo test -p kiln-tests generated` (`just generate`) writes it again.

use crate::harness::{Sandbox, repository};
use kiln_record::exit;
use std::path::Path;

const REWRITE: &str = "KILN_TESTS_WRITE_GENERATED";

/// Holds a file of the repository against what it should be, or makes it so.
fn holds(path: &str, expected: &str) {
    let file = repository().join(path);
    if std::env::vars_os().any(|(name, _)| name == REWRITE) {
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, expected).unwrap();
    }
    let found = fs_err::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is out of date: write it again with {REWRITE}=1, or `just generate`");
}

/// A page with another text between its markers of a name.
fn with_block(page: &str, name: &str, block: &str) -> String {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&start).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{start}{block}{end}{after}")
}

#[test]
fn the_schemas() {
    let schemas = kiln_cli::schemas();
    for (name, schema) in &schemas {
        let text = serde_json::to_string_pretty(schema.as_value()).unwrap();
        holds(&format!("docs/schemas/{name}.json"), &format!("{text}\n"));
    }
    let folder = repository().join("docs/schemas");
    let files = [&folder, &folder.join("output")].map(|folder| fs_err::read_dir(folder).unwrap());
    let paths = files.into_iter().flatten().map(|file| file.unwrap().path());
    let known = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json")).count();
    assert_eq!(known, schemas.len(), "docs/schemas holds no schema of something else");
}

#[test]
fn the_exit_codes_of_the_findings_page() {
    let path = "docs/findings.md";
    let page = fs_err::read_to_string(repository().join(path)).unwrap();
    holds(path, &with_block(&page, "exit codes", &exit::table()));
}

#[test]
fn the_environment_of_lambda_on_the_python_page() {
    let sandbox = Sandbox::bare();
    let shown = sandbox.kiln().run(["show", "--environment", "--format", "markdown"]);
    let path = "docs/python.md";
    let page = fs_err::read_to_string(repository().join(path)).unwrap();
    holds(path, &with_block(&page, "environment", &shown.ends_with(exit::SUCCESS).stdout));
}

/// What others say of the bills of materials is measured by `tests/judges/run.py`, and the page shows what is committed.
#[test]
fn the_table_of_the_judges_on_the_evidence_page() {
    let table = fs_err::read_to_string(repository().join("tests/judges/table.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let artifacts = [
        ("zip (`dashboard`)", "dashboard"),
        ("layer (`powertools-layer`)", "powertools-layer"),
        ("image (`dashboard-image`)", "dashboard-image"),
        ("image of a Dockerfile (`runbook-portal`)", "runbook-portal"),
        ("Rust (`trail-digest`)", "trail-digest"),
    ];
    let rows = [
        ("NTIA 2021", "NTIA"),
        ("CISA 2026", "CISA 2026"),
        ("BSI TR-03183-2", "BSI"),
        ("quality, of 10", "quality"),
        ("syft or Trivy finds, not here", ""),
        ("package URLs that Trivy does not read", "trivy misses"),
    ];
    let mut block = String::from("| |");
    artifacts.iter().for_each(|(title, _)| block += &format!(" {title} |"));
    block += &format!("\n|---|{}\n", "---|".repeat(artifacts.len()));
    for (title, key) in rows {
        block += &format!("| {title} |");
        for (_, artifact) in artifacts {
            let number = |key: &str| table[artifact][key].as_f64().unwrap();
            let value = match key {
                "" => number("syft finds, not here") + number("trivy finds, not here"),
                key => number(key),
            };
            block += &format!(" {value} |");
        }
        block.push('\n');
    }
    let path = "docs/evidence.md";
    let page = fs_err::read_to_string(repository().join(path)).unwrap();
    holds(path, &with_block(&page, "judges", &block));
}

/// The first sentence of a file's own documentation.
fn purpose(source: &str) -> String {
    let lines = source.lines().take_while(|line| line.starts_with("//!"));
    let text: Vec<&str> = lines.map(|line| line.trim_start_matches("//!").trim()).collect();
    let paragraph = text.split(|line| line.is_empty()).next().unwrap_or_default().join(" ");
    match paragraph.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => paragraph,
    }
}

/// The source files below a folder: each folder's own files first.
fn sources(folder: &Path, below: &str, all: &mut Vec<(String, String)>) {
    let mut names: Vec<(bool, String)> = fs_err::read_dir(folder.join(below))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_type().unwrap().is_dir(), entry.file_name().into_string().unwrap()))
        .collect();
    names.sort();
    for (is_folder, name) in names {
        let path = format!("{below}{name}");
        if is_folder {
            sources(folder, &format!("{path}/"), all);
        } else if path.ends_with(".rs") {
            all.push((path.clone(), fs_err::read_to_string(folder.join(&path)).unwrap()));
        }
    }
}

#[test]
fn the_map_of_files() {
    let mut page = String::from(
        "# Where things are\n\nEvery source file of every crate, with the first sentence that it says of itself. The crates \
         and what they may reach\nare in [architecture.md](architecture.md). Written by `just generate`.\n",
    );
    let crates = repository().join("crates");
    let mut names: Vec<String> = fs_err::read_dir(&crates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let mut files = Vec::new();
        sources(&crates.join(&name).join("src"), "", &mut files);
        page += &format!("\n## {name}\n\n| file | |\n|---|---|\n");
        for (path, source) in files {
            let purpose = purpose(&source);
            let is_test = path.ends_with("tests.rs") || path.contains("tests/");
            assert!(!purpose.is_empty() || path == "main.rs" || is_test, "{name}/{path} says what it is for");
            page += &format!("| `{path}` | {} |\n", purpose.replace('|', "\\|"));
        }
    }
    holds("docs/modules.md", &page);
}
