//! The auditor's walk of `docs/audit.md`: every command of the page, in a folder with two releases and nothing else.

use crate::harness::page::{commands, exit_code, text, words};
use crate::harness::signed::{copy, key, published, sign};
use crate::harness::{Release, audit};
use fs_err as fs;
use kiln_record::{InputRole, exit};
use std::process::Command;

#[test]
fn the_walk_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let release = |alpha: &str, version: &'static str| {
        let mut release = Release::new("orders");
        release.distribution("alpha", version, "alpha.py", alpha.as_bytes());
        release.inputs.insert((InputRole::Lock, "requirements.txt"), version.to_owned());
        release
    };
    let (monday, mut tuesday) = (release("VALUE = 1\n", "1.2"), release("VALUE = 2\n", "1.3"));
    tuesday.own("app.py", b"import alpha, os\n").moves(InputRole::Source);
    monday.write(&at.join("monday/orders"));
    tuesday.write(&at.join("tuesday/orders"));
    // What another tool made of the same files as Tuesday's.
    for (path, (_, content, _)) in &tuesday.files {
        let path = at.join("files").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let zip =
        Command::new("zip").args(["-q", "-r", "../by-sam.zip", "."]).current_dir(at.join("files")).status();
    assert!(zip.unwrap().success());
    let bill = serde_json::json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
        {"type": "library", "name": "alpha", "version": "1.2", "purl": "pkg:pypi/alpha@1.2"}]});
    fs::write(at.join("theirs.cdx.json"), bill.to_string()).unwrap();

    // A release that is signed, with the key that its maker publishes.
    let (signed, (private, public)) = (published(), key(at, "release", "ed25519"));
    sign(&signed, &private);
    copy(&signed.path("dist"), &at.join("wednesday"));
    assert!(public.ends_with("release.pub.pem"));
    let advisory = serde_json::json!({"id": "CVE-2026-1", "modified": "2026-01-02T03:04:05Z", "affected": [
        {"package": {"ecosystem": "PyPI", "name": "alpha"}, "versions": ["1.2"]}]});
    fs::create_dir_all(at.join("advisories")).unwrap();
    fs::write(at.join("advisories/CVE-2026-1.json"), advisory.to_string()).unwrap();

    let commands = commands(&text("docs/audit.md"));
    assert!(commands.len() >= 10, "{commands:?}");
    for command in &commands {
        let words = words(command.split_once(" #").map_or(command.as_str(), |(command, _)| command));
        let outcome = audit(at, &words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(outcome.code, Some(exit_code(command)), "{outcome}");
        assert!(!outcome.stdout.is_empty(), "{outcome}");
    }
}

/// Of several folders each build says which one it is of; of one nothing has to be said.
#[test]
fn a_history_says_where_each_build_is_from() {
    let workspace = published();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    copy(&workspace.path("dist/orders"), &at.join("before"));
    copy(&workspace.path("dist/orders"), &at.join("after"));
    audit(at, &["history", "before", "after"])
        .ends_with(exit::SUCCESS)
        .prints(&["  before/record.json\n", "  after/record.json  +0 B unpacked\n"]);
    let json = audit(at, &["history", "before", "after", "--format", "json"]).json();
    assert_eq!([&json[0]["from"], &json[1]["from"]], ["before/record.json", "after/record.json"]);
    audit(at, &["history", "before", "--format", "markdown"]).prints(&["| before/record.json |"]);
    assert!(!audit(at, &["history", "before"]).ends_with(exit::SUCCESS).stdout.contains("record.json"));
}

/// What an index names and has no record any more, and a record that nobody can read, are not passed over in silence.
#[test]
fn what_has_no_record_any_more_is_not_found_to_hold_nothing() {
    let workspace = published();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    copy(&workspace.path("dist"), &at.join("dist"));
    let words = ["find", "nowhere", "dist", "--format", "json"];
    let json = audit(at, &words).ends_with(exit::SUCCESS).json();
    assert_eq!(json["not_looked_at"], serde_json::json!([]));

    fs::remove_file(at.join("dist/payments/record.json")).unwrap();
    let json = audit(at, &words).ends_with(exit::INPUT_INVALID).json();
    assert_eq!(json["builds"], 1);
    assert_eq!(
        json["not_looked_at"],
        serde_json::json!([
            "dist/payments: index.json names it, and there is no payments/record.json beside that"
        ])
    );

    fs::write(at.join("dist/payments/record.json"), b"{").unwrap();
    audit(at, &["history", "dist"])
        .ends_with(exit::INPUT_INVALID)
        .prints(&["orders"])
        .says(&["not read: dist/payments/record.json"]);
}

