//! Programs on a server that is honest, and on one for each way in which one is not: nothing that is wrong is taken, and
//! nothing is waited for without end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_engine::contract::{File, Kept, image_archive, spec};
use kiln_engine::{Engine, EngineError, RunOutcome, RunSpec, Session};
use kiln_engine_remote::RemoteEngine;
use kiln_fixtures::{ExecutionServer, Fault};
use kiln_record::Digest;
use kiln_remote::{ExecutorSettings, Limits, Login, Notice, Notices};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const IMAGE: &str = "kiln-remote/base:1";

struct Machine {
    engine: Engine,
    server: ExecutionServer,
    notices: Arc<Mutex<Vec<Notice>>>,
    _folder: tempfile::TempDir,
}

fn settings(server: &ExecutionServer, folder: &std::path::Path) -> ExecutorSettings {
    let second = Duration::from_secs(1);
    ExecutorSettings {
        address: server.address().parse().unwrap(),
        login: Login::None,
        limits: Limits { connect: 5 * second, silence: 5 * second, slowest: 1 << 20, around: second },
        properties: BTreeMap::from([("OSFamily".to_owned(), "linux".to_owned())]),
        queue: second,
        as_user: true,
        folder: folder.to_owned(),
    }
}

fn session() -> Session {
    Session { id: "test".to_owned(), host: "here".to_owned(), pid: 1, started: None }
}

