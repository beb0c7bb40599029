//! Programs in a base, bases made ready, and what they are made of, on an engine in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_collect::{Collection, Content};
use kiln_engine::contract::tar_of;
use kiln_engine::{Engine, InputContent, InputTree};
use kiln_engine_memory::Guest;
use kiln_fixtures::{PYTHON, Python, Sandbox, interpreter};
use kiln_guest::{Bases, Ending, Given, Program, assemble, guest, target_runtime};
use kiln_invocation::{Event, Events};
use kiln_plan::{BaseDefinition, BaseKind, LockedPackage, PinnedBase, PlatformLock};
use kiln_python::PROBE;
use kiln_record::{Digest, Entry, Mode, Platform, TreePath};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BUSYBOX: (&str, &[u8]) = ("bin/busybox", b"stands for busybox");

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A program of the base in the workspace.
async fn program(bases: &Bases, sandbox: &Sandbox, argv: &[&str]) -> Program {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Program::new("a test", bases.image(&sandbox.base()).await.unwrap(), argv)
}

#[tokio::test]
async fn however_a_program_ends_is_told() {
    let engine = Python::new()
        .into_engine()
        .with_program("/three", |_| 3)
        .with_program("/late", |guest| {
            guest.write_stdout(b"working\n");
            guest.sleep(Duration::from_secs(3600));
            0
        })
        .with_program("/talks", |guest| {
            guest.write_stdout(&[b'x'; 64]);
            0
        });
    let sandbox = Sandbox::new(engine, &[BUSYBOX]).await;
    let bases = sandbox.bases().await;
    let check = async |argv: &[&str], change: fn(Program) -> Program, expect: Ending, code: Option<i64>| {
        let program = change(program(&bases, &sandbox, argv).await);
        let ran = program.run(bases.engine().await.unwrap(), &Events::none(), "").await.unwrap();
        assert_eq!((&ran.ending, ran.ending.code()), (&expect, code), "{argv:?}");
        assert_eq!(ran.ending.is_success(), code == Some(0));
        ran
    };
    check(&["/bin/busybox", "true"], |it| it, Ending::Exit(0), Some(0)).await;
    let three = check(&["/three"], |it| it, Ending::Exit(3), Some(3)).await;
    let told = three.failed("the trial", &sandbox.base().definition.name).to_string();
    assert_eq!(told, "the trial failed in base `python` with exit code 3");
    let missing = check(&["/nothing"], |it| it, Ending::NoSuchProgram, Some(127)).await;
    assert!(missing.log.missed_something());
    check(&["/bin/busybox", "dd", "bs=4096M"], |it| it, Ending::OutOfMemory, Some(137)).await;
    check(&["/bin/busybox", "dd", "bs=4096M"], |it| it.memory(8 << 30), Ending::Exit(0), Some(0)).await;
    let timed_out = Ending::TimedOut { seconds: 0 };
    let late = check(&["/late"], |it| it.deadline(Duration::from_millis(1)), timed_out, None).await;
    assert_eq!(late.log.lines(), ["working"], "what it said until then is kept");
    let large = Ending::OutputTooLarge { what: "stdout and stderr".to_owned(), limit: 63 };
    check(&["/talks"], |it| it.output_bytes(63), large, None).await;
    check(&["/talks"], |it| it.output_bytes(64), Ending::Exit(0), Some(0)).await;
}

#[tokio::test]
async fn a_program_has_what_it_is_given_and_nothing_else() {
    let sandbox = Sandbox::new(Python::new().into_engine(), &[BUSYBOX]).await;
    let bases = sandbox.bases().await;
    let said = async |program: Program| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let events = Events::new(move |event| {
            if let Event::Line { subject, text, .. } = event {
                kept.lock().unwrap().push(format!("{subject}: {text}"));
            }
        });
        let ran = program.run(bases.engine().await.unwrap(), &events, "app").await.unwrap();
        let told = told.lock().unwrap().clone();
        assert_eq!(told, ran.log.lines().iter().map(|line| format!("app: {line}")).collect::<Vec<_>>());
        (ran.ending.is_success(), ran.log.lines())
    };
    let busybox =
        async |words: &[&str]| program(&bases, &sandbox, &[&["/bin/busybox"], words].concat()).await;
    let lines = |expect: &[&str]| expect.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    let env = said(busybox(&["env"]).await.environment(variables)).await.1;
    assert!(env.contains(&"A=1".to_owned()), "{env:?}");
    assert_eq!(said(busybox(&["id", "-u"]).await).await.1, lines(&["65534"]));
    assert_eq!(said(busybox(&["id", "-u"]).await.user("7:8")).await.1, lines(&["7"]));
    assert_eq!(said(busybox(&["pwd"]).await).await.1, lines(&["/"]));
    assert_eq!(said(busybox(&["pwd"]).await.working_dir("/usr")).await.1, lines(&["/usr"]));
    assert!(said(busybox(&["touch", "/tmp/x"]).await).await.0);
    assert!(!said(busybox(&["touch", "/usr/x"]).await).await.0, "the base cannot be written");
    let elsewhere = busybox(&["touch", "/tmp/x"]).await.scratch(vec![guest("/work").unwrap()]);
    assert!(!said(elsewhere).await.0, "scratch folders are those that are named");
    let refused = guest("relative").map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("relative"), "{refused}");
}

