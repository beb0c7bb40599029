//! What a function finds where it is checked is what it would find in Lambda, fact by fact of `kiln_record::facts`.

use crate::harness::{Outcome, Sandbox, shared_object};
use kiln_record::{Imitated, exit, facts};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;

/// What one function sees, by the name of the fact.
const OBSERVES: &str = r#"
import sys

LOADED = [name for name in ("decimal", "json", "random", "signal", "socket", "typing") if name in sys.modules]

import logging, os, resource, sys, threading

WHILE = threading.Event()
AT_IMPORT = {"logging": len(logging.getLogger().handlers), "home": os.environ.get("HOME")}


def error_of(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, getattr(error, "errno", None)]
    return None


def semaphore():
    import multiprocessing

    multiprocessing.Lock()


def memory():
    from multiprocessing import shared_memory

    shared_memory.SharedMemory(create=True, size=16)


def threads():
    # Lambda's limit is one for all of a function's processes; a few are the check's own.
    started = 0
    try:
        while started < 1100:
            threading.Thread(target=WHILE.wait).start()
            started += 1
    except RuntimeError:
        pass
    WHILE.set()
    return 1000 <= started <= 1024


def written():
    # Memory of the function is not what it writes there.
    with open("/tmp/large", "wb") as file:
        for _ in range(300):
            file.write(b"x" * (1 << 20))
    size = os.path.getsize("/tmp/large")
    os.unlink("/tmp/large")
    return size >> 20


def handler(event, context):
    disk = os.statvfs("/tmp")
    return {
        "logging": AT_IMPORT["logging"],
        "home": [AT_IMPORT["home"], os.environ.get("HOME"), os.path.exists(os.path.expanduser("~"))],
        "read-only": error_of(lambda: open("/var/task/x", "w")),
        "tmp-size": [disk.f_frsize * disk.f_blocks, written()],
        "shared-memory": [os.path.exists("/dev/shm"), error_of(semaphore), error_of(memory) is not None],
        "path": os.environ["PATH"],
        "library-path": os.environ["LD_LIBRARY_PATH"],
        "search-path": [place for place in sys.path if place.startswith(("/var/task", "/opt"))],
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "processes": threads(),
        "time-zone": os.environ["TZ"],
        "user": os.getuid() == 0,
        "folder": os.getcwd(),
        "loaded-modules": LOADED,
        "provided-modules": error_of(lambda: __import__("snapshot_restore_py")),
        "region": [os.environ["AWS_REGION"], os.environ["AWS_DEFAULT_REGION"]],
        "function": [os.environ["AWS_LAMBDA_FUNCTION_NAME"], os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]],
        "handler": os.environ["_HANDLER"],
        "memory": context.memory_limit_in_mb,
    }
"#;

const FINDS: &str = r#"{"logging": 1, "home": [null, null, false], "read-only": ["OSError", 30], "tmp-size": [536870912, 300],
"shared-memory": [false, ["OSError", 38], true], "path": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
"library-path": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
"search-path": ["/var/task", "/opt/python/lib/python3.13/site-packages", "/opt/python"], "descriptors": 1024,
"processes": true, "time-zone": ":UTC", "user": false, "folder": "/var/task", "loaded-modules": ["decimal", "json"], "provided-modules": null,
"region": ["us-east-1", "us-east-1"], "function": ["app", "128"], "handler": "app.handler", "memory": "128"}"#;

/// What a function does not observe from inside, with the test that shows it.
const SHOWN_ELSEWHERE: [(&str, &str); 4] = [
    ("timeout", "invoke: functions that cannot be handled"),
    ("variables-size", "below"),
    ("answer-size", "runtime_client: the event `too large`"),
    ("shutdown", "below: it is ended without a word"),
];

fn layer(sandbox: &Sandbox, name: &str, into: &str, files: &[(&str, &str)]) {
    sandbox.write(
        &format!("manifests/{name}.toml"),
        format!(
            "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
             \"x86_64\"\n\n[source]\npath = \"{name}\"\ninto = \"{into}\"\n"
        ),
    );
    for (path, text) in files {
        sandbox.write(&format!("manifests/{name}/{path}"), text);
    }
}

/// A function that uses layers and answers one event.
fn function(sandbox: &Sandbox, code: &str, layers: &str, expected: &str) {
    sandbox.function("app", "3.13", code, "");
    sandbox.replace("manifests/app.toml", "handler =", &format!("layers = [{layers}]\nhandler ="));
    sandbox.append(
        "manifests/app.toml",
        "\n[check]\nmemory = \"128 MB\"\n\n[[smoke]]\nname = \"call\"\nevent = \"app/event.json\"\nexpect = \"app/expected.json\"\n",
    );
    sandbox.write("manifests/app/event.json", "{}");
    sandbox.write("manifests/app/expected.json", expected);
}

