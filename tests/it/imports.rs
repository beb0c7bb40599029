//! What the import check and the collection of files find, as Lambda would.

use crate::harness::{LocalIndex, Outcome, Sandbox, wheel};
use kiln_record::exit;
use serde_json::Value;

/// The findings of an artifact in the output of `build --format json`, as `level[code] subject`.
fn findings(json: &Value, artifact: &str) -> Vec<String> {
    let found = json["artifacts"].as_array().unwrap().iter().find(|row| row["artifact"] == artifact).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            format!("{}[{}] {}", text(&finding["level"]), text(&finding["code"]), text(&finding["subject"]))
        })
        .collect()
}

/// Adds a function without dependencies whose code is `import_line` and a handler.
fn function(sandbox: &Sandbox, name: &str, import_line: &str) {
    sandbox.function(
        name,
        "3.13",
        &format!("{import_line}\n\ndef handler(event, context):\n    return None\n"),
        "",
    );
}

#[test]
fn handler_imports_undeclared_module() {
    let powertools = wheel(
        "aws-lambda-powertools",
        "3.0.0",
        "py3-none-any",
        &[],
        &[("aws_lambda_powertools/__init__.py", b"class Logger:\n    pass\n")],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&powertools));
    let sandbox = Sandbox::new().with_index(&index);
    function(&sandbox, "undeclared", "import os\nimport requests");
    function(&sandbox, "provided", "import boto3");
    function(&sandbox, "optional", "try:\n    import boto3\nexcept ImportError:\n    boto3 = None");
    function(&sandbox, "layered", "from aws_lambda_powertools import Logger");
    sandbox.replace("manifests/layered.toml", "handler =", "layers = [\"powertools-layer\"]\nhandler =");
    sandbox.function(
        "locked",
        "3.13",
        "import aws_lambda_powertools\nhandler = print\n",
        &powertools.requirement(""),
    );
    sandbox.replace("manifests/locked.toml", "handler =", "layers = [\"powertools-layer\"]\nhandler =");
    sandbox.write("manifests/powertools-layer/requirements.txt", powertools.requirement(""));
    sandbox.write(
        "manifests/powertools-layer.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
         \"x86_64\"\n\n[python]\nlock = \"powertools-layer/requirements.txt\"\n",
    );
    let outcome =
        sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::FINDINGS_DENIED).says(&[
            "deny[import-failed] undeclared: requests importing `app` needs it, and it is not in the artifact",
            "File \"/var/task/app.py\", line 2",
            "ModuleNotFoundError: No module named 'requests'",
            "→ if it is a distribution's, add the one that holds `requests` to the project's dependencies and lock again",
            "→ if it is your own, check that `include` and `exclude`",
            "→ if a layer has it, name the layer in `layers`",
            "warn[provided-by-runtime] provided: boto3",
            "`boto3` is imported but not packaged: runtime python3.13 has it, in a version that AWS chooses",
            "imported at app.py:1",
            "→ to decide the version yourself, add `boto3` to the project's dependencies",
        ]).documents("deny[import-failed] undeclared: requests").documents("warn[provided-by-runtime] provided: boto3");
    let json = outcome.json();
    assert_eq!(findings(&json, "undeclared"), ["deny[import-failed] requests"]);
    assert_eq!(findings(&json, "provided"), ["warn[provided-by-runtime] boto3"]);
    // What may be missing warns nobody.
    assert_eq!(findings(&json, "optional"), ["note[provided-by-runtime] boto3"]);
    outcome.does_not_say("provided-by-runtime] optional");
    assert_eq!(findings(&json, "layered"), ["note[provided-by-layer] aws_lambda_powertools"]);
    assert_eq!(findings(&json, "locked"), ["note[provided-by-layer] aws-lambda-powertools"]);
    let shown = sandbox.kiln().run(["show", "locked"]).ends_with(exit::SUCCESS);
    shown.documents("note[provided-by-layer] aws-lambda-powertools");
    let published: Vec<String> =
        sandbox.dist().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".zip")).collect();
    assert_eq!(
        published,
        [
            "layered/layered.zip",
            "locked/locked.zip",
            "optional/optional.zip",
            "powertools-layer/powertools-layer.zip",
            "provided/provided.zip"
        ]
    );
    let record = String::from_utf8(sandbox.read("dist/locked/record.json")).unwrap();
    assert!(!record.contains("aws_lambda_powertools/__init__.py"), "the layer alone has it: {record}");
}

