//! What is published of a record, and references to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_audit::HISTORY;
use kiln_fixtures::{FUNCTION, Python, Sandbox};
use kiln_invocation::Environment;
use kiln_pack::{ZipWriter, compress};
use kiln_publish::{
    Anchors, Histories, LedgerVerdict, PublishError, Row, State, artifacts_with_history, described,
    documents, entry_before, entry_where, exported, history, repair, resolve, settle_for_reading,
    verify_file, verify_workspace, write_index,
};
use kiln_record::{
    ArtifactKind, ComponentId, Digest, Ecosystem, Entry, FORMAT_VERSION, FileRecord, Mode, Record, Target,
    Tree, TreePath,
};
use kiln_store::{Ledger, Publication, WorkspaceLock};
use std::collections::BTreeMap;

/// An archive of one file, and the record of it.
fn built(text: &str) -> (Vec<u8>, Record) {
    let path = TreePath::new("app.py").unwrap();
    let mut zip = ZipWriter::new(Vec::new());
    zip.add_file(&path, Mode::Plain, &compress(text.as_bytes())).unwrap();
    let archive = zip.finish().unwrap();
    let entry =
        Entry::File { digest: Digest::of(text.as_bytes()), size: text.len() as u64, mode: Mode::Plain };
    let mut tree = Tree::new();
    tree.insert(path.clone(), entry.clone()).unwrap();
    let component = ComponentId::new(Ecosystem::Application, "app");
    let output =
        described("app.zip".to_owned(), "application/zip", archive.len() as u64, Digest::of(&archive));
    let mut described = kiln_collect::component(component.clone(), Ecosystem::Application, "app");
    (described.bytes, described.files) = (text.len() as u64, 1);
    let record = Record {
        format: FORMAT_VERSION,
        artifact: "app".parse().unwrap(),
        kind: ArtifactKind::LambdaZip,
        target: Target { runtime: "python3.13".to_owned(), architecture: "x86_64".parse().unwrap() },
        handler: Some("app.handler".to_owned()),
        layers: Vec::new(),
        plan: Digest::of(b"plan"),
        epoch: "2026-01-02T03:04:05Z".parse().unwrap(),
        organization: None,
        stated: Vec::new(),
        policy: None,
        inputs: Vec::new(),
        tree: tree.digest(),
        unpacked_size: tree.size(),
        image: None,
        files: vec![FileRecord { path, entry, component }],
        components: vec![described],
        binaries: BTreeMap::new(),
        gaps: Vec::new(),
        environment: Vec::new(),
        transformations: Vec::new(),
        findings: Vec::new(),
        checks: Vec::new(),
        imports: None,
        tools: BTreeMap::new(),
        outputs: vec![output],
    };
    (archive, record)
}

/// Publishes a build and enters it in the ledger.
fn publish(sandbox: &Sandbox, text: &str) -> Record {
    let environment = sandbox.environment();
    let (archive, record) = built(text);
    let mut publication = Publication::begin(&environment.dist, &record.artifact).unwrap();
    publication.write("app.zip", &archive).unwrap();
    for (name, bytes) in documents(&record).unwrap() {
        publication.write(&name, &bytes).unwrap();
    }
    let sealed = publication.seal().unwrap();
    let ledger = Ledger::open(&environment.state.join("ledger"));
    ledger.append(&record.artifact, &record, environment.now, None).unwrap();
    sealed.place().unwrap();
    record
}

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(Python::new().into_engine(), &[]).await;
    sandbox.write("manifests/app.toml", FUNCTION);
    sandbox
}

#[test]
fn documents_follow_from_the_record_and_sums_name_all_of_them() {
    let (_, record) = built("one");
    let all = documents(&record).unwrap();
    assert_eq!(all, documents(&record).unwrap());
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["SHA256SUMS", "app.cdx.json", "app.intoto.jsonl", "record.json"]);
    let sums = String::from_utf8(all["SHA256SUMS"].clone()).unwrap();
    let named: Vec<&str> = sums.lines().map(|line| line.split("  ").nth(1).unwrap()).collect();
    assert_eq!(named, ["app.cdx.json", "app.intoto.jsonl", "app.zip", "record.json"]);
    assert!(sums.contains(&format!("{}  record.json\n", Digest::of(&all["record.json"]).hex())));
    assert_eq!(Record::from_json(&all["record.json"]).unwrap(), record);
}

