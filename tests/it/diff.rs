//! `kiln diff`: what a person, a program and a review are told about two builds.

use crate::harness::{LocalIndex, Outcome, Sandbox, WheelFile, audit, wheel};
use fs_err as fs;
use kiln_record::exit;
use std::os::unix::fs::PermissionsExt as _;

const CODE: &str = "import alpha\n\ndef handler(event, context):\n    return alpha.VALUE\n";

fn alpha(version: &str, content: &[u8]) -> WheelFile {
    wheel("alpha", version, "py3-none-any", &[], &[("alpha.py", content)])
}

/// A distribution with three files of known size, as other distributions are.
fn codec() -> WheelFile {
    let table = noise(7, 40_000);
    wheel(
        "beta-codec",
        "2.1.0",
        "py3-none-any",
        &[],
        &[
            ("beta_codec/__init__.py", b"VALUE = 2\n"),
            ("beta_codec/table.bin", &table),
            ("beta_codec/py.typed", b""),
        ],
    )
}

/// Bytes that no compressor makes smaller and every run makes equal (xorshift64*).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

fn build(sandbox: &Sandbox) {
    let built = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    assert_eq!(built.json()["artifacts"][0]["ending"], "published", "{built}");
}

fn diff(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    sandbox.kiln().run(std::iter::once("diff").chain(arguments.iter().copied()))
}

fn json(sandbox: &Sandbox, before: &str, after: &str) -> serde_json::Value {
    diff(sandbox, &[before, after, "--format", "json"]).ends_with(exit::SUCCESS).json()
}

#[track_caller]
fn shows(outcome: &Outcome, parts: &[&str]) {
    let flat = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(flat.contains(part), "standard output lacks {part:?}\n{outcome}");
    }
}

/// A change of bytes as the report writes it: `-40,586 B`.
fn exact(bytes: i64) -> String {
    let digits = bytes.unsigned_abs().to_string();
    let mut groups: Vec<&str> =
        digits.as_bytes().rchunks(3).map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.reverse();
    format!("{}{} B", if bytes < 0 { "-" } else { "+" }, groups.join(","))
}

fn unpacked(sandbox: &Sandbox) -> i64 {
    let index: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    index["artifacts"]["app"]["unpacked_size"].as_i64().unwrap()
}

