//! Finding in a ledger of many builds: with its index, and by reading every record.

use super::{best, print};
use kiln_record::{ArtifactName, Digest, Epoch, FORMAT_VERSION, Record, canonical_json};
use kiln_store::{Ledger, LedgerEntry};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// How many builds the ledgers have together.
const BUILDS: u64 = 50_000;
/// How many artifacts they are of.
const ARTIFACTS: u64 = 20;
/// How many distributions each build has.
const DISTRIBUTIONS: u64 = 40;

/// Makes a ledger of small builds, of which each moves one distribution, and looks for one of them.
pub(crate) fn finding(folder: &Path) {
    let root = folder.join("ledger");
    for artifact in 0..ARTIFACTS {
        fill(&root, &format!("app-{artifact}").parse().expect("a name"), BUILDS / ARTIFACTS);
    }
    let kiln = || {
        let status = Command::new(env!("CARGO_BIN_EXE_kiln-under-test"))
            .args(["find", "dist-7<3", "--format", "json", "--ledger"])
            .arg(&root)
            .current_dir(folder)
            .stdout(Stdio::null())
            .status()
            .expect("the binary starts");
        assert!(status.success(), "it finds");
    };
    let start = Instant::now();
    kiln();
    let first = start.elapsed();
    let indexed = best(3, kiln);
    let ledger = Ledger::open(&root);
    let start = Instant::now();
    let mut hits = 0;
    for artifact in ledger.artifacts().expect("a ledger") {
        for number in 1..=BUILDS / ARTIFACTS {
            let record = ledger.record(&artifact, number).expect("a record");
            hits += usize::from(record.components.iter().any(|component| component.name == "dist-7"));
        }
    }
    assert!(hits > 0, "there is something to be found");
    print(&format!("find in {BUILDS} builds"), indexed, "the first time, which makes the index", first);
    print(&format!("find in {BUILDS} builds"), indexed, "reading every record", start.elapsed());
}

/// A record of one file and many distributions without any.
fn record(artifact: &ArtifactName, number: u64) -> Record {
    let components: Vec<serde_json::Value> = (0..DISTRIBUTIONS)
        .map(|one| {
            // Each build moves one of them.
            let version = format!("{}.0", 1 + (number + one) / DISTRIBUTIONS % 5);
            let requires = if one == 0 { (1..DISTRIBUTIONS).map(|n| format!("python/dist-{n}")).collect() } else { Vec::new() };
            serde_json::json!({
                "id": format!("python/dist-{one}"), "ecosystem": "python", "name": format!("dist-{one}"),
                "version": version, "bytes": 0, "files": 0, "origin": null,
                "metadata": { "license_expression": "MIT", "license": null, "license_classifiers": [], "supplier": null,
                    "summary": null, "homepage": null, "source": null },
                "requires": requires, "within": null
            })
        })
        .collect();
    let tree = kiln_record::Tree::new();
    let json = serde_json::json!({
        "format": "1.0", "artifact": artifact, "kind": "lambda-zip",
        "target": { "runtime": "python3.13", "architecture": "amd64" },
        "handler": null, "layers": [], "plan": Digest::of(b"plan"), "epoch": "2026-01-01T00:00:00Z", "inputs": [],
        "tree": tree.digest(), "unpacked_size": 0, "files": [], "components": components, "gaps": [], "findings": [],
        "checks": [], "tools": {}, "outputs": []
    });
    serde_json::from_value(json).expect("a record")
}

/// Writes the entries of an artifact, each naming the one before, without waiting for the disk.
fn fill(root: &Path, artifact: &ArtifactName, builds: u64) {
    let mut previous = None;
    for number in 1..=builds {
        let record = record(artifact, number);
        let bytes = record.to_json().expect("JSON");
        let entry = LedgerEntry {
            published_in: None,
            format: FORMAT_VERSION,
            artifact: artifact.clone(),
            number,
            at: Epoch::from_seconds(number).expect("a time"),
            record: Digest::of(&bytes),
            plan: record.plan,
            tree: record.tree,
            archive: None,
            previous,
            archive_size: 0,
            unpacked_size: 0,
            image_unpacked_size: None,
            source: None,
        };
        let entry = canonical_json(&entry).expect("JSON");
        let folder = root.join(artifact.as_str()).join(format!("{number:06}"));
        fs_err::create_dir_all(&folder).expect("a folder");
        fs_err::write(folder.join("record.json"), &bytes).expect("a file");
        fs_err::write(folder.join("entry.json"), &entry).expect("a file");
        previous = Some(Digest::of(&entry));
    }
}
