//! What a lock takes from elsewhere than an index: one wheel on a server, by its hash, and what the workspace holds
//! itself.

use crate::harness::{LocalIndex, Sandbox, WheelFile, wheel};
use kiln_record::exit;
use serde_json::{Value, json};

fn module(name: &str, version: &str, requires: &[&str], code: &str) -> WheelFile {
    let file = format!("{}.py", name.replace('-', "_"));
    wheel(name, version, "py3-none-any", requires, &[(&file, code.as_bytes())])
}

fn handler(imports: &str) -> String {
    format!("import {imports}\n\ndef handler(event, context):\n    return None\n")
}

fn record(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap()
}

fn component(record: &Value, name: &str) -> Value {
    let components = record["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).unwrap().clone()
}

fn purl(sandbox: &Sandbox, name: &str) -> String {
    let sbom: Value = serde_json::from_slice(&sandbox.read("dist/app/app.cdx.json")).unwrap();
    let components = sbom["components"].as_array().unwrap();
    let found = components.iter().find(|component| component["name"] == name).unwrap();
    found["purl"].as_str().unwrap().to_owned()
}

/// A lock of a format, and the project file beside it, if it has one.
type LockFiles = (&'static str, String, Option<String>);

#[test]
fn a_url_with_a_hash_is_fetched_from_just_there() {
    let own = module("own-lib", "1.0", &[], "VALUE = 1\n");
    let server = LocalIndex::serve(std::slice::from_ref(&own)).with_login("me", "hunter2-url");
    let index = LocalIndex::empty();
    let (url, hash) = (server.file_url(&own), own.digest().hex());
    let file = &own.file_name;
    let project = "[project]\nname = \"demo\"\nversion = \"1\"\nrequires-python = \">=3.13\"\n";
    let locks: [LockFiles; 4] = [
        ("requirements.txt", format!("own-lib @ {url}#sha256={hash}\n"), None),
        (
            "pylock.toml",
            format!(
                "lock-version = \"1.0\"\n[[packages]]\nname = \"own-lib\"\nversion = \"1.0\"\n[packages.archive]\nurl = \"{url}\"\nhashes = {{ sha256 = \"{hash}\" }}\n"
            ),
            None,
        ),
        (
            "uv.lock",
            format!(
                "version = 1\nrequires-python = \">=3.13\"\n\n[[package]]\nname = \"demo\"\nversion = \"1\"\nsource = {{ virtual = \".\" }}\ndependencies = [{{ name = \"own-lib\" }}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"own-lib\", url = \"{url}\" }}]\n\n[[package]]\nname = \"own-lib\"\nversion = \"1.0\"\nsource = {{ url = \"{url}\" }}\nwheels = [{{ url = \"{url}\", hash = \"sha256:{hash}\" }}]\n"
            ),
            Some(format!("{project}dependencies = [\"own-lib @ {url}\"]\n")),
        ),
        (
            "Pipfile.lock",
            json!({
                "_meta": { "hash": { "sha256": "" }, "pipfile-spec": 6, "requires": {}, "sources": [] },
                "default": { "own-lib": { "file": url, "hashes": [format!("sha256:{hash}")], "version": "==1.0" } },
                "develop": {},
            })
            .to_string(),
            None,
        ),
    ];
    for (name, lock, project) in locks {
        let sandbox = Sandbox::new().with_index(&index);
        let store = sandbox.folder().join("store");
        sandbox.function("app", "3.13", &handler("own_lib"), "");
        sandbox.append("manifests/app.toml", &format!("\n[python]\nlock = \"app/{name}\"\n"));
        sandbox.write(&format!("manifests/app/{name}"), lock);
        if let Some(project) = project {
            sandbox.write("manifests/app/pyproject.toml", project);
        }
        let netrc = "machine 127.0.0.1 login me password hunter2-url\n";
        fs_err::write(sandbox.home().join(".netrc"), netrc).unwrap();
        let built = sandbox.kiln().with_store(&store).run(["build", "app"]).ends_with(exit::SUCCESS);
        built.does_not_say("hunter2");
        assert_eq!(index.log(), [""; 0], "{name}: no index is asked");
        let found = component(&record(&sandbox), "own-lib");
        assert_eq!(found["origin"]["source"], json!({ "kind": "url", "url": url }), "{name}");
        assert_eq!(found["origin"]["file_name"], json!(file), "{name}");
        let purl = purl(&sandbox, "own-lib");
        assert!(purl.starts_with("pkg:pypi/own-lib@1.0?download_url=http"), "{name}: {purl}");
        for (path, bytes) in sandbox.dist() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("hunter2"), "{name}: {path}");
            assert!(!path.ends_with("direct_url.json"), "{name}: {path}");
        }
    }
}

