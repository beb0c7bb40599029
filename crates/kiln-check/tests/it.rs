//! Checks of collected trees; the programs that run in the base answer as each test says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_check::CheckError;
use kiln_check::{
    Imported, PipWheel, Smoke, Underway, health, hygiene, import, leaks, native, pip_check, pip_install,
    smoke,
};
use kiln_collect::{BroughtBy, Collection, Content, Part, PartFile, SourceTree, Verdict, component};
use kiln_fixtures::{FUNCTION, Python, Sandbox, imported, report, wheel};
use kiln_guest::Bases;
use kiln_invocation::Events;
use kiln_plan::{ArtifactPlan, PlanInputs};
use kiln_python::{IMPORT_CHECK, RUN_PIP, RUNTIME_API, Surroundings};
use kiln_record::{
    Check, CheckName, Code, ComponentId, Digest, Ecosystem, Entry, Epoch, Finding, Level, Mode, Runtime,
    TreePath,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// Own files, whose content is in memory, as a part.
fn own(files: &[(&str, &[u8])]) -> Part {
    let files = files.iter().map(|(place, bytes)| PartFile {
        path: path(place),
        stated: path(place),
        entry: Entry::File { digest: Digest::of(bytes), size: bytes.len() as u64, mode: Mode::Plain },
        content: Some(Content::Made((*bytes).into())),
        elf: None,
        bundled: false,
    });
    Part {
        folder: None,
        component: component(ComponentId::new(Ecosystem::Application, "app"), Ecosystem::Application, "app"),
        brought_by: BroughtBy::Source,
        files: files.collect(),
        modules: Vec::new(),
        unreadable_elf: BTreeMap::new(),
    }
}

/// A function with `app.py`, in a workspace of its own.
struct Function {
    sandbox: Sandbox,
    plan: ArtifactPlan,
    runtime: Runtime,
    collection: Arc<Collection>,
}

impl Function {
    async fn new(python: Python) -> Self {
        Self::with(python, "", &PlanInputs::default()).await
    }

    /// With more lines in its manifest.
    async fn with(python: Python, manifest: &str, inputs: &PlanInputs) -> Self {
        let sandbox = Sandbox::new(python.into_engine(), &[]).await;
        sandbox.write("manifests/app.toml", format!("{FUNCTION}\n{manifest}"));
        let plan = sandbox.plan("app", inputs);
        let runtime = Runtime::clone(plan.manifest.target.runtime.as_ref().unwrap());
        let collection = Arc::new(Collection::new("app", &[own(&[("app.py", b"def handler(e, c): ...\n")])]));
        Self { sandbox, plan, runtime, collection }
    }

    async fn import(&self) -> Imported {
        let around = Surroundings { installed: BTreeMap::new(), declared: None, gaps: Vec::new() };
        let bases = self.sandbox.bases().await;
        let underway = Underway::default();
        let imported =
            import(&bases, &self.plan, &self.runtime, &self.collection, &around, &[], None, &underway);
        imported.await.unwrap()
    }

    async fn smoke(&self) -> Result<Smoke, CheckError> {
        let bases = self.sandbox.bases().await;
        smoke(&bases, &self.plan, &self.runtime, &self.collection, &[], &[], None).await
    }
}

fn codes(findings: &[Finding]) -> BTreeSet<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

fn text(check: &Check) -> String {
    serde_json::to_string(check).unwrap()
}

#[tokio::test]
async fn what_is_reported_of_an_import_last_counts() {
    let check = async |said: fn(&Value) -> String, code: i64, expect: &[&str]| {
        let python = Python::new().answering(IMPORT_CHECK, move |guest, request| {
            assert!(guest.read("/var/task/app.py").is_ok());
            guest.write_stdout(said(request).as_bytes());
            guest.write_stderr(b"last words of <app.X object at 0x7f3a2c55>\n");
            code
        });
        let imported = Function::new(python).await.import().await;
        let causes: Vec<&str> = imported.findings.iter().map(|finding| finding.cause.as_str()).collect();
        assert_eq!(causes, expect);
        let ran = imported.checks.iter().find(|check| check.name == CheckName::Import).unwrap();
        assert_eq!(text(ran).contains("ended before it could report"), imported.record.is_none());
        imported
    };
    let good = |request: &Value| format!("\nKILN-IMPORT-REPORT {}\n", imported(request));
    let fine = check(good, 0, &[]).await;
    assert!(fine.checks.iter().any(|check| check.name == CheckName::ImportOwn));

    let forged = |request: &Value| {
        let mut lie = imported(request);
        lie["handler"]["outcome"] = "module-missing".into();
        format!("KILN-IMPORT-REPORT {lie}\nKILN-IMPORT-REPORT {}\n", imported(request))
    };
    check(forged, 0, &["the process ended itself while importing it, with exit code 0"]).await;
    let missing = |request: &Value| {
        let mut told = imported(request);
        told["handler"]["outcome"] = "module-missing".into();
        told["handler"]["near"] = json!(["application"]);
        format!("KILN-IMPORT-REPORT {told}\n")
    };
    let found = check(missing, 0, &["there is no module `app` in the artifact"]).await;
    assert!(found.findings[0].remedy[0].contains("application.handler"), "{:?}", found.findings);
}

#[tokio::test]
async fn a_check_that_ends_without_a_report_says_how_it_ended() {
    let check = async |said: &'static str, code: i64| {
        let python = Python::new().answering(IMPORT_CHECK, move |guest, _| {
            guest.write_stdout(said.as_bytes());
            guest.write_stderr(b"<app.X object at 0x7f3a2c55>\n");
            code
        });
        let imported = Function::new(python).await.import().await;
        assert!(imported.record.is_none() && codes(&imported.findings) == [Code::ImportFailed].into());
        let finding = imported.findings.into_iter().next().unwrap();
        assert_eq!(finding.detail, ["<app.X object at 0x…>"], "no address, which differs from run to run");
        finding.cause
    };
    assert_eq!(
        check("", 3).await,
        check("KILN-IMPORT-REPORT {\"version\": 3}\n", 3).await,
        "garbled is none"
    );
    assert!(check("", 139).await.contains("11"), "the signal");
    assert!(check("KILN-IMPORT-REPORT {", 0).await != check("", 139).await);
}

