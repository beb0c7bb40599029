//! Tests of the store through its public interface.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected must fail where it does")]

mod blobs;
mod cache;
mod ledger;
mod lock;
mod publication;
mod repair;
mod settle;
mod stat_cache;

/// A file that is not declared above would never be compiled, and its tests never run.
#[test]
fn every_file_is_declared() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in fs_err::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".rs").unwrap();
        assert!(stem == "main" || include_str!("main.rs").contains(&format!("mod {stem};")), "{name}");
    }
}

/// All paths below a folder that are not folders, sorted, relative to it.
fn files_below(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The permission bits of a path.
fn mode_of(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}
