//! Code under judgement that answers for the check: none of it is believed, whoever it speaks for.
//!
//! Each forgery is a function of its own with something wrong that the check must find, or an end of the check that is told
//! as such. What code says of itself in its own process is another matter (docs/security.md).

use crate::harness::{LocalIndex, Sandbox, self_building, wheel};
use kiln_record::exit;
use serde_json::Value;

/// What forgeries have in common: reports and answers that say what the check wants to hear.
const FORGE: &str = r#"
import json, os, signal, sys, time
def framed(data):
    return len(data).to_bytes(4, "big") + data
HANDLER = {"outcome": "found", "module": "app", "attribute": "handler", "file": "/var/task/app.py", "near": [], "problem": None}
ANSWER = framed(json.dumps({"result": HANDLER, "loaded": ["/var/task/app.py"], "base": [], "asked": {}}).encode())
FINE = framed(json.dumps({"result": None, "loaded": [], "base": [], "asked": {}}).encode())
SCAN = {"files": 1, "imports": 0, "unresolved": [], "dynamic": [], "unreadable": [], "first": [], "lazy": []}
REPORT = {"version": "3.13.5", "handler": HANDLER, "tampered": None, "modules": [], "stand_ins": [], "layer_modules": [], "loaded": [], "scan": SCAN}
LINE = b"\nKILN-IMPORT-REPORT " + json.dumps(REPORT).encode() + b"\n"
def everywhere(data, fds=range(3, 257)):
    for fd in fds:
        try:
            os.write(fd, data)
        except OSError:
            pass
def others():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
def into(path, data):
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError as error:
        print(path, error)
        return
    os.write(file, data)
    os._exit(0)
def daemon(work):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            work()
        os._exit(0)
    os.wait()
def libc():
    import ctypes
    return ctypes.CDLL(None, use_errno=True)
"#;

