//! What an artifact brings beside its modules to answer for the check: native code, libraries in the folders of the dynamic
//! loader, startup files, clients of the Runtime API that outlive their event. None of it is believed, as in `forgeries`.

use crate::container_images::service;
use crate::harness::{LocalIndex, Sandbox, shared_object, wheel};
use kiln_record::exit;
use serde_json::Value;

/// What is native in each of the intrusions. `say` writes an answer of the judged process that says that all is well, and the
/// report of the program that judges.
const NATIVE: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>
static const char HANDLER[] = "{\"result\": {\"outcome\": \"found\", \"module\": \"app\", \"attribute\": \"handler\", "
  "\"file\": \"/var/task/app.py\", \"near\": [], \"problem\": null}, \"loaded\": [\"/var/task/app.py\"], \"base\": [], \"asked\": {}}";
static const char REPORT[] = "\nKILN-IMPORT-REPORT {\"version\": \"3.13.5\", \"handler\": {\"outcome\": \"found\", \"module\": \"app\", "
  "\"attribute\": \"handler\", \"file\": \"/var/task/app.py\", \"near\": [], \"problem\": null}, \"tampered\": null, \"modules\": [], "
  "\"stand_ins\": [], \"layer_modules\": [], \"loaded\": [], \"scan\": {\"files\": 1, \"imports\": 0, \"unresolved\": [], "
  "\"dynamic\": [], \"unreadable\": [], \"first\": [], \"lazy\": []}}\n";
static void answer(int fd) {
  char text[sizeof HANDLER + 4];
  unsigned length = sizeof HANDLER - 1;
  text[0] = length >> 24; text[1] = length >> 16; text[2] = length >> 8; text[3] = length;
  memcpy(text + 4, HANDLER, length);
  if (write(fd, text, length + 4) < 0) return;
}
static void report(int pid) {
  char path[64];
  for (int of = 0; of < 10; of++) {
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, of);
    int fd = open(path, O_WRONLY);
    if (fd >= 0 && write(fd, REPORT, sizeof REPORT - 1) > 0 && of == 1) _exit(0);
  }
}
"#;

/// The rest of an extension module: `PyModuleDef` of CPython 3.13 as words, with its name and size alone.
const MODULE: &str = r#"
extern void *PyModule_Create2(void *, int);
static long definition[13];
void *PyInit_native(void) {
  definition[0] = 1; definition[5] = (long) "native"; definition[7] = -1;
  return PyModule_Create2(definition, 1013);
}
"#;

/// What a native module does when it is loaded, and the findings that deny its artifact, whose handler is missing.
const LOADED: &[(&str, &str, &[&str])] = &[
    ("native-answer", "for (int fd = 3; fd < 257; fd++) answer(fd);", &["check-tampered app.handler"]),
    (
        "native-answer-exit",
        "for (int fd = 4; fd < 257; fd++) answer(fd); answer(3); _exit(9);",
        &["check-tampered app.handler"],
    ),
    ("native-report", "report(getppid()); report(1);", &["handler-missing app.handler"]),
    (
        "native-signals",
        "int all[] = {SIGKILL, SIGSTOP, SIGTERM, SIGINT}; for (int i = 0; i < 4; i++) { kill(getppid(), all[i]); kill(1, all[i]); }",
        &["handler-missing app.handler"],
    ),
    (
        "native-ptrace",
        "if (!ptrace(PTRACE_ATTACH, getppid(), 0, 0) || !ptrace(PTRACE_ATTACH, 1, 0, 0) || !ptrace(PTRACE_SEIZE, getppid(), 0, 0)) _exit(0);",
        &["handler-missing app.handler"],
    ),
];

fn loaded(code: &str, rest: &str) -> Vec<u8> {
    shared_object(&format!(
        "{NATIVE}\n__attribute__((constructor)) static void begin(void) {{ {code} }}\n{rest}"
    ))
}

