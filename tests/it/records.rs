//! What is remembered and published beside an artifact, and `kiln history`, `show` and `verify`, which read it.

use crate::harness::{LocalIndex, Outcome, Sandbox, repository, wheel};
use fs_err as fs;
use kiln_record::{Digest, Record, exit};
use serde_json::Value;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;
use std::process::Command;

/// A function with a dependency, built twice.
struct Built {
    sandbox: Sandbox,
    _index: LocalIndex,
}

fn built() -> Built {
    let greeting = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"HELLO = 'hello'\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import greeting\n\ndef handler(event, context):\n    return greeting.HELLO\n";
    sandbox.function("app", "3.13", code, &greeting.requirement(""));
    sandbox.write("manifests/app/src/words.txt", "once upon a time ".repeat(500));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox.write("manifests/app/src/words.txt", "once upon a time ".repeat(501));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    Built { sandbox, _index: index }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[track_caller]
fn shows(outcome: &Outcome, parts: &[&str]) {
    let flat = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(flat.contains(part), "standard output lacks {part:?}\n{outcome}");
    }
}

/// The same members in another container: stored, with another time.
fn zipped_again(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut again = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).unwrap();
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .unix_permissions(member.unix_mode().unwrap());
        let name = member.name().unwrap().into_owned();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        if let Some(content) = change(&name, content) {
            again.start_file(name, options).unwrap();
            again.write_all(&content).unwrap();
        }
    }
    again.finish().unwrap().into_inner()
}

#[test]
fn what_is_published_says_what_it_is() {
    let built = built();
    let sandbox = &built.sandbox;
    let archive = sandbox.read("dist/app/app.zip");
    let digest = Digest::of(&archive);

    let index = json(&sandbox.read("dist/index.json"));
    let entry = &index["artifacts"]["app"];
    assert_eq!(entry["digest"], digest.to_string());
    assert_eq!(entry["source_code_hash"], digest.base64());
    assert_eq!(entry["size"], archive.len());
    assert_eq!(entry["file"], "app/app.zip");
    assert_eq!(
        (entry["handler"].as_str(), entry["runtime"].as_str(), entry["architecture"].as_str()),
        (Some("app.handler"), Some("python3.13"), Some("x86_64"))
    );

    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let output = record.archive().unwrap();
    assert_eq!((output.digest, output.sha256_base64.as_str()), (digest, digest.base64().as_str()));
    assert_eq!(record.to_tree().digest(), record.tree);
    assert_eq!(entry["tree"], record.tree.to_string());
    assert_eq!(entry["unpacked_size"], record.to_tree().size());

    // One kiln and no other: what `kiln --version` says, in the record and in both documents that are made from it.
    let said = sandbox.kiln().run(["--version"]).ends_with(exit::SUCCESS).stdout;
    let version = said.trim_end().strip_prefix("kiln ").unwrap();
    assert_eq!(record.tools["kiln"], version);
    let sbom = json(&sandbox.read("dist/app/app.cdx.json"));
    let tools = sbom["metadata"]["tools"]["components"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "kiln" && tool["version"] == version), "{tools:?}");
    let provenance = json(&sandbox.read("dist/app/app.intoto.jsonl"));
    assert_eq!(provenance["predicate"]["runDetails"]["builder"]["version"]["kiln"], version);

    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(sandbox.path("dist/app"))
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        "app.cdx.json: OK\napp.intoto.jsonl: OK\napp.zip: OK\nrecord.json: OK\n"
    );
    // The two forms are what the usual tools say.
    let openssl = Command::new("sha256sum").arg(sandbox.path("dist/app/app.zip")).output().unwrap();
    assert!(String::from_utf8_lossy(&openssl.stdout).starts_with(&digest.hex()));
}

#[test]
fn the_version_names_the_commit_that_kiln_was_built_from() {
    let said = Sandbox::bare().kiln().run(["--version"]).ends_with(exit::SUCCESS).stdout;
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(repository()).output().unwrap();
    let commit = String::from_utf8(head.stdout).unwrap();
    let version = format!("kiln {}+{}", env!("CARGO_PKG_VERSION"), commit.trim_end());
    assert!([version.clone(), format!("{version}.modified")].contains(&said.trim_end().to_owned()), "{said}");
}

