//! What is in the repository and follows from the code: it is as the code would write it.
//!
//! `KILN_TESTS_WRITE_GENERATED=1 cargo test -p kiln-tests generated` (`just generate`) writes it again.

use crate::harness::repository;
use kiln_record::exit;

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
