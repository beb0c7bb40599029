//! `kiln lock ARTIFACT`: what is asked for becomes a lock for the artifact's own target, and builds from it.

use crate::harness::{LocalIndex, Sandbox, WheelFile, poetry_lock, wheel, wheel_saying};
use kiln_record::exit;
use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::OnceLock;

const CODE: &str = "def handler(event, context):\n    return None\n";

/// The pin of uv that the index has today, made once for all tests.
pub(crate) fn tools() -> &'static str {
    static TOOLS: OnceLock<String> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let sandbox = Sandbox::new();
        let outcome = sandbox.kiln().run(["lock", "--tools"]).ends_with(exit::SUCCESS);
        outcome.prints(&["kiln.lock: written", "linux-x86_64-gnu"]);
        String::from_utf8(sandbox.read("kiln.lock")).unwrap()
    })
}

/// A function whose lock kiln makes from a file beside its manifest.
pub(crate) fn function(
    sandbox: &Sandbox,
    name: &str,
    python: &str,
    code: &str,
    input: (&str, &str),
    keys: &str,
) {
    let (file, text) = input;
    sandbox
        .function(name, python, code, "")
        .append(
            &format!("manifests/{name}.toml"),
            &format!("\n[python]\nlock = \"{name}/lock.txt\"\nrequirements = \"{name}/{file}\"\n{keys}"),
        )
        .write(&format!("manifests/{name}/{file}"), text)
        .write("kiln.lock", tools());
}

fn lock_of(sandbox: &Sandbox, name: &str) -> String {
    String::from_utf8(sandbox.read(&format!("manifests/{name}/lock.txt"))).unwrap()
}

/// The lines of a lock that name a distribution, by name.
fn versions(lock: &str) -> BTreeMap<String, String> {
    lock.lines()
        .filter_map(|line| line.trim_end_matches(" \\").split_once("=="))
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect()
}

#[track_caller]
fn assert_fits(versions: &BTreeMap<String, String>, name: &str, specifiers: &str) {
    let version = versions.get(name).unwrap_or_else(|| panic!("{name} is locked: {versions:?}"));
    let version = pep440_rs::Version::from_str(version).unwrap();
    let specifiers = pep440_rs::VersionSpecifiers::from_str(specifiers).unwrap();
    assert!(specifiers.contains(&version), "{name} {version} is in {specifiers}");
}

