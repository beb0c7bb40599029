//! `kiln pins`: who uses a pin, how old it may be, and what is newer upstream.

use crate::harness::{LocalIndex, LocalMirror, Sandbox, debian_base, repository, wheel};
use crate::lock_artifact::function;
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

#[test]
fn what_is_to_be_reviewed_is_told_and_ends_with_a_code() {
    let (sandbox, mirror) = pinned("pins-review");
    let kiln = sandbox.kiln().with_variable("KILN_DEBIAN_MIRROR", &mirror.url());
    let row = |kiln: &crate::harness::Kiln| kiln.run(["pins", "--format", "json"]).json()[0].clone();
    assert_eq!((&row(&kiln)["review"], &row(&kiln)["overdue"]), (&serde_json::Value::Null, &false.into()));
    let before = sandbox.read("images/pins-review.lock");

    sandbox.write("kiln.toml", "format = \"1\"\nreview = \"monthly\"\n");
    kiln.run(["pins"]).ends_with(exit::SUCCESS).prints(&["reviewed: monthly (kiln.toml)"]);
    let pinned = row(&kiln)["pinned"].as_str().unwrap().to_owned();
    sandbox.replace("images/pins-review.lock", &pinned, "2020-01-01T00:00:00Z");
    for words in [&["pins"][..], &["pins", "--check"]] {
        kiln.run(words).ends_with(exit::FINDINGS_DENIED).says(&[
            "error: base pins-review was pinned",
            "days ago, and its review is monthly (kiln.toml)",
            "help: kiln lock --base pins-review",
        ]);
    }
    kiln.run(["pins"]).prints(&["overdue: monthly (kiln.toml)"]);
    assert_eq!((&row(&kiln)["review"], &row(&kiln)["overdue"]), (&"monthly".into(), &true.into()));
    // Nothing moved, and it was looked at.
    kiln.run(["lock", "--base", "pins-review"]).ends_with(exit::SUCCESS).prints(&["the pin is of today"]);
    kiln.run(["pins", "--check"]).ends_with(exit::SUCCESS);

    // The base's own rule stands over that, and makes no other base of it.
    sandbox.write("images/pins-review.lock", &before);
    let definition = String::from_utf8(sandbox.read("images/pins-review.toml")).unwrap();
    sandbox.write("images/pins-review.toml", format!("review = \"3650 days\"\n{definition}"));
    sandbox.replace("images/pins-review.lock", &pinned, "2020-01-01T00:00:00Z");
    kiln.run(["pins"]).ends_with(exit::SUCCESS).prints(&["reviewed: 3650 days (images/pins-review.toml)"]);
    sandbox.write("kiln.toml", "format = \"1\"\nreview = \"now and then\"\n");
    kiln.run(["pins"]).ends_with(exit::INPUT_INVALID).says(&[
        "`now and then` is no period: write weekly, monthly, quarterly, yearly or a number of days",
        "kiln.toml:2",
    ]);
}

#[test]
fn a_lock_is_as_old_as_the_commit_that_changed_it_and_too_old_if_something_is_newer() {
    let module = |version: &str| wheel("parcels", version, "py3-none-any", &[], &[("parcels.py", b"")]);
    let index = LocalIndex::serve(&[module("1.0")]);
    let sandbox = Sandbox::new();
    let code = "def handler(event, context):\n    return None\n";
    function(&sandbox, "app", "3.13", code, ("requirements.in", "parcels\n"), "");
    let settings = format!("format = \"1\"\nreview = \"monthly\"\n[python]\nindex = \"{}\"\n", index.url());
    sandbox.write("kiln.toml", settings);
    let kiln = sandbox.kiln();
    kiln.run(["lock", "app"]).ends_with(exit::SUCCESS);
    let row = || {
        let rows = kiln.run(["pins", "--format", "json"]).json();
        rows.as_array().unwrap().iter().find(|row| row["kind"] == "lock").unwrap().clone()
    };
    let note = "note: lock manifests/app/lock.txt: how old it is was not judged: ";
    let undated = kiln.run(["pins"]).says(&[&format!("{note}no repository is around the workspace")]);
    let undated = undated.prints(&["age not known: no repository is around the workspace"]);
    assert!(!undated.stdout.contains(" - "), "{undated}");

    sandbox.commit_at(Some("2020-01-01T00:00:00Z"), "the first");
    sandbox.append("manifests/app/src/app.py", "# looked at\n");
    sandbox.commit("another");
    let lock = row();
    assert_eq!((&lock["pinned"], &lock["overdue"]), (&"2020-01-01T00:00:00Z".into(), &true.into()));
    assert_eq!((&lock["used_by"][0], &lock["command"]), (&"app".into(), &"kiln lock app --upgrade".into()));
    // Where nothing is newer, nobody could make it younger.
    let old = "lock manifests/app/lock.txt was changed";
    kiln.run(["pins"])
        .ends_with(exit::SUCCESS)
        .says(&[&format!("note: {old}"), "its review is monthly (kiln.toml)"]);
    kiln.run(["pins", "--check"]).says(&[&format!("note: {old}")]).prints(&["app  nothing newer"]);
    let newer = module("2.0");
    index.add(&newer, &newer.digest().hex(), &newer.bytes);
    kiln.run(["pins", "--check"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "error: lock manifests/app/lock.txt was pinned",
        "its review is monthly (kiln.toml)",
        "help: kiln lock app --upgrade",
    ]);
    kiln.run(["lock", "app", "--upgrade"]).ends_with(exit::SUCCESS);
    kiln.run(["pins"]).says(&[&format!("{note}it is not committed as it is")]);
    sandbox.commit("newer");
    assert_eq!(row()["overdue"], false);
    kiln.run(["pins"]).ends_with(exit::SUCCESS).does_not_say(old);

    // A merge that has it otherwise than both sides changed it, whatever the repository's settings are.
    sandbox.git(&["checkout", "--quiet", "-b", "aside", "HEAD~1"]);
    sandbox.commit_at(Some("2020-03-01T00:00:00Z"), "aside");
    sandbox.git(&["checkout", "--quiet", "-"]);
    sandbox.git(&["merge", "--quiet", "--no-ff", "--no-commit", "--strategy=ours", "aside"]);
    sandbox.append("manifests/app/lock.txt", "# settled\n");
    sandbox.commit_at(Some("2021-01-01T00:00:00Z"), "settled");
    sandbox.git(&["config", "log.follow", "true"]);
    assert_eq!(row()["pinned"], "2021-01-01T00:00:00Z");

    // A clone without history does not know.
    let shallow = sandbox.folder().join("shallow");
    let from = format!("file://{}", sandbox.root().display());
    sandbox.git(&["clone", "--quiet", "--depth", "1", &from, shallow.to_str().unwrap()]);
    kiln.run(["-C", shallow.to_str().unwrap(), "pins"])
        .says(&[&format!("{note}the clone does not have the whole history")]);
}

