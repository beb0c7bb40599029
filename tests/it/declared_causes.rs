//! A change between two builds is led back to what somebody declared: the line of a project file or the pin of a base, with the commit;
//! and a base that moved is told by its packages.

use crate::harness::{LocalIndex, Outcome, Sandbox, WheelFile, audit, poetry_lock, wheel};
use kiln_record::exit;
use serde_json::Value;

const CODE: &str = "import greeting\n\ndef handler(event, context):\n    return greeting.WORD\n";

fn greeting(version: &str) -> WheelFile {
    let code = format!("WORD = '{version}'\n");
    wheel("greeting", version, "py3-none-any", &[], &[("greeting.py", code.as_bytes())])
}

fn build(sandbox: &Sandbox) {
    sandbox.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::SUCCESS);
}

/// Builds with one version of `greeting`, then with the other, each as a commit, and gives the second commit and the cause of what changed.
fn cause(lock: &str, files: &dyn Fn(&WheelFile) -> Vec<(&'static str, String)>) -> (Sandbox, String, String) {
    let (old, new) = (greeting("1.0"), greeting("1.1"));
    let index = LocalIndex::serve(&[old.clone(), new.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, "");
    sandbox.append("manifests/app.toml", &format!("\n[python]\nlock = \"app/{lock}\"\n"));
    let write = |wheel: &WheelFile| {
        for (name, content) in files(wheel) {
            sandbox.write(&format!("manifests/app/{name}"), content);
        }
        let commit = sandbox.commit(wheel.version());
        build(&sandbox);
        commit
    };
    write(&old);
    let commit = write(&new);
    let json = sandbox.kiln().run(["diff", "app@1", "app@2", "--format", "json"]).json();
    let cause = component(&json, "python/greeting")["cause"]["text"].as_str().unwrap().to_owned();
    (sandbox, commit[..12].to_owned(), cause)
}

#[track_caller]
fn component<'a>(json: &'a Value, id: &str) -> &'a Value {
    let all = json["components"].as_array().unwrap();
    all.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("{json:#}"))
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

fn uv_lock(wheel: &WheelFile) -> String {
    format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"app\"\nversion = \"0\"\nsource = {{ virtual = \
         \".\" }}\ndependencies = [{{ name = \"greeting\" }}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"greeting\", specifier = \
         \"=={version}\" }}]\n\n[[package]]\nname = \"greeting\"\nversion = \"{version}\"\nsource = {{ registry = \
         \"https://index.example/simple\" }}\nwheels = [{{ url = \"https://index.example/{}\", hash = \"sha256:{}\", size = {} }}]\n",
        wheel.file_name,
        wheel.digest().hex(),
        wheel.bytes.len(),
        version = wheel.version(),
    )
}

#[test]
fn the_line_of_a_project_of_uv_with_its_commit() {
    let (sandbox, commit, cause) = cause("uv.lock", &|wheel| {
        let project = format!(
            "[project]\nname = \"app\"\nversion = \"0\"\nrequires-python = \">=3.11\"\ndependencies = [\"greeting=={}\"]\n",
            wheel.version()
        );
        vec![("pyproject.toml", project), ("uv.lock", uv_lock(wheel))]
    });
    let line = "asked for at manifests/app/pyproject.toml:5 (`greeting==1.1`), was `greeting==1.0`";
    has(&cause, &["lock changed", line, &format!("changed by commit {commit}")]);
    // What is in the folder now is another project, and the commits still have theirs.
    sandbox.write("manifests/app/pyproject.toml", "[project]\nname = \"other\"\n");
    for format in ["human", "markdown", "html"] {
        let told =
            sandbox.kiln().run(["diff", "app@1", "app@2", "--format", format]).ends_with(exit::SUCCESS);
        has(&told.stdout, &["pyproject.toml:5", &commit]);
    }
}

#[test]
fn the_line_of_a_project_of_poetry() {
    let (_, commit, cause) = cause("poetry.lock", &|wheel| {
        let project = format!(
            "[tool.poetry]\nname = \"app\"\nversion = \"0\"\n\n[tool.poetry.dependencies]\npython = \"^3.11\"\ngreeting = \"{}\"\n",
            wheel.version()
        );
        let lock = poetry_lock(&project, &[(wheel, "groups = [\"main\"]")]);
        vec![("pyproject.toml", project), ("poetry.lock", lock)]
    });
    let line = "asked for at manifests/app/pyproject.toml:7 (`greeting = \"1.1\"`), was `greeting = \"1.0\"`";
    has(&cause, &[line, &format!("changed by commit {commit}")]);
}

/// A lock as PDM exports it, which does not say what it was made from.
fn pylock(wheel: &WheelFile) -> String {
    format!(
        "lock-version = \"1.0\"\nrequires-python = \">=3.11\"\ncreated-by = \"pdm\"\n\n[[packages]]\nname = \"greeting\"\nversion = \
         \"{}\"\nwheels = [{{ name = \"{}\", url = \"https://index.example/{}\", size = {}, hashes = {{ sha256 = \"{}\" }} }}]\n",
        wheel.version(),
        wheel.file_name,
        wheel.file_name,
        wheel.bytes.len(),
        wheel.digest().hex(),
    )
}