#[test]
fn a_lock_for_amazon_linux_2_says_what_its_c_library_holds_back() {
    let sandbox = Sandbox::new();
    let code = "import numpy\n\ndef handler(event, context):\n    return numpy.arange(3).sum()\n";
    let wanted = "# for the sums\nnumpy >=2, <2.4\nsix\n";
    function(&sandbox, "app", "3.11", code, ("requirements.in", wanted), "");
    sandbox
        .kiln()
        .run(["build", "app"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["deny[lock-missing] app", "→ make it: kiln lock app"]);
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).says(&[
        "warning: app: numpy 2.2.6, newest is 2.3.",
        "needs glibc 2.2",
        "python3.11 on Amazon Linux 2 has 2.26",
    ]);
    let lock = lock_of(&sandbox, "app");
    let header = "# Written by `kiln lock app`. Do not edit: run the command again.\n# kiln-lock: 1\n# for: python 3.11 \
                  x86_64 glibc 2.26\n# from: manifests/app/requirements.in sha256:";
    assert!(lock.starts_with(header), "{lock}");
    assert!(lock.contains("    # via manifests/app/requirements.in\n"), "{lock}");
    assert!(!lock.contains("://"), "no index is named: {lock}");
    assert_eq!(versions(&lock)["numpy"], "2.2.6");

    // Python holds back as well, and both are told.
    function(&sandbox, "newer", "3.11", CODE, ("requirements.in", "numpy>=2,<2.6\n"), "");
    sandbox.kiln().run(["lock", "newer"]).ends_with(exit::SUCCESS).says(&[
        "warning: newer: numpy 2.2.6, newest is 2.5.",
        "needs Python >=3.12, python3.11 has 3.11; 2.4.",
        "needs glibc 2.2",
    ]);

    // The same again gives the same bytes.
    let again = sandbox.kiln().run(["lock", "app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!((&again[0]["written"], &again[0]["differs"]), (&false.into(), &false.into()));
    assert_eq!(again[0]["held_back"][0]["distribution"], "numpy");
    assert_eq!(lock_of(&sandbox, "app"), lock);
    fs_err::remove_file(sandbox.path("manifests/app/lock.txt")).unwrap();
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(lock_of(&sandbox, "app"), lock);

    // What was locked can be imported there.
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);

    // A comment asks for nothing else; another version does.
    sandbox.replace("manifests/app/requirements.in", "# for the sums", "# for all sums");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox.replace("manifests/app/requirements.in", "numpy >=2", "numpy >=1");
    sandbox
        .kiln()
        .run(["build", "app"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&[
            "deny[lock-stale] app: manifests/app/lock.txt",
            "the lock was made before manifests/app/requirements.in changed",
            "→ lock again: kiln lock app",
        ])
        .documents("deny[lock-stale] app: manifests/app/lock.txt");
    sandbox
        .kiln()
        .run(["lock", "app", "--check"])
        .ends_with(exit::NOT_REPRODUCIBLE)
        .prints(&["would change"]);
    assert_eq!(lock_of(&sandbox, "app"), lock, "a check writes nothing");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["lock", "app", "--check"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);

    // The same file for another target gets another lock.
    sandbox.replace("manifests/app.toml", "python-3.11", "python-3.13").replace(
        "manifests/app.toml",
        "python3.11",
        "python3.13",
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[lock-stale]",
        "for python 3.11 x86_64 glibc 2.26, but the artifact is for python 3.13 x86_64 glibc 2.34",
    ]);
    sandbox
        .kiln()
        .run(["lock", "app"])
        .ends_with(exit::SUCCESS)
        .prints(&["no distribution moved; the input or the target did"])
        .says(&["note: app: the lock keeps numpy 2.2.6 (2.3."]);
    sandbox
        .kiln()
        .run(["lock", "app", "--upgrade"])
        .ends_with(exit::SUCCESS)
        .prints(&["upgraded   numpy", "2.2.6 → 2.3."])
        .does_not_say("glibc");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
}

#[test]
fn a_project_of_the_packaging_standards_with_extras_and_groups() {
    let project = r#"[project]
name = "app"
version = "0"
requires-python = ">=3.11"
dependencies = ["six>=1.16", "colorama ; sys_platform == 'win32'"]

[project.optional-dependencies]
text = ["toolz>=0.12,<1"]
unused = ["this-distribution-does-not-exist-anywhere"]

[dependency-groups]
web = ["h11>=0.14", { include-group = "more" }]
more = ["idna>=3"]
"#;
    let sandbox = Sandbox::new();
    let code = "import h11, idna, six, toolz\n\ndef handler(event, context):\n    return None\n";
    let keys = "groups = [\"web\"]\nextras = [\"text\"]\n";
    function(&sandbox, "app", "3.13", code, ("pyproject.toml", project), keys);
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    let lock = lock_of(&sandbox, "app");
    let found = versions(&lock);
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["h11", "idna", "six", "toolz"]);
    assert_fits(&found, "toolz", ">=0.12,<1");
    for via in ["(group web)", "(extra text)", "# via manifests/app/pyproject.toml\n"] {
        assert!(lock.contains(via), "{via}: {lock}");
    }
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);

    // Choosing something else makes the lock stale, and a name that is none is refused.
    sandbox.replace("manifests/app.toml", "extras = [\"text\"]", "extras = []");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(&["deny[lock-stale]"]);
    sandbox.replace("manifests/app.toml", "extras = []", "extras = [\"texts\"]");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "the manifest asks for the extra `texts`, which the project does not have (extras: text, unused)",
        "in `extras` under [python] of the manifest",
    ]);
    sandbox.replace("manifests/app.toml", "extras = [\"texts\"]", "");
    sandbox.replace("manifests/app/pyproject.toml", ">=3.11", ">=3.14");
    sandbox
        .kiln()
        .run(["lock", "app"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["manifests/app/pyproject.toml:4 requires Python `>=3.14`, but python3.13 has Python 3.13."]);
    assert_eq!(lock_of(&sandbox, "app"), lock);
}