#[tokio::test]
async fn what_cannot_be_imported_is_not_checked() {
    let mut function = Function::new(Python::new()).await;
    function.runtime.python = None;
    let imported = function.import().await;
    assert!(imported.findings.is_empty());
    assert_eq!(imported.checks.len(), 1);
    assert!(text(&imported.checks[0]).contains("runtime python3.13 has no Python"), "{:?}", imported.checks);
    let health = health(&function.sandbox.bases().await, &function.plan, None).await.unwrap();
    assert!(text(&health.checks[0]).contains("no x86_64 engine"), "{health:?}");
}

const SMOKE: &str = "[[smoke]]\nname = \"hello\"\nevent = \"hello.json\"\nexpect = \"answer.json\"\n";

/// What serving one event gives, as its report.
fn event(outcome: &str, answer: &str) -> Value {
    json!({ "events": [{
        "name": "hello", "outcome": outcome, "answer": answer, "error": null, "exit": null, "cold": true,
        "init_ms": 1.5, "invoke_ms": 2.0, "peak_kib": 7, "log": ["said"], "stand_ins": [],
    }] })
}

async fn function_with_event(python: Python) -> Function {
    let files = [("manifests/hello.json", "{\"name\": \"x\"}"), ("manifests/answer.json", "{\"ok\": true}")];
    let check_files =
        files.map(|(path, text)| (path.to_owned(), Digest::of(text.as_bytes()))).into_iter().collect();
    let inputs = PlanInputs { check_files, ..PlanInputs::default() };
    let function = Function::with(python, SMOKE, &inputs).await;
    for (path, text) in files {
        function.sandbox.write(path, text);
    }
    function
}

