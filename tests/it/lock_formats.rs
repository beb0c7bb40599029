//! Every lock format, through the binary: the same wheel is found in each of them.

use crate::harness::{LocalIndex, Sandbox, WheelFile, poetry_lock, wheel};
use kiln_record::exit;

const CODE: &str = "import greeting\n\ndef handler(event, context):\n    return greeting.hello()\n";

fn greeting() -> WheelFile {
    wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"def hello():\n    return 'hello'\n")])
}

/// A function with a lock of some format and what lies beside it.
fn sandbox(index: &LocalIndex, files: &[(&str, String)], lock: &str) -> Sandbox {
    let sandbox = Sandbox::new().with_index(index);
    sandbox.function("app", "3.13", CODE, "");
    sandbox.append("manifests/app.toml", &format!("\n[python]\nlock = \"app/{lock}\"\n"));
    for (name, content) in files {
        sandbox.write(&format!("manifests/app/{name}"), content);
    }
    sandbox
}

fn check(files: &[(&str, String)], lock: &str) {
    let greeting = greeting();
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = sandbox(&index, files, lock);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let shown = sandbox.kiln().run(["show", "app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let installed: Vec<&str> =
        shown["components"].as_array().unwrap().iter().filter_map(|c| c["id"].as_str()).collect();
    assert_eq!(installed, ["application/app", "python/greeting"], "{lock}");
}

#[test]
fn pylock_is_read() {
    let greeting = greeting();
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\nrequires-python = \">=3.11\"\n\n[[packages]]\nname = \
         \"greeting\"\nversion = \"1.0\"\nwheels = [{{ name = \"{}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
        greeting.file_name,
        greeting.digest().hex()
    );
    check(&[("pylock.toml", lock)], "pylock.toml");
}

#[test]
fn uv_lock_is_read() {
    let greeting = greeting();
    let project = "[project]\nname = \"app\"\nversion = \"0\"\nrequires-python = \">=3.11\"\ndependencies = [\"greeting\"]\n";
    let lock = format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"app\"\nversion = \
         \"0\"\nsource = {{ virtual = \".\" }}\ndependencies = [{{ name = \"greeting\" }}]\n\n[package.metadata]\nrequires-dist = \
         [{{ name = \"greeting\" }}]\n\n[[package]]\nname = \"greeting\"\nversion = \"1.0\"\nsource = {{ registry = \
         \"https://index.example/simple\" }}\nwheels = [{{ url = \"https://index.example/{}\", hash = \"sha256:{}\", \
         size = {} }}]\n",
        greeting.file_name,
        greeting.digest().hex(),
        greeting.bytes.len()
    );
    let files = [("pyproject.toml", project.to_owned()), ("uv.lock", lock)];
    check(&files, "uv.lock");

    let index = LocalIndex::empty();
    let stale = [files[0].clone(), files[1].clone()];
    let sandbox = sandbox(&index, &stale, "uv.lock");
    sandbox.replace("manifests/app/pyproject.toml", "\"greeting\"]", "\"greeting\", \"parting\"]");
    sandbox.denied().says(&["lock-stale", "uv lock"]);
    assert_eq!(index.requests(), 0);
}

/// As Poetry 1.0 wrote it: the files of all packages are in one table. Poetry 2 still installs from it.
#[test]
fn a_poetry_lock_of_the_first_version_is_read() {
    let greeting = greeting();
    let project = "[tool.poetry]\nname = \"app\"\nversion = \"0\"\n\n[tool.poetry.dependencies]\npython = \"^3.8\"\ngreeting = \"^1.0\"\n";
    let newest = poetry_lock(project, &[]);
    let content_hash = newest.lines().find(|line| line.starts_with("content-hash")).unwrap();
    let lock = format!(
        "[[package]]\ncategory = \"main\"\ndescription = \"\"\nname = \"greeting\"\noptional = false\npython-versions = \
         \"*\"\nversion = \"1.0\"\n\n[metadata]\n{content_hash}\nlock-version = \"1.0\"\npython-versions = \
         \"^3.8\"\n\n[metadata.files]\ngreeting = [\n    {{file = \"{}\", hash = \"sha256:{}\"}},\n]\n",
        greeting.file_name,
        greeting.digest().hex()
    );
    check(&[("pyproject.toml", project.to_owned()), ("poetry.lock", lock)], "poetry.lock");
}