#[test]
fn a_poetry_project_is_locked_as_poetry_means_it() {
    let project = r#"[tool.poetry]
name = "app"
package-mode = false

[tool.poetry.dependencies]
python = "^3.11"
attrs = "^23.1"
idna = "~3.4"
toolz = "0.12.*"
six = "1.16.0"
h11 = "^0.13 || ^0.14"
packaging = [
  { version = "^23.0", python = "<3.12" },
  { version = "^24.0", python = ">=3.12" },
]
colorama = { version = "*", platform = "win32" }
zipp = { version = "^3.17", optional = true }

[tool.poetry.extras]
archives = ["zipp"]

[tool.poetry.group.dev.dependencies]
iniconfig = "^2"
"#;
    let sandbox = Sandbox::new();
    function(&sandbox, "older", "3.11", CODE, ("pyproject.toml", project), "extras = [\"archives\"]\n");
    function(&sandbox, "newer", "3.13", CODE, ("pyproject.toml", project), "");
    sandbox.kiln().run(["lock", "older", "newer"]).ends_with(exit::SUCCESS);
    for (name, packaging, has_zipp) in [("older", ">=23.0,<24", true), ("newer", ">=24.0,<25", false)] {
        let found = versions(&lock_of(&sandbox, name));
        for (name, specifiers) in [
            ("attrs", ">=23.1,<24"),
            ("idna", ">=3.4,<3.5"),
            ("toolz", "==0.12.*"),
            ("six", "==1.16.0"),
            ("h11", ">=0.14,<0.15"),
            ("packaging", packaging),
        ] {
            assert_fits(&found, name, specifiers);
        }
        assert_eq!(found.contains_key("zipp"), has_zipp, "{name}");
        assert_eq!(found.len(), 6 + usize::from(has_zipp), "{found:?}");
    }
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);

    // A lock that someone shortened by hand is not what the project declares.
    let lock = lock_of(&sandbox, "newer");
    let kept: String = lock
        .split_inclusive("\n    # via manifests/newer/pyproject.toml\n")
        .filter(|part| !part.starts_with("six=="))
        .collect();
    assert_ne!(kept, lock);
    sandbox.write("manifests/newer/lock.txt", kept);
    sandbox.kiln().run(["build", "newer"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[declared-not-installed] newer: six",
        "(manifests/newer/pyproject.toml:10) is declared, but manifests/newer/lock.txt does not have it",
        "→ lock again: kiln lock newer",
    ]);

    sandbox.replace(
        "manifests/older/pyproject.toml",
        "six = \"1.16.0\"",
        "six = { git = \"https://git.example/six\" }",
    );
    sandbox.kiln().run(["lock", "older"]).ends_with(exit::INPUT_INVALID).says(&[
        "manifests/older/pyproject.toml:10: not supported: `git` takes six from elsewhere than the index",
    ]);
}

#[test]
fn a_lock_that_fails_leaves_the_old_one() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "3.13", CODE, ("requirements.in", "six>=1.16\n"), "");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    let lock = lock_of(&sandbox, "app");
    for (text, code, says) in [
        ("six==99\n", exit::INPUT_INVALID, "there is no version of six==99"),
        ("docopt==0.6.2\n", exit::INPUT_INVALID, "docopt has no wheel that fits, only a source distribution"),
        (
            "./own.whl\n",
            exit::INPUT_INVALID,
            "manifests/app/requirements.in:1: not supported: `./own.whl` is a path or URL",
        ),
    ] {
        sandbox.write("manifests/app/requirements.in", text);
        sandbox.kiln().run(["lock", "app"]).ends_with(code).says(&[says]);
        assert_eq!(lock_of(&sandbox, "app"), lock, "{text}");
    }
    // Of several artifacts, none is locked if one of them cannot be.
    function(&sandbox, "fine", "3.13", CODE, ("requirements.in", "six\n"), "");
    sandbox.kiln().run(["lock", "fine", "app"]).ends_with(exit::INPUT_INVALID);
    assert!(!sandbox.path("manifests/fine/lock.txt").exists());
}

fn module(name: &str, version: &str) -> WheelFile {
    wheel(name, version, "py3-none-any", &[], &[(&format!("{name}.py"), b"")])
}

