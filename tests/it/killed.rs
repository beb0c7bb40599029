//! Runs that end before they are done, and runs that meet another.

use crate::container_images::service;
use crate::harness::{LocalIndex, Running, Sandbox, block_on, containers_of, engine, wheel};
use fs_err as fs;
use kiln_record::{ArtifactName, Digest, exit};
use kiln_store::Ledger;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const BUILD: [&str; 4] = ["build", "--all", "--format", "json"];
const MOMENTS: u32 = 10;
const FUNCTIONS: [&str; 3] = ["alert", "ingestion", "report"];

/// Each artifact's published files by name.
type Published = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

#[test]
fn killed_mid_build() {
    let index = LocalIndex::empty();
    let store = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new().with_index(&index);
    let kiln = sandbox.kiln().with_store(store.path());
    // All side by side: a build spends most of its time waiting for the engine.
    let build = || BUILD.into_iter().chain(["--jobs", "3"]);
    let mut version = 0;
    let mut write_next = || {
        version += 1;
        write_version(&sandbox, &index, version);
    };
    // The first build readies the store; the second one is what all later ones are like.
    write_next();
    kiln.run(build()).ends_with(exit::SUCCESS).published_only(&FUNCTIONS);
    write_next();
    let start = Instant::now();
    kiln.run(build()).ends_with(exit::SUCCESS).published_only(&FUNCTIONS);
    let mut duration = start.elapsed();

    for moment in 1..=MOMENTS {
        let mut attempts = 0;
        let (before, pid) = loop {
            write_next();
            let before = published(&sandbox);
            let start = Instant::now();
            let mut run = kiln.start(build());
            let pid = run.pid();
            if !run.ends_within(duration * moment / (MOMENTS + 1)) {
                run.signal(Signal::KILL);
            }
            let ended = run.wait();
            if ended.code.is_none() {
                break (before, pid);
            }
            // The machine has become faster: the next is killed earlier than this one ended.
            ended.ends_with(exit::SUCCESS);
            duration = start.elapsed().mul_f64(0.8);
            attempts += 1;
            assert!(attempts < 20, "every build ends before it can be killed");
        };
        let at_death = published(&sandbox);

        let next = kiln.run(build()).ends_with(exit::SUCCESS);
        let after = published(&sandbox);
        let told = format!("killed at {moment} of {}\n{next}", MOMENTS + 1);
        assert_eq!(after.keys().collect::<Vec<_>>(), FUNCTIONS, "{told}");
        for name in FUNCTIONS {
            assert_ne!(before[name], after[name], "{name} changed, {told}");
            assert!(
                at_death[name] == before[name] || at_death[name] == after[name],
                "{name} was whole, old or new, {told}"
            );
        }
        assert_index_names(&sandbox, &after, &told);
        assert_ledger_is_whole(&sandbox, &after, &told);
        assert_eq!(containers_of(pid), [""; 0], "no container is left, {told}");
        assert_eq!(leftovers(&sandbox, store.path()), [""; 0], "no file is left, {told}");
    }
    sandbox.kiln().run(["history"]).ends_with(exit::SUCCESS);
}

/// Signals at the moment when a publication has begun: folder, ledger and index are one truth after the next command that hands on
/// what is published; one that only looks changes nothing.
#[test]
fn stopped_while_publishing() {
    let sandbox = Sandbox::new();
    let write = |answer: u32| {
        let code = format!("def handler(event, context):\n    return {answer}\n");
        sandbox.function("app", "3.13", &code, "");
    };
    write(0);
    sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS);
    for (answer, signal) in (1..).zip([Signal::KILL, Signal::TERM, Signal::INT].repeat(3)) {
        write(answer);
        let mut run = sandbox.kiln().start(BUILD);
        // What is staged has its record a moment before it is published.
        while !staged(&sandbox) && !run.ends_within(Duration::from_millis(1)) {}
        run.signal(signal);
        let told = run.wait().to_string();
        let left = sandbox.dist();
        sandbox.kiln().run(["verify"]);
        assert!(sandbox.dist() == left, "nothing is written by who only looks: {told}");
        sandbox.kiln().run(["export", "env", "app"]).ends_with(exit::SUCCESS);
        sandbox.kiln().run(["verify"]).ends_with(exit::SUCCESS);
        let after = published(&sandbox);
        assert_index_names(&sandbox, &after, &told);
        assert_ledger_is_whole(&sandbox, &after, &told);
    }
}