#[test]
fn what_is_not_trusted_is_neither_locked_nor_built() {
    let (sandbox, mirror) = pinned("pins-trust");
    let kiln = sandbox.kiln().with_variable("KILN_DEBIAN_MIRROR", &mirror.url());
    let refused = |trust: &str, says: &[&str]| {
        sandbox.write("kiln.toml", format!("format = \"1\"\n[trust]\n{trust}\n"));
        kiln.run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(says);
        kiln.run(["lock", "--base", "pins-trust"]).ends_with(exit::INPUT_INVALID).says(says);
    };
    refused(
        "suites = [\"trixie\", \"forky\"]",
        &[
            "is not among what `trust.suites` allows (kiln.toml:3)",
            "images/pins-trust.toml:",
            "allowed: trixie, forky",
        ],
    );
    let definition = sandbox.read("images/pins-trust.toml");
    sandbox.write(
        "images/pins-trust.toml",
        "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"evil.example.org/team/python:3.11\"\n",
    );
    refused(
        "registries = [\"registry.example.org/team\"]",
        &[
            "`evil.example.org/team/python:3.11` is not among what `trust.registries` allows",
            "images/pins-trust.toml:4",
        ],
    );
    sandbox.write("images/pins-trust.toml", definition);
    sandbox.write("kiln.toml", "format = \"1\"\n[trust]\nmax-age = \"30 days\"\n");
    let row = kiln.run(["pins", "--format", "json"]).json()[0].clone();
    sandbox.replace("images/pins-trust.lock", row["pinned"].as_str().unwrap(), "2020-01-01T00:00:00Z");
    kiln.run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "base pins-trust was pinned",
        "days ago, and `trust.max-age` allows 30 days",
        "kiln.toml:3",
        "pin it again: kiln lock --base pins-trust",
    ]);
    // It is told where something is locked, too.
    let old = "trust.max-age` allows 30 days";
    kiln.run(["lock", "--all"]).ends_with(exit::INPUT_INVALID).says(&[old, "kiln lock --base pins-trust"]);
    sandbox.append("manifests/app.toml", "[python]\nlock = \"app.txt\"\nrequirements = \"app.in\"\n");
    sandbox.write("manifests/app.in", "");
    kiln.run(["lock", "app"]).ends_with(exit::INPUT_INVALID).says(&[old, "kiln lock --base pins-trust"]);
    assert!(!sandbox.path("manifests/app.txt").exists());
    // What is pinned again is of today, though nothing moved; and stays so.
    let again = ["lock", "--base", "pins-trust"];
    kiln.run(again).ends_with(exit::SUCCESS).prints(&["written: nothing moved, and the pin is of today"]);
    kiln.run(again).ends_with(exit::SUCCESS).prints(&["images/pins-trust.lock: nothing moved"]);
    assert_eq!(kiln.run(["pins", "--format", "json"]).json()[0]["age_days"], 0);
    sandbox.write("kiln.toml", "format = \"1\"\n[trust]\nindexs = []\n");
    kiln.run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&["did you mean `indexes`?"]);
}