#[tokio::test]
async fn an_answer_is_held_against_what_is_expected() {
    let check = async |answer: &'static str, expect: Option<&str>| {
        let python = Python::new().answering(RUNTIME_API, move |guest, request| {
            assert_eq!(
                guest.read(request["events"][0]["file"].as_str().unwrap()).unwrap(),
                b"{\"name\": \"x\"}"
            );
            assert!(guest.read("/kiln/function.py").is_ok() && guest.read("/var/task/app.py").is_ok());
            report(guest, "KILN-SMOKE-REPORT", &event("answered", answer));
            0
        });
        let smoke = function_with_event(python).await.smoke().await.unwrap();
        assert!(text(&smoke.checks[0]).contains("events"), "{:?}", smoke.checks);
        let measured = smoke.measured.unwrap();
        assert_eq!((measured.client.as_str(), measured.events[0].init_us), ("kiln", Some(1500)));
        match expect {
            None => assert_eq!(smoke.findings, []),
            Some(expect) => {
                assert_eq!(codes(&smoke.findings), [Code::SmokeFailed].into());
                let told = format!("{:?}", smoke.findings[0]);
                assert!(told.contains(expect), "{told}");
            }
        }
    };
    check("{\"ok\": true, \"more\": 1}", None).await;
    check("{\"ok\": false}", Some("answer.json")).await;
    check("not JSON", Some("hello")).await;
}

#[tokio::test]
async fn a_smoke_check_that_cannot_be_made_is_told_apart_from_one_that_fails() {
    let answer = |code: i64| Python::new().answering(RUNTIME_API, move |_, _| code);
    let smoke = function_with_event(answer(127)).await.smoke().await.unwrap();
    assert!(text(&smoke.checks[0]).contains("base python has no Python"), "{smoke:?}");
    let error = function_with_event(answer(1)).await.smoke().await.unwrap_err().to_string();
    assert_eq!(error, "the server of its events failed in base `python` with exit code 1");
    let changed = function_with_event(answer(0)).await;
    changed.sandbox.write("manifests/hello.json", "{}");
    let error = changed.smoke().await.unwrap_err().to_string();
    assert_eq!(error, "manifests/hello.json changed while it was being built");
    let none = Function::new(answer(0)).await.smoke().await.unwrap();
    assert!(text(&none.checks[0]).contains("no [[smoke]]"), "{none:?}");
}

#[tokio::test]
async fn native_code_of_the_artifact_is_read_and_judged() {
    let function = Function::new(Python::new()).await;
    let bases = function.sandbox.bases().await;
    let check = |bytes: &[u8], expect: &[Code]| {
        let part = own(&[("x.so", bytes), ("app.py", b"pass")]);
        let collection = Collection::new("app", std::slice::from_ref(&part));
        let parts = [part];
        let (verdict, _): (Verdict, _) =
            native(bases.store(), &function.plan, &function.runtime, &collection, &parts, &[]).unwrap();
        assert_eq!(codes(&verdict.findings), expect.iter().copied().collect());
        verdict
    };
    let none = check(b"no native code", &[]);
    assert!(text(&none.checks[0]).contains('0'), "{none:?}");
    let verdict = check(b"\x7fELF\x02\x01\x01 and then nothing that follows", &[Code::ElfUnreadable]);
    assert!(verdict.findings[0].cause.starts_with("x.so of app is an ELF file"), "{verdict:?}");
}

#[tokio::test]
async fn what_should_not_be_in_an_artifact_is_found() {
    let function = Function::new(Python::new()).await;
    let bases = function.sandbox.bases().await;
    let check = |files: &[(&str, &[u8])], link: Option<&str>, expect: &[Code]| {
        let mut part = own(files);
        part.files.extend(link.map(|target| PartFile {
            path: path("link"),
            stated: path("link"),
            entry: Entry::Symlink { target: target.to_owned() },
            content: None,
            elf: None,
            bundled: false,
        }));
        let parts = [part];
        let collection = Collection::new("app", &parts);
        let verdict = hygiene(bases.store(), &function.plan, &collection, &parts, &[], None).unwrap();
        assert_eq!(codes(&verdict.findings), expect.iter().copied().collect(), "{:?}", verdict.findings);
        assert!(verdict.checks.iter().any(|check| check.name == CheckName::Tree));
    };
    check(&[("app.py", b"pass")], Some("app.py"), &[]);
    check(&[("app.py", b"pass")], Some("gone.py"), &[Code::DanglingLink]);
}

