//! What is taken from source folders: the same from a laptop as from a clone, from several folders, from beside `kiln.toml`.

use crate::harness::{LocalIndex, Sandbox, wheel};
use fs_err as fs;
use kiln_record::{Record, exit};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const CODE: &str = "def handler(event, context):\n    return 1\n";

/// What people and tools leave in a folder, and the rule that leaves it out.
const DEBRIS: [(&str, &str); 14] = [
    (".venv/pyvenv.cfg", "source-virtual-environment"),
    (".venv/lib/python3.13/site-packages/requests/__init__.py", "source-virtual-environment"),
    (".pytest_cache/v/x", "source-tool-cache"),
    (".mypy_cache/x.json", "source-tool-cache"),
    (".aws-sam/build/t", "source-tool-cache"),
    (".terraform/providers/p", "source-tool-cache"),
    (".DS_Store", "source-editor-debris"),
    ("._app.py", "source-editor-debris"),
    ("app.py.orig", "source-editor-debris"),
    (".env", "source-local-settings"),
    (".env.prod", "source-local-settings"),
    ("id_rsa", "source-local-settings"),
    (".ssh/config", "source-local-settings"),
    (".aws/credentials", "source-local-settings"),
];

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn commit(folder: &Path) {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "-m", "all"]);
}

fn record(sandbox: &Sandbox) -> Record {
    serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap()
}

fn files(record: &Record) -> Vec<&str> {
    record.files.iter().map(|file| file.path.as_str()).collect()
}

fn add_debris(sandbox: &Sandbox) {
    for (path, _) in DEBRIS {
        sandbox.write(&format!("manifests/app/src/{path}"), "x\n");
    }
}

#[test]
fn a_folder_in_which_somebody_works_and_a_clean_clone_give_the_same_bytes() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", CODE, "")
        .write("manifests/app/src/lib/words.txt", "one\n")
        .write("manifests/app/src/pyproject.toml", "[project]\nname = \"app\"\nversion = \"1\"\n")
        .write("manifests/app/src/.gitignore", "local/\n*.log\n!kept.log\n")
        .write("manifests/app/src/kept.log", "")
        .write(".gitignore", "/dist\n/.kiln\n.env\n");
    let root = sandbox.root();
    git(&root, &["init", "--quiet", "--initial-branch=main"]);
    commit(&root);
    let clone = Sandbox::new();
    fs::remove_dir_all(clone.root()).unwrap();
    git(&root, &["clone", "--quiet", "--no-local", root.to_str().unwrap(), clone.root().to_str().unwrap()]);

    add_debris(&sandbox);
    sandbox
        .write("manifests/app/src/local/settings.py", "SECRET = 1\n")
        .write("manifests/app/src/lib/run.log", "")
        .write("manifests/app/src/lib/__pycache__/x.cpython-313.pyc", "")
        .write("manifests/app/src/build/lib/app.py", "")
        .write("manifests/app/src/app.egg-info/PKG-INFO", "");
    for sandbox in [&sandbox, &clone] {
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("untracked-file");
    }
    assert_eq!(sandbox.dist(), clone.dist(), "archive, record and documents");
    let record = record(&sandbox);
    assert_eq!(files(&record), ["app.py", "kept.log", "lib/words.txt"]);
    let told: Vec<(&str, Vec<&str>)> = record
        .transformations
        .iter()
        .map(|rule| (rule.rule.as_str(), rule.not_taken.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        told,
        [
            ("source-project-file", vec!["manifests/app/src/pyproject.toml"]),
            ("source-version-control", vec!["manifests/app/src/.gitignore"]),
        ],
        "what a commit has and the artifact has not"
    );

    // The same files as an archive, without a repository.
    fs::remove_dir_all(clone.path(".git")).unwrap();
    clone.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(clone.read("dist/app/app.zip"), sandbox.read("dist/app/app.zip"));
}