/// Forgeries by the module of a handler that does not exist; what the build says of it.
const HANDLERS: &[(&str, &str, &str)] = &[
    ("report-then-exit", "everywhere(LINE)\nos._exit(0)", "check-tampered"),
    ("report-then-return", "everywhere(LINE)", "check-tampered"),
    ("report-on-stdout", "everywhere(LINE, [1, 2])\nos._exit(0)", "import-failed"),
    ("exit-0", "os._exit(0)", "import-failed"),
    ("exit-failed", "os._exit(9)", "import-failed"),
    ("answer-then-return", "everywhere(ANSWER)", "check-tampered"),
    ("answer-twice", "everywhere(ANSWER)\neverywhere(ANSWER)\nos._exit(0)", "check-tampered"),
    ("answer-then-crash", "everywhere(ANSWER)\nos.kill(os.getpid(), signal.SIGSEGV)", "check-tampered"),
    ("answer-then-code", "everywhere(ANSWER)\nos._exit(3)", "check-tampered"),
    ("answer-then-hang", "everywhere(ANSWER)\ntime.sleep(600)", "check-tampered"),
    ("answer-then-other-code", "everywhere(ANSWER)\nos._exit(9)", "check-tampered"),
    (
        "huge-answer",
        "os.write(3, (1 << 24).to_bytes(4, 'big'))\nwhile True: os.write(3, b'A' * 65536)",
        "check-tampered",
    ),
    ("huge-length", "os.write(3, b'\\xff\\xff\\xff\\xff{}')\nos._exit(0)", "check-tampered"),
    ("half-an-answer", "os.write(3, ANSWER[:20])\nos._exit(0)", "check-tampered"),
    ("deep-answer", "os.write(3, framed(b'[' * 500000))\nos._exit(0)", "check-tampered"),
    ("long-number", "os.write(3, framed(b'9' * 500000))\nos._exit(0)", "check-tampered"),
    (
        "other-handler",
        "os.write(3, ANSWER.replace(b'handler\"', b'hondler\"'))\nos._exit(0)",
        "check-tampered",
    ),
    (
        "file-from-elsewhere",
        "os.write(3, ANSWER.replace(b'[\"/var', b'[\"/usr'))\nos._exit(0)",
        "check-tampered",
    ),
    (
        "stand-in-of-nobody",
        "os.write(3, framed(ANSWER[4:].replace(b'{}}', b'{\"zz\": null}}')))\nos._exit(0)",
        "check-tampered",
    ),
    (
        "fork-answers",
        "if os.fork() == 0:\n    everywhere(ANSWER)\n    os._exit(0)\nos.wait()",
        "check-tampered",
    ),
    ("daemon-answers", "daemon(lambda: everywhere(ANSWER))\ntime.sleep(0.3)", "check-tampered"),
    (
        "thread-answers",
        "import threading\nt = threading.Thread(target=everywhere, args=(ANSWER,))\nt.start()\nt.join()",
        "check-tampered",
    ),
    ("settrace", "sys.settrace(lambda *a: everywhere(ANSWER))\n(lambda: 0)()", "check-tampered"),
    ("setprofile", "sys.setprofile(lambda *a: everywhere(ANSWER))\n(lambda: 0)()", "check-tampered"),
    (
        "stdout-replaced",
        "class Out:\n    def write(self, t): pass\n    def flush(self): everywhere(ANSWER)\nsys.stdout = Out()",
        "check-tampered",
    ),
    ("ctypes-write", "libc().write(3, ANSWER, len(ANSWER))", "check-tampered"),
    (
        "child-program",
        "import subprocess\nsubprocess.run([sys.executable, '-c', 'import os,sys; os.write(3, sys.stdin.buffer.read())'], input=ANSWER, pass_fds=[3])",
        "check-tampered",
    ),
    ("atexit", "import atexit\natexit.register(everywhere, ANSWER)", "handler-missing"),
    (
        "json-patched",
        "json.dumps = lambda *a, **k: json.encoder.JSONEncoder().encode({'result': HANDLER, 'loaded': [], 'base': [], 'asked': {}})",
        "handler-missing",
    ),
    (
        "os-write-patched",
        "write = os.write\nos.write = lambda fd, data: write(fd, ANSWER)",
        "handler-missing",
    ),
    ("os-exit-patched", "leave = os._exit\nos._exit = lambda code: leave(0)", "handler-missing"),
    (
        "modules-replaced",
        "import types\nfor name in ('json', 'os', 'struct', 'marshal'):\n    sys.modules[name] = types.ModuleType(name)",
        "handler-missing",
    ),
    (
        "marshal-patched",
        "import marshal, struct\nmarshal.loads = marshal.dumps = struct.pack = lambda *a: ANSWER",
        "handler-missing",
    ),
    ("parent-fd", "into('/proc/%d/fd/1' % os.getppid(), LINE)", "handler-missing"),
    ("first-fd", "into('/proc/1/fd/1', LINE)", "handler-missing"),
    (
        "all-fds",
        "for p in others():\n    for fd in range(10):\n        into('/proc/%d/fd/%d' % (p, fd), LINE)",
        "handler-missing",
    ),
    ("parent-memory", "into('/proc/%d/mem' % os.getppid(), LINE)", "handler-missing"),
    ("ptrace", "for p in others():\n    assert libc().ptrace(16, p, 0, 0) == -1", "handler-missing"),
    (
        "vm-writev",
        "c = libc()\nfor p in others():\n    assert c.process_vm_writev(p, 0, 0, 0, 0, 0) <= 0",
        "handler-missing",
    ),
    (
        "signals",
        "for p in others() + [1, os.getppid()]:\n    for s in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT):\n        try: os.kill(p, s)\n        except OSError: pass",
        "handler-missing",
    ),
    ("process-group", "os.killpg(0, signal.SIGKILL)", "import-failed"),
    ("everybody", "os.kill(-1, signal.SIGKILL)", "handler-missing"),
    ("set-user", "try: os.setuid(0)\nexcept OSError: pass\ninto('/proc/1/fd/1', LINE)", "handler-missing"),
    ("kernel-score", "for p in others(): into('/proc/%d/oom_score_adj' % p, b'1000')", "handler-missing"),
];

/// Files beside a handler that is there, and the module that is wrong all the same.
const MODULES: &[(&str, &str, &str)] = &[
    ("says-fine", "everywhere(FINE)\nraise RuntimeError('broken')", "check-tampered"),
    (
        "named-answer",
        "os.write(3, framed(b'{\"name\": \"zzz\", \"problem\": null}'))\nos._exit(0)",
        "check-tampered",
    ),
    (
        "old-answer",
        "everywhere(b'{\"name\": \"aaa\", \"problem\": null, \"loaded\": [], \"asked\": {}}\\n')\nraise RuntimeError('broken')",
        "check-tampered",
    ),
    ("unlike-its-code", "everywhere(FINE)\nos._exit(9)", "check-tampered"),
];

