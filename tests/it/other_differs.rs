//! What `kiln diff` finds added, removed and changed, held against two programs that know nothing of kiln: diffoscope, which reads the
//! two archives itself, and git, which compares the two folders that Python unpacks. A third, Python's importlib, says which
//! distributions there are.

use crate::harness::{Release, audit, needs, runs};
use fs_err as fs;
use kiln_record::{InputRole, Mode, exit};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Paths that were added, that were removed, and that have other content.
type Changes = [BTreeSet<String>; 3];

fn release() -> Release {
    let mut release = Release::new("app");
    release
        .own("data/words.txt", b"once upon a time\n")
        .own("data/same.txt", b"as it was\n")
        .own("data/table.bin", &[0, 1, 2, 3, 250])
        .own("tool.sh", b"#!/bin/sh\n")
        .own("a file [with] 'odd' names", b"1\n")
        .distribution("alpha", "1.2", "alpha.py", b"VALUE = 1\n")
        .distribution("beta", "2.0", "beta.py", b"VALUE = 2\n")
        .distribution("gamma", "3.0", "gamma.py", b"VALUE = 3\n");
    release
}

/// Pairs of releases, of which each differs in a way of its own.
fn pairs() -> Vec<(&'static str, Release)> {
    let changed = |change: &dyn Fn(&mut Release)| {
        let mut after = release();
        after.moves(InputRole::Lock).moves(InputRole::Source);
        change(&mut after);
        after
    };
    vec![
        ("nothing", release()),
        (
            "own files",
            changed(&|release| {
                release.own("data/words.txt", b"once upon another time\n").own("data/new.txt", b"new\n");
                release.own("data/table.bin", &[0, 1, 2, 4, 250]).own("a file [with] 'odd' names", b"2\n");
                release.files.remove("tool.sh");
            }),
        ),
        (
            "distributions",
            changed(&|release| {
                release.without("alpha").distribution("alpha", "1.3", "alpha.py", b"VALUE = 10\n");
                release.without("beta").distribution("delta", "0.1", "delta/__init__.py", b"VALUE = 4\n");
            }),
        ),
        (
            "a moved file",
            changed(&|release| {
                let moved = release.files.remove("data/words.txt").unwrap();
                release.files.insert("words/words.txt".to_owned(), moved);
            }),
        ),
        ("a mode", changed(&|release| release.files.get_mut("tool.sh").unwrap().0 = Mode::Executable)),
        (
            "everything",
            changed(&|release| {
                release.files.retain(|path, _| path == "app.py");
                release.without("alpha").without("beta").without("gamma");
                release.own("app.py", b"def handler(event, context):\n    return 0\n");
            }),
        ),
    ]
}

