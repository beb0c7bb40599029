//! The auditor's walk of `docs/audit.md`: every command of the page, in a folder with two releases and nothing else.

use crate::harness::signed::{copy, key, published, sign};
use crate::harness::{Release, audit, repository};
use fs_err as fs;
use kiln_record::InputRole;
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