async fn machine(fault: Fault) -> Machine {
    let (server, folder) = (ExecutionServer::start().await, tempfile::tempdir().unwrap());
    let notices: Arc<Mutex<Vec<Notice>>> = Arc::default();
    let told = Arc::clone(&notices);
    let telling = Notices::new(move |notice| told.lock().unwrap().push(notice));
    let engine = RemoteEngine::connect(&settings(&server, folder.path()), session(), telling).await.unwrap();
    let engine = Engine::new(engine);
    let files: [File<'_>; 2] = [("bin/busybox", 0o755, b"stands for it"), ("tmp/.keep", 0o644, b"")];
    engine.load(Cursor::new(image_archive(&files, &[], IMAGE))).await.unwrap();
    server.is(fault);
    Machine { engine, server, notices, _folder: folder }
}

/// One whose server is no good after it was seen to be as it must be.
async fn machine_then(fault: Fault) -> Machine {
    // The handshake has more time than a test.
    let machine = machine(Fault::None).await;
    run(&machine).await.0.unwrap();
    machine.server.is(fault);
    machine
}

impl Machine {
    /// Why programs began again.
    fn begun_again(&self) -> Vec<String> {
        let notices = self.notices.lock().unwrap();
        let why = |notice: &Notice| match notice {
            Notice::BegunAgain { why, again, of, .. } => Some(format!("{why} ({again} of {of})")),
            Notice::AskedAgain { .. } => None,
        };
        notices.iter().filter_map(why).collect()
    }
}

fn asked() -> (RunSpec, Kept) {
    let (mut spec, kept) = (spec(IMAGE, &["true"]), Kept::default());
    spec.outputs = vec![kept.folder("/out")];
    spec.limits.deadline = Duration::from_secs(1);
    (spec, kept)
}

async fn run(machine: &Machine) -> (Result<RunOutcome, EngineError>, Kept) {
    let (spec, kept) = asked();
    let ran = tokio::time::timeout(Duration::from_secs(60), machine.engine.run(spec, |_| ())).await;
    (ran.expect("nothing is waited for without end"), kept)
}

/// What the first run on a server with a fault fails with.
async fn refused(fault: Fault) -> String {
    failed(machine(fault).await, fault).await
}

async fn failed(machine: Machine, fault: Fault) -> String {
    let (ran, _) = run(&machine).await;
    assert_eq!(machine.engine.containers().await.unwrap(), [], "{fault:?}");
    ran.expect_err(&format!("{fault:?}")).to_string()
}

#[tokio::test]
async fn what_a_program_left_and_printed_comes_back() {
    let machine = machine(Fault::None).await;
    let (ran, kept) = run(&machine).await;
    let ran = ran.unwrap();
    assert_eq!((ran.exit_code, ran.stdout.as_slice()), (0, b"ran".as_slice()));
    assert_eq!(kept.files(), [("made".to_owned(), b"ran".to_vec())]);
    // Once for the handshake; the next run needs none.
    assert_eq!(machine.server.executed(), 2);
    run(&machine).await.0.unwrap();
    assert_eq!(machine.server.executed(), 3);
}

#[tokio::test]
async fn nothing_that_is_wrong_is_taken() {
    for (fault, said) in [
        (Fault::OtherBytes, "has the digest"),
        (Fault::NoBlobs, "has lost the blob"),
        (Fault::OutsideName, "is no name of a file"),
        (Fault::NoList, "lacks the list of ./below"),
        (Fault::Bomb, "more than 1000 files, folders and links"),
        (Fault::NoResult, "has no result"),
        (Fault::OtherRoot, "do not put the root of an action at `/`"),
        (Fault::Network, "programs on its workers have a network"),
    ] {
        let told = refused(fault).await;
        assert!(told.contains(said), "{fault:?}: {told}");
    }
}

#[tokio::test]
async fn nothing_is_waited_for_without_end() {
    for (fault, said) in [
        (Fault::Queued, "no worker for an action within 1 s; asked for was OSFamily=linux"),
        (Fault::Silent, "asked to run an action, it said nothing for 3s"),
        (Fault::Deaf, "asked to run an action, it said nothing for 3s"),
        (Fault::Endless, "asked to run an action, it was not done after 2s"),
        (Fault::Aborted, "Job was retried 5 unsuccessfully"),
        (Fault::Broken, "could not, 5 times: the worker has no storage"),
        (Fault::LosesInputs, "loses what it was sent: At least one blob is missing"),
    ] {
        let told = failed(machine_then(fault).await, fault).await;
        assert!(told.contains(said), "{fault:?}: {told}");
    }
}

#[tokio::test]
async fn a_server_that_lost_something_is_sent_it_again() {
    let machine = machine(Fault::LostInputsOnce).await;
    assert_eq!(run(&machine).await.0.unwrap().stdout, b"ran");
    assert_eq!(machine.server.executed(), 3);
}

#[tokio::test]
async fn an_action_is_taken_up_again_where_the_server_was_restarted() {
    let machine = machine(Fault::Restarted).await;
    assert_eq!(run(&machine).await.0.unwrap().stdout, b"taken up again");
    assert_eq!(machine.server.executed(), 2, "none began anew");
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let machine = machine_then(Fault::None).await;
    machine.server.goes_away_for(4);
    assert_eq!(run(&machine).await.0.unwrap().stdout, b"ran");
    // Nobody waits in silence, nor hears of each.
    let notices = machine.notices.lock().unwrap().clone();
    let Some(Notice::AskedAgain { address, why, again: 1, of: 11 }) = notices.first() else {
        panic!("{notices:?}")
    };
    assert_eq!((address.as_str(), why.as_str()), (&*machine.server.address(), "the server is restarted"));
    assert!((2..=4).contains(&notices.len()), "{notices:?}");
}

#[tokio::test]
async fn what_a_lost_machine_came_to_is_not_taken() {
    let lost = format!("left {}, which the server has not on worker-1 (1 of 2)", Digest::of(b"nowhere"));
    for (fault, begun_again) in [
        (Fault::NoOutputsOnce, vec!["left no /out on worker-1 (1 of 2)"]),
        (Fault::UntouchedOnce, vec!["left nothing on worker-1 (1 of 2)"]),
        (Fault::NoBlobsOnce, vec![lost.as_str()]),
        (Fault::FailedOnce, vec!["ended with exit code 1 on worker-1 (1 of 2)"]),
        (
            Fault::BrokenTwice,
            vec![
                "did not end by itself: the worker has no storage (1 of 4)",
                "did not end by itself: the worker has no storage (2 of 4)",
            ],
        ),
    ] {
        let machine = machine_then(fault).await;
        let (ran, kept) = run(&machine).await;
        let ran = ran.unwrap();
        assert_eq!((ran.exit_code, ran.stdout.as_slice()), (0, b"ran".as_slice()), "{fault:?}");
        assert_eq!(kept.files(), [("made".to_owned(), b"ran".to_vec())], "{fault:?}");
        assert_eq!(machine.begun_again(), begun_again, "{fault:?}");
        // As another action each time, so that nothing can be what is remembered of the one before.
        assert_eq!(machine.server.executed(), 3 + begun_again.len(), "{fault:?}");
        assert_eq!(machine.server.actions(), machine.server.executed(), "{fault:?}");
    }
}

#[tokio::test]
async fn what_comes_to_the_same_again_is_believed() {
    let machine = machine_then(Fault::NoOutputs).await;
    let (ran, kept) = run(&machine).await;
    assert_eq!((ran.unwrap().exit_code, kept.files().len()), (0, 0));
    assert_eq!(machine.server.executed(), 2 + 2);

    let machine = machine_then(Fault::Failed).await;
    assert_eq!(run(&machine).await.0.unwrap().exit_code, 1);
    assert_eq!(machine.server.executed(), 2 + 2);

    let machine = machine_then(Fault::NeverTheSame).await;
    assert_eq!(run(&machine).await.0.unwrap().exit_code, 3, "the last word is taken");
    assert_eq!((machine.server.executed(), machine.begun_again().len()), (2 + 3, 2));
}

#[tokio::test]
async fn what_nobody_waits_for_is_cancelled() {
    let machine = machine(Fault::Queued).await;
    let (spec, _) = asked();
    let waited = tokio::time::timeout(Duration::from_millis(300), machine.engine.run(spec, |_| ())).await;
    assert!(waited.is_err());
    machine.engine.shutdown().await;
    assert_eq!(machine.server.cancelled(), 1);
    let (spec, _) = asked();
    assert!(matches!(machine.engine.run(spec, |_| ()).await, Err(EngineError::Stopped)));
}

#[tokio::test]
async fn a_server_that_runs_nothing_is_no_engine() {
    let (server, folder) = (ExecutionServer::start().await, tempfile::tempdir().unwrap());
    server.is(Fault::NotAnExecutor);
    let settings = settings(&server, folder.path());
    let told = RemoteEngine::connect(&settings, session(), Notices::none()).await.unwrap_err();
    assert!(told.to_string().contains("it runs no programs"), "{told}");
    assert!(told.to_string().contains("KILN_EXECUTE"), "{told}");
}
