//! What packing leaves out and changes, what layers hide, and what an artifact should not hold.

use crate::harness::{LocalIndex, Sandbox, WheelFile, repository, shared_object, wheel};
use kiln_pack::{Limits, ZipReader};
use kiln_record::{CheckName, CheckOutcome, Entry, Mode, Record, Transformation, TreePath, exit};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::fs::{PermissionsExt as _, symlink};

const HANDLER: &str = "\n\ndef handler(event, context):\n    return None\n";

/// Makes every import of the artifact's own modules fail that compiles them: bytecode that is used is not compiled.
const REFUSE_TO_COMPILE: &str = "import importlib.machinery as machinery\n\
    compile_source = machinery.SourceFileLoader.source_to_code\n\
    def refuse(self, data, path, **more):\n\
    \x20   assert not path.startswith(('/var/task', '/opt')), 'compiled: ' + path\n\
    \x20   return compile_source(self, data, path, **more)\n\
    machinery.SourceFileLoader.source_to_code = refuse\n";

/// Fails the import unless what a distribution's RECORD lists is what is there.
const FILES_ARE_THERE: &str = "import importlib.metadata\n\
    def complete(name):\n\
    \x20   files = importlib.metadata.files(name)\n\
    \x20   assert files, name\n\
    \x20   for file in files:\n\
    \x20       assert file.locate().is_file(), file\n\
    \x20       assert file.size is None or file.locate().stat().st_size == file.size, file\n";

fn record(sandbox: &Sandbox, artifact: &str) -> Record {
    Record::from_json(&sandbox.read(&format!("dist/{artifact}/record.json"))).unwrap()
}

#[track_caller]
fn rule<'a>(record: &'a Record, name: &str) -> &'a Transformation {
    let named: Vec<&str> = record.transformations.iter().map(|rule| rule.rule.as_str()).collect();
    record
        .transformations
        .iter()
        .find(|rule| rule.rule == name)
        .unwrap_or_else(|| panic!("{name} in {named:?}"))
}

fn paths(record: &Record) -> Vec<&str> {
    record.files.iter().map(|file| file.path.as_str()).collect()
}

/// Files of an artifact's zip: mode, whether it is a link, content.
fn unpacked(sandbox: &Sandbox, artifact: &str) -> BTreeMap<String, (u32, bool, Vec<u8>)> {
    let bytes = sandbox.read(&format!("dist/{artifact}/{artifact}.zip"));
    let mut zip = ZipReader::open(Cursor::new(bytes), &Limits::default()).unwrap();
    let members = zip.members().to_vec();
    let read = members.into_iter().map(|member| {
        let content = zip.read(&member).unwrap();
        (member.path.to_string(), (member.unix_mode.unwrap() & 0o7777, member.is_symlink, content))
    });
    read.collect()
}