/// A tree of files and links whose content is in memory.
fn collection(entries: &[(&str, Result<&str, &str>)]) -> Arc<Collection> {
    let mut collection = Collection::default();
    for (place, entry) in entries {
        let entry = match entry {
            Ok(text) => {
                let content = Content::Made(text.as_bytes().into());
                collection.content.insert(path(place), content);
                let mode = if text.starts_with("#!") { Mode::Executable } else { Mode::Plain };
                Entry::File { digest: Digest::of(text.as_bytes()), size: text.len() as u64, mode }
            }
            Err(target) => Entry::Symlink { target: (*target).to_owned() },
        };
        collection.tree.insert(path(place), entry).unwrap();
    }
    Arc::new(collection)
}

#[tokio::test]
async fn trees_are_laid_over_each_other_as_lambda_lays_layers() {
    let sandbox = Sandbox::new(Python::new().into_engine(), &[BUSYBOX]).await;
    let bases = sandbox.bases().await;
    let check = async |trees: &[&Arc<Collection>], from_root, words: &[&str], expect: &[&str]| {
        let trees = trees.iter().map(|tree| Arc::clone(tree)).collect();
        // It is asked of the engine whether a container of the image reads the store; the one in memory does.
        let input: InputTree = Given::new("/opt", trees, from_root).bring(&bases, "any").await.unwrap();
        assert!(matches!(input.content, InputContent::Folder(_)));
        let program = program(&bases, &sandbox, &[&["/bin/busybox"], words].concat()).await.inputs([input]);
        let ran = program.run(bases.engine().await.unwrap(), &Events::none(), "").await.unwrap();
        assert_eq!(ran.log.lines(), expect, "{words:?}");
    };
    let first = collection(&[("a", Ok("first")), ("bin/run", Ok("#!run")), ("link", Err("bin/run"))]);
    let second = collection(&[("a", Ok("second")), ("b", Ok("more"))]);
    let (both, other): (&[_], &[_]) = (&[&first, &second], &[&second, &first]);
    check(both, false, &["ls", "/opt"], &["a", "b", "bin", "link"]).await;
    check(both, false, &["cat", "/opt/a"], &["second"]).await;
    check(other, false, &["cat", "/opt/a"], &["first"]).await;
    check(both, false, &["cat", "/opt/link"], &["#!run"]).await;
    check(
        both,
        false,
        &["stat", "-c", "%a %u %g %n", "/opt/bin/run", "/opt/b"],
        // As in Lambda, the program owns none of it.
        &["755 0 0 /opt/bin/run", "644 0 0 /opt/b"],
    )
    .await;
    let root = collection(&[("opt/in", Ok("below")), ("optional", Ok("beside")), ("etc/x", Ok("elsewhere"))]);
    check(&[&root], true, &["ls", "/opt"], &["in"]).await;
    check(&[&root], false, &["ls", "/opt"], &["etc", "opt", "optional"]).await;
}

/// Answers the probe, and counts how often it is asked.
fn counted(asked: &Arc<AtomicUsize>) -> Python {
    let asked = Arc::clone(asked);
    Python::new().answering(PROBE, move |guest, _| {
        asked.fetch_add(1, Ordering::SeqCst);
        guest.write_stdout(serde_json::to_string(&interpreter()).unwrap().as_bytes());
        0
    })
}

