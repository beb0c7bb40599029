//! Steps whose programs are written here, on an engine in memory.

use kiln_collect::BroughtBy;
use kiln_engine::contract::tar_of;
use kiln_engine_memory::Guest;
use kiln_fixtures::{CacheServer, FUNCTION, Lie, Python, Sandbox};
use kiln_invocation::{Event, Events};
use kiln_plan::PlanInputs;
use kiln_record::{Digest, Entry, InputRole};
use kiln_step::StepError;
use kiln_step::{ReadyStep, StepFiles, checks, crate_inputs, findings, make_all};
use kiln_store::StatCache;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A workspace whose function has steps, of which `/make` is the program.
async fn sandbox(steps: &str, make: impl Fn(&mut Guest) -> i64 + Send + Sync + 'static) -> Sandbox {
    let sandbox = Sandbox::new(Python::new().into_engine().with_program("/make", make), &[]).await;
    sandbox.write("manifests/app/app.py", "def handler(event, context): ...\n");
    sandbox.write("manifests/app.toml", format!("{FUNCTION}\n{steps}"));
    sandbox
}

async fn made(sandbox: &Sandbox) -> Result<Vec<ReadyStep>, StepError> {
    let plan = sandbox.plan("app", &PlanInputs::default());
    let stat = StatCache::load(&sandbox.root().join("stat"));
    let files = StepFiles::read(sandbox.root(), &plan.manifest, &stat)?;
    make_all(&sandbox.bases().await, &plan, &files).await
}

/// A step that is run once, with what a test adds.
fn once(rest: &str) -> String {
    format!("[[step]]\nname = \"make\"\nargv = [\"/make\"]\nreproducible = \"assume\"\n{rest}\n")
}

/// Writes a file, and exits as programs do.
fn write(guest: &mut Guest, path: &str, bytes: &[u8]) -> i64 {
    i64::from(guest.write(path, bytes).is_err())
}

#[tokio::test]
async fn a_step_runs_twice_and_then_never_again() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let step = "[[step]]\nname = \"make\"\nargv = [\"/make\"]\nenv = { THEME = \"plain\" }\n\
                inputs = [{ path = \"web\", at = \"/src\" }]\noutputs = [{ path = \"/out/site\", into = \"static\" }]\n";
    let sandbox = sandbox(step, move |guest| {
        counted.fetch_add(1, Ordering::SeqCst);
        let page = guest.read("/src/page").unwrap();
        let said = format!("{} {}", guest.env()["THEME"], guest.env()["SOURCE_DATE_EPOCH"]);
        guest.make_folders("/out/site").unwrap();
        write(guest, "/out/site/page", &page) + write(guest, "/out/site/said", said.as_bytes())
    })
    .await;
    sandbox.write("manifests/web/page", "hello");
    let first = made(&sandbox).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2, "to see that it makes the same");
    let part = first[0].part();
    assert_eq!((part.brought_by, part.component.id.as_str()), (BroughtBy::Step, "application/make"));
    let shipped: Vec<(&str, &Entry)> =
        first[0].shipped.iter().map(|(path, entry)| (path.as_str(), entry)).collect();
    let file = |text: &str| kiln_record::Entry::File {
        digest: Digest::of(text.as_bytes()),
        size: text.len() as u64,
        mode: kiln_record::Mode::Plain,
    };
    let said = "plain 1767323045";
    assert_eq!(shipped, [("static/page", &file("hello")), ("static/said", &file(said))]);
    assert_eq!(first[0].made_by.reproducible, Some(true));
    let plan = sandbox.plan("app", &PlanInputs::default());
    assert_eq!(findings(&plan, &first), []);

    let again = made(&sandbox).await.unwrap();
    assert_eq!((runs.load(Ordering::SeqCst), again[0].made_by.digest), (2, first[0].made_by.digest));
    let store = kiln_store::Store::open(&sandbox.environment().store).unwrap();
    store.discard(&Digest::of(b"hello")).unwrap();
    made(&sandbox).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 4, "the store lost what it made");
    sandbox.write("manifests/web/page", "other");
    let other = made(&sandbox).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 6);
    assert_ne!(other[0].made_by.digest, first[0].made_by.digest);
}

