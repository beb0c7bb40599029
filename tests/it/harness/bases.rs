//! The bases of this repository with locks that work today.
//!
//! Mirrors move on, and the store that tests share keeps what they had. Where neither has a package of a
//! committed lock, the tests resolve a fresh lock, and say so.

use super::{Kiln, repository};
use crate::lacking;
use fs_err as fs;
use kiln_record::exit;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

/// What the base of a compiler is tried with.
const COMPILES: &str = r#"
[source]
path = "probe"
include = ["bootstrap"]

[[step]]
name = "try"
argv = ["rustc", "--crate-type=lib", "--emit=metadata", "-o", "/out/x", "lib.rs"]
inputs = [{ path = "probe", at = "/src" }]
outputs = [{ path = "/out/x", into = "." }]
reproducible = "assume"
"#;

/// The bases of this repository that tests build on; what its own release stands on is none of them.
const BASES: [&str; 3] = ["python-3.11", "python-3.13", "rust"];

/// Copies their definitions, keys and working locks into an `images/` folder.
pub(crate) fn copy_into(images: &Path) {
    let source = repository().join("images");
    fs::create_dir_all(images.join("keys")).unwrap();
    for entry in fs::read_dir(source.join("keys")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), images.join("keys").join(entry.file_name())).unwrap();
    }
    for file in BASES.map(|base| format!("{base}.toml")) {
        fs::copy(source.join(&file), images.join(&file)).unwrap();
    }
    for (name, lock) in working_locks() {
        fs::write(images.join(name), lock).unwrap();
    }
}

/// The definition of one of them, with further packages, for amd64 alone.
#[track_caller]
pub(crate) fn with_packages(base: &str, packages: &[&str]) -> String {
    let definition = fs::read_to_string(repository().join(format!("images/{base}.toml"))).unwrap();
    let packages: String = packages.iter().map(|package| format!("    \"{package}\",\n")).collect();
    let changed =
        [("packages = [\n", format!("packages = [\n{packages}")), (", \"linux/arm64\"]", "]".to_owned())];
    changed.into_iter().fold(definition, |definition, (from, to)| {
        assert!(definition.contains(from), "{definition}");
        definition.replacen(from, &to, 1)
    })
}

/// Whether the tests use a base as it is committed, or why they cannot.
pub(crate) fn committed_base(name: &str) -> Result<(), String> {
    let file = format!("{name}.lock");
    if working_locks()[&file] == fs::read(repository().join("images").join(&file)).unwrap() {
        return Ok(());
    }
    Err(format!("the mirror does not have all packages of images/{file} any more, so a fresh lock is used"))
}

/// The lock of each base: the committed one, or a fresh one where that has aged out.
fn working_locks() -> &'static BTreeMap<String, Vec<u8>> {
    static LOCKS: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    LOCKS.get_or_init(|| {
        BASES
            .into_iter()
            .map(|base| {
                let file = format!("{base}.lock");
                let committed = fs::read(repository().join("images").join(&file)).unwrap();
                (file, fresh_lock_if_aged(base).unwrap_or(committed))
            })
            .collect()
    })
}

/// Builds something small on the committed lock. If a package is gone, locks anew.
fn fresh_lock_if_aged(base: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (root, home) = (folder.path().join("workspace"), folder.path().join("home"));
    fs::create_dir_all(root.join("manifests/probe")).unwrap();
    fs::create_dir_all(root.join("images/keys")).unwrap();
    fs::create_dir(&home).unwrap();
    let images = repository().join("images");
    for name in [format!("{base}.toml"), format!("{base}.lock"), "keys/debian-archive-keyring.gpg".to_owned()]
    {
        fs::copy(images.join(&name), root.join("images").join(&name)).unwrap();
    }
    fs::write(root.join("kiln.toml"), "format = \"1\"\n").unwrap();
    fs::write(root.join("manifests/probe/index.py"), "def handler(event, context):\n    return None\n")
        .unwrap();
    fs::write(root.join("manifests/probe/lib.rs"), "").unwrap();
    let program = root.join("manifests/probe/bootstrap");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (runtime, rest) = match base.strip_prefix("python-") {
        Some(version) => (format!("python{version}"), "[source]\npath = \"probe\"\n"),
        None => ("provided.al2023".to_owned(), COMPILES),
    };
    let manifest = format!(
        r#"
kind = "lambda-zip"
base = "{base}"
handler = "index.handler"

[target]
runtime = "{runtime}"
architecture = "x86_64"

{rest}"#
    );
    fs::write(root.join("manifests/probe.toml"), manifest).unwrap();
    let kiln = Kiln::new(&root, &home);
    let built = kiln.run(["build", "--all"]);
    if built.code == Some(0) {
        return None;
    }
    assert!(built.stderr.contains("no longer to be had"), "the base {base} builds:\n{built}");
    lacking::say(&format!(
        "the committed lock of base {base} has aged out: a fresh one is used for the tests"
    ));
    kiln.run(["lock", "--base", base]).ends_with(exit::SUCCESS);
    Some(fs::read(root.join(format!("images/{base}.lock"))).unwrap())
}
