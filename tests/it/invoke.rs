//! What comes of events that a function must handle before it is published.

use crate::harness::{LocalIndex, Outcome, Sandbox, locked, wheel};
use kiln_record::exit;
use std::collections::BTreeMap;

/// Adds an event of a function with what is expected of it: lines of its `[[smoke]]`, the event, and the expectation.
fn event(sandbox: &Sandbox, function: &str, name: &str, lines: &str, event: &str, expect: &str) {
    let number = String::from_utf8(sandbox.read(&format!("manifests/{function}.toml"))).unwrap();
    let number = number.matches("[[smoke]]").count();
    let mut section =
        format!("\n[[smoke]]\nname = \"{name}\"\nevent = \"{function}/events/{number}.json\"\n{lines}\n");
    sandbox.write(&format!("manifests/{function}/events/{number}.json"), event);
    if !expect.is_empty() {
        section.push_str(&format!("expect = \"{function}/events/{number}.expected.json\"\n"));
        sandbox.write(&format!("manifests/{function}/events/{number}.expected.json"), expect);
    }
    sandbox.append(&format!("manifests/{function}.toml"), &section);
}

/// A function with one event that must be answered.
fn function(sandbox: &Sandbox, name: &str, code: &str) {
    sandbox.function(name, "3.13", code, "");
    event(sandbox, name, "call", "", "{\"a\": 1}", "");
}

fn build(sandbox: &Sandbox) -> Outcome {
    sandbox.kiln().run(["build", "--all", "--color", "never"])
}

/// What the latest run measured of an artifact's latest build.
fn measured(sandbox: &Sandbox, artifact: &str) -> serde_json::Value {
    sandbox.kiln().run(["show", artifact, "--format", "json"]).ends_with(exit::SUCCESS).json()["run"].clone()
}

#[test]
fn events_in_order_share_a_warm_process_and_nothing_measured_is_published() {
    let sandbox = Sandbox::new();
    let code = "import os, sys, logging, time\nfrom decimal import Decimal\nfrom collections import namedtuple\n\n\
                COUNT = 0\nPair = namedtuple('Pair', 'x y')\n\n\
                def handler(event, context):\n    global COUNT\n    COUNT += 1\n    logging.getLogger().warning('call %d', COUNT)\n    \
                return {'count': COUNT, 'event': event, 'table': os.environ['TABLE'], 'left': context.get_remaining_time_in_millis() > 1000,\n        \
                'id': context.aws_request_id, 'function': context.function_name, 'memory': context.memory_limit_in_mb,\n        \
                'arn': context.invoked_function_arn, 'stream': context.log_stream_name, 'group': context.log_group_name,\n        \
                'decimal': Decimal('1.10'), 'pair': Pair(1, b'y'), 'root': os.environ['LAMBDA_TASK_ROOT'], 'cwd': os.getcwd(),\n        \
                'trace': os.environ['_X_AMZN_TRACE_ID'][:7], 3: None, 'version': context.function_version}\n";
    sandbox.function("app", "3.13", code, "");
    sandbox.append(
        "manifests/app.toml",
        "\n[check]\nenv = { TABLE = \"orders\" }\ntimeout = \"20 s\"\nmemory = \"256 MB\"\n",
    );
    let all = r#"{"count": 1, "event": {"a": [1, "ü"]}, "table": "orders", "left": true, "function": "app", "memory": "256",
        "id": "00000000-0000-4000-8000-000000000001",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:app", "stream": "1970/01/01/[$LATEST]0",
        "group": "/aws/lambda/app", "decimal": 1.1, "pair": {"x": 1, "y": "y"}, "root": "/var/task", "cwd": "/var/task",
        "trace": "Root=1-", "3": null, "version": "$LATEST"}"#;
    event(&sandbox, "app", "first", "match = \"exact\"", "{\"a\": [1, \"ü\"]}", all);
    event(&sandbox, "app", "second", "", "null", "{\"count\": 2, \"event\": null}");
    event(&sandbox, "app", "anew", "cold = true", "[]", "{\"count\": 1}");
    event(&sandbox, "app", "shape", "match = \"shape\"", "[]", "{\"count\": 99, \"table\": \"\"}");
    build(&sandbox).ends_with(exit::SUCCESS);

    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    shown.prints(&["smoke         ran on 4 events", "with kiln (not part of the record)", "answered in"]);
    let run = measured(&sandbox, "app");
    let events = run["smoke"]["events"].as_array().unwrap();
    let cold: Vec<bool> = events.iter().map(|event| event["cold"].as_bool().unwrap()).collect();
    assert_eq!(cold, [true, false, true, false]);
    for event in events {
        assert_eq!(event["init_us"].is_u64(), event["cold"].as_bool().unwrap(), "{event}");
        assert!(event["invoke_us"].as_u64().unwrap() > 0, "{event}");
        // A Python process has a few MB at least, and no more than it may have.
        assert!((4_000..262_144).contains(&event["peak_kib"].as_u64().unwrap()), "{event}");
    }
    // What was measured differs from run to run, and what is published does not.
    let before = sandbox.dist();
    for (name, content) in &before {
        let text = String::from_utf8_lossy(content);
        assert!(!text.contains("peak_kib") && !text.contains("invoke_us"), "{name}");
    }
    sandbox.kiln().run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    assert_ne!(measured(&sandbox, "app"), run, "the run was measured anew");
    assert!(sandbox.dist() == before, "dist/ is as it was");
    let history = sandbox.kiln().run(["history", "app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(history["app"].as_array().unwrap().len(), 1, "a run that gave the same is no new build");
    sandbox.kiln().run(["diff", "app@1", "app@latest"]).ends_with(exit::SUCCESS);
}

#[test]
fn an_event_is_part_of_the_plan_and_an_unchanged_build_invokes_nothing() {
    let sandbox = Sandbox::new();
    function(&sandbox, "app", "def handler(event, context):\n    return event\n");
    build(&sandbox).ends_with(exit::SUCCESS);
    let run = measured(&sandbox, "app");
    assert_eq!(run["smoke"]["events"][0]["outcome"], "answered");
    sandbox.kiln().run(["build", "--all", "--format", "json"]).published_only(&[]);
    assert_eq!(measured(&sandbox, "app"), run);
    sandbox.write("manifests/app/events/0.json", "{\"a\": 2}");
    sandbox.kiln().run(["build", "--all", "--format", "json"]).published_only(&["app"]);
    let record: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    let is_event = |input: &&serde_json::Value| input["role"] == "check";
    let event = record["inputs"].as_array().unwrap().iter().find(is_event).unwrap();
    assert_eq!(event["name"], "manifests/app/events/0.json");
    sandbox.write("manifests/app/events/0.json", "{\"a\": ");
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&["manifests/app/events/0.json", "it is not JSON"]);
    fs_err::remove_file(sandbox.path("manifests/app/events/0.json")).unwrap();
    build(&sandbox)
        .ends_with(exit::INPUT_INVALID)
        .says(&["[[smoke]] names manifests/app/events/0.json, which does not exist"]);
}