#[test]
fn an_import_of_the_own_code_is_told_rather_than_that_of_a_distribution() {
    let files = wheel("files", "1.0", "py3-none-any", &[], &[("files.py", b"import boto3\nimport six\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&files));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import files\nimport boto3\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("app", "3.13", code, &files.requirement(""));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).says(&[
        "warn[provided-by-runtime] app: boto3",
        "imported at app.py:2",
        "warn[provided-by-runtime] app: six",
        "imported at /var/task/files.py:2",
    ]);
}

#[test]
fn syntax_ok_but_import_fails() {
    let shapes = wheel("shapes", "1.0", "py3-none-any", &[], &[("shapes.py", b"def circle():\n    pass\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "import helper\n\ndef handler(event, context):\n    return None\n",
        &shapes.requirement(""),
    );
    sandbox.write("manifests/app/src/helper.py", "from shapes import square\n");
    sandbox.denied().says(&[
        "deny[import-failed] app: app",
        "importing it raises ImportError: cannot import name 'square' from 'shapes' (/var/task/shapes.py)",
        "File \"/var/task/app.py\", line 1, in <module> import helper",
        "File \"/var/task/helper.py\", line 1, in <module> from shapes import square",
        "→ the installed version does not have that name: lock a version that does, or change the import",
    ]);
}

/// The line of the artifact's own code that was passed last is the finding's place, in the file that was shipped: beside it, code scanning
/// shows what is wrong.
#[test]
fn a_finding_is_at_the_line_that_caused_it() {
    let shapes = wheel(
        "shapes",
        "1.0",
        "py3-none-any",
        &[],
        &[("shapes.py", b"def circle(size):\n    return 1 / size\n")],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let sandbox = Sandbox::new().with_index(&index);
    let imports = "import helper\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("imports", "3.13", imports, &shapes.requirement(""));
    sandbox.write("manifests/imports/src/helper.py", "import shapes\n\nshapes.circle(0)\n");
    let code = "import shapes\n\ndef handler(event, context):\n    return shapes.circle(0)\n";
    sandbox.function("handles", "3.13", code, &shapes.requirement(""));
    sandbox.append("manifests/handles.toml", "\n[[smoke]]\nname = \"zero\"\nevent = \"zero.json\"\n");
    sandbox.write("manifests/zero.json", "{}");
    sandbox.write(
        "manifests/shared.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
         \"x86_64\"\n\n[source]\npath = \"shared\"\ninto = \"python\"\n",
    );
    sandbox.write("manifests/shared/shared.py", "def shared(:\n");
    let build = |format: &str| {
        sandbox.kiln().run(["build", "--all", "--format", format]).ends_with(exit::FINDINGS_DENIED)
    };
    let json = build("json").json();
    let annotations = build("github").stdout;
    for (artifact, code, file, line, title) in [
        ("imports", "import-failed", "manifests/imports/src/helper.py", 3, "imports%3A app"),
        ("handles", "smoke-failed", "manifests/handles/src/app.py", 4, "handles%3A zero"),
        // What has the artifact's own name is called once.
        ("shared", "import-failed", "manifests/shared/shared.py", 1, "shared"),
    ] {
        let found =
            json["artifacts"].as_array().unwrap().iter().find(|row| row["artifact"] == artifact).unwrap();
        let finding = found["findings"].as_array().unwrap().iter().find(|one| one["code"] == code).unwrap();
        assert_eq!(finding["place"], serde_json::json!({"file": file, "line": line}), "{finding:#}");
        let shown = format!("::error file={file},line={line},title={code} {title}::");
        assert!(annotations.lines().any(|line| line.starts_with(&shown)), "{shown}: {annotations}");
    }
}

#[test]
fn a_file_under_a_name_of_the_standard_library_is_run_or_said_not_to_be() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "import json\nhandler = lambda event, context: json.dumps(event)");
    sandbox.write("manifests/app/src/json.py", "raise SystemExit(0)\n");
    sandbox.write("manifests/app/src/time.py", "x = 1\n");
    sandbox.denied().says(&[
        "deny[import-failed] app: json",
        "importing it calls `sys.exit(0)`",
        "`time` is part of the interpreter",
        "→ Python gives its own module under that name, and this file is never run: give the file another name",
    ]);
}

#[test]
fn handlers_that_lambda_would_not_find() {
    let sandbox = Sandbox::new();
    for name in ["attribute", "module", "value"] {
        function(&sandbox, name, "handlers = {}");
    }
    let set = |name: &str, handler: &str| {
        sandbox.replace(&format!("manifests/{name}.toml"), "app.handler", handler);
    };
    set("attribute", "app.handle");
    set("module", "src/app.handler");
    set("value", "app.handlers");
    let outcome = sandbox
        .denied()
        .says(&[
            "deny[handler-missing] attribute: app.handle module `app` has no `handle`",
            "→ if `handler` is meant, set `handler = \"app.handler\"`",
            "deny[handler-missing] module: src/app.handler there is no module `src.app` in the artifact",
            "→ if `app` is meant, set `handler = \"app.handler\"`",
            "deny[handler-missing] value: app.handlers `handlers` in module `app` cannot be called",
            "3 denied",
        ])
        .documents("deny[handler-missing] attribute: app.handle");
    outcome.does_not_say("import-failed");
}

#[test]
fn code_that_acts_while_it_is_imported() {
    let sandbox = Sandbox::new();
    function(&sandbox, "exits", "import sys\nsys.exit('not configured')");
    function(
        &sandbox,
        "ends",
        "import os, sys\nprint('giving up', file=sys.stderr, flush=True)\nos._exit(3)",
    );
    function(&sandbox, "forges", "import os\nos.write(1, b'KILN-IMPORT-REPORT {}\\n')\nos._exit(0)");
    function(&sandbox, "configured", "import os\nTABLE = os.environ['TABLE_NAME']");
    function(&sandbox, "connects", "import socket\nsocket.create_connection(('192.0.2.1', 443), timeout=5)");
    function(&sandbox, "writes", "open('/var/task/state', 'w')");
    sandbox.denied().says(&[
        "deny[import-failed] exits: app importing it calls `sys.exit(not configured)`",
        "→ call it only when the file is run as a program: `if __name__ == \"__main__\":`",
        "deny[import-failed] ends: app.handler the process ended itself while importing it, with exit code 3 giving up",
        "deny[import-failed] forges: app.handler the process ended itself while importing it, with exit code 0",
        "deny[import-failed] configured: app importing it raises KeyError: 'TABLE_NAME'",
        "give the check a value for it with `env = { TABLE_NAME = \"…\" }` under `[check]` of the manifest",
        "deny[import-failed] connects: app importing it raises OSError: [Errno 101] Network is unreachable",
        "deny[import-failed] writes: app importing it raises OSError: [Errno 30] Read-only file system: '/var/task/state'",
        "→ in Lambda, code can write to `/tmp` alone: write there",
        "6 denied",
    ]);
}

#[test]
fn code_that_is_too_deep_to_be_handed_on_is_imported_all_the_same() {
    let sandbox = Sandbox::new();
    let deep = format!("f = {}0\n", "lambda:".repeat(1100));
    sandbox.function("app", "3.11", "import deep\n\ndef handler(event, context):\n    return deep.f\n", "");
    sandbox.write("manifests/app/src/deep.py", deep);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("warn[");
}

#[test]
fn code_that_prints_or_needs_a_variable_is_published() {
    let sandbox = Sandbox::new();
    let code = "import os, sys\nprint('KILN-IMPORT-REPORT nonsense')\nprint('loading', os.environ['TABLE_NAME'])\n\
                sys.stdout.write('no end of line')\nopen('/tmp/cache', 'w').close()";
    function(&sandbox, "app", code);
    sandbox.append("manifests/app.toml", "\n[check]\nenv = { TABLE_NAME = \"orders\" }\n");
    let json = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(findings(&json, "app"), [""; 0]);
    assert_eq!(json["artifacts"][0]["ending"], "published");
}

#[test]
fn path_collision() {
    let one = wheel("one", "1.0", "py3-none-any", &[], &[("one.py", b""), ("shared/data.txt", b"one")]);
    let two = wheel("two", "1.0", "py3-none-any", &[], &[("two.py", b""), ("shared/data.txt", b"two")]);
    let same = wheel("same", "1.0", "py3-none-any", &[], &[("same.py", b""), ("shared/data.txt", b"one")]);
    let index = LocalIndex::serve(&[one.clone(), two.clone(), same.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import one\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("wheels", "3.13", code, &(one.requirement("") + &two.requirement("")));
    sandbox.function("source", "3.13", code, &one.requirement(""));
    sandbox.write("manifests/source/src/shared/data.txt", "mine");
    let outcome: Outcome = sandbox.denied();
    outcome.says(&[
        "deny[path-collision] wheels: shared/data.txt",
        "one 1.0 and two 1.0 both bring it, with different content",
        "→ leave one of the two out: add `one` or `two` to `exclude` under `[python]`",
        "deny[path-collision] source: shared/data.txt",
        "your own file and one both claim `shared/data.txt`, with different content",
        "→ rename your file, or leave it out: add `shared/data.txt` to `exclude` under `[source]` → or leave the distribution out: add `one` to `exclude` under `[python]`",
        "2 denied",
    ]);
    // Two distributions may bring one file with the same content.
    sandbox.function("wheels", "3.13", code, &(one.requirement("") + &same.requirement("")));
    sandbox.kiln().run(["build", "wheels"]).ends_with(exit::SUCCESS);
}

#[test]
fn budget_exceeded() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "import data");
    sandbox.write("manifests/app/src/data.py", format!("DATA = '{}'\n", "x".repeat(30_000)));
    sandbox.append("manifests/app.toml", "\n[budget]\nzip = \"50 B\"\nunpacked = \"20 kB\"\n");
    sandbox
        .denied()
        .says(&[
            "deny[budget-exceeded] app: unpacked the unpacked files take 30",
            "20",
            "deny[budget-exceeded] app: zip the zip takes",
            "50 B",
            "app has 29.4 KiB unpacked, 29.3 KiB of it in data.py",
            "→ or raise the budget `zip` in the manifest",
        ])
        .documents("deny[budget-exceeded] app: unpacked");
    sandbox.replace("manifests/app.toml", "50 B", "50 kB").replace("manifests/app.toml", "20 kB", "40 kB");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
}

#[test]
fn unzipped_too_large() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "import os");
    // A file with a hole: 252 MiB of zeros that take no space on the disk and compress to almost nothing.
    let file = fs_err::File::create(sandbox.path("manifests/app/src/zeros.bin")).unwrap();
    file.set_len(252 << 20).unwrap();
    sandbox
        .denied()
        .says(&[
            "deny[unzipped-too-large] app: unpacked the function unpacks to 264",
            "more than the 262",
            "that Lambda allows",
            "app has 252.0 MiB unpacked, 252.0 MiB of it in zeros.bin",
            "→ remove or replace what is largest",
        ])
        .documents("deny[unzipped-too-large] app: unpacked");
}

