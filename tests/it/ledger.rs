//! What is published is held against the ledger, whatever happened to either.

use crate::harness::page::text;
use crate::harness::{Kiln, LocalIndex, Sandbox, wheel};
use crate::lacking;
use fs_err as fs;
use kiln_record::{Digest, exit};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

fn code(answer: &str) -> String {
    format!("def handler(event, context):\n    return {answer:?}\n")
}

fn built(answer: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", &code(answer), "");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox
}

/// Puts another build in the place of the published one: every file of it fits every other.
fn forge(sandbox: &Sandbox, answer: &str) {
    for (path, bytes) in built(answer).dist() {
        sandbox.write(&format!("dist/{path}"), bytes);
    }
}

#[test]
fn a_forgery_that_fits_is_refused_and_told_with_both_digests() {
    let sandbox = built("mine");
    let kiln = sandbox.kiln();
    kiln.run(["verify"]).ends_with(exit::SUCCESS).says(&["nothing is wrong"]);
    let expected = Digest::of(&sandbox.read("dist/app/record.json")).to_string();
    forge(&sandbox, "theirs");
    let found = Digest::of(&sandbox.read("dist/app/record.json")).to_string();
    assert_ne!(expected, found);
    let says = [expected.as_str(), found.as_str(), "kiln build app"];
    // Nothing is sent: what is pushed is looked at first.
    let push = ["push", "app", "--to", "127.0.0.1:9/team"];
    for arguments in [&["export", "terraform"][..], &["export", "env", "app"], &push] {
        kiln.run(arguments).ends_with(exit::NOT_REPRODUCIBLE).says(&says);
    }
    let verified = kiln.run(["verify", "dist/app/app.zip"]).ends_with(exit::NOT_REPRODUCIBLE);
    assert!(verified.stdout.contains(&expected) && verified.stdout.contains(&found), "{verified}");
    let all = kiln.run(["verify", "--format", "json"]).ends_with(exit::NOT_REPRODUCIBLE).json();
    assert_eq!((&all["format"], &all["success"]), (&"1.0".into(), &false.into()));
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
    assert_eq!(Digest::of(&sandbox.read("dist/app/record.json")).to_string(), expected);
}

/// Runs git in the workspace, as somebody.
fn git(sandbox: &Sandbox, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=somebody", "-c", "user.email=somebody@localhost"])
        .args(arguments)
        .current_dir(sandbox.root())
        .env("HOME", sandbox.home())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}

/// The newest entry, edited or removed, and everything in the workspace made to fit: only a commit knows better.
#[test]
fn a_ledger_made_to_fit_is_held_against_the_commit() {
    let sandbox = built("one");
    sandbox.function("app", "3.13", &code("two"), "");
    let kiln = sandbox.kiln();
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    let row = |state: &str| {
        let rows = kiln.run(["verify", "--format", "json"]).json();
        let rows = rows["rows"].as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["subject"] == ".kiln/heads.json in HEAD")?;
        assert_eq!(row["state"], state, "{row}");
        Some(row["lines"].to_string())
    };
    assert_eq!(row(""), None, "there is no repository");
    git(&sandbox, &["init", "--quiet"]);
    let told = row("not-checked").unwrap();
    assert!(
        told.contains("no such file in HEAD") && told.contains("commit both: git add .kiln/heads.json"),
        "{told}"
    );
    // Where git ignores them, the rule is named; what the page has in its place makes git take them.
    sandbox.write(".gitignore", "# Made here.\n.kiln/\ndist/\n");
    let told = row("not-checked").unwrap();
    assert!(told.contains("`.kiln/` in .gitignore, line 2;") && told.len() < 130, "{told}");
    let lines = [".kiln/*", "!.kiln/heads.json", "!.kiln/ledger/"];
    let page = text("docs/security.md");
    assert!(
        told.contains("docs/security.md") && lines.iter().all(|line| page.contains(&format!("`{line}`")))
    );
    sandbox.replace(".gitignore", ".kiln/\n", &format!("{}\n", lines.join("\n")));
    assert!(row("not-checked").unwrap().contains("commit both: git add"), "nothing ignores them");
    git(&sandbox, &["add", ".kiln/heads.json", ".kiln/ledger"]);
    git(&sandbox, &["commit", "--quiet", "--message", "two builds"]);
    row("same").unwrap();
    sandbox.function("app", "3.13", &code("three"), "");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
    row("same").unwrap();

    // Builds 3 and 2 never were. What is published is build 1, and everything in the workspace says so.
    let whole = sandbox.copy();
    let first = built("one");
    for number in ["000002", "000003"] {
        fs::remove_dir_all(sandbox.path(&format!(".kiln/ledger/app/{number}"))).unwrap();
    }
    fit(&sandbox);
    fs::remove_dir_all(sandbox.path("dist")).unwrap();
    first.dist().iter().for_each(|(path, bytes)| {
        sandbox.write(&format!("dist/{path}"), bytes);
    });
    let told = row("differs").unwrap();
    assert!(told.contains("000002/entry.json: it is missing"), "{told}");
    kiln.run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);

    // Build 3 never was, and build 2 was at another time.
    fs::remove_dir_all(whole.path(".kiln/ledger/app/000003")).unwrap();
    let entry = ".kiln/ledger/app/000002/entry.json";
    let mut edited: serde_json::Value = serde_json::from_slice(&whole.read(entry)).unwrap();
    edited["forged"] = true.into();
    whole.write(entry, edited.to_string());
    fit(&whole);
    let verified = whole.kiln().run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);
    let was = "000002/entry.json: its digest is sha256:";
    assert!(verified.stdout.contains(was) && verified.stdout.contains("but it was"), "{verified}");
}