#[test]
fn diff_after_removing_one_dependency() {
    let (alpha, codec) = (alpha("1.0", b"VALUE = 1\n"), codec());
    let index = LocalIndex::serve(&[alpha.clone(), codec.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &format!("{}{}", alpha.requirement(""), codec.requirement("")));
    build(&sandbox);
    let before = unpacked(&sandbox);
    sandbox.write("manifests/app/requirements.txt", alpha.requirement(""));
    build(&sandbox);
    let taken = unpacked(&sandbox) - before;
    assert!(taken < -40_000, "{taken}");
    const CAUSE: &str = "no longer in the lock manifests/app/requirements.txt";

    let human = diff(&sandbox, &["app@previous", "app@latest"]).ends_with(exit::SUCCESS);
    shows(
        &human,
        &[
            "app: different (1 removed; -39.6 KiB unpacked)",
            "before app@1 sha256:",
            "after app@2 sha256:",
            &format!("removed beta-codec 2.1.0 -39.6 KiB {CAUSE}"),
            &format!("Unpacked bytes {0} = removed {0}", exact(taken)),
            "Files: 6 removed removed beta_codec/table.bin (-39.1 KiB)",
            "lock manifests/app/requirements.txt: ",
        ],
    );
    // One screen, and nothing about what did not change.
    assert!(human.stdout.lines().count() <= 30, "{human}");
    assert!(!human.stdout.contains("alpha") && !human.stdout.contains("Look at"), "{human}");
    assert_eq!(human.stderr, "");
    // In one word, as git names two revisions.
    for both in ["app@previous..app@latest", "app@1..@2"] {
        assert_eq!(diff(&sandbox, &[both]).ends_with(exit::SUCCESS).stdout, human.stdout, "{both}");
    }
    for one in ["app@1", "../app", "app@1..", "..app@2"] {
        let outcome = diff(&sandbox, &[one]).ends_with(exit::USAGE);
        assert!(outcome.stderr.contains(&format!("`{one}` is one of two things")), "{outcome}");
    }

    let document = json(&sandbox, "app@previous", "app@latest");
    assert_eq!(
        (document["before"]["build"].as_str(), document["verdict"].as_str()),
        (Some("app@1"), Some("different"))
    );
    assert_eq!(document["bytes"]["total"], taken);
    assert_eq!(document["bytes"]["removed"], taken);
    let components = document["components"].as_array().unwrap();
    assert_eq!(components.len(), 1);
    let gone = &components[0];
    assert_eq!(gone["kind"], "removed");
    assert_eq!((gone["name"].as_str(), gone["before_version"].as_str()), (Some("beta-codec"), Some("2.1.0")));
    assert_eq!((gone["before_bytes"].as_i64(), gone["after_bytes"].as_i64()), (Some(-taken), Some(0)));
    assert_eq!(gone["cause"]["kind"], "lock");
    assert_eq!(gone["cause"]["inputs"], serde_json::json!(["manifests/app/requirements.txt"]));
    assert_eq!(document["files"].as_array().unwrap().len(), 6);

    let markdown = diff(&sandbox, &["app@1", "app@2", "--format", "markdown"]).ends_with(exit::SUCCESS);
    let row = format!("| beta-codec | removed | 2.1.0 | | {} | {CAUSE} |", exact(taken));
    shows(&markdown, &["### app: different", "| | app&#64;1 | app&#64;2 | change |", &row]);

    // The archive alone, without record and ledger, tells the same components and owners: it is scanned as it was built.
    let alone = tempfile::tempdir().unwrap();
    fs::copy(sandbox.path("dist/app/app.zip"), alone.path().join("app.zip")).unwrap();
    let published = sandbox.path("dist/app");
    let scanned = audit(alone.path(), &["diff", published.to_str().unwrap(), "app.zip", "--format", "json"]);
    let scanned = scanned.ends_with(exit::SUCCESS).json();
    assert_eq!(
        (scanned["verdict"].as_str(), scanned["after"]["known"].as_str()),
        (Some("identical"), Some("content"))
    );
    assert_eq!(scanned["components"], serde_json::json!([]));

    for reason in ["removed", "any", "size,removed"] {
        let denied = diff(&sandbox, &["app@1", "app", "--fail-on", reason])
            .ends_with(exit::DIFFERENCE_DENIED)
            .says(&["denied"]);
        shows(&denied, &["beta-codec 2.1.0"]);
    }
    diff(&sandbox, &["app@1", "app", "--fail-on", "added,downgrade,rebuilt,unexplained,size"])
        .ends_with(exit::SUCCESS);
}

#[test]
fn diff_size_anomaly() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    let model = noise(1, 6_000_000);
    sandbox.write("manifests/app/src/model.bin", &model);
    // Five builds, and a sixth that steps no further than they did.
    for length in [1_000, 1_900, 1_700, 3_500, 3_600, 4_100] {
        sandbox.write("manifests/app/src/labels.bin", noise(2, length));
        build(&sandbox);
    }
    // The seventh continues from the fifth, with one file that makes the artifact 6 % larger.
    sandbox.write("manifests/app/src/labels.bin", noise(2, 3_600));
    sandbox.write("manifests/app/src/model.bin", [model, noise(3, 360_000)].concat());
    build(&sandbox);

    for build in 1..=5 {
        let (before, after) = (format!("app@{build}"), format!("app@{}", build + 1));
        let usual =
            diff(&sandbox, &[&before, &after, "--fail-on", "size,unexplained"]).ends_with(exit::SUCCESS);
        assert!(!usual.stdout.contains("Look at"), "{usual}");
        shows(&usual, &["archive usual step ", "unpacked files usual step "]);
    }
    let flagged = diff(&sandbox, &["app@5", "app@7", "--fail-on", "size"]).ends_with(exit::DIFFERENCE_DENIED);
    shows(
        &flagged,
        &[
            "Look at warn step: the archive went from 5.7 MiB to 6.1 MiB (+351.6 KiB, +6.0 %): unusual for this artifact",
            "warn step: the unpacked files went from 5.7 MiB to 6.1 MiB",
            "archive unusual step +351.6 KiB (gate 256.0 KiB), z 6.0 (limit 3.5)",
            "5 earlier builds: median step 500 B, MAD 550 B, floor 60,036 B, scale 60,036 B",
            "changed model.bin (+351.6 KiB)",
        ],
    );
    let document = json(&sandbox, "app@5", "app@7");
    let unpacked = &document["sizes"][1];
    assert_eq!(unpacked["verdict"], "warning");
    assert_eq!(unpacked["n"], 5);
    assert_eq!(unpacked["steps"], serde_json::json!([900, -200, 1800, 100]));
    assert_eq!((unpacked["median"].as_f64(), unpacked["mad"].as_f64()), (Some(500.0), Some(550.0)));
    let (scale, z) = (unpacked["scale"].as_f64().unwrap(), unpacked["z"].as_f64().unwrap());
    assert_eq!(unpacked["floor"].as_f64(), Some(scale));
    assert!((z - (360_000.0 - 500.0) / scale).abs() < 1e-9, "{z}");
    assert_eq!(document["anomalies"].as_array().unwrap().len(), 2);
    let markdown = diff(&sandbox, &["app@5", "app@7", "--format", "markdown"]).ends_with(exit::SUCCESS);
    shows(
        &markdown,
        &["- **warn** (step): the archive went from", "+6.0 %", "z 6.0 (limit 3.5)", "median step 500 B"],
    );
}