#[tokio::test]
async fn a_base_is_probed_once_and_what_it_said_is_remembered_by_its_digest() {
    let asked = Arc::new(AtomicUsize::new(0));
    let sandbox = Sandbox::new(counted(&asked).into_engine(), &[]).await;
    let base = sandbox.base();
    {
        let bases = sandbox.bases().await;
        let (one, other) = tokio::join!(bases.interpreter(&base), bases.interpreter(&base));
        assert_eq!((&*one.unwrap(), &*other.unwrap()), (&interpreter(), &interpreter()));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "side by side");
    }
    let bases = sandbox.bases().await;
    assert_eq!(*bases.interpreter(&base).await.unwrap(), interpreter());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "in a later run");
    let mut other = base;
    other.definition.image.env.insert("PYTHONPATH".to_owned(), "/elsewhere".to_owned());
    bases.interpreter(&other).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "an environment can change the answer");
}

#[tokio::test]
async fn a_base_whose_probe_fails_is_not_remembered() {
    let check = async |answer: fn(&mut Guest) -> i64, expect: &str| {
        let python = Python::new().answering(PROBE, move |guest, _| answer(guest));
        let sandbox = Sandbox::new(python.into_engine(), &[]).await;
        let bases = sandbox.bases().await;
        for _ in 0..2 {
            let error = bases.interpreter(&sandbox.base()).await.unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    };
    let fails = |guest: &mut Guest| {
        guest.write_stderr(b"Segmentation fault\n");
        139
    };
    check(fails, "the probe failed in base `python` with exit code 139").await;
    let lies = |guest: &mut Guest| {
        guest.write_stdout(b"{\"version\": \"3.13.5\"}");
        0
    };
    check(lies, "probe").await;
}

#[tokio::test]
async fn a_registry_base_is_taken_apart_once() {
    let files: [(&str, &[u8]); 2] = [("etc/os-release", b"PRETTY_NAME=\"Test 1\"\n"), ("opt/x/y", b"z")];
    let sandbox = Sandbox::new(Python::new().into_engine(), &files).await;
    let base = sandbox.base();
    let first = sandbox.bases().await.base_image(&base).await.unwrap();
    assert_eq!(first.config.runs.environment["PATH"], "/usr/bin");
    assert!(first.contents.has_file("/opt/x/y") && first.contents.has_file(PYTHON));
    let bases = sandbox.bases().await;
    assert!(first.layers.iter().all(|layer| bases.store().contains(&layer.diff_id)));
    let engine = bases.engine().await.unwrap();
    assert!(engine.remove_image(&base.lock.manifest.to_string()).await.unwrap());
    let again = bases.base_image(&base).await.unwrap();
    assert_eq!(again.layers, first.layers, "the store has what the engine has no more");
    drop(bases);
    let store = kiln_store::Store::open(&sandbox.environment().store).unwrap();
    store.discard(&first.layers[0].diff_id).unwrap();
    let error = sandbox.bases().await.base_image(&base).await.err().unwrap().to_string();
    assert!(error.contains("base python (registry.test/python@"), "it has to be pulled again: {error}");
}

const IMAGE: &str = r#"
kind = "image"
base = "python"
[target]
architecture = "x86_64"
[image]
command = ["serve"]
[source]
path = "app"
"#;

#[tokio::test]
async fn the_runtime_of_an_image_is_what_its_base_has() {
    let files: [(&str, &[u8]); 1] = [("etc/os-release", b"PRETTY_NAME=\"Test 1\"\n")];
    let sandbox = Sandbox::new(Python::new().into_engine(), &files).await;
    sandbox.write("manifests/service.toml", IMAGE);
    let plan = sandbox.plan("service", &kiln_plan::PlanInputs::default());
    let runtime = target_runtime(&sandbox.bases().await, &plan.manifest, &plan.base).await.unwrap();
    assert_eq!((runtime.name.as_str(), runtime.python), ("python", Some((3, 13))));
    assert_eq!((runtime.system.name.as_str(), runtime.system.glibc), ("Test 1", (2, 36)));
}

/// A `.deb` that installs one file.
fn deb(name: &str, version: &str, architecture: &str, file: (&str, &[u8])) -> Vec<u8> {
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDescription: a test's own\n"
    );
    let control = tar_of(&[("./control", 0o644, control.as_bytes())]);
    let data = tar_of(&[(file.0, 0o755, file.1)]);
    let mut deb = b"!<arch>\n".to_vec();
    for (name, content) in
        [("debian-binary", b"2.0\n".as_slice()), ("control.tar", &control), ("data.tar", &data)]
    {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len());
        deb.extend(header.into_bytes());
        deb.extend(content);
        deb.extend(vec![b'\n'; content.len() % 2]);
    }
    deb
}