/// The requirement of one distribution in the list of compiled ones.
fn locked(name: &str) -> String {
    let all = fs_err::read_to_string(repository().join("tests/conformance/python-3.11.txt")).unwrap();
    let mut lines = all.lines().skip_while(|line| !line.starts_with(&format!("{name}==")));
    let first = lines.next().unwrap();
    let hashes = lines.take_while(|line| line.starts_with(' '));
    std::iter::once(first).chain(hashes).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn numpy_without_what_running_code_does_not_need() {
    let sandbox = Sandbox::new();
    let code = format!(
        "{FILES_ARE_THERE}import numpy, numpy.fft, numpy.linalg, numpy.random, numpy.testing, orjson\n\
         assert numpy.linalg.inv(numpy.eye(3)).sum() == 3\nassert orjson.dumps([1]) == b'[1]'\n\
         complete('numpy')\ncomplete('orjson'){HANDLER}"
    );
    let requirements = locked("numpy") + &locked("orjson");
    sandbox.function("plain", "3.11", &code, &requirements);
    sandbox.function("small", "3.11", &code, &requirements);
    sandbox.append(
        "manifests/small.toml",
        "\n[package]\ndrop = [\"tests\", \"type-stubs\", \"headers\", \"static-libraries\", \"native-sources\"]\nstrip = \
         \"symbols\"\n",
    );
    let outcome = sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).says(&[
        "small: drop-tests left out ",
        "small: strip-symbols changed ",
        "small: rewrite-record changed 2 files",
    ]);
    outcome.does_not_say("plain: ");
    let (plain, small) = (record(&sandbox, "plain"), record(&sandbox, "small"));
    assert_eq!(plain.transformations, []);

    // The record accounts for every byte.
    let saved: u64 = small.transformations.iter().map(|rule| rule.bytes_before - rule.bytes_after).sum();
    assert_eq!(plain.unpacked_size - saved, small.unpacked_size);
    assert!(saved > 3_000_000, "{saved}");
    for rule in &small.transformations {
        let (files, before) = rule
            .components
            .values()
            .fold((0, 0), |(files, bytes), c| (files + c.files, bytes + c.bytes_before));
        assert_eq!((files, before), (rule.files, rule.bytes_before), "{}", rule.rule);
    }
    // `numpy.testing` stays, and what it imports of the tests.
    let tests = rule(&small, "drop-tests");
    assert!(tests.files > 100, "{tests:?}");
    let kept = TreePath::new("numpy/_core/tests").unwrap();
    assert_eq!(tests.left[&kept], "numpy/testing/_private/utils.py imports it");
    let there = paths(&small);
    assert!(there.contains(&"numpy/testing/__init__.py") && there.contains(&"numpy/_core/tests/_natype.py"));
    assert!(!there.iter().any(|path| path.starts_with("numpy/linalg/tests/") || path.ends_with(".pyi")));
    assert!(!there.iter().any(|path| path.ends_with(".a") || path.ends_with(".h")));
    // Libraries that auditwheel has changed are stripped, too, and the handler has used them.
    let strip = rule(&small, "strip-symbols");
    assert!(
        strip.changed.keys().any(|path| path.as_str().starts_with("numpy.libs/libscipy_openblas")),
        "{strip:?}"
    );
    assert_eq!(strip.left, BTreeMap::new());

    let zip = "dist/small/small.zip";
    sandbox.kiln().run(["verify", zip]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["show", "small", "--files"]).ends_with(exit::SUCCESS).prints(&[
        "changed by packing",
        "drop-tests left out ",
        "left as it is: numpy/_core/tests: numpy/testing/_private/utils.py imports it",
        "made by strip-symbols",
        "made by rewrite-record",
    ]);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).prints(&["unchanged"]);
}