#[test]
fn what_is_locked_stays_until_it_is_asked_to_move() {
    let (steady, lively) = (module("steady", "1.0"), module("lively", "1.0"));
    // The index wants a login, which is told to no one.
    let index = LocalIndex::serve(&[steady, lively]).with_login("someone", "s3cret");
    let sandbox = Sandbox::new();
    let settings = format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url());
    function(&sandbox, "app", "3.13", CODE, ("requirements.in", "steady\nlively\n"), "");
    // The program is in the store; the index of this test does not have it.
    tools();
    sandbox.write("kiln.toml", settings);
    let netrc = "machine 127.0.0.1 login someone password s3cret\n";
    fs_err::write(sandbox.home().join(".netrc"), netrc).unwrap();
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).prints(&[
        "the index tells no licences\n",
        "added      lively",
        "added      steady",
    ]);
    for version in ["1.5", "2.0"] {
        for name in ["steady", "lively"] {
            let wheel = module(name, version);
            index.add(&wheel, &wheel.digest().hex(), &wheel.bytes);
        }
    }
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]).says(&[
        "note: app: the lock keeps lively 1.0 (2.0 fits), steady 1.0 (2.0 fits); --upgrade moves them",
    ]);
    sandbox.kiln().run(["lock", "app", "-P", "lively", "-P", "livly"]).ends_with(exit::INPUT_INVALID).says(
        &[
            "manifests/app/lock.txt: `--upgrade-package` names livly, which is not locked there",
            "locked there: lively, steady",
        ],
    );
    sandbox
        .kiln()
        .run(["lock", "app", "--upgrade-package", "lively"])
        .ends_with(exit::SUCCESS)
        .prints(&["upgraded   lively", "1.0 → 2.0"]);
    let found = versions(&lock_of(&sandbox, "app"));
    assert_eq!((found["steady"].as_str(), found["lively"].as_str()), ("1.0", "2.0"));
    sandbox.write("manifests/app/requirements.in", "steady\nlively<2\n");
    sandbox.kiln().run(["lock", "app", "--upgrade"]).ends_with(exit::SUCCESS).prints(&[
        "downgraded lively",
        "2.0 → 1.5",
        "upgraded   steady",
    ]);
    sandbox.write("manifests/app/requirements.in", "steady\n");
    let outcome = sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).prints(&["removed    lively"]);
    assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("s3cret"));
    assert!(!lock_of(&sandbox, "app").contains("127.0.0.1"));

    drop(index);
    sandbox.write("manifests/app/requirements.in", "steady\nother\n");
    let outcome = sandbox.kiln().run(["lock", "app"]);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("s3cret"), "{outcome}");
}