fn build(sandbox: &Sandbox) -> Outcome {
    sandbox.kiln().run(["build", "--all", "--color", "never"])
}

#[test]
fn a_function_finds_what_it_would_in_lambda() {
    let sandbox = Sandbox::new();
    layer(&sandbox, "tools", "python", &[("tool.py", "")]);
    function(&sandbox, OBSERVES, "\"tools\"", FINDS);
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn every_fact_that_is_imitated_is_observed() {
    let observed: Value = serde_json::from_str(FINDS).unwrap();
    for fact in facts().iter().filter(|fact| fact.imitated == Imitated::Yes) {
        let elsewhere = SHOWN_ELSEWHERE.iter().any(|(name, _)| *name == fact.name);
        assert!(elsewhere || observed.get(&fact.name).is_some(), "{} is observed", fact.name);
    }
    for (name, _) in SHOWN_ELSEWHERE {
        assert!(facts().iter().any(|fact| fact.name == name), "{name} is a fact");
    }
}

/// A file takes the place of a module of Python's that nothing has loaded yet: as the handler's module, and where Python needs it.
#[test]
fn a_file_with_the_name_of_a_module_of_pythons_takes_its_place() {
    let sandbox = Sandbox::new();
    let code = "import random\n\n\ndef handler(event, context):\n    return [__file__, random.OWN]\n";
    function(&sandbox, "", "", "[\"/var/task/signal.py\", true]");
    sandbox.replace("manifests/app.toml", "app.handler", "signal.handler");
    sandbox.write("manifests/app/src/signal.py", code).write("manifests/app/src/random.py", "OWN = True\n");
    sandbox.function(
        "needs",
        "3.13",
        "import tempfile\n\n\ndef handler(event, context):\n    return None\n",
        "",
    );
    sandbox.write("manifests/needs/src/random.py", "OWN = True\n");
    sandbox.function("main", "3.13", "", "");
    sandbox.replace("manifests/main.toml", "app.handler", "__main__.handler");
    sandbox.write("manifests/main/src/__main__.py", "def handler(event, context):\n    return None\n");
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[import-failed] needs: app",
        "cannot import name 'Random' from 'random'",
        "→ Python's own code asks for a module of its own and gets `/var/task/random.py`: give that file another name",
        "deny[handler-missing] main: __main__.handler",
        "→ rename the file: `__main__` is the program that Lambda starts",
    ]);
    assert!(sandbox.path("dist/app/app.zip").exists());
}

/// What it would say at `SIGTERM` or at its end stays in `/tmp`, where the next process of the function finds it.
#[test]
fn a_function_that_is_not_used_any_more_is_ended_without_a_word() {
    let sandbox = Sandbox::new();
    let code = "import atexit, os, signal\n\n\ndef say(word, frame=None):\n    with open('/tmp/said', 'a') as file:\n        \
                file.write(f'{word} ')\n\n\nsignal.signal(signal.SIGTERM, say)\natexit.register(say, 'end')\n\n\n\
                def handler(event, context):\n    if event == 'ask':\n        os.kill(os.getpid(), signal.SIGTERM)\n    \
                say('called')\n    return open('/tmp/said').read()\n";
    sandbox.function("app", "3.13", code, "");
    let events = [
        ("first", "", "{}", "called "),
        ("anew", "cold = true\n", "{}", "called called "),
        ("asked", "", "\"ask\"", "called called 15 called "),
    ];
    for (name, more, event, said) in events {
        sandbox.append(
            "manifests/app.toml",
            &format!(
                "\n[[smoke]]\nname = \"{name}\"\nevent = \"app/{name}.json\"\nexpect = \"app/{name}.said.json\"\n{more}"
            ),
        );
        sandbox.write(&format!("manifests/app/{name}.json"), event);
        sandbox.write(&format!("manifests/app/{name}.said.json"), serde_json::json!(said).to_string());
    }
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn a_manifest_states_another_value_with_its_reason() {
    let sandbox = Sandbox::new();
    let code = "import os, time\n\ntime.sleep(1.2)\n\n\ndef handler(event, context):\n    disk = os.statvfs('/tmp')\n    \
                return [disk.f_frsize * disk.f_blocks, os.environ['TZ']]\n";
    function(&sandbox, code, "", "[1073741824, \":Europe/Zurich\"]");
    sandbox.append(
        "manifests/app.toml",
        "\n[[environment]]\nfact = \"tmp-size\"\nvalue = \"1024 MB\"\nreason = \"it unpacks a model there\"\n\n\
         [[environment]]\nfact = \"time-zone\"\nvalue = \":Europe/Zurich\"\nreason = \"seen in our account\"\n\n\
         [[environment]]\nfact = \"init-time\"\nvalue = \"1 s\"\nreason = \"so that a slow start is told\"\n",
    );
    let told = "s until it asked for an event; Lambda stops an init after 1 s";
    build(&sandbox).ends_with(exit::SUCCESS).says(&["measured app call: ", told]);
    // What was measured differs from run to run: it is in no record.
    for (name, content) in sandbox.dist() {
        assert!(!String::from_utf8_lossy(&content).contains(told), "{name}");
    }
    let record: Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    assert_eq!(record["environment"][0]["reason"], "it unpacks a model there");
    let show = |arguments: &[&str]| sandbox.kiln().run(arguments.iter().copied()).ends_with(exit::SUCCESS);
    show(&["show", "app"]).prints(&["tmp-size = 1024 MB: it unpacks a model there", told]);
    show(&["show", "app", "--environment"])
        .prints(&["1024 MB, whatever the memory", "by the manifest: seen in our"]);
    let rows = show(&["show", "--environment", "python3.11", "--format", "json"]).json();
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["fact"] == name).cloned();
    assert_eq!(row("tmp-size").unwrap()["value"], serde_json::json!(["512 MB"]));
    assert_eq!(row("search-path").unwrap()["value"][1], "/opt/python/lib/python3.11/site-packages");
    assert_eq!(row("provided-modules"), None);
    let unknown = sandbox.kiln().run(["show", "--environment", "nothing"]);
    unknown.ends_with(exit::INPUT_INVALID).says(&["nothing"]);
}