/// Every extension module of a hundred popular distributions, repaired by whatever their publishers used, is stripped and
/// then imported. The one that is left out needs Tk, which neither Lambda nor the base has.
#[test]
fn what_a_hundred_distributions_compiled_is_stripped_and_still_imported() {
    let sandbox = Sandbox::new();
    let lock = fs_err::read_to_string(repository().join("tests/conformance/python-3.13.txt")).unwrap();
    let code = format!(
        "import importlib, os\n\
         for folder, _, files in os.walk('/var/task'):\n\
         \x20   package = os.path.relpath(folder, '/var/task').replace(os.sep, '.').lstrip('.')\n\
         \x20   for file in files:\n\
         \x20       module, _, tag = file.partition('.')\n\
         \x20       if tag.endswith('so') and ('cpython-313' in tag or 'abi3' in tag) and module != '_imagingtk':\n\
         \x20           importlib.import_module(package + '.' + module if package else module)\n\
         import io, numpy, PIL.Image\n\
         assert numpy.isfinite(numpy.linalg.inv(numpy.eye(200) * 3).sum())\n\
         PIL.Image.new('RGB', (8, 8)).save(io.BytesIO(), 'WEBP'){HANDLER}"
    );
    sandbox.function("app", "3.13", &code, &lock);
    sandbox.append(
        "manifests/app.toml",
        "\n[package]\ndrop = [\"tests\"]\nstrip = \"symbols\"\n\n[policy.levels]\nzip-too-large = \"note\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let built = record(&sandbox, "app");
    let strip = rule(&built, "strip-symbols");
    assert!(strip.files > 50 && strip.bytes_before - strip.bytes_after > 20_000_000, "{strip:?}");
    assert_eq!(strip.left, BTreeMap::new());
}

/// A wheel with native code that has debug information and a module.
fn native() -> WheelFile {
    let object = shared_object("int answer(void) { return 42; }");
    let files: [(&str, &[u8]); 3] =
        [("native/__init__.py", b""), ("native/libanswer.so", &object), ("native/notes.txt", b"notes")];
    wheel("native", "1.0", "py3-none-manylinux2014_x86_64", &[], &files)
}

#[test]
fn a_stripped_library_is_loaded_and_what_needs_no_stripping_is_not_touched() {
    let native = native();
    let index = LocalIndex::serve(std::slice::from_ref(&native));
    let sandbox = Sandbox::new().with_index(&index);
    let code = format!(
        "import ctypes, native, os\nlibrary = ctypes.CDLL(os.path.join(os.path.dirname(native.__file__), \
         'libanswer.so'))\nassert library.answer() == 42{HANDLER}"
    );
    sandbox.function("app", "3.13", &code, &native.requirement(""));
    sandbox.append("manifests/app.toml", "\n[package]\nstrip = \"debug\"\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let debug = record(&sandbox, "app");
    assert_eq!(rule(&debug, "strip-debug").files, 0, "it has no debug information");
    assert!(debug.transformations.iter().all(|rule| rule.rule != "rewrite-record"));

    sandbox.replace("manifests/app.toml", "\"debug\"", "\"symbols\"");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).says(&["strip-symbols changed 1 file, "]);
    let symbols = record(&sandbox, "app");
    let strip = rule(&symbols, "strip-symbols");
    let library = TreePath::new("native/libanswer.so").unwrap();
    let before = debug.files.iter().find(|file| file.path == library).unwrap();
    let Entry::File { digest, .. } = before.entry else { panic!("{before:?}") };
    assert_eq!(strip.changed[&library], Some(digest), "the record says what it was made of");
}

#[test]
fn patterns_leave_files_out_and_record_follows() {
    let shapes = wheel(
        "shapes",
        "1.0",
        "py3-none-any",
        &[],
        &[
            ("shapes/__init__.py", b"from . import circle\n"),
            ("shapes/circle.py", b""),
            ("shapes/data/large.bin", &[7; 5000]),
            ("shapes/data/small.bin", b"x"),
        ],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let sandbox = Sandbox::new().with_index(&index);
    let code = format!("{FILES_ARE_THERE}import shapes\ncomplete('shapes'){HANDLER}");
    sandbox.function("app", "3.13", &code, &shapes.requirement(""));
    sandbox.write("manifests/app/src/notes/todo.txt", "later");
    sandbox.append(
        "manifests/app.toml",
        "\n[package]\nexclude = [\"shapes/data/l*\", \"notes/**\", \"small.bin\"]\n",
    );
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::SUCCESS)
        .says(&[
            "warn[pattern-without-match] app: small.bin",
            "there is `shapes/data/small.bin`; `**/small.bin` would match it",
            "app: exclude left out 2 files",
        ])
        .documents("warn[pattern-without-match] app: small.bin");
    let built = record(&sandbox, "app");
    let exclude = rule(&built, "exclude");
    assert_eq!((exclude.files, exclude.bytes_before, exclude.bytes_after), (2, 5005, 0));
    let counts: Vec<(&str, u64)> = exclude.components.iter().map(|(id, c)| (id.as_str(), c.files)).collect();
    assert_eq!(counts, [("application/app", 1), ("python/shapes", 1)]);
    let list = String::from_utf8(unpacked(&sandbox, "app")["shapes-1.0.dist-info/RECORD"].2.clone()).unwrap();
    assert!(!list.contains("large.bin") && list.contains("shapes/data/small.bin,sha256="), "{list}");
    sandbox.kiln().run(["verify", "dist/app/app.zip"]).ends_with(exit::SUCCESS);

    // What is needed is missed by the import check.
    sandbox.replace("manifests/app.toml", "\"small.bin\"", "\"shapes/circle.py\"");
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["deny[import-failed] app", "cannot import name 'circle' from"]);
    // Metadata is read at run time, so no pattern touches it.
    sandbox.replace("manifests/app.toml", "shapes/circle.py", "*.dist-info/**");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID).says(&[
        "`*.dist-info/**` under [package] would leave out metadata of distributions",
        "entry points, versions and licences are read from `.dist-info` folders at run time",
    ]);
    sandbox.replace(
        "manifests/app.toml",
        "exclude = [\"shapes/data/l*\", \"notes/**\", \"*.dist-info/**\"]",
        "include = [\"app.py\", \"shapes/*.py\"]",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert_eq!(
        paths(&record(&sandbox, "app")),
        [
            "app.py",
            "shapes-1.0.dist-info/METADATA",
            "shapes-1.0.dist-info/RECORD",
            "shapes-1.0.dist-info/WHEEL",
            "shapes/__init__.py",
            "shapes/circle.py"
        ]
    );
    for (wrong, said) in [
        ("drop = [\"test\"]", "unknown variant `test`"),
        ("include = []", "nothing would be in the artifact"),
    ] {
        sandbox.replace("manifests/app.toml", "include = [\"app.py\", \"shapes/*.py\"]", wrong);
        sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID).says(&[said]);
        sandbox.replace("manifests/app.toml", wrong, "include = [\"app.py\", \"shapes/*.py\"]");
    }
}