#[test]
fn tools_and_bases_are_listed_as_pins() {
    let sandbox = Sandbox::new();
    sandbox.write("kiln.lock", tools());
    fs_err::remove_file(sandbox.path("images/python-3.13.lock")).unwrap();
    let pins = sandbox.kiln().run(["pins", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let row = |name: &str| pins.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    let uv = row("uv");
    assert_eq!((&uv["kind"], &uv["file"]), (&"tool".into(), &"kiln.lock".into()));
    assert!(uv["pinned_to"]["linux-x86_64-gnu"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(uv["age_days"], 0);
    assert_eq!(row("python-3.11")["file"], "images/python-3.11.lock");
    assert_eq!(row("python-3.13")["problem"], "it is not pinned");
    sandbox.kiln().run(["pins"]).ends_with(exit::SUCCESS).prints(&[
        "uv",
        "kiln lock --tools",
        "debian bookworm",
        "  not pinned  ",
    ]);

    // A version whose question kiln cannot answer is not pinned.
    sandbox
        .kiln()
        .run(["lock", "--tools", "--tool", "uv==0.0.1"])
        .ends_with(exit::FETCH_FAILED)
        .says(&["uv 0.0.1:", "help: name a version that can be used"]);
    assert_eq!(String::from_utf8(sandbox.read("kiln.lock")).unwrap(), tools());
}

#[test]
fn a_base_and_a_runtime_that_do_not_fit_are_told_with_their_artifact() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "3.13", CODE, ("requirements.in", "six\n"), "");
    sandbox.replace("manifests/app.toml", "runtime = \"python3.13\"", "runtime = \"python3.11\"");
    sandbox.kiln().run(["lock", "--all"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "error: app: the base has Python 3.13",
        "but runtime python3.11 has CPython 3.11 (manifests/app.toml)",
        "name a base with the Python of python3.11",
    ]);
}

/// What stands on other bases is locked all the same.
#[test]
fn a_base_that_cannot_be_pinned_keeps_no_other_artifact_from_being_locked() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "3.13", CODE, ("requirements.in", "six\n"), "");
    function(&sandbox, "other", "3.13", CODE, ("requirements.in", "six\n"), "");
    sandbox.replace("manifests/other.toml", "base = \"python-3.13\"", "base = \"gone\"").write(
        "images/gone.toml",
        "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"127.0.0.1:1/team/python:3.13\"\n",
    );
    let locked = sandbox.kiln().run(["lock", "--all"]).ends_with(exit::FETCH_FAILED);
    let locked = locked.says(&["127.0.0.1:1", "not locked, as their base could not be pinned: other"]);
    locked.prints(&["manifests/app/lock.txt: written"]);
    assert!(!sandbox.path("manifests/other/lock.txt").exists());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sandbox = Sandbox::new();
    function(&sandbox, "one", "3.13", CODE, ("requirements.in", "six\n"), "");
    function(&sandbox, "two", "3.11", CODE, ("requirements.in", "six\n"), "");
    sandbox.replace("manifests/two.toml", "two/lock.txt", "one/lock.txt");
    sandbox
        .kiln()
        .run(["lock", "one"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["two uses the same lock, manifests/one/lock.txt, for something else"]);
    sandbox.replace("manifests/two.toml", "requirements = \"two/requirements.in\"\n", "");
    sandbox.kiln().run(["lock", "two"]).ends_with(exit::INPUT_INVALID).says(&[
        "nothing says what manifests/one/lock.txt is made from",
        "it is the lock of one, too, whose manifest says it with `requirements`: give each its own lock",
    ]);
    sandbox.append("manifests/two.toml", "requirements = \"two/requirements.in\"\n");
    sandbox.replace("manifests/two.toml", "one/lock.txt", "two/poetry.lock");
    sandbox
        .kiln()
        .run(["lock", "one"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`python.requirements` is there, but two/poetry.lock is the lock of another tool"]);
    sandbox.replace("manifests/two.toml", "two/poetry.lock", "two/requirements.in");
    sandbox
        .kiln()
        .run(["lock", "one"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["are both two/requirements.in"]);
    sandbox.replace(
        "manifests/two.toml",
        "lock = \"two/requirements.in\"",
        "lock = \"two/l.txt\"\nextras = [\"x\"]",
    );
    sandbox
        .kiln()
        .run(["lock", "one"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["which has no groups and extras"]);
    sandbox.replace("manifests/two.toml", "extras = [\"x\"]", "");
    // A lock that kiln did not make says nothing of its input.
    sandbox.write("manifests/two/l.txt", module("six", "1.0").requirement(""));
    sandbox.kiln().run(["build", "two"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[lock-stale] two: manifests/two/l.txt",
        "it was not made by kiln",
        "→ make it: kiln lock two",
    ]);
}

#[test]
fn extras_of_another_tools_lock_are_installed() {
    let (direct, more) = (module("direct", "1.0"), module("more", "1.0"));
    let index = LocalIndex::serve(&[direct.clone(), more.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let project = "[tool.poetry]\nname = \"app\"\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \
                   \">=3.11\"\ndirect = \"^1\"\nmore = { version = \"^1\", optional = true }\n\n[tool.poetry.extras]\nwith-more = [\"more\"]\n";
    let extra = "groups = [\"main\"]\nmarkers = \"extra == \\\"with-more\\\"\"";
    let lock = poetry_lock(project, &[(&direct, "groups = [\"main\"]"), (&more, extra)]);
    for name in ["without", "with", "misspelt"] {
        sandbox.poetry_function(name, "3.13", CODE, project, &lock);
    }
    sandbox.append("manifests/with.toml", "extras = [\"with_more\"]\n");
    sandbox.append("manifests/misspelt.toml", "extras = [\"wit-more\"]\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[declared-not-installed] misspelt: wit-more the manifest asks for the extra `wit-more`",
    ]);
    for (name, count) in [("without", 1), ("with", 2)] {
        let shown = sandbox.kiln().run(["show", name, "--format", "json"]).ends_with(exit::SUCCESS).json();
        let components = shown["components"].as_array().unwrap();
        let installed =
            components.iter().filter(|c| c["id"].as_str().unwrap().starts_with("python/")).count();
        assert_eq!(installed, count, "{name}");
    }
}

/// What the resolver warns of, and what the target leaves out, is told where the lock is made.
#[test]
fn what_a_lock_lacks_although_it_is_asked_for_is_told() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox
        .append(
            "manifests/app.toml",
            "\n[python]\nrequirements = \"app/requirements.in\"\nlock = \"app/requirements.txt\"\n",
        )
        .write("manifests/app/requirements.in", "idna[nope]\ntomli; python_version < \"3.11\"\n");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).says(&[
        "does not have an extra named `nope`",
        "requirements.in:2: tomli is left out: marker `python_version < \"3.11\"` is false (python_version = \"3.13\")",
    ]);
    // Whoever asks later gets the same answer: before a build, and from its record.
    let cause = "marker `python_version < \"3.11\"` is false (python_version = \"3.13\")";
    sandbox.kiln().run(["explain", "app", "tomli"]).ends_with(exit::SUCCESS).prints(&[cause]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).prints(&["tomli", "not locked", cause]);
}

#[test]
fn what_a_lock_moves_is_told_with_licences_before_it_is_written() {
    let licensed = |name: &str, version: &str, license: &str| {
        wheel_saying(name, version, "py3-none-any", &[license], &[(&format!("{name}.py"), b"")])
    };
    let index = LocalIndex::empty();
    for one in [
        licensed("steady", "1.0", "License-Expression: MIT"),
        licensed("lively", "1.0", "License: Apache License, Version 2.0"),
    ] {
        index.add_described(&one);
    }
    let sandbox = Sandbox::new().with_index(&index);
    function(&sandbox, "app", "3.13", CODE, ("requirements.in", "steady\nlively\n"), "");
    tools();
    let first = sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    first.prints(&["lock.txt: written: 2 distributions\n", "added      lively  1.0", "Apache-2.0", "MIT"]);

    index.add_described(&licensed("lively", "2.0", "License-Expression: GPL-3.0-only"));
    index.add_described(&licensed("a-distribution-of-a-long-name", "1.0", "License: Ours"));
    sandbox.write("manifests/app/requirements.in", "steady\nlively\na-distribution-of-a-long-name\n");
    let before = sandbox.read("manifests/app/lock.txt");
    let told = sandbox.kiln().run(["lock", "app", "--upgrade", "--dry-run"]).ends_with(exit::SUCCESS);
    told.prints(&[
        "lock.txt: would change: 3 distributions\n",
        "  added      a-distribution-of-a-long-name  1.0        +1.0 KiB  \"Ours\"\n",
        "  upgraded   lively                         1.0 → 2.0      -2 B  Apache-2.0 → GPL-3.0-only\n",
    ]);
    assert!(sandbox.read("manifests/app/lock.txt") == before, "nothing is written");
    let json = sandbox.kiln().run(["lock", "app", "--upgrade", "--dry-run", "--format", "json"]);
    let json = json.ends_with(exit::SUCCESS).json();
    let lively = json[0]["changes"].as_array().unwrap().iter().find(|one| one["distribution"] == "lively");
    let lively = lively.unwrap();
    assert_eq!(
        (&lively["license_before"], &lively["license_after"]),
        (&"Apache-2.0".into(), &"GPL-3.0-only".into())
    );
    assert!(lively["bytes_after"].as_u64().is_some_and(|bytes| bytes > 100), "{lively}");
    // The same is said before the lock is written.
    sandbox
        .kiln()
        .run(["lock", "app", "--upgrade"])
        .ends_with(exit::SUCCESS)
        .says(&["lock.txt: 2 to move,", "lively 1.0 → 2.0, licence Apache-2.0 → GPL-3.0-only"]);
}