fn kilns(at: &Path) -> (Changes, BTreeSet<String>, Value) {
    let json =
        audit(at, &["diff", "before/app.zip", "after/app.zip", "--allow", "unexplained", "--format", "json"])
            .ends_with(exit::SUCCESS)
            .json();
    let files = json["files"].as_array().unwrap();
    let of = |kind: &str| {
        let these = files.iter().filter(|file| file["kind"] == kind);
        these.map(|file| file["path"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let mut changes = [of("added"), of("removed"), of("content")];
    // What moved is told as one change, where others tell of two.
    for moved in files.iter().filter(|file| file["kind"] == "moved") {
        changes[0].insert(moved["path"].as_str().unwrap().to_owned());
        changes[1].insert(moved["from"].as_str().unwrap().to_owned());
    }
    (changes, of("mode"), json)
}

/// By diffoscope: names from the listings of the archives, contents from what it compared member by member.
fn diffoscopes(at: &Path) -> Changes {
    let output = Command::new("diffoscope")
        .args(["--json", "-", "before/app.zip", "after/app.zip"])
        .current_dir(at)
        .output()
        .unwrap();
    let mut changes = Changes::default();
    match output.status.code() {
        Some(0) => return changes,
        Some(1) => {}
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    for detail in json["details"].as_array().unwrap() {
        let source = detail["source1"].as_str().unwrap();
        let lines = || detail["unified_diff"].as_str().unwrap_or_default().lines();
        if source.starts_with("zipnote") {
            for (place, sign) in [(0, "+Filename: "), (1, "-Filename: ")] {
                names[place].extend(lines().filter_map(|line| line.strip_prefix(sign)).map(str::to_owned));
            }
        } else if !source.starts_with("zipinfo") {
            changes[2].insert(source.to_owned());
        }
    }
    // A name that only changed its place is in both.
    changes[0] = &names[0] - &names[1];
    changes[1] = &names[1] - &names[0];
    changes
}

/// By git, of the two folders: added, removed and changed; and the paths that have another mode.
fn gits(at: &Path) -> (Changes, BTreeSet<String>) {
    let output = Command::new("git")
        .args([
            "diff",
            "--no-index",
            "--raw",
            "-z",
            "--no-renames",
            "--no-abbrev",
            "before/files",
            "after/files",
        ])
        .current_dir(at)
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut changes, mut modes) = (Changes::default(), BTreeSet::new());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut parts = text.split('\0').filter(|part| !part.is_empty());
    while let (Some(fields), Some(path)) = (parts.next(), parts.next()) {
        let path = path.trim_start_matches("before/files/").trim_start_matches("after/files/").to_owned();
        let fields: Vec<&str> = fields.trim_start_matches(':').split(' ').collect();
        let content = |name: &str| fs::read(at.join(name).join(&path)).unwrap();
        match fields[4] {
            "A" => _ = changes[0].insert(path),
            "D" => _ = changes[1].insert(path),
            "M" => {
                if fields[0] != fields[1] {
                    modes.insert(path.clone());
                }
                if content("before/files") != content("after/files") {
                    changes[2].insert(path);
                }
            }
            other => panic!("{other}: {path}"),
        }
    }
    (changes, modes)
}

/// The distributions of a folder by Python's own library.
fn distributions(folder: &Path) -> BTreeMap<String, String> {
    let script = "import importlib.metadata as m, json, sys\n\
                  print(json.dumps({d.metadata['Name']: d.version for d in m.distributions(path=[sys.argv[1]])}))";
    serde_json::from_str(&runs("python3", &["-c", script, folder.to_str().unwrap()])).unwrap()
}

#[test]
fn added_removed_and_changed_are_those_of_two_other_programs() {
    needs(&[("diffoscope", "diffoscope-minimal"), ("git", "git"), ("zipinfo", "unzip"), ("zipnote", "zip")]);
    let mut seen = 0;
    for (what, after) in pairs() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        for (name, release) in [("before", release()), ("after", after)] {
            release.write(&at.join(name));
            // Without the record that lies beside it an archive is read, as those of others are.
            fs::remove_file(at.join(name).join("record.json")).unwrap();
            let script = "import os, sys, zipfile\n\
                          with zipfile.ZipFile(sys.argv[1]) as archive:\n\
                          \x20   archive.extractall(sys.argv[2])\n\
                          \x20   for one in archive.infolist():\n\
                          \x20       os.chmod(os.path.join(sys.argv[2], one.filename), one.external_attr >> 16 & 0o7777)\n";
            let archive = at.join(name).join("app.zip");
            let files = at.join(name).join("files");
            runs("python3", &["-c", script, archive.to_str().unwrap(), files.to_str().unwrap()]);
        }
        let (ours, modes, json) = kilns(at);
        assert_eq!(ours, diffoscopes(at), "{what}: diffoscope");
        let (gits, other_modes) = gits(at);
        assert_eq!(ours, gits, "{what}: git");
        // A file with other content and another mode is in both lists of git, and in kiln's one.
        assert!(
            modes.iter().eq(other_modes.iter().filter(|path| !ours[2].contains(*path))),
            "{what}: {modes:?}"
        );
        seen += ours.iter().map(BTreeSet::len).sum::<usize>() + modes.len();

        let (old, new) = (distributions(&at.join("before/files")), distributions(&at.join("after/files")));
        let mut expected = BTreeSet::new();
        for name in old.keys().chain(new.keys()) {
            let (old, new) = (old.get(name), new.get(name));
            let kind = match (old, new) {
                (Some(_), None) => "removed",
                (None, Some(_)) => "added",
                (Some(old), Some(new)) if old != new => "upgraded",
                _ => continue,
            };
            expected.insert((kind, name.as_str()));
        }
        let components = json["components"].as_array().unwrap().iter();
        let found: BTreeSet<(&str, &str)> = components
            .filter(|one| one["id"].as_str().unwrap().starts_with("python/") && one["kind"] != "rebuilt")
            .map(|one| (one["kind"].as_str().unwrap(), one["name"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{what}: importlib");
    }
    assert!(seen > 20, "the pairs differ in {seen} places");
}
