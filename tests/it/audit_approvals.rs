//! Approving a build: growth is counted from it, and told once.

use crate::harness::{Release, Sandbox};
use fs_err as fs;
use kiln_record::{Digest, Epoch, InputRole, exit};
use kiln_store::Ledger;

/// A release with a model of this many bytes.
fn release(bytes: usize) -> Release {
    let content: Vec<u8> = (0..bytes.div_ceil(32))
        .flat_map(|n| Digest::of(&n.to_le_bytes()).as_bytes().to_vec())
        .take(bytes)
        .collect();
    let mut release = Release::new("app");
    release.own("model.bin", &content);
    release.inputs.insert((InputRole::Source, "src"), bytes.to_string());
    release
}

#[test]
fn growth_is_counted_from_the_approved_build_and_told_once() {
    let sandbox = Sandbox::bare();
    let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
    let name = "app".parse().unwrap();
    let mut at = 1_700_000_000;
    // Four per cent more each time, then nothing, then a little.
    for bytes in [10_000_000, 10_400_000, 10_800_000, 11_200_000, 11_200_000, 11_200_100, 12_200_000] {
        at += 1;
        let (_, record) = release(bytes).made();
        ledger.append(&name, &record, Epoch::from_seconds(at).unwrap(), None).unwrap();
    }
    let diff = |before: u64, after: u64| {
        let (before, after) = (format!("app@{before}"), format!("app@{after}"));
        sandbox.kiln().run(["diff", &before, &after, "--format", "json"]).ends_with(exit::SUCCESS).json()
    };
    let creep = |before: u64, after: u64| {
        let json = diff(before, after);
        let anomalies = json["anomalies"].as_array().unwrap().clone();
        anomalies
            .into_iter()
            .filter(|one| one["rule"] == "creep" && one["subject"] == "archive")
            .collect::<Vec<_>>()
    };
    sandbox
        .kiln()
        .run(["show", "app@baseline"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["no build of `app` is approved", "kiln approve app@N --reason TEXT"]);
    assert_eq!(creep(3, 4).len(), 1, "since the oldest build");
    assert_eq!((creep(4, 5).len(), creep(5, 6).len()), (0, 0), "it was told");
    let first = diff(3, 4);
    assert_eq!(first["size_history"], "the ledger");

    let approved =
        sandbox.kiln().run(["approve", "app@4", "--reason", "the new model is wanted", "--format", "json"]);
    let approval = approved.ends_with(exit::SUCCESS).json();
    assert_eq!((approval["number"].as_u64(), approval["previous"].is_null()), (Some(4), true));
    sandbox.kiln().run(["show", "app@baseline"]).ends_with(exit::SUCCESS).prints(&["app@4"]);
    assert_eq!(creep(6, 7).len(), 0, "less than ten per cent since then");
    assert_eq!(diff(6, 7)["sizes"][0]["since_approved"], true);

    // The next approval continues the first; a chain that was changed counts for nothing.
    let second = sandbox
        .kiln()
        .run(["approve", "app@1", "--reason", "back", "--format", "json"])
        .ends_with(exit::SUCCESS)
        .json();
    let file = sandbox.path(".kiln/ledger/app/approvals/000001.json");
    assert_eq!(second["previous"], Digest::of(&fs::read(&file).unwrap()).to_string());
    assert!(creep(6, 7)[0]["text"].as_str().unwrap().contains("since the approved build 1"));
    let changed = fs::read_to_string(&file).unwrap().replace("is wanted", "is not wanted");
    fs::write(&file, changed).unwrap();
    sandbox
        .kiln()
        .run(["show", "app@baseline"])
        .ends_with(exit::STORE_FAILURE)
        .says(&["it does not continue the approval before it"]);
    let verified = sandbox.kiln().run(["verify"]);
    verified.prints(&["ledger of app", "approvals"]);

    sandbox
        .kiln()
        .run(["approve", "app@9", "--reason", "x"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`app` has builds 1 to 7"]);
    sandbox
        .kiln()
        .run(["approve", "app@1", "--reason", " "])
        .ends_with(exit::USAGE)
        .says(&["the reason is empty"]);
}

#[test]
fn a_revision_of_git_is_what_it_published() {
    let sandbox = Sandbox::bare();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
        let mut command = std::process::Command::new("git");
        let output = command.args(identity).args(arguments).current_dir(sandbox.root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "nothing"]);
    sandbox
        .kiln()
        .run(["diff", "git:HEAD", "git:HEAD"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["has neither dist/ARTIFACT/record.json nor .kiln/ledger/", "git worktree add"]);
    release(1000).write(&sandbox.path("dist/app"));
    git(&["add", "-f", "dist/app/record.json"]);
    git(&["commit", "-q", "-m", "published"]);
    release(2000).write(&sandbox.path("dist/app"));
    let one = sandbox.kiln().run(["diff", "git:HEAD:app", "dist/app"]).ends_with(exit::SUCCESS);
    one.prints(&["before  git:HEAD:app", "own code changed"]);
    sandbox
        .kiln()
        .run(["diff", "git:HEAD", "dist", "--summary"])
        .ends_with(exit::SUCCESS)
        .prints(&["1 artifact: 1 changed"]);
    sandbox
        .kiln()
        .run(["diff", "git:HEAD:other", "dist/app"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["has no record of other; it has: app"]);
    sandbox
        .kiln()
        .run(["diff", "git:--upload-pack", "dist/app"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["it names no revision"]);
}
