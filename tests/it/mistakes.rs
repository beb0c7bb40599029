//! One artifact's mistake is one artifact's failure: the others are built.

use crate::harness::{Outcome, Sandbox};
use kiln_record::exit;

const CODE: &str = "def handler(event, context):\n    return None\n";
const BUILD: [&str; 4] = ["build", "--all", "--color", "never"];

fn build(sandbox: &Sandbox) -> Outcome {
    sandbox.kiln().run(BUILD)
}

/// The artifacts that `dist/index.json` names.
fn deployable(sandbox: &Sandbox) -> Vec<String> {
    let index: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    index["artifacts"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_broken_manifest_dockerfile_or_lock_fails_its_artifact_and_what_uses_it() {
    let sandbox = Sandbox::new();
    sandbox.function("good", "3.13", CODE, "").function("later", "3.13", CODE, "");
    build(&sandbox).ends_with(exit::SUCCESS);

    sandbox.append("manifests/later.toml", "[budget\n");
    sandbox.write("manifests/noise.toml", b"\xff\xfe");
    sandbox.function("locked", "3.13", CODE, "this is == no lock\n");
    let image =
        "kind = \"image\"\n[target]\narchitecture = \"x86_64\"\n[dockerfile]\npath = \"image/Dockerfile\"\n";
    sandbox
        .write("manifests/image.toml", image)
        .write("manifests/image/Dockerfile", "FROM scratch\nFETCH all\n");
    let layer = "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n[target]\nruntime = \"python3.13\"\n\
                 architecture = \"x86_64\"\n[source]\npath = \"shared/src\"\nexlude = []\n";
    sandbox.write("manifests/shared.toml", layer).write("manifests/shared/src/shared.py", "");
    sandbox.function("reader", "3.13", CODE, "");
    sandbox.replace("manifests/reader.toml", "handler =", "layers = [\"shared\"]\nhandler =");
    sandbox.function("new", "3.13", CODE, "");

    build(&sandbox)
        .ends_with(exit::INPUT_INVALID)
        .prints(&[
            "good    unchanged",
            "image   failed",
            "later   failed",
            "locked  failed",
            "new     published",
            "noise   failed",
            "reader  skipped    for want of shared",
            "shared  failed",
        ])
        .says(&[
            "1 published, 1 unchanged, 5 failed (image, later, locked, noise, shared), 1 skipped for want of a layer \
             (reader)",
            "`FETCH` is no instruction",
            "--> manifests/image/Dockerfile:2:1",
            "manifests/later.toml:",
            "manifests/noise.toml: it is UTF-16 text",
            "unknown field `exlude`",
        ]);
    assert_eq!(deployable(&sandbox), ["good", "later", "new"], "what was published stays");

    sandbox.kiln().run(["build", "good"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["build", "reader"]).ends_with(exit::INPUT_INVALID).says(&["unknown field `exlude`"]);
    let explained = sandbox.kiln().run(["explain", "later"]).ends_with(exit::INPUT_INVALID);
    explained.says(&["manifests/later.toml:"]);
}

#[test]
fn a_broken_base_fails_what_stands_on_it_and_broken_settings_fail_everything() {
    let sandbox = Sandbox::new();
    sandbox.function("old", "3.11", CODE, "").function("new", "3.13", CODE, "");
    sandbox.append("images/python-3.11.toml", "\n[nothing]\n");
    build(&sandbox)
        .ends_with(exit::INPUT_INVALID)
        .prints(&["new  published", "old  failed"])
        .says(&["images/python-3.11.toml:", "1 failed (old)"]);
    sandbox.kiln().run(["build", "new"]).ends_with(exit::SUCCESS);

    // What nothing stands on keeps nothing from being built, and is told.
    std::fs::remove_file(sandbox.path("manifests/old.toml")).unwrap();
    build(&sandbox)
        .ends_with(exit::INPUT_INVALID)
        .prints(&["new  unchanged"])
        .says(&["images/python-3.11.toml:"]);

    sandbox.append("kiln.toml", "nothing = 1\n");
    let stopped = build(&sandbox).ends_with(exit::INPUT_INVALID).says(&["kiln.toml:"]);
    assert_eq!(stopped.stdout, "");
}

#[test]
fn a_slip_of_the_finger_is_answered_with_what_was_meant() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    let manifest = String::from_utf8(sandbox.read("manifests/app.toml")).unwrap();
    for (wrong, right, meant) in [
        ("handlr =", "handler =", "did you mean `handler`?"),
        ("lambda-zp", "lambda-zip", "did you mean `lambda-zip`?"),
        ("runtime = \"python3.31\"", "runtime = \"python3.13\"", "did you mean `python3.13`?"),
        ("base = \"python-3.31\"", "base = \"python-3.13\"", "did you mean `python-3.13`?"),
        ("[sorce]", "[source]", "did you mean `source`?"),
    ] {
        assert!(manifest.contains(right), "{right}");
        sandbox.write("manifests/app.toml", manifest.replace(right, wrong));
        sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[meant]);
    }
    sandbox.write("manifests/app.toml", manifest);
    for (settings, meant) in [
        ("format = \"1\"\n[polcy]\n", "did you mean `policy`?"),
        ("format = \"1\"\n[policy.levels]\nsmoke-faild = \"deny\"\n", "did you mean `smoke-failed`?"),
        ("format = \"1\"\n[policy.levels]\nsmoke-failed = \"denny\"\n", "did you mean `deny`?"),
        ("", "begin the file with the line format = \"1\""),
    ] {
        sandbox.write("kiln.toml", settings);
        sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[meant]);
    }
    sandbox.write("kiln.toml", "format = \"1\"\n");
    for command in ["build", "lock"] {
        sandbox
            .kiln()
            .run([command])
            .ends_with(exit::USAGE)
            .says(&[&format!("kiln {command} [OPTIONS] --all")]);
    }
}

