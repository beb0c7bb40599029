//! Locks of dependencies that do not fit, and those that do.

use crate::harness::{LocalIndex, Sandbox, WheelFile, poetry_lock, wheel};
use kiln_record::{Digest, exit};
use kiln_store::Store;

const CODE: &str = "def handler(event, context):\n    return None\n";

/// A wheel with one module.
fn module(name: &str, content: &str) -> WheelFile {
    wheel(name, "1.0", "py3-none-any", &[], &[(&format!("{name}.py"), content.as_bytes())])
}

/// The names of the files in an artifact's `dist/` record, without metadata folders.
fn modules_of(sandbox: &Sandbox, artifact: &str) -> Vec<String> {
    let record: serde_json::Value =
        serde_json::from_slice(&sandbox.read(&format!("dist/{artifact}/record.json"))).unwrap();
    let files = record["files"].as_array().unwrap().iter();
    files
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .filter(|path| !path.contains(".dist-info/"))
        .collect()
}

/// How many lines of a terminal with 80 columns a text takes.
fn screen_lines(text: &str) -> usize {
    text.lines().map(|line| line.chars().count().div_ceil(80).max(1)).sum()
}

#[test]
fn markers_exclude_everything() {
    let names = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    ];
    let wheels: Vec<WheelFile> = names.iter().map(|name| module(name, "")).collect();
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let lock: String = wheels.iter().map(|wheel| wheel.requirement("python_version == \"3.12\"")).collect();
    sandbox.function("app", "3.13", CODE, &lock);
    let outcome = sandbox.denied().says(&[
        "deny[declared-not-installed] app: alpha and 11 more",
        "`alpha==1.0` (manifests/app/requirements.txt:1) is declared, but its marker `python_version == \"3.12\"` is \
         false: the target has python_version = \"3.13\"",
        "the same holds for epsilon, eta, gamma, iota, kappa, lambda, mu, theta, zeta",
        "→ lock again for Python 3.13: ",
        "→ or use a base and a runtime with the Python that the lock is for: 3.12",
    ]);
    assert!(screen_lines(&outcome.stderr) + screen_lines(&outcome.stdout) <= 24, "one screen:\n{outcome}");
    assert_eq!(index.requests(), 0, "nothing was asked of the index");

    let json =
        sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::FINDINGS_DENIED).json();
    let findings = json["artifacts"][0]["findings"].as_array().unwrap();
    let subjects: Vec<&str> = findings.iter().map(|finding| finding["subject"].as_str().unwrap()).collect();
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(subjects, sorted, "a program is told each one");
}