#[test]
fn what_was_renamed_is_told_and_left_where_it_is() {
    let sandbox = built("one");
    fs::rename(sandbox.path("manifests/app.toml"), sandbox.path("manifests/orders.toml")).unwrap();
    let kiln = sandbox.kiln();
    kiln.run(["build", "orders"]).ends_with(exit::SUCCESS).does_not_say("dist/app");
    let way = "dist/app is of no artifact of this workspace (renamed or removed?): rm -r dist/app removes it";
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS).says(&[way, "and kiln build app"]);
    let built = kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(built["left_behind"], serde_json::json!(["dist/app"]));
    let row = || {
        let document = kiln.run(["verify", "--format", "json"]).ends_with(exit::SUCCESS).json();
        let mut rows = document["rows"].as_array().unwrap().clone().into_iter();
        rows.find(|row| row["subject"] == "dist/app")
    };
    let told = row().unwrap();
    assert_eq!(told["state"], "noted");
    assert!(told["lines"].to_string().contains("it is of no artifact of this workspace"), "{told}");
    assert!(sandbox.path("dist/app/app.zip").is_file(), "nothing is removed");

    // A manifest that is wrong is still one, and what is advised is followed.
    sandbox.write("manifests/app.toml", "kind = \"nothing\"\n");
    kiln.run(["build", "--all"]).ends_with(exit::INPUT_INVALID).does_not_say("of no artifact");
    fs::remove_file(sandbox.path("manifests/app.toml")).unwrap();
    fs::remove_dir_all(sandbox.path("dist/app")).unwrap();
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS).does_not_say("of no artifact");
    assert!(row().is_none());
}

/// States the newest entry of the app as the ledger has it now.
fn fit(sandbox: &Sandbox) {
    let newest = fs::read_dir(sandbox.path(".kiln/ledger/app")).unwrap();
    let newest = newest.map(|entry| entry.unwrap().file_name().into_string().unwrap()).max().unwrap();
    let entry = Digest::of(&sandbox.read(&format!(".kiln/ledger/app/{newest}/entry.json"))).to_string();
    let mut heads: serde_json::Value = serde_json::from_slice(&sandbox.read(".kiln/heads.json")).unwrap();
    heads["artifacts"]["app"] =
        serde_json::json!({ "number": newest.parse::<u64>().unwrap(), "entry": entry });
    sandbox.write(".kiln/heads.json", heads.to_string());
}