#[test]
fn only_tests_that_nothing_imports_are_dropped() {
    let suite = wheel(
        "suite",
        "1.0",
        "py3-none-any",
        &[],
        &[
            ("suite/__init__.py", b"from .b.tests import fixtures\n"),
            ("suite/a/tests/test_a.py", b""),
            ("suite/b/tests/__init__.py", b""),
            ("suite/b/tests/fixtures.py", b"import suite.c.test.data\n"),
            ("suite/c/test/data.py", b""),
            ("suite/d/tests/__init__.py", b""),
            ("suite/e/tests/cli.py", b"def main(): pass\n"),
            ("suite/testing/__init__.py", b""),
            ("suite/x.pyi", b""),
            ("suite/x.py", b"import lazy\nlazy.attach_stub(__name__, __file__)\n"),
            ("suite/y.pyi", b""),
            ("tests/__init__.py", b""),
            ("suite-1.0.dist-info/entry_points.txt", b"[suite.plugins]\ne = suite.e.tests.cli:main\n"),
        ],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&suite));
    let sandbox = Sandbox::new().with_index(&index);
    // The artifact's own tests are its own business, whatever they are called.
    sandbox.function("app", "3.13", &format!("import suite{HANDLER}"), &suite.requirement(""));
    sandbox.write("manifests/app/src/own/tests/check.py", "MODULE = 'suite.d.tests'\n");
    sandbox.append("manifests/app.toml", "\n[package]\ndrop = [\"tests\", \"type-stubs\"]\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let built = record(&sandbox, "app");
    let there = paths(&built);
    for gone in ["suite/a/tests/test_a.py", "tests/__init__.py", "suite/y.pyi"] {
        assert!(!there.contains(&gone), "{gone}: {there:?}");
    }
    for kept in [
        "suite/b/tests/fixtures.py",
        "suite/c/test/data.py",
        "suite/d/tests/__init__.py",
        "suite/e/tests/cli.py",
        "suite/testing/__init__.py",
        "suite/x.pyi",
        "own/tests/check.py",
    ] {
        assert!(there.contains(&kept), "{kept}: {there:?}");
    }
    let left: Vec<String> =
        rule(&built, "drop-tests").left.iter().map(|(path, why)| format!("{path}: {why}")).collect();
    assert_eq!(
        left,
        [
            "suite/b/tests: suite/__init__.py imports it",
            "suite/c/test: suite/b/tests/fixtures.py imports it",
            "suite/d/tests: own/tests/check.py imports it",
            "suite/e/tests: suite-1.0.dist-info/entry_points.txt imports it"
        ]
    );
}

