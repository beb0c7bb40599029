//! Why something is in an artifact, and why it is not: what `kiln explain` says before and after a build.

use crate::harness::{LocalIndex, Sandbox, WheelFile, poetry_lock, wheel};
use kiln_record::exit;
use serde_json::Value;

const CODE: &str = "import outer\n\ndef handler(event, context):\n    return outer.VALUE\n";

fn outer_and_inner() -> [WheelFile; 2] {
    // No store that tests share has seen this content.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let code = format!("VALUE = 1\nMADE_AT = {now}\n");
    let inner = wheel("inner", "1.0", "py3-none-any", &[], &[("inner/__init__.py", code.as_bytes())]);
    let outer =
        wheel("outer", "2.0", "py3-none-any", &["inner"], &[("outer.py", b"from inner import VALUE\n")]);
    [inner, outer]
}

/// The lock was made for Python 3.12, the base has 3.13, and an installer would have skipped everything and succeeded.
#[test]
fn a_lock_for_another_python_is_explained_on_one_screen() {
    let wheels = outer_and_inner();
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let lock: String = wheels.iter().map(|file| file.requirement("python_version == \"3.12\"")).collect();
    sandbox.function("app", "3.13", CODE, &lock);
    let overview = sandbox.kiln().run(["explain", "app"]).ends_with(exit::SUCCESS);
    for line in [
        "app python3.13 on x86_64, base python-3.13 with Python 3.13",
        "lock manifests/app/requirements.txt; not built yet",
        "inner 1.0 yes yes - not built not built marker `python_version == \"3.12\"` is false (python_version = \"3.13\")",
    ] {
        let shown = overview.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let overview = overview
        .says(&["deny[declared-not-installed] app: inner"])
        .documents("deny[declared-not-installed] app: inner");
    assert!(overview.stdout.lines().count() < 24, "{}", overview.stdout);
    let one = sandbox.kiln().run(["explain", "app", "Outer"]).ends_with(exit::SUCCESS).stdout;
    for line in [
        "left out     marker `python_version == \"3.12\"` is false (python_version = \"3.13\")",
        "locked       manifests/app/requirements.txt:3",
        "marker       python_version == \"3.12\" is false (python_version = \"3.13\")",
    ] {
        assert!(one.contains(line), "{line}: {one}");
    }
}

#[test]
fn what_is_in_is_traced_from_what_was_asked_for_to_the_bytes() {
    let wheels = outer_and_inner();
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let lock: String = wheels.iter().map(|file| file.requirement("")).collect();
    sandbox.function("app", "3.13", CODE, &lock);
    let explain = |what: &str| sandbox.kiln().run(["explain", "app", what]).ends_with(exit::SUCCESS).stdout;
    let before = index.requests();
    assert!(explain("inner").contains("wheel        not fetched yet: kiln build brings it"));
    assert_eq!(index.requests(), before, "explaining fetches nothing");

    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let inner = explain("inner");
    for line in [
        "in           the lock has it, and the target needs it",
        "needed by    outer → inner",
        "wheel        inner-1.0-py3-none-any.whl",
        "chosen by    the tag py3-none-any",
        "installed    yes (built as app@1)",
        "importable   yes",
    ] {
        assert!(inner.contains(line), "{line}: {inner}");
    }
    for (what, line) in [
        ("inner/__init__.py", "comes from   installed from inner-1.0-py3-none-any.whl"),
        ("outer.py", "belongs to   python/outer"),
        ("app", "comes from   the artifact's own file, below manifests/app/src"),
    ] {
        let shown = explain(what);
        assert!(shown.contains(line), "{what}: {shown}");
    }
    sandbox.kiln().run(["explain", "app", "iner"]).ends_with(exit::INPUT_INVALID).says(&["`iner`"]);
    sandbox.append("manifests/app/src/app.py", "\n# later\n");
    assert!(explain("inner").contains("last built as app@1, and changed since"));

    let json: Value =
        sandbox.kiln().run(["explain", "app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let row = json["distributions"].as_array().unwrap().iter().find(|row| row["name"] == "inner").unwrap();
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "chain",
            "declared",
            "fetched",
            "gap",
            "importable",
            "installed",
            "locked",
            "markers",
            "name",
            "other_files",
            "parents_left_out",
            "reason",
            "required_by",
            "unnamed_files",
            "version"
        ]
    );
    assert_eq!(row["chain"], serde_json::json!(["outer", "inner"]));
    assert_eq!(row["fetched"]["file_name"], "inner-1.0-py3-none-any.whl");
}

#[test]
fn what_is_left_out_says_by_whom_and_who_went_before_it() {
    let [inner, outer] = outer_and_inner();
    let index = LocalIndex::serve(&[inner.clone(), outer.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.append("manifests/app.toml", "\n[python]\nlock = \"app/uv.lock\"\nexclude = [\"outer\"]\n");
    sandbox.write(
        "manifests/app/pyproject.toml",
        "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.13\"\ndependencies = [\"outer\"]\n",
    );
    let package = |file: &WheelFile, rest: &str| {
        format!(
            "[[package]]\nname = \"{}\"\nversion = \"{}\"\nsource = {{ registry = \"https://index.example/simple\" }}\n{rest}wheels = \
             [{{ url = \"https://index.example/{}\", hash = \"sha256:{}\" }}, {{ url = \
             \"https://index.example/{}-{}-cp312-cp312-win_amd64.whl\", hash = \"sha256:{}\" }}]\n\n",
            file.name(),
            file.version(),
            file.file_name,
            file.digest().hex(),
            file.name(),
            file.version(),
            "0".repeat(64)
        )
    };
    let lock = format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.13\"\n\n[[package]]\nname = \"app\"\nversion = \"1\"\nsource = {{ virtual = \
         \".\" }}\ndependencies = [{{ name = \"outer\" }}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"outer\" }}]\n\n{}{}",
        package(&inner, ""),
        package(&outer, "dependencies = [{ name = \"inner\" }]\n"),
    );
    sandbox.write("manifests/app/uv.lock", lock);
    let overview = sandbox.kiln().run(["explain", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(
        overview.contains(
            "required by nothing that is installed; required by what is left out: outer (excluded by the manifest)"
        ),
        "{overview}"
    );
    sandbox.replace("manifests/app.toml", "\nexclude = [\"outer\"]", "");
    let inner = sandbox.kiln().run(["explain", "app", "inner"]).ends_with(exit::SUCCESS).stdout;
    assert!(inner.contains("needed by    outer → inner"), "{inner}");
    assert!(
        inner.contains("not taken    inner-1.0-cp312-cp312-win_amd64.whl: it is for none of: cp313"),
        "{inner}"
    );

    // Before anything is fetched: the lock names the files, and none of them fits.
    let lock = String::from_utf8(sandbox.read("manifests/app/uv.lock")).unwrap();
    sandbox.write(
        "manifests/app/uv.lock",
        lock.replace("inner-1.0-py3-none-any.whl", "inner-1.0-cp312-none-any.whl"),
    );
    let cold = sandbox.folder().join("cold");
    let inner =
        sandbox.kiln().with_store(&cold).run(["explain", "app", "inner"]).ends_with(exit::SUCCESS).stdout;
    assert!(inner.contains("no wheel fits: there are cp312-none-any, cp312-cp312-win_amd64"), "{inner}");
}

/// A lock with one version for each Python: the one that is not for this Python is not missing.
#[test]
fn one_version_stands_for_another() {
    let versions = ["1.0", "2.0"].map(|version| {
        let content = format!("VERSION = \"{version}\"\n").into_bytes();
        wheel("dual", version, "py3-none-any", &[], &[("dual.py", &content)])
    });
    let index = LocalIndex::serve(&versions);
    let lock = versions[0].requirement("python_version < '3.13'")
        + &versions[1].requirement("python_version >= '3.13'");
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "import dual\n\ndef handler(event, context):\n    return dual.VERSION\n",
        &lock,
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let told = sandbox.kiln().run(["explain", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(told.contains("replaced by 2.0: marker `python_version < '3.13'` is false"), "{told}");
}

/// Conditions are asked with what a build asks them with: groups that the lock chooses by itself, and the extras of whoever
/// requires something.
#[test]
fn conditions_hold_for_explain_as_they_do_for_a_build() {
    let wheels = [wheel("grouped", "1.0", "py3-none-any", &[], &[("grouped.py", b"")])];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox.append("manifests/app.toml", "\n[python]\nlock = \"app/pylock.toml\"\n");
    sandbox.write(
        "manifests/app/pylock.toml",
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\ndependency-groups = [\"base\"]\ndefault-groups = \
             [\"base\"]\n\n[[packages]]\nname = \"grouped\"\nversion = \"1.0\"\nmarker = \"'base' in \
             dependency_groups\"\nwheels = [{{ name = \"{}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            wheels[0].file_name,
            wheels[0].digest().hex()
        ),
    );
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let told =
        sandbox.kiln().run(["explain", "app", "grouped", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(told[0]["markers"][0]["value"], true, "{told}");
}

/// Some releases have sixty wheels: the one that is for another C library alone comes first, wherever its name sorts.
#[test]
fn of_many_wheels_those_come_first_that_come_closest() {
    let sandbox = Sandbox::new();
    let mut files = String::new();
    for (number, tags) in
        (0..)
            .zip((8..14).flat_map(|minor| {
                ["macosx_11_0_arm64", "win_amd64", "musllinux_1_2_x86_64"].map(|p| (minor, p))
            }))
            .map(|(number, (minor, platform))| (number, format!("cp3{minor}-cp3{minor}-{platform}")))
            .chain([(90, "cp313-cp313-manylinux_2_39_x86_64".to_owned())])
    {
        files.push_str(&format!(
            "{{file = \"many-1.0-{tags}.whl\", hash = \"sha256:{}\"}},\n",
            format!("{number:02}").repeat(32)
        ));
    }
    let project = "[tool.poetry]\nname = \"app\"\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \
                   \">=3.11\"\nmany = \"1.0\"\n";
    let lock = poetry_lock(project, &[]);
    let lock = format!(
        "[[package]]\nname = \"many\"\nversion = \"1.0\"\noptional = false\npython-versions = \">=3.8\"\ngroups = \
         [\"main\"]\nfiles = [\n{files}]\n\n{lock}"
    );
    sandbox.poetry_function("app", "3.13", "def handler(event, context):\n    return 1\n", project, &lock);
    let told = sandbox.kiln().run(["explain", "app", "many"]).ends_with(exit::SUCCESS);
    let place = |tags: &str| told.stdout.find(tags).unwrap_or(usize::MAX);
    assert!(place("manylinux_2_39") < place("macosx_11_0"), "{told}");
    told.prints(&["and 14 more", "one needs glibc 2.39"]);
}
