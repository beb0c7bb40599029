//! What was asked of a check and has not changed is not asked again; and what may have changed is.

use crate::harness::{LocalIndex, Sandbox, WheelFile, wheel};
use kiln_record::exit;
use serde_json::Value;
use std::path::{Path, PathBuf};

const HANDLER: &str = "\n\ndef handler(event, context):\n    return None\n";

/// A workspace of functions by name, each with its code and the distributions of its lock.
fn workspace(index: &LocalIndex, functions: &[(&str, &str, &[&WheelFile])]) -> Sandbox {
    let sandbox = Sandbox::new().with_index(index);
    for (name, code, wheels) in functions {
        let requirements: String = wheels.iter().map(|wheel| wheel.requirement("")).collect();
        sandbox.function(name, "3.13", &format!("{code}{HANDLER}"), &requirements);
    }
    sandbox
}

/// What a build says of each artifact.
fn told(json: &Value) -> Vec<String> {
    json["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let findings = row["findings"].as_array().unwrap().iter();
            let codes: Vec<&str> = findings.map(|finding| finding["code"].as_str().unwrap()).collect();
            format!(
                "{}: {} {}",
                row["artifact"].as_str().unwrap(),
                row["ending"].as_str().unwrap(),
                codes.join(" ")
            )
        })
        .collect()
}