#[test]
fn versions_go_up_and_down_and_the_same_one_is_rebuilt() {
    let sandbox = Sandbox::new();
    for file in
        [alpha("1.9", b"VALUE = 1\n"), alpha("1.10", b"VALUE = 10\n"), alpha("1.9", b"VALUE = 'other'\n")]
    {
        let index = LocalIndex::serve(std::slice::from_ref(&file));
        sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
        sandbox.function("app", "3.13", CODE, &file.requirement(""));
        build(&sandbox);
    }
    let fail_on = "downgrade,rebuilt,unexplained,removed,added";
    let up = diff(&sandbox, &["app@1", "app@2", "--fail-on", fail_on]).ends_with(exit::SUCCESS);
    shows(
        &up,
        &["(1 upgraded;", "upgraded alpha 1.9 -> 1.10 +5 B lock changed: manifests/app/requirements.txt"],
    );
    let down = diff(&sandbox, &["app@2", "app@3", "--fail-on", fail_on]).ends_with(exit::DIFFERENCE_DENIED);
    shows(&down, &["downgraded alpha 1.10 -> 1.9 +1 B lock changed"]);
    down.says(&["denied", "downgrade"]);
    // The same version from another file: the lock was made to accept it, so it is explained, but never quiet.
    let rebuilt =
        diff(&sandbox, &["app@1", "app@3", "--fail-on", fail_on]).ends_with(exit::DIFFERENCE_DENIED);
    shows(
        &rebuilt,
        &[
            "(1 rebuilt;",
            "rebuilt alpha 1.9 +6 B",
            "lock changed: manifests/app/requirements.txt",
            "changed alpha.py (+6 B)",
        ],
    );
    rebuilt.says(&["denied", "rebuilt"]);
}

#[test]
fn a_mode_alone_is_a_change() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.write("manifests/app/src/tool.sh", "#!/bin/sh\n");
    let tool = sandbox.path("manifests/app/src/tool.sh");
    build(&sandbox);
    // Who else may read or write it is no part of an artifact; whether it can be executed is.
    fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o600)).unwrap();
    let closed = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    assert_eq!(closed.endings()["app"], "unchanged", "{closed}");
    fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    build(&sandbox);
    let mode =
        diff(&sandbox, &["app@1", "app@latest", "--fail-on", "unexplained,rebuilt"]).ends_with(exit::SUCCESS);
    shows(
        &mode,
        &[
            "app: different (own code changed; 0 B unpacked)",
            "changed app 0 B source changed: manifests/app/src",
            "Unpacked bytes as many as before in every component",
            "Files: 1 mode only mode tool.sh (0644 -> 0755)",
        ],
    );
}