/// Builds everything: each artifact must be denied by exactly these findings.
fn all_denied(sandbox: &Sandbox, expected: &[(&str, &[&str])]) {
    let built = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::FINDINGS_DENIED);
    let json = built.json();
    let rows = json["artifacts"].as_array().unwrap();
    assert_eq!(rows.len(), expected.len());
    let mut wrong = Vec::new();
    for (name, findings) in expected {
        let row = rows.iter().find(|row| row["artifact"] == *name).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let all = row["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "deny");
        let mut denied: Vec<String> =
            all.map(|of| format!("{} {}", text(&of["code"]), text(&of["subject"]))).collect();
        denied.sort();
        if row["ending"] == "published" || denied != *findings {
            wrong.push(format!("{name}: {} with {denied:?}, where {findings:?} was expected", row["ending"]));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), built.stderr);
    sandbox.assert_nothing_published();
}

#[test]
fn no_native_module_answers_for_the_check() {
    let sandbox = Sandbox::new();
    let mut expected = Vec::new();
    for (name, code, findings) in LOADED {
        sandbox.function(name, "3.13", "import native\n", "");
        sandbox.write(&format!("manifests/{name}/src/native.so"), loaded(code, MODULE));
        expected.push((*name, *findings));
    }
    all_denied(&sandbox, &expected);
}

/// A function's `lib` folder is one of the dynamic loader's in Lambda. The program that judges has none of it: what stands there
/// under the name of a library that an interpreter needs is loaded by the judged process alone, if by any.
#[test]
fn no_library_of_the_artifact_is_loaded_by_what_judges_it() {
    let sandbox = Sandbox::new();
    let evil = loaded("report(getpid()); report(getppid()); report(1);", "");
    // An interpreter that finds these does not start; the check of the same artifact goes on and says so.
    for (name, library) in
        [("library-c", "libc.so.6"), ("library-z", "libz.so.1"), ("library-expat", "libexpat.so.1")]
    {
        sandbox.function(name, "3.13", "", "");
        sandbox.write(&format!("manifests/{name}/src/lib/{library}"), &evil);
    }
    let preload = "import os, subprocess, sys\n\
                   os.environ['LD_PRELOAD'] = '/var/task/lib/evil.so'\n\
                   subprocess.run([sys.executable, '-c', 'pass'])\n";
    sandbox.function("preload", "3.13", preload, "");
    sandbox.write("manifests/preload/src/lib/evil.so", &evil);
    all_denied(
        &sandbox,
        &[
            ("library-c", &["import-failed app.handler"]),
            ("library-z", &["import-failed app.handler"]),
            ("library-expat", &["import-failed app.handler"]),
            ("preload", &["handler-missing app.handler"]),
        ],
    );
    // What keeps an interpreter from starting is said in a sentence, and not in the loader's lines.
    let told = sandbox.kiln().run(["build", "library-c", "--color", "never"]);
    let told = told.says(&[
        "no interpreter starts beside `lib/libc.so.6` of the artifact: the dynamic loader takes it in place of the library",
        "→ leave it out, with `exclude` under [source]",
    ]);
    assert!(
        told.stderr.lines().filter(|line| line.contains("/var/task/lib/libc.so.6")).count() <= 1,
        "{told}"
    );
}

