//! Source distributions: built only where the manifest says so, twice, without a network, and to one wheel.

use crate::harness::{
    LocalIndex, Outcome, Sandbox, WheelFile, gzip, sdist, self_building, wheel, with_packages,
};
use kiln_engine::contract::tar_of;
use kiln_record::{Code, InputRole, Level, Record, exit};

const MANIFEST: &str = "manifests/app.toml";
const REQUIREMENTS: &str = "manifests/app/requirements.txt";

/// A function that imports a module `tool` of a source distribution of this index.
fn function(files: &[&WheelFile], keys: &str) -> (Sandbox, LocalIndex) {
    let files: Vec<WheelFile> = files.iter().copied().cloned().collect();
    let index = LocalIndex::serve(&files);
    let sandbox = Sandbox::new().with_index(&index);
    let lines: String = files.iter().map(|file| file.requirement("")).collect();
    let code = "import tool\n\ndef handler(event, context):\n    return tool.VALUE\n";
    sandbox.function("app", "3.13", code, &lines).append(MANIFEST, keys);
    (sandbox, index)
}

fn build(sandbox: &Sandbox) -> Outcome {
    sandbox.kiln().run(["build", "--all", "--color", "never"])
}

fn record(sandbox: &Sandbox) -> Record {
    Record::from_json(&sandbox.read("dist/app/record.json")).unwrap()
}

/// A source distribution with the module `tool`.
fn tool(version: &str, steps: &[&str]) -> WheelFile {
    self_building("tool", version, steps, "\"VALUE = 1\\n\"")
}

#[test]
fn only_what_is_listed_is_built() {
    let tool = tool("1.0", &["print('building the tool')"]);
    let (sandbox, index) = function(&[&tool], "");
    sandbox.denied().says(&[
        "deny[sdist-not-listed] app: tool",
        "tool 1.0 (manifests/app/requirements.txt:1) has no wheel among the files whose hashes the lock names",
        "there is a source distribution, tool-1.0.tar.gz: building it runs its code",
        "write `sdists = [\"tool\"]` under [python] in manifests/app.toml",
        "or lock another version of tool that has a wheel",
    ]).documents("deny[sdist-not-listed] app: tool");
    sandbox.append(MANIFEST, "sdists = [\"tool\"]\n");
    build(&sandbox).ends_with(exit::SUCCESS).says(&["build tool-1.0.tar.gz build tool-1.0.tar.gz, again"]);

    let record = record(&sandbox);
    let component = record.components.iter().find(|component| component.name == "tool").unwrap();
    let built = component.built_from.as_ref().unwrap();
    assert_eq!((built.sdist.file_name.as_str(), built.sdist.digest), ("tool-1.0.tar.gz", tool.digest()));
    assert_eq!((built.base.as_str(), built.backend.as_str()), ("python-3.13", "backend"));
    assert!(built.reproducible);
    let roles = |role| record.inputs.iter().filter(|input| input.role == role).collect::<Vec<_>>();
    assert_eq!(roles(InputRole::Sdist)[0].digest, tool.digest());
    assert_eq!(roles(InputRole::BuildBase).len(), 1);
    // Only what was known before the build is an input: a wheel that it made is not.
    assert!(roles(InputRole::Distribution).is_empty());
    let provenance = String::from_utf8(sandbox.read("dist/app/app.intoto.jsonl")).unwrap();
    assert!(provenance.contains("\"name\":\"tool-1.0.tar.gz\""), "{provenance}");
    let bill = String::from_utf8(sandbox.read("dist/app/app.cdx.json")).unwrap();
    assert!(bill.contains("pkg:pypi/tool@1.0?file_name=tool-1.0.tar.gz"), "{bill}");
    assert!(bill.contains("source-distribution"), "{bill}");

    let explained = sandbox.kiln().run(["explain", "app", "tool"]).ends_with(exit::SUCCESS);
    explained.prints(&[
        "built from",
        "tool-1.0.tar.gz",
        "the lock names no wheel of it",
        "to the same wheel",
    ]);
    sandbox
        .kiln()
        .run(["explain", "app", "tool.py"])
        .ends_with(exit::SUCCESS)
        .prints(&["built from tool-1.0.tar.gz"]);

    // What was built is remembered, and no index is asked for it.
    drop(index);
    let again = sandbox.kiln().run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    again.does_not_say("tool-1.0.tar.gz");
}

