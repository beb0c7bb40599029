//! Docker under the contract that every engine must pass, and what a killed kiln leaves in it.

use crate::harness::{
    NEWER, NEWEST, OLDER, OtherEngine, Sandbox, block_on, busybox, engine, engine_at, engine_of,
};
use kiln_engine::contract::Difference;
use kiln_engine::{Engine, EngineError, GuestPath, RunOutcome, Session, Unkept, contract};
use kiln_record::exit;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;

#[test]
fn docker_passes_the_contract() {
    let image = busybox();
    block_on(async {
        let engine = engine("contract").await;
        contract::a_supervised_run_starts_as_root(&engine, &image).await;
        let folder = tempfile::tempdir().unwrap();
        let reads = contract::a_folder_is_seen_like_a_tree(&engine, &image, folder.path()).await;
        assert!(reads, "it is on this machine");
        contract::processes_are_limited(&engine, &image, &[]).await;
        contract::silence_is_no_report(&engine, &image).await;
        contract::suite(engine, &image).await;
    });
}

/// A program that fills the disk is stopped while it does so, not when it is done: this one would then wait until its
/// deadline ends it.
#[test]
fn outputs_that_grow_without_end_are_stopped_while_they_grow() {
    let image = busybox();
    let fill = |script: &str| {
        let mut spec = contract::spec(&image, &["sh", "-c", script]);
        spec.outputs = vec![contract::Kept::default().folder("/out")];
        spec.limits.output_bytes = 8 << 20;
        spec.limits.deadline = Duration::from_secs(60);
        spec
    };
    let many =
        "i=0; while [ $i -lt 64 ]; do dd if=/dev/zero of=/out/$i bs=1M count=1; i=$((i+1)); done; sleep 600";
    let one = "dd if=/dev/zero of=/out/one bs=1M count=64; sleep 600";
    let sparse = "exec dd if=/dev/zero of=/out/sparse bs=1 count=1 seek=1024G";
    block_on(async {
        let engine = engine("outputs").await;
        for script in [many, sparse] {
            match engine.run(fill(script), |_| ()).await {
                Err(EngineError::OutputTooLarge { limit: 8_388_608, .. }) => {}
                other => panic!("{script}: {other:?}"),
            }
        }
        // One large file is stopped by the kernel, and the program goes on without it.
        let mut spec = fill(one.trim_end_matches("; sleep 600"));
        spec.limits.output_bytes = 16 << 20;
        assert!(matches!(engine.run(spec, |_| ()).await, Err(EngineError::OutputTooLarge { .. })));
        let mut files = fill("i=0; while true; do : > /out/$i; i=$((i+1)); done");
        files.limits.output_files = 100;
        files.limits.output_bytes = 1 << 30;
        match engine.run(files, |_| ()).await {
            Err(EngineError::TooManyFiles { limit: 100, .. }) => {}
            other => panic!("{other:?}"),
        }
        scratch_is_limited(&engine, &image, &[]).await;
    });
}

/// In memory, the kernel refuses the next file or byte, and the program hears of it.
async fn scratch_is_limited(engine: &Engine, image: &str, differs: &[Difference]) {
    let files = "i=0; while [ $i -lt 200 ]; do : > /tmp/$i || exit 9; i=$((i+1)); done";
    let bytes = "dd if=/dev/zero of=/tmp/large bs=1M count=4";
    for (script, is_limited) in [(files, !differs.contains(&Difference::NoScratchFileLimit)), (bytes, true)] {
        let mut scratch = contract::spec(image, &["sh", "-c", script]);
        scratch.scratch = vec![GuestPath::new("/tmp").unwrap()];
        scratch.limits.output_files = 100;
        scratch.limits.scratch_bytes = Some(2 << 20);
        let outcome = engine.run(scratch, |_| ()).await.unwrap();
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let was_stopped = outcome.exit_code != 0 && said.contains("No space left");
        assert_eq!(was_stopped, is_limited, "{script}: {outcome:?}");
    }
}

#[test]
fn a_newer_docker_passes_the_contract() {
    passes(&OtherEngine::start_docker(NEWER, "vfs").unwrap(), &[]);
}

#[test]
fn the_newest_docker_passes_the_contract() {
    passes(&OtherEngine::start_docker(NEWEST, "containerd").unwrap(), &[]);
}

#[test]
fn docker_without_root_passes_the_contract() {
    passes(&OtherEngine::start_rootless_docker(NEWER).unwrap(), &[]);
}

#[test]
fn podman_passes_the_contract() {
    podman_passes(&OtherEngine::start_podman(OLDER).unwrap());
}

#[test]
fn the_newest_podman_passes_the_contract() {
    podman_passes(&OtherEngine::start_podman(NEWEST).unwrap());
}

#[test]
fn podman_without_root_passes_the_contract() {
    podman_passes(&OtherEngine::start_rootless_podman(OLDER).unwrap());
}

#[test]
fn the_newest_podman_without_root_passes_the_contract() {
    podman_passes(&OtherEngine::start_rootless_podman(NEWEST).unwrap());
}