/// The same, held against a copy of the heads that is kept elsewhere. A ledger that was built upon since continues it.
#[test]
fn a_ledger_made_to_fit_is_held_against_a_copy_of_its_heads() {
    let sandbox = built("one");
    let kept = sandbox.home().join("heads.json");
    fs::copy(sandbox.path(".kiln/heads.json"), &kept).unwrap();
    let kiln = sandbox.kiln();
    let verify = || kiln.run(["verify", "--heads", kept.to_str().unwrap()]);
    verify().ends_with(exit::SUCCESS).prints(&["the ledger continues it, for 1 artifact"]);
    sandbox.function("app", "3.13", &code("two"), "");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    verify().ends_with(exit::SUCCESS);
    let entry = ".kiln/ledger/app/000001/entry.json";
    let mut edited: serde_json::Value = serde_json::from_slice(&sandbox.read(entry)).unwrap();
    edited["forged"] = true.into();
    sandbox.write(entry, edited.to_string());
    fs::remove_dir_all(sandbox.path(".kiln/ledger/app/000002")).unwrap();
    fit(&sandbox);
    built("one").dist().iter().for_each(|(path, bytes)| {
        sandbox.write(&format!("dist/{path}"), bytes);
    });
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
    verify()
        .ends_with(exit::NOT_REPRODUCIBLE)
        .prints(&["000001/entry.json: its digest is sha256:", "but it was"]);
    let missing = kiln.run(["verify", "--heads", "nowhere.json"]);
    assert_ne!(missing.code, Some(0), "an anchor that is not there holds nothing\n{missing}");
}

/// Where a build was published is part of its entry, so that building into another folder says nothing of `dist`.
#[test]
fn a_build_into_another_folder_leaves_dist_what_it_was() {
    let sandbox = built("one");
    let kiln = sandbox.kiln();
    sandbox.function("app", "3.13", &code("two"), "");
    kiln.run(["build", "app", "--dist", "elsewhere"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS).prints(&["build 1 of the ledger", "2 builds"]);
    kiln.run(["export", "env", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["export", "env", "app", "--dist", "elsewhere"]).ends_with(exit::SUCCESS);
    // What lies in one folder does not stand for what was published in the other.
    let first = sandbox.dist();
    for file in ["app.zip", "record.json", "app.cdx.json", "app.intoto.jsonl", "SHA256SUMS"] {
        sandbox.write(&format!("dist/app/{file}"), sandbox.read(&format!("elsewhere/app/{file}")));
    }
    kiln.run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);
    first.iter().for_each(|(path, bytes)| {
        sandbox.write(&format!("dist/{path}"), bytes);
    });
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
    // The same build, published here as well, is an entry of its own; and then nothing older passes for it.
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS).prints(&["build 3 of the ledger"]);
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS).prints(&["3 builds"]);
    first.iter().for_each(|(path, bytes)| {
        sandbox.write(&format!("dist/{path}"), bytes);
    });
    kiln.run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);
}