#[test]
fn a_wheel_that_fits_comes_first_and_useless_names_are_told() {
    let source = tool("2.0", &["raise SystemExit('this must not be built')"]);
    let fits = wheel("tool", "2.0", "py3-none-any", &[], &[("tool.py", b"VALUE = 2\n")]);
    let index = LocalIndex::serve(&[source.clone(), fits.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let hash = format!("--hash=sha256:{}", fits.digest().hex());
    let lines = source.requirement("").trim_end().to_owned() + " \\\n    " + &hash + "\n";
    let code = "import tool\n\ndef handler(event, context):\n    return tool.VALUE\n";
    sandbox.function("app", "3.13", code, &lines).append(MANIFEST, "sdists = [\"tool\", \"tol\"]\n");
    build(&sandbox)
        .ends_with(exit::SUCCESS)
        .says(&[
            "warn[sdist-not-used] app: tol",
            "the manifest lets tol be built, but manifests/app/requirements.txt has no such distribution",
            "warn[sdist-not-used] app: tool",
            "its wheel tool-2.0-py3-none-any.whl fits, and is taken",
            "remove tool from `sdists` under [python] in manifests/app.toml",
        ])
        .documents("warn[sdist-not-used] app: tool");
    assert!(record(&sandbox).components.iter().all(|component| component.built_from.is_none()));
}

#[test]
fn a_wheel_that_takes_from_the_clock_is_named_with_its_member() {
    let clock = self_building("tool", "3.0", &["import time"], "\"MADE = 1\\nVALUE = %d\\n\" % time.time()");
    let (sandbox, _index) = function(&[&clock], "sdists = [\"tool\"]\n");
    sandbox.denied().says(&[
        "deny[sdist-not-reproducible] app: tool",
        "tool-3.0.tar.gz was built twice, and tool.py is not the same: line 2 is `VALUE = ",
        "the second build began later",
    ]);
    // Whoever accepts it gets it, and the record says what it is.
    sandbox.append(MANIFEST, "[policy.levels]\nsdist-not-reproducible = \"warn\"\n");
    build(&sandbox).ends_with(exit::SUCCESS).says(&["warn[sdist-not-reproducible] app: tool"]);
    let record = record(&sandbox);
    assert!(record.components.iter().any(|c| c.built_from.as_ref().is_some_and(|built| !built.reproducible)));
    let finding = record.findings.iter().find(|finding| finding.code == Code::SdistNotReproducible).unwrap();
    assert_eq!(finding.level, Level::Warn);
}

#[test]
fn a_build_sees_no_clock_zone_path_or_order_of_its_own() {
    // Everything that a build may look at and that kiln says is the same.
    let seen = "\"VALUE = %r\\n\" % (repr([sorted(os.environ.items()), os.getcwd(), os.listdir('.'), \
                oct(os.umask(0o22)), hash('x'), time.tzname, os.getuid(), socket.gethostname()]))";
    let steps = ["import socket, time", "os.environ.pop('TMPDIR')", "os.umask(0o22)"];
    let curious = self_building("tool", "3.1", &steps, seen);
    let (sandbox, _index) = function(&[&curious], "sdists = [\"tool\"]\n");
    // The order of a folder is what the two builds differ in.
    sandbox.denied().says(&["deny[sdist-not-reproducible] app: tool", "tool.py is not the same"]);
    let sorted = seen.replace("os.listdir('.')", "sorted(os.listdir('.'))");
    let curious = self_building("tool", "3.2", &steps, &sorted);
    let (sandbox, _index) = function(
        &[&curious],
        "sdists = [\"tool\"]\n\n[python.build]\nenv = { CFLAGS = \"-DOWN\", OWN = \"1\" }\n",
    );
    build(&sandbox).ends_with(exit::SUCCESS);
    let archive = kiln_pack::ZipReader::open(
        std::io::Cursor::new(sandbox.read("dist/app/app.zip")),
        &kiln_pack::Limits::default(),
    );
    let mut archive = archive.unwrap();
    let member = archive.members().iter().find(|member| member.path.as_str() == "tool.py").unwrap().clone();
    let text = String::from_utf8(archive.read(&member).unwrap()).unwrap();
    for part in [
        "'PYTHONHASHSEED', '0'",
        "'TZ', 'UTC'",
        "'LC_ALL', 'C.UTF-8'",
        "'SOURCE_DATE_EPOCH', '",
        "'OWN', '1'",
        "-DOWN -march=x86-64 -mtune=generic -ffile-prefix-map=/kiln/build/source=.",
        "/kiln/build/source",
        "'0o22'",
        "65534",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn builds_that_reach_out_fail_with_their_log_and_change_nothing() {
    let good = tool("4.0", &[]);
    let (sandbox, index) = function(&[&good], "sdists = [\"tool\"]\n");
    build(&sandbox).ends_with(exit::SUCCESS);
    let before = sandbox.dist();
    let network = ["import urllib.request", "urllib.request.urlopen('http://example.org/')"];
    let outside = ["open('/usr/lib/planted', 'w')"];
    let module = ["import no_such_thing"];
    let program = ["import subprocess", "subprocess.run(['gcc', '--version'], check=True)"];
    for (version, steps, says) in [
        ("4.1", &network[..], &["urlopen", "a build has no network"][..]),
        (
            "4.2",
            &outside[..],
            &["Read-only file system: '/usr/lib/planted'", "may write to its own source folder"],
        ),
        ("4.3", &module[..], &["No module named 'no_such_thing'", "add the distribution that has it to"]),
        ("4.4", &program[..], &["No such file or directory: 'gcc'", "name a base that has it with `base`"]),
        ("4.5", &["raise SystemExit('not today')"][..], &["SystemExit: not today"]),
        ("4.6", &["return 'other-4.6-py3-none-any.whl'"][..], &["which is no wheel of tool 4.6"]),
        ("4.7", &["os._exit(0)"][..], &["the build ended without one"]),
    ] {
        let bad = tool(version, steps);
        index.add(&bad, &bad.digest().hex(), &bad.bytes);
        sandbox.write(REQUIREMENTS, bad.requirement(""));
        let failed = build(&sandbox).ends_with(exit::BUILD_STEP_FAILED);
        let failed = failed.says(&[&format!("the build of tool-{version}.tar.gz in base `python-3.13`")]);
        failed.says(says);
        assert_eq!(sandbox.dist(), before, "{version}: what was published is untouched");
    }
}

#[test]
fn what_a_build_needs_must_be_locked_before_anything_runs() {
    let project = "[build-system]\nrequires = [\"forge>=2\", \"absent; python_version < '3'\"]\nbuild-backend = \
                   \"forge\"\n";
    let needy = sdist("tool", "5.0", &[("pyproject.toml", project), ("tool.py", "VALUE = 5\n")]);
    let backend = "import os, zipfile\n\ndef get_requires_for_build_wheel(settings=None):\n    return \
                   [line for line in open('wants').read().split() if line] if os.path.exists('wants') else \
                   []\n\ndef build_wheel(folder, settings=None, metadata=None):\n    import helper\n    name = \
                   'tool-5.0-py3-none-any.whl'\n    with zipfile.ZipFile(os.path.join(folder, name), 'w') as z:\n        \
                   z.writestr('tool.py', 'VALUE = 5\\n')\n        z.writestr('tool-5.0.dist-info/METADATA', \
                   'Metadata-Version: 2.1\\nName: tool\\nVersion: 5.0\\n')\n        \
                   z.writestr('tool-5.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: \
                   py3-none-any\\n')\n        z.writestr('tool-5.0.dist-info/RECORD', '')\n    return name\n";
    let forge = |version: &str| {
        wheel("forge", version, "py3-none-any", &["helper"], &[("forge.py", backend.as_bytes())])
    };
    let helper = wheel("helper", "1.0", "py3-none-any", &[], &[("helper.py", b"")]);
    let (old, new) = (forge("1.0"), forge("2.0"));
    let (sandbox, index) = function(&[&needy], "sdists = [\"tool\"]\n");
    for file in [&old, &new, &helper] {
        index.add(file, &file.digest().hex(), &file.bytes);
    }
    let lock = "manifests/app/build.txt";
    sandbox
        .denied()
        .says(&[
            "deny[build-requirement-not-locked] app: tool",
            "tool 5.0 is built with `forge>=2`, which manifests/app.toml names no lock for",
            "forge>=2: forge is not there",
            "tool-5.0.tar.gz says so, for its build backend forge",
        ])
        .documents("deny[build-requirement-not-locked] app: tool");
    sandbox.append(MANIFEST, "\n[python.build]\nlock = \"app/build.txt\"\n");
    sandbox
        .denied()
        .says(&["deny[lock-missing]", "manifests/app.toml names the lock manifests/app/build.txt"]);
    sandbox.write(lock, old.requirement("") + &helper.requirement(""));
    sandbox.denied().says(&["which manifests/app/build.txt does not have", "the lock has forge 1.0"]);
    sandbox.write(lock, new.requirement(""));
    sandbox
        .denied()
        .says(&["deny[build-requirement-not-locked] app: helper", "forge 2.0 requires `helper`"])
        .does_not_say("again");
    sandbox.write(lock, new.requirement("") + &helper.requirement(""));
    build(&sandbox).ends_with(exit::SUCCESS);
    let names: Vec<String> = record(&sandbox)
        .inputs
        .into_iter()
        .filter(|input| input.role == InputRole::BuildRequirement)
        .map(|input| input.name)
        .collect();
    assert_eq!(names, ["forge-2.0-py3-none-any.whl", "helper-1.0-py3-none-any.whl"]);

    // What only the backend knows is asked for when it runs, and nothing is built without it.
    let wants = sdist("tool", "5.0", &[("pyproject.toml", project), ("wants", "anvil>=3")]);
    let (sandbox, index) =
        function(&[&wants], "sdists = [\"tool\"]\n\n[python.build]\nlock = \"app/build.txt\"\n");
    for file in [&new, &helper] {
        index.add(file, &file.digest().hex(), &file.bytes);
    }
    sandbox.write(lock, new.requirement("") + &helper.requirement(""));
    sandbox.denied().says(&["deny[build-requirement-not-locked] app: tool", "anvil>=3: anvil is not there"]);
}

#[test]
fn hostile_archives_are_refused_before_anything_runs() {
    for (name, path, says) in [
        ("6.0", "../outside", "a member's name is not acceptable"),
        ("6.1", "/etc/passwd", "a member's name is not acceptable"),
        ("6.2", "second-folder/x", "a source distribution has one folder"),
    ] {
        let top = format!("tool-{name}/pyproject.toml");
        let mut tar = tar_of(&[(&top, 0o644, b"")]);
        tar.truncate(512);
        tar.extend(entry(path));
        let hostile = WheelFile::new("tool", name, format!("tool-{name}.tar.gz"), gzip(&tar));
        let (sandbox, _index) = function(&[&hostile], "sdists = [\"tool\"]\n");
        build(&sandbox).ends_with(exit::FETCH_FAILED).says(&[&format!("tool-{name}.tar.gz"), says]);
        sandbox.assert_nothing_published();
    }
}

/// An empty file in a tar, whatever its name, and the end of the archive.
fn entry(path: &str) -> Vec<u8> {
    let mut header = tar_of(&[("x", 0o644, b"")]);
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn a_build_section_that_makes_no_sense_is_a_problem_of_the_manifest() {
    let tool = tool("7.0", &[]);
    let (sandbox, _index) = function(&[&tool], "");
    let manifest = String::from_utf8(sandbox.read(MANIFEST)).unwrap();
    for (keys, says) in [
        ("[python.build]\n", "`python.sdists` names nothing to build"),
        ("sdists = [\"tool\", \"Tool\"]\n", "`python.sdists` names tool twice"),
        ("sdists = [\"tool\"]\nexclude = [\"tool\"]\n", "lets tool be built, but it is also left out"),
        ("sdists = [\"tool\"]\n[python.build]\nbase = \"none\"\n", "there is no base `none`"),
        ("sdists = [\"tool\"]\n[python.build]\nlock = \"app/uv.lock\"\n", "is the lock of a project"),
        (
            "sdists = [\"tool\"]\n[python.build]\nrequirements = \"app/build.in\"\n",
            "no lock for kiln to write",
        ),
        (
            "sdists = [\"tool\"]\n[python.build]\nlock = \"app/requirements.txt\"\n",
            "are both app/requirements.txt",
        ),
        ("sdists = [\"tool\"]\n[python.build]\nenv = { TZ = \"CET\" }\n", "sets TZ, which kiln sets"),
        ("sdists = [\"tool\"]\n[python.build]\nlook = \"x\"\n", "unknown field `look`"),
    ] {
        sandbox.write(MANIFEST, manifest.clone() + keys);
        build(&sandbox).ends_with(exit::INPUT_INVALID).says(&[says]);
    }
}

/// A base with a compiler: the repository's own and the packages that it takes to build extension modules.
fn write_compiler_base(sandbox: &Sandbox) {
    let packages = ["binutils", "gcc", "libc6-dev", "libpython3.13-dev"];
    sandbox.write("images/python-3.13-build.toml", with_packages("python-3.13", &packages));
    sandbox.kiln().run(["lock", "--base", "python-3.13-build"]).ends_with(exit::SUCCESS);
}

const DOCOPT: &str =
    "docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491\n";
const MARKUPSAFE: &str =
    "markupsafe==3.0.2 --hash=sha256:ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0\n";
const SETUPTOOLS: &str =
    "setuptools==80.9.0 --hash=sha256:062d34222ad13e0cc312a4c02d73f059e86a4acbfbdea8f8f76b28c99f306922\n";

#[test]
fn real_ones_are_built_to_the_same_bytes_from_a_cold_store() {
    let code = "import docopt\nfrom markupsafe import _speedups\n\ndef handler(event, context):\n    return \
                str(_speedups._escape_inner('<a>'))\n";
    let workspace = || {
        let sandbox = Sandbox::new();
        sandbox
            .function("app", "3.13", code, &format!("{DOCOPT}{MARKUPSAFE}"))
            .write("manifests/app/build.txt", SETUPTOOLS)
            .write("manifests/app/event.json", "{}")
            .write("manifests/app/answer.json", "\"&lt;a&gt;\"");
        sandbox
    };
    let (first, second) = (workspace(), workspace());
    write_compiler_base(&first);
    for file in ["images/python-3.13-build.toml", "images/python-3.13-build.lock"] {
        second.write(file, first.read(file));
    }
    first.denied().says(&["deny[sdist-not-listed] app: docopt", "deny[sdist-not-listed] app: markupsafe"]);
    let keys = "sdists = [\"docopt\", \"markupsafe\"]\n\n[python.build]\nbase = \"python-3.13-build\"\nlock = \
                \"app/build.txt\"\n\n[[smoke]]\nname = \"escape\"\nevent = \"app/event.json\"\nexpect = \
                \"app/answer.json\"\n";
    first.append(MANIFEST, keys);
    second.append(MANIFEST, keys);
    build(&first).ends_with(exit::SUCCESS);
    let cold = tempfile::tempdir().unwrap();
    let kiln = second.kiln().with_store(cold.path()).with_variable("TZ", "Asia/Tokyo");
    let outcome = kiln.in_shell("umask 077; exec \"$@\"").run(["build", "--all"]).ends_with(exit::SUCCESS);
    outcome.says(&["build markupsafe-3.0.2.tar.gz, again", "build docopt-0.6.2.tar.gz, again"]);
    assert_eq!(first.dist(), second.dist(), "every published file is the same");

    let record = record(&first);
    let of = |name: &str| record.components.iter().find(|component| component.name == name).unwrap();
    assert_eq!(of("docopt").built_from.as_ref().unwrap().backend, "setuptools.build_meta:__legacy__");
    let markupsafe = of("markupsafe");
    let origin = markupsafe.origin.as_ref().unwrap();
    assert_eq!(origin.file_name, "markupsafe-3.0.2-cp313-cp313-linux_x86_64.whl");
    let built = markupsafe.built_from.as_ref().unwrap();
    assert_eq!((built.base.as_str(), built.requirements.len()), ("python-3.13-build", 1));
    assert_eq!(built.requirements[0].file_name, "setuptools-80.9.0-py3-none-any.whl");
    let native =
        record.files.iter().find(|file| file.path.as_str().contains("_speedups.cpython-313")).unwrap();
    assert_eq!(native.component.as_str(), "python/markupsafe");
    // The base's own pip installs what kiln built, to the same files.
    first.kiln().run(["verify", "--cross-check", "app"]).ends_with(exit::SUCCESS);
}

#[test]
fn a_base_without_a_compiler_is_told() {
    let sandbox = Sandbox::new();
    let code = "import markupsafe\n\ndef handler(event, context):\n    return None\n";
    sandbox
        .function("app", "3.13", code, MARKUPSAFE)
        .write("manifests/app/build.txt", SETUPTOOLS)
        .append(MANIFEST, "sdists = [\"markupsafe\"]\n\n[python.build]\nlock = \"app/build.txt\"\n");
    // Its build goes on without the extension, as it says; kiln does not let that pass in silence.
    build(&sandbox).ends_with(exit::SUCCESS).says(&[
        "warn[extension-not-built] app: markupsafe",
        "has sources for a compiler, such as src/markupsafe/_speedups.c, and was built to",
        "which has no native code",
        "name a base with a compiler and Python's headers with `base` under [python.build] in manifests/app.toml",
    ]).documents("warn[extension-not-built] app: markupsafe");
}

#[test]
fn both_locks_are_made_and_build() {
    let sandbox = Sandbox::new();
    sandbox
        .function("app", "3.13", "import docopt\n\ndef handler(event, context):\n    return None\n", "")
        .append(MANIFEST, "\n[python]\nlock = \"app/lock.txt\"\nrequirements = \"app/requirements.in\"\n")
        .write("manifests/app/requirements.in", "docopt==0.6.2\n")
        .write("manifests/app/build.in", "setuptools>=70\n");
    let lock = || sandbox.kiln().run(["lock", "app"]);
    lock().ends_with(exit::INPUT_INVALID).says(&["to let it be built, name it in `sdists` under [python]"]);
    sandbox.append(
        MANIFEST,
        "sdists = [\"docopt\"]\n\n[python.build]\nlock = \"app/build.txt\"\nrequirements = \"app/build.in\"\n",
    );
    let locked = lock().ends_with(exit::SUCCESS);
    locked
        .prints(&[
            "manifests/app/lock.txt: written",
            "manifests/app/build.txt: written",
            "builds in base python-3.13",
        ])
        .says(&["what docopt 0.6.2 requires was read from its source distribution, which was not built"]);
    let text = String::from_utf8(sandbox.read("manifests/app/lock.txt")).unwrap();
    assert!(
        text.contains("--hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491"),
        "{text}"
    );
    sandbox.kiln().run(["lock", "app", "--check"]).ends_with(exit::SUCCESS);
    build(&sandbox).ends_with(exit::SUCCESS);
    assert!(record(&sandbox).components.iter().any(|component| component.built_from.is_some()));
    // What builds is held against its lock, like what is installed.
    sandbox.write("manifests/app/build.in", "setuptools>=70\nwheel\n");
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&["deny[lock-stale] app: manifests/app/build.txt"]);
}