/// What a module does about a later one, which is broken: that is found, and what this does is in vain.
const LATER: &[(&str, &str, &str)] = &[
    (
        "import-patched",
        "import importlib\nimportlib.import_module = lambda name: None",
        "raise RuntimeError('broken')",
    ),
    (
        "builtins-patched",
        "import builtins\nbuiltins.__import__ = lambda *a: sys",
        "raise RuntimeError('broken')",
    ),
    (
        "modules-added",
        "import types\nsys.modules['zzz'] = types.ModuleType('zzz')",
        "raise RuntimeError('broken')",
    ),
    (
        "daemon-waits",
        "def work():\n    while True:\n        for p in others():\n            for fd in (3, 4, 5):\n                try: os.write(os.open('/proc/%d/fd/%d' % (p, fd), os.O_WRONLY), FINE)\n                except OSError: pass\ndaemon(work)",
        "raise RuntimeError('broken')",
    ),
    (
        "daemon-kills",
        "here = os.getpid()\ndef work():\n    while True:\n        for p in others():\n            try: p == here or os.kill(p, 9)\n            except OSError: pass\ndaemon(work)",
        "raise RuntimeError('broken')",
    ),
    (
        "file-in-tmp",
        "open('/tmp/planted.py', 'w').close()",
        "import sys\nsys.path.append('/tmp')\nimport planted",
    ),
    (
        "file-in-shm",
        "try:\n    open('/dev/shm/planted.py', 'w').close()\nexcept OSError:\n    pass",
        "import sys\nsys.path.append('/dev/shm')\nimport planted",
    ),
    (
        "locked-folder",
        "os.makedirs('/tmp/a/b')\nopen('/tmp/a/planted.py', 'w').close()\nos.chmod('/tmp/a', 0)",
        "import sys\nsys.path.append('/tmp/a')\nimport planted",
    ),
    (
        "tree-replaced",
        "try: open('/var/task/zzz.py', 'w').close()\nexcept OSError: pass",
        "raise RuntimeError('broken')",
    ),
];

/// Handlers with an event whose answer must be `{"ok": true}`, which they do not give.
const EVENTS: &[(&str, &str)] = &[
    ("report", "everywhere(SMOKE)\nreturn {'ok': False}"),
    ("report-on-stdout", "everywhere(SMOKE, [1, 2])\nos._exit(0)"),
    (
        "server-fd",
        "for p in others():\n    for fd in range(8):\n        into('/proc/%d/fd/%d' % (p, fd), SMOKE)\nreturn {'ok': False}",
    ),
    (
        "server-killed",
        "for p in others():\n    try: os.kill(p, 9)\n    except OSError: pass\nreturn {'ok': False}",
    ),
    ("everybody-killed", "try: os.kill(-1, 9)\nexcept OSError: pass\nreturn {'ok': False}"),
    (
        "server-traced",
        "for p in others():\n    assert libc().ptrace(16, p, 0, 0) == -1\nreturn {'ok': False}",
    ),
    ("server-memory", "into('/proc/%d/mem' % os.getppid(), SMOKE)\nreturn {'ok': False}"),
    (
        "second-answer",
        "post(context.aws_request_id, {'ok': False})\npost(context.aws_request_id, {'ok': True})\nreturn {'ok': True}",
    ),
    ("other-event", "post('00000000-0000-4000-8000-000000000002', {'ok': True})\nreturn {'ok': False}"),
    (
        "port-taken",
        "import socket\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\ntry: s.bind(('127.0.0.1', int(os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')[1]))); s.listen()\nexcept OSError: return {'ok': False}\nreturn {'ok': False}",
    ),
    (
        "expectation-read",
        "found = False\nfor inside, _, files in os.walk('/kiln'):\n    for name in files:\n        found = found or 'expected' in name or b'\"ok\"' in open(os.path.join(inside, name), 'rb').read().replace(b'own', b'')\nreturn {'ok': found and 'function.py' not in os.listdir('/kiln')}",
    ),
    (
        "notes-flooded",
        "import threading\nthreading.Thread(target=lambda: [everywhere(b'x\\ty\\n' * 9999) for _ in range(9999)], daemon=True).start()\nreturn {'ok': False}",
    ),
];

/// What a build backend does before it makes no wheel, and what the build says.
const BACKENDS: &[(&str, &str)] = &[
    ("1.1", "everywhere(SDIST, [1, 2])\nos._exit(0)"),
    ("1.2", "everywhere(SDIST)\nos._exit(0)"),
    ("1.3", "into('/proc/%d/fd/1' % os.getppid(), SDIST)\ninto('/proc/1/fd/1', SDIST)\nos._exit(0)"),
    ("1.4", "everywhere(WHEEL)\nraise SystemExit(3)"),
    ("1.5", "everywhere(WHEEL)\neverywhere(WHEEL)\nos._exit(0)"),
    ("1.6", "daemon(lambda: everywhere(WHEEL))\nos._exit(1)"),
    ("1.7", "os.kill(os.getppid(), 9)"),
];

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}

