//! Steps: programs that make files of an artifact, each a pure value of what it is given.

use crate::harness::{Outcome, Sandbox, published_repository, with_packages};
use kiln_pack::{Limits, ZipReader};
use kiln_record::{CheckName, Code, ComponentId, Ecosystem, InputRole, Level, Record, exit};
use std::io::Cursor;

const MANIFEST: &str = "manifests/app.toml";
const PYTHON: &str = "/usr/bin/python3.13";
const HANDLER: &str = "def handler(event, context):\n    return None\n";

/// A function with steps.
fn function(steps: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", HANDLER, "").append(MANIFEST, steps);
    sandbox
}

/// A step of a Python program.
fn step(name: &str, program: &str, rest: &str) -> String {
    let program = program.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\n[[step]]\nname = \"{name}\"\nargv = [\"{PYTHON}\", \"-c\", \"{program}\"]\n{rest}\n")
}

fn build(sandbox: &Sandbox) -> Outcome {
    sandbox.kiln().run(["build", "--all", "--color", "never"])
}

fn record(sandbox: &Sandbox) -> Record {
    Record::from_json(&sandbox.read("dist/app/record.json")).unwrap()
}

/// A file of the published zip, with its mode.
fn member(sandbox: &Sandbox, path: &str) -> (u32, String) {
    let mut archive =
        ZipReader::open(Cursor::new(sandbox.read("dist/app/app.zip")), &Limits::default()).unwrap();
    let member = archive.members().iter().find(|member| member.path.as_str() == path);
    let member = member.unwrap_or_else(|| panic!("{path} is in the zip")).clone();
    let content = archive.read(&member).unwrap();
    (member.unix_mode.unwrap_or_default() & 0o7777, String::from_utf8_lossy(&content).into_owned())
}

/// Two steps side by side, and one that takes what both give.
fn chain() -> Sandbox {
    let upper = "import os\nos.makedirs('/out/deep/empty')\ntext = open('/src/words.txt').read().upper()\n\
                 open('/out/upper.txt', 'w').write(text)\nopen('/out/unused', 'w').write('x')\nos.chmod('/out/upper.txt', 0o600)\n";
    let lower = "open('/given/lower.txt', 'w').write(open('/given/words.txt').read().lower())\n";
    let both = "import os\nos.mkdir('/out/site')\nfor name, source in (('u', '/u/upper.txt'), ('l', '/l/words/lower.txt')):\n    \
                open('/out/site/' + name, 'w').write(open(source).read())\n\
                open('/out/run', 'w').write('#!/bin/sh\\n')\nos.chmod('/out/run', 0o711)\n\
                os.symlink('u', '/out/site/link')\nos.link('/out/site/l', '/out/site/other')\n";
    let steps = step(
        "upper",
        upper,
        "inputs = [{ path = \"app/data\", at = \"/src\", exclude = [\"no*\"] }]\noutputs = [{ path = \"/out/upper.txt\" }]",
    ) + &step(
        "lower",
        lower,
        "inputs = [{ path = \"app/data/words.txt\", at = \"/given\" }]\noutputs = [{ path = \"/given/lower.txt\", into = \"words\" }]",
    ) + &step(
        "both",
        both,
        "inputs = [{ step = \"upper\", at = \"/u\" }, { step = \"lower\", at = \"/l\" }]\n\
         outputs = [{ path = \"/out/site\", into = \"web\" }, { path = \"/out/run\", into = \".\" }]",
    );
    let sandbox = function(&steps);
    sandbox
        .write("manifests/app/data/words.txt", "Some Words\n")
        .write("manifests/app/data/notes", "not taken");
    sandbox
}