#[tokio::test]
async fn a_step_that_makes_something_else_the_second_time_is_found() {
    let runs = Arc::new(AtomicUsize::new(0));
    let step =
        "[[step]]\nname = \"make\"\nargv = [\"/make\"]\noutputs = [{ path = \"/out\", into = \".\" }]\n";
    let sandbox = sandbox(step, move |guest| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        write(guest, "/out/same", b"same") + write(guest, "/out/stamp", format!("run {run}\n").as_bytes())
    })
    .await;
    let made = made(&sandbox).await.unwrap();
    let plan = sandbox.plan("app", &PlanInputs::default());
    let [finding] = findings(&plan, &made).try_into().unwrap();
    assert_eq!(
        finding.cause,
        "the step `make` ran twice, and stamp is not the same: line 1 is `run 0` and then `run 1`"
    );
    assert_eq!(made[0].made_by.reproducible, Some(false));
}

/// The messages and hints of a step that fails.
async fn failed(rest: &str, make: fn(&mut Guest) -> i64) -> (String, Vec<String>) {
    let sandbox = sandbox(&once(rest), make).await;
    match made(&sandbox).await {
        Err(StepError::Failed(failed)) => (failed.reason.clone(), failed.hints.clone()),
        other => panic!("{:?}", other.err()),
    }
}

#[tokio::test]
async fn why_a_step_failed_is_told_with_a_way_out() {
    let out = "outputs = [{ path = \"/out/x\", into = \".\" }]";
    let check = async |rest: String, make: fn(&mut Guest) -> i64, reason: &str, hint: &str| {
        let (told, hints) = failed(&rest, make).await;
        assert_eq!(told, reason);
        assert!(hints.iter().any(|line| line.contains(hint)), "{hint}: {hints:?}");
    };
    let output = "an output names a file or folder that the program leaves";
    check(out.to_owned(), |_| 0, "made no /out/x", output).await;
    let empty = |guest: &mut Guest| i64::from(guest.make_folders("/out/x").is_err());
    check(out.to_owned(), empty, "left nothing in /out/x", output).await;
    let offline = |guest: &mut Guest| {
        guest.write_stderr(b"curl: (6) Could not resolve host: example.test\n");
        6
    };
    check(out.to_owned(), offline, "failed with exit code 6", "a step has no network").await;
    let refused = |guest: &mut Guest| {
        let why = guest.write("/usr/x", b"").unwrap_err();
        guest.write_stderr(format!("/usr/x: {why}\n").as_bytes());
        1
    };
    check(out.to_owned(), refused, "failed with exit code 1", "a step may write to /tmp").await;
    let no_shell = |_: &mut Guest| 127;
    let missing = "failed with exit code 127: is there a program `/make` in the base?";
    check(out.to_owned(), no_shell, missing, "add its package to images/python.toml").await;
    let late = |guest: &mut Guest| {
        guest.sleep(Duration::from_secs(7200));
        0
    };
    let large = |guest: &mut Guest| {
        guest.run_out_of_memory();
        0
    };
    let memory = format!("{out}\nmemory = \"64 MiB\"");
    let told = "ran out of memory, of which it may use 64.0 MiB";
    check(memory, large, told, "memory = \"4 GB\"").await;
    let timeout = format!("{out}\ntimeout = \"1 s\"");
    check(timeout, late, "was not done after 1 s, and was ended", "timeout = \"30 min\"").await;
}