#[test]
fn markers_that_leave_out_a_backport_are_explained_in_the_record() {
    let (here, backport) = (module("here", ""), module("backport", ""));
    let index = LocalIndex::serve(&[here.clone(), backport.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let lock = here.requirement("") + &backport.requirement("python_version < \"3.11\"");
    sandbox.function("app", "3.13", "import here\n\ndef handler(event, context):\n    return None\n", &lock);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert_eq!(modules_of(&sandbox, "app"), ["app.py", "here.py"]);
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(
        shown.contains("marker `python_version < \"3.11\"` is false (python_version = \"3.13\")"),
        "{shown}"
    );
}

#[test]
fn requires_python_tilde_3_12_on_3_13() {
    let wheel = module("tilde", "");
    let index = LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = Sandbox::new().with_index(&index);
    let project = "[tool.poetry]\nname = \"app\"\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \
                   \"~3.12\"\ntilde = \"^1\"\n";
    sandbox.poetry_function(
        "app",
        "3.13",
        CODE,
        project,
        &poetry_lock(project, &[(&wheel, "groups = [\"main\"]")]),
    );
    sandbox
        .denied()
        .says(&[
            "deny[requires-python-mismatch] app: python",
            "manifests/app/pyproject.toml:6 requires Python `~3.12`, but python3.13 has Python 3.13.",
            "→ to use python3.12: kiln lock --base python-3.12 --runtime python3.12; then kiln build ARTIFACT, with base = \"python-3.12\"",
            "→ or, if the code runs on 3.13, let manifests/app/pyproject.toml:6 accept it and lock again: poetry lock",
        ]).documents("deny[requires-python-mismatch] app: python")
        .does_not_say("declared-not-installed");
    assert_eq!(index.requests(), 0, "denied before any download");
}

#[test]
fn lock_missing_or_stale() {
    let wheel = module("stale", "");
    let index = LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = Sandbox::new().with_index(&index);

    sandbox.function("absent", "3.13", CODE, "unused");
    fs_err::remove_file(sandbox.path("manifests/absent/requirements.txt")).unwrap();
    let project =
        "[tool.poetry]\nname = \"app\"\n\n[tool.poetry.dependencies]\npython = \"^3.13\"\nstale = \"^1\"\n";
    let lock = poetry_lock(project, &[(&wheel, "groups = [\"main\"]")]);
    sandbox.poetry_function("absent-poetry", "3.13", CODE, project, &lock);
    fs_err::remove_file(sandbox.path("manifests/absent-poetry/poetry.lock")).unwrap();

    sandbox.function("unhashed", "3.13", CODE, "stale==1.0\nother>=2\n");
    sandbox.poetry_function("stale", "3.13", CODE, &project.replace("\"^1\"", "\">=1,<3\""), &lock);
    let outcome = sandbox.denied().says(&[
        "deny[lock-missing] absent: manifests/absent/requirements.txt manifests/absent.toml names the lock manifests/absent/requirements.txt, which does \
         not exist → name what you want with `requirements` under [python], such as requirements.in, and run: kiln lock absent",
        "deny[lock-missing] absent-poetry: manifests/absent-poetry/poetry.lock manifests/absent-poetry.toml names the lock \
         manifests/absent-poetry/poetry.lock, which does not exist → make it, in the project's folder: poetry lock",
        "deny[lock-missing] unhashed: manifests/unhashed/requirements.txt:1 and 1 more `stale==1.0` has no \
         `--hash=sha256:…`",
        "manifests/unhashed/requirements.txt:2: `other>=2` is not pinned to one version with `==` → name it with \
         `requirements` under [python], another file with `lock`, and run: kiln lock ARTIFACT → or make a hashed file: uv pip \
         compile --generate-hashes",
        "deny[lock-stale] stale: manifests/stale/poetry.lock",
        "the lock was made for another manifests/stale/pyproject.toml: its dependencies have changed since → make the \
         lock again: poetry lock",
        "→ or take back the change to the dependencies in manifests/stale/pyproject.toml",
        "4 denied",
    ]).documents("deny[lock-missing] unhashed");
    assert_eq!(index.requests(), 0, "{outcome}");

    // The lock that belongs to the project is taken.
    sandbox.write("manifests/stale/pyproject.toml", project);
    sandbox.kiln().run(["build", "stale"]).ends_with(exit::SUCCESS);
    assert_eq!(modules_of(&sandbox, "stale"), ["app.py", "stale.py"]);
}

/// A wheel that no store has ever seen.
fn fresh_module(name: &str) -> WheelFile {
    let random = tempfile::tempdir().unwrap();
    module(name, &format!("NONCE = '{}'\n", random.path().display()))
}

#[test]
fn hash_not_in_lock() {
    let [relisted, replaced, unlisted, absent] =
        ["relisted", "replaced", "unlisted", "absent"].map(fresh_module);
    let others = [&relisted, &replaced, &unlisted].map(|wheel| fresh_module(wheel.name()));
    let index = LocalIndex::empty();
    // The index lists another file, lists the locked file and serves another, and serves another without listing a hash.
    index.add(&others[0], &others[0].digest().hex(), &others[0].bytes);
    index.add(&replaced, &replaced.digest().hex(), &others[1].bytes);
    index.add(&unlisted, "", &others[2].bytes);
    let sandbox = Sandbox::new().with_index(&index);
    let store = Store::open(&crate::harness::Kiln::shared_store()).unwrap();
    let refused = |wheel: &WheelFile, parts: &[&str]| {
        sandbox.function("app", "3.13", CODE, &wheel.requirement(""));
        sandbox.kiln().run(["build", "--all"]).ends_with(exit::FETCH_FAILED).says(parts);
        sandbox.assert_nothing_published();
        assert!(!store.contains(&wheel.digest()), "nothing is kept as the locked file");
    };
    let digest = |wheel: &WheelFile| Digest::of(&wheel.bytes).to_string();

    refused(
        &relisted,
        &[
            "relisted 1.0: the index has no file with a hash that manifests/app/requirements.txt:1 names",
            &format!("relisted-1.0-py3-none-any.whl {}", digest(&others[0])),
            &format!("locked: {}", digest(&relisted)),
            "help: if the lock is right, the index serves other files than it was made from",
        ],
    );
    refused(
        &replaced,
        &[
            "replaced-1.0-py3-none-any.whl",
            &digest(&replaced),
            &digest(&others[1]),
            "help: the server sent other bytes than the lock names",
            "nothing was kept",
        ],
    );
    refused(
        &unlisted,
        &[
            "unlisted-1.0-py3-none-any.whl",
            "manifests/app/requirements.txt:1",
            &digest(&unlisted),
            &digest(&others[2]),
            "help:",
        ],
    );
    refused(
        &absent,
        &[
            "the index http://127.0.0.1:",
            "(from kiln.toml) has no distribution `absent`",
            "help: or name the index that has it",
        ],
    );
    for other in &others {
        assert!(!store.contains(&other.digest()), "what was refused is not kept");
    }
}

#[test]
fn a_wheel_that_is_not_what_its_own_record_says() {
    let record = b"tampered.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\
                   tampered-1.0.dist-info/METADATA,,\ntampered-1.0.dist-info/WHEEL,,\n\
                   tampered-1.0.dist-info/RECORD,,\n";
    let files: [(&str, &[u8]); 2] =
        [("tampered.py", b"import os\n"), ("tampered-1.0.dist-info/RECORD", record)];
    let wheel = wheel("tampered", "1.0", "py3-none-any", &[], &files);
    let index = LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &wheel.requirement(""));
    // The second time, the wheel is in the store.
    for _ in 0..2 {
        sandbox.denied().says(&[
            "deny[record-mismatch] app: tampered `tampered-1.0-py3-none-any.whl` does not match its RECORD: ",
            "the lock names this file at manifests/app/requirements.txt:1",
            "→ do not use this file",
        ]).documents("deny[record-mismatch] app: tampered");
    }
}

#[test]
fn poetry_groups_extras_and_markers_decide_what_is_installed() {
    let direct = wheel("direct", "1.0", "py3-none-any", &["needed"], &[("direct.py", b"import needed\n")]);
    let [needed, windows, tool, tooling] =
        ["needed", "windows", "tool", "tooling"].map(|name| module(name, ""));
    let wheels = [direct, needed, windows, tool, tooling];
    let index = LocalIndex::serve(&wheels);
    let [direct, needed, windows, tool, tooling] = &wheels;
    let sandbox = Sandbox::new().with_index(&index);
    let project = r#"[project]
name = "app"
version = "0"
requires-python = ">=3.11,<3.14"
dependencies = ["direct (>=1,<2)", "windows (>=1) ; sys_platform == 'win32'"]

[tool.poetry]
package-mode = false

[tool.poetry.group.tools.dependencies]
tool = "^1"
"#;
    let lock = poetry_lock(
        project,
        &[
            (direct, "groups = [\"main\"]\n\n[package.dependencies]\nneeded = \"*\"\n"),
            (needed, "groups = [\"main\"]"),
            (windows, "groups = [\"main\"]\nmarkers = \"sys_platform == \\\"win32\\\"\""),
            (tool, "groups = [\"tools\"]\n\n[package.dependencies]\ntooling = \">=1\"\n"),
            (tooling, "groups = [\"tools\"]"),
        ],
    );
    let code = "import direct\n\ndef handler(event, context):\n    return None\n";
    for (name, python) in [("main", "3.13"), ("older", "3.11"), ("with-tools", "3.13"), ("misspelt", "3.13")]
    {
        sandbox.poetry_function(name, python, code, project, &lock);
    }
    sandbox.append("manifests/with-tools.toml", "groups = [\"tools\"]\n");
    sandbox.append("manifests/misspelt.toml", "groups = [\"tool\"]\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[declared-not-installed] misspelt: tool the manifest asks for the group `tool`, which the project does not \
         have",
        "groups of the project: main, tools",
    ]);
    for name in ["main", "older"] {
        assert_eq!(modules_of(&sandbox, name), ["app.py", "direct.py", "needed.py"], "{name}");
    }
    assert_eq!(
        modules_of(&sandbox, "with-tools"),
        ["app.py", "direct.py", "needed.py", "tool.py", "tooling.py"]
    );
    let shown = sandbox.kiln().run(["show", "main"]).ends_with(exit::SUCCESS).stdout;
    for part in [
        "only in groups that are not chosen: tools",
        "marker `sys_platform == \"win32\"` is false (sys_platform = \"linux\")",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}