#[test]
fn an_index_that_is_not_trusted_is_not_asked() {
    let wheel = crate::harness::wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"")]);
    let index = crate::harness::LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = Sandbox::new();
    let code = "import greeting\n\ndef handler(event, context):\n    return 1\n";
    sandbox.function("app", "3.13", code, &wheel.requirement(""));
    let kiln = sandbox
        .kiln()
        .with_store(&sandbox.folder().join("store"))
        .with_variable("UV_DEFAULT_INDEX", &index.url());
    sandbox.write("kiln.toml", "format = \"1\"\n[trust]\nindexes = [\"https://pypi.example.org/simple\"]\n");
    kiln.run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "is not among what `trust.indexes` allows (kiln.toml:3)",
        "it is from UV_DEFAULT_INDEX",
        "allowed: https://pypi.example.org/simple",
    ]);
    let trusted = index.url();
    sandbox.write("kiln.toml", format!("format = \"1\"\n[trust]\nindexes = [\"{trusted}\"]\n"));
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
}

#[test]
fn what_a_lock_would_move_is_said_with_its_bytes_before_anything_is_written() {
    let (sandbox, mirror) = pinned("pins-preview");
    let kiln = sandbox.kiln().with_variable("KILN_DEBIAN_MIRROR", &mirror.url());
    let file = "images/pins-preview.lock";
    let mut lock: toml::Table = String::from_utf8(sandbox.read(file)).unwrap().parse().unwrap();
    let packages = lock["platform"]["linux/amd64"]["package"].as_array_mut().unwrap();
    let name = packages[0]["name"].as_str().unwrap().to_owned();
    packages[0]["version"] = "0.1".into();
    packages[0]["digest"] = format!("sha256:{}", "1".repeat(64)).into();
    sandbox.write(file, toml::to_string(&lock).unwrap());
    let before = sandbox.read(file);
    let moved = format!("{name} linux/amd64");
    kiln.run(["lock", "--base", "pins-preview", "--dry-run"]).ends_with(exit::SUCCESS).prints(&[
        "base pins-preview  1 moved",
        "to bring: kiln lock --base pins-preview",
        &moved,
    ]);
    assert!(sandbox.read(file) == before, "nothing was written");
    let outcome = kiln.run(["lock", "--base", "pins-preview"]).ends_with(exit::SUCCESS);
    outcome.says(&["images/pins-preview.lock: 1 to move,", "to bring", &format!("{name} 0.1 →")]);
    assert!(sandbox.read(file) != before);
}

/// The rules for Renovate of the page, as they stand there.
fn renovate() -> serde_json::Value {
    let page = fs_err::read_to_string(repository().join("docs/pins.md")).unwrap();
    let start = page.find("```json\n").unwrap() + "```json\n".len();
    let end = start + page[start..].find("```").unwrap();
    serde_json::from_str(&page[start..end]).unwrap()
}

#[test]
fn the_rules_for_renovate_find_every_pin_of_their_kind() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "images/remote.toml",
        "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n\n[registry]\nreference = \"registry.example.org:5000/team/python:3.13-slim\"\n",
    );
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "").append(
        "manifests/app.toml",
        "\n[[upstream]]\nname = \"one\"\ngit = \"https://git.example.org/one.git\"\nrevision = \"v1.2\"\n\n[[upstream]]\nname = \
         \"two\"\ngit = \"https://git.example.org/two.git\"\nrevision = \"v3\"\n",
    );
    sandbox.write("kiln.lock", fs_err::read(repository().join("kiln.lock")).unwrap());
    let uv = String::from_utf8(sandbox.read("kiln.lock")).unwrap().parse::<toml::Table>().unwrap();
    let uv = uv["tool"]["uv"]["version"].as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for manager in renovate()["customManagers"].as_array().unwrap() {
        let files = manager["managerFilePatterns"][0].as_str().unwrap().trim_matches('/');
        let files = regex::Regex::new(&files.replace("\\/", "/")).unwrap();
        let pattern = regex::Regex::new(manager["matchStrings"][0].as_str().unwrap()).unwrap();
        for path in
            ["images/remote.toml", "images/python-3.13.toml", "manifests/app.toml", "kiln.lock", "kiln.toml"]
        {
            let text = String::from_utf8(sandbox.read(path)).unwrap();
            for one in pattern.captures_iter(&text).filter(|_| files.is_match(path)) {
                let datasource = manager["datasourceTemplate"].as_str().unwrap().to_owned();
                found.push((datasource, one["depName"].to_owned(), one["currentValue"].to_owned()));
            }
        }
    }
    let expected = [
        ("docker", "registry.example.org:5000/team/python", "3.13-slim"),
        ("git-tags", "https://git.example.org/one.git", "v1.2"),
        ("git-tags", "https://git.example.org/two.git", "v3"),
        ("pypi", "uv", uv.as_str()),
    ];
    let expected: Vec<_> = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).into();
    assert_eq!(found, expected);
}