#[test]
fn bytecode_is_the_same_from_two_stores_and_is_used() {
    let shapes = wheel(
        "shapes",
        "1.0",
        "py3-none-any",
        &[],
        &[
            ("shapes/__init__.py", b"KINDS = {'circle', 'square', 'star'}\ndef known(x):\n    return x in {'a', 'b', 'c', 'd'}\n"),
            ("shapes/two.py", b"print 'Python 2'\n"),
        ],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let sandbox = Sandbox::new().with_index(&index);
    let code = format!(
        "{REFUSE_TO_COMPILE}{FILES_ARE_THERE}import helper, shapes\ncomplete('shapes')\n\
         assert helper.where.__code__.co_filename == '/var/task/helper.py'\n\
         assert shapes.known.__code__.co_filename == '/var/task/shapes/__init__.py'{HANDLER}"
    );
    sandbox.function("app", "3.13", &code, &shapes.requirement(""));
    sandbox.write("manifests/app/src/helper.py", "def where():\n    pass\n");
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["compiled: /var/task/helper.py"]);

    sandbox.append("manifests/app.toml", "\n[package]\nbytecode = \"unchecked-hash\"\n");
    let stores = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let zips = stores.each_ref().map(|store| {
        sandbox
            .kiln()
            .with_store(store.path())
            .run(["build", "--all", "--force"])
            .ends_with(exit::SUCCESS)
            .says(&["app: bytecode-unchecked-hash made 3 files"]);
        sandbox.read("dist/app/app.zip")
    });
    assert!(zips[0] == zips[1], "two stores, two compilations, one archive");

    let built = record(&sandbox, "app");
    let compiled = rule(&built, "bytecode-unchecked-hash");
    let made: Vec<&str> = compiled.changed.keys().map(TreePath::as_str).collect();
    assert_eq!(
        made,
        [
            "__pycache__/app.cpython-313.pyc",
            "__pycache__/helper.cpython-313.pyc",
            "shapes/__pycache__/__init__.cpython-313.pyc"
        ]
    );
    assert!(
        compiled.left[&TreePath::new("shapes/two.py").unwrap()].starts_with("SyntaxError: "),
        "{compiled:?}"
    );
    let owner = built.files.iter().find(|file| file.path.as_str() == made[2]).unwrap();
    assert_eq!(owner.component.as_str(), "python/shapes");
    let check = built.checks.iter().find(|check| check.name == CheckName::Bytecode).unwrap();
    assert!(matches!(check.outcome, CheckOutcome::Ran { subjects: 3, .. }), "{check:?}");
    let list = String::from_utf8(unpacked(&sandbox, "app")["shapes-1.0.dist-info/RECORD"].2.clone()).unwrap();
    assert!(list.contains("shapes/__pycache__/__init__.cpython-313.pyc,sha256="), "{list}");
    sandbox.kiln().run(["verify", "dist/app/app.zip"]).ends_with(exit::SUCCESS);
}