#[test]
fn a_chain_of_steps_makes_files_that_are_told_apart_and_made_once() {
    let sandbox = chain();
    let store = tempfile::tempdir().unwrap();
    let kiln = || sandbox.kiln().with_store(store.path());
    let run = ["build", "--all", "--color", "never"];
    kiln().run(run).ends_with(exit::SUCCESS).says(&[
        "app upper, again",
        "app lower, again",
        "app both, again",
    ]);
    assert_eq!(member(&sandbox, "words/lower.txt"), (0o644, "some words\n".to_owned()));
    assert_eq!(member(&sandbox, "web/u"), (0o644, "SOME WORDS\n".to_owned()));
    assert_eq!(member(&sandbox, "web/other").1, "some words\n");
    assert_eq!(member(&sandbox, "web/link").1, "u");
    assert_eq!(member(&sandbox, "run"), (0o755, "#!/bin/sh\n".to_owned()));

    let first = record(&sandbox);
    let paths: Vec<&str> = first.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["app.py", "run", "web/l", "web/link", "web/other", "web/u", "words/lower.txt"]);
    let owner =
        |path: &str| first.files.iter().find(|file| file.path.as_str() == path).unwrap().component.clone();
    assert_eq!(owner("web/u"), ComponentId::new(Ecosystem::Application, "both"));
    let both = first.components.iter().find(|component| component.name == "both").unwrap();
    let made = both.made_by.as_ref().unwrap();
    assert_eq!((made.base.as_str(), made.reproducible), ("python-3.13", Some(true)));
    assert_eq!(
        made.inputs.iter().map(|(at, from)| (at.as_str(), from.name.as_str())).collect::<Vec<_>>(),
        [("/l", "lower"), ("/u", "upper")]
    );
    // What is not shipped is no component, and its inputs are inputs of the build all the same.
    assert!(first.components.iter().all(|component| component.name != "upper"));
    let roles =
        |role| first.inputs.iter().filter(move |input| input.role == role).map(|input| input.name.as_str());
    assert_eq!(
        roles(InputRole::StepSource).collect::<Vec<_>>(),
        ["lower: manifests/app/data/words.txt at /given", "upper: manifests/app/data at /src"]
    );
    assert_eq!(roles(InputRole::StepBase).count(), 1);
    let provenance = String::from_utf8(sandbox.read("dist/app/app.intoto.jsonl")).unwrap();
    assert!(provenance.contains("\"role\":\"step-base\"") && provenance.contains("\"role\":\"step-source\""));
    let bill = String::from_utf8(sandbox.read("dist/app/app.cdx.json")).unwrap();
    assert!(bill.contains("kiln:made-by:base") && bill.contains("step-source"), "{bill}");
    let explained = kiln().run(["explain", "app", "web/u"]).ends_with(exit::SUCCESS);
    explained.prints(&["made by the step both in base python-3.13 (sha256:", "given lower at /l (sha256:"]);

    // Nothing has changed, nothing runs: not even where the artifact is made anew.
    let before = sandbox.dist();
    kiln().run(run).ends_with(exit::SUCCESS).does_not_say("app upper");
    kiln().run(["build", "--all", "--force"]).ends_with(exit::SUCCESS).does_not_say("app upper");
    assert_eq!(sandbox.dist(), before);
    // A cold store, another place, zone and umask give the same bytes.
    let (other, cold) = (chain(), tempfile::tempdir().unwrap());
    let elsewhere = other.kiln().with_store(cold.path()).with_variable("TZ", "Asia/Tokyo");
    elsewhere.in_shell("umask 077; exec \"$@\"").run(run).ends_with(exit::SUCCESS).says(&["app upper"]);
    assert_eq!(other.dist(), before);

    // What one step is given runs that one and those behind it.
    sandbox.write("manifests/app/data/notes", "still not taken");
    kiln().run(run).ends_with(exit::SUCCESS).does_not_say("app upper");
    sandbox.write("manifests/app/data/more", "more");
    let changed = kiln().run(run).ends_with(exit::SUCCESS).says(&["app upper"]);
    changed.does_not_say("app lower");
    sandbox.write("manifests/app/data/words.txt", "Other Words\n");
    kiln().run(run).ends_with(exit::SUCCESS).says(&["app upper", "app lower", "app both"]);
    kiln()
        .run(["diff", "app@1", "app@latest"])
        .prints(&["source changed", "lower: manifests/app/data/words.txt"]);
}