/// The codes of the findings of each artifact that deny it, and how it ended.
fn verdicts(json: &Value) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let verdict = |row: &Value| {
        let findings = row["findings"].as_array().unwrap().iter();
        let denied = findings.filter(|finding| finding["level"] == "deny");
        let of = |finding: &Value| format!("{} {}", text(&finding["code"]), text(&finding["subject"]));
        (text(&row["artifact"]), text(&row["ending"]), denied.map(of).collect())
    };
    json["artifacts"].as_array().unwrap().iter().map(verdict).collect()
}

/// Builds everything; every artifact must be denied by exactly the finding that it is named with.
fn all_denied(sandbox: &Sandbox, expected: &[(String, String)]) {
    let built = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::FINDINGS_DENIED);
    let verdicts = verdicts(&built.json());
    assert_eq!(verdicts.len(), expected.len());
    let mut wrong = Vec::new();
    for (name, finding) in expected {
        let (_, ending, denied) = verdicts.iter().find(|(artifact, ..)| artifact == name).unwrap();
        if ending == "published" || denied != std::slice::from_ref(finding) {
            wrong.push(format!("{name}: {ending} with {denied:?}, where {finding} was expected"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), built.stderr);
    assert!(sandbox.dist().is_empty(), "nothing is published");
}

#[test]
fn no_handler_answers_for_the_check() {
    let sandbox = Sandbox::new();
    let mut expected = Vec::new();
    for (name, code, finding) in HANDLERS {
        sandbox.function(name, "3.13", &format!("{FORGE}\n{code}\n"), "");
        // The module itself is the subject where it is known to be there.
        expected.push(((*name).to_owned(), format!("{finding} app.handler")));
    }
    all_denied(&sandbox, &expected);
    // Who reads it is told what was done, and where to look.
    for (name, why) in [
        ("half-an-answer", "begins an answer that is none"),
        ("answer-twice", "goes on after its answer"),
        ("huge-length", "answers with more than 2097152 bytes"),
    ] {
        sandbox.kiln().run(["build", name, "--color", "never"]).ends_with(exit::FINDINGS_DENIED).says(&[
            &format!("deny[check-tampered] {name}: app.handler"),
            &format!("importing it interferes with the check: its process {why}"),
            "see what runs when it is imported: it writes to descriptors, ends processes",
        ]);
    }
}

#[test]
fn no_module_answers_for_itself_twice_or_for_another() {
    let sandbox = Sandbox::new();
    let mut expected = Vec::new();
    let handler = "def handler(event, context):\n    return None\n";
    for (name, code, finding) in MODULES {
        sandbox.function(name, "3.13", handler, "");
        sandbox.write(&format!("manifests/{name}/src/aaa.py"), format!("{FORGE}\n{code}\n"));
        expected.push(((*name).to_owned(), format!("{finding} aaa")));
    }
    for (name, code, later) in LATER {
        sandbox.function(name, "3.13", handler, "");
        sandbox.write(&format!("manifests/{name}/src/aaa.py"), format!("{FORGE}\n{code}\n"));
        sandbox.write(&format!("manifests/{name}/src/zzz.py"), later);
        let found = if later.contains("planted") { "import-failed planted" } else { "import-failed zzz" };
        expected.push(((*name).to_owned(), found.to_owned()));
    }
    all_denied(&sandbox, &expected);
}

#[test]
fn no_distribution_answers_for_another() {
    let mut wheels =
        vec![wheel("zbroken", "1.0", "py3-none-any", &[], &[("zbroken.py", b"raise OSError('no')\n")])];
    for (name, code, later) in LATER.iter().filter(|(.., later)| !later.contains("planted")) {
        let code = format!("{FORGE}\n{}\n", code.replace("zzz", "zbroken"));
        assert!(later.contains("broken"));
        let module = format!("{}.py", name.replace('-', "_"));
        wheels.push(wheel(name, "1.0", "py3-none-any", &[], &[(module.as_str(), code.as_bytes())]));
    }
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let mut expected = Vec::new();
    for evil in &wheels[1..] {
        let lock = evil.requirement("") + &wheels[0].requirement("");
        sandbox.function(evil.name(), "3.13", "def handler(event, context):\n    return None\n", &lock);
        expected.push((evil.name().to_owned(), "import-failed zbroken".to_owned()));
    }
    all_denied(&sandbox, &expected);
}

/// What the handler prepares for its modules is theirs in Lambda, too. Its word is not more than that.
#[test]
fn what_only_the_handlers_process_says_is_not_said_to_have_been_tried() {
    let sandbox = Sandbox::new();
    let code =
        "import sys\nsys.path.append('/var/task/vendor')\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("app", "3.13", code, "");
    sandbox.write("manifests/app/src/vendor/part.py", "").write("manifests/app/src/uses.py", "import part\n");
    sandbox.append("manifests/app.toml", "\n[policy.levels]\nimport-unresolved = \"note\"\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox
        .kiln()
        .run(["show", "app"])
        .ends_with(exit::SUCCESS)
        .prints(&["uses: not to be imported alone, but in the handler's process, by its own word"]);
}

#[test]
fn no_function_answers_for_the_server_of_its_events() {
    let sandbox = Sandbox::new();
    let mut expected = Vec::new();
    let smoke = r#"
EVENT = {"name": "one", "outcome": "answered", "answer": "{\"ok\": true}", "error": None, "exit": None, "cold": True, "init_ms": 1.0, "invoke_ms": 1.0, "peak_kib": 1000, "log": [], "stand_ins": []}
SMOKE = b"\nKILN-SMOKE-REPORT " + json.dumps({"events": [EVENT]}).encode() + b"\n"
def post(identity, answer):
    import urllib.error, urllib.request
    url = "http://%s/2018-06-01/runtime/invocation/%s/response" % (os.environ["AWS_LAMBDA_RUNTIME_API"], identity)
    try:
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(answer).encode(), method="POST")).read()
    except urllib.error.HTTPError as error:
        print(error)
"#;
    for (name, code) in EVENTS {
        let code = indented(code, "    ");
        sandbox.function(name, "3.13", &format!("{FORGE}{smoke}\ndef handler(event, context):\n{code}"), "");
        expect_ok(&sandbox, name, &["one"]);
        expected.push(((*name).to_owned(), "smoke-failed one".to_owned()));
    }
    // What a process leaves behind does not answer for the next one.
    let daemon = "    if event == 'one':\n        def work():\n            while True:\n                post('00000000-0000-4000-8000-000000000002', {'ok': True})\n        \
                  daemon(work)\n        return {'ok': True}\n    time.sleep(1)\n    return {'ok': False}\n";
    sandbox.function(
        "left-behind",
        "3.13",
        &format!("{FORGE}{smoke}\ndef handler(event, context):\n{daemon}"),
        "",
    );
    expect_ok(&sandbox, "left-behind", &["one", "two"]);
    expected.push(("left-behind".to_owned(), "smoke-failed two".to_owned()));
    all_denied(&sandbox, &expected);
}