fn podman_passes(other: &OtherEngine) {
    let mut differs = vec![Difference::HostNameVariable];
    let is_first = other.info().version.starts_with("Podman 4");
    // With the first kind of control groups alone.
    if is_first && !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        differs.push(Difference::UntoldMemory);
    }
    passes(other, &differs);
    let image = busybox();
    block_on(async {
        let engine = engine_at(other.host(), "left-out").await.unwrap();
        // What it would leave out without a word.
        let mut left_out = contract::spec(&image, &["mkdir", "/out/sys"]);
        left_out.outputs = vec![contract::Kept::default().folder("/out")];
        match engine.run(left_out, |_| ()).await {
            Err(EngineError::Unsupported { action }) => assert!(action.contains("/out/sys"), "{action}"),
            other => panic!("{other:?}"),
        }
    });
}

/// Passes the contract, and keeps the limits that it does not say that it does not keep.
fn passes(other: &OtherEngine, differs: &[Difference]) {
    let unkept = other.info().unkept;
    assert!(unkept.is_empty() || other.is_rootless(), "{unkept:?}");
    let unkept = unkept.iter().map(|unkept| match unkept {
        Unkept::Memory => Difference::NoMemoryLimit,
        Unkept::Processes => Difference::NoProcessLimit,
        Unkept::ScratchFiles => Difference::NoScratchFileLimit,
        other => panic!("{other:?}"),
    });
    let differs: Vec<Difference> = differs.iter().copied().chain(unkept).collect();
    let image = busybox();
    other.give_image(&image);
    block_on(async {
        let engine = engine_at(other.host(), "contract").await.unwrap();
        contract::a_supervised_run_starts_as_root(&engine, &image).await;
        // Its root is another one, as that of an engine on another machine is: what is not in there is sent.
        let folder = tempfile::tempdir().unwrap();
        assert!(!contract::a_folder_is_seen_like_a_tree(&engine, &image, folder.path()).await);
        // Without root, files have other owners inside, and are sent.
        let seen =
            contract::a_folder_is_seen_like_a_tree(&engine, &image, &other.shared_folder("seen")).await;
        assert_eq!(seen, !other.is_rootless());
        scratch_is_limited(&engine, &image, &differs).await;
        contract::processes_are_limited(&engine, &image, &differs).await;
        contract::silence_is_no_report(&engine, &image).await;
        contract::suite_with(engine, &image, &differs).await;
    });
}

/// The host's name, as the binary labels its containers with it.
fn host() -> String {
    fs_err::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned()
}

type Run = JoinHandle<Result<RunOutcome, EngineError>>;

/// Starts a program that would run for a minute.
fn hold(engine: &Engine, image: &str) -> Run {
    let (engine, spec) = (engine.clone(), contract::spec(image, &["sleep", "60"]));
    tokio::spawn(async move { engine.run(spec, |_| ()).await })
}

/// Whether the engine has a container of a session.
async fn is_there(engine: &Engine, session: &Session) -> bool {
    engine.containers().await.unwrap().iter().any(|container| container.session.id == session.id)
}

/// Waits until a session has a container, or its run is over because another kiln has swept it already.
async fn started(engine: &Engine, session: &Session, run: &Run) {
    for _ in 0..200 {
        if run.is_finished() || is_there(engine, session).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no container of {} appeared", session.id);
}

#[test]
fn leftovers_of_a_killed_run_are_swept_by_the_next() {
    let image = busybox();
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    // A package under a new name, so that something has to be imported and the engine is needed.
    let nonce = format!("NONCE = {:?}\n", sandbox.root());
    sandbox.write("manifests/app/src/nonce.py", nonce);
    block_on(async {
        let pid = std::process::id();
        let start = Session::start_of(pid).expect("this host tells when processes started");
        let session = |id: &str, started: u64| Session {
            id: format!("test-{id}-{pid}"),
            host: host(),
            pid,
            started: Some(started),
        };
        // The number of a living process, but of one that started earlier: a number that was used again.
        let (dead, alive) = (session("dead", start - 1), session("alive", start));
        let living = engine_of(alive.clone()).await;
        let (lost, kept) = (hold(&living.with_session(dead.clone()), &image), hold(&living, &image));
        started(&living, &dead, &lost).await;
        started(&living, &alive, &kept).await;
        let kiln = sandbox.kiln();
        let built = tokio::task::spawn_blocking(move || kiln.run(["build", "app"])).await.unwrap();
        built.ends_with(exit::SUCCESS);
        assert!(!is_there(&living, &dead).await, "the leftover is gone");
        assert!(is_there(&living, &alive).await, "what a living process runs is not touched");
        assert!(!kept.is_finished());
        assert!(lost.await.unwrap().is_err(), "its run ends with the container");
        assert_eq!(living.shutdown().await, 1);
        assert!(matches!(kept.await.unwrap(), Err(EngineError::Stopped)));
        assert!(!is_there(&living, &alive).await);
    });
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
    let socket = sandbox.path("no.sock");
    let kiln = sandbox.kiln().with_variable("DOCKER_HOST", &format!("unix://{}", socket.display()));
    kiln.run(["build", "app"]).ends_with(exit::ENGINE_UNAVAILABLE).says(&[
        "no.sock",
        "start it",
        "DOCKER_HOST",
    ]);
    assert!(sandbox.dist().is_empty(), "{:?}", sandbox.dist());
}