#[test]
fn a_url_without_a_hash_or_with_other_content_is_refused() {
    let own = module("own-lib", "1.0", &[], "VALUE = 1\n");
    let server = LocalIndex::serve(std::slice::from_ref(&own));
    let url = server.file_url(&own);
    let sandbox = Sandbox::new().with_index(&server);
    sandbox.function("app", "3.13", &handler("own_lib"), &format!("own-lib @ {url}\n"));
    sandbox.denied().says(&["deny[lock-missing]", "without a hash", "→ add the SHA-256 of the file"]);
    let other = format!("own-lib @ {url} --hash=sha256:{}\n", "0".repeat(64));
    sandbox.write("manifests/app/requirements.txt", other);
    let outcome = sandbox.kiln().run(["build", "app"]).ends_with(exit::FETCH_FAILED);
    outcome.says(&["has the digest sha256:", "nothing was kept"]);
    sandbox.assert_nothing_published();
}

const SHARED: &str = "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n\n[project]\nname = \"acme-shared\"\nversion = \"2.1\"\ndescription = \"What our functions share\"\ndependencies = [\"pad>=1\"]\n\n[project.scripts]\nshared = \"acme_shared.main:run\"\n";

/// A workspace with a project in `libs/shared` that a function's requirements name by `line`.
fn with_member(index: &LocalIndex, pad: &WheelFile, line: &str) -> Sandbox {
    let sandbox = Sandbox::new().with_index(index);
    sandbox
        .function("app", "3.13", &handler("acme_shared.main"), &format!("{line}\n{}", pad.requirement("")))
        .write("libs/shared/pyproject.toml", SHARED)
        .write("libs/shared/src/acme_shared/__init__.py", "import pad\n")
        .write("libs/shared/src/acme_shared/main.py", "def run():\n    return 1\n")
        .write("libs/shared/src/acme_shared/data.json", "{}\n")
        .write("libs/shared/tests/test_shared.py", "raise SystemExit\n")
        .write("libs/shared/README.md", "# shared\n");
    sandbox
}