/// A layer with these requirements and rest of its manifest.
pub(crate) fn layer(sandbox: &Sandbox, name: &str, requirements: &str, rest: &str) {
    let lock = match requirements.is_empty() {
        true => String::new(),
        false => format!("\n[python]\nlock = \"{name}/requirements.txt\"\n"),
    };
    sandbox.write(&format!("manifests/{name}/requirements.txt"), requirements);
    sandbox.write(
        &format!("manifests/{name}.toml"),
        format!(
            "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
             \"x86_64\"\n{lock}{rest}"
        ),
    );
}

#[test]
fn bytecode_of_a_layer_names_the_place_where_the_layer_is() {
    let tool = wheel("tool", "1.0", "py3-none-any", &[], &[("tool.py", b"def f():\n    pass\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&tool));
    let sandbox = Sandbox::new().with_index(&index);
    layer(&sandbox, "tools", &tool.requirement(""), "\n[package]\nbytecode = \"unchecked-hash\"\n");
    let code = format!(
        "{REFUSE_TO_COMPILE}import tool\nassert tool.f.__code__.co_filename == '/opt/python/tool.py'{HANDLER}"
    );
    sandbox.function("app", "3.13", &code, "");
    sandbox.replace("manifests/app.toml", "handler =", "layers = [\"tools\"]\nhandler =");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert!(paths(&record(&sandbox, "tools")).contains(&"python/__pycache__/tool.cpython-313.pyc"));
    // The layer is unchanged, and comes out the same when it is collected again for the function.
    sandbox.append("manifests/app/src/app.py", "\nMORE = 1\n");
    let again = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).endings();
    assert_eq!((again["tools"].as_str(), again["app"].as_str()), ("unchanged", "published"));
}

#[test]
fn layers_that_hide_one_another_are_told_with_their_versions() {
    let old = wheel("shapes", "2.9", "py3-none-any", &[], &[("shapes.py", b"V = '2.9'\n")]);
    let new = wheel("shapes", "2.11", "py3-none-any", &[], &[("shapes.py", b"V = '2.11'\n")]);
    let index = LocalIndex::serve(&[old.clone(), new.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    layer(&sandbox, "first", &old.requirement(""), "");
    layer(&sandbox, "second", &new.requirement(""), "\n[source]\npath = \"second/src\"\n");
    sandbox.write("manifests/second/src/shared.py", "SIDE = 'layer'\n");
    let code =
        format!("import shapes, shared\nassert shapes.V == '2.11' and shared.SIDE == 'function'{HANDLER}");
    sandbox.function("app", "3.13", &code, &new.requirement(""));
    sandbox.write("manifests/app/src/shared.py", "SIDE = 'function'\n");
    sandbox.replace("manifests/app.toml", "handler =", "layers = [\"first\", \"second\"]\nhandler =");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).says(&[
        "warn[layer-overlap] app: shapes",
        "1 file has other content in the layer second (with shapes 2.11) than in first (with shapes 2.9), which is named \
         earlier: the later one wins",
        "python/shapes.py",
        "warn[layer-shadowed] app: shared",
        "app has `shared` of app, and its layer second has it with other content: the function's own is imported",
    ]).documents("warn[layer-overlap] app: shapes");

    sandbox.replace("manifests/app.toml", "[\"first\", \"second\"]", "[\"first\"]");
    sandbox
        .kiln()
        .run(["build", "app"])
        .ends_with(exit::SUCCESS)
        .says(&[
            "warn[layer-shadowed] app: shapes",
            "app ships shapes 2.11, and its layer first has shapes 2.9: the function's own is imported",
            "→ lock shapes 2.9 for the function",
        ])
        .documents("warn[layer-shadowed] app: shapes");
}

#[test]
fn a_layer_for_another_runtime_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.11", HANDLER, "");
    sandbox.replace("manifests/app.toml", "handler =", "layers = [\"tools\"]\nhandler =");
    layer(&sandbox, "tools", "", "\n[source]\npath = \"tools\"\n");
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["the layer `tools` is for python3.13 on x86_64, this function for python3.11 on x86_64"]);
}

#[test]
fn a_layers_own_files_go_where_the_manifest_says() {
    let sandbox = Sandbox::new();
    for (name, into, expected) in [
        ("modules", "", "python/x.txt"),
        ("libraries", "into = \"lib\"\n", "lib/x.txt"),
        ("commands", "into = \"bin\"\n", "bin/x.txt"),
        ("root", "into = \".\"\n", "x.txt"),
    ] {
        layer(&sandbox, name, "", &format!("\n[source]\npath = \"{name}/src\"\n{into}"));
        sandbox.write(&format!("manifests/{name}/src/x.txt"), name);
        sandbox.kiln().run(["build", name]).ends_with(exit::SUCCESS);
        assert_eq!(paths(&record(&sandbox, name)), [expected]);
    }
    sandbox.replace("manifests/root.toml", "into = \".\"", "into = \"../up\"");
    sandbox
        .kiln()
        .run(["build", "root"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`source.into`: `../up` is not a path"]);
}

#[test]
fn what_an_artifact_should_not_hold() {
    let orphan = wheel(
        "orphan",
        "1.0",
        "py3-none-any",
        &[],
        &[("orphan/secret.pyc", b"x"), ("orphan/__init__.py", b"")],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&orphan));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", HANDLER, &orphan.requirement(""));
    let key = format!("AKIA{}", "QWERTZUIOPASDFGH");
    sandbox.write("manifests/app/src/settings.py", format!("REGION = 'eu-central-1'\nKEY = '{key}'\n"));
    sandbox.write("manifests/app/src/run.sh", "#!/bin/sh\nexec /home/alice/venv/bin/python app.py\n");
    let all = sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).says(&[
        "warn[credential-leak] app: settings.py line 2 holds an AWS access key id (AKIA…)",
        "warn[build-path-leak] app: run.sh line 2 names `/home/alice`, a folder of the machine that it was made on",
        "warn[bytecode-without-source] app: orphan 1 bytecode file of orphan have no source: orphan/secret.pyc",
    ]).documents("warn[credential-leak] app").documents("warn[build-path-leak] app").documents("warn[bytecode-without-source] app");
    all.does_not_say(&key);
    let written = String::from_utf8(sandbox.read("dist/app/record.json")).unwrap();
    assert!(!written.contains(&key), "the record does not repeat it");
}

/// One library, three files: what some tools make of the links that shared libraries come with.
#[test]
fn azul_3329_links_that_became_copies_are_noticed() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", HANDLER, "");
    let library: Vec<u8> = (0..120_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for name in ["libazul.so", "libazul.so.1", "libazul.so.1.3"] {
        sandbox.write(&format!("manifests/app/src/lib/{name}"), &library);
    }
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).says(&["1 note"]);
    sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).prints(&[
        "note[duplicate-content] lib/libazul.so: the same 117.2 KiB are there 3 times, which costs 234.4 KiB: lib/libazul.so, \
         lib/libazul.so.1, lib/libazul.so.1.3",
    ]).documents("note[duplicate-content] lib/libazul.so");
}

