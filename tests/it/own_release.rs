//! kiln's own release: what its manifests state, without compiling it.

use crate::harness::repository;
use fs_err as fs;
use std::path::{Path, PathBuf};
use toml::Table;

fn manifest(name: &str) -> Table {
    fs::read_to_string(repository().join(format!("manifests/{name}.toml"))).unwrap().parse().unwrap()
}

#[test]
fn the_zip_and_the_image_have_one_program_and_are_built_on_request() {
    let (zip, image) = (manifest("kiln"), manifest("kiln-image"));
    assert_eq!(zip["step"][0], image["step"][0], "a step that differs compiles kiln once more");
    for manifest in [&zip, &image] {
        assert_eq!(manifest["on-request"].as_bool(), Some(true));
        // The base's lock decides the epoch, which steps are given.
        assert_eq!(manifest["base"].as_str(), Some("release"));
    }
}

#[test]
fn all_that_the_sources_include_is_given_to_the_compiler() {
    let zip = manifest("kiln");
    let patterns: Vec<String> = zip["step"][0]["inputs"][0]["include"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pattern| pattern.as_str().unwrap().to_owned())
        .collect();
    let is_given = |path: &str| {
        patterns.iter().any(|pattern| match (pattern.strip_suffix("/**"), pattern.split_once('*')) {
            (Some(folder), _) => path.starts_with(&format!("{folder}/")),
            (None, Some((start, end))) => {
                path.strip_prefix(start).is_some_and(|rest| rest.ends_with(end) && !rest.contains('/'))
            }
            (None, None) => path == pattern,
        })
    };
    let mut above = 0;
    for file in sources(&repository().join("crates")) {
        let text = fs::read_to_string(&file).unwrap();
        for quoted in text.split("include_str!(\"").chain(text.split("include_bytes!(\"")).skip(1) {
            let Some((path, _)) = quoted.split_once('"').filter(|(path, _)| path.starts_with("../")) else {
                continue;
            };
            let Ok(path) = fs::canonicalize(file.parent().unwrap().join(path)) else { continue };
            let path = path.strip_prefix(fs::canonicalize(repository()).unwrap()).unwrap();
            let path = path.to_str().unwrap();
            assert!(
                is_given(path),
                "{} includes {path}, which manifests/kiln.toml does not give",
                file.display()
            );
            above += usize::from(!path.starts_with("crates/"));
        }
    }
    assert!(
        above >= 4,
        "{above}: the definitions of bases, Debian's keys and the page of findings are included"
    );
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}