#[test]
fn every_unknown_key_is_told_and_a_program_is_told_where_the_first_is() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    let lines = String::from_utf8(sandbox.read("manifests/app.toml")).unwrap().lines().count();
    sandbox.append("manifests/app.toml", "\n[budgt]\nzip = \"6 MB\"\n[chek]\n");
    let kiln = sandbox.kiln();
    kiln.run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "unknown field `budgt`",
        "did you mean `budget`?",
        "unknown field `chek`",
        "did you mean `check`?",
    ]);
    let document = kiln.run(["build", "app", "--format", "json"]).ends_with(exit::INPUT_INVALID).json();
    let app = &document["artifacts"][0];
    let place = serde_json::json!({"file": "manifests/app.toml", "line": lines + 2});
    assert_eq!(app["error_place"], place, "{document}");
    let hints = serde_json::json!(["did you mean `budget`?", "did you mean `check`?"]);
    assert_eq!(app["error_hints"], hints, "{document}");
}

#[test]
fn every_command_that_needs_a_workspace_says_alike_that_there_is_none() {
    let sandbox = Sandbox::bare();
    fs_err::remove_file(sandbox.path("kiln.toml")).unwrap();
    let elsewhere = Sandbox::bare();
    let bare = sandbox.root();
    for arguments in [
        &["build", "--all"][..],
        &["invoke", "app"],
        &["lock", "--all"],
        &["explain", "app"],
        &["pins"],
        &["pins", "--check"],
        &["approve", "app", "--reason", "why"],
        &["verify"],
        &["verify", "--cross-check", "app"],
        &["sign", "--key-env", "KEY"],
        &["log"],
        &["find", "alpha"],
        &["history"],
        &["gather", "other"],
        &["push", "--all", "--to", "registry.example.org/team"],
        &["pull", "--all", "--from", "registry.example.org/team", "--tag", "1", "--into", "there"],
        &["export", "env"],
        &["new", "artifact", "app"],
        &["bundle", "create", "--all", "file"],
    ] {
        sandbox
            .kiln()
            .run(arguments)
            .ends_with(exit::INPUT_INVALID)
            .says(&["kiln init makes one of a project"]);
        // The same of a folder that is named, from a workspace.
        let named = [&["--workspace", bare.to_str().unwrap()], arguments].concat();
        let outcome = elsewhere.kiln().run(named).ends_with(exit::INPUT_INVALID);
        outcome.says(&["holds no kiln.toml", "kiln init makes one of a project"]);
    }
}

/// A function that needs a distribution which no store has.
fn wanting(sandbox: &Sandbox) {
    let unique = sandbox.folder().file_name().unwrap().to_string_lossy().into_owned();
    let code = format!("# {unique}\n");
    let wheel =
        crate::harness::wheel("wanting", "1.0", "py3-none-any", &[], &[("wanting.py", code.as_bytes())]);
    let code = "import wanting\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("app", "3.13", code, &wheel.requirement(""));
}