#[test]
fn lambda_answers_200_although_an_import_failed() {
    let sandbox = Sandbox::new();
    // Lambda's own status is 200 for both: only the answer's document tells. The name is computed, so that reading the
    // code does not tell either.
    function(
        &sandbox,
        "lazy",
        "def handler(event, context):\n    import importlib\n    importlib.import_module('missing_' + 'module')\n    return {}\n",
    );
    let caught = "try:\n    import missing_module\nexcept ImportError:\n    missing_module = None\n\n\
                  def handler(event, context):\n    if missing_module is None:\n        return {'statusCode': 500, 'body': '{\"error\": \"not ready\"}'}\n    return {'statusCode': 200}\n";
    sandbox.function("caught", "3.13", caught, "");
    event(&sandbox, "caught", "ping", "", "{}", "{\"statusCode\": 200, \"body\": {\"error\": null}}");
    sandbox.denied().says(&[
        "deny[smoke-failed] lazy: call it fails with ModuleNotFoundError",
        "File \"/var/task/app.py\", line 3, in handler",
        "ModuleNotFoundError: No module named 'missing_module'",
        "deny[smoke-failed] caught: ping its answer is not what manifests/caught/events/0.expected.json expects",
        "$.statusCode: expected 200, got 500",
        "$.body.error: expected null, got \"not ready\"",
        "2 denied",
    ]);
}