#[test]
fn the_line_of_a_project_of_pdm_in_a_group_of_its_own_or_of_the_standard() {
    for group in ["[tool.pdm.dev-dependencies]", "[dependency-groups]"] {
        let (_, commit, cause) = cause("pylock.toml", &|wheel| {
            let project = format!(
                "[project]\nname = \"app\"\nversion = \"0\"\ndependencies = []\n\n{group}\nlint = [\"ruff\"]\nlambda = [\n    \
                 \"greeting=={}\",\n]\n",
                wheel.version()
            );
            // PDM's own lock lies beside it, and kiln reads what PDM exports of it.
            let own = format!(
                "[metadata]\nlock_version = \"4.5.0\"\n\n[[package]]\nname = \"greeting\"\nversion = \"{}\"\n",
                wheel.version()
            );
            vec![("pyproject.toml", project), ("pdm.lock", own), ("pylock.toml", pylock(wheel))]
        });
        let line = "asked for at manifests/app/pyproject.toml:9 (`greeting==1.1`), was `greeting==1.0`";
        has(&cause, &["lock changed", line, &format!("changed by commit {commit}")]);
    }
}

#[test]
fn the_line_of_requirements_also_of_what_is_gone() {
    let (old, new) = (greeting("1.0"), greeting("1.1"));
    let parting = wheel("parting", "2.0", "py3-none-any", &[], &[("parting.py", b"x = 1\n")]);
    let index = LocalIndex::serve(&[old, new, parting]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, "");
    sandbox.write("kiln.lock", crate::lock_artifact::tools());
    sandbox.append(
        "manifests/app.toml",
        "\n[python]\nrequirements = \"app/requirements.in\"\nlock = \"app/requirements.txt\"\n",
    );
    let commit = |requirements: &str| {
        sandbox.write("manifests/app/requirements.in", requirements);
        sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
        let commit = sandbox.commit("requirements");
        build(&sandbox);
        commit[..12].to_owned()
    };
    commit("# what is needed\ngreeting<1.1\nparting\n");
    let second = commit("# what is needed\ngreeting>=1.1\n");
    let diff = ["diff", "app@1", "app@2", "--format", "json"];
    let json = sandbox.kiln().run(diff).ends_with(exit::SUCCESS).json();
    let cause = |id: &str| component(&json, id)["cause"]["text"].as_str().unwrap().to_owned();
    let file = "manifests/app/requirements.in";
    has(
        &cause("python/greeting"),
        &[
            &format!("asked for at {file}:2 (`greeting>=1.1`), was `greeting<1.1`"),
            &format!("changed by commit {second}"),
        ],
    );
    has(
        &cause("python/parting"),
        &[
            &format!("was asked for at {file}:3 (`parting`), and is not any more"),
            &format!("changed by commit {second}"),
        ],
    );
}

#[test]
fn a_base_that_moved_is_told_by_its_packages_also_for_zips() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    crate::rebuild_kinds::image(&sandbox, "web", "");
    let step = "\n[[step]]\nname = \"one\"\nargv = [\"/usr/bin/python3.13\", \"-c\", \"open('/out/one', 'w').close()\"]\nreproducible = \
                \"assume\"\noutputs = [{ path = \"/out/one\", into = \".\" }]\n";
    sandbox.append("manifests/app.toml", step);
    sandbox.commit("first");
    build(&sandbox);
    copy(&sandbox, "monday");
    sandbox.replace(
        "images/python-3.13.toml",
        "    \"python3.13-minimal\",\n",
        "    \"python3.13-minimal\",\n    \"busybox-static\",\n",
    );
    sandbox.append("manifests/app/src/app.py", "# more\n");
    sandbox.kiln().run(["lock", "--base", "python-3.13"]).ends_with(exit::SUCCESS);
    let second = sandbox.commit("second")[..12].to_owned();
    build(&sandbox);
    copy(&sandbox, "tuesday");

    // In the workspace, by the locks of the two commits.
    let told = |outcome: Outcome| {
        let text = outcome.stdout.clone();
        has(&text, &["busybox-static", "none"]);
        text
    };
    let diff = |format: &str| sandbox.kiln().run(["diff", "app@1", "app@2", "--format", format]);
    let human = told(diff("human").ends_with(exit::SUCCESS));
    has(
        &human,
        &[
            "package of python-3.13 linux/amd64: busybox-static none -> 1:",
            "pinned at images/python-3.13.lock:",
        ],
    );
    has(&human, &["step-base python-3.13", &format!("changed by commit {second}")]);
    told(diff("markdown"));
    told(diff("html"));
    let json = diff("json").json();
    let inputs = json["inputs"].as_array().unwrap();
    let base = inputs.iter().find(|input| input["role"] == "base").unwrap();
    let moved = base["packages"]["moved"].as_array().unwrap();
    assert!(moved.iter().any(|one| one["name"] == "busybox-static" && one["before"].is_null()), "{base:#}");
    // A package of an image names the pin as well.
    let image = sandbox.kiln().run(["diff", "web@1", "web@2", "--format", "json"]).json();
    let package = component(&image, "debian/busybox-static");
    has(package["cause"]["text"].as_str().unwrap(), &["pinned at images/python-3.13.lock:", &second]);

    // Elsewhere, by the record of an image on the same base; without one it is said that nothing tells.
    let elsewhere = sandbox.folder().join("elsewhere");
    let human = audit(&elsewhere, &["diff", "monday/app", "tuesday/app"]).ends_with(exit::SUCCESS);
    has(&human.stdout, &["package of python-3.13 linux/amd64: busybox-static none -> 1:"]);
    for day in ["monday", "tuesday"] {
        fs_err::remove_dir_all(elsewhere.join(day).join("web")).unwrap();
    }
    for format in ["human", "markdown", "html"] {
        let alone = audit(&elsewhere, &["diff", "monday/app", "tuesday/app", "--format", format])
            .ends_with(exit::SUCCESS);
        has(&alone.stdout, &["not known", "no lock and no record of an image on it is at hand"]);
    }
}

/// What is published, in a folder of an auditor.
fn copy(sandbox: &Sandbox, day: &str) {
    for (name, content) in sandbox.dist() {
        let file = sandbox.folder().join("elsewhere").join(day).join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, content).unwrap();
    }
}
