//! What people read, as it lies on their screen: snapshots of whole runs in `tests/snapshots/`.
//!
//! A run is shown with its arguments, both streams and its exit code. What must differ from run to run has a
//! placeholder of its width; a digest that is reproducible stands there as it is. A missing or another
//! snapshot fails; to write them anew: `INSTA_UPDATE=always cargo test --release -p kiln-tests --test it
//! printed`.

use crate::harness::{Kiln, LocalIndex, Outcome, Sandbox, committed_base, repository, wheel};
use crate::lacking;
use kiln_record::exit;
use regex::Regex;

/// How long a run took.
const DURATION: (&str, &str) = (r"\d+\.\d s\b", "?.? s");
/// When a build was.
const CLOCK: (&str, &str) = (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "????-??-??T??:??:??Z");
/// How old a pin is.
const AGE: (&str, &str) = (r"(-\d\d)  [ \d]{4,5} days?\b", "$1    ? days");
/// The digest of a plan covers kiln's own code.
const PLAN: (&str, &str) = (
    r"(plan +sha256:)[0-9a-f]{64}",
    concat!("$1", "????????????????????????????????????????????????????????????????"),
);
/// What the store has is not downloaded, and other tests put the same into it.
const DOWNLOADED: (&str, &str) = (r"(?m)^ download  .*\n", "");
/// The machine gives the port.
const PORT: (&str, &str) = (r"127\.0\.0\.1:\d+", "127.0.0.1:?");

/// Runs a command and compares all that it says with its snapshot.
#[track_caller]
fn shown(name: &str, kiln: &Kiln, arguments: &[&str], differing: &[(&str, &str)]) -> Outcome {
    let outcome = kiln.run(arguments);
    matches(name, &format!("$ kiln {}\n{}", arguments.join(" "), told(&outcome)), differing);
    outcome
}

/// Both streams and the exit code.
fn told(outcome: &Outcome) -> String {
    let stream = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("--- {name}\n{text}"),
    };
    let code = outcome.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
    let streams = [stream("stdout", &outcome.stdout), stream("stderr", &outcome.stderr)].concat();
    format!("{}\n--- {code}\n", streams.trim_end())
}