/// SAM copied links as files, and a later release as links that led nowhere.
#[test]
fn aws_sam_cli_477_links_stay_links() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", HANDLER, "");
    sandbox.write("manifests/app/src/lib/libx.so.1", "library");
    symlink("libx.so.1", sandbox.path("manifests/app/src/lib/libx.so")).unwrap();
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let files = unpacked(&sandbox, "app");
    assert_eq!(files["lib/libx.so"], (0o777, true, b"libx.so.1".to_vec()));
    assert_eq!(record(&sandbox, "app").findings, []);

    sandbox.append("manifests/app.toml", "\n[package]\nexclude = [\"lib/libx.so.1\"]\n");
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::SUCCESS)
        .says(&[
            "warn[dangling-link] app: lib/libx.so",
            "the link leads to `lib/libx.so.1`, which is not in the artifact",
        ])
        .documents("warn[dangling-link] app");
}

/// Lambda runs as another user: a file that only its owner's group can read cannot be imported there.
#[test]
fn terraform_aws_lambda_8_files_become_readable_for_everybody() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", &format!("import private{HANDLER}"), "");
    sandbox.write("manifests/app/src/private.py", "");
    sandbox.write("manifests/app/src/tool", "#!/bin/sh\n");
    for (name, mode) in [("private.py", 0o660), ("app.py", 0o600), ("tool", 0o777)] {
        let path = sandbox.path(&format!("manifests/app/src/{name}"));
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let modes: Vec<(String, u32)> =
        unpacked(&sandbox, "app").into_iter().map(|(path, (mode, ..))| (path, mode)).collect();
    let expected = [("app.py", Mode::Plain), ("private.py", Mode::Plain), ("tool", Mode::Executable)];
    assert_eq!(modes, expected.map(|(path, mode)| (path.to_owned(), mode.bits())));
}