#[test]
fn what_a_function_cannot_be_configured_with_is_refused_where_it_is_stated() {
    let sandbox = Sandbox::new();
    let facts = [
        ("tmp-size", "100 MB", "why", "`100 MB` is no value that `tmp-size` may have"),
        ("tmp-size", "2048 MB", "", "the reason is empty"),
        ("memory", "256 MB", "why", "state it as `memory` under [check]"),
        ("user", "root", "why", "`user` is not to be changed"),
        ("tmp", "512 MB", "why", "`tmp` is no fact of Lambda's environment that kiln knows"),
        ("descriptors", "2048", "why", ""),
        ("descriptors", "4096", "why", "`descriptors` is stated twice"),
    ];
    sandbox.function("app", "3.13", "handler = print\n", "");
    let mut says = vec!["manifests/app.toml:", "use one of: tmp-size, path,"];
    for (fact, value, reason, problem) in facts {
        sandbox.append(
            "manifests/app.toml",
            &format!("\n[[environment]]\nfact = \"{fact}\"\nvalue = \"{value}\"\nreason = \"{reason}\"\n"),
        );
        says.push(problem);
    }
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&says);
}

#[test]
fn more_memory_than_the_function_has_is_told_although_it_answers() {
    let sandbox = Sandbox::new();
    let code = "def handler(event, context):\n    return len(b'x' * (300 << 20))\n";
    function(&sandbox, code, "", "314572800");
    sandbox.denied().says(&["deny[smoke-failed] app: call it needs more than 128 MB of memory"]);
    sandbox.replace("manifests/app.toml", "128 MB", "512 MB");
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn variables_beyond_what_lambda_takes_are_told_with_their_sizes() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "handler = print\n", "");
    let text = "x".repeat(4000);
    sandbox.append(
        "manifests/app.toml",
        &format!("\n[check.env]\nCERTIFICATE = \"{text}\"\nSTAGE = \"test\"\n"),
    );
    build(&sandbox).ends_with(exit::SUCCESS);
    sandbox.append("manifests/app.toml", &format!("SECOND = \"{}\"\n", &text[..100]));
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["that Lambda takes", "CERTIFICATE: 4016 bytes"])
        .documents("deny[variables-too-large] app");
}

