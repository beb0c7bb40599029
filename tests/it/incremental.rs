//! What is built again after a change, and what a run without a change does.

use crate::harness::{Kiln, LocalIndex, Outcome, Sandbox, block_on, engine, published_repository};
use kiln_record::{CheckName, Digest, exit};
use kiln_store::{Ledger, Store};

/// What a run may read when nothing changed: manifests, locks and its own notes. All published files are far more.
const NOTES: u64 = 512 * 1024;
/// Runs the binary, then tells what it and the shell read, on standard error.
const MEASURED: &str = r#""$@"; code=$?; cat /proc/$$/io >&2; exit $code"#;

/// The kind of value by which a store remembers what is published.
const PUBLISHED: &str = "published-files";

const BUILD: [&str; 4] = ["build", "--all", "--format", "json"];

#[test]
fn nothing_changed_reads_no_content_and_starts_no_container() {
    let sandbox = published_repository().copy();
    // Files in a new place are read once.
    let first = sandbox.kiln().in_shell(MEASURED).run(BUILD).ends_with(exit::SUCCESS).published_only(&[]);
    let before = sandbox.dist();
    let nowhere = LocalIndex::empty();
    let kiln = sandbox
        .kiln()
        .with_network_only_at(&nowhere.url())
        .with_variable("DOCKER_HOST", &nowhere.url().replace("http://", "tcp://"))
        .in_shell(MEASURED);
    let second = kiln.run(BUILD).ends_with(exit::SUCCESS).published_only(&[]);
    assert_eq!(nowhere.requests(), 0, "neither the engine nor a server was asked");
    assert!(sandbox.dist() == before, "dist/ is as it was");
    if let (Some(first), Some(bytes)) = (bytes_read(&first), bytes_read(&second)) {
        let published: usize = before.iter().map(|(_, content)| content.len()).sum();
        assert!(
            first > NOTES && published as u64 > NOTES,
            "the measure would show it: {first} bytes at first"
        );
        assert!(bytes < NOTES, "{bytes} bytes were read\n{second}");
    }
}

#[test]
fn code_only_change_rebuilds_what_has_that_code_alone() {
    let sandbox = published_repository().copy();
    let before = sandbox.dist();
    let nowhere = LocalIndex::empty();
    sandbox.append("manifests/dashboard/src/dashboard/main.py", "\n# A remark.\n");
    // The wheels are known, so no server is needed; the engine is, for the import check.
    let kiln = sandbox.kiln().with_network_only_at(&nowhere.url());
    kiln.run(BUILD).ends_with(exit::SUCCESS).published_only(&["dashboard", "dashboard-image"]);
    assert_eq!(nowhere.requests(), 0, "no server was asked");
    let changed: Vec<String> = before
        .into_iter()
        .zip(sandbox.dist())
        .filter(|(before, after)| before != after)
        .map(|((name, _), _)| name)
        .collect();
    let mut expected = vec!["index.json".to_owned()];
    for (artifact, archive) in [("dashboard", "zip"), ("dashboard-image", "oci.tar")] {
        for file in ["SHA256SUMS", "record.json"] {
            expected.push(format!("{artifact}/{file}"));
        }
        for ending in ["cdx.json", "intoto.jsonl", archive] {
            expected.push(format!("{artifact}/{artifact}.{ending}"));
        }
    }
    expected.sort();
    assert_eq!(changed, expected);
    assert_eq!(builds(&sandbox, "dashboard"), 2);
    assert_eq!(builds(&sandbox, "ingestion"), 1);

    // Code that is as it was gives the bytes that were: a build more in the history, and the same archive.
    let main = sandbox.read("manifests/dashboard/src/dashboard/main.py");
    let remark = main.len() - "\n# A remark.\n".len();
    sandbox.write("manifests/dashboard/src/dashboard/main.py", &main[..remark]);
    kiln.run(BUILD).ends_with(exit::SUCCESS).published_only(&["dashboard", "dashboard-image"]);
    assert!(sandbox.dist() == published_repository().dist(), "dist/ is as it was before the remark");
    assert_eq!(builds(&sandbox, "dashboard"), 3);
}

#[test]
fn a_changed_lock_rebuilds_the_functions_that_share_it() {
    let sandbox = published_repository().copy();
    sandbox.append("manifests/telemetry/requirements.txt", "# A remark.\n");
    sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS).published_only(&["analysis", "ingestion"]);
}

#[test]
fn a_changed_layer_rebuilds_its_functions() {
    let sandbox = published_repository().copy();
    // A lock that resolves to the same distributions, and yet another input.
    sandbox.append("manifests/powertools-layer/requirements.txt", "# A remark.\n");
    let built = sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS);
    built.published_only(&["powertools-layer", "waf-log-parser", "waf-reputation-list"]);
}

#[test]
fn a_published_file_that_was_touched_is_built_again() {
    let sandbox = published_repository().copy();
    let before = sandbox.dist();
    sandbox.write("dist/cloudtrail-alert/cloudtrail-alert.zip", "not an archive");
    std::fs::remove_file(sandbox.path("dist/cloudtrail-report/SHA256SUMS")).unwrap();
    let built = sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS);
    built.published_only(&["cloudtrail-alert", "cloudtrail-report"]);
    assert!(sandbox.dist() == before, "both are back");
}

