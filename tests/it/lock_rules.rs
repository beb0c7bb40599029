//! What a lock says beyond names and versions: releases of Python, requirements between distributions, the project itself.

use crate::harness::{LocalIndex, Sandbox, WheelFile, poetry_lock, wheel};
use kiln_record::exit;

const CODE: &str = "def handler(event, context):\n    return None\n";

fn module(name: &str, version: &str, requires: &[&str]) -> WheelFile {
    wheel(name, version, "py3-none-any", requires, &[(&format!("{name}.py"), b"")])
}

/// The distributions in the newest record of `app`.
fn installed(sandbox: &Sandbox) -> Vec<String> {
    let shown = sandbox.kiln().run(["show", "app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let components = shown["components"].as_array().unwrap().iter();
    components
        .filter_map(|component| component["id"].as_str()?.strip_prefix("python/"))
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn the_release_of_the_runtime_decides_and_not_that_of_the_base() {
    let wheels = [module("late", "1.0", &[]), module("early", "1.0", &[])];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let lock = wheels[0].requirement("python_full_version >= \"3.11.4\"")
        + &wheels[1].requirement("python_full_version < \"3.11.4\"");
    sandbox.function("app", "3.11", CODE, &lock);
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::SUCCESS)
        .says(&["it holds for the base, Python 3.11.2", "python3.11 has Python 3.11."])
        .documents("warn[patch-level-decides] app: early");
    assert_eq!(installed(&sandbox), ["late"]);

    sandbox.append(
        "kiln.toml",
        "\n[[runtime]]\nname = \"python3.11\"\npython = \"3.11.3\"\nreason = \"our account\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert_eq!(installed(&sandbox), ["early"]);
}

#[test]
fn locked_versions_that_contradict_each_other_are_denied() {
    let wheels = [module("user", "1.0", &["library<2"]), module("library", "2.0", &[])];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &(wheels[0].requirement("") + &wheels[1].requirement("")));
    sandbox
        .denied()
        .says(&["user 1.0 requires `library<2`, but `library==2.0`"])
        .documents("deny[requirement-conflict] app: library");
    sandbox
        .kiln()
        .run(["explain", "app", "library"])
        .ends_with(exit::SUCCESS)
        .prints(&["no build can bring it as it is: user 1.0 requires `library<2`"]);
}

#[test]
fn a_lock_of_which_nothing_is_chosen_is_told() {
    let tool = module("tool", "1.0", &[]);
    let index = LocalIndex::serve(std::slice::from_ref(&tool));
    let sandbox = Sandbox::new().with_index(&index);
    let project = "[tool.poetry]\nname = \"app\"\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \
                   \">=3.11\"\n\n[tool.poetry.group.dev.dependencies]\ntool = \"^1\"\n";
    let lock = poetry_lock(project, &[(&tool, "groups = [\"dev\"]")]);
    sandbox.poetry_function("app", "3.13", CODE, project, &lock);
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::SUCCESS)
        .says(&["groups that need them: dev"])
        .documents("warn[nothing-selected] app: manifests/app/poetry.lock");
    assert_eq!(installed(&sandbox), Vec::<String>::new());
}

#[test]
fn the_project_of_a_lock_is_installed_when_the_manifest_says_so() {
    let index = LocalIndex::empty();
    let sandbox = Sandbox::new().with_index(&index);
    let project = "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\nname = \
                   \"shared\"\nversion = \"1.4\"\nrequires-python = \">=3.11\"\n";
    sandbox.write("manifests/app/pyproject.toml", project);
    sandbox.write("manifests/app/shared/__init__.py", "");
    sandbox.write(
        "manifests/app/uv.lock",
        "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"shared\"\nversion = \
         \"1.4\"\nsource = { editable = \".\" }\n",
    );
    sandbox.write(
        "manifests/app.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
         \"amd64\"\n\n[python]\nlock = \"app/uv.lock\"\n",
    );
    sandbox
        .kiln()
        .run(["build", "--all"])
        .says(&["install-project = true under [python]"])
        .documents("warn[project-left-out] app: shared");
    sandbox.append("manifests/app.toml", "install-project = true\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).does_not_say("project-left-out");
    assert_eq!(installed(&sandbox), ["shared"]);
}

#[test]
fn a_wheel_with_a_wrong_record_is_taken_by_a_reviewed_exception() {
    let record =
        b"odd.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\nodd-1.0.dist-info/METADATA,,\n\
                   odd-1.0.dist-info/WHEEL,,\nodd-1.0.dist-info/RECORD,,\n";
    let files: [(&str, &[u8]); 2] = [("odd.py", b"import os\n"), ("odd-1.0.dist-info/RECORD", record)];
    let odd = wheel("odd", "1.0", "py3-none-any", &[], &files);
    let index = LocalIndex::serve(std::slice::from_ref(&odd));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "import odd\n\ndef handler(event, context):\n    return None\n",
        &odd.requirement(""),
    );
    let exception = |until: &str| {
        format!(
            "\n[[policy.exception]]\ncode = \"record-mismatch\"\nsubject = \"odd\"\nreason = \"repacked by its \
             publisher\"\nuntil = \"{until}\"\n"
        )
    };
    let manifest = sandbox.read("manifests/app.toml");
    sandbox.append("manifests/app.toml", &exception("2020-01-31"));
    sandbox.denied().says(&["record-mismatch", "2020-01-31"]);
    sandbox.write("manifests/app.toml", manifest);
    sandbox.append("manifests/app.toml", &exception("2999-12-31"));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let record = String::from_utf8(sandbox.read("dist/app/record.json")).unwrap();
    assert!(record.contains("record-mismatch") && record.contains("repacked by its publisher"), "{record}");
    assert_eq!(installed(&sandbox), ["odd"]);
}

/// uv#20238: one lock for a workspace whose top is no project, and a function for each of its members.
#[test]
fn a_member_of_a_workspace_is_chosen_by_its_project_file() {
    let wheels = [module("one", "1.0", &[]), module("two", "1.0", &[])];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let mut lock =
        "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[manifest]\nmembers = [\"orders\", \
                    \"shared\", \"users\"]\n"
            .to_owned();
    for (name, folder, requires) in [
        ("orders", "fns/orders", &["shared", "one"][..]),
        ("users", "fns/users", &["shared", "two"]),
        ("shared", "libs/shared", &[]),
    ] {
        let quoted: Vec<String> = requires.iter().map(|name| format!("\"{name}\"")).collect();
        let project = format!(
            "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\nname = \
             \"{name}\"\nversion = \"0.1.0\"\nrequires-python = \">=3.11\"\ndependencies = [{}]\n\n[tool.uv.sources]\nshared = \
             {{ workspace = true }}\n",
            quoted.join(", ")
        );
        sandbox.write(&format!("repo/{folder}/pyproject.toml"), project);
        let source = |required: &&str| match *required {
            "shared" => "{ name = \"shared\", editable = \"libs/shared\" }".to_owned(),
            other => format!("{{ name = \"{other}\" }}"),
        };
        lock.push_str(&format!(
            "\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\nsource = {{ editable = \"{folder}\" \
             }}\ndependencies = [{}]\n\n[package.metadata]\nrequires-dist = [{}]\n",
            requires.iter().map(|name| format!("{{ name = \"{name}\" }}")).collect::<Vec<_>>().join(", "),
            requires.iter().map(source).collect::<Vec<_>>().join(", "),
        ));
    }
    for wheel in &wheels {
        lock.push_str(&format!(
            "\n[[package]]\nname = \"{}\"\nversion = \"1.0\"\nsource = {{ registry = \"https://index.example/simple\" \
             }}\nwheels = [{{ url = \"https://index.example/{}\", hash = \"sha256:{}\" }}]\n",
            wheel.name(),
            wheel.file_name,
            wheel.digest().hex()
        ));
    }
    sandbox
        .write("repo/uv.lock", lock)
        .write("repo/pyproject.toml", "[tool.uv.workspace]\nmembers = [\"fns/*\", \"libs/*\"]\n")
        .write("repo/libs/shared/shared/__init__.py", "NAME = \"shared\"\n");
    let code = "import one\nimport shared\n\ndef handler(event, context):\n    return shared.NAME\n";
    sandbox.function("app", "3.13", code, "");
    sandbox.append("manifests/app.toml", "\n[python]\nlock = \"../repo/uv.lock\"\n");
    let told = sandbox.denied().says(&[
        "orders (../repo/fns/orders/pyproject.toml), shared (../repo/libs/shared/pyproject.toml), users",
        "such as project = \"../repo/fns/orders/pyproject.toml\"",
    ]);
    drop(told.says(&["deny[nothing-selected] app: repo/uv.lock"]));
    sandbox.append("manifests/app.toml", "project = \"../repo/fns/orders/pyproject.toml\"\n");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("nothing-selected");
    assert_eq!(installed(&sandbox), ["one", "shared"]);
}

/// poetry#4825: the wheel that fits has a weak hash. Its source distribution is not advised: that is code to run.
#[test]
fn a_wheel_that_is_locked_by_md5_alone_is_denied_as_that() {
    let plain = module("plain", "1.0", &[]);
    let index = LocalIndex::serve(std::slice::from_ref(&plain));
    let sandbox = Sandbox::new().with_index(&index);
    let project = "[tool.poetry]\nname = \"app\"\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \
                   \">=3.11\"\nplain = \"1.0\"\n";
    let strong = format!("hash = \"sha256:{}\"}}", plain.digest().hex());
    let weak = format!(
        "hash = \"md5:37a41134cc8a13400234746942d5d180\"}}, {{file = \"plain-1.0.tar.gz\", hash = \"sha256:{}\"}}",
        "0".repeat(64)
    );
    let lock = poetry_lock(project, &[(&plain, "groups = [\"main\"]")]).replace(&strong, &weak);
    sandbox.poetry_function("app", "3.13", CODE, project, &lock);
    let told = sandbox.denied().says(&[
        "locked with md5 alone: plain-1.0-py3-none-any.whl, the wheel that fits",
        "a weaker hash is no proof",
        "lock again from an index that gives SHA-256",
    ]);
    drop(told.does_not_say("from-source").says(&["deny[lock-missing] app: plain"]));
    assert_eq!(index.requests(), 0);
}

/// aws-sam-cli#3063: a library of the repository that only its setup.py describes.
#[test]
fn a_project_with_a_setup_py_alone_has_ways_out_that_work() {
    let six = module("six", "1.17.0", &[]);
    let index = LocalIndex::serve(std::slice::from_ref(&six));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "from api_shared.utils import hi\n\ndef handler(event, context):\n    return hi()\n";
    sandbox
        .function("app", "3.13", code, &format!("../shared_pkg\n{}", six.requirement("")))
        .write("manifests/shared_pkg/api_shared/__init__.py", "")
        .write("manifests/shared_pkg/api_shared/utils.py", "def hi():\n    return 1\n")
        .write(
            "manifests/shared_pkg/setup.py",
            "from setuptools import find_packages, setup\n\nsetup(name=\"api-shared\", version=\"0.1.0\", \
             packages=find_packages(), install_requires=[\"six\"])\n",
        );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID).says(&[
        "manifests/app/requirements.txt:1: the project in `manifests/shared_pkg` has a setup.py or setup.cfg alone",
        "write what it is into manifests/shared_pkg/pyproject.toml",
        "then remove setup.py and setup.cfg, or what they say",
        "or make a wheel with its own tools",
        "or ship its code as another folder of the artifact, with `[[source]]`",
    ]);
    sandbox.write(
        "manifests/shared_pkg/pyproject.toml",
        "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[project]\nname = \
         \"api-shared\"\nversion = \"0.1.0\"\ndependencies = [\"six\"]\n",
    );
    sandbox.write("manifests/shared_pkg/setup.py", "from setuptools import setup\n\nsetup()\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert_eq!(installed(&sandbox), ["api-shared", "six"]);
}