/// One archive of two artifacts, and one of two builds with different records: nothing is chosen without a word.
#[test]
fn an_archive_of_several_builds_is_said_to_be_that_of_all() {
    let sandbox = built("one");
    let kiln = sandbox.kiln();
    sandbox.append("manifests/app.toml", "\n[budget]\nzip = \"1 MB\"\n");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    fs::copy(sandbox.path("dist/app/app.zip"), sandbox.path("found.zip")).unwrap();
    kiln.run(["verify", "found.zip"])
        .ends_with(exit::SUCCESS)
        .prints(&["the file that app@2 describes", "app@1 has these bytes, too"]);
    kiln.run(["show", "found.zip"])
        .ends_with(exit::SUCCESS)
        .prints(&["found.zip (as app@2; its bytes are those of app@1, too)"]);
    sandbox.function("other", "3.13", "", "");
    let manifest = String::from_utf8(sandbox.read("manifests/app.toml")).unwrap();
    sandbox.write("manifests/other.toml", manifest.replace("\"app/src\"", "\"other/src\""));
    sandbox.write("manifests/other/src/app.py", code("one"));
    kiln.run(["build", "other"]).ends_with(exit::SUCCESS);
    assert!(sandbox.read("dist/other/other.zip") == sandbox.read("found.zip"), "one archive");
    kiln.run(["show", "found.zip"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["its bytes are those of app@2 and app@1 and other@1: name one of these"]);
    let document = kiln.run(["verify", "found.zip", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(document[0]["also"], serde_json::json!(["app@1", "other@1"]));
}

#[test]
fn a_damaged_history_blocks_its_artifact_and_is_set_right() {
    let sandbox = built("one");
    sandbox.function("other", "3.13", &code("other"), "");
    sandbox.function("app", "3.13", &code("two"), "");
    let kiln = sandbox.kiln();
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox.write(".kiln/ledger/app/000002/entry.json", "");
    let file = ".kiln/ledger/app/000002/entry.json";
    kiln.run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);
    kiln.run(["build", "app"]).ends_with(exit::STORE_FAILURE).says(&[file, "kiln verify --repair"]);
    kiln.run(["build", "other"]).ends_with(exit::SUCCESS);
    kiln.run(["history"]).ends_with(exit::STORE_FAILURE).says(&[file]);
    let repaired = kiln.run(["verify", "--repair"]);
    assert!(repaired.stdout.contains("build 2 of app is recorded as lost"), "{repaired}");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
    let history = kiln.run(["history", "app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let numbers = history["app"].as_array().unwrap().iter().map(|entry| entry["number"].as_u64().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 3]);
    // What cannot be an entry is damage, too; a pipe is not waited for.
    let entry = sandbox.path(".kiln/ledger/app/000003/entry.json");
    fs::write(&entry, vec![b'['; 1 << 20]).unwrap();
    let large = kiln.run(["build", "app"]).ends_with(exit::STORE_FAILURE);
    large.says(&["000003/entry.json", "it is larger than", "kiln verify --repair"]);
    fs::remove_file(&entry).unwrap();
    assert!(Command::new("mkfifo").arg(&entry).status().unwrap().success());
    let pipe = kiln.run(["build", "app"]).ends_with(exit::STORE_FAILURE);
    pipe.says(&["000003/entry.json", "it is no regular file", "kiln verify --repair"]);
    let repaired = kiln.run(["verify", "--repair"]);
    assert!(repaired.stdout.contains("build 3 of app is recorded as lost"), "{repaired}");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
}

/// Whoever deploys reads the index, and not the records.
#[test]
fn what_the_index_says_follows_from_the_records() {
    let sandbox = built("1");
    let kiln = sandbox.kiln();
    let index = sandbox.read("dist/index.json");
    for (old, new) in
        [("app.handler", "app.other"), ("\"x86_64\"", "\"arm64\""), ("app/app.zip", "app/bad.zip")]
    {
        sandbox.replace("dist/index.json", old, new);
        let told = kiln.run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);
        told.prints(&["what it says of app does not follow from its record"]);
        kiln.run(["verify", "--repair"])
            .ends_with(exit::SUCCESS)
            .prints(&["dist/index.json is written anew"]);
        assert_eq!(sandbox.read("dist/index.json"), index);
    }

    // One that names another record, too; and who only looks writes nothing.
    let stated: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let record = stated["artifacts"]["app"]["record"].as_str().unwrap();
    let other = format!("sha256:{}", "0".repeat(64));
    sandbox.replace("dist/index.json", record, &other);
    let edited = sandbox.read("dist/index.json");
    let told = kiln.run(["verify"]).ends_with(exit::NOT_REPRODUCIBLE);
    told.prints(&["dist/index.json: app is named with", &format!("and record {other}, but dist/app has")]);
    kiln.run(["verify", "dist/app/app.zip"]).ends_with(exit::SUCCESS);
    assert_eq!(sandbox.read("dist/index.json"), edited);
    kiln.run(["verify", "--repair"]).ends_with(exit::SUCCESS);
    assert_eq!(sandbox.read("dist/index.json"), index);
}

#[test]
fn a_full_disk_is_told_with_folder_and_remedy_and_changes_nothing() {
    let sandbox = built("one");
    let (before, ledger) = (sandbox.dist(), fs::read(sandbox.path(".kiln/heads.json")).unwrap());
    let small = Tmpfs::mount(64 << 10);
    let other = small.0.path().join("dist");
    let noise: String =
        (0..40_000_u32).map(|n| format!("# {:08x}\n", n.wrapping_mul(2_654_435_761))).collect();
    sandbox.function("app", "3.13", &format!("{noise}{}", code("two")), "");
    let full = sandbox.kiln().run(["build", "app", "--dist", other.to_str().unwrap()]);
    full.ends_with(exit::STORE_FAILURE).says(&[other.to_str().unwrap(), "--dist", "KILN_STORE"]);
    assert!(sandbox.dist() == before && fs::read(sandbox.path(".kiln/heads.json")).unwrap() == ledger);
    sandbox.kiln().run(["verify"]).ends_with(exit::SUCCESS);
    // Once the size is known, nothing is begun.
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let known = sandbox.kiln().run(["build", "app", "--force", "--dist", other.to_str().unwrap()]);
    known.ends_with(exit::STORE_FAILURE).says(&[other.to_str().unwrap(), "nothing was begun"]);
}

#[test]
fn a_context_that_has_no_room_is_not_begun() {
    let sandbox = Sandbox::new();
    let manifest =
        "kind = \"image\"\n[target]\narchitecture = \"x86_64\"\n[dockerfile]\npath = \"app/Dockerfile\"\n";
    sandbox.write("manifests/app.toml", manifest);
    sandbox.write("manifests/app/Dockerfile", "FROM localhost/kiln/python-3.13\nCOPY large /large\n");
    fs::File::create(sandbox.path("manifests/app/large")).unwrap().set_len(600 << 20).unwrap();
    let small = Tmpfs::mount(512 << 20);
    let store = small.0.path().join("store");
    let full = sandbox.kiln().with_store(&store).run(["build", "app"]).ends_with(exit::STORE_FAILURE);
    full.says(&[store.to_str().unwrap(), "the context of a Dockerfile", "nothing was begun"]);
}

#[test]
fn a_damaged_blob_is_said_and_brought_again() {
    let greeting = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"HELLO = 'hello'\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let store = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new().with_index(&index);
    let code = format!("import greeting\n\n{}", code("one"));
    sandbox.function("app", "3.13", &code, &greeting.requirement(""));
    let folder = store.path().join("store");
    let kiln = sandbox.kiln().with_store(&folder);
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    let first = sandbox.dist();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    // One bit of every blob.
    for first in fs::read_dir(folder.join("blobs/sha256")).unwrap() {
        for blob in fs::read_dir(first.unwrap().path()).unwrap() {
            let path = blob.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
    kiln.run(["build", "app", "--force"]).ends_with(exit::SUCCESS).says(&["was damaged on the disk"]);
    assert!(sandbox.dist() == first, "the same bytes");
}

/// A file system in memory that is soon full, gone with the value.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(mounted.unwrap().success(), "mounting takes root");
        Self(folder)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// When and on what something was built is stated beside the entry, signed beside the artifact, and in nothing that a build publishes.
#[test]
fn the_run_of_a_build_is_a_statement_of_its_own() {
    let sandbox = Sandbox::new();
    // Code that no run has seen: what a check said of it is not remembered, so an engine has to be asked.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let code = format!("def handler(event, context):\n    return {now}\n");
    sandbox.function("app", "3.13", &code, "");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let place = ".kiln/ledger/app/000001";
    let bytes = sandbox.read(&format!("{place}/run.intoto.jsonl"));
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one statement on one line");
    let statement: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "urn:kiln:run:1");
    let digest = |path: &str| Digest::of(&sandbox.read(path));
    let subjects = ["app.zip", "record.json"].map(|name| {
        let digest = digest(&format!("dist/app/{name}"));
        serde_json::json!({"name": name, "digest": {"sha256": digest.hex()}})
    });
    assert_eq!(statement["subject"], Value::from(subjects.to_vec()));
    let run = &statement["predicate"];
    assert_eq!(run["invocationId"], digest(&format!("{place}/entry.json")).to_string());
    let (started, finished) = (run["startedOn"].as_str().unwrap(), run["finishedOn"].as_str().unwrap());
    assert!(started <= finished && run["tookMs"].as_u64().unwrap() > 0, "{run}");
    assert_eq!(run["host"]["os"], std::env::consts::OS);
    assert!(run["host"]["engine"].as_str().unwrap().contains(" on linux/"), "{run}");
    let details: Value = serde_json::from_slice(&sandbox.read(&format!("{place}/run.json"))).unwrap();
    crate::harness::schemas::validate("run-details", &details);
    for file in crate::harness::signed::files_below(&sandbox.path("dist")) {
        let bytes = sandbox.read(&format!("dist/{file}"));
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has("urn:kiln:run") && !has("took_ms"), "{file}");
    }
    // What was not built again was not run again.
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(sandbox.read(&format!("{place}/run.intoto.jsonl")), bytes);
    let (private, public) = crate::harness::signed::key(sandbox.folder(), "mine", "ed25519");
    crate::harness::signed::sign(&sandbox, &private);
    let verify = ["verify", "--key", public.to_str().unwrap(), "--", "dist"];
    let ended = format!("1 runs stated, the last ended at {finished}");
    sandbox.kiln().run(verify).ends_with(exit::SUCCESS).prints(&[&ended]);
    // What somebody wrote in its place is not signed.
    sandbox.write(&format!("{place}/run.intoto.jsonl"), sandbox.read("dist/app/app.intoto.jsonl"));
    crate::harness::signed::sign(&sandbox, &private);
    assert!(!sandbox.path("dist/app/app.run.intoto.jsonl").exists());
    sandbox.kiln().run(verify).ends_with(exit::SUCCESS).prints(&["app: nothing is stated of the run"]);
}

/// The modes of everything in a folder.
fn modes(folder: &std::path::Path, found: &mut std::collections::BTreeSet<(bool, u32)>) {
    found.insert((true, fs::metadata(folder).unwrap().mode() & 0o777));
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => modes(&entry.path(), found),
            false => {
                found.insert((false, entry.metadata().unwrap().mode() & 0o777));
            }
        }
    }
}

#[test]
fn an_auditor_who_is_another_user_reads_the_history() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", &code("one"), "");
    let strict = sandbox.kiln().in_shell("umask 077; exec \"$@\"");
    for answer in ["one", "two"] {
        sandbox.function("app", "3.13", &code(answer), "");
        strict.run(["build", "app"]).ends_with(exit::SUCCESS);
    }
    strict.run(["approve", "app", "--reason", "looked at"]).ends_with(exit::SUCCESS);
    for shown in ["dist", ".kiln/ledger"] {
        let mut found = std::collections::BTreeSet::new();
        modes(&sandbox.path(shown), &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(false, 0o644), (true, 0o755)], "{shown}");
    }
    assert_eq!(fs::metadata(sandbox.path(".kiln")).unwrap().mode() & 0o777, 0o755);

    let is_root = rustix::process::geteuid().is_root();
    let lacks = || "only root can start a process as another user".to_owned();
    let Some(()) = lacking::AUDITOR.unless(is_root.then_some(()).ok_or_else(lacks)) else { return };
    // The folders above are those of tests, which nobody else looks into.
    let program = tempfile::tempdir().unwrap();
    let copy = program.path().join("kiln");
    fs::copy(Kiln::program(), &copy).unwrap();
    for folder in sandbox.root().ancestors().chain([program.path(), &sandbox.home()]) {
        if fs::metadata(folder).unwrap().mode() & 0o777 == 0o700 {
            fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let store = program.path().join("store of an auditor");
    let auditor = sandbox.kiln().with_program(&copy).with_store(&store).with_user(54_321, 54_321);
    let verify = || auditor.run(["verify"]);
    verify().ends_with(exit::SUCCESS).prints(&["dist/app: 5 files, build 2", "ledger of app: 2 builds"]);
    auditor.run(["history", "app"]).ends_with(exit::SUCCESS).prints(&["@1", "@2"]);
    auditor.run(["diff", "app@1", "app@2"]).ends_with(exit::SUCCESS).prints(&["app: different"]);
    auditor.run(["show", "app"]).ends_with(exit::SUCCESS).prints(&["ran on 1 file"]);
    // A history of an older kiln is its owner's, who is told of.
    fs::set_permissions(sandbox.path(".kiln/ledger"), std::fs::Permissions::from_mode(0o700)).unwrap();
    verify().ends_with(exit::STORE_FAILURE).says(&[
        "is not to be read by this user",
        &format!("chmod -R go+rX {}", sandbox.path(".kiln").display()),
    ]);
}