#[test]
fn endings_that_are_no_answer() {
    let sandbox = Sandbox::new();
    let handler = |body: &str| format!("import os, sys, time\n\ndef handler(event, context):\n    {body}\n");
    function(&sandbox, "unserialisable", &handler("return {'a': {1, 2}}"));
    function(
        &sandbox,
        "hangs",
        &handler("print('waiting for', event['a'], flush=True)\n    time.sleep(600)"),
    );
    sandbox.append("manifests/hangs.toml", "\n[check]\ntimeout = \"1 s\"\n");
    function(&sandbox, "exits", &handler("sys.exit(3)"));
    function(&sandbox, "crashes", &handler("print('before', flush=True)\n    os.abort()"));
    function(
        &sandbox,
        "connects",
        &handler("import socket\n    socket.create_connection(('192.0.2.1', 443), timeout=5)"),
    );
    function(&sandbox, "greedy", &handler("data = bytearray(900 << 20)\n    return len(data)"));
    sandbox.append("manifests/greedy.toml", "\n[check]\nmemory = \"128 MB\"\n");
    function(
        &sandbox,
        "stuck",
        "import os, threading\nif 'AWS_LAMBDA_RUNTIME_API' in os.environ:\n    raise RuntimeError('not ready')\nhandler = print\n",
    );
    sandbox.denied().says(&[
        "deny[smoke-failed] unserialisable: call its answer has no JSON form, so Lambda fails with Runtime.MarshalError",
        "Runtime.MarshalError: Unable to marshal response: Object of type set is not JSON serializable",
        "deny[smoke-failed] hangs: call it did not answer within 1 s",
        "waiting for 1",
        "deny[smoke-failed] exits: call its process ended instead of answering, with exit code 3",
        "deny[smoke-failed] crashes: call its process crashed instead of answering (signal 6)",
        "the last lines of its output: before",
        "deny[smoke-failed] connects: call it fails with OSError",
        "OSError: [Errno 101] Network is unreachable",
        "→ the check has no network",
        "deny[smoke-failed] greedy: call it was killed instead of answering: it needs more than 128 MB of memory",
        "deny[smoke-failed] stuck: call it fails with RuntimeError before its first event, while its modules are loaded",
        "7 denied",
    ]).documents("deny[smoke-failed] hangs: call");
}

#[test]
fn errors_that_are_meant() {
    let sandbox = Sandbox::new();
    let code = "import time\n\ndef handler(event, context):\n    if event.get('hang'):\n        time.sleep(600)\n    return event['key']\n";
    sandbox.function("app", "3.13", code, "");
    sandbox.append("manifests/app.toml", "\n[check]\ntimeout = \"1 s\"\n");
    let error = "status = \"error\"\nerror-type = \"KeyError\"";
    event(&sandbox, "app", "no key", error, "{}", "{\"errorMessage\": \"'key'\"}");
    event(&sandbox, "app", "any error", "status = \"error\"", "{}", "");
    event(
        &sandbox,
        "app",
        "too long",
        "status = \"error\"\nerror-type = \"Sandbox.Timedout\"",
        "{\"hang\": 1}",
        "",
    );
    event(&sandbox, "app", "afterwards", "", "{\"key\": [1]}", "[1]");
    build(&sandbox).ends_with(exit::SUCCESS);
    // The process that hung is gone: the next event had a new one.
    let events = measured(&sandbox, "app")["smoke"]["events"].clone();
    assert_eq!((&events[2]["outcome"], &events[3]["cold"]), (&"timeout".into(), &true.into()), "{events}");

    sandbox.replace("manifests/app.toml", "KeyError", "ValueError");
    event(&sandbox, "app", "answers", "status = \"error\"", "{\"key\": 1}", "");
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[smoke-failed] app: no key it fails with KeyError, where the error `ValueError` was expected",
        "deny[smoke-failed] app: answers it answers, where the error was expected",
    ]);
}

#[test]
fn a_failure_that_the_policy_lets_through_is_recorded_without_what_the_run_saw() {
    let sandbox = Sandbox::new();
    let code = "import time\n\ndef handler(event, context):\n    print('now', time.time_ns())\n    raise ValueError(time.time_ns())\n";
    function(&sandbox, "app", code);
    sandbox.append("manifests/app.toml", "\n[policy.levels]\nsmoke-failed = \"warn\"\n");
    build(&sandbox).ends_with(exit::SUCCESS).says(&[
        "warn[smoke-failed] app: call it fails with ValueError",
        "→ see what the last run saw: kiln show app",
    ]);
    let before = sandbox.dist();
    sandbox.kiln().run(["show", "app"]).prints(&["it fails with ValueError", "now 1"]);
    sandbox.kiln().run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    assert!(sandbox.dist() == before, "dist/ is as it was");
}

#[test]
fn what_the_runtime_provides_cannot_be_called() {
    let sandbox = Sandbox::new();
    let code = "import boto3\nfrom botocore.exceptions import ClientError\n\nTABLE = boto3.resource('dynamodb').Table('orders')\n\n\
                def handler(event, context):\n    if event['a'] == 0:\n        return 'nothing to do'\n    try:\n        return TABLE.get_item(Key={'id': 1})\n    \
                except ClientError:\n        return None\n";
    function(&sandbox, "app", code);
    sandbox.denied().says(&[
        "deny[smoke-failed] app: call it fails with NotInBase",
        "it calls `boto3.resource().Table.get_item` at /var/task/app.py:10: boto3 is provided by runtime python3.13 and is \
         not in the base, so nothing can answer",
        "→ use an event that the function answers without calling boto3",
        "→ or ship it, which AWS recommends: add `boto3` to the project's dependencies",
    ]);
    sandbox.write("manifests/app/events/0.json", "{\"a\": 0}");
    build(&sandbox).ends_with(exit::SUCCESS);
}

