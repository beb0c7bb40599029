//! A workspace with two artifacts that are published and in the ledger, without an engine; and keys that openssl makes.

use super::{Release, Sandbox, runs};
use fs_err as fs;
use kiln_record::{Digest, Epoch, Record};
use kiln_store::{Ledger, RUN_DETAILS_FORMAT, RunDetails, RunHost, RunTimes};
use std::path::{Path, PathBuf};

/// Makes a key of a kind, `ed25519` or `p256`, in a folder: `NAME.pem` and `NAME.pub.pem`.
pub(crate) fn key(folder: &Path, name: &str, kind: &str) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let (private, public) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.pub.pem")));
    let (out, public_out) = (private.to_str().unwrap(), public.to_str().unwrap());
    match kind {
        "ed25519" => runs("openssl", &["genpkey", "-algorithm", "ed25519", "-out", out]),
        _ => runs(
            "openssl",
            &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", out],
        ),
    };
    fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
    runs("openssl", &["pkey", "-in", out, "-pubout", "-out", public_out]);
    (private, public)
}

/// A function that answers with a text.
pub(crate) fn answering(name: &'static str, answer: &str) -> Release {
    let mut release = Release::new(name);
    release.distribution("alpha", "1.2", "alpha.py", format!("VALUE = {answer:?}\n").as_bytes());
    release
}

/// Publishes a build as kiln does: archive, documents, entry in the ledger.
pub(crate) fn publish(sandbox: &Sandbox, release: &Release, at: &str) -> Record {
    let folder = sandbox.path("dist").join(release.name);
    let record = write(&folder, release);
    let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
    let at: Epoch = at.parse().unwrap();
    let entry = ledger.append(&record.artifact, &record, at, None).unwrap();
    let details = RunDetails {
        format: RUN_DETAILS_FORMAT,
        at,
        times: Some(RunTimes { started: at, finished: at, took_ms: 412 }),
        host: Some(RunHost { os: "linux".to_owned(), architecture: "x86_64".to_owned(), engine: None }),
        smoke: None,
        source: None,
        told: Vec::new(),
    };
    ledger.put_run_details(&record.artifact, entry.number, &details).unwrap();
    let statement = kiln_publish::run_statement(&ledger, &record, entry.number, "1", &details).unwrap();
    ledger.put_run_statement(&record.artifact, entry.number, &statement).unwrap();
    record
}

/// Writes archive and documents of a build, so that they fit each other.
pub(crate) fn write(folder: &Path, release: &Release) -> Record {
    let (archive, record) = release.made();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{}.zip", release.name)), archive).unwrap();
    for (name, bytes) in kiln_publish::documents(&record).unwrap() {
        fs::write(folder.join(name), bytes).unwrap();
    }
    record
}

/// Writes `index.json` over builds.
pub(crate) fn index(dist: &Path, records: &[Record]) {
    let artifacts = records.iter().map(|record| {
        let archive = record.archive().unwrap();
        let entry = serde_json::json!({
            "kind": record.kind, "file": format!("{}/{}", record.artifact, archive.file_name),
            "size": archive.size, "unpacked_size": record.unpacked_size, "digest": archive.digest,
            "source_code_hash": archive.sha256_base64, "tree": record.tree,
            "record": Digest::of(&record.to_json().unwrap()), "runtime": record.target.runtime,
            "architecture": "x86_64", "handler": null, "layers": [],
        });
        (record.artifact.to_string(), entry)
    });
    let artifacts: serde_json::Map<_, _> = artifacts.collect();
    let document = serde_json::json!({"format": "1.0", "artifacts": artifacts});
    fs::write(dist.join("index.json"), document.to_string()).unwrap();
}

/// A workspace in which `orders` and `payments` are published.
pub(crate) fn published() -> Sandbox {
    let sandbox = Sandbox::bare();
    let records =
        ["orders", "payments"].map(|name| publish(&sandbox, &answering(name, name), "2026-11-02T10:00:00Z"));
    index(&sandbox.path("dist"), &records);
    sandbox
}

/// Signs what is published with a key in a file.
pub(crate) fn sign(sandbox: &Sandbox, key: &Path) {
    sandbox.kiln().run(["sign", "--key-file", key.to_str().unwrap()]).ends_with(kiln_record::exit::SUCCESS);
}

/// The same, with bills of materials that have the signature inside.
pub(crate) fn sign_with_bills(sandbox: &Sandbox, key: &Path) {
    let words = ["sign", "--jsf", "--key-file", key.to_str().unwrap()];
    sandbox.kiln().run(words).ends_with(kiln_record::exit::SUCCESS);
}

/// All files below a folder, by their path there.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(prefix) = waiting.pop() {
        for entry in fs::read_dir(folder.join(&prefix)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() { waiting.push(format!("{name}/")) } else { all.push(name) }
        }
    }
    all.sort();
    all
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