#[tokio::test]
async fn a_step_is_given_what_another_made_and_only_what_is_named_is_shipped() {
    let steps = format!(
        "{}[[step]]\nname = \"use\"\nargv = [\"/use\"]\nreproducible = \"assume\"\n\
         inputs = [{{ step = \"make\", at = \"/made\" }}]\noutputs = [{{ path = \"/out/used\", into = \".\" }}]\n",
        once("outputs = [{ path = \"/out/schema\" }]")
    );
    let engine = Python::new()
        .into_engine()
        .with_program("/make", |guest| write(guest, "/out/schema", b"schema"))
        .with_program("/use", |guest| {
            let schema = guest.read("/made/schema").unwrap();
            write(guest, "/out/used", &schema)
        });
    let sandbox = Sandbox::new(engine, &[]).await;
    sandbox.write("manifests/app/app.py", "");
    sandbox.write("manifests/app.toml", format!("{FUNCTION}\n{steps}"));
    let made = made(&sandbox).await.unwrap();
    assert!(made[0].shipped.is_empty());
    let shipped: Vec<&str> = made[1].shipped.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(shipped, ["used"]);
    let told: Vec<String> = checks(&made).iter().map(|check| serde_json::to_string(check).unwrap()).collect();
    assert!(told.iter().all(|check| check.contains("assumes")) && told.len() == 2, "{told:?}");
}

