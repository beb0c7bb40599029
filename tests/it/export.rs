//! What deployment tools are told of published artifacts.

use crate::harness::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use kiln_record::{Digest, Record, exit};
use serde_json::Value;
use std::process::Command;

/// A function with a layer's worth of nothing, and a service's image.
fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("my-app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox
        .write("manifests/svc/svc/__init__.py", "")
        .write("manifests/svc/svc/__main__.py", "print('ready')\n")
        .write(
            "manifests/svc.toml",
            "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \
             \"svc\"\n\n[image]\nentrypoint = [\"/usr/bin/python3.13\", \"-m\", \"svc\"]\n",
        );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox
}

fn record(sandbox: &Sandbox, name: &str) -> Record {
    serde_json::from_slice(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap()
}

#[test]
fn every_tool_gets_the_same_facts_in_its_own_words() {
    let sandbox = built();
    let export = |arguments: &[&str]| {
        let outcome = sandbox.kiln().run([&["export"][..], arguments].concat()).ends_with(exit::SUCCESS);
        outcome.stdout.clone()
    };
    let zip = Digest::of(&sandbox.read("dist/my-app/my-app.zip"));
    let image = record(&sandbox, "svc").image.unwrap().manifest;
    let uri = format!("registry.example.org/team/svc@{image}");

    let terraform: Value = serde_json::from_str(&export(&[
        "terraform",
        "--repository",
        "registry.example.org/team",
        "--s3-prefix",
        "fn/",
    ]))
    .unwrap();
    let app = &terraform["kiln_artifacts"]["my-app"];
    assert_eq!(app["source_code_hash"], zip.base64());
    assert_eq!(STANDARD.decode(app["source_code_hash"].as_str().unwrap()).unwrap().len(), 32);
    assert_eq!(app["s3_key"], format!("fn/my-app/{}.zip", zip.hex()));
    assert_eq!(app["path"], "dist/my-app/my-app.zip");
    assert_eq!((&app["runtime"], &app["handler"]), (&"python3.13".into(), &"app.handler".into()));
    let svc = &terraform["kiln_artifacts"]["svc"];
    assert_eq!((&svc["package_type"], &svc["image_uri"]), (&"Image".into(), &uri.clone().into()));
    assert_eq!((&svc["runtime"], &svc["s3_key"]), (&Value::Null, &Value::Null));

    let stack: Value = serde_json::from_str(&export(&["cloudformation", "my-app"])).unwrap();
    let stack = stack.as_array().unwrap();
    assert!(
        stack.iter().any(|p| p["ParameterKey"] == "MyAppSha256" && p["ParameterValue"] == zip.hex()),
        "{stack:?}"
    );
    assert!(export(&["sam", "my-app"]).contains(&format!("MyAppS3Key=my-app/{}.zip\n", zip.hex())));

    // A shell reads what the others read.
    let env = export(&["env", "--repository", "registry.example.org/team"]);
    let script = format!("{env}\nprintf '%s %s' \"$KILN_MY_APP_SHA256\" \"$KILN_SVC_IMAGE_URI\"");
    let shell = Command::new("sh").args(["-euc", &script]).output().unwrap();
    assert_eq!(String::from_utf8(shell.stdout).unwrap(), format!("{} {uri}", zip.hex()));

    let files = sandbox.folder().join("actions");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("output"), "before=1\n").unwrap();
    sandbox
        .kiln()
        .with_variable("GITHUB_OUTPUT", files.join("output").to_str().unwrap())
        .with_variable("GITHUB_STEP_SUMMARY", files.join("summary").to_str().unwrap())
        .run(["export", "github"])
        .ends_with(exit::SUCCESS);
    let output = fs::read_to_string(files.join("output")).unwrap();
    assert!(
        output.starts_with("before=1\n") && output.contains(&format!("my-app-sha256={}\n", zip.hex())),
        "{output}"
    );
    assert!(fs::read_to_string(files.join("summary")).unwrap().contains("| svc | image |"));

    // Where the workspace is does not show.
    let elsewhere = sandbox.copy();
    let there = elsewhere.kiln().run(["export", "terraform"]).ends_with(exit::SUCCESS);
    assert_eq!(there.stdout, export(&["terraform"]));
}

#[test]
fn what_is_not_published_or_was_changed_is_not_exported() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    let export = || sandbox.kiln().run(["export", "terraform", "app"]);
    export().ends_with(exit::INPUT_INVALID).says(&["error: app: it is not published", "kiln build app"]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    export().ends_with(exit::SUCCESS);
    fs::write(sandbox.path("dist/app/app.zip"), "other").unwrap();
    export().ends_with(exit::NOT_REPRODUCIBLE).says(&["dist/app/app.zip", "kiln verify"]);
}

#[test]
fn paths_are_relative_to_whichever_folder_or_whole() {
    let sandbox = Sandbox::new();
    sandbox.function("my-app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox.write("infra/prod/main.tf", "");
    let path = |arguments: &[&str]| {
        let outcome = sandbox.kiln().run([&["export", "terraform"][..], arguments].concat());
        let document = outcome.ends_with(exit::SUCCESS).json();
        document["kiln_artifacts"]["my-app"]["path"].as_str().unwrap().to_owned()
    };
    let from = path(&["--relative-to", "infra/prod"]);
    assert_eq!(from, "../../dist/my-app/my-app.zip");
    assert!(sandbox.path("infra/prod").join(&from).is_file());
    assert_eq!(path(&["--relative-to", "dist"]), "my-app/my-app.zip");
    let whole = fs::canonicalize(sandbox.path("dist/my-app/my-app.zip")).unwrap();
    assert_eq!(path(&["--absolute"]), whole.display().to_string());
    sandbox
        .kiln()
        .run(["export", "env", "--relative-to", "nowhere"])
        .ends_with(exit::USAGE)
        .says(&["--relative-to: ", "nowhere"]);
}
