//! Whole builds on an engine in memory: what is published, what is recorded, and what a build leaves alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_build::{BuildReport, BuildRequest, build};
use kiln_fixtures::{FUNCTION, Python, Sandbox, imported, report, wheel};
use kiln_invocation::{Ending, Event, Events, Stage};
use kiln_python::IMPORT_CHECK;
use kiln_record::{Code, Digest, Level, Record};
use kiln_store::Ledger;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Builds everything.
async fn build_all(sandbox: &Sandbox) -> BuildReport {
    build(&sandbox.environment(), &BuildRequest::default(), &Events::none(), sandbox.engine()).await.unwrap()
}

/// How each artifact ended.
fn endings(report: &BuildReport) -> Vec<(&str, &Ending)> {
    for result in &report.results {
        assert!(result.error.is_none(), "{:?}", result.error);
    }
    report.results.iter().map(|result| (result.artifact.as_str(), &result.ending)).collect()
}

/// Every file below `dist`, with its digest.
fn published(sandbox: &Sandbox) -> BTreeMap<String, Digest> {
    let dist = sandbox.environment().dist;
    let mut files = BTreeMap::new();
    let mut open: Vec<_> = dist.is_dir().then(|| dist.clone()).into_iter().collect();
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(&dist).unwrap().to_str().unwrap().to_owned();
                files.insert(name, Digest::of(&fs_err::read(path).unwrap()));
            }
        }
    }
    files
}

fn record(sandbox: &Sandbox, artifact: &str) -> Record {
    let file = sandbox.environment().dist.join(artifact).join("record.json");
    Record::from_json(&fs_err::read(file).unwrap()).unwrap()
}

fn builds(sandbox: &Sandbox, artifact: &str) -> usize {
    let ledger = Ledger::open(&sandbox.environment().state.join("ledger"));
    ledger.entries(&artifact.parse().unwrap()).unwrap().len()
}

/// A function of one file.
async fn function(python: Python) -> Sandbox {
    let sandbox = Sandbox::new(python.into_engine(), &[]).await;
    sandbox.write("manifests/app.toml", FUNCTION);
    sandbox.write("manifests/app/app.py", "def handler(event, context):\n    return event\n");
    sandbox
}

#[tokio::test]
async fn a_function_is_published_recorded_and_not_built_again() {
    let sandbox = function(Python::new()).await;
    assert_eq!(endings(&build_all(&sandbox).await), [("app", &Ending::Published)]);
    let first = published(&sandbox);
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "app/SHA256SUMS",
            "app/app.cdx.json",
            "app/app.intoto.jsonl",
            "app/app.zip",
            "app/record.json",
            "index.json"
        ]
    );
    let recorded = record(&sandbox, "app");
    let archive = recorded.archive().unwrap();
    assert_eq!(archive.digest, first["app/app.zip"]);
    assert_eq!(recorded.epoch.to_string(), "2026-01-02T03:04:05Z", "the pin's, and no clock's");
    assert_eq!(recorded.files.len(), 1);
    let sums = fs_err::read_to_string(sandbox.environment().dist.join("app/SHA256SUMS")).unwrap();
    for file in names.iter().filter_map(|name| name.strip_prefix("app/")).filter(|name| *name != "SHA256SUMS")
    {
        let line = format!("{}  {file}\n", first[&format!("app/{file}")].hex());
        assert!(sums.contains(&line), "{line}");
    }
    assert_eq!(builds(&sandbox, "app"), 1);

    assert_eq!(endings(&build_all(&sandbox).await), [("app", &Ending::Unchanged)]);
    let forced = BuildRequest { force: true, ..BuildRequest::default() };
    let forced = build(&sandbox.environment(), &forced, &Events::none(), sandbox.engine()).await.unwrap();
    assert_eq!(endings(&forced), [("app", &Ending::Published)]);
    assert_eq!(
        (published(&sandbox), builds(&sandbox, "app")),
        (first.clone(), 1),
        "the same is no new build"
    );

    sandbox.write("dist/app/app.zip", "damaged");
    assert_eq!(endings(&build_all(&sandbox).await), [("app", &Ending::Published)]);
    assert_eq!(published(&sandbox), first, "what is not what was published is made again");
}

