//! The commit that a build is of: in the ledger and in the run's details, and in no document.

use crate::harness::Sandbox;
use crate::harness::signed::{files_below, key, sign};
use kiln_record::exit;
use serde_json::{Value, json};

const CODE: &str = "def handler(event, context):\n    return None\n";

fn build(sandbox: &Sandbox) {
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
}

/// The source link of the newest build.
fn link(sandbox: &Sandbox) -> Value {
    let history = sandbox.kiln().run(["history", "--format", "json"]).ends_with(exit::SUCCESS).json();
    history["app"].as_array().unwrap().last().unwrap()["source"].clone()
}

#[test]
fn a_build_knows_its_commit_and_what_differs_from_it() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    let commit = sandbox.commit("first");
    sandbox.git(&["tag", "v1"]);
    sandbox.git(&["remote", "add", "origin", "https://somebody:secret@example.org/app.git"]);
    build(&sandbox);
    let found = link(&sandbox);
    assert_eq!(found["state"], "commit");
    assert_eq!(found["commit"], commit.as_str());
    assert_eq!(found["repository"], "https://example.org/app.git");
    assert_eq!(found["tags"], json!(["v1"]));
    assert_eq!(found["workspace"], ".");
    assert_eq!(found["trees"]["manifests/app/src"], sandbox.git(&["rev-parse", "HEAD:manifests/app/src"]));
    assert_eq!((&found["source_is_committed"], &found["changed"]), (&json!(true), &json!(0)));
    sandbox.kiln().run(["history"]).prints(&[&format!("commit {} (v1), clean", &commit[..12])]);
    sandbox.kiln().run(["show", "app"]).prints(&[&commit, "manifests/app/src is this tree of the commit: "]);

    // Nothing of it is in what must be reproducible.
    for (path, content) in sandbox.dist() {
        assert!(!String::from_utf8_lossy(&content).contains(&commit), "{path}");
    }

    // Another file, one that is gone, a mode, a manifest: each is told, and the source is not the commit's any more.
    sandbox.write("manifests/app/src/more.py", "");
    sandbox.commit("second");
    sandbox.write("manifests/app/src/app.py", format!("{CODE}\n# changed\n"));
    sandbox.write("manifests/app/src/new.py", "");
    fs_err::remove_file(sandbox.path("manifests/app/src/more.py")).unwrap();
    sandbox.append("manifests/app.toml", "\n# a remark\n");
    sandbox.append("images/python-3.13.toml", "\n# a remark\n");
    build(&sandbox);
    let found = link(&sandbox);
    assert_eq!(found["source_is_committed"], false);
    assert_eq!(
        found["changed_paths"],
        json!([
            "images/python-3.13.toml",
            "manifests/app.toml",
            "manifests/app/src/app.py",
            "manifests/app/src/more.py",
            "manifests/app/src/new.py"
        ])
    );
    sandbox.kiln().run(["history"]).prints(&["dirty: 5 files are not as it has them"]);
    sandbox.kiln().run(["show", "app"]).prints(&["is not this tree", "differs: manifests/app/src/more.py"]);

    // Without git nothing is known, and nothing fails.
    sandbox.append("manifests/app/src/app.py", "# again\n");
    let nowhere = sandbox.kiln().with_variable("PATH", "/nonexistent");
    nowhere.run(["build", "--all"]).ends_with(exit::SUCCESS);
    let found = link(&sandbox);
    assert_eq!(found["state"], "unknown");
    assert!(found["reason"].as_str().unwrap().starts_with("git cannot be run"), "{found}");
    sandbox.kiln().run(["show", "app"]).prints(&["commit not known: git cannot be run"]);
}

#[test]
fn a_remote_that_is_a_folder_of_this_machine_is_stated_nowhere() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.commit("first");
    let remote = sandbox.folder().join("cloned-from.git");
    let (private, _) = key(sandbox.folder(), "mine", "ed25519");
    for address in [remote.display().to_string(), format!("file://{}", remote.display())] {
        sandbox.git(&["config", "remote.origin.url", &address]);
        sandbox.append("manifests/app/src/app.py", "# again\n");
        build(&sandbox);
        assert_eq!(link(&sandbox)["repository"], Value::Null);
        sandbox.kiln().run(["show", "app"]).prints(&["no remote on another machine, folder ."]);
        sign(&sandbox, &private);
        for folder in ["dist", ".kiln"] {
            for path in files_below(&sandbox.path(folder)) {
                let content = fs_err::read(sandbox.path(folder).join(&path)).unwrap();
                let says = String::from_utf8_lossy(&content).contains("cloned-from.git");
                assert!(!says, "{folder}/{path} says {address}");
            }
        }
    }
}