/// An import test that only compiles would pass all of these.
#[test]
fn every_import_of_own_code_is_looked_up_where_it_stands() {
    let sandbox = Sandbox::new();
    let code = "import sys\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import only_for_types\ntry:\n    import \
                ujson as json\nexcept ImportError:\n    import json\nif sys.platform == 'win32':\n    import winreg\n\
                if sys.version_info < (3, 0):\n    import urllib2\n\n\ndef handler(event, context):\n    import lazily.missing\n    \
                return json\n\n\ndef other(name):\n    import importlib\n    importlib.import_module('by_name')\n    \
                return importlib.import_module(name)\n\n\nif len(sys.argv) > 5:\n    import perhaps\n";
    sandbox.function("app", "3.13", code, "");
    sandbox
        .denied()
        .says(&[
            "deny[import-unresolved] app: by_name and 1 more it is imported when a function is called, and it is neither in \
             the artifact, nor in a layer, the runtime or the standard library",
            "lazily.missing: it is imported when a function is called",
            "imported at app.py:17",
            "warn[import-unresolved] app: perhaps it is imported under a condition that is not known here",
            "→ or, if the code can do without it, catch `ImportError` around the import",
        ]).documents("deny[import-unresolved] app: by_name")
        .does_not_say("only_for_types")
        .does_not_say("ujson")
        .does_not_say("winreg")
        .does_not_say("urllib2");
}