#[tokio::test]
async fn a_denied_build_leaves_what_is_published_as_it_was() {
    let broken = Arc::new(Mutex::new(false));
    let asked = Arc::clone(&broken);
    let python = Python::new().answering(IMPORT_CHECK, move |guest, request| {
        let mut answer = imported(request);
        if *asked.lock().unwrap() {
            answer["handler"]["outcome"] = "attribute-missing".into();
        }
        report(guest, "KILN-IMPORT-REPORT", &answer);
        0
    });
    let sandbox = function(python).await;
    assert!(build_all(&sandbox).await.is_success());
    let before = published(&sandbox);

    *broken.lock().unwrap() = true;
    sandbox.write("manifests/app/app.py", "def other(event, context): ...\n");
    let denied = build_all(&sandbox).await;
    assert_eq!(endings(&denied), [("app", &Ending::Denied)]);
    assert!(!denied.is_success());
    let finding = &denied.results[0].findings[0];
    assert_eq!((finding.code, finding.level), (Code::HandlerMissing, Level::Deny));
    assert_eq!((published(&sandbox), builds(&sandbox, "app")), (before.clone(), 1));

    let accepted = "\n[policy.levels]\nhandler-missing = \"warn\"\n";
    sandbox.write("kiln.toml", format!("format = \"1\"\n{accepted}"));
    let report = build_all(&sandbox).await;
    assert_eq!(endings(&report), [("app", &Ending::Published)], "under a policy that accepts it");
    assert_eq!(report.results[0].findings[0].level, Level::Warn);
    assert!(published(&sandbox) != before && builds(&sandbox, "app") == 2);
}

#[tokio::test]
async fn an_exception_that_has_ended_denies_what_it_excused() {
    let python = Python::new().answering(IMPORT_CHECK, |guest, request| {
        let mut answer = imported(request);
        answer["handler"]["outcome"] = "attribute-missing".into();
        report(guest, "KILN-IMPORT-REPORT", &answer);
        0
    });
    let sandbox = function(python).await;
    sandbox.write(
        "kiln.toml",
        "format = \"1\"\n[[policy.exception]]\ncode = \"handler-missing\"\nreason = \"soon\"\nuntil = \"2026-03-01\"\n",
    );
    assert_eq!(endings(&build_all(&sandbox).await), [("app", &Ending::Published)], "on its last day");
    assert_eq!(endings(&build_all(&sandbox).await), [("app", &Ending::Unchanged)]);
    let mut later = sandbox.environment();
    later.now = "2026-03-02T00:00:00Z".parse().unwrap();
    let report = build(&later, &BuildRequest::default(), &Events::none(), sandbox.engine()).await.unwrap();
    assert_eq!(endings(&report), [("app", &Ending::Denied)], "on the day after");
    assert_eq!(builds(&sandbox, "app"), 1);
}

const LAYER: &str = r#"
kind = "lambda-layer"
base = "python"
[target]
runtime = "python3.13"
architecture = "x86_64"
[python]
lock = "shared.txt"
"#;

/// A function that uses a layer with one distribution.
async fn function_with_layer(python: Python) -> Sandbox {
    let sandbox = function(python).await;
    let alpha = wheel("alpha", "1.0", "py3-none-any", &[], &[("alpha/__init__.py", b"A = 1\n")]);
    sandbox.offer(&alpha);
    sandbox.write("manifests/shared.toml", LAYER);
    sandbox.write("manifests/shared.txt", alpha.requirement());
    sandbox.write("manifests/app.toml", FUNCTION.replace("[target]", "layers = [\"shared\"]\n[target]"));
    sandbox
}

#[tokio::test]
async fn a_layer_is_built_before_the_function_that_uses_it_and_is_beside_it_when_it_is_checked() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let python = Python::new().answering(IMPORT_CHECK, move |guest, request| {
        if request["handler"].is_string() {
            let files = ["/var/task/app.py", "/opt/python/alpha/__init__.py"];
            kept.lock().unwrap().extend(files.map(|file| guest.read(file).is_ok()));
        }
        report(guest, "KILN-IMPORT-REPORT", &imported(request));
        0
    });
    let sandbox = function_with_layer(python).await;
    let both = [("app", &Ending::Published), ("shared", &Ending::Published)];
    assert_eq!(endings(&build_all(&sandbox).await), both);
    assert_eq!(*seen.lock().unwrap(), [true, true]);
    let layer = record(&sandbox, "shared");
    let paths: Vec<&str> = layer.files.iter().map(|file| file.path.as_str()).collect();
    assert!(paths.contains(&"python/alpha/__init__.py"), "{paths:?}");
    let function = record(&sandbox, "app");
    let input = function.inputs.iter().find(|input| input.name == "shared").unwrap();
    assert_eq!(input.digest, layer.tree);

    // The layer is as it was, and the function is checked with it all the same: collected again, and nothing is asked of
    // the index.
    fs_err::remove_dir_all(sandbox.root().join("index")).unwrap();
    sandbox.write("manifests/app/app.py", "def handler(event, context): ...\n");
    let report = build_all(&sandbox).await;
    assert_eq!(endings(&report), [("app", &Ending::Published), ("shared", &Ending::Unchanged)]);
    assert_eq!(*seen.lock().unwrap(), [true; 4]);
}

