//! What a function finds where it is checked is what it would find in Lambda, row by row of `kiln_record::environment`.

use crate::harness::{Outcome, Sandbox};
use kiln_record::exit;

/// What one function sees, by the name of the row.
const OBSERVES: &str = r#"
import logging, os, resource, sys, threading

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


def handler(event, context):
    disk = os.statvfs("/tmp")
    return {
        "logging": AT_IMPORT["logging"],
        "home": [AT_IMPORT["home"], os.environ.get("HOME"), os.path.exists(os.path.expanduser("~"))],
        "home-made": error_of(lambda: os.makedirs(os.path.expanduser("~/.cache"))),
        "read-only": error_of(lambda: open("/var/task/x", "w")),
        "tmp": disk.f_frsize * disk.f_blocks,
        "shm": os.path.exists("/dev/shm"),
        "semaphore": error_of(semaphore),
        "shared-memory": error_of(memory) is not None,
        "path": os.environ["PATH"],
        "libraries": os.environ["LD_LIBRARY_PATH"],
        "search": [place for place in sys.path if place.startswith(("/var/task", "/opt"))],
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "zone": os.environ["TZ"],
        "root": os.getuid() == 0,
        "folder": os.getcwd(),
        "snapshot": error_of(lambda: __import__("snapshot_restore_py")),
    }
"#;

const FINDS: &str = r#"{"logging": 1, "home": [null, null, false], "read-only": ["PermissionError", 13], "tmp": 536870912, "shm": false,
"semaphore": ["OSError", 38], "shared-memory": true, "path": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
"libraries": "/var/lang/lib:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
"search": ["/var/task", "/opt/python/lib/python3.13/site-packages", "/opt/python"], "descriptors": 1024, "zone": ":UTC",
"root": false, "folder": "/var/task", "snapshot": null}"#;

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
        "\n[check]\nmemory = \"1024 MB\"\n\n[[smoke]]\nname = \"call\"\nevent = \"app/event.json\"\nexpect = \"app/expected.json\"\n",
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
    fs_err::set_permissions(greet, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
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