#[test]
fn what_git_does_not_know_is_told() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", CODE, "")
        .write("manifests/app/src/.vscode/settings.json", "{}\n")
        .write(".gitignore", "/dist\n/.kiln\n");
    let root = sandbox.root();
    git(&root, &["init", "--quiet", "--initial-branch=main"]);
    commit(&root);
    sandbox.write("manifests/app/src/fresh.py", "X = 1\n");
    let built = sandbox.kiln().run(["build", "app", "--color", "never"]).ends_with(exit::SUCCESS);
    built
        .says(&[
            "warn[untracked-file]",
            "fresh.py",
            "commit what belongs to the code",
            "warn[tracked-file-left-out]",
            ".vscode/, by the rule source-editor-debris",
        ])
        .documents("warn[untracked-file] app")
        .documents("warn[tracked-file-left-out] app");
    assert_eq!(files(&record(&sandbox)), ["app.py", "fresh.py"]);
    sandbox.replace(
        "manifests/app.toml",
        "path = \"app/src\"",
        "path = \"app/src\"\ninclude = [\"**\", \".vscode/**\"]",
    );
    git(&root, &["add", "--all"]);
    let built = sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    built.does_not_say("untracked-file").does_not_say("left-out");
    assert_eq!(files(&record(&sandbox)), [".vscode/settings.json", "app.py", "fresh.py"]);
}

/// Zappa#692, lambda-uploader#24.
#[test]
fn debris_in_a_folder_without_git_is_left_out_by_rules_with_names() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    add_debris(&sandbox);
    std::os::unix::fs::symlink("lib", sandbox.path("manifests/app/src/.venv/lib64")).unwrap();
    let built = sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    built.says(&["source-virtual-environment left out manifests/app/src/.venv/"]);
    let record = record(&sandbox);
    assert_eq!(files(&record), ["app.py"]);
    for (path, expected) in DEBRIS {
        let top = path.split_once('/').map_or(path.to_owned(), |(top, _)| format!("{top}/"));
        let rule = record.transformations.iter().find(|rule| rule.rule == expected).unwrap();
        assert!(rule.not_taken.contains(&format!("manifests/app/src/{top}")), "{path}: {rule:?}");
        assert_eq!(rule.files, rule.not_taken.len() as u64);
    }
}

/// A package and a library beside it, as upstream projects have them.
#[test]
fn a_function_of_several_source_folders() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", "", "")
        .write("source/log_parser/app.py", "from lib.words import WORD\n\ndef handler(event, context):\n    return WORD\n")
        .write("source/lib/__init__.py", "")
        .write("source/lib/words.py", "WORD = 1\n")
        .write("source/lib/test_words.py", "import pytest\n")
        .replace(
            "manifests/app.toml",
            "[source]\npath = \"app/src\"\n",
            "[[source]]\npath = \"../source/log_parser\"\n\n[[source]]\npath = \"../source/lib\"\ninto = \"lib\"\nexclude = [\"test_*.py\"]\n",
        );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let built = record(&sandbox);
    assert_eq!(files(&built), ["app.py", "lib/__init__.py", "lib/words.py"]);
    let inputs: Vec<&str> = built.inputs.iter().map(|input| input.name.as_str()).collect();
    assert!(inputs.contains(&"source/lib") && inputs.contains(&"source/log_parser"), "{inputs:?}");

    sandbox.write("source/log_parser/lib/words.py", "WORD = 2\n");
    let denied = sandbox.kiln().run(["build", "app"]).ends_with(exit::FINDINGS_DENIED);
    denied.says(&["path-collision", "source/log_parser", "source/lib", "lib/words.py"]);
    sandbox.replace("manifests/app.toml", "../source/lib\"\ninto = \"lib\"", "../source/log_parser\"");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&["two [[source]] tables"]);
}

#[test]
fn code_beside_kiln_toml_is_a_source_folder() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "").write("app.py", CODE).write("lib/words.py", "").replace(
        "manifests/app.toml",
        "path = \"app/src\"",
        "path = \"..\"",
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(files(&record(&sandbox)), ["app.py", "lib/words.py"]);
    // What was built is no part of what is built.
    let before = sandbox.read("dist/app/app.zip");
    sandbox.kiln().run(["build", "app", "--force"]).ends_with(exit::SUCCESS);
    assert_eq!(sandbox.read("dist/app/app.zip"), before);

    sandbox.replace("manifests/app.toml", "path = \"..\"", "path = \"../../code\"");
    let outcome = sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID);
    outcome.says(&["leads out of the workspace", "move kiln.toml"]);
}