/// `index.json` of a `dist` that was copied into an empty folder is held against what lies beside it, and what nothing could be held
/// against is said.
#[test]
fn a_whole_dist_is_held_with_its_index() {
    let workspace = published();
    let own = workspace.kiln().run(["verify", "dist"]).ends_with(exit::SUCCESS);
    own.clone().prints(&[
        "same dist/orders: 5 files, each as its record says; build 1 of the ledger",
        "same dist/payments: 5 files, each as its record says; build 1 of the ledger",
        "same dist/index.json",
        "; the newest builds of 2 artifacts, by the ledger",
    ]);
    assert_eq!(own.stdout.lines().count(), 3, "{own}");
    own.says(&["all are what their records say"]);

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    copy(&workspace.path("dist"), &at.join("dist"));
    let told = audit(at, &["verify", "dist"]).ends_with(exit::SUCCESS);
    told.clone()
        .prints(&["same dist/index.json: the file that the record of each artifact beside it describes"]);
    told.says(&["all are what their records say; none was held against a ledger"]);
    audit(at, &["verify", "dist/index.json", "--format", "markdown"]).ends_with(exit::SUCCESS);

    // What it names is gone, or another build of the artifact lies there.
    let index = fs::read_to_string(at.join("dist/index.json")).unwrap();
    fs::rename(at.join("dist/payments"), at.join("payments")).unwrap();
    let gone = audit(at, &["verify", "dist"]).ends_with(exit::NOT_REPRODUCIBLE);
    gone.prints(&["differs dist/index.json", "payments is named, and dist/payments is not there"]);
    fs::rename(at.join("payments"), at.join("dist/payments")).unwrap();
    // The folder is there, its record is not.
    fs::rename(at.join("dist/payments/record.json"), at.join("record.json")).unwrap();
    let lacks = audit(at, &["verify", "dist"]).ends_with(exit::NOT_REPRODUCIBLE);
    lacks.prints(&["differs dist/index.json", "payments is named, and dist/payments holds no record\n"]);
    fs::rename(at.join("record.json"), at.join("dist/payments/record.json")).unwrap();
    // An artifact that lies there and that it does not name.
    copy(&at.join("dist/payments"), &at.join("dist/more"));
    let more = audit(at, &["verify", "dist"]).ends_with(exit::NOT_REPRODUCIBLE);
    more.prints(&["differs dist/index.json", "dist/more is there, and is not named\n"]);
    fs::remove_dir_all(at.join("dist/more")).unwrap();
    // Of a folder in which one file is another, that is told in full.
    let bill = at.join("dist/payments/payments.cdx.json");
    let kept = fs::read(&bill).unwrap();
    fs::write(&bill, b"{}").unwrap();
    let changed = audit(at, &["verify", "dist/payments"]).ends_with(exit::NOT_REPRODUCIBLE);
    changed.prints(&[
        "same dist/payments: 4 of 5 files, each as its record says",
        "differs dist/payments/payments.cdx.json: not the file that dist/payments/record.json describes",
        " 2 bytes",
    ]);
    fs::write(&bill, kept).unwrap();
    let size = index.find("\"unpacked_size\":").unwrap();
    let lied = index.replacen(&index[size..size + 18], "\"unpacked_size\":9,\"x\":", 1);
    fs::write(at.join("dist/index.json"), lied).unwrap();
    let lied = audit(at, &["verify", "dist", "--format", "json"]).ends_with(exit::NOT_REPRODUCIBLE).json();
    let rows = lied.as_array().unwrap();
    let wrong: Vec<_> = rows.iter().filter(|row| row["bytes_equal"] == false).collect();
    assert_eq!(wrong.len(), 1, "{lied:#}");
    assert_eq!(wrong[0]["file"], "dist/index.json");
    assert!(
        wrong[0]["differences"][0].as_str().unwrap().contains("does not follow from its record"),
        "{lied:#}"
    );
}

