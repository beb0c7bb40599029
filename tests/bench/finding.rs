//! A ledger of many builds: what is found in it, its history, and a comparison of two of them.

use super::run::{row, run};
use kiln_record::{ArtifactName, Digest, Epoch, FORMAT_VERSION, Record, canonical_json};
use kiln_store::LedgerEntry;
use std::path::Path;

/// How many builds the ledgers have together.
const BUILDS: u64 = 50_000;
/// How many artifacts they are of.
const ARTIFACTS: u64 = 20;
/// How many distributions each build has.
const DISTRIBUTIONS: u64 = 40;

/// Makes a workspace whose ledger has many small builds, of which each moves one distribution, and looks for one of them; and the
/// same with one artifact that has all of the builds.
pub(crate) fn finding(folder: &Path) {
    for artifacts in [ARTIFACTS, 1] {
        let workspace = folder.join(format!("ledger-{artifacts}"));
        fs_err::create_dir(&workspace).expect("a folder");
        fs_err::write(workspace.join("kiln.toml"), "format = \"1\"\n").expect("a file");
        for artifact in 0..artifacts {
            let name = format!("app-{artifact}").parse().expect("a name");
            fill(&workspace.join(".kiln/ledger"), &name, BUILDS / artifacts);
        }
        let find = ["find", "dist-7<3", "--format", "json"];
        let cold = run(&workspace, &find);
        let what = format!("{BUILDS} builds of {artifacts} artifacts");
        println!(
            "find in {what}, the first time, which makes the index: {:.2} s of CPU, {:.2?}, {} MiB of memory",
            cold.cpu, cold.took, cold.memory
        );
        row(&format!("find in {what}"), &workspace, &find);
        row(&format!("history of one of {what}"), &workspace, &["history", "app-0"]);
        let diff = ["diff", "app-0@previous", "app-0@latest", "--allow", "unexplained"];
        row(&format!("diff in {what}"), &workspace, &diff);
    }
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