#[test]
fn independent_steps_run_side_by_side() {
    // Each waits for the other to begin: through what both can see, which is the clock alone.
    let program = "import time\nbegin = time.time()\ntime.sleep(3)\nopen('/out/%s', 'w').write('%d %d' % (begin, time.time()))\n";
    let one = |name: &str| {
        let rest =
            format!("reproducible = \"assume\"\noutputs = [{{ path = \"/out/{name}\", into = \".\" }}]");
        step(name, &program.replacen("%s", name, 1), &rest)
    };
    let sandbox = function(&(one("left") + &one("right")));
    let store = tempfile::tempdir().unwrap();
    let built = sandbox.kiln().with_store(store.path()).run(["build", "--all", "--color", "never"]);
    built.ends_with(exit::SUCCESS).does_not_say("again");
    let times = |path: &str| -> Vec<u64> {
        member(&sandbox, path).1.split(' ').map(|number| number.parse().unwrap()).collect()
    };
    let (left, right) = (times("left"), times("right"));
    assert!(left[0] <= right[1] && right[0] <= left[1], "{left:?} and {right:?} overlap");
    let record = record(&sandbox);
    let check = record.checks.iter().find(|check| check.name == CheckName::Step).unwrap();
    assert!(format!("{check:?}").contains("the manifest assumes that"), "{check:?}");
    assert!(record.components.iter().any(|c| c.made_by.as_ref().is_some_and(|by| by.reproducible.is_none())));
}

#[test]
fn what_differs_from_run_to_run_is_named_with_its_first_line() {
    let clock = "import time\nopen('/out/a', 'w').write('same')\nopen('/out/b', 'w').write('made\\n%f\\n' % time.time())\n";
    let sandbox = function(&step("clock", clock, "outputs = [{ path = \"/out\", into = \"made\" }]"));
    sandbox.denied().says(&[
        "deny[step-not-reproducible] app: clock",
        "the step `clock` ran twice, and made/b is not the same: line 2 is `",
        "SOURCE_DATE_EPOCH",
    ]);
    sandbox.append(MANIFEST, "[policy.levels]\nstep-not-reproducible = \"warn\"\n");
    build(&sandbox).ends_with(exit::SUCCESS).says(&["warn[step-not-reproducible] app: clock"]);
    let record = record(&sandbox);
    let finding = record.findings.iter().find(|finding| finding.code == Code::StepNotReproducible).unwrap();
    assert_eq!(finding.level, Level::Warn);
    assert!(
        record.components.iter().any(|c| c.made_by.as_ref().is_some_and(|by| by.reproducible == Some(false)))
    );
}

#[test]
fn what_takes_the_times_of_its_inputs_is_found() {
    let program = "import os\nopen('/out/when', 'w').write(str(int(os.stat('/src/in').st_mtime)))\n";
    let sandbox = function(&step(
        "when",
        program,
        "inputs = [{ path = \"app/data\", at = \"/src\" }]\noutputs = [{ path = \"/out/when\", into = \".\" }]",
    ));
    sandbox.write("manifests/app/data/in", "in");
    sandbox.denied().says(&[
        "deny[step-not-reproducible] app: when",
        "line 1 is `",
        "files are a day younger",
    ]);
}

