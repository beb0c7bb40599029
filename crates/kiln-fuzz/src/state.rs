//! What lies on the disk beside a workspace: the ledger and its heads, approvals, and the index of git.

use crate::invariant::holds;
use kiln_plan::Tracked;
use kiln_record::{ArtifactName, canonical_json};
use kiln_store::{Approval, Heads, Ledger, LedgerEntry};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A folder for all inputs of the process, in which `folders` are made once.
fn folder(made: &'static OnceLock<PathBuf>, folders: &[&str]) -> &'static Path {
    made.get_or_init(|| {
        let made = holds(tempfile::tempdir(), "a temporary folder").keep();
        for folder in folders {
            holds(fs_err::create_dir_all(made.join(folder)), "a folder is made");
        }
        made
    })
}

fn demo() -> ArtifactName {
    holds("demo".parse(), "a name")
}

/// The newest entry of a ledger: what is read from the disk is what it says, and is at its place.
pub fn ledger(data: &[u8]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let (folder, artifact) = (folder(&FOLDER, &["demo/000001"]), demo());
    holds(fs_err::write(folder.join("demo/000001/entry.json"), data), "an entry is written");
    let ledger = Ledger::open(folder);
    let Ok(entries) = ledger.entries(&artifact) else { return };
    let [entry] = entries.as_slice() else { panic!("one entry, {} read", entries.len()) };
    assert_eq!((&entry.artifact, entry.number, entry.previous), (&artifact, 1, None));
    let json = holds(canonical_json(entry), "an entry is written");
    assert_eq!(&holds(serde_json::from_slice::<LedgerEntry>(&json), "what was written is read"), entry);
    assert!(ledger.record(&artifact, 1).is_err(), "there is no record");
}

/// Heads of a ledger: what is written is read back equal.
pub fn heads(data: &[u8]) {
    let path = Path::new("heads.json");
    let Ok(heads) = Heads::from_json(data, path) else { return };
    let json = holds(heads.to_json(), "heads are written");
    assert_eq!(holds(Heads::from_json(&json, path), "what was written is read"), heads);
}

/// The first approval of an artifact: it is what it says, and what is written is read back equal.
pub fn approvals(data: &[u8]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let (folder, artifact) = (folder(&FOLDER, &["demo/approvals"]), demo());
    holds(fs_err::write(folder.join("demo/approvals/000001.json"), data), "an approval is written");
    let Ok(approvals) = Ledger::open(folder).approvals(&artifact) else { return };
    let [approval] = approvals.as_slice() else { panic!("one approval, {} read", approvals.len()) };
    assert_eq!((&approval.artifact, approval.previous), (&artifact, None));
    let json = holds(canonical_json(approval), "an approval is written");
    assert_eq!(&holds(serde_json::from_slice::<Approval>(&json), "what was written is read"), approval);
}

/// The index of a git repository: what it names is tracked, one by one and by folder.
pub fn git_index(data: &[u8]) {
    for hash in [20, 32] {
        match Tracked::of_index(data, hash) {
            Ok(tracked) => {
                for path in ["src/a.py", "src/lib/b.py", "x"] {
                    assert!(!tracked.has(path) || tracked.has_below(path));
                    let Some((folder, _)) = path.rsplit_once('/') else { continue };
                    assert!(!tracked.has(path) || tracked.has_below(folder), "{path} is below {folder}");
                }
            }
            Err(reason) => assert!(!reason.is_empty() && reason.chars().count() <= 200),
        }
    }
}