#[test]
fn pipfile_lock_is_read() {
    let greeting = greeting();
    let lock = format!(
        "{{\n  \"_meta\": {{\"hash\": {{\"sha256\": \"{}\"}}, \"pipfile-spec\": 6, \"requires\": {{}}, \"sources\": []}},\n  \
         \"default\": {{\n    \"greeting\": {{\"hashes\": [\"sha256:{}\"], \"version\": \"==1.0\"}}\n  }},\n  \
         \"develop\": {{}}\n}}\n",
        "0".repeat(64),
        greeting.digest().hex()
    );
    check(&[("Pipfile.lock", lock)], "Pipfile.lock");
}

#[test]
fn requirements_include_other_files_which_are_inputs_too() {
    let greeting = greeting();
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let files = [("requirements.txt", "-r base.txt\n".to_owned()), ("base.txt", greeting.requirement(""))];
    let sandbox = sandbox(&index, &files, "requirements.txt");
    let ending = || {
        let built = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
        built.json()["artifacts"][0]["ending"].as_str().unwrap().to_owned()
    };
    assert_eq!(ending(), "published");
    assert_eq!(ending(), "unchanged");
    sandbox.append("manifests/app/base.txt", "# a comment\n");
    assert_eq!(ending(), "published");
}

/// What cannot be read at all stops the one that needs it.
#[test]
fn a_lock_that_is_no_text_stops_its_artifact_alone() {
    let greeting = greeting();
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = sandbox(&index, &[("requirements.txt", greeting.requirement(""))], "requirements.txt");
    for (name, lock) in [("plain", "requirements.txt"), ("pylock", "pylock.toml"), ("pipenv", "Pipfile.lock")]
    {
        sandbox.function(name, "3.13", CODE, "");
        sandbox.append(&format!("manifests/{name}.toml"), &format!("\n[python]\nlock = \"{name}/{lock}\"\n"));
        let noise: &[u8] = if name == "plain" { b"\xff not text\n" } else { b"\xff\xfe \0t\0" };
        sandbox.write(&format!("manifests/{name}/{lock}"), noise);
    }
    let built = sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID);
    built.prints(&["app     published", "pipenv  failed", "plain   failed", "pylock  failed"]).says(&[
        "manifests/pipenv/Pipfile.lock: it is UTF-16 text",
        "manifests/plain/requirements.txt: it is not UTF-8 text",
        "manifests/pylock/pylock.toml: it is UTF-16 text",
    ]);
}

/// kiln's own colours are the only ones, whatever is quoted.
#[test]
fn what_a_file_says_does_not_act_on_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "\u{1b}[42mgreen\u{1b}[0m\n");
    let quoted = |says: &str| {
        let told = sandbox.kiln().run(["build", "--all", "--color", "always"]).ends_with(exit::INPUT_INVALID);
        let said = format!("{}{}", told.stdout, told.stderr);
        assert!(said.contains("\u{1b}[") && said.contains(says), "{told}");
        for foreign in ["\u{1b}[42m", "\u{1b}[2J"] {
            assert!(!said.contains(foreign), "{told}");
        }
    };
    quoted("[42mgreen");
    sandbox.append("manifests/app.toml", "\"\\u001b[2J\\u001b[42mgreen\" = 1\n");
    quoted("?[2J?[42mgreen");
}

/// Where a lock says that files come from is not asked, and that is said.
#[test]
fn index_options_of_a_lock_are_passed_over_and_told() {
    let plain = wheel("plain", "1.0", "py3-none-any", &[], &[("plain.py", b"")]);
    let index = LocalIndex::serve(std::slice::from_ref(&plain));
    let sandbox = Sandbox::new().with_index(&index);
    let lock = format!("--index-url https://me:hunter2@index.example/simple\n{}", plain.requirement(""));
    sandbox.function("app", "3.13", "import plain\n\ndef handler(event, context):\n    return 1\n", &lock);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("hunter2");
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    shown.documents("note[option-passed-over] manifests/app/requirements.txt:1");
    let record = String::from_utf8(sandbox.read("dist/app/record.json")).unwrap();
    assert!(record.contains("option-passed-over") && record.contains("app/requirements.txt:1"), "{record}");
    assert!(!record.contains("hunter2"), "{record}");
}