fn staged(sandbox: &Sandbox) -> bool {
    let entries = fs::read_dir(sandbox.path("dist")).unwrap();
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(".staging-") && entry.path().join("record.json").exists()
    })
}

#[test]
fn interrupted_by_ctrl_c() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.function("other", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS);
    let (before, history) = (sandbox.dist(), ledger_of(&sandbox));
    for signal in [Signal::INT, Signal::TERM] {
        write_slow(&sandbox, "app", 120);
        let mut run = sandbox.kiln().start(["build", "--all"]);
        let pid = run.pid();
        run.wait_for_container();
        run.signal(signal);
        let start = Instant::now();
        let stopped = run.wait().ends_with(exit::INTERRUPTED).says(&[
            "stopped before it was done",
            "nothing half-finished",
            "the same command",
        ]);
        assert!(start.elapsed() < Duration::from_secs(100), "it ends before the slow module does\n{stopped}");
        assert_eq!(containers_of(pid), [""; 0], "no container is left\n{stopped}");
        assert!(sandbox.dist() == before, "dist/ is as it was\n{stopped}");
        assert_eq!(ledger_of(&sandbox), history, "nothing is remembered\n{stopped}");
    }
    // The workspace is free again at once.
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox
        .kiln()
        .with_variable("KILN_LOCK_WAIT", "0")
        .run(BUILD)
        .ends_with(exit::SUCCESS)
        .published_only(&["app"]);
}

#[test]
fn an_image_that_was_loaded_for_an_interrupted_run_is_gone() {
    let sandbox = Sandbox::new();
    service(&sandbox, "waits", "");
    // It is checked as it will run, and is never found to be healthy.
    sandbox.write(
        "manifests/waits/server.py",
        "import time\n\nif __name__ == '__main__':\n    time.sleep(120)\n",
    );
    let run = sandbox.kiln().start(["build", "--all"]);
    let ending = format!("-{}-", run.pid());
    let loaded = || -> Vec<String> {
        let images = async { engine("images").await.images("localhost/kiln/waits:").await };
        let images = block_on(images).unwrap();
        images.into_iter().map(|image| image.reference).filter(|name| name.contains(&ending)).collect()
    };
    let start = Instant::now();
    while loaded().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(300), "the image is loaded to be checked");
        std::thread::sleep(Duration::from_millis(50));
    }
    run.signal(Signal::TERM);
    let stopped = run.wait().ends_with(exit::INTERRUPTED);
    assert_eq!(loaded(), [""; 0], "no image is left\n{stopped}");
}

#[test]
fn two_kilns_in_one_workspace() {
    let sandbox = Sandbox::new();
    write_slow(&sandbox, "app", 3);
    let mut first = sandbox.kiln().start(BUILD);
    first.wait_for_container();
    let second = sandbox.kiln().run(BUILD).ends_with(exit::SUCCESS).published_only(&[]);
    let pid = first.pid();
    second.says(&["waiting for another kiln", &format!("process {pid}")]);
    first.wait().ends_with(exit::SUCCESS).published_only(&["app"]);
    assert_eq!(ledger_of(&sandbox)["app"].len(), 1, "it was built once");

    write_slow(&sandbox, "app", 121);
    let mut first: Running = sandbox.kiln().start(BUILD);
    first.wait_for_container();
    let pid = first.pid();
    let impatient = sandbox.kiln().with_variable("KILN_LOCK_WAIT", "1").run(["build", "--all"]);
    impatient.ends_with(exit::STORE_FAILURE).says(&[
        ".kiln/lock",
        &format!("process {pid}"),
        "wait for it to finish, or stop it",
        "KILN_LOCK_WAIT",
    ]);
    // Whoever only reads does not wait.
    sandbox.kiln().with_variable("KILN_LOCK_WAIT", "0").run(["history"]).ends_with(exit::SUCCESS);
    first.signal(Signal::TERM);
    first.wait().ends_with(exit::INTERRUPTED);
}

