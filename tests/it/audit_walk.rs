//! The auditor's walk of `docs/audit.md`: every command of the page, in a folder with two releases and nothing else.

use crate::harness::signed::{copy, key, published, sign};
use crate::harness::{Release, audit, repository};
use fs_err as fs;
use kiln_record::{InputRole, exit};
use std::process::Command;

/// The commands of the page, each with the exit code that it says.
fn commands() -> Vec<(Vec<String>, i32)> {
    let page = fs::read_to_string(repository().join("docs/audit.md")).unwrap();
    let mut commands = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("$ kiln ")) {
        let (command, code) = match line.split_once("# exit code ") {
            Some((command, code)) => (command, code.trim().parse().unwrap()),
            None => (line, 0),
        };
        commands.push((command.split_whitespace().map(|word| word.replace('\'', "")).collect(), code));
    }
    commands
}

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

    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    for (command, code) in &commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let outcome = audit(at, &words);
        assert_eq!(outcome.code, Some(*code), "{outcome}");
        assert!(!outcome.stdout.is_empty(), "{outcome}");
    }
}

/// `index.json` of a `dist` that was copied into an empty folder is held against what lies beside it, and what nothing could be held
/// against is said.
#[test]
fn a_whole_dist_is_held_with_its_index() {
    let workspace = published();
    let own = workspace.kiln().run(["verify", "dist"]).ends_with(exit::SUCCESS);
    own.clone().prints(&["same dist/index.json", "the newest builds of 2 artifacts, by the ledger"]);
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
    let archive = dist.join("payments/payments.zip");
    fs::rename(&archive, workspace.path("elsewhere.zip")).unwrap();
    let told = workspace.kiln().run(["verify", "dist/payments"]).ends_with(exit::INPUT_INVALID);
    told.says(&["record.json describes payments.zip, which is not there"]);
    fs::rename(workspace.path("elsewhere.zip"), &archive).unwrap();
    workspace.kiln().run(["verify"]).ends_with(exit::SUCCESS);
}