/// Adds events, each for a process of its own, that must be answered with `{"ok": true}`.
fn expect_ok(sandbox: &Sandbox, function: &str, events: &[&str]) {
    sandbox.write(&format!("manifests/{function}/expected.json"), "{\"ok\": true}");
    for event in events {
        sandbox.write(&format!("manifests/{function}/{event}.json"), format!("\"{event}\""));
        let section = format!(
            "\n[[smoke]]\nname = \"{event}\"\nevent = \"{function}/{event}.json\"\nexpect = \"{function}/expected.json\"\ncold = true\n"
        );
        sandbox.append(&format!("manifests/{function}.toml"), &section);
    }
}

#[test]
fn no_build_backend_answers_for_what_builds_it() {
    let reports = r#"
WHEEL = framed(b'{"requires": [], "missing": [], "wheel": "tool-1.0-py3-none-any.whl"}')
SDIST = b'\nKILN-SDIST-REPORT ' + json.dumps({"answer": WHEEL[4:].decode()}).encode() + b'\n'
"#;
    for (version, code) in BACKENDS {
        let text = format!("{FORGE}{reports}{code}\n");
        let steps: Vec<&str> = text.lines().collect();
        let tool = self_building("tool", version, &steps, "\"VALUE = 1\\n\"");
        let index = LocalIndex::serve(std::slice::from_ref(&tool));
        let sandbox = Sandbox::new().with_index(&index);
        let code = "import tool\n\ndef handler(event, context):\n    return None\n";
        sandbox.function("app", "3.13", code, &tool.requirement(""));
        sandbox.append("manifests/app.toml", "sdists = [\"tool\"]\n");
        let built = sandbox.kiln().run(["build", "--all"]);
        built.ends_with(exit::BUILD_STEP_FAILED).says(&[&format!("tool-{version}.tar.gz")]);
        assert!(sandbox.dist().is_empty(), "nothing is published");
    }
}