#[test]
fn every_own_module_is_imported_and_none_spoils_another() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "import good");
    sandbox.write("manifests/app/src/good.py", "import sys\nassert 'changed' not in sys.path\n");
    sandbox.write("manifests/app/src/changes.py", "import sys\nsys.path.insert(0, 'changed')\n");
    sandbox.write("manifests/app/src/pkg/__init__.py", "import sys\nassert 'changed' not in sys.path\n");
    sandbox.write("manifests/app/src/pkg/needs.py", "import os\nTABLE = os.environ['TABLE']\n");
    sandbox.write("manifests/app/src/pkg/stops.py", "import os\nos._exit(9)\n");
    sandbox.write("manifests/app/src/tests/test_it.py", "import pytest_is_not_here\n");
    sandbox.denied().says(&[
        "deny[import-failed] app: pkg.needs importing it raises KeyError: 'TABLE'",
        "→ the code needs an environment variable when it is imported: give the check a value for it with",
        "deny[import-failed] app: pkg.stops importing it ends the process with exit code 9",
        "→ or, if it is never imported in Lambda, name it: `skip = [\"pkg.stops\"]` under `[check]`",
    ]);
    sandbox.append(
        "manifests/app.toml",
        "\n[check]\nenv = { TABLE = \"t\" }\nskip = [\"pkg.stops\", \"pkg.gone\", \"pkg.needs.*\"]\n",
    );
    sandbox.replace("manifests/app/src/tests/test_it.py", "import pytest_is_not_here", "import os");
    let built = sandbox.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::SUCCESS);
    built
        .says(&[
            "warn[pattern-without-match] app: pkg.gone and 1 more",
            "`pkg.gone` in `skip` under [check] is the name of no module",
            "`pkg.needs.*` in `skip` under [check] is the name of no module",
        ])
        .does_not_say("pkg.stops");
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(shown.contains("ran on 5 modules"), "{shown}");
    assert!(shown.contains("not imported: pkg.stops (`skip` in the manifest), tests/test_it.py"), "{shown}");
}