const DEBIAN: &str = r#"
kind = "debian"
platforms = ["linux/amd64", "linux/arm64"]
[debian]
suite = "test"
components = ["main"]
packages = ["python3"]
keyring = "keys/test.gpg"
[image]
python = "/usr/bin/python3"
"#;

/// Puts a package into the store, and assembles a base of it for a platform.
async fn debian_platform(
    bases: &Bases,
    definition: &BaseDefinition,
    platform: Platform,
    version: &str,
) -> PlatformLock {
    let BaseKind::Debian(debian) = &definition.kind else { panic!() };
    let architecture = platform.architecture.oci();
    let bytes = deb("python3", version, architecture, ("./usr/bin/python3", architecture.as_bytes()));
    let package = LockedPackage {
        name: "python3".to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        size: bytes.len() as u64,
        digest: bases.store().put(&bytes).unwrap(),
        path: "pool/python3.deb".to_owned(),
    };
    let packages = vec![package];
    let image = assemble(bases.network(), definition, debian, platform, &packages).await.unwrap();
    PlatformLock {
        manifest: image.manifest_digest,
        index: None,
        config: Some(image.config_digest),
        release: None,
        packages,
    }
}

#[tokio::test]
async fn a_debian_base_is_assembled_of_its_locked_packages_and_told_of_by_its_twin() {
    // The trial of a foreign base fails, as it does where nothing emulates its machine.
    let sandbox = Sandbox::new(Python::new().answering("pass", |_, _| 1).into_engine(), &[]).await;
    let bases = sandbox.bases().await;
    let name = "debian".parse().unwrap();
    let definition = BaseDefinition::parse(name, "images/debian.toml", &DEBIAN.into()).unwrap();
    let (amd64, arm64): (Platform, Platform) =
        ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
    let base = |platform, lock: &PlatformLock, other: (Platform, &PlatformLock)| PinnedBase {
        definition: definition.clone(),
        platform,
        lock: lock.clone(),
        pinned: "2026-01-02T03:04:05Z".parse().unwrap(),
        elsewhere: BTreeMap::from([(other.0, other.1.clone())]),
        others: BTreeMap::new(),
    };
    let here = debian_platform(&bases, &definition, amd64, "3.13.5-1").await;
    let there = debian_platform(&bases, &definition, arm64, "3.13.5-1+b1").await;
    let native = base(amd64, &here, (arm64, &there));
    assert!(bases.can_run(&native).await.unwrap());
    assert!(bases.base_image(&native).await.unwrap().contents.has_file(PYTHON));

    let foreign = base(arm64, &there, (amd64, &here));
    assert!(!bases.can_run(&foreign).await.unwrap());
    let told = bases.interpreter(&foreign).await;
    // The fixture's tags are not those of a plain CPython, from which another machine's follow.
    let error = told.err().unwrap().to_string();
    assert!(error.starts_with("base `debian` for linux/arm64 cannot be asked about its Python"), "{error}");
    let check = bases.told_by_twin(&foreign).await.unwrap().unwrap();
    assert!(serde_json::to_string(&check).unwrap().contains("no arm64 engine"), "{check:?}");
    assert_eq!(bases.told_by_twin(&native).await.unwrap(), None);

    let other = debian_platform(&bases, &definition, amd64, "3.13.6-1").await;
    let foreign = base(arm64, &there, (amd64, &other));
    let error = bases.interpreter(&foreign).await.err().unwrap().to_string();
    assert!(error.contains("3.13.5-1+b1") && error.contains("3.13.6-1"), "{error}");

    let wrong = PlatformLock { manifest: Digest::of(b"another"), index: None, config: None, ..here.clone() };
    let error = bases.image(&base(amd64, &wrong, (arm64, &there))).await.unwrap_err().to_string();
    assert!(error.contains("its lock says"), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_there_is_not_connected_to() {
    let sandbox = Sandbox::new(Python::new().into_engine(), &[]).await;
    let bases = sandbox.bases().await;
    let engine: &Engine = bases.engine().await.unwrap();
    assert_eq!(engine.info().await.unwrap().endpoint, "memory");
    assert!(sandbox.engine().get().is_some());
}
