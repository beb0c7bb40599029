//! `kiln pins`: who uses a pin, how old it may be, and what is newer upstream.

use crate::harness::{LocalMirror, Sandbox, debian_base, repository};
use kiln_record::exit;

const KEYRING: &str = "images/keys/debian-archive-keyring.gpg";

/// A workspace with a function on a base that is pinned as it is at a mirror now.
fn pinned(base: &str) -> (Sandbox, LocalMirror) {
    let (sandbox, mirror) = (Sandbox::bare(), LocalMirror::serve());
    sandbox.write(KEYRING, fs_err::read(repository().join(KEYRING)).unwrap());
    sandbox.write(&format!("images/{base}.toml"), debian_base(&["busybox"], &[], "/bin/busybox"));
    let manifest = format!(
        "kind = \"lambda-zip\"\nbase = \"{base}\"\nhandler = \"app.handler\"\n[target]\nruntime = \
         \"python3.11\"\narchitecture = \"x86_64\"\n[source]\npath = \"app\"\n"
    );
    sandbox.write("manifests/app.toml", manifest);
    sandbox.write("manifests/app/app.py", "def handler(event, context):\n    return None\n");
    let kiln = sandbox.kiln().with_variable("KILN_DEBIAN_MIRROR", &mirror.url());
    kiln.run(["lock", "--base", base]).ends_with(exit::SUCCESS);
    (sandbox, mirror)
}

#[test]
fn what_moved_upstream_is_told_with_its_bytes_and_nothing_is_written() {
    let (sandbox, mirror) = pinned("pins-check");
    let kiln = sandbox.kiln().with_variable("KILN_DEBIAN_MIRROR", &mirror.url());
    kiln.run(["pins", "--check"]).ends_with(exit::SUCCESS).prints(&["base pins-check  nothing newer"]);

    // A pin of last month: an older version of one package, and one that the archive has dropped since.
    let file = "images/pins-check.lock";
    let mut lock: toml::Table = String::from_utf8(sandbox.read(file)).unwrap().parse().unwrap();
    let platform = lock["platform"]["linux/amd64"].as_table_mut().unwrap();
    let packages = platform["package"].as_array_mut().unwrap();
    let size = packages[0]["size"].as_integer().unwrap();
    let name = packages[0]["name"].as_str().unwrap().to_owned();
    let mut dropped = packages[0].clone();
    packages[0]["version"] = "0.1".into();
    packages[0]["digest"] = format!("sha256:{}", "1".repeat(64)).into();
    dropped["name"] = "zzz-dropped".into();
    dropped["digest"] = format!("sha256:{}", "2".repeat(64)).into();
    packages.push(dropped);
    sandbox.write(file, toml::to_string(&lock).unwrap());
    let before = sandbox.read(file);

    let comment = kiln.run(["pins", "--check", "--format", "markdown"]).ends_with(exit::SUCCESS).stdout;
    assert!(
        comment.contains("| base pins-check | ") && comment.contains("kiln lock --base pins-check"),
        "{comment}"
    );
    let told = kiln.run(["pins", "--check", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let base = &told["upstream"][0];
    assert_eq!((&base["name"], &base["bytes"]), (&"pins-check".into(), &size.into()), "{told:#}");
    let moves = base["moves"].as_array().unwrap();
    assert_eq!(moves[0]["what"], format!("{name} linux/amd64"));
    assert_eq!(moves[0]["before"], "0.1");
    assert_eq!(
        (&moves[1]["what"], &moves[1]["after"]),
        (&"zzz-dropped linux/amd64".into(), &serde_json::Value::Null)
    );
    kiln.run(["pins", "--check"]).ends_with(exit::SUCCESS).prints(&[
        "2 moved",
        "to bring: kiln lock --base pins-check",
        "which is there no more",
    ]);
    assert!(sandbox.read(file) == before, "nothing was written");

    drop(mirror);
    kiln.run(["pins", "--check"]).ends_with(exit::FETCH_FAILED).prints(&["base pins-check  not asked"]);
}

#[test]
fn a_pin_that_is_too_old_is_an_error_and_who_uses_it_is_told() {
    let (sandbox, _mirror) = pinned("pins-age");
    let row = sandbox.kiln().run(["pins", "--format", "json"]).ends_with(exit::SUCCESS).json()[0].clone();
    assert_eq!(row["used_by"], serde_json::json!(["app"]));
    sandbox.kiln().run(["pins", "--max-age", "30d"]).ends_with(exit::SUCCESS).prints(&["used by app"]);
    let pinned = row["pinned"].as_str().unwrap();
    sandbox.replace("images/pins-age.lock", pinned, "2020-01-01T00:00:00Z");
    sandbox.kiln().run(["pins", "--max-age", "30d"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "error: base pins-age was pinned",
        "days ago, and 30 days are allowed",
        "help: kiln lock --base pins-age",
    ]);
    sandbox.kiln().run(["pins", "--max-age", "a month"]).ends_with(exit::USAGE);
}