#[test]
fn a_proxy_and_certificates_are_named_where_a_server_cannot_be_reached() {
    let sandbox = Sandbox::new();
    wanting(&sandbox);
    let index =
        |url: &str| sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{url}\"\n"));
    let kiln = sandbox.kiln().with_variable("NO_PROXY", "").with_variable("no_proxy", "");
    index("http://index.example.org/simple");
    kiln.clone()
        .with_variable("http_proxy", "http://me:hunter2@127.0.0.1:9")
        .run(["build", "app"])
        .ends_with(exit::FETCH_FAILED)
        .says(&[
            "http://index.example.org/simple",
            "http_proxy=http://***@127.0.0.1:9 is set, so that the proxy was asked",
        ])
        .does_not_say("hunter2");
    index("https://127.0.0.1:9/simple");
    let refused = kiln
        .clone()
        .with_variable("SSL_CERT_DIR", "/nowhere")
        .with_variable("SSL_CERT_FILE", "/nowhere.pem")
        .run(["build", "app"]);
    refused
        .ends_with(exit::FETCH_FAILED)
        .says(&["SSL_CERT_DIR=/nowhere and SSL_CERT_FILE=/nowhere.pem is set"]);
    // What is on this machine is reached without a proxy.
    kiln.with_variable("https_proxy", "http://127.0.0.1:7")
        .run(["build", "app"])
        .ends_with(exit::FETCH_FAILED)
        .does_not_say("https_proxy");
}

#[test]
fn a_socket_that_this_user_may_not_open_is_told_from_an_engine_that_is_not_there() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
    let socket = sandbox.folder().join("engine.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs_err::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Where root runs the tests, it is root without leave to open everything.
    let kiln = sandbox
        .kiln()
        .with_variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .in_shell("if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set -dac_override,-dac_read_search \"$@\"; fi; exec \"$@\"");
    kiln.run(["build", "app"])
        .ends_with(exit::ENGINE_UNAVAILABLE)
        .says(&["permission denied: this user may not use it", "usermod -aG docker"])
        .does_not_say("start it");
    fs_err::remove_file(&socket).unwrap();
    kiln.run(["build", "app"]).ends_with(exit::ENGINE_UNAVAILABLE).says(&["there is no socket", "start it"]);
}

#[test]
fn a_history_says_which_build_had_the_same_bytes() {
    let sandbox = Sandbox::new();
    for code in [CODE, "def handler(event, context):\n    return 7\n", CODE] {
        sandbox.function("app", "3.13", code, "");
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    }
    sandbox.kiln().run(["history", "app"]).ends_with(exit::SUCCESS).prints(&["@3", "same bytes as @1"]);
    // A folder is read in a workspace, too; what the ledger has is that, whatever lies under its name.
    sandbox.write("monday/record.json", sandbox.read("dist/app/record.json")).write("app/record.json", "{}");
    sandbox.kiln().run(["history", "app"]).ends_with(exit::SUCCESS).prints(&["@3", "same bytes as @1"]);
    let folder = sandbox.kiln().run(["history", "monday", "--format", "json"]).ends_with(exit::SUCCESS);
    assert_eq!(folder.json()[0]["from"], "monday/record.json");
}

#[test]
fn a_suite_that_is_not_there_is_told_with_its_line() {
    let mirror = crate::harness::LocalMirror::serve();
    let sandbox = Sandbox::new();
    sandbox.replace("images/python-3.13.toml", "suite = \"trixie\"", "suite = \"trixy\"");
    sandbox
        .kiln()
        .with_variable("KILN_DEBIAN_MIRROR", &mirror.url())
        .run(["lock", "--base", "python-3.13"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["there is no suite `trixy`", "--> images/python-3.13.toml:", "suite = \"trixy\""]);
}

#[test]
fn what_the_runtime_has_and_a_changed_mode_are_told_for_what_they_are() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["explain", "app", "boto3"]).ends_with(exit::INPUT_INVALID).says(&[
        "app does not bring `boto3`: boto3 is from the runtime, python3.13",
        "to bring a version of its own",
    ]);
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(sandbox.read("dist/app/app.zip"))).unwrap();
    let mut other = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        let name = member.name().unwrap().into_owned();
        let mode = if name == "app.py" { 0o755 } else { 0o644 };
        let options = zip::write::SimpleFileOptions::default().unix_permissions(mode);
        other.start_file(name, options).unwrap();
        std::io::copy(&mut member, &mut other).unwrap();
    }
    sandbox.write("dist/app/app.zip", other.finish().unwrap().into_inner());
    sandbox
        .kiln()
        .run(["verify", "dist/app/app.zip"])
        .ends_with(exit::NOT_REPRODUCIBLE)
        .prints(&["app.py has the mode 0755, and 0644 is expected"]);
}