/// The code beside a source folder is named, and tests are no reason to add their tools.
#[test]
fn what_is_missing_is_told_where_it_is() {
    let sandbox = Sandbox::new();
    sandbox
        .function(
            "app",
            "3.13",
            "from lib import words\n\ndef handler(event, context):\n    return words\n",
            "",
        )
        .write("manifests/app/lib/__init__.py", "")
        .write("manifests/app/lib/words.py", "");
    let denied = sandbox.denied();
    denied.says(&[
        "deny[import-failed]",
        "take the folder manifests/app/lib",
        "`[[source]]`",
        "into = \"lib\"",
    ]);

    sandbox
        .write("manifests/app/src/app.py", CODE)
        .write("manifests/app/src/tests/test_app.py", "import pytest\n")
        .write("manifests/app/src/conftest.py", "import pytest\n");
    let denied = sandbox.denied();
    denied
        .says(&[
            "deny[import-unresolved]",
            "leave the tests out: add \"conftest.py\", \"tests/**\" to `exclude`",
        ])
        .does_not_say("add the distribution");
    let exclude = "path = \"app/src\"\nexclude = [\"conftest.py\", \"tests/**\"]";
    sandbox.replace("manifests/app.toml", "path = \"app/src\"", exclude);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
}

/// A layer whose module lies where Python does not look: both artifacts say so.
#[test]
fn a_layer_whose_files_are_out_of_reach() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", "import acme\n\ndef handler(event, context):\n    return acme.ONE\n", "")
        .replace("manifests/app.toml", "handler =", "layers = [\"shared\"]\nhandler =")
        .write(
            "manifests/shared.toml",
            "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
             \"x86_64\"\n\n[source]\npath = \"shared\"\ninto = \"src\"\n",
        )
        .write("manifests/shared/acme.py", "ONE = 1\n");
    let built = sandbox.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::FINDINGS_DENIED);
    built
        .says(&[
            "warn[layer-out-of-reach] shared",
            "lies in src/",
            "deny[import-failed] app",
            "its layer shared has it at `src/acme.py`",
        ])
        .documents("warn[layer-out-of-reach] shared");
    sandbox.replace("manifests/shared.toml", "into = \"src\"\n", "");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).does_not_say("out-of-reach");
}

/// cargo-lambda#660, #467.
#[test]
fn a_custom_runtime_has_a_program_to_start() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", "", "")
        .replace("manifests/app.toml", "\"python3.13\"", "\"provided.al2023\"")
        .replace("manifests/app.toml", "app.handler", "bootstrap")
        .write("manifests/app/src/my-function", "#!/bin/sh\n");
    let bootstrap = sandbox.path("manifests/app/src/bootstrap");
    sandbox.denied().says(&["deny[bootstrap-missing]", "no file `bootstrap`", "runtime provided.al2023"]);
    fs::write(&bootstrap, "#!/bin/sh\n").unwrap();
    let denied = sandbox.denied().says(&["not executable", "chmod +x"]);
    denied.documents("deny[bootstrap-missing] app");
    fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (content, says) in [
        ("#!/bin/sh\r\necho\r\n", "ends with a carriage return"),
        ("\u{feff}#!/bin/sh\n", "a byte order mark stands before its `#!`"),
        ("echo\n", "neither a program nor a script"),
    ] {
        fs::write(&bootstrap, content).unwrap();
        sandbox.denied().says(&[
            "deny[bootstrap-missing]",
            "runtime provided.al2023 starts `bootstrap`, and",
            says,
        ]);
    }
    fs::remove_file(&bootstrap).unwrap();
    std::os::unix::fs::symlink("gone", &bootstrap).unwrap();
    sandbox
        .denied()
        .says(&["`bootstrap` is a link to `gone`", "ship what it leads to"])
        .does_not_say("bring it to the root");
    fs::remove_file(&bootstrap).unwrap();
    fs::write(&bootstrap, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&bootstrap, std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
}

