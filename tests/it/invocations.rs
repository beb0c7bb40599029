//! `kiln invoke`: one event for a function as it is published.

use crate::container_images::{function, runtime_client};
use crate::harness::{LocalIndex, Outcome, Sandbox};
use kiln_record::exit;
use std::process::Stdio;

const CODE: &str = "import os\n\n\ndef handler(event, context):\n    print('got', sorted(event))\n    \
                    if event.get('fail'):\n        raise KeyError('no such order')\n    \
                    if event.get('hang'):\n        import time\n        time.sleep(60)\n    \
                    return {'sum': event['a'] + event['b'], 'table': os.environ.get('TABLE'), \
                    'left': context.get_remaining_time_in_millis() <= 2000}\n";

fn published(code: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", code, "");
    sandbox.append(
        "manifests/app.toml",
        "\n[check]\ntimeout = \"2 s\"\nmemory = \"256 MB\"\nenv = { TABLE = \"orders\" }\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox
}

fn invoke(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    sandbox.kiln().run(["invoke"].iter().chain(arguments).copied())
}

#[test]
fn an_event_is_answered_on_stdout_with_the_log_and_the_report_beside_it() {
    let sandbox = published(CODE);
    let answered = invoke(&sandbox, &["app", "--event", r#"{"a": 1, "b": 2}"#]).ends_with(exit::SUCCESS);
    let answer: serde_json::Value = serde_json::from_str(&answered.stdout).unwrap();
    assert_eq!(answer, serde_json::json!({"sum": 3, "table": "orders", "left": true}));
    let answered = answered.says(&["got ['a', 'b']", "report app@1 init ", "handled in ", " of 256 MB"]);
    assert!(!answered.stderr.contains("KILN-SMOKE-REPORT"), "{}", answered.stderr);
    assert!(!answered.stderr.contains("note:"), "it is what the source gives: {}", answered.stderr);

    sandbox.write("event.json", r#"{"a": 2, "b": 2}"#);
    let file =
        invoke(&sandbox, &["app", "--event", "event.json", "--env", "TABLE=other", "--format", "json"]);
    let document = file.ends_with(exit::SUCCESS).json();
    assert_eq!((document["outcome"].as_str(), document["memory"].as_u64()), (Some("answered"), Some(256)));
    let answer: serde_json::Value = serde_json::from_str(document["answer"].as_str().unwrap()).unwrap();
    assert_eq!(answer, serde_json::json!({"sum": 4, "table": "other", "left": true}));
    assert_eq!(document["log"], serde_json::json!(["got ['a', 'b']"]));
    assert!(document["invoke_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{document}");

    let input = fs_err::File::open(sandbox.path("event.json")).unwrap();
    let mut piped = sandbox.kiln().command(["invoke", "app", "--event", "-"]);
    let piped = piped.stdin(Stdio::from(input.into_parts().0)).output().unwrap();
    assert!(String::from_utf8_lossy(&piped.stdout).contains("\"sum\": 4"), "{piped:?}");
    let piped = sandbox.kiln().in_shell("cat event.json | \"$@\"");
    let piped = piped.run(["invoke", "app", "--event", "/dev/stdin"]).ends_with(exit::SUCCESS);
    assert!(piped.stdout.contains("\"sum\": 4"), "{piped}");

    // A copy elsewhere runs by the record beside it, and one that was changed does not.
    let (zip, record) = (sandbox.read("dist/app/app.zip"), sandbox.read("dist/app/record.json"));
    sandbox.write("copy/app.zip", &zip).write("copy/record.json", record);
    invoke(&sandbox, &["copy/app.zip", "-e", r#"{"a": 1, "b": 1}"#])
        .ends_with(exit::SUCCESS)
        .says(&["report copy/app.zip"]);
    sandbox.write("copy/app.zip", [&zip[..], b"x"].concat());
    invoke(&sandbox, &["copy/app.zip", "-e", "{}"]).ends_with(exit::NOT_REPRODUCIBLE);
}

#[test]
fn what_a_function_prints_for_a_terminal_is_told_in_lines_without_its_sequences() {
    let code = "def handler(event, context):\n    \
                print('\\r 10 %\\r\\x1b[32m 90 %\\x1b[0m\\x1b]0;title\\x07\\r')\n    \
                raise ValueError('\\x1b[31mfirst\\x1b[0m\\nsecond')\n";
    let sandbox = published(code);
    let failed = invoke(&sandbox, &["app", "--event", "{}"]).ends_with(exit::FUNCTION_FAILED);
    let lines: Vec<&str> = failed.stderr.lines().map(str::trim).collect();
    for line in [
        "10 %",
        "90 %",
        "[ERROR] ValueError: first",
        "second",
        "Traceback (most recent call last):",
        "ValueError: first",
    ] {
        assert!(lines.contains(&line), "{line}: {failed}");
    }
    assert!(!failed.stderr.contains(['\u{fffd}', '\u{1b}']) && !failed.stderr.contains("[32m"), "{failed}");
    let error: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(error["errorMessage"], "first\nsecond");
}

#[test]
fn an_archive_that_was_changed_is_told_from_one_that_is_gone_or_of_another_build() {
    let sandbox = published(CODE);
    let zip = sandbox.read("dist/app/app.zip");
    let changed = "dist/app/app.zip is not what its record says any more: it was changed";
    for bytes in [&zip[..zip.len() - 1], &[], b"another"] {
        sandbox.write("dist/app/app.zip", bytes);
        let told = invoke(&sandbox, &["app", "-e", "{}"]).ends_with(exit::NOT_REPRODUCIBLE);
        told.says(&[changed, "kiln build app"]).does_not_say("gone");
    }
    // Whoever needs the file in its folder tells the same.
    let push = ["push", "app", "--to", "127.0.0.1:9/team"];
    sandbox.kiln().run(push).ends_with(exit::NOT_REPRODUCIBLE).says(&[changed]);
    fs_err::remove_file(sandbox.path("dist/app/app.zip")).unwrap();
    sandbox
        .kiln()
        .run(push)
        .ends_with(exit::NOT_REPRODUCIBLE)
        .says(&["dist/app/app.zip is gone", "kiln build app"])
        .does_not_say("changed");
    let gone = "its archive is not under";
    invoke(&sandbox, &["app", "-e", "{}"])
        .ends_with(exit::INPUT_INVALID)
        .says(&[gone, "build it"])
        .does_not_say("changed");
    // What is published is a later build, which nobody changed.
    sandbox.append("manifests/app/src/app.py", "LATER = True\n");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    invoke(&sandbox, &["app@1", "-e", "{}"])
        .ends_with(exit::INPUT_INVALID)
        .says(&[gone])
        .does_not_say("changed");
}

#[test]
fn what_does_not_answer_ends_with_a_code_of_its_own() {
    let sandbox = published(CODE);
    let failed = invoke(&sandbox, &["app", "--event", r#"{"fail": true}"#]).ends_with(exit::FUNCTION_FAILED);
    let error: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(error["errorType"], "KeyError");
    assert!(error["stackTrace"].to_string().contains("app.py"), "{error}");
    failed.says(&["error: ", "KeyError", "got ['fail']", "report app@1"]);

    let late = invoke(&sandbox, &["app", "--event", r#"{"hang": true}"#]).ends_with(exit::FUNCTION_FAILED);
    assert_eq!(late.stdout, "");
    late.says(&["2 s", "raise `timeout` under [check]", "timeout"]);

    invoke(&sandbox, &["app", "--event", "{a: 1}"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`{a: 1}` is no file, and not JSON either", "name a file with the event, or write it"]);
    invoke(&sandbox, &["app", "--env", "TABLE"]).ends_with(exit::USAGE).says(&["it is not NAME=VALUE"]);
    invoke(&sandbox, &["ap"]).ends_with(exit::INPUT_INVALID).says(&["`ap` has no build in the ledger"]);
}

#[test]
fn what_is_published_is_run_and_a_source_that_moved_on_is_told() {
    let sandbox = published("def handler(event, context):\n    return 'old'\n");
    sandbox.write("manifests/app/src/app.py", "def handler(event, context):\n    return 'new'\n");
    let old = invoke(&sandbox, &["app"]).ends_with(exit::SUCCESS);
    assert_eq!(old.stdout, "\"old\"\n");
    old.says(&[
        "note: this is what was built, and the workspace has changed since: kiln build app makes it anew",
    ]);
    sandbox.write("manifests/app/src/app.py", [0xff]);
    sandbox.kiln().run(["build", "--all"]);
    assert_eq!(invoke(&sandbox, &["app"]).ends_with(exit::SUCCESS).stdout, "\"old\"\n");
}

#[test]
fn layers_are_there_and_are_not_invoked_themselves() {
    let sandbox = Sandbox::new();
    sandbox.function(
        "app",
        "3.13",
        "import shared\n\ndef handler(event, context):\n    return shared.WORD\n",
        "",
    );
    sandbox.replace("manifests/app.toml", "handler =", "layers = [\"common\"]\nhandler =");
    sandbox.write(
        "manifests/common.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
         \"x86_64\"\n\n[source]\npath = \"common\"\ninto = \"python\"\n",
    );
    sandbox.write("manifests/common/shared.py", "WORD = 'from the layer'\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert_eq!(invoke(&sandbox, &["app"]).ends_with(exit::SUCCESS).stdout, "\"from the layer\"\n");
    invoke(&sandbox, &["common"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["a layer is not invoked; name a function that uses it"]);
}

#[test]
fn an_image_is_started_as_it_is_published_and_leaves_nothing_in_the_engine() {
    let client = runtime_client();
    let index = LocalIndex::serve(&[runtime_client()]);
    let sandbox = Sandbox::new().with_index(&index);
    let lock = format!("awslambdaric==0.0.1 --hash=sha256:{}\n", client.digest().hex());
    function(&sandbox, "pictured", "python-3.13", &lock);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let answered = invoke(&sandbox, &["pictured", "-e", r#"{"name": "you"}"#]).ends_with(exit::SUCCESS);
    let answer: serde_json::Value = serde_json::from_str(&answered.stdout).unwrap();
    assert_eq!(answer, serde_json::json!({"hello": "you", "file": "/var/task/app.py"}));
    let listed = std::process::Command::new("docker")
        .args(["images", "--quiet", "localhost/kiln/pictured"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "");
}