#[tokio::test]
async fn references_name_builds() {
    let sandbox = sandbox().await;
    let environment = sandbox.environment();
    let refused = |text: &str, says: &str| {
        let error = resolve(&environment, text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused("app", "nothing was built in this workspace yet");
    let first = publish(&sandbox, "one");
    refused("app@previous", "has one build only");
    let second = publish(&sandbox, "two");
    let check = |text: &str, record: &Record, number: Option<u64>| {
        let named = resolve(&environment, text).unwrap();
        assert_eq!((&named.record, named.number), (record, number), "{text}");
    };
    check("app", &second, Some(2));
    check("app@1", &first, Some(1));
    check("app@previous", &first, Some(1));
    check("app@latest", &second, Some(2));
    let file = |name: &str| environment.dist.join("app").join(name).display().to_string();
    check(&file("record.json"), &second, None);
    check(&file("app.zip"), &second, None);
    refused("app@3", "has builds 1 to 2, latest and previous");
    refused("other", "built here: app");
    refused("no/such/file", "there is no such file");
    assert_eq!(artifacts_with_history(&environment).unwrap(), std::slice::from_ref(&second.artifact));
    assert_eq!(history(&environment, &second.artifact).unwrap().len(), 2);
    sandbox.write("elsewhere/x.zip", "unknown");
    let elsewhere = sandbox.root().join("elsewhere/x.zip").display().to_string();
    refused(&elsewhere, "describe a file with this digest");
}

#[tokio::test]
async fn sizes_are_held_against_the_builds_that_count_and_no_other_is_read() {
    let sandbox = sandbox().await;
    let environment = sandbox.environment();
    let records: Vec<Record> = (0..HISTORY + 5).map(|one| publish(&sandbox, &"x".repeat(one + 1))).collect();
    let of = |text: &str| Histories::default().of(&environment, &resolve(&environment, text).unwrap());
    let numbers =
        |text: &str| -> Vec<u64> { of(text).unwrap().samples.iter().map(|sample| sample.number).collect() };
    let newest = records.len() as u64;
    assert_eq!(numbers("app"), (6..=newest).collect::<Vec<_>>());
    assert_eq!(numbers("app@4"), [1, 2, 3, 4]);
    let unpacked = of("app@4").unwrap().samples.iter().map(|sample| sample.unpacked).collect::<Vec<_>>();
    assert_eq!(unpacked, [1, 2, 3, 4]);
    // A record from elsewhere has the place of the build with the same archive; one that the ledger does not know has none.
    let outside = |record: &Record| {
        sandbox.write("elsewhere/record.json", String::from_utf8(record.to_json().unwrap()).unwrap());
        sandbox.root().join("elsewhere/record.json").display().to_string()
    };
    assert_eq!(numbers(&outside(&records[2])), [1, 2, 3]);
    assert_eq!(numbers(&outside(&built("other").1)), Vec::<u64>::new());
    // What an old entry says is not asked for, and of one that counts it must hold.
    let entry = |number: u64| environment.state.join(format!("ledger/app/{number:06}/entry.json"));
    fs_err::remove_file(entry(3)).unwrap();
    assert_eq!(numbers("app").len(), HISTORY);
    let broken = of("app@4").unwrap_err().to_string();
    assert!(broken.contains("000003/entry.json"), "{broken}");
    assert!(entry_where(&environment, &records[0].artifact, |one| one.number == 4).unwrap().is_some());
    assert!(entry_where(&environment, &records[0].artifact, |one| one.number == 2).is_err());
    assert_eq!(entry_before(&environment, &records[0].artifact, 6).unwrap().unwrap().number, 5);
    assert_eq!(entry_before(&environment, &records[0].artifact, 1).unwrap(), None);
}

#[tokio::test]
async fn a_file_is_held_against_its_record() {
    let sandbox = sandbox().await;
    let environment = sandbox.environment();
    let first = publish(&sandbox, "one");
    publish(&sandbox, "two");
    let dist = environment.dist.join("app");
    let good = verify_file(&environment, &dist.join("app.zip"), None).unwrap();
    assert!(good.bytes_equal && good.differences.is_empty());
    for document in ["SHA256SUMS", "app.cdx.json", "app.intoto.jsonl", "record.json"] {
        assert!(verify_file(&environment, &dist.join(document), None).unwrap().bytes_equal, "{document}");
    }
    // An archive of the build before, copied somewhere: the ledger knows it.
    sandbox.write("copy/app.zip", built("one").0);
    let copy = sandbox.root().join("copy/app.zip");
    let known = verify_file(&environment, &copy, None).unwrap();
    assert_eq!((known.bytes_equal, known.record.as_deref()), (true, Some("app@1")));
    assert_eq!(known.digest, first.archive().unwrap().digest);
    // Held against another record it is told what it is instead.
    let other = verify_file(&environment, &copy, Some(&dist.join("record.json"))).unwrap();
    assert_eq!((other.bytes_equal, other.tree_equal), (false, Some(false)));
    assert_eq!(other.differences, ["these bytes are those of app@1", "app.py differs"]);
    sandbox.write("dist/app/app.zip", "no archive");
    let bad = verify_file(&environment, &dist.join("app.zip"), None).unwrap();
    assert!(!bad.bytes_equal && bad.differences[0].contains("cannot be read as a zip"), "{bad:?}");
    sandbox.write("dist/app/app.cdx.json", "{}");
    let bad = verify_file(&environment, &dist.join("app.cdx.json"), None).unwrap();
    assert_eq!(bad.differences, ["this document does not follow from the record"]);
    sandbox.write("alone/x.zip", "unknown");
    let unknown = verify_file(&environment, &sandbox.root().join("alone/x.zip"), None).unwrap();
    assert_eq!((unknown.record, unknown.bytes_equal), (None, false));
}

#[tokio::test]
async fn the_index_names_what_is_published_and_is_written_when_that_changes() {
    let sandbox = sandbox().await;
    let (environment, workspace) = (sandbox.environment(), sandbox.workspace());
    let (dist, ledger) = (environment.dist.clone(), Ledger::open(&environment.state.join("ledger")));
    let none = BTreeMap::new();
    write_index(&dist, &ledger, &workspace, true, &none, &[]).unwrap();
    assert!(!dist.exists(), "nothing is published");
    let record = publish(&sandbox, "one");
    let builds = BTreeMap::from([(record.artifact.clone(), Digest::of(&record.to_json().unwrap()))]);
    write_index(&dist, &ledger, &workspace, true, &builds, &[]).unwrap();
    let read = || -> serde_json::Value {
        serde_json::from_slice(&fs_err::read(dist.join("index.json")).unwrap()).unwrap()
    };
    let archive = record.archive().unwrap();
    assert_eq!(read()["artifacts"]["app"]["file"], "app/app.zip");
    assert_eq!(read()["artifacts"]["app"]["source_code_hash"], archive.digest.base64());
    assert_eq!(read()["artifacts"]["app"]["handler"], "app.handler");
    let before = read();
    let second = publish(&sandbox, "two");
    write_index(&dist, &ledger, &workspace, false, &builds, &[]).unwrap();
    assert_eq!(read(), before, "it names these builds already");
    let builds = BTreeMap::from([(second.artifact.clone(), Digest::of(&second.to_json().unwrap()))]);
    write_index(&dist, &ledger, &workspace, false, &builds, &[]).unwrap();
    assert_eq!(read()["artifacts"]["app"]["digest"], second.archive().unwrap().digest.to_string());
}

/// Everything in the folder of the artifact as if another build had given it: every file fits every other.
fn rehash(sandbox: &Sandbox, text: &str) -> Record {
    let (archive, record) = built(text);
    sandbox.write("dist/app/app.zip", archive);
    for (name, bytes) in documents(&record).unwrap() {
        sandbox.write(&format!("dist/app/{name}"), bytes);
    }
    record
}

async fn verified(environment: &Environment) -> Vec<Row> {
    verify_workspace(environment, &Anchors::default()).await.unwrap()
}

/// What is wrong, and what it is wrong with.
async fn wrong(sandbox: &Sandbox) -> Vec<(String, String)> {
    let rows = verified(&sandbox.environment()).await;
    let wrong = rows.into_iter().filter(|row| row.state == State::Differs);
    wrong.map(|row| (row.subject, row.lines.join("; "))).collect()
}

#[tokio::test]
async fn what_was_changed_so_that_all_of_it_fits_is_refused_by_the_ledger() {
    let sandbox = sandbox().await;
    let environment = sandbox.environment();
    let built = publish(&sandbox, "one");
    settle_for_reading(&environment).unwrap();
    assert_eq!(wrong(&sandbox).await, []);
    assert_eq!(exported(&environment, &[]).unwrap().len(), 1);
    let forged = rehash(&sandbox, "two");
    let digest = |record: &Record| Digest::of(&record.to_json().unwrap());
    let (expected, found) = (digest(&built), digest(&forged));
    let error = exported(&environment, &[]).unwrap_err();
    assert!(matches!(error, PublishError::NotInLedger { number: 1, .. }), "{error}");
    for digest in [expected, found] {
        assert!(error.to_string().contains(&digest.to_string()), "{error}");
    }
    let verdict = verify_file(&environment, &environment.dist.join("app/app.zip"), None).unwrap();
    assert_eq!(verdict.ledger, LedgerVerdict::Other { number: 1, expected, found });
    assert!(verdict.bytes_equal && !verdict.is_same());
    let subjects: Vec<String> = wrong(&sandbox).await.into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(subjects, ["dist/app", "dist/index.json"]);
    // Where there is no ledger it can only be said that nothing was held against it.
    fs_err::remove_dir_all(&environment.state).unwrap();
    assert_eq!(exported(&environment, &[]).unwrap().len(), 1);
    let rows = verified(&environment).await;
    let folder = rows.iter().find(|row| row.subject == "dist/app").unwrap();
    assert_eq!(folder.state, State::NotChecked);
}

#[tokio::test]
async fn a_kill_before_the_index_is_made_good_by_whoever_reads() {
    let sandbox = sandbox().await;
    let environment = sandbox.environment();
    publish(&sandbox, "one");
    settle_for_reading(&environment).unwrap();
    // The next publication gets as far as its place, and not to the index.
    let second = publish(&sandbox, "two");
    assert!(!wrong(&sandbox).await.is_empty());
    settle_for_reading(&environment).unwrap();
    assert_eq!(wrong(&sandbox).await, []);
    let index: serde_json::Value =
        serde_json::from_slice(&fs_err::read(environment.dist.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["artifacts"]["app"]["tree"], second.tree.to_string());
}

#[tokio::test]
async fn what_is_damaged_is_named_and_set_right_from_what_is_left() {
    let files = [
        "dist/index.json",
        "dist/app/record.json",
        "dist/app/SHA256SUMS",
        "dist/app/app.cdx.json",
        ".kiln/ledger/app/000002/record.json",
        ".kiln/ledger/app/000001/entry.json",
    ];
    for file in files {
        for harm in ["empty", "truncated", "garbage", "missing"] {
            let told = format!("{file}: {harm}");
            let sandbox = sandbox().await;
            let environment = sandbox.environment();
            publish(&sandbox, "one");
            publish(&sandbox, "two");
            settle_for_reading(&environment).unwrap();
            let path = environment.root.join(file);
            let before = fs_err::read(&path).unwrap();
            match harm {
                "empty" => fs_err::write(&path, b"").unwrap(),
                "truncated" => fs_err::write(&path, &before[..before.len() / 2]).unwrap(),
                "garbage" => fs_err::write(&path, b"\x00nothing of ours").unwrap(),
                _ => fs_err::remove_file(&path).unwrap(),
            }
            let found = wrong(&sandbox).await;
            let name = path.file_name().unwrap().to_str().unwrap();
            let names = |(subject, lines): &(String, String)| subject.ends_with(name) || lines.contains(name);
            assert!(found.iter().any(names), "{told}: {found:?}");
            let lock = WorkspaceLock::try_acquire(&environment.state).unwrap().unwrap();
            let done = repair(&environment, &lock).unwrap();
            assert!(!done.is_empty(), "{told}");
            assert_eq!(wrong(&sandbox).await, [], "{told}: {done:?}");
            if !file.ends_with("entry.json") {
                assert_eq!(fs_err::read(&path).unwrap(), before, "{told}");
            }
            assert_eq!(repair(&environment, &lock).unwrap(), Vec::<String>::new(), "{told}");
        }
    }
}