#[test]
fn secrets_of_a_machine_are_left_out_and_a_private_key_is_denied() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", CODE, "")
        .write("manifests/app/src/.env.example", "DB_PASSWORD=\n")
        .write("manifests/app/src/.env.prod", "DB_PASSWORD=correct-horse\n")
        .write("manifests/app/src/id_ed25519", "x\n")
        .write("manifests/app/src/id_ed25519.pub", "ssh-ed25519 AAAA\n");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("credential-leak");
    let built = record(&sandbox);
    assert_eq!(files(&built), [".env.example", "app.py", "id_ed25519.pub"]);
    let told: Vec<&str> = built.transformations[0].not_taken.iter().map(String::as_str).collect();
    assert_eq!(built.transformations[0].rule, "source-local-settings");
    assert_eq!(told, ["manifests/app/src/.env.prod", "manifests/app/src/id_ed25519"]);

    let key = "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEAx3Jk5Vt0Zq8Wm2Ls7Yd4\n";
    sandbox.write("manifests/app/src/server.pem", key);
    let denied = sandbox.kiln().run(["build", "app", "--format", "json"]).ends_with(exit::FINDINGS_DENIED);
    let document = denied.says(&["deny[credential-leak] app: server.pem line 1 holds a private key"]).json();
    let place = &document["artifacts"][0]["findings"][0]["place"];
    assert_eq!(*place, serde_json::json!({"file": "manifests/app/src/server.pem", "line": 1}));
    sandbox.append(
        "manifests/app.toml",
        "\n[[policy.exception]]\ncode = \"credential-leak\"\nsubject = \"server.pem\"\nreason = \"a key of its tests\"\nuntil = \"2099-12-31\"\n",
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
}

/// Zappa#1366: one notion of the function's code.
#[test]
fn what_is_skipped_is_neither_imported_nor_read() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", CODE, "")
        .write("manifests/app/src/migrations/versions/0001_init.py", "from alembic import op\n")
        .write("manifests/app/src/scripts/old-tool.py", "print \"py2\"\n")
        .write("manifests/app/src/templates/proj/main.py", "{% if x %}\nimport {{ name }}\n{% endif %}\n")
        .write("manifests/app/src/tests/test_app.py", "import pytest\n")
        .write("manifests/app/src/conftest.py", "import pytest\n");
    sandbox.denied().says(&["deny[import-unresolved]", "alembic", "pytest"]);
    sandbox.append(
        "manifests/app.toml",
        "\n[check]\nskip = [\"migrations.*\", \"templates.*\", \"tests.*\", \"conftest\"]\n",
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("import-unresolved");
    let record = record(&sandbox);
    let told = serde_json::to_string(&record.checks).unwrap();
    assert!(told.contains("migrations.versions.0001_init (`skip` in the manifest)"), "{told}");
    // Where somebody works is no matter of code that does not run; a credential is out all the same.
    let text = "HOME = \"/home/alice/work\"\nKEY = \"AKIAQWERTYUIOPASDFGH\"\n";
    for (name, codes) in
        [("conftest", &["credential-leak"][..]), ("own", &["build-path-leak", "credential-leak"])]
    {
        sandbox.write(&format!("manifests/app/src/{name}.py"), text);
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
        let found = self::record(&sandbox).findings;
        let found = found.iter().filter(|finding| finding.subject == format!("{name}.py"));
        assert_eq!(found.map(|finding| finding.code.as_str()).collect::<Vec<_>>(), codes, "{name}");
    }
}