#[test]
fn what_lambda_cannot_start_as_an_extension_is_told() {
    let sandbox = Sandbox::new();
    layer(&sandbox, "tools", "extensions", &[("agent", "#!/bin/sh\n"), ("README.md", "# How to use it\n")]);
    // Bytes 18 and 19 of an ELF header are its machine; 183 is aarch64.
    let mut object = shared_object("int f(void) { return 1; }");
    object[18..20].copy_from_slice(&183_u16.to_le_bytes());
    sandbox.write("manifests/tools/foreign", object);
    let started = |name: &str| {
        let path = sandbox.path(&format!("manifests/tools/{name}"));
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    for name in ["README.md", "foreign"] {
        started(name);
    }
    sandbox
        .denied()
        .says(&[
            "`/opt/extensions/agent` before the function, and it is not executable",
            "neither a program nor a script that begins with `#!`",
            "deny[wrong-machine] tools: extensions/foreign",
        ])
        .documents("deny[extension-not-startable] tools: extensions/agent");
    started("agent");
    fs_err::remove_file(sandbox.path("manifests/tools/foreign")).unwrap();
    fs_err::remove_file(sandbox.path("manifests/tools/README.md")).unwrap();
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn of_a_layers_two_folders_the_one_of_its_python_is_searched_first() {
    let sandbox = Sandbox::new();
    let files = [
        ("python/lib/python3.13/site-packages/both.py", "VALUE = 1\n"),
        ("python/both.py", "raise RuntimeError('the other one')\n"),
    ];
    layer(&sandbox, "tools", ".", &files);
    let code = "import both\n\n\ndef handler(event, context):\n    return both.VALUE\n";
    function(&sandbox, code, "\"tools\"", "1");
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn semaphores_fail_when_a_module_is_imported_as_they_do_in_lambda() {
    let sandbox = Sandbox::new();
    let code = "import multiprocessing\n\nLOCK = multiprocessing.Lock()\n\n\ndef handler(event, context):\n    return 1\n";
    sandbox.function("app", "3.13", code, "");
    sandbox.denied().says(&["deny[import-failed] app: app", "OSError: [Errno 38] Function not implemented"]);
    // Processes and pipes work.
    let code = "import multiprocessing\n\nENDS = multiprocessing.Pipe()\n\n\ndef handler(event, context):\n    return 1\n";
    sandbox.write("manifests/app/src/app.py", code);
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn a_folder_in_the_home_of_the_user_cannot_be_made() {
    let sandbox = Sandbox::new();
    let code = "from pathlib import Path\n\nCACHE = Path.home() / '.cache' / 'x'\nCACHE.mkdir(parents=True, \
                exist_ok=True)\n\n\ndef handler(event, context):\n    return 1\n";
    sandbox.function("app", "3.13", code, "");
    sandbox.denied().says(&["deny[import-failed] app: app", "Read-only file system"]);
    // Who states one has it.
    sandbox.append("manifests/app.toml", "\n[check]\nenv = { HOME = \"/tmp\" }\n");
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn modules_of_a_layer_are_found_in_its_site_packages() {
    let sandbox = Sandbox::new();
    layer(&sandbox, "shared", "python/lib/python3.13/site-packages", &[("shared_part.py", "VALUE = 7\n")]);
    let code = "import shared_part\n\n\ndef handler(event, context):\n    return shared_part.VALUE\n";
    function(&sandbox, code, "\"shared\"", "7");
    build(&sandbox).ends_with(exit::SUCCESS);
    // The layer's own check imports them, too.
    sandbox.write("manifests/shared/shared_part.py", "import nowhere_at_all\n");
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&["shared_part", "nowhere_at_all"]);
}

#[test]
fn programs_of_a_layer_are_found_in_opt_bin() {
    let sandbox = Sandbox::new();
    layer(&sandbox, "tools", "bin", &[("greet", "#!/bin/sh\necho hello\n")]);
    let greet = sandbox.path("manifests/tools/greet");
    fs_err::set_permissions(greet, std::fs::Permissions::from_mode(0o755)).unwrap();
    let code = "import shutil\n\n\ndef handler(event, context):\n    return shutil.which('greet')\n";
    function(&sandbox, code, "\"tools\"", "\"/opt/bin/greet\"");
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn the_root_logger_has_a_handler_when_a_module_is_imported() {
    let sandbox = Sandbox::new();
    let code = "import logging\n\nlogging.getLogger().handlers[0].setLevel(logging.INFO)\n\n\ndef handler(event, \
                context):\n    return 1\n";
    sandbox.function("app", "3.13", code, "");
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn what_snapstart_needs_is_there_from_python_3_12_on() {
    let sandbox = Sandbox::new();
    let code = "from snapshot_restore_py import register_after_restore\n\n\n@register_after_restore\ndef again():\n    \
                pass\n\n\ndef handler(event, context):\n    return 1\n";
    sandbox.function("newer", "3.13", code, "");
    sandbox.function("older", "3.11", code, "");
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .prints(&["newer  published", "older  denied"])
        .says(&["deny[import-failed] older: snapshot_restore_py"]);
}