#[test]
fn a_project_of_the_workspace_is_a_component_of_its_own() {
    let pad = module("pad", "2.0", &[], "VALUE = 1\n");
    let index = LocalIndex::serve(std::slice::from_ref(&pad));
    let sandbox = with_member(&index, &pad, "-e ../../libs/shared");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert!(index.log().iter().all(|path| !path.contains("acme")), "{:?}", index.log());
    let before = record(&sandbox);
    let found = component(&before, "acme-shared");
    assert_eq!((&found["version"], &found["requires"]), (&json!("2.1"), &json!(["python/pad"])));
    assert_eq!(found["origin"]["source"]["path"], "libs/shared");
    let paths: Vec<&str> =
        before["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    for path in
        ["acme_shared/main.py", "acme_shared/data.json", "bin/shared", "acme_shared-2.1.dist-info/METADATA"]
    {
        assert!(paths.contains(&path), "{paths:?} has {path}");
    }
    assert!(!paths.iter().any(|path| path.contains("test_shared") || path.contains("README")), "{paths:?}");
    assert_eq!(purl(&sandbox, "acme-shared"), "pkg:generic/acme-shared@2.1");

    // The plan covers its content: a change is built, and the reason is the source.
    sandbox.kiln().run(["build", "app", "--format", "json"]).ends_with(exit::SUCCESS).published_only(&[]);
    sandbox.write("libs/shared/README.md", "# ours\n");
    sandbox.kiln().run(["build", "app", "--format", "json"]).ends_with(exit::SUCCESS).published_only(&[]);
    sandbox.write("libs/shared/src/acme_shared/main.py", "def run():\n    return 2\n");
    sandbox
        .kiln()
        .run(["build", "app", "--format", "json"])
        .ends_with(exit::SUCCESS)
        .published_only(&["app"]);
    let diff = sandbox.kiln().run(["diff", "app@1", "app@2", "--format", "json"]);
    let diff: Value = serde_json::from_str(&diff.stdout).unwrap();
    let text = diff.to_string();
    assert!(text.contains("source changed: libs/shared"), "{text}");

    // The base's own pip installs the same from the same wheel.
    sandbox.kiln().run(["verify", "--cross-check", "app"]).ends_with(exit::SUCCESS);
}

#[test]
fn what_a_project_requires_must_be_locked_and_what_it_is_must_be_known() {
    let pad = module("pad", "2.0", &[], "VALUE = 1\n");
    let index = LocalIndex::serve(std::slice::from_ref(&pad));
    let sandbox = with_member(&index, &pad, "../../libs/shared");
    sandbox.write("manifests/app/requirements.txt", "../../libs/shared\n");
    sandbox.denied().says(&["acme-shared 2.1 requires `pad>=1`"]);
    sandbox.write("manifests/app/requirements.txt", format!("../../libs/shared\n{}", pad.requirement("")));

    let refused = |parts: &[&str]| {
        sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(parts);
        sandbox.assert_nothing_published();
    };
    sandbox.write("libs/shared/src/acme_shared/fast.pyx", "x\n");
    refused(&["`src/acme_shared/fast.pyx` has to be compiled", "or build a wheel of it with its own tools"]);
    fs_err::remove_file(sandbox.path("libs/shared/src/acme_shared/fast.pyx")).unwrap();
    sandbox.replace("libs/shared/pyproject.toml", "hatchling.build", "maturin");
    refused(&["the project is built by `maturin`, which kiln does not run"]);
    sandbox
        .write("libs/shared/pyproject.toml", SHARED.replace("version = \"2.1\"", "dynamic = [\"version\"]"));
    refused(&["`version` of the project is dynamic"]);
    sandbox.write("manifests/app/requirements.txt", "-e ../../../elsewhere\n");
    refused(&["manifests/app/requirements.txt:1", "leads out of the workspace"]);
}

#[test]
fn a_wheel_in_the_workspace_is_pinned_by_the_plan() {
    let own = module("own-lib", "1.0", &[], "VALUE = 1\n");
    let index = LocalIndex::empty();
    let sandbox = Sandbox::new().with_index(&index);
    let line = format!("./wheels/{}\n", own.file_name);
    sandbox.function("app", "3.13", &handler("own_lib"), &line);
    let path = format!("manifests/app/wheels/{}", own.file_name);
    sandbox.write(&path, &own.bytes);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let found = component(&record(&sandbox), "own-lib");
    assert_eq!(found["origin"]["source"], json!({ "kind": "file", "path": path }));
    assert_eq!(found["origin"]["digest"], json!(own.digest().to_string()));
    assert_eq!(index.log(), [""; 0]);
    // Another file is another build, and one that the lock does not name is none.
    let newer = module("own-lib", "1.0", &[], "VALUE = 2\n");
    sandbox.write(&path, &newer.bytes);
    sandbox
        .kiln()
        .run(["build", "app", "--format", "json"])
        .ends_with(exit::SUCCESS)
        .published_only(&["app"]);
    let hash = own.digest().hex();
    sandbox.write("manifests/app/requirements.txt", format!("{} --hash=sha256:{hash}\n", line.trim()));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[lock-stale]",
        "has the digest sha256:",
        "does not name",
    ]);
}