#[test]
fn a_changed_base_must_be_pinned_and_rebuilds_what_stands_on_it() {
    let sandbox = Sandbox::new();
    sandbox.function("old", "3.11", "def handler(event, context):\n    return None\n", "");
    sandbox.function("new", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS).published_only(&["new", "old"]);
    let before = sandbox.dist();
    let definition = "images/python-3.13.toml";
    sandbox.replace(definition, "env = { ", "env = { A_REMARK = \"1\", ");

    let unpinned = sandbox.kiln().run(BUILD).ends_with(exit::FINDINGS_DENIED);
    let endings = unpinned.endings();
    assert_eq!((endings["new"].as_str(), endings["old"].as_str()), ("denied", "unchanged"));
    unpinned.says(&["base-not-pinned", "new", "images/python-3.13.toml", "kiln lock --base python-3.13"]);
    assert!(sandbox.dist() == before, "what was published stays");

    sandbox.kiln().run(["lock", "--base", "python-3.13"]).ends_with(exit::SUCCESS);
    let lock: toml::Table =
        String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap().parse().unwrap();
    let manifest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap();
    let image = format!("localhost/kiln/python-3.13:{}", &manifest.strip_prefix("sha256:").unwrap()[..12]);
    let built = sandbox.kiln().run(BUILD);
    block_on(async { engine("incremental").await.remove_image(&image).await.unwrap() });
    built.ends_with(exit::SUCCESS).published_only(&["new"]);
    // The base is not part of the artifact: the record names another base, the archive is the same.
    let archive = |files: &[(String, Vec<u8>)]| files.iter().find(|(name, _)| name == "new/new.zip").cloned();
    assert!(archive(&before) == archive(&sandbox.dist()));
}

/// What a kiln left that published the same and judged it by other code: what it remembered, and a record without the check
/// that it did not have.
#[test]
fn what_other_code_judged_is_judged_again_and_not_built_again() {
    let sandbox = Sandbox::new();
    let artifact = "judged".parse().unwrap();
    sandbox.function("judged", "3.13", "def handler(event, context):\n    return 'judged again'\n", "");
    sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS).published_only(&["judged"]);
    let before = sandbox.dist();
    let store = Store::open(&Kiln::shared_store()).unwrap();
    let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
    let latest = || ledger.latest(&artifact).unwrap().unwrap();
    let remembered = |record| store.cache_get::<serde_json::Value>(PUBLISHED, &record).unwrap().unwrap();
    let nowhere = LocalIndex::empty();
    let cut_off = sandbox
        .kiln()
        .with_network_only_at(&nowhere.url())
        .with_variable("DOCKER_HOST", &nowhere.url().replace("http://", "tcp://"));
    cut_off.run(BUILD).ends_with(exit::SUCCESS).published_only(&[]);

    let first = latest();
    let ours = remembered(first.record);
    let mut others = ours.clone();
    others["judges"] = serde_json::json!(Digest::of(b"other judges"));
    store.cache_put(PUBLISHED, &first.record, &others).unwrap();
    cut_off.run(["build", "--all", "--check-again"]).ends_with(exit::ENGINE_UNAVAILABLE);
    assert!(sandbox.dist() == before, "what is not judged stays as it was");
    // What this kiln's own programs answered to the same question is still known.
    cut_off.run(BUILD).ends_with(exit::SUCCESS).published_only(&[]);
    assert_eq!(remembered(first.record), ours, "it was judged again");
    assert!(sandbox.dist() == before && builds(&sandbox, "judged") == 1, "with the same result");

    let mut weaker = ledger.record(&artifact, 1).unwrap();
    weaker.checks.retain(|check| check.name != CheckName::Import);
    assert!(weaker.checks.len() < ledger.record(&artifact, 1).unwrap().checks.len());
    let second = ledger.append(&artifact, &weaker, first.at, None).unwrap();
    sandbox.write("dist/judged/record.json", weaker.to_json().unwrap());
    others["files"]["record.json"] = serde_json::json!(second.record);
    store.cache_put(PUBLISHED, &second.record, &others).unwrap();
    sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS).published_only(&["judged"]);
    assert!(sandbox.dist() == before, "the record says what was checked; the archive is the same");
    assert_eq!((builds(&sandbox, "judged"), latest().record), (3, first.record));
    cut_off.run(BUILD).ends_with(exit::SUCCESS).published_only(&[]);
}

/// How many builds the ledger has of an artifact.
fn builds(sandbox: &Sandbox, artifact: &str) -> usize {
    let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
    ledger.entries(&artifact.parse().unwrap()).unwrap().len()
}

/// Bytes that the shell and its children read, where the system tells (proc_pid_io(5)).
fn bytes_read(outcome: &Outcome) -> Option<u64> {
    outcome.stderr.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}