const IMAGE: &str = r#"
kind = "image"
base = "python"
[target]
architecture = "x86_64"
[image]
command = ["python3", "app.py"]
[source]
path = "app"
"#;

#[tokio::test]
async fn layers_and_images_are_begun_before_the_others() {
    let sandbox = function_with_layer(Python::new()).await;
    sandbox.write("manifests/basket.toml", FUNCTION);
    sandbox.write("manifests/portal.toml", IMAGE);
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let events = Events::new(move |event| {
        if let Event::Stage { artifact, stage: Stage::Plan } = event {
            kept.lock().unwrap().push(artifact.to_string());
        }
    });
    let mut environment = sandbox.environment();
    environment.jobs = 1;
    let report = build(&environment, &BuildRequest::default(), &events, sandbox.engine()).await.unwrap();
    assert_eq!(report.results.len(), 4);
    assert_eq!(*told.lock().unwrap(), ["shared", "portal", "app", "basket"]);
}

#[tokio::test]
async fn who_waits_is_told_as_waiting() {
    let sandbox = function_with_layer(Python::new()).await;
    sandbox.write("manifests/basket.toml", FUNCTION);
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let events = Events::new(move |event| match event {
        Event::Stage { artifact, stage } => {
            kept.lock().unwrap().push(format!("{artifact} {}", stage.as_str()))
        }
        Event::Ended { artifact, .. } => kept.lock().unwrap().push(format!("{artifact} ended")),
        _ => {}
    });
    let mut environment = sandbox.environment();
    environment.jobs = 1;
    build(&environment, &BuildRequest::default(), &events, sandbox.engine()).await.unwrap();
    let told = told.lock().unwrap();
    // One turn and three that want it: as long as one works, every other one was planned or waits.
    let mut last = BTreeMap::new();
    for line in told.iter() {
        let (artifact, stage) = line.split_once(' ').unwrap();
        last.insert(artifact, stage);
        let idle = |stage: &str| matches!(stage, "plan" | "wait" | "ended");
        let working: Vec<_> = last.iter().filter(|(_, stage)| !idle(stage)).collect();
        assert!(working.len() <= 1, "{line}: {working:?} of {told:?}");
    }
    assert!(told.contains(&"app wait".to_owned()), "for its layer: {told:?}");
    assert_eq!(told.iter().filter(|line| line.ends_with(" ended")).count(), 3);
}

#[tokio::test]
async fn a_function_waits_in_vain_for_a_layer_that_is_denied() {
    let python = Python::new().answering(IMPORT_CHECK, |guest, request| {
        let mut answer = imported(request);
        if let Some(module) = answer["modules"].as_array_mut().and_then(|modules| modules.first_mut()) {
            module["problem"] = serde_json::json!({
                "error": "ImportError", "message": "no", "missing": null, "exit": null, "stand_in": false,
                "traceback": [], "ended": null,
            });
        }
        report(guest, "KILN-IMPORT-REPORT", &answer);
        0
    });
    let sandbox = function_with_layer(python).await;
    let report = build_all(&sandbox).await;
    assert_eq!(endings(&report), [("app", &Ending::Skipped), ("shared", &Ending::Denied)]);
    assert_eq!(report.results[1].findings[0].code, Code::ImportFailed);
    assert_eq!((builds(&sandbox, "app"), builds(&sandbox, "shared")), (0, 0));
}

#[tokio::test]
async fn stages_are_told_in_order_and_what_cannot_be_had_fails_one_artifact() {
    let sandbox = function_with_layer(Python::new()).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let events = Events::new(move |event| {
        if let Event::Stage { artifact, stage } = event
            && artifact.as_str() == "shared"
        {
            kept.lock().unwrap().push(stage);
        }
    });
    let only = BuildRequest { artifacts: Some(vec!["shared".parse().unwrap()]), ..BuildRequest::default() };
    let report = build(&sandbox.environment(), &only, &events, sandbox.engine()).await.unwrap();
    assert_eq!(endings(&report), [("shared", &Ending::Published)]);
    let stages = [
        Stage::Plan,
        Stage::Compare,
        Stage::Select,
        Stage::Fetch,
        Stage::Collect,
        Stage::Verify,
        Stage::Pack,
        Stage::Publish,
    ];
    assert_eq!(*told.lock().unwrap(), stages);

    let beta = wheel("beta", "1.0", "py3-none-any", &[], &[]);
    sandbox.write("manifests/shared.txt", beta.requirement());
    sandbox.write("manifests/alone.toml", FUNCTION);
    let report = build_all(&sandbox).await;
    let endings: Vec<&Ending> = report.results.iter().map(|result| &result.ending).collect();
    assert_eq!(endings, [&Ending::Published, &Ending::Skipped, &Ending::Failed], "alone, app, shared");
    let error = report.results[2].error.as_ref().unwrap().to_string();
    assert!(error.contains("beta"), "{error}");
}