/// Three functions that all differ from version to version; one gets a new wheel of a megabyte, too.
fn write_version(sandbox: &Sandbox, index: &LocalIndex, version: u32) {
    let code = format!("VERSION = {version}\n\ndef handler(event, context):\n    return VERSION\n");
    sandbox.function("alert", "3.13", &code, "");
    sandbox.function("report", "3.11", &code, "");
    let mut seed = u64::from(version) + 1;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        // Marsaglia's xorshift: bytes that do not compress.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    })
    .take(1 << 17)
    .flatten()
    .collect();
    let files: [(&str, &[u8]); 2] = [("telemetry.py", b""), ("telemetry.dat", &noise)];
    let wheel = wheel("telemetry", &format!("1.{version}"), "py3-none-any", &[], &files);
    index.add(&wheel, &wheel.digest().hex(), &wheel.bytes);
    sandbox.function("ingestion", "3.13", &format!("import telemetry\n{code}"), &wheel.requirement(""));
}

/// A function that takes seconds to import.
fn write_slow(sandbox: &Sandbox, name: &str, seconds: u32) {
    let code =
        format!("import time\ntime.sleep({seconds})\n\ndef handler(event, context):\n    return None\n");
    sandbox.function(name, "3.13", &code, "");
}

/// Everything that is published, each folder complete and as its SHA256SUMS says.
fn published(sandbox: &Sandbox) -> Published {
    let mut artifacts = Published::new();
    for (path, content) in sandbox.dist() {
        let Some((artifact, file)) = path.split_once('/') else { continue };
        // What a killed run was about to publish is hidden.
        if !artifact.starts_with('.') {
            artifacts.entry(artifact.to_owned()).or_default().insert(file.to_owned(), content);
        }
    }
    for (artifact, files) in &artifacts {
        let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
        let summed: BTreeMap<&str, &str> = sums
            .lines()
            .map(|line| line.split_once("  ").unwrap())
            .map(|(digest, name)| (name, digest))
            .collect();
        let expected: BTreeMap<&str, String> = files
            .iter()
            .filter(|(name, _)| *name != "SHA256SUMS")
            .map(|(name, content)| (name.as_str(), Digest::of(content).hex()))
            .collect();
        assert_eq!(expected.len(), 4, "{artifact} is complete");
        assert!(
            summed.iter().map(|(name, digest)| (*name, (*digest).to_owned())).eq(expected),
            "{artifact}:\n{sums}"
        );
    }
    artifacts
}

fn assert_index_names(sandbox: &Sandbox, published: &Published, told: &str) {
    let index: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    for (artifact, files) in published {
        let digest = Digest::of(&files[&format!("{artifact}.zip")]).to_string();
        assert_eq!(index["artifacts"][artifact]["digest"], digest, "index.json on {artifact}, {told}");
    }
}

/// The chain of each history holds, every record is the one its entry names, and the newest is what is published.
fn assert_ledger_is_whole(sandbox: &Sandbox, published: &Published, told: &str) {
    let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
    for (artifact, files) in published {
        let name: ArtifactName = artifact.parse().unwrap();
        let entries = ledger.entries(&name).unwrap_or_else(|error| panic!("{error}, {told}"));
        for entry in &entries {
            ledger.record(&name, entry.number).unwrap_or_else(|error| panic!("{error}, {told}"));
        }
        let newest = entries.last().map(|entry| entry.record);
        assert_eq!(newest, Some(Digest::of(&files["record.json"])), "the newest build of {artifact}, {told}");
    }
}

/// The record digests of each artifact's history.
fn ledger_of(sandbox: &Sandbox) -> BTreeMap<String, Vec<Digest>> {
    let ledger = Ledger::open(&sandbox.path(".kiln/ledger"));
    let history =
        |name: &ArtifactName| ledger.entries(name).unwrap().iter().map(|entry| entry.record).collect();
    ledger.artifacts().unwrap().iter().map(|name| (name.to_string(), history(name))).collect()
}

/// Files and folders that only an unfinished run has.
fn leftovers(sandbox: &Sandbox, store: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![sandbox.path("dist"), sandbox.path(".kiln"), store.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden || path.parent() == Some(&store.join("temp")) {
                found.push(path.display().to_string());
            } else if path.is_dir() {
                pending.push(path);
            }
        }
    }
    found
}
