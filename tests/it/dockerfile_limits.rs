//! Limits of a Dockerfile's build: each is tried by a program that goes past it, with both builders, and is said to hold where it
//! holds alone (docs/dockerfiles.md).

use crate::harness::{EngineBuild, block_on, busybox, engine};
use fs_err as fs;
use kiln_engine::{Builder, EngineError};
use std::time::{Duration, Instant};

const BUILDERS: [Builder; 2] = [Builder::Classic, Builder::BuildKit];

/// A build with one RUN, of a shell program.
fn run(image: &str, builder: Builder, program: &str) -> EngineBuild {
    let line = format!("RUN {}", serde_json::json!(["/bin/busybox", "sh", "-c", program]));
    EngineBuild::new(image, builder, &[&line])
}

/// What came of a build on the engine of all tests.
fn outcome(build: &EngineBuild) -> Result<Vec<String>, EngineError> {
    build.files_of(&block_on(engine("limits")))
}

/// A length of time in seconds that no other program sleeps.
fn own_seconds(number: u32) -> String {
    format!("{}{number}", 1_000_000 + std::process::id())
}

/// Waits until no process of this machine has a word among its arguments.
#[track_caller]
fn is_gone(word: &str) {
    let there = || {
        fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
        })
    };
    let started = Instant::now();
    while there() {
        assert!(started.elapsed() < Duration::from_secs(300), "a program of the build still runs");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_build_that_takes_too_long_is_ended_with_its_programs() {
    let image = busybox();
    for (number, builder) in (0..).zip(BUILDERS) {
        let sleep = own_seconds(number);
        let mut build = run(&image, builder, &format!("busybox sleep {sleep}"));
        build.deadline = Duration::from_secs(5);
        let ended = outcome(&build);
        assert!(matches!(ended, Err(EngineError::Deadline { seconds: 5, .. })), "{builder}: {ended:?}");
        is_gone(&sleep);
    }
}

#[test]
fn a_build_that_fills_the_disk_is_ended_with_its_programs() {
    let image = busybox();
    for (number, builder) in (2..).zip(BUILDERS) {
        let sleep = own_seconds(number);
        let program =
            format!("busybox dd if=/dev/zero of=/large bs=1M count=1024 2>/dev/null; busybox sleep {sleep}");
        let mut build = run(&image, builder, &program);
        build.disk_bytes = 256 << 20;
        let ended = outcome(&build);
        match ended {
            Err(EngineError::OutputTooLarge { what, limit: 268_435_456, .. }) => {
                assert!(what.starts_with("what is written to /"), "{builder}: {what}");
            }
            other => panic!("{builder}: {other:?}"),
        }
        is_gone(&sleep);
    }
}

/// The classic builder alone has a limit of memory: BuildKit's interface takes none.
#[test]
fn a_program_of_a_build_has_so_much_memory_with_the_classic_builder() {
    let image = busybox();
    for builder in BUILDERS {
        let mut build = run(&image, builder, "busybox dd if=/dev/zero of=/dev/null bs=512M count=1");
        build.memory_bytes = 64 << 20;
        match (builder, outcome(&build)) {
            (Builder::Classic, Err(EngineError::BuildFailed { why, .. })) => {
                assert!(why.contains("137"), "killed: {why}");
            }
            (Builder::BuildKit, Ok(_)) => {}
            (_, other) => panic!("{builder}: {other:?}"),
        }
        // The same within its limit.
        build.memory_bytes = 1 << 30;
        assert!(outcome(&build).is_ok(), "{builder}");
    }
}

/// Neither builder's interface takes a limit of processes. They end with the RUN that started them.
#[test]
fn processes_of_a_build_are_not_limited_and_end_with_it() {
    let image = busybox();
    for (number, builder) in (4..).zip(BUILDERS) {
        let sleep = own_seconds(number);
        let program = format!(
            "i=0; while [ $i -lt 200 ]; do busybox sleep {sleep} & i=$((i+1)); done; n=$(busybox ps | busybox grep -c \
             'sleep {sleep}'); [ $n -ge 200 ] && busybox touch /all"
        );
        let there = outcome(&run(&image, builder, &program)).unwrap();
        assert!(there.iter().any(|path| path == "all"), "{builder}: {there:?}");
        is_gone(&sleep);
    }
}