/// serverless#3139: a folder that the code itself puts on `sys.path`.
#[test]
fn a_vendored_module_that_was_imported_is_not_nowhere() {
    let sandbox = Sandbox::new();
    let code = "import os\nimport sys\n\nhere = os.path.dirname(os.path.realpath(__file__))\n\
                sys.path.insert(0, os.path.join(here, \"vendored\"))\n\nimport acmelib\n\n\ndef handler(event, context):\n    \
                import acmelate\n    return acmelib.V\n";
    sandbox
        .function("app", "3.13", code, "")
        .write("manifests/app/src/vendored/acmelib/__init__.py", "V = 1\n")
        .write("manifests/app/src/vendored/acmelate.py", "")
        .write(
            "manifests/app/src/vendored/acmelib-1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: acmelib\nVersion: 1.2\n",
        )
        .write("manifests/app/src/vendored/acmelib-1.2.dist-info/RECORD", "acmelib/__init__.py,,\n");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("import-unresolved");
    let record = record(&sandbox);
    let found = record.components.iter().find(|component| component.name == "acmelib").unwrap();
    assert_eq!((found.version.as_deref(), found.files), (Some("1.2"), 3), "{found:?}");
    assert_eq!(found.within.as_ref().map(ToString::to_string).as_deref(), Some("application/app"));
    let sbom = String::from_utf8(sandbox.read("dist/app/app.cdx.json")).unwrap();
    assert!(sbom.contains("pkg:pypi/acmelib@1.2"), "{sbom}");
}

/// A pair of names that differ only in case is denied, and may be accepted for one path with a reason and an end.
#[test]
fn names_that_differ_only_in_case_are_a_matter_of_a_reviewed_exception() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", CODE, "")
        .write("manifests/app/src/data/Words.txt", "one")
        .write("manifests/app/src/data/words.txt", "two");
    let denied = sandbox.denied().says(&["subject = \"data/words.txt\""]);
    denied.documents("deny[case-collision] app");
    let exception = "\n[[policy.exception]]\ncode = \"case-collision\"\nsubject = \"data/words.txt\"\nreason = \"read on Lambda \
                     alone\"\nuntil = \"2999-12-31\"\n";
    sandbox.append("manifests/app.toml", exception);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    assert_eq!(files(&record), ["app.py", "data/Words.txt", "data/words.txt"]);
    let told = record.findings.iter().find(|finding| finding.subject == "data/words.txt").unwrap();
    assert!(told.cause.contains("read on Lambda alone"), "{told:?}");
    sandbox.kiln().run(["verify", "dist/app/app.zip"]).ends_with(exit::SUCCESS);
}

/// Lambda takes no archive without a file.
#[test]
fn an_empty_layer_is_not_published() {
    let pad = wheel("pad", "1.0", "py3-none-any", &[], &[("pad.py", b"")]);
    let index = LocalIndex::serve(std::slice::from_ref(&pad));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox
        .write("manifests/app/requirements.txt", pad.requirement(""))
        .write(
            "manifests/app.toml",
            "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
             \"x86_64\"\n\n[python]\nlock = \"app/requirements.txt\"\nexclude = [\"pad\"]\n",
        );
    sandbox.denied().says(&["has no file in it"]).documents("deny[nothing-shipped] app");
}

/// pip has a list of what it carries along, other distributions have not even that: what they carry is in the record.
#[test]
fn vendored_code_without_metadata_is_named_with_what_is_known_of_it() {
    let carrier = wheel(
        "carrier",
        "1.0",
        "py3-none-any",
        &[],
        &[
            ("carrier/__init__.py", b"from ._vendor import listed, plain"),
            ("carrier/_vendor/__init__.py", b""),
            ("carrier/_vendor/listed/__init__.py", b""),
            ("carrier/_vendor/plain.py", b""),
            ("carrier/_vendor/README.rst", b""),
            ("carrier/_vendor/vendor.txt", b"Listed==3.2  # for us\nabsent==1\n"),
        ],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&carrier));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "import carrier\n\ndef handler(event, context):\n    return 1\n",
        &carrier.requirement(""),
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let vendored: Vec<(&str, Option<&str>, u64)> = record
        .components
        .iter()
        .filter(|component| component.within.is_some())
        .map(|component| (component.name.as_str(), component.version.as_deref(), component.files))
        .collect();
    assert_eq!(vendored, [("listed", Some("3.2"), 1), ("plain", None, 1)]);
    let sbom = String::from_utf8(sandbox.read("dist/app/app.cdx.json")).unwrap();
    assert!(sbom.contains("pkg:pypi/listed@3.2") && sbom.contains("pkg:pypi/plain"), "{sbom}");
}