#[test]
fn what_is_left_out_is_told_with_its_reason() {
    let (alpha, codec) = (alpha("1.0", b"VALUE = 1\n"), codec());
    let index = LocalIndex::serve(&[alpha.clone(), codec.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let both = format!("{}{}", alpha.requirement(""), codec.requirement(""));
    sandbox.function("app", "3.13", CODE, &both);
    build(&sandbox);

    let marked = codec.requirement("python_version < '3.12'");
    sandbox.write("manifests/app/requirements.txt", format!("{}{marked}", alpha.requirement("")));
    build(&sandbox);
    let marker = "its marker `python_version < '3.12'` is false for python_version = \"3.13\"";
    let by_marker =
        diff(&sandbox, &["app@1", "app@2", "--fail-on", "removed"]).ends_with(exit::DIFFERENCE_DENIED);
    shows(
        &by_marker,
        &[
            &format!(
                "removed beta-codec 2.1.0 -39.6 KiB {marker}; lock changed: manifests/app/requirements.txt"
            ),
            &format!("Left out beta-codec 2.1.0: {marker}"),
        ],
    );

    sandbox.write("manifests/app/requirements.txt", both);
    sandbox.append("manifests/app.toml", "exclude = [\"beta-codec\"]\n");
    build(&sandbox);
    let excluded = diff(&sandbox, &["app@1", "app@3"]).ends_with(exit::SUCCESS);
    let cause = "excluded by the manifest; manifest changed: manifests/app.toml";
    shows(
        &excluded,
        &[&format!("removed beta-codec 2.1.0 -39.6 KiB {cause}"), "Left out beta-codec 2.1.0: excluded"],
    );

    // The same bytes for another reason: identical, and the reasons are told all the same.
    let identical = diff(&sandbox, &["app@2", "app@3", "--fail-on", "any"]).ends_with(exit::SUCCESS);
    shows(&identical, &["app: identical, sha256:", "Left out beta-codec 2.1.0: excluded by the manifest"]);
}

#[test]
fn builds_are_named_by_number_record_or_file() {
    let sandbox = Sandbox::new();
    let code = "def handler(event, context):\n    return 1\n";
    sandbox.function("app", "3.13", code, "");
    build(&sandbox);
    fs::create_dir(sandbox.path("kept")).unwrap();
    fs::copy(sandbox.path("dist/app/app.zip"), sandbox.path("kept/v1.zip")).unwrap();
    fs::copy(sandbox.path("dist/app/record.json"), sandbox.path("kept/record-v1.json")).unwrap();
    diff(&sandbox, &["app@previous", "app"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["app@previous", "`app` has one build only"]);
    sandbox.write("manifests/app/src/app.py", code.replace('1', "22"));
    build(&sandbox);

    let by_number = diff(&sandbox, &["app@1", "app@2"]).ends_with(exit::SUCCESS);
    for (before, after) in [
        ("kept/v1.zip", "dist/app/app.zip"),
        ("kept/record-v1.json", "dist/app/record.json"),
        ("app@1", "dist/app/app.zip"),
        ("kept/v1.zip", "app"),
    ] {
        let other = diff(&sandbox, &[before, after]).ends_with(exit::SUCCESS);
        shows(&other, &["app: different (own code changed; +1 B unpacked)", before, "changed app.py (+1 B)"]);
        // But for what the two are called, and for the archives, of which a number of the ledger has the newest only.
        let rest = |outcome: &Outcome| {
            let lines =
                outcome.stdout.lines().skip(3).filter(|line| !line.trim_start().starts_with("first at "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(rest(&other), rest(&by_number), "{other}");
    }
    let same = diff(&sandbox, &["app@2", "dist/app/app.zip", "--fail-on", "any"]).ends_with(exit::SUCCESS);
    assert!(same.stdout.starts_with("app: identical, sha256:"), "{same}");
    assert_eq!(same.stdout.lines().count(), 1, "{same}");

    diff(&sandbox, &["app@1", "app@3"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["app@3", "`app` has builds 1 to 2"]);
    diff(&sandbox, &["app@1", "nothere"]).ends_with(exit::INPUT_INVALID).says(&[
        "nothere",
        "no build",
        "built here: app",
    ]);
    diff(&sandbox, &["app@1", "dist/App.zip"]).ends_with(exit::INPUT_INVALID).says(&[
        "dist/App.zip",
        "there is no such file",
        "ARTIFACT@latest",
    ]);
    sandbox.write("kept/stranger.zip", b"PK");
    diff(&sandbox, &["app@1", "kept/stranger.zip"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["kept/stranger.zip", "no record.json beside it and no build in the ledger"]);
    sandbox.write("kept/empty.json", b"{}");
    diff(&sandbox, &["app@1", "kept/empty.json"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["kept/empty.json", "neither a record of a build"]);
    diff(&sandbox, &["app@1", "app@2", "--fail-on", "everything"])
        .ends_with(exit::USAGE)
        .says(&["'everything'", "possible values: removed, added"]);
}