#[tokio::test]
async fn what_a_dockerfile_copies_is_searched_at_its_place() {
    let function = Function::new(Python::new()).await;
    let bases = function.sandbox.bases().await;
    let (root, store) = (bases.run().root(), bases.store());
    let key = format!("x = 1\nKEY = 'AKIA{}'\n", "QWERTZUIOPASDFGH");
    let private = "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEAx3Jk5Vt0Zq8Wm2Ls7Yd4\n";
    let tree =
        own(&[("srv/settings.py", key.as_bytes()), ("srv/key", private.as_bytes()), ("srv/x", b"X=1\n")]);
    let collection = Collection::new("app", &[tree]);
    let mut context = SourceTree::default();
    for (name, text) in [
        ("settings.py", key.as_str()),
        ("key", private),
        (".env.prod", "X=1\n"),
        ("sub/.env", ""),
        // The image has none of these.
        ("build/id_rsa", "not read as a key"),
        ("build/all.pem", &format!("# another\n{private}")),
    ] {
        let file = format!("manifests/app/{name}");
        function.sandbox.write(&file, text);
        let (digest, size) = (Digest::of(text.as_bytes()), text.len() as u64);
        context.tree.insert(path(name), Entry::File { digest, size, mode: Mode::Plain }).unwrap();
        context.files.insert(path(name), root.join(file));
    }
    let told = |context: Option<&SourceTree>| -> Vec<(String, String, Level)> {
        let verdict = leaks(root, store, &function.plan, &collection, context).unwrap();
        assert!(verdict.findings.iter().all(|finding| finding.code == Code::CredentialLeak));
        let told = verdict.findings.into_iter().map(|finding| {
            let place = finding.place.map(|place| place.to_string()).unwrap_or_default();
            (finding.subject, place, finding.level)
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    };
    let row = |subject: &str, place: &str, level| (subject.to_owned(), place.to_owned(), level);
    let (warn, deny) = (Level::Warn, Level::Deny);
    assert_eq!(
        told(Some(&context)),
        [
            row("build/all.pem", "manifests/app/build/all.pem:2", deny),
            row("build/id_rsa", "manifests/app/build/id_rsa", warn),
            row("srv/key", "manifests/app/key:1", deny),
            row("srv/settings.py", "manifests/app/settings.py:2", warn),
            row("srv/x", "manifests/app/.env.prod", warn),
        ]
    );
    assert_eq!(told(None), [row("srv/key", "", deny), row("srv/settings.py", "", warn)]);
    function.sandbox.write("manifests/app/build/id_rsa", "changed in the meantime");
    let error = leaks(root, store, &function.plan, &collection, Some(&context)).unwrap_err();
    assert!(error.to_string().contains("changed while it was being built"), "{error}");
}

/// Stands for pip: it installs one module of the wheel that it is given.
fn pip() -> Python {
    Python::new().answering(RUN_PIP, |guest, _| {
        let lock = String::from_utf8(guest.read("/wheels/requirements.txt").unwrap()).unwrap();
        assert!(lock.starts_with("alpha==1.0 --hash=sha256:"), "{lock}");
        assert_eq!(guest.list("/wheels").unwrap(), ["alpha-1.0-py3-none-any.whl", "requirements.txt"]);
        i64::from(guest.write("/out/alpha.py", b"A = 1\n").is_err())
    })
}

#[tokio::test]
async fn pip_installs_from_the_wheels_of_the_lock_alone() {
    let check = async |python: Python| {
        let sandbox = Sandbox::new(python.into_engine(), &[]).await;
        let bases = sandbox.bases().await;
        let alpha = wheel("alpha", "1.0", "py3-none-any", &[], &[("alpha.py", b"A = 1\n")]);
        let digest = bases.store().put(&alpha.bytes).unwrap();
        let (name, version, file_name) = (alpha.name, alpha.version, alpha.file_name);
        let wheels = vec![PipWheel { file_name, digest, name, version }];
        assert!(pip_install(&bases, &sandbox.base(), Vec::new(), "app").await.unwrap().is_empty());
        pip_install(&bases, &sandbox.base(), wheels, "app").await
    };
    let installed = check(pip()).await.unwrap();
    assert_eq!(installed["alpha.py"].digest, Digest::of(b"A = 1\n"));
    let error = check(Python::new()).await.err().unwrap().to_string();
    assert!(error.starts_with("pip failed in base `python` with exit code 2\n"), "{error}");

    let function = Function::new(pip()).await;
    let verdict = pip_check(&function.sandbox.bases().await, &function.plan, &function.collection, &[]).await;
    assert_eq!(verdict.unwrap(), Verdict::default(), "only where the manifest says so");
}

/// Distributions by name, with the modules that they offer.
fn around(installed: &[(&str, &[&str])]) -> Surroundings {
    let offered = |modules: &[&str]| modules.iter().map(|name| (*name).to_owned()).collect();
    let installed =
        installed.iter().map(|(name, modules)| (name.parse().unwrap(), offered(modules))).collect();
    Surroundings { installed, declared: None, gaps: Vec::new() }
}

/// A distribution's files as a part.
fn distribution(name: &str, files: &[(&str, &[u8])]) -> Part {
    let mut part = own(files);
    part.component = component(ComponentId::new(Ecosystem::Python, name), Ecosystem::Python, name);
    part
}

/// How a run differs from the others of a test.
#[derive(Clone, Copy)]
struct Asking {
    recalls: bool,
    later: u64,
}

const AS_USUAL: Asking = Asking { recalls: true, later: 0 };

impl Function {
    async fn import_with(&self, parts: &[Part], around: &Surroundings, asking: Asking) -> Imported {
        let mut environment = self.sandbox.environment();
        environment.recalls = asking.recalls;
        environment.now = Epoch::from_seconds(environment.now.seconds() + asking.later).unwrap();
        let lock = kiln_invocation::lock(&environment, &Events::none()).await.unwrap();
        let bases = Bases::open(&environment, &Events::none(), self.sandbox.engine(), lock).unwrap();
        let collection = Arc::new(Collection::new("app", parts));
        import(&bases, &self.plan, &self.runtime, &collection, around, &[], None, &Underway::default())
            .await
            .unwrap()
    }
}

/// A Python that says of each import check what it was asked: the handler and modules of each question.
fn telling(asked: &Arc<Mutex<Vec<String>>>, problem: Option<&'static str>) -> Python {
    let asked = Arc::clone(asked);
    Python::new().answering(IMPORT_CHECK, move |guest, request| {
        let names = |key: &str| request[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let modules: Vec<&str> = names("modules").chain(names("own_modules")).collect();
        let own = if guest.read("/var/task/app.py").is_ok() { "with" } else { "without" };
        let handler = request["handler"].as_str().unwrap_or("none");
        asked.lock().unwrap().push(format!("{handler}: {} {own} its own code", modules.join(" ")));
        let mut told = imported(request);
        for module in told["modules"].as_array_mut().unwrap() {
            if problem == module["name"].as_str() && own == "without" {
                module["problem"] = json!({ "error": "E", "message": "", "missing": null, "exit": null, "stand_in": false,
                    "traceback": [], "ended": null });
            }
        }
        report(guest, "KILN-IMPORT-REPORT", &told);
        0
    })
}

#[tokio::test]
async fn an_answer_is_remembered_by_all_that_was_given() {
    let asked = Arc::default();
    let function = Function::new(telling(&asked, None)).await;
    let parts = |code: &[u8]| [own(&[("app.py", code)])];
    let nothing = around(&[]);
    let count = || std::mem::take(&mut *asked.lock().unwrap()).len();
    let first = function.import_with(&parts(b"1"), &nothing, AS_USUAL).await;
    assert_eq!(count(), 1);
    let second = function.import_with(&parts(b"1"), &nothing, AS_USUAL).await;
    assert_eq!(count(), 0, "nothing changed");
    let again = function.import_with(&parts(b"1"), &nothing, Asking { recalls: false, later: 0 }).await;
    assert_eq!(count(), 1, "it is asked for anew");
    for other in [&second, &again] {
        let said = |imported: &Imported| format!("{:?} {:?}", imported.findings, imported.record);
        assert_eq!(said(&first), said(other));
        let texts = |imported: &Imported| imported.checks.iter().map(text).collect::<Vec<_>>();
        assert_eq!(texts(&first), texts(other));
    }
    function.import_with(&parts(b"2"), &nothing, AS_USUAL).await;
    assert_eq!(count(), 1, "a file changed");
    function.import_with(&[own(&[("app.py", b"1"), ("data", b"")])], &nothing, AS_USUAL).await;
    assert_eq!(count(), 1, "a file came");
    let day = 24 * 3600;
    function.import_with(&parts(b"2"), &nothing, Asking { recalls: true, later: day - 1 }).await;
    assert_eq!(count(), 0, "an answer stands for a day");
    function.import_with(&parts(b"2"), &nothing, Asking { recalls: true, later: day }).await;
    assert_eq!(count(), 1, "and no longer, as what is imported may look at the clock");
    function.import_with(&parts(b"2"), &nothing, AS_USUAL).await;
    assert_eq!(count(), 1, "an answer of a time to come is none");

    let changed = |manifest: &'static str| {
        let asked = Arc::clone(&asked);
        async move { Function::with(telling(&asked, None), manifest, &PlanInputs::default()).await }
    };
    let mut other = changed("[check]\nenv = { A = \"1\" }\n").await;
    other.import_with(&parts(b"1"), &nothing, AS_USUAL).await;
    other.plan.manifest.check.env.insert("A".to_owned(), "2".to_owned());
    other.import_with(&parts(b"1"), &nothing, AS_USUAL).await;
    assert_eq!(count(), 2, "a variable changed");
    other.plan.base.lock.manifest = Digest::of(b"another base");
    let elsewhere = Arc::new(Collection::new("app", &parts(b"1")));
    let bases = other.sandbox.bases().await;
    let imported =
        import(&bases, &other.plan, &other.runtime, &elsewhere, &nothing, &[], None, &Underway::default())
            .await;
    assert!(imported.is_err(), "the base changed: it is brought, and there is none");
}

#[tokio::test]
async fn a_changed_answer_in_the_store_answers_nothing() {
    let asked = Arc::default();
    let function = Function::new(telling(&asked, None)).await;
    let parts = [own(&[("app.py", b"1")])];
    let nothing = around(&[]);
    function.import_with(&parts, &nothing, AS_USUAL).await;
    let answers = function.sandbox.environment().store.join("cache/answer");
    let file = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let file = file(&file(&answers));
    let whole = fs_err::read_to_string(&file).unwrap();
    let (_, value) = whole.split_once('\n').unwrap();
    let forged = value.replace("app.handler", "app.other").replace(r#"\"handler\""#, r#"\"other\""#);
    assert_ne!(forged, value);
    for content in [
        whole.replace("found", "fount"),
        format!("{}\n{forged}", Digest::of(forged.as_bytes())),
        String::new(),
    ] {
        asked.lock().unwrap().clear();
        fs_err::write(&file, content).unwrap();
        let imported = function.import_with(&parts, &nothing, AS_USUAL).await;
        assert_eq!((imported.findings.len(), asked.lock().unwrap().len()), (0, 1));
    }
}

#[tokio::test]
async fn a_change_of_own_code_asks_no_distribution_again() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let function = Function::new(telling(&asked, None)).await;
    let parts = |code: &[u8]| [own(&[("app.py", code)]), distribution("shapes", &[("shapes.py", b"")])];
    let shapes = around(&[("shapes", &["shapes"])]);
    let taken = || {
        let mut all = std::mem::take(&mut *asked.lock().unwrap());
        all.sort();
        all
    };
    let (apart, rest) = ("none: shapes without its own code", "app.handler: app with its own code");
    function.import_with(&parts(b"1"), &shapes, AS_USUAL).await;
    assert_eq!(taken(), [rest, apart]);
    function.import_with(&parts(b"2"), &shapes, AS_USUAL).await;
    assert_eq!(taken(), [rest], "the distributions are as they were");
    let other = [own(&[("app.py", b"2")]), distribution("shapes", &[("shapes.py", b"more")])];
    function.import_with(&other, &shapes, AS_USUAL).await;
    assert_eq!(taken(), [rest, apart], "a distribution changed");
    // What is found by one name by both is asked as a whole.
    let shadows = [
        own(&[("app.py", b"1"), ("shapes/more.py", b"")]),
        distribution("shapes", &[("shapes/__init__.py", b"")]),
    ];
    function.import_with(&shadows, &shapes, AS_USUAL).await;
    let [question] = &taken()[..] else { panic!("one question") };
    assert!(question.contains("with its own") && question.contains("shapes"), "{question}");
}

#[tokio::test]
async fn what_fails_without_own_code_is_asked_with_it() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let function = Function::new(telling(&asked, Some("plugs"))).await;
    let parts = [own(&[("app.py", b"1")]), distribution("plugs", &[("plugs.py", b"")])];
    let imported = function.import_with(&parts, &around(&[("plugs", &["plugs"])]), AS_USUAL).await;
    assert_eq!(imported.findings, [], "with its own code it can be imported");
    assert_eq!(asked.lock().unwrap().len(), 3);
}