#[tokio::test]
async fn crates_are_laid_out_as_cargo_reads_them_and_are_inputs() {
    let tar =
        tar_of(&[("tiny-1.0.0/Cargo.toml", 0o644, b"[package]\n"), ("tiny-1.0.0/src/lib.rs", 0o644, b"")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let archive = gzip.finish().unwrap();
    let step = once(
        "inputs = [{ cargo-lock = \"app/Cargo.lock\", at = \"/vendor\" }]\noutputs = [{ path = \"/out/x\", into = \".\" }]",
    );
    let sandbox = sandbox(&step, |guest| {
        let config = String::from_utf8(guest.read("/vendor/config.toml").unwrap()).unwrap();
        let sums = guest.read("/vendor/tiny-1.0.0/.cargo-checksum.json").unwrap();
        assert!(config.contains("directory = \"/vendor\"") && config.contains("offline = true"), "{config}");
        write(guest, "/out/x", &sums)
    })
    .await;
    let lock = format!(
        "version = 4\n[[package]]\nname = \"tiny\"\nversion = \"1.0.0\"\n\
         source = \"registry+https://example.test/crates.io-index\"\nchecksum = \"{}\"\n",
        Digest::of(&archive).hex()
    );
    sandbox.write("manifests/app/Cargo.lock", lock);
    let error = made(&sandbox).await.unwrap_err().to_string();
    assert!(
        error.contains("(tiny-1.0.0.crate) is not in the store, and the network is switched off"),
        "{error}"
    );
    let store = kiln_store::Store::open(&sandbox.environment().store).unwrap();
    store.put(&archive).unwrap();
    let made = made(&sandbox).await.unwrap();
    let Some((_, Entry::File { digest, .. })) = made[0].shipped.iter().next() else { panic!() };
    let sums: serde_json::Value = serde_json::from_slice(&store.read_blob(digest).unwrap()).unwrap();
    assert_eq!(sums["files"]["src/lib.rs"], Digest::of(b"").hex());
    assert_eq!(sums["package"], Digest::of(&archive).hex());
    let part = made[0].part();
    let inputs: Vec<_> = crate_inputs(&part.component).collect();
    assert_eq!((inputs[0].role, inputs[0].name.as_str()), (InputRole::Crate, "tiny-1.0.0.crate"));
    assert_eq!((inputs.len(), inputs[0].digest), (1, Digest::of(&archive)));
}

/// A step that counts its runs, and writes what it is given.
async fn counting() -> (Sandbox, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let step = "[[step]]\nname = \"make\"\nargv = [\"/make\"]\ninputs = [{ path = \"web\", at = \"/src\" }]\n\
                outputs = [{ path = \"/out/site\", into = \"static\" }]\n";
    let sandbox = sandbox(step, move |guest| {
        counted.fetch_add(1, Ordering::SeqCst);
        let page = guest.read("/src/page").expect("an input of the step");
        guest.make_folders("/out/site").expect("a place for the output");
        write(guest, "/out/site/page", &page)
    })
    .await;
    sandbox.write("manifests/web/page", "hello");
    (sandbox, runs)
}

/// Makes the steps, and says what was told of a shared cache.
async fn made_telling(sandbox: &Sandbox) -> (Vec<ReadyStep>, Vec<String>) {
    let plan = sandbox.plan("app", &PlanInputs::default());
    let stat = StatCache::load(&sandbox.root().join("stat"));
    let files = StepFiles::read(sandbox.root(), &plan.manifest, &stat).expect("the files of the steps");
    let said = Arc::new(Mutex::new(Vec::new()));
    let saying = Arc::clone(&said);
    let events = Events::new(move |event| match event {
        Event::Told { what, .. } => saying.lock().expect("nobody panics with it").push(what),
        Event::CacheLost { why, .. } => saying.lock().expect("nobody panics with it").push(why),
        _ => {}
    });
    let bases = sandbox.bases_telling(&events).await;
    let steps = make_all(&bases, &plan, &files).await.expect("the steps are made");
    let told = bases.network().shared().told(&plan.manifest.name);
    let said = said.lock().expect("nobody panics with it").clone();
    assert_eq!(
        told.iter().map(|told| told.what.clone()).collect::<Vec<_>>(),
        said.iter().filter(|said| *said == "the step make").cloned().collect::<Vec<_>>()
    );
    (steps, said)
}

#[tokio::test]
async fn what_another_machine_made_is_taken_on_its_word_and_only_while_that_is_wanted() {
    let server = CacheServer::start().await;
    let (mut first, runs) = counting().await;
    first.share(&server.address(), true);
    let (made_there, said) = made_telling(&first).await;
    assert_eq!((runs.load(Ordering::SeqCst), server.results(), said.len()), (2, 1, 0));

    let (mut second, runs) = counting().await;
    second.share(&server.address(), false);
    let (taken, said) = made_telling(&second).await;
    assert_eq!(runs.load(Ordering::SeqCst), 0, "it was made elsewhere");
    assert_eq!((&taken[0].made_by, &taken[0].shipped), (&made_there[0].made_by, &made_there[0].shipped));
    assert_eq!(said, ["the step make"]);
    let calls = server.calls();
    let (_, said) = made_telling(&second).await;
    assert_eq!(
        (runs.load(Ordering::SeqCst), server.calls(), said.len()),
        (0, calls, 1),
        "it is in the store now"
    );
    // Whoever takes no word makes it.
    second.share_nothing();
    made_telling(&second).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    second.share(&server.address(), false);
    let (_, said) = made_telling(&second).await;
    assert_eq!((runs.load(Ordering::SeqCst), said.len()), (2, 0), "what was made here comes first");
    assert_eq!(server.results(), 1);
}

#[tokio::test]
async fn what_a_cache_cannot_have_of_a_step_is_refused_and_made_here() {
    let server = CacheServer::start().await;
    let (mut first, _) = counting().await;
    first.share(&server.address(), true);
    made_telling(&first).await;
    server.poison("static/page", "app.py");
    let (mut second, runs) = counting().await;
    second.share(&server.address(), true);
    let (steps, said) = made_telling(&second).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert!(steps[0].shipped.iter().all(|(path, _)| path.as_str() == "static/page"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("has `app.py`, which is in no output of the step"), "{said:?}");

    // A server that is gone is said once, and costs nothing but that.
    let (mut third, runs) = counting().await;
    third.share("grpc://127.0.0.1:1", true);
    let (_, said) = made_telling(&third).await;
    assert_eq!((runs.load(Ordering::SeqCst), said.len()), (2, 1), "{said:?}");
    assert!(said[0].contains("does not answer"), "{said:?}");

    // One that takes nothing is still read.
    let server = CacheServer::start().await;
    server.lies(Lie::ReadOnly);
    let (mut fourth, runs) = counting().await;
    fourth.share(&server.address(), true);
    let (_, said) = made_telling(&fourth).await;
    assert_eq!((runs.load(Ordering::SeqCst), server.results(), said.len()), (2, 0, 1), "{said:?}");
}
