//! The bases of this repository with locks that work today.
//!
//! Mirrors move on: when a package of a committed lock is no longer to be had, the tests resolve a fresh lock, and say so.

use super::{Kiln, repository};
use fs_err as fs;
use kiln_record::exit;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// Copies definitions, keys and working locks into an `images/` folder.
pub(crate) fn copy_into(images: &Path) {
    let source = repository().join("images");
    fs::create_dir_all(images.join("keys")).unwrap();
    for folder in ["", "keys"] {
        for entry in fs::read_dir(source.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), images.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    for (name, lock) in working_locks() {
        fs::write(images.join(name), lock).unwrap();
    }
}

/// The lock of each base: the committed one, or a fresh one where that has aged out.
fn working_locks() -> &'static BTreeMap<String, Vec<u8>> {
    static LOCKS: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    LOCKS.get_or_init(|| {
        ["python-3.11", "python-3.13", "rust"]
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
    let (runtime, rest) = match base.strip_prefix("python-") {
        Some(version) => (format!("python{version}"), "[source]\npath = \"probe\"\n"),
        None => (
            "provided.al2023".to_owned(),
            "[[step]]\nname = \"try\"\nargv = [\"rustc\", \"--crate-type=lib\", \"--emit=metadata\", \"-o\", \"/out/x\", \
             \"lib.rs\"]\ninputs = [{ path = \"probe\", at = \"/src\" }]\noutputs = [{ path = \"/out/x\", into = \".\" }]\n\
             reproducible = \"assume\"\n",
        ),
    };
    let manifest = format!(
        "kind = \"lambda-zip\"\nbase = \"{base}\"\nhandler = \"index.handler\"\n[target]\nruntime = \"{runtime}\"\n\
         architecture = \"x86_64\"\n{rest}"
    );
    fs::write(root.join("manifests/probe.toml"), manifest).unwrap();
    let kiln = Kiln::new(&root, &home);
    let built = kiln.run(["build", "--all"]);
    if built.code == Some(0) {
        return None;
    }
    assert!(built.stderr.contains("no longer to be had"), "the base {base} builds:\n{built}");
    #[expect(clippy::print_stdout, reason = "whoever runs the tests must know which lock they used")]
    {
        println!("the committed lock of base {base} has aged out: a fresh one is used for the tests");
    }
    kiln.run(["lock", "--base", base]).ends_with(exit::SUCCESS);
    Some(fs::read(root.join(format!("images/{base}.lock"))).unwrap())
}