#[tokio::test]
async fn a_name_that_the_workspace_does_not_have_is_refused() {
    let sandbox = function(Python::new()).await;
    let request = BuildRequest { artifacts: Some(vec!["ap".parse().unwrap()]), ..BuildRequest::default() };
    let built = build(&sandbox.environment(), &request, &Events::none(), sandbox.engine()).await;
    assert_eq!(built.unwrap_err().to_string(), "there is no artifact `ap` in this workspace");
}

const SERVICE: &str = r#"
kind = "image"
base = "python"
[target]
architecture = "x86_64"
[source]
path = "app"
[image]
entrypoint = ["/serve"]
user = "1000:1000"
health-check = { command = ["/healthy"], interval = "1 s", retries = 1 }
"#;

#[tokio::test]
async fn an_image_is_assembled_watched_in_the_engine_and_published_or_denied() {
    let check = async |healthy: i64, expect: Ending| {
        let engine = Python::new()
            .into_engine()
            .with_program("/serve", |guest| {
                guest.sleep(std::time::Duration::from_secs(3600));
                0
            })
            .with_program("/healthy", move |guest| {
                // It is the image that runs, with what the artifact has in it.
                let code = if guest.read("/app/app.py").is_ok() { healthy } else { 9 };
                guest.write_stdout(b"503\n");
                code
            });
        let sandbox = Sandbox::new(engine, &[]).await;
        sandbox.write("manifests/service.toml", SERVICE);
        sandbox.write("manifests/app/app.py", "pass\n");
        let report = build_all(&sandbox).await;
        assert_eq!(endings(&report), [("service", &expect)]);
        let engine = sandbox.engine();
        assert_eq!(engine.get().unwrap().containers().await.unwrap(), [], "nothing is left running");
        (sandbox, report)
    };
    let (sandbox, _) = check(0, Ending::Published).await;
    let recorded = record(&sandbox, "service");
    let image = recorded.image.unwrap();
    assert_eq!(image.runs.entrypoint, ["/serve"]);
    assert!(published(&sandbox).contains_key("service/service.oci.tar"), "{:?}", published(&sandbox));

    let (sandbox, report) = check(1, Ending::Denied).await;
    let finding = report.results[0].findings.iter().find(|finding| finding.code == Code::HealthCheckFailed);
    assert!(finding.unwrap().cause.ends_with("fails with exit code 1: 503"), "{finding:?}");
    assert!(published(&sandbox).is_empty());
}

#[tokio::test]
async fn what_is_built_on_request_is_left_out_of_all_and_told() {
    let sandbox = function(Python::new()).await;
    let on_request = format!("on-request = true\n{FUNCTION}");
    sandbox.write("manifests/seldom.toml", &on_request);
    let report = build_all(&sandbox).await;
    assert_eq!(endings(&report), [("app", &Ending::Published)]);
    assert_eq!(report.on_request, ["seldom".parse().unwrap()]);

    let named = BuildRequest { artifacts: Some(vec!["seldom".parse().unwrap()]), ..BuildRequest::default() };
    let named = build(&sandbox.environment(), &named, &Events::none(), sandbox.engine()).await.unwrap();
    assert_eq!(endings(&named), [("seldom", &Ending::Published)]);
    assert!(named.on_request.is_empty());
    let bytes = record(&sandbox, "seldom");

    // When it is built decides none of its bytes.
    sandbox.write("manifests/seldom.toml", FUNCTION);
    assert_eq!(
        endings(&build_all(&sandbox).await),
        [("app", &Ending::Unchanged), ("seldom", &Ending::Unchanged)]
    );
    assert_eq!(record(&sandbox, "seldom"), bytes);

    sandbox.write("manifests/seldom.toml", &on_request);
    sandbox.write("manifests/app.toml", &on_request);
    let (environment, all, events) = (sandbox.environment(), BuildRequest::default(), Events::none());
    let refused = build(&environment, &all, &events, sandbox.engine()).await.unwrap_err().to_string();
    assert!(refused.contains("every manifest of the workspace says `on-request = true`"), "{refused}");
}