#[test]
fn a_build_without_an_engine_is_the_same_where_nothing_changed() {
    let shapes = wheel("shapes", "1.0", "py3-none-any", &[], &[("shapes.py", b"def circle():\n    pass\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let sandbox = workspace(&index, &[("app", "import shapes, time, os\nwhen = time.time()", &[&shapes])]);
    let fresh = tempfile::tempdir().unwrap();
    let kiln = sandbox.kiln().with_store(fresh.path());
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    let asked = sandbox.dist();
    let nowhere = LocalIndex::empty();
    let without = kiln.clone().with_variable("DOCKER_HOST", &nowhere.url().replace("http://", "tcp://"));
    without.run(["build", "app", "--force"]).ends_with(exit::SUCCESS).says(&["published"]);
    assert_eq!(nowhere.requests(), 0, "no engine was asked");
    assert!(sandbox.dist() == asked, "what was remembered gives the bytes that asking gave");
    without.run(["build", "app", "--check-again"]).ends_with(exit::ENGINE_UNAVAILABLE);
    kiln.run(["build", "app", "--check-again"]).ends_with(exit::SUCCESS).says(&["published"]);
    assert!(sandbox.dist() == asked, "and so does asking again");
}

/// Each function could be imported; then something changes that decides whether it can be. A build that may remember and
/// one that may not say the same.
#[test]
fn nothing_that_decides_an_import_passes_for_unchanged() {
    let inner = wheel("inner", "1.0", "py3-none-any", &[], &[("inner.py", b"value = 1\n")]);
    let outer =
        wheel("outer", "1.0", "py3-none-any", &["inner"], &[("outer.py", b"from inner import value\n")]);
    let plug = b"try:\n    import local_settings\nexcept ImportError:\n    pass\n";
    let plug = wheel("plug", "1.0", "py3-none-any", &[], &[("plug.py", plug)]);
    let reads = b"import os\nif os.path.exists('/var/task/deny'):\n    raise RuntimeError('denied')\n";
    let reads = wheel("reads", "1.0", "py3-none-any", &[], &[("reads.py", reads)]);
    let space = wheel("space-one", "1.0", "py3-none-any", &[], &[("space/one.py", b"")]);
    let data = |text: &[u8]| {
        let code = b"import pathlib\nassert pathlib.Path(__file__).with_name('data').read_text() == 'good'\n";
        wheel("native", "1.0", "py3-none-any", &[], &[("native/__init__.py", code), ("native/data", text)])
    };
    let (good, bad) = (data(b"good"), data(b"bad"));
    let wheels = [&inner, &outer, &plug, &reads, &space, &good, &bad];
    let index = LocalIndex::serve(&wheels[..6].iter().map(|wheel| (*wheel).clone()).collect::<Vec<_>>());
    let hook = "import sys, pathlib\n\n\nclass Hook:\n    def find_spec(self, name, path=None, target=None):\n        \
                if name == 'virtual' and pathlib.Path('/var/task/rules').read_text() != 'allow':\n            \
                raise ImportError(name)\n\n\nsys.meta_path.insert(0, Hook())\ntry:\n    import virtual\nexcept ModuleNotFoundError:\n    \
                pass";
    let functions: &[(&str, &str, &[&WheelFile])] = &[
        ("data", "assert open('/var/task/state').read() == 'good'", &[]),
        ("hook", hook, &[]),
        ("namespace", "import space.one", &[&space]),
        ("optional", "import plug", &[&plug]),
        ("probing", "import reads", &[&reads]),
        ("shadowed", "", &[&inner, &outer]),
        ("variable", "import os\nassert os.environ['MODE'] == 'good'", &[]),
        ("wheel", "import native", &[&good]),
    ];
    let sandbox = workspace(&index, functions);
    sandbox.write("manifests/data/src/state", "good");
    sandbox.write("manifests/hook/src/rules", "allow");
    sandbox.append("manifests/variable.toml", "\n[check]\nenv = { MODE = \"good\" }\n");
    let build = |sandbox: &Sandbox, arguments: &[&str]| {
        let all = [&["build", "--all", "--format", "json"], arguments].concat();
        told(&sandbox.kiln().run(all).json())
    };
    for line in build(&sandbox, &[]) {
        assert!(line.contains(": published"), "{line}");
    }

    sandbox.write("manifests/data/src/state", "bad");
    sandbox.write("manifests/hook/src/rules", "deny");
    sandbox.write("manifests/namespace/src/space/two.py", "raise RuntimeError\n");
    sandbox.write("manifests/optional/src/local_settings.py", "raise RuntimeError\n");
    sandbox.write("manifests/probing/src/deny", "");
    sandbox.write("manifests/shadowed/src/inner.py", "");
    sandbox.replace("manifests/variable.toml", "MODE = \"good\"", "MODE = \"bad\"");
    sandbox.write("manifests/wheel/requirements.txt", bad.requirement(""));
    let index = LocalIndex::serve(std::slice::from_ref(&bad));
    sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    let other = sandbox.copy();
    let remembering = build(&sandbox, &[]);
    for line in &remembering {
        assert!(line.contains(": denied"), "{line}");
    }
    assert_eq!(remembering, build(&other, &["--check-again"]));
    // And back: what was found wrong is not remembered as wrong.
    sandbox.write("manifests/data/src/state", "good").append("manifests/data/src/app.py", "# A remark.\n");
    let outcome = sandbox.kiln().run(["build", "data", "--format", "json"]).json();
    assert_eq!(told(&outcome), ["data: published "]);
}

/// What files compile to is given to the next check, which can see it there; and it is nobody's answer: what was damaged in the store,
/// or is of another file, is not used.
#[test]
fn what_files_compile_to_is_handed_on_and_decides_nothing() {
    let module = |text: &'static [u8]| {
        wheel(
            "shapes",
            "1.0",
            "py3-none-any",
            &[],
            &[("shapes/__init__.py", b""), ("shapes/round.py", text), ("shapes/square.py", b"side = 1\n")],
        )
    };
    let (shapes, broken) = (module(b"circle = 1\n"), module(b"circle = 2 / 0\n"));
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let code = "import shapes.round, email.message, os\n";
    let sandbox = workspace(&index, &[("app", code, &[&shapes])]);
    let store = tempfile::tempdir().unwrap();
    let kiln = sandbox.kiln().with_store(store.path());
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    let kept = || files_below(&store.path().join("cache/import-bytecode"));
    assert_eq!(kept().len(), 2, "of the base, and of the trees");

    let given = "if os.path.isdir('/var/kiln-compiled'):\n    raise RuntimeError('it was given ' + ' '.join(os.listdir('/var/kiln-compiled')))\n";
    sandbox.write("manifests/app/src/app.py", format!("{code}{given}{HANDLER}"));
    let denied = kiln.run(["build", "app"]);
    denied.ends_with(exit::FINDINGS_DENIED).says(&["it was given", "base-0", "trees-0"]);
    kiln.run(["build", "app", "--check-again"]).ends_with(exit::SUCCESS);

    // The same function with other code, after the handler's submodule was told of, too; once with all that was kept damaged.
    sandbox.write("manifests/app/src/app.py", format!("{code}import shapes.square\n{HANDLER}"));
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    let asked = sandbox.dist();
    let pool = files_below(&store.path().join("unpacked/files"));
    let damaged = pool.iter().filter(|file| {
        let bytes = fs_err::read(file).unwrap();
        let is_told = bytes.windows(10).any(|some| some == b"/shapes/ro")
            || bytes.windows(9).any(|some| some == b"/email/me");
        is_told.then(|| fs_err::write(file, b"what was kept").unwrap()).is_some()
    });
    assert!(damaged.count() > 0, "what was kept is in the pool");
    sandbox.append("manifests/app/src/app.py", "# A remark.\n");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox.write("manifests/app/src/app.py", format!("{code}import shapes.square\n{HANDLER}"));
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    assert!(sandbox.dist() == asked, "what was damaged is not used, and nothing depends on it");

    let index = LocalIndex::serve(std::slice::from_ref(&broken));
    sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    sandbox.write("manifests/app/requirements.txt", broken.requirement(""));
    kiln.run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(&["division by zero"]);
}

/// Many modules are tried in two containers, and nothing of that can be told from what is said of them.
#[test]
fn many_modules_are_told_as_few_are() {
    let many = |last: &'static [u8]| {
        let names: Vec<String> = (0..9).map(|number| format!("part{number}.py")).collect();
        let mut files: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), &b"value = 1\n"[..])).collect();
        files.push(("part9.py", last));
        wheel("many", "1.0", "py3-none-any", &[], &files)
    };
    let (good, bad) = (many(b"import part1, part2\n"), many(b"import part1\nvalue = 1 / 0\n"));
    let index = LocalIndex::serve(std::slice::from_ref(&good));
    let sandbox = workspace(&index, &[("app", "import part4", &[&good])]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let first = sandbox.dist();
    sandbox.kiln().run(["build", "app", "--check-again"]).ends_with(exit::SUCCESS);
    assert!(sandbox.dist() == first);
    let index = LocalIndex::serve(std::slice::from_ref(&bad));
    sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    sandbox.write("manifests/app/requirements.txt", bad.requirement(""));
    sandbox
        .kiln()
        .run(["build", "app"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["part9", "division by zero"]);
}

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