/// What looks like an artifact and has no record is told, wherever it lies in a folder that is looked into.
#[test]
fn what_no_record_describes_is_told() {
    let workspace = published();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    copy(&workspace.path("dist"), &at.join("dist"));
    fs::remove_file(at.join("dist/payments/record.json")).unwrap();
    fs::remove_file(at.join("dist/index.json")).unwrap();
    fs::copy(at.join("dist/orders/orders.zip"), at.join("dist/stray.ZIP")).unwrap();
    fs::create_dir(at.join("dist/evil")).unwrap();
    fs::write(at.join("dist/evil/evil.oci.tar"), b"evil").unwrap();
    fs::write(at.join("dist/evil/notes.txt"), b"of another kind").unwrap();
    let told = audit(at, &["verify", "dist"]).ends_with(exit::NOT_REPRODUCIBLE);
    let files = [
        "stray.ZIP",
        "evil/evil.oci.tar",
        "payments/payments.zip",
        "payments/payments.cdx.json",
        "payments/payments.intoto.jsonl",
    ];
    for file in files {
        let line =
            format!("unknown dist/{file}: no record beside it and no build in the ledger describe it\n");
        assert_eq!(told.stdout.matches(&line).count(), 1, "{file}: {told}");
    }
    assert_eq!(told.stdout.matches("unknown ").count(), files.len(), "{told}");
    told.prints(&["same dist/orders: 5 files"]).says(&["10 files looked at: 5 are not what a record says"]);
    let rows = audit(at, &["verify", "dist", "--format", "json"]).ends_with(exit::NOT_REPRODUCIBLE).json();
    let unknown = rows.as_array().unwrap().iter().filter(|row| row["record"].is_null()).count();
    assert_eq!(unknown, files.len(), "{rows:#}");
}

/// What is published may be anything where somebody else could write: a pipe is named, and not waited for.
#[test]
fn a_pipe_in_the_place_of_a_published_file_is_not_waited_for() {
    let workspace = published();
    let dist = workspace.path("dist");
    let artifact =
        ["record.json", "payments.zip", "payments.cdx.json", "payments.intoto.jsonl", "SHA256SUMS"];
    let files = artifact.map(|file| format!("payments/{file}"));
    for file in files.iter().map(String::as_str).chain(["index.json"]) {
        let place = dist.join(file);
        let kept = fs::read(&place).unwrap();
        fs::remove_file(&place).unwrap();
        assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
        for words in
            [&["verify"][..], &["verify", "dist/payments"], &["show", "payments"], &["history", "payments"]]
        {
            let outcome = workspace.kiln().run(words);
            let looks_at_it = words.len() == 1 || words[0] == "verify" && file != "index.json";
            assert!(!looks_at_it || outcome.code.is_some_and(|code| code != 0), "{file}: {outcome}");
        }
        fs::remove_file(&place).unwrap();
        fs::write(&place, kept).unwrap();
    }
    // What was taken away is told as well, where there is no ledger too.
    let elsewhere = workspace.copy();
    fs::remove_dir_all(elsewhere.path(".kiln")).unwrap();
    for file in &artifact[1..4] {
        let (place, kept) = (elsewhere.path("dist/payments").join(file), elsewhere.path("kept"));
        fs::rename(&place, &kept).unwrap();
        let missing = format!("dist/payments/{file}");
        let verify = |words: &[&str]| {
            elsewhere.kiln().run(["verify", "dist"].iter().chain(words)).ends_with(exit::NOT_REPRODUCIBLE)
        };
        let line = format!("differs {missing}: missing, and dist/payments/record.json has it");
        let most = "same dist/payments: 4 of 5 files, each as its record says";
        verify(&[]).prints(&[&line, most]).says(&[", and 1 is missing"]);
        let rows = verify(&["--format", "json"]).json();
        let told: Vec<_> = rows.as_array().unwrap().iter().filter(|row| row["missing"] == true).collect();
        assert_eq!((told.len(), told[0]["file"].as_str()), (1, Some(missing.as_str())), "{rows}");
        fs::rename(&kept, &place).unwrap();
    }
    // A folder above several, of which one is that of an artifact.
    fs::create_dir_all(elsewhere.path("up/pair")).unwrap();
    fs::rename(elsewhere.path("dist"), elsewhere.path("up/dist")).unwrap();
    for file in &artifact[..2] {
        let from = elsewhere.path("up/dist/payments").join(file);
        fs::copy(from, elsewhere.path("up/pair").join(file)).unwrap();
    }
    elsewhere.kiln().run(["verify", "up"]).ends_with(exit::SUCCESS).says(&[
        "up/dist: it holds artifacts of its own, and was not looked at: kiln verify up/dist",
        "up/pair: there is no bill and no provenance, so that none was looked at",
        "an archive by digest and size: whether it holds the components that the record lists was not looked at",
    ]);
    // A record is held against itself, which is said. In its workspace the ledger has it.
    let told = elsewhere.kiln().run(["verify", "--verbose", "up/pair"]).ends_with(exit::SUCCESS);
    told.prints(&["same up/pair/record.json: a record that agrees with itself\n"]);
    let own = workspace.kiln().run(["verify", "dist/payments"]).ends_with(exit::SUCCESS);
    own.does_not_say("components");
    workspace.kiln().run(["verify"]).ends_with(exit::SUCCESS);
}