/// Two wheels with `tests/__init__.py` each: whichever is installed last wins with aws-lambda-builders. What is left out
/// by a rule collides with nothing.
#[test]
fn aws_lambda_builders_two_wheels_with_top_level_tests() {
    let [one, two] = ["one", "two"].map(|name| {
        let module = format!("{name}.py");
        wheel(name, "1.0", "py3-none-any", &[], &[(&module, b""), ("tests/__init__.py", name.as_bytes())])
    });
    let index = LocalIndex::serve(&[one.clone(), two.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", HANDLER, &(one.requirement("") + &two.requirement("")));
    sandbox
        .denied()
        .says(&[
            "deny[path-collision] app: tests/__init__.py",
            "one 1.0 and two 1.0 both bring it, with different content",
        ])
        .documents("deny[path-collision] app: tests/__init__.py");
    sandbox.append("manifests/app.toml", "\n[package]\ndrop = [\"docs\"]\n");
    sandbox.denied().says(&["deny[path-collision] app: tests/__init__.py"]);
    sandbox.replace("manifests/app.toml", "docs", "tests");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert!(paths(&record(&sandbox, "app")).iter().all(|path| !path.starts_with("tests/")));
}

/// serverless-python-requirements removed `.dist-info` to save space, and with it what `importlib.metadata` reads.
#[test]
fn serverless_python_requirements_441_entry_points_work_when_everything_is_dropped() {
    let api = wheel(
        "api",
        "1.2",
        "py3-none-any",
        &[],
        &[
            ("api/__init__.py", b""),
            ("api/context.py", b"class Context:\n    pass\n"),
            ("api/tests/test_context.py", b""),
            ("api-1.2.dist-info/entry_points.txt", b"[telemetry_context]\ndefault = api.context:Context\n"),
            ("api-1.2.dist-info/INSTALLER", b"pip"),
        ],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&api));
    let sandbox = Sandbox::new().with_index(&index);
    let code = format!(
        "from importlib.metadata import entry_points, version\n\
         (found,) = entry_points(group='telemetry_context', name='default')\n\
         assert found.load().__name__ == 'Context'\nassert version('api') == '1.2'{HANDLER}"
    );
    sandbox.function("app", "3.13", &code, &api.requirement(""));
    sandbox.append(
        "manifests/app.toml",
        "\n[package]\nexclude = [\"**/*.txt\"]\ndrop = [\"tests\", \"docs\", \"type-stubs\", \"headers\", \
         \"static-libraries\", \"native-sources\"]\nstrip = \"symbols\"\nbytecode = \"unchecked-hash\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let built = record(&sandbox, "app");
    let there = paths(&built);
    assert!(
        there.contains(&"api-1.2.dist-info/entry_points.txt")
            && !there.contains(&"api-1.2.dist-info/INSTALLER")
    );
    assert_eq!(rule(&built, "drop-tests").files, 1);
}