#[test]
fn a_step_sees_what_is_stated_and_nothing_else() {
    let seen = "import os, socket, time\nfound = repr([sorted(os.environ.items()), os.getcwd(), os.getuid(), time.tzname, \
                socket.gethostname(), [name for name in os.listdir('/sys/class/net') if name != 'lo']])\n\
                open('/out/seen', 'w').write(found)\n";
    let rest =
        "env = { OWN = \"1\" }\nworking-dir = \"/usr\"\noutputs = [{ path = \"/out/seen\", into = \".\" }]";
    let sandbox = function(&step("look", seen, rest));
    build(&sandbox).ends_with(exit::SUCCESS);
    let text = member(&sandbox, "seen").1;
    for part in [
        "('HOME', '/tmp')",
        "('OWN', '1')",
        "('SOURCE_DATE_EPOCH', '",
        "('TZ', 'UTC')",
        "('LC_ALL', 'C.UTF-8')",
        "'/usr', 65534",
        "'kiln', []]",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn steps_that_fail_tell_the_end_of_their_log_and_change_nothing() {
    let out = "outputs = [{ path = \"/out/made\", into = \".\" }]";
    let good = step("make", "open('/out/made', 'w').write('1')", out);
    let sandbox = function(&good);
    let manifest = String::from_utf8(sandbox.read(MANIFEST)).unwrap();
    build(&sandbox).ends_with(exit::SUCCESS);
    let before = sandbox.dist();
    for (program, rest, says) in [
        (
            "print('on the way')\nraise SystemExit('not today')",
            out,
            &["exit code 1", "on the way", "not today"][..],
        ),
        (
            "import urllib.request\nurllib.request.urlopen('http://example.org/')",
            out,
            &["a step has no network"],
        ),
        (
            "open('/usr/lib/planted', 'w')",
            out,
            &["Read-only file system: '/usr/lib/planted'", "may write to /tmp"],
        ),
        (
            "open('/src/app.py', 'w')",
            "inputs = [{ path = \"app/src\", at = \"/src\" }]\noutputs = [{ path = \"/out/made\" }]",
            &["/src/app.py"],
        ),
        ("pass", out, &["made no /out/made", "an output names a file or folder"]),
        ("import os\nos.mkdir('/out/made')", out, &["left nothing in /out/made"]),
        (
            "import os\nos.symlink('/etc/passwd', '/out/made')",
            out,
            &["an output is a file or a folder, and it is a link"],
        ),
        (
            "import os\nos.mkdir('/out/made')\nos.symlink('../../x', '/out/made/l')",
            out,
            &["it is a link out of the output"],
        ),
        ("import os\nos.mkfifo('/out/made')", out, &["cannot be taken"]),
        (
            "import time\ntime.sleep(60)",
            "timeout = \"2 s\"\noutputs = [{ path = \"/out/made\" }]",
            &["not done after 2 s", "timeout = \"30 min\""],
        ),
        (
            "x = bytearray(400 * 1000 * 1000)",
            "memory = \"64 MB\"\noutputs = [{ path = \"/out/made\" }]",
            &["memory"],
        ),
    ] {
        let steps = step("make", program, rest);
        sandbox.write(MANIFEST, manifest.replace(&good, &steps));
        let failed = build(&sandbox).ends_with(exit::BUILD_STEP_FAILED);
        failed.says(&["the step `make` of app, in base `python-3.13`", "nothing was published"]).says(says);
        assert_eq!(sandbox.dist(), before, "{program}: what was published is untouched");
    }
    let missing = good.replace(PYTHON, "no-such-program");
    sandbox.write(MANIFEST, manifest.replace(&good, &missing));
    build(&sandbox).says(&["no-such-program"]);
    assert_eq!(sandbox.dist(), before);
}

#[test]
fn what_is_wrong_with_a_step_is_shown_where_it_is() {
    let out = "outputs = [{ path = \"/out/x\", into = \".\" }]";
    let ok = |rest: &str| format!("\n[[step]]\nname = \"make\"\nargv = [\"true\"]\n{rest}\n");
    let input = |input: &str| ok(&format!("inputs = [{input}]\n{out}"));
    let sandbox = function("");
    let manifest = String::from_utf8(sandbox.read(MANIFEST)).unwrap();
    for (steps, says) in [
        (ok(""), "the step `make` has no output"),
        (ok(&format!("base = \"none\"\n{out}")), "there is no base `none`"),
        (ok(out).replace("[\"true\"]", "[]"), "the step `make` names no program"),
        (ok(out).replace("\"make\"", "\"Make\""), "`Make` is not the name of a step"),
        (ok(out).replace("\"make\"", "\"app\""), "has the name of the artifact"),
        (ok(out) + &ok(out), "there are two steps `make`"),
        (ok(&format!("env = {{ TZ = \"CET\" }}\n{out}")), "sets TZ, which kiln sets"),
        (ok(&format!("memory = \"much\"\n{out}")), "`much` is not a size"),
        (ok(&format!("timeout = \"long\"\n{out}")), "`long` is not a time that a step may take"),
        (ok(&format!("network = true\n{out}")), "unknown field `network`"),
        (ok(&format!("working-dir = \"src\"\n{out}")), "`src` is not an absolute path"),
        (ok("outputs = [{ path = \"out\" }]"), "`out` is not an absolute path"),
        (ok("outputs = [{ path = \"/usr/x\" }]"), "lies in /usr"),
        (ok("outputs = [{ path = \"/out/x\", into = \"/opt\" }]"), "`into`"),
        (ok("outputs = [{ path = \"/out/x\" }, { path = \"/out/x/y\" }]"), "lie in each other"),
        (input("{ path = \"app/src\", at = \"src\" }"), "`src` is not an absolute path"),
        (input("{ path = \"/etc\", at = \"/src\" }"), "relative path"),
        (input("{ path = \"../../x\", at = \"/src\" }"), "leads out of the workspace"),
        (
            input("{ path = \"app/none\", at = \"/src\" }"),
            "the step `make` names manifests/app/none, which is not there",
        ),
        (
            input("{ path = \"app/src\", at = \"/out\" }, { path = \"app\", at = \"/out/x\" }"),
            "lie in each other",
        ),
        (input("{ path = \"app/src\", at = \"/out/in\" }"), "makes /out writable and empty"),
        (input("{ step = \"other\", at = \"/in\" }"), "there is no such step"),
        (input("{ at = \"/in\" }"), "one of a `path` of the workspace, a `step` and a `cargo-lock`"),
        (input("{ step = \"make\", at = \"/in\" }"), "steps wait for each other: make needs make"),
    ] {
        sandbox.write(MANIFEST, manifest.clone() + &steps);
        let told = build(&sandbox).ends_with(exit::INPUT_INVALID).says(&[says]);
        told.says(&["app.toml"]);
    }
    let twice = step("first", "open('/out/x', 'w').write('1')", out)
        + &step("second", "open('/out/x', 'w').write('2')", out);
    sandbox.write(MANIFEST, manifest + &twice);
    sandbox.denied().says(&["deny[path-collision] app: x", "the step second and first both claim `x`"]);
}

/// A base with further packages: the repository's own, locked now.
fn write_base(sandbox: &Sandbox, name: &str, packages: &[&str]) {
    sandbox.write(&format!("images/{name}.toml"), with_packages("python-3.13", packages));
    sandbox.kiln().run(["lock", "--base", name]).ends_with(exit::SUCCESS);
}

#[test]
fn a_compiled_extension_is_built_judged_and_imported() {
    let steps = "\n[[step]]\nname = \"extension\"\nbase = \"gcc\"\nargv = [\"gcc\", \"-O2\", \"-shared\", \"-fPIC\", \
                 \"-I/usr/include/python3.13\", \"answer.c\", \"-o\", \"/out/answer.cpython-313-x86_64-linux-gnu.so\"]\n\
                 inputs = [{ path = \"app/native\", at = \"/src\" }]\noutputs = [{ path = \"/out\", into = \".\" }]\n\n\
                 [[smoke]]\nname = \"answer\"\nevent = \"app/event.json\"\nexpect = \"app/answer.json\"\n";
    let code = "#include <Python.h>\nstatic PyObject *get(PyObject *s, PyObject *a) { return PyLong_FromLong(42); }\n\
                static PyMethodDef methods[] = {{\"get\", get, METH_NOARGS, 0}, {0, 0, 0, 0}};\n\
                static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, \"answer\", 0, -1, methods};\n\
                PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }\n";
    let sandbox = function(steps);
    write_base(&sandbox, "gcc", &["binutils", "gcc", "libc6-dev", "libpython3.13-dev"]);
    sandbox
        .write(
            "manifests/app/src/app.py",
            "import answer\n\ndef handler(event, context):\n    return answer.get()\n",
        )
        .write("manifests/app/native/answer.c", code)
        .write("manifests/app/event.json", "{}")
        .write("manifests/app/answer.json", "42");
    build(&sandbox).ends_with(exit::SUCCESS);
    let first = record(&sandbox);
    let component = first.components.iter().find(|component| component.name == "extension").unwrap();
    assert_eq!(component.made_by.as_ref().unwrap().base, "gcc");
    let path = "answer.cpython-313-x86_64-linux-gnu.so";
    sandbox.kiln().run(["explain", "app", path]).prints(&["made by the step extension in base gcc (sha256:"]);

    // What a step made is judged as everything else is.
    sandbox.replace(MANIFEST, "\"-O2\"", "\"-O2\", \"-Wl,--no-as-needed\", \"-litm\"");
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["deny[needed-library-missing] app", "libitm.so.1"]);
    sandbox.replace(MANIFEST, "\"-O2\", \"-Wl,--no-as-needed\", \"-litm\"", "\"-O1\"");
    build(&sandbox).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["diff", "app@1", "app@latest"]).prints(&["manifests/app.toml"]);
    let compiler = "return PyLong_FromLong(42)";
    sandbox.replace("manifests/app/native/answer.c", compiler, "return PyLong_FromLong(42) broken");
    build(&sandbox)
        .ends_with(exit::BUILD_STEP_FAILED)
        .says(&["the step `extension` of app, in base `gcc`", "answer.c"]);
}