#[test]
fn history_and_show_tell_what_was_built() {
    let built = built();
    let sandbox = &built.sandbox;
    let digest = Digest::of(&sandbox.read("dist/app/app.zip"));

    let history = sandbox.kiln().run(["history", "app"]).ends_with(exit::SUCCESS);
    shows(&history, &["app @1 ", "@2 ", &digest.hex()[..16], "+17 B unpacked"]);
    assert_eq!(sandbox.kiln().run(["history"]).stdout, history.stdout);
    let entries = sandbox.kiln().run(["history", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let entries = entries["app"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["archive"], digest.to_string());
    assert_eq!(entries[1]["number"], 2);
    assert_eq!(entries[1]["record"], Digest::of(&sandbox.read("dist/app/record.json")).to_string());
    assert!(entries[0]["previous"].is_null());
    let first = sandbox.read(".kiln/ledger/app/000001/entry.json");
    assert_eq!(entries[1]["previous"], Digest::of(&first).to_string());
    sandbox
        .kiln()
        .run(["history", "other"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`other` has no build in the ledger", "built here: app"]);

    let shown = sandbox.kiln().run(["show", "app", "--files"]).ends_with(exit::SUCCESS);
    shows(
        &shown,
        &[
            "app@2",
            "python3.13 on x86_64",
            "app.handler",
            &digest.hex(),
            &digest.base64(),
            "python/greeting 1.0",
            "lock sha256:",
            "manifests/app/requirements.txt",
            "import ran on",
            "greeting.py",
        ],
    );
    let record = sandbox.kiln().run(["show", "app", "--format", "json"]).ends_with(exit::SUCCESS);
    // What a run was is known of a build of the ledger, and is in no record.
    let without_run = |mut shown: Value| {
        shown.as_object_mut().unwrap().remove("run");
        shown
    };
    assert_eq!(record.json()["run"]["source"]["state"], "unknown", "{}", record.json());
    assert_eq!(without_run(record.json()), json(&sandbox.read("dist/app/record.json")));
    let first = sandbox.kiln().run(["show", "app@1", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_ne!(first["tree"], record.json()["tree"]);
    for other in ["dist/app/app.zip", "dist/app/record.json", "app@latest"] {
        let shown = sandbox.kiln().run(["show", other, "--format", "json"]).json();
        assert_eq!(without_run(shown), without_run(record.json()), "{other}");
    }
    sandbox.kiln().run(["show", "app@7"]).ends_with(exit::INPUT_INVALID).says(&["app@7", "builds 1 to 2"]);
}

#[test]
fn verify_finds_the_record_of_a_file_and_says_what_differs() {
    let built = built();
    let sandbox = &built.sandbox;
    let archive = sandbox.read("dist/app/app.zip");
    let elsewhere = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = elsewhere.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let verify = |file: &Path| sandbox.kiln().run(["verify".as_ref(), file.as_os_str()]);
    let against = |file: &Path| {
        sandbox.kiln().run([
            "verify".as_ref(),
            "--record".as_ref(),
            "dist/app/record.json".as_ref(),
            file.as_os_str(),
        ])
    };

    let same = verify(&sandbox.path("dist/app/app.zip")).ends_with(exit::SUCCESS);
    shows(&same, &["same", "record.json", &Digest::of(&archive).hex()]);
    shows(&verify(&put("deployed.zip", &archive)).ends_with(exit::SUCCESS), &["same", "app@2"]);

    let mut damaged = archive.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let damaged = put("damaged.zip", &damaged);
    shows(
        &against(&damaged).ends_with(exit::NOT_REPRODUCIBLE),
        &["differs", "not the file that", "cannot be read"],
    );
    shows(&verify(&damaged).ends_with(exit::NOT_REPRODUCIBLE), &["unknown", "no record beside it"]);

    let repacked = put("repacked.zip", &zipped_again(&archive, |_, content| Some(content)));
    let verdict = against(&repacked).ends_with(exit::NOT_REPRODUCIBLE);
    shows(&verdict, &["differs", "same tree", "only the container or compression differs"]);

    let patched = zipped_again(&archive, |name, content| match name {
        "app.py" => Some([content.as_slice(), b"import os\n"].concat()),
        "words.txt" => None,
        _ => Some(content),
    });
    let patched = put("patched.zip", &patched);
    shows(
        &against(&patched).ends_with(exit::NOT_REPRODUCIBLE),
        &["another tree", "app.py differs", "words.txt is missing"],
    );

    // In the published folder, the record beside the file is what it is held against.
    fs::write(sandbox.path("dist/app/app.zip"), fs::read(&patched).unwrap()).unwrap();
    shows(
        &verify(&sandbox.path("dist/app/app.zip")).ends_with(exit::NOT_REPRODUCIBLE),
        &["differs", "app.py differs"],
    );

    let all =
        sandbox.kiln().run(["verify", "--format", "json", "dist/app/app.zip", patched.to_str().unwrap()]);
    let rows = all.ends_with(exit::NOT_REPRODUCIBLE).json();
    assert_eq!((&rows[0]["bytes_equal"], &rows[0]["tree_equal"]), (&Value::Bool(false), &Value::Bool(false)));
    assert!(rows[1]["record"].is_null());

    verify(&elsewhere.path().join("nothing.zip"))
        .ends_with(exit::INPUT_INVALID)
        .says(&["nothing.zip", "is not a file"]);
}

#[test]
fn a_ledger_that_was_changed_is_not_believed() {
    let built = built();
    let sandbox = &built.sandbox;
    let entry = ".kiln/ledger/app/000001/entry.json";
    let there = String::from_utf8(sandbox.read(entry)).unwrap();

    sandbox.replace(entry, "\"unpacked_size\": ", "\"unpacked_size\": 1");
    let told = ["000002/entry.json", "the ledger is broken", "one of the two was changed"];
    sandbox.kiln().run(["history"]).ends_with(exit::STORE_FAILURE).says(&told);
    sandbox.kiln().run(["diff", "app@1", "app@2"]).ends_with(exit::STORE_FAILURE).says(&told);
    sandbox.write(entry, there);
    sandbox.kiln().run(["history"]).ends_with(exit::SUCCESS);

    sandbox.replace(".kiln/ledger/app/000001/record.json", "greeting", "gree-ing");
    let told = ["000001/record.json", "its digest is sha256:", "but its entry names sha256:"];
    sandbox.kiln().run(["show", "app@1"]).ends_with(exit::STORE_FAILURE).says(&told);
    sandbox.kiln().run(["show", "app@2"]).ends_with(exit::SUCCESS);

    fs::remove_dir_all(sandbox.path(".kiln/ledger/app/000001")).unwrap();
    sandbox
        .kiln()
        .run(["history"])
        .ends_with(exit::STORE_FAILURE)
        .says(&["000001", "it is missing, but there is an entry 2"]);
}
