//! Which source decides what, and the digest of that. The build script is compiled from this file, too.

use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What a file of kiln's code decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes or documents; it may judge as well.
    Makes,
    /// Findings and checks alone.
    Judges,
    /// Neither.
    Neither,
}

/// The versions of everything that is linked in, the compressors among it.
const DEPENDENCIES: &str = "Cargo.lock";

/// What does not make. All else does, so that a new file is never forgotten; what is in doubt is not listed.
pub(crate) const LISTED: [(&str, Part); 20] = [
    // The first that fits counts: one form for Dockerfiles is made with its help.
    ("crates/kiln-audit/src/reconcile.rs", Part::Makes),
    ("crates/kiln-audit/", Part::Judges),
    ("crates/kiln-check/", Part::Judges),
    ("crates/kiln-collect/src/policy.rs", Part::Judges),
    ("crates/kiln-collect/src/verdict.rs", Part::Judges),
    ("crates/kiln-python/src/guest/imports/", Part::Judges),
    ("crates/kiln-python/src/guest/smoke/", Part::Judges),
    ("crates/kiln-build/src/stage/trial.rs", Part::Judges),
    ("crates/kiln-build/src/stage/verify.rs", Part::Judges),
    // What it hands in is in the plan, or reaches no artifact.
    ("crates/kiln-cli/", Part::Neither),
    // Records come in, and nothing of them goes back.
    ("crates/kiln-report/", Part::Neither),
    // In no binary.
    ("crates/kiln-engine-memory/", Part::Neither),
    ("crates/kiln-fuzz/", Part::Neither),
    // What it brings is held against digests that were known before.
    ("crates/kiln-fetch/", Part::Neither),
    // What it carries is held against digests that were known before.
    ("crates/kiln-bundle/", Part::Neither),
    // They read what was built.
    ("crates/kiln-advisory/", Part::Neither),
    ("crates/kiln-find/", Part::Neither),
    ("crates/kiln-rebuild/", Part::Neither),
    // Locks are inputs.
    ("crates/kiln-lock/", Part::Neither),
    // What it writes is read like anything that a person writes.
    ("crates/kiln-init/", Part::Neither),
];

/// What a file decides, by its path in the repository.
pub(crate) fn part_of(path: &str) -> Part {
    LISTED.iter().find(|(listed, _)| path.starts_with(listed)).map_or(Part::Makes, |(_, part)| *part)
}

/// The files that decide something, with what they decide, by their paths in the repository: all that the crates are
/// compiled from, and the versions of what they depend on.
pub(crate) fn files(root: &Path) -> io::Result<BTreeMap<String, Part>> {
    let mut files = BTreeMap::from([(DEPENDENCIES.to_owned(), Part::Makes)]);
    for name in names_in(&root.join("crates"))? {
        let sources = format!("crates/{name}/src");
        if part_of(&format!("{sources}/")) != Part::Neither && root.join(&sources).is_dir() {
            add_folder(root, &sources, &mut files)?;
        }
    }
    Ok(files)
}

fn add_folder(root: &Path, folder: &str, files: &mut BTreeMap<String, Part>) -> io::Result<()> {
    for name in names_in(&root.join(folder))? {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            add_folder(root, &path, files)?;
        } else {
            files.insert(path.clone(), part_of(&path));
        }
    }
    Ok(())
}

/// The names in a folder that are not hidden: an editor's and the system's own files are no code.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

/// What to look at to see that one of the files changed, came or went.
#[cfg_attr(test, expect(dead_code, reason = "only the build script asks"))]
pub(crate) fn folders(files: &BTreeMap<String, Part>) -> BTreeSet<&str> {
    files.keys().map(|path| path.find("/src/").map_or(path.as_str(), |end| &path[..end + 4])).collect()
}

/// The digest of the files that decide one thing, in hexadecimal. It follows from their paths in the repository and
/// their content, and from nothing else of the machine.
pub(crate) fn digest_of(root: &Path, files: &BTreeMap<String, Part>, wanted: Part) -> io::Result<String> {
    let mut all = Sha256::new();
    for path in files.iter().filter(|(_, part)| **part == wanted).map(|(path, _)| path) {
        let mut content = Vec::new();
        File::open(root.join(path))?.read_to_end(&mut content)?;
        all.update(path.as_bytes());
        all.update([0]);
        all.update(Sha256::digest(&content));
    }
    Ok(all.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