/// What is there only because something else needs it goes when that goes.
#[test]
fn transitive_distributions_are_told_from_declared_ones_and_unused_ones_from_used() {
    let inner = wheel("inner", "1.0", "py3-none-any", &[], &[("inner.py", b"VALUE = 1\n")]);
    let outer = wheel("outer", "1.0", "py3-none-any", &["inner"], &[("outer.py", b"import inner\n")]);
    let idle = wheel("idle-part", "1.0", "py3-none-any", &[], &[("idle_part.py", b"raise OSError('no')\n")]);
    let index = LocalIndex::serve(&[inner.clone(), outer.clone(), idle.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let project = "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.13\"\ndependencies = \
                   [\"outer\", \"idle-part\"]\n";
    let package = |file: &crate::harness::WheelFile, requires: &str| {
        format!(
            "[[package]]\nname = \"{}\"\nversion = \"1.0\"\nsource = {{ registry = \"https://index.example/simple\" }}\n\
             {requires}wheels = [{{ url = \"https://index.example/{}\", hash = \"sha256:{}\" }}]\n\n",
            file.name(),
            file.file_name,
            file.digest().hex()
        )
    };
    let lock = format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.13\"\n\n[[package]]\nname = \"app\"\nversion = \"1\"\nsource = \
         {{ virtual = \".\" }}\ndependencies = [{{ name = \"idle-part\" }}, {{ name = \"outer\" }}]\n\n\
         [package.metadata]\nrequires-dist = [{{ name = \"idle-part\" }}, {{ name = \"outer\" }}]\n\n{}{}{}",
        package(&idle, ""),
        package(&inner, ""),
        package(&outer, "dependencies = [{ name = \"inner\" }]\n"),
    );
    sandbox.function("app", "3.13", "import inner\nimport outer\nhandler = print\n", "");
    sandbox.append("manifests/app.toml", "\n[python]\nlock = \"app/uv.lock\"\n");
    sandbox.write("manifests/app/pyproject.toml", project);
    sandbox.write("manifests/app/uv.lock", lock);
    sandbox.denied().says(&[
        "deny[import-failed] app: idle_part importing it raises OSError: no",
        "warn[imported-not-declared] app: inner `inner` is imported at app.py:1, but inner is here only because another \
         distribution requires it",
        "→ add inner to the project's dependencies",
    ]).documents("warn[imported-not-declared] app: inner");
    sandbox.append(
        "manifests/app.toml",
        "\n[[policy.exception]]\ncode = \"import-failed\"\nsubject = \"idle_part\"\nreason = \"only its data is used\"\n\
         until = \"2999-12-31\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let record = kiln_record::Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let imports = record.imports.unwrap();
    assert_eq!(imports.never_imported, ["idle-part"]);
    assert_eq!(imports.distributions["outer"], kiln_record::Importable::Yes);
    let no = kiln_record::Importable::No { reason: "importing idle_part raises OSError: no".to_owned() };
    assert_eq!(imports.distributions["idle-part"], no);
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(shown.contains("1 of 3 distributions") && shown.contains("own modules: idle-part"), "{shown}");
}