#[test]
fn the_client_of_aws_runs_the_handler_where_it_is_shipped() {
    let sandbox = Sandbox::new();
    let lock = locked(&["awslambdaric", "simplejson", "snapshot-restore-py"]);
    let code = "import sys\nfrom decimal import Decimal\n\ndef handler(event, context):\n    \
                if event == 'fail':\n        raise KeyError('gone')\n    if event == 'bad':\n        return {1}\n    \
                return {'client': 'awslambdaric' in sys.modules, 'd': Decimal('2.50'), 'id': context.aws_request_id}\n";
    sandbox.function("app", "3.13", code, &lock);
    let expect = r#"{"client": true, "d": 2.5, "id": "00000000-0000-4000-8000-000000000001"}"#;
    event(&sandbox, "app", "answer", "match = \"exact\"", "{}", expect);
    event(&sandbox, "app", "error", "status = \"error\"\nerror-type = \"KeyError\"", "\"fail\"", "");
    event(
        &sandbox,
        "app",
        "marshal",
        "status = \"error\"\nerror-type = \"Runtime.MarshalError\"",
        "\"bad\"",
        "",
    );
    build(&sandbox).ends_with(exit::SUCCESS);
    let client = measured(&sandbox, "app")["smoke"]["client"].clone();
    assert!(client.as_str().unwrap().starts_with("awslambdaric "), "{client}");
}

#[test]
fn any_program_that_speaks_the_runtime_api_is_invoked() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "", "");
    let program = "#!/usr/bin/python3.13\nimport json, os, urllib.request as http\n\n\
        API = 'http://%s/2018-06-01/runtime/' % os.environ['AWS_LAMBDA_RUNTIME_API']\n\
        while True:\n    with http.urlopen(API + 'invocation/next') as answer:\n        event = json.load(answer)\n        \
        identity = answer.headers['Lambda-Runtime-Aws-Request-Id']\n    \
        what, body = ('error', {'errorType': 'Refused', 'errorMessage': 'no'}) if event is None else ('response', {'got': event})\n    \
        http.urlopen(API + 'invocation/%s/%s' % (identity, what), json.dumps(body).encode()).close()\n";
    sandbox.write("manifests/app/src/bootstrap", program);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(sandbox.path("manifests/app/src/bootstrap"), executable).unwrap();
    sandbox.replace("manifests/app.toml", "runtime = \"python3.13\"", "runtime = \"provided.al2023\"");
    event(&sandbox, "app", "answer", "match = \"exact\"", "[1]", "{\"got\": [1]}");
    event(&sandbox, "app", "refuse", "status = \"error\"\nerror-type = \"Refused\"", "null", "");
    build(&sandbox).ends_with(exit::SUCCESS);
    let smoke = measured(&sandbox, "app")["smoke"].clone();
    assert_eq!((&smoke["client"], &smoke["events"][1]["cold"]), (&"bootstrap".into(), &false.into()));
}

#[test]
fn a_layers_modules_are_there_and_a_layer_is_not_invoked() {
    let shapes = wheel("shapes", "1.0", "py3-none-any", &[], &[("shapes.py", b"SIDES = 4\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&shapes));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.write("manifests/shapes-layer/requirements.txt", shapes.requirement(""));
    let layer = "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
                 \"x86_64\"\n\n[python]\nlock = \"shapes-layer/requirements.txt\"\n";
    sandbox.write("manifests/shapes-layer.toml", layer);
    sandbox.function("app", "3.13", "import shapes\n\ndef handler(e, c):\n    return shapes.SIDES\n", "");
    sandbox.replace("manifests/app.toml", "handler =", "layers = [\"shapes-layer\"]\nhandler =");
    event(&sandbox, "app", "sides", "", "{}", "4");
    build(&sandbox).ends_with(exit::SUCCESS);
    let checks = |name: &str| -> BTreeMap<String, String> {
        let record: serde_json::Value =
            serde_json::from_slice(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap();
        let checks = record["checks"].as_array().unwrap();
        checks.iter().map(|c| (c["name"].to_string(), c["outcome"]["state"].to_string())).collect()
    };
    assert_eq!(checks("app")["\"smoke\""], "\"ran\"");
    assert_eq!(checks("shapes-layer")["\"smoke\""], "\"not-checked\"");
    sandbox.append("manifests/shapes-layer.toml", "\n[[smoke]]\nname = \"x\"\nevent = \"x.json\"\n");
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&["a lambda-layer cannot be invoked"]);
}