#[test]
fn a_rust_bootstrap_is_built_offline_from_crates_by_their_checksums() {
    let published = published_repository();
    let record = Record::from_json(&published.read("dist/trail-digest/record.json")).unwrap();
    let crates: Vec<&str> = record
        .inputs
        .iter()
        .filter(|input| input.role == InputRole::Crate)
        .map(|input| input.name.as_str())
        .collect();
    assert!(crates.contains(&"httparse-1.10.1.crate") && crates.len() > 5, "{crates:?}");
    let lock = "manifests/trail-digest/Cargo.lock";
    let bill = String::from_utf8(published.read("dist/trail-digest/trail-digest.cdx.json")).unwrap();
    assert!(bill.contains("pkg:cargo/httparse@1.10.1") && bill.contains(lock), "{bill}");
    let checksum = "6dbf3de79e51f3d586ab4cb9d5c3e2c14aa28ed23d180cf89b4df0454a69cc87";
    assert!(bill.contains(checksum), "{bill}");
    // What Debian's Rust and C library brought is known by the packages of the base.
    let linked = record.binaries.values().flat_map(|binary| &binary.linked);
    let brought = |prefix: &str| -> Vec<&str> {
        let all = linked.clone().filter(|part| part.purl.starts_with(prefix));
        all.map(|part| part.archive.as_ref().map_or("", |archive| archive.file_name.as_str())).collect()
    };
    let (std, libc) = (brought("pkg:generic/rust-std@"), brought("pkg:generic/glibc@"));
    assert!(std.iter().all(|file| file.starts_with("libstd-rust-dev_")) && std.len() == 1, "{std:?}");
    assert!(libc.iter().all(|file| file.starts_with("libc6-dev_")) && libc.len() == 1, "{libc:?}");
    assert!(
        brought("pkg:cargo/gimli@").iter().all(|file| *file == std[0]),
        "{:?}",
        brought("pkg:cargo/gimli@")
    );
    let provenance =
        String::from_utf8(published.read("dist/trail-digest/trail-digest.intoto.jsonl")).unwrap();
    assert!(provenance.contains("httparse-1.10.1.crate"), "{provenance}");
    let component = record.components.iter().find(|component| component.name == "bootstrap").unwrap();
    assert_eq!(component.made_by.as_ref().unwrap().reproducible, Some(true));

    // Nothing is asked and nothing runs for what is known.
    let sandbox = published.copy();
    let before = sandbox.dist();
    let build = ["build", "trail-digest", "--force", "--color", "never"];
    sandbox.kiln().run(build).ends_with(exit::SUCCESS).does_not_say("trail-digest bootstrap");
    assert!(sandbox.dist() == before);

    // A lock that names another content, or another place, brings nothing in.
    sandbox.replace(lock, "6dbf3de7", "00000000");
    sandbox.kiln().run(build).ends_with(exit::FETCH_FAILED);
    sandbox
        .kiln()
        .with_variable("CARGO_HOME", "/nonexistent")
        .run(build)
        .ends_with(exit::FETCH_FAILED)
        .says(&["no registry of crates is configured", "KILN_CRATES"]);
    sandbox.replace(lock, "registry+https", "git+https").replace(lock, "crates.io-index\"", "other\"");
    sandbox
        .kiln()
        .run(build)
        .ends_with(exit::INPUT_INVALID)
        .says(&["httparse 1.10.1 is from git+https", "Cargo.lock"]);
    assert!(sandbox.dist() == before);
}

#[test]
fn a_program_that_lacks_a_shared_library_says_which() {
    // The loader's own words and exit code, without a program that is linked to what no base has.
    let missing = "import sys\nprint('/opt/tool: error while loading shared libraries: libxml2.so.2: cannot open shared object file: No such file or directory', file=sys.stderr)\nsys.exit(127)\n";
    let sandbox = function(&step("convert", missing, "outputs = [{ path = \"/out/x\" }]"));
    let outcome = build(&sandbox);
    let outcome = outcome.ends_with(exit::BUILD_STEP_FAILED).says(&[
        "failed with exit code 127: a program needs libxml2.so.2, which is not there",
        "the base has no libxml2.so.2: add the package that holds it to images/",
        "kiln lock --base ",
        "LD_LIBRARY_PATH",
    ]);
    outcome.does_not_say("is there a program");
}