#[track_caller]
fn matches(name: &str, text: &str, differing: &[(&str, &str)]) {
    // The program under test is called otherwise than the one that people have.
    let mut text = text.replace("kiln-under-test", "kiln");
    for (pattern, placeholder) in differing {
        text = Regex::new(pattern).unwrap().replace_all(&text, *placeholder).into_owned();
    }
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_of_every_command() {
    let sandbox = Sandbox::bare();
    let kiln = sandbox.kiln();
    let help = shown("help", &kiln, &["--help"], &[]).ends_with(exit::SUCCESS).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<&str> = names.filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(names.len() > 10 && names.contains(&"build"), "{names:?}");
    for name in names {
        shown(&format!("help-{name}"), &kiln, &[name, "--help"], &[]).ends_with(exit::SUCCESS);
    }
}

/// A function with a layer of one distribution and two of its own, of which one is not for this Python.
fn workspace(index: &LocalIndex) -> Sandbox {
    let sandbox = Sandbox::bare();
    let images = Sandbox::new();
    for file in ["python-3.13.toml", "python-3.13.lock", "keys/debian-archive-keyring.gpg"] {
        let file = format!("images/{file}");
        sandbox.write(&file, images.read(&file));
    }
    sandbox.write(
        "manifests/shared.toml",
        r#"
kind = "lambda-layer"
base = "python-3.13"

[target]
runtime = "python3.13"
architecture = "x86_64"

[python]
lock = "shared/requirements.txt"
"#,
    );
    sandbox.write("manifests/shared/requirements.txt", released("base-colours", "1.0").requirement(""));
    sandbox.write(
        "manifests/greeter.toml",
        r#"
kind = "lambda-zip"
base = "python-3.13"
handler = "app.handler"
layers = ["shared"]

[target]
runtime = "python3.13"
architecture = "x86_64"

[source]
path = "greeter/src"

[python]
lock = "greeter/requirements.txt"
"#,
    );
    sandbox.write(
        "manifests/greeter/src/app.py",
        "import words\n\n\ndef handler(event, context):\n    return words.HELLO\n",
    );
    greeter_lock(&sandbox, "1.0");
    sandbox.with_index(index)
}

fn released(name: &str, version: &str) -> crate::harness::WheelFile {
    let requires: &[&str] =
        if name == "words" { &["letters>=1", "old-letters; python_version < '3.9'"] } else { &[] };
    let module = format!("{}.py", name.replace('-', "_"));
    wheel(name, version, "py3-none-any", requires, &[(&module, format!("HELLO = {version:?}\n").as_bytes())])
}

fn greeter_lock(sandbox: &Sandbox, words: &str) {
    let lines = [
        released("letters", "1.0").requirement(""),
        released("old-letters", "1.0").requirement("python_version < \"3.9\""),
        released("words", words).requirement(""),
    ];
    sandbox.write("manifests/greeter/requirements.txt", lines.concat());
}

fn index() -> LocalIndex {
    LocalIndex::serve(&[
        released("base-colours", "1.0"),
        released("letters", "1.0"),
        released("old-letters", "1.0"),
        released("words", "1.0"),
        released("words", "1.1"),
    ])
}

#[test]
fn what_is_told_of_builds() {
    let index = index();
    let sandbox = workspace(&index);
    let kiln = sandbox.kiln();
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    greeter_lock(&sandbox, "1.1");
    sandbox.append("manifests/greeter/src/app.py", "\n\nGOODBYE = 'bye'\n");
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    if lacking::PRINTED_BASE.unless(committed_base("python-3.13")).is_none() {
        // The same commands on another base: that they work is what can be told.
        for arguments in [&["show", "greeter"][..], &["explain", "greeter"], &["history"], &["pins"]] {
            kiln.run(arguments).ends_with(exit::SUCCESS);
        }
        kiln.run(["diff", "greeter@1", "greeter@2"]).ends_with(exit::SUCCESS).prints(&["words"]);
        return;
    }
    for (name, arguments, differing) in [
        ("build-unchanged", &["build", "--all"][..], &[DURATION][..]),
        ("show", &["show", "greeter"], &[PLAN]),
        ("show-files", &["show", "shared", "--files"], &[PLAN]),
        ("explain", &["explain", "greeter"], &[PORT]),
        ("explain-distribution", &["explain", "greeter", "words"], &[PORT]),
        ("explain-not-installed", &["explain", "greeter", "old-letters"], &[PORT]),
        ("explain-path", &["explain", "greeter", "app.py"], &[PORT]),
        ("diff", &["diff", "greeter@previous", "greeter@latest"], &[]),
        ("diff-markdown", &["diff", "greeter@1", "greeter@2", "--format", "markdown"], &[]),
        ("history", &["history"], &[CLOCK]),
        ("pins", &["pins"], &[AGE]),
        ("verify", &["verify", "dist/greeter/greeter.zip"], &[]),
    ] {
        shown(name, &kiln, arguments, differing).ends_with(exit::SUCCESS);
    }
}

/// Lines of a log, each once, in the order of what happens.
#[test]
fn progress_without_a_terminal() {
    // The store has all that it needs but one wheel, which no other test has.
    let index = index();
    let sandbox = workspace(&index);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let text = format!("HERE = {:?}\n", sandbox.root());
    let fresh = wheel("fresh", "1.0", "py3-none-any", &[], &[("fresh.py", text.as_bytes())]);
    index.add(&fresh, &fresh.digest().hex(), &fresh.bytes);
    sandbox.append("manifests/greeter/requirements.txt", &fresh.requirement(""));
    let built = sandbox.kiln().run(["build", "--all", "--jobs", "1"]).ends_with(exit::SUCCESS);
    matches("progress", &built.stderr, &[DURATION]);
}

#[test]
fn usual_mistakes() {
    let index = index();
    // Nothing is published, so that no digest of a base is told.
    let fresh = || {
        let sandbox = workspace(&index);
        fs_err::remove_file(sandbox.path("manifests/shared.toml")).unwrap();
        sandbox.replace("manifests/greeter.toml", "layers = [\"shared\"]\n", "");
        sandbox
    };
    let nowhere = Sandbox::bare();
    fs_err::remove_file(nowhere.path("kiln.toml")).unwrap();
    let folder = regex::escape(nowhere.root().to_str().unwrap());
    shown("mistake-no-workspace", &nowhere.kiln(), &["build", "--all"], &[(&folder, "FOLDER")]);

    let sandbox = fresh();
    for (name, arguments) in [
        ("mistake-argument", &["build", "--al"][..]),
        ("mistake-no-artifact", &["build"]),
        ("mistake-unknown-artifact", &["build", "greeted"]),
        ("mistake-no-build", &["show", "greeter"]),
        ("mistake-nothing-built", &["history"]),
    ] {
        shown(name, &sandbox.kiln(), arguments, &[]);
    }
    let broken = |name: &str, change: &dyn Fn(&Sandbox)| {
        let sandbox = fresh();
        change(&sandbox);
        shown(name, &sandbox.kiln(), &["build", "greeter"], &[DURATION, PORT, DOWNLOADED]);
    };
    broken("mistake-key", &|sandbox| {
        sandbox.replace("manifests/greeter.toml", "handler =", "handlr =");
    });
    broken("mistake-several", &|sandbox| {
        sandbox.replace("manifests/greeter.toml", "python3.13", "python3.31").replace(
            "manifests/greeter.toml",
            "greeter/src",
            "greeter/../../..",
        );
    });
    broken("mistake-base", &|sandbox| {
        sandbox.replace("manifests/greeter.toml", "python-3.13", "python-3.14");
    });
    broken("mistake-not-pinned", &|sandbox| {
        fs_err::remove_file(sandbox.path("images/python-3.13.lock")).unwrap()
    });
    broken("mistake-lock-gone", &|sandbox| {
        fs_err::remove_file(sandbox.path("manifests/greeter/requirements.txt")).unwrap();
    });
    broken("mistake-no-hashes", &|sandbox| {
        sandbox.write("manifests/greeter/requirements.txt", "words==1.0\nletters\n");
    });
    broken("mistake-handler", &|sandbox| {
        sandbox.replace("manifests/greeter.toml", "app.handler", "app.handle");
    });
    broken("mistake-import", &|sandbox| {
        sandbox.replace("manifests/greeter/src/app.py", "import words", "import wrods");
    });
}

/// What follows a number in a message without being one of many: where it is never one, or another arm has that case.
const NEVER_ONE: [&str; 22] = [
    "there are {files} files, and a zip that Lambda reads holds",
    "{n} crates are linked into",
    "{count} components {} ({bytes})",
    "{count} components changed by a large part",
    "the {} variables under `env`",
    "{pos}/{len} artifacts",
    "a layer has {} records",
    "{n} indexes {what}",
    "{n} warnings",
    "{many} mirrors are configured",
    "{} paths differ",
    "{} layers are named; Lambda takes five",
    "it has {} layers: {MOST_LAYERS} are allowed",
    "holds {left} distributions, and",
    "{} members of the wheel differ",
    "{} files differ",
    "{unlisted} of the {locked} files that",
    "dirty: {count} files are not",
    "{count} findings",
    "so its {files} files are not told apart",
    "{count} files run as their owner or group",
    // A property of bills of materials, which keep their bytes.
    "{} files, {} to {} bytes",
];

/// `1 files` is nobody's language: `counted` of kiln-record says numbers of things.
#[test]
fn one_of_a_thing_is_not_told_in_the_plural() {
    let things = "artifacts|builds|distributions|files|members|packages|bases|entries|layers|modules|problems|warnings|libraries|findings|signatures|checks|imports|paths|steps|images|limits|events|parts|components|blobs|processors|mirrors|records|versions|places|differences|crates|indexes|variables|statements";
    let counts =
        Regex::new(&format!(r#"\{{[^}}"]*\}} (?:more |remembered |locked )?(?:{things})\b"#)).unwrap();
    // A limit is no number of things that are there; and some of these words are verbs.
    let other = Regex::new(
        r"more than \{|deeper than \{|1 to \{|\} (?:imports|files|builds|steps) (?:[a-z`]+ )?(?:it|them|a|the)\b|\{locks\} locks, \{builds\} builds",
    )
    .unwrap();
    let mut wrong = String::new();
    let mut folders = vec![repository().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !["tests", "kiln-fuzz", "kiln-fixtures"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                for (number, line) in fs_err::read_to_string(&path).unwrap().lines().enumerate() {
                    let is_meant = counts.is_match(line)
                        && !line.trim_start().starts_with("//")
                        && !other.is_match(line)
                        && !NEVER_ONE.iter().any(|text| line.contains(text));
                    if is_meant {
                        wrong.push_str(&format!("{}:{}: {}\n", path.display(), number + 1, line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "say these with `counted`:\n{wrong}");
}