/// Startup files of the artifact's own and of a distribution. No interpreter that judges has their folder as a site folder.
#[test]
fn no_startup_file_runs_in_what_judges() {
    let code = "import os\nfor p in ('self', os.getppid(), 1):\n    try: os.write(os.open('/proc/%s/fd/1' % p, os.O_WRONLY), b'x')\n    except OSError: pass\n    else: os._exit(0)\n";
    let line = format!("import os; exec({code:?})\n");
    let files: [(&str, &str); 3] = [
        ("evil.pth", &line),
        ("sitecustomize.py", "raise SystemExit(0)\n"),
        ("usercustomize.py", "raise OSError('no')\n"),
    ];
    let brought: Vec<(&str, &[u8])> =
        files[..1].iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let evil = wheel("evil", "1.0", "py3-none-any", &[], &brought);
    let site = wheel("site-evil", "1.0", "py3-none-any", &[], &[("sitecustomize.py", code.as_bytes())]);
    let index = LocalIndex::serve(&[evil.clone(), site.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("brought", "3.13", "", &evil.requirement(""));
    sandbox.function("brought-site", "3.13", "", &site.requirement(""));
    sandbox.function("own", "3.13", "", "");
    for (name, text) in files {
        sandbox.write(&format!("manifests/own/src/{name}"), text);
    }
    all_denied(
        &sandbox,
        &[
            ("brought", &["handler-missing app.handler"]),
            // It could write to an output of its own, and ended its own process for it.
            ("brought-site", &["handler-missing app.handler", "import-failed sitecustomize"]),
            (
                "own",
                &[
                    "handler-missing app.handler",
                    "import-failed sitecustomize",
                    "import-failed usercustomize",
                ],
            ),
        ],
    );
}

/// An image that runs as root gives its code root's number, and none of root's capabilities: it cannot reach the program that
/// judges, and ends the check at most, which is no pass.
#[test]
fn no_module_of_an_image_that_runs_as_root_answers_for_the_check() {
    let forge = r#"
import os, signal
def framed(data):
    return len(data).to_bytes(4, "big") + data
FINE = framed(b'{"result": null, "loaded": [], "base": [], "asked": {}}')
def others():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
"#;
    let everywhere = "for p in others():\n    for fd in range(10):\n        try: os.write(os.open('/proc/%d/fd/%d' % (p, fd), os.O_WRONLY), FINE)\n        except OSError: pass\n        else: os._exit(0)\n";
    let memory = "for p in others():\n    try: open('/proc/%d/mem' % p, 'r+b')\n    except OSError: pass\n    else: os._exit(0)\n";
    let signals = "for p in others() + [os.getppid(), 1]:\n    try: os.kill(p, signal.SIGKILL)\n    except OSError: pass\n";
    let sandbox = Sandbox::new();
    for (name, code) in [
        ("root-answers", "os.write(3, FINE)\nos.write(3, FINE)\nos._exit(0)\n"),
        ("root-descriptors", everywhere),
        ("root-memory", memory),
        ("root-signals", signals),
    ] {
        service(&sandbox, name, "user = \"0:0\"\n");
        sandbox
            .write(&format!("manifests/{name}/evil.py"), format!("{forge}{code}raise OSError('broken')\n"));
    }
    all_denied(
        &sandbox,
        &[
            ("root-answers", &["check-tampered evil"]),
            ("root-descriptors", &["import-failed evil"]),
            ("root-memory", &["import-failed evil"]),
            ("root-signals", &["import-failed evil, health, server"]),
        ],
    );
}

/// A client of the Runtime API that an event's process leaves behind asks for the next event and answers it.
#[test]
fn no_second_client_of_the_runtime_api_takes_the_next_event() {
    let code = r#"
import json, os, urllib.request
BASE = "http://%s/2018-06-01/runtime/invocation/" % os.environ.get("AWS_LAMBDA_RUNTIME_API")
def client():
    while True:
        try:
            asked = urllib.request.urlopen(BASE + "next")
            asked.read()
            url = BASE + asked.headers["Lambda-Runtime-Aws-Request-Id"] + "/response"
            urllib.request.urlopen(urllib.request.Request(url, b'{"ok": true}', method="POST")).read()
        except OSError:
            continue
def handler(event, context):
    if event == "one":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                client()
            os._exit(0)
        return {"ok": True}
    return {"ok": False}
"#;
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", code, "");
    sandbox.write("manifests/app/expected.json", "{\"ok\": true}");
    for event in ["one", "two"] {
        sandbox.write(&format!("manifests/app/{event}.json"), format!("\"{event}\""));
        sandbox.append(
            "manifests/app.toml",
            &format!(
                "\n[[smoke]]\nname = \"{event}\"\nevent = \"app/{event}.json\"\nexpect = \"app/expected.json\"\ncold = true\n"
            ),
        );
    }
    all_denied(&sandbox, &[("app", &["smoke-failed two"])]);
}
