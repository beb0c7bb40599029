//! What every engine must do, as checks that panic when it does not.
//!
//! The image must have busybox at `/bin/busybox` and `/tmp`; [`image_archive`] makes one from any static busybox. The
//! same checks run on the engine in memory, on Docker, on Podman and on servers of the Remote Execution API. What the last are known to
//! do otherwise has a name ([`Difference`]), and is held to be so: a difference that is gone is a failure, too.

mod given;

pub use given::{File, Kept, image_archive, spec, tar_of};

use crate::{
    ContainerInfo, Engine, EngineError, GuestPath, Health, HealthTest, InputTree, Line, OutputFolder,
    RunOutcome, RunSpec, Session, Stream,
};
use given::{BUSYBOX, Full, files_of, tree};
use kiln_record::Digest;
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const USER: &str = "65534:65534";

/// What an engine does otherwise than one of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Inputs and the root can be written to, and belong to the user. What is written is gone at the end.
    Writable,
    /// The memory of a program has no limit.
    NoMemoryLimit,
    /// The processes of a program have no limit.
    NoProcessLimit,
    /// The files in a scratch folder have no limit of their own.
    NoScratchFileLimit,
    /// It does not tell that memory was why a program was killed.
    UntoldMemory,
    /// The host has a name of its own.
    HostName,
    /// The working folder is in `PWD`, too.
    WorkingFolderVariable,
    /// The host's name is in `HOSTNAME`, too.
    HostNameVariable,
    /// There is no `/sys` that lists the interfaces of the network.
    NoSys,
    /// A program that writes too much is told of when it ends.
    LateOutput,
    /// It watches no service.
    NoServices,
}

/// Runs every check in turn.
pub async fn suite(engine: Engine, image: &str) {
    suite_with(engine, image, &[]).await;
}

/// Runs every check in turn, on an engine that differs in some ways.
pub async fn suite_with(engine: Engine, image: &str, differs: &[Difference]) {
    exit_codes(&engine, image).await;
    streams_are_separate_and_whole(&engine, image).await;
    large_output_is_not_lost(&engine, image).await;
    environment_and_place_are_exact(&engine, image, differs).await;
    inputs_are_seen_and_safe(&engine, image, differs).await;
    one_input_needs_nothing_else(&engine, image).await;
    faulty_inputs_are_refused(&engine, image).await;
    outputs_are_collected(&engine, image).await;
    an_output_may_begin_with_an_input(&engine, image, differs).await;
    runs_do_not_mix(&engine, image).await;
    only_scratch_is_writable(&engine, image, differs).await;
    there_is_no_network(&engine, image, differs).await;
    deadlines_kill(&engine, image).await;
    memory_is_limited(&engine, image, differs).await;
    output_is_limited(&engine, image, differs).await;
    collected_files_are_limited(&engine, image).await;
    dropping_a_run_removes_it(&engine, image).await;
    leftovers_are_swept(&engine, image).await;
    images_load_twice_alike(&engine).await;
    images_are_saved_as_they_are(&engine, image).await;
    files_of_a_container_are_given(&engine, image).await;
    services_are_watched(&engine, image, differs).await;
    missing_things_are_named(&engine, image).await;
    shutdown_removes_and_refuses(&engine, image).await;
}

/// A saved image loads again, and its config names the layers that the engine tells of.
pub async fn images_are_saved_as_they_are(engine: &Engine, image: &str) {
    let mut bytes = Vec::new();
    let save = engine.export(image, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    });
    save.await.expect("the image is saved");
    let files = files_of(&bytes);
    let of = |name: &str| &files.iter().find(|(path, _)| path == name).expect("a file of the archive").1;
    let manifest: serde_json::Value = serde_json::from_slice(of("manifest.json")).expect("a manifest");
    let config = of(manifest[0]["Config"].as_str().expect("a config"));
    let config: serde_json::Value = serde_json::from_slice(config).expect("a config");
    let there = engine.image(image).await.expect("an answer").expect("an image");
    let diff_ids: Vec<String> = there.diff_ids.iter().map(Digest::to_string).collect();
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!(diff_ids));
    engine.load(Cursor::new(bytes)).await.expect("it loads");
    assert_eq!(engine.image(image).await.expect("an answer").expect("an image").id, there.id);
    let missing = engine.export("localhost/kiln-contract/no-such-image:1", |_| Ok(())).await;
    assert!(matches!(missing, Err(EngineError::ImageMissing { .. })), "{missing:?}");
}

/// The files of a container of an image come as a tar, and no container is left.
pub async fn files_of_a_container_are_given(engine: &Engine, image: &str) {
    let mut bytes = Vec::new();
    let export = engine.file_system(image, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    });
    export.await.expect("the files are given");
    let files = files_of(&bytes);
    let busybox = files.iter().find(|(path, _)| path.ends_with("bin/busybox"));
    assert!(busybox.is_some_and(|(_, bytes)| !bytes.is_empty()), "the program is among them");
    let stopped = engine.file_system(image, |_| Err(std::io::Error::other("enough"))).await;
    assert!(matches!(&stopped, Err(EngineError::Broken { why, .. }) if why == "enough"), "{stopped:?}");
    let missing = engine.file_system("localhost/kiln-contract/no-such-image:1", |_| Ok(())).await;
    assert!(matches!(missing, Err(EngineError::ImageMissing { .. })), "{missing:?}");
    none_left(engine).await;
}

/// A service is watched until its test passes or fails for good, or it ends, or the time is over; and it is gone then.
pub async fn services_are_watched(engine: &Engine, image: &str, differs: &[Difference]) {
    let test = |words: &[&str]| HealthTest {
        command: std::iter::once(BUSYBOX).chain(words.iter().copied()).map(str::to_owned).collect(),
        interval: Duration::from_millis(300),
        timeout: Duration::from_secs(5),
        start_period: Duration::ZERO,
        retries: 1,
    };
    let service = |words: &[&str], seconds: u64| {
        let mut spec = spec(image, words);
        spec.limits.deadline = Duration::from_secs(seconds);
        spec
    };
    if differs.contains(&Difference::NoServices) {
        let watched = engine.watch(service(&["sleep", "60"], 60), test(&["true"]), |_| ()).await;
        assert!(matches!(watched, Err(EngineError::Unsupported { .. })), "{watched:?}");
        return;
    }
    let watch = async |words: &[&str], seconds: u64, tested: &[&str]| {
        engine.watch(service(words, seconds), test(tested), |_| ()).await.expect("it is watched").health
    };
    assert_eq!(watch(&["sleep", "60"], 60, &["true"]).await, Health::Healthy);
    let unhealthy = watch(&["sleep", "60"], 60, &["cat", "/no/file"]).await;
    assert!(
        matches!(&unhealthy, Health::Unhealthy { exit_code: 1, output } if output.contains("/no/file")),
        "{unhealthy:?}"
    );
    assert_eq!(watch(&["false"], 60, &["true"]).await, Health::Ended { exit_code: 1 });
    let mut late = test(&["true"]);
    late.interval = Duration::from_secs(50);
    let undecided = engine.watch(service(&["sleep", "60"], 2), late, |_| ()).await.expect("it is watched");
    assert_eq!(undecided.health, Health::Undecided);
    none_left(engine).await;
}

/// A program's own exit code is an outcome; a missing program is 127.
pub async fn exit_codes(engine: &Engine, image: &str) {
    assert_eq!(run(engine, spec(image, &["true"])).await.exit_code, 0);
    let failed = run(engine, spec(image, &["false"])).await;
    assert_eq!((failed.exit_code, failed.oom_killed), (1, false));
    let mut missing = spec(image, &[]);
    missing.argv = vec!["/bin/no-such-program".to_owned()];
    let missing = run(engine, missing).await;
    assert_eq!(missing.exit_code, 127);
    assert!(text(&missing.stderr).contains("No such file"), "{}", text(&missing.stderr));
    none_left(engine).await;
}

/// Stdout and stderr are told apart, and lines are told as lines.
pub async fn streams_are_separate_and_whole(engine: &Engine, image: &str) {
    let lines = Mutex::new(Vec::new());
    let mut spec = spec(image, &["cat", "/in/a", "/in/missing", "/in/b"]);
    spec.inputs = vec![tree("/in", &[("a", 0o644, b"one\ntwo\r\n\xff"), ("b", 0o644, b"three")])];
    let outcome = engine
        .run(spec, |line: Line| lines.lock().expect("not poisoned").push(line))
        .await
        .expect("the run ends");
    assert_eq!(outcome.exit_code, 1);
    assert_eq!(outcome.stdout, b"one\ntwo\r\n\xffthree");
    assert!(text(&outcome.stderr).contains("/in/missing"), "{}", text(&outcome.stderr));
    let lines = lines.into_inner().expect("not poisoned");
    let of = |stream: Stream| {
        lines.iter().filter(move |line| line.stream == stream).map(|line| line.text.as_str())
    };
    assert_eq!(of(Stream::Stdout).collect::<Vec<_>>(), ["one", "two", "\u{fffd}three"]);
    assert_eq!(of(Stream::Stderr).count(), 1);
}

/// Every byte of much output arrives, in order.
pub async fn large_output_is_not_lost(engine: &Engine, image: &str) {
    let said = said(engine, spec(image, &["seq", "400000"])).await;
    let expected: String = (1..=400_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(said.len(), expected.len());
    assert!(said == expected, "the same length, but other bytes");
}

/// The program sees exactly the environment it was given, and `HOME`.
pub async fn environment_and_place_are_exact(engine: &Engine, image: &str, differs: &[Difference]) {
    let with = |words: &[&str]| {
        let mut spec = spec(image, words);
        spec.env = BTreeMap::from([("B".to_owned(), "x=y z".to_owned()), ("A".to_owned(), String::new())]);
        spec.working_dir = "/tmp".to_owned();
        spec
    };
    let env = said(engine, with(&["env"])).await;
    let mut lines: Vec<String> = env.lines().map(str::to_owned).collect();
    lines.sort();
    let more = [("PWD=", Difference::WorkingFolderVariable), ("HOSTNAME=", Difference::HostNameVariable)];
    for (name, difference) in more {
        assert_eq!(
            lines.iter().any(|there| there.starts_with(name)),
            differs.contains(&difference),
            "{lines:?}"
        );
    }
    lines.retain(|line| more.iter().all(|(name, _)| !line.starts_with(name)));
    assert_eq!(lines, ["A=", "B=x=y z", "HOME=/"]);
    let host = said(engine, with(&["hostname"])).await;
    assert_eq!(host.trim() == "kiln", !differs.contains(&Difference::HostName), "{host}");
    for (words, expected) in [(["pwd", ""], "/tmp"), (["id", "-u"], "65534"), (["id", "-g"], "65534")] {
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        assert_eq!(said(engine, with(&words)).await.trim(), expected, "{words:?}");
    }
}

/// Inputs are complete, belong to root, keep their execute bit, and cannot be changed; what the image had is hidden.
pub async fn inputs_are_seen_and_safe(engine: &Engine, image: &str, differs: &[Difference]) {
    let files: [File<'_>; 3] = [("a/b.txt", 0o666, b"hello"), ("run", 0o775, b"#!"), ("wide", 0o644, b"")];
    let with = |words: &[&str]| {
        let mut spec = spec(image, words);
        spec.inputs = vec![tree("/in", &files), tree("/etc/second", &[("c", 0o644, b"2")])];
        spec
    };
    let modes =
        with(&["stat", "-c", "%a %u %g %n", "/in", "/in/a", "/in/a/b.txt", "/in/run", "/etc/second/c"]);
    let is_writable = differs.contains(&Difference::Writable);
    let owner = if is_writable { "65534 65534" } else { "0 0" };
    let places = [
        ("755", "/in"),
        ("755", "/in/a"),
        ("644", "/in/a/b.txt"),
        ("755", "/in/run"),
        ("644", "/etc/second/c"),
    ];
    let expected: String = places.iter().map(|(mode, path)| format!("{mode} {owner} {path}\n")).collect();
    assert_eq!(said(engine, modes).await, expected);
    assert_eq!(said(engine, with(&["cat", "/in/a/b.txt", "/etc/second/c"])).await, "hello2");
    for target in ["/in/new", "/in/a/new", "/etc/second/new"] {
        let written = run(engine, with(&["touch", target])).await.exit_code == 0;
        assert_eq!(written, is_writable, "{target}");
    }
    let written = run(engine, with(&["cp", "/in/wide", "/in/a/b.txt"])).await.exit_code == 0;
    assert_eq!(written, is_writable);
    // Whatever a program writes, the next is given what it was to be given.
    assert_eq!(said(engine, with(&["cat", "/in/a/b.txt"])).await, "hello");
}

/// A run with one input and nothing else behaves the same.
pub async fn one_input_needs_nothing_else(engine: &Engine, image: &str) {
    let mut spec = spec(image, &["cat", "/var/task/deep/er/file"]);
    spec.inputs = vec![tree("/var/task", &[("deep/er/file", 0o644, b"found")])];
    assert_eq!(said(engine, spec).await, "found");
    none_left(engine).await;
}

/// A folder of this machine is the same tree whether it is sent or bound, and the program writes to neither. Says whether the
/// engine reads it where it is. The folder is empty, and nobody else's.
pub async fn a_folder_is_seen_like_a_tree(engine: &Engine, image: &str, folder: &Path) -> bool {
    a_folder_is_seen_like_a_tree_with(engine, image, folder, &[]).await
}

/// The same on an engine that differs in some ways.
pub async fn a_folder_is_seen_like_a_tree_with(
    engine: &Engine,
    image: &str,
    folder: &Path,
    differs: &[Difference],
) -> bool {
    let no_time = || std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    let tree = folder.join("tree");
    fs_err::create_dir_all(tree.join("a")).expect("a folder");
    fs_err::write(tree.join("a/b.txt"), b"hello").expect("a file");
    fs_err::os::unix::fs::symlink("a/b.txt", tree.join("link")).expect("a link");
    for (path, mode) in [("a/b.txt", 0o644), ("a", 0o755), ("", 0o755)] {
        let path = tree.join(path);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs_err::set_permissions(&path, mode).expect("a mode");
        fs_err::File::open(path).expect("it is there").file().set_times(no_time()).expect("a time");
    }
    let with = |words: &[&str]| {
        let mut spec = spec(image, words);
        spec.inputs = vec![InputTree::folder(GuestPath::new("/var/task").expect("a path"), &tree)];
        spec
    };
    let mut answers = Vec::new();
    let mut reads = false;
    for _ in 0..2 {
        let seen = said(engine, with(&["stat", "-c", "%a %n", "/var/task/a", "/var/task/a/b.txt"])).await;
        let read = said(engine, with(&["cat", "/var/task/link"])).await;
        let written = run(engine, with(&["touch", "/var/task/a/new"])).await.exit_code == 0;
        assert_eq!(written, differs.contains(&Difference::Writable));
        answers.push((seen, read));
        // The first time it was sent, as nobody had asked.
        reads = engine.reads_folder(folder, folder, image).await.expect("an answer");
    }
    let modes = "755 /var/task/a\n644 /var/task/a/b.txt\n";
    let expected = (modes.to_owned(), "hello".to_owned());
    assert_eq!(answers, [expected.clone(), expected]);
    assert!(!tree.join("a/new").exists());
    let left = fs_err::read_dir(folder).expect("a folder").count();
    assert_eq!(left, 1, "whatever the question left there");
    none_left(engine).await;
    reads
}

/// An archive that lies is an error that names the input, and leaves nothing behind.
pub async fn faulty_inputs_are_refused(engine: &Engine, image: &str) {
    for alone in [true, false] {
        let mut spec = spec(image, &["true"]);
        let path = GuestPath::new("/in").expect("a path");
        spec.inputs = vec![InputTree::new(path.clone(), Cursor::new(vec![7; 2048]))];
        if !alone {
            spec.outputs.push(Kept::default().folder("/out"));
        }
        match engine.run(spec, |_| ()).await {
            Err(EngineError::Input { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
    }
    none_left(engine).await;
}

/// What the program leaves in an output comes back, also when it failed.
pub async fn outputs_are_collected(engine: &Engine, image: &str) {
    let with = |words: &[&str]| {
        let mut spec = spec(image, words);
        spec.inputs = vec![tree("/in", &[("a", 0o644, b"content")])];
        let kept = [Kept::default(), Kept::default()];
        spec.outputs = vec![kept[0].folder("/out"), kept[1].folder("/kiln/deep/out")];
        (spec, kept)
    };
    let (spec, kept) = with(&["cp", "/in/a", "/out/b"]);
    let outcome = run(engine, spec).await;
    assert_eq!(outcome.exit_code, 0, "{}", text(&outcome.stderr));
    assert_eq!(kept[0].files(), [("b".to_owned(), b"content".to_vec())]);
    assert_eq!(kept[1].files(), []);
    let (spec, kept) = with(&["cp", "/in/a", "/kiln/deep/out/b"]);
    run(engine, spec).await;
    assert_eq!(kept[1].files().len(), 1);
    let (spec, kept) = with(&["false"]);
    assert_ne!(run(engine, spec).await.exit_code, 0);
    assert_eq!(kept.map(|kept| kept.files().len()), [0, 0], "a failed program leaves tars, too");
    none_left(engine).await;
}

/// An input at the path of an output is that output's first content, and the program may write to all of it.
pub async fn an_output_may_begin_with_an_input(engine: &Engine, image: &str, differs: &[Difference]) {
    let with = |words: &[&str]| {
        let mut spec = spec(image, words);
        spec.inputs =
            vec![tree("/given", &[("deep/a", 0o644, b"old")]), tree("/in", &[("b", 0o644, b"new")])];
        let kept = Kept::default();
        spec.outputs = vec![kept.folder("/given")];
        (spec, kept)
    };
    let (spec, kept) = with(&["cp", "/in/b", "/given/deep/c"]);
    let outcome = run(engine, spec).await;
    assert_eq!(outcome.exit_code, 0, "{}", text(&outcome.stderr));
    let mut files = kept.files();
    files.sort();
    let file = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
    assert_eq!(files, [file("deep/a", b"old"), file("deep/c", b"new")]);
    let (spec, kept) = with(&["cp", "/in/b", "/given/deep/a"]);
    run(engine, spec).await;
    assert_eq!(kept.files(), [file("deep/a", b"new")]);
    let written = run(engine, with(&["touch", "/in/c"]).0).await.exit_code == 0;
    assert_eq!(written, differs.contains(&Difference::Writable));
    none_left(engine).await;
}

/// A program that runs others starts as root. An engine in memory has nobody to be: there a scripted program is both.
pub async fn a_supervised_run_starts_as_root(engine: &Engine, image: &str) {
    let mut supervised = spec(image, &["id", "-u"]);
    supervised.supervised = true;
    assert_eq!(said(engine, supervised).await, "0\n");
    none_left(engine).await;
}

/// Runs side by side see their own inputs and give their own outputs.
pub async fn runs_do_not_mix(engine: &Engine, image: &str) {
    let one = |n: usize| async move {
        let content = format!("content {n}");
        let mut spec = spec(image, &["cp", "/in/a", "/out/b"]);
        spec.inputs = vec![tree("/in", &[("a", 0o644, content.as_bytes())])];
        let kept = Kept::default();
        spec.outputs = vec![kept.folder("/out")];
        let outcome = run(engine, spec).await;
        assert_eq!(outcome.exit_code, 0, "{}", text(&outcome.stderr));
        assert_eq!(kept.files(), [("b".to_owned(), content.into_bytes())]);
    };
    futures_util::future::join_all((0..8).map(one)).await;
    none_left(engine).await;
}

/// Scratch folders can be written; the root cannot, not even by root.
pub async fn only_scratch_is_writable(engine: &Engine, image: &str, differs: &[Difference]) {
    let with = |user: &str, words: &[&str]| {
        let mut spec = spec(image, words);
        spec.user = user.to_owned();
        spec.scratch = vec![GuestPath::new("/tmp").expect("a path")];
        spec
    };
    assert_eq!(run(engine, with(USER, &["touch", "/tmp/x"])).await.exit_code, 0);
    assert_eq!(run(engine, with(USER, &["ls", "/tmp"])).await.stdout, b"", "scratch begins empty");
    let is_writable = differs.contains(&Difference::Writable);
    for target in ["/x", "/bin/x", "/etc/x"] {
        let written = run(engine, with(USER, &["touch", target])).await.exit_code == 0;
        assert_eq!(written, is_writable, "{target}");
    }
    if is_writable {
        return;
    }
    // Folders that are for everybody elsewhere.
    for target in ["/run/x", "/tmp/x", "/var/tmp/x"] {
        assert_ne!(run(engine, spec(image, &["touch", target])).await.exit_code, 0, "{target}");
    }
    let root = run(engine, with("0:0", &["touch", "/x"])).await;
    assert_ne!(root.exit_code, 0);
    assert!(text(&root.stderr).contains("Read-only"), "{}", text(&root.stderr));
}

/// Loopback is the only interface.
pub async fn there_is_no_network(engine: &Engine, image: &str, differs: &[Difference]) {
    if differs.contains(&Difference::NoSys) {
        let names = said(engine, spec(image, &["cat", "/proc/net/dev"])).await;
        let names: Vec<&str> =
            names.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
        assert_eq!(names, ["lo"]);
        assert_ne!(run(engine, spec(image, &["ls", "/sys/class/net"])).await.exit_code, 0);
        return;
    }
    assert_eq!(said(engine, spec(image, &["ls", "/sys/class/net"])).await, "lo\n");
}

/// A program that takes too long is killed and removed.
pub async fn deadlines_kill(engine: &Engine, image: &str) {
    let mut spec = spec(image, &["sleep", "60"]);
    spec.limits.deadline = Duration::from_secs(1);
    let started = Instant::now();
    match engine.run(spec, |_| ()).await {
        Err(EngineError::Deadline { seconds: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < Duration::from_secs(30));
    none_left(engine).await;
}

/// A program that takes too much memory is killed, and the outcome says why.
pub async fn memory_is_limited(engine: &Engine, image: &str, differs: &[Difference]) {
    let mut spec = spec(image, &["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]);
    spec.limits.memory_bytes = 32 << 20;
    let outcome = run(engine, spec).await;
    let expected = match differs.contains(&Difference::NoMemoryLimit) {
        true => (0, false),
        false => (137, !differs.contains(&Difference::UntoldMemory)),
    };
    assert_eq!((outcome.exit_code, outcome.oom_killed), expected);
}

/// A program that wants more processes than it may have gets no more. An engine in memory has none.
pub async fn processes_are_limited(engine: &Engine, image: &str, differs: &[Difference]) {
    let more = "i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done; wait; echo all";
    let said = said(engine, spec(image, &["sh", "-c", more])).await;
    assert_eq!(said == "all\n", differs.contains(&Difference::NoProcessLimit), "{said}");
    none_left(engine).await;
}

/// Of a program that reports it is not believed that it wrote nothing, unless it does so again.
pub async fn silence_is_no_report(engine: &Engine, image: &str) {
    assert_eq!(said(engine, spec(image, &["true"])).await, "");
    let mut silent = spec(image, &["true"]);
    silent.reports = true;
    // Silent each time, it is believed.
    let outcome = engine.run(silent, |_| ()).await.expect("it runs");
    assert_eq!((outcome.exit_code, outcome.stdout.len()), (0, 0));
    let mut silent = spec(image, &["true"]);
    silent.reports = true;
    silent.outputs = vec![Kept::default().folder("/out")];
    match engine.run(silent, |_| ()).await {
        Err(EngineError::Broken { action, .. }) => assert!(action.contains("reports"), "{action}"),
        other => panic!("{other:?}"),
    }
    none_left(engine).await;
}

/// A program that writes too much is stopped.
pub async fn output_is_limited(engine: &Engine, image: &str, differs: &[Difference]) {
    let last = if differs.contains(&Difference::LateOutput) { "1000000" } else { "100000000" };
    let mut spec = spec(image, &["seq", last]);
    spec.limits.output_bytes = 100_000;
    match engine.run(spec, |_| ()).await {
        Err(EngineError::OutputTooLarge { limit: 100_000, .. }) => {}
        other => panic!("{other:?}"),
    }
    none_left(engine).await;
}

/// A program may leave so many files, folders and links and no more, and what takes them may refuse.
pub async fn collected_files_are_limited(engine: &Engine, image: &str) {
    let with = |files: u64, folder: OutputFolder| {
        let mut spec = spec(image, &["cp", "/in/a", "/out/b"]);
        spec.inputs = vec![tree("/in", &[("a", 0o644, b"content")])];
        spec.outputs = vec![folder];
        // The folder itself is the first.
        spec.limits.output_files = files;
        engine.run(spec, |_| ())
    };
    assert!(with(2, Kept::default().folder("/out")).await.is_ok());
    match with(1, Kept::default().folder("/out")).await {
        Err(EngineError::TooManyFiles { limit: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
    let full = OutputFolder::new(GuestPath::new("/out").expect("a path"), Full);
    match with(2, full).await {
        Err(EngineError::Broken { why, .. }) if why == "enough" => {}
        other => panic!("{other:?}"),
    }
    none_left(engine).await;
}

/// Dropping the future at any moment leaves no container.
pub async fn dropping_a_run_removes_it(engine: &Engine, image: &str) {
    for delay in [0, 5, 20, 60, 120, 200, 300, 450, 700] {
        let mut spec = spec(image, &["sleep", "60"]);
        spec.inputs = vec![tree("/in", &[("a", 0o644, b"a")])];
        spec.outputs = vec![Kept::default().folder("/out")];
        let run = engine.run(spec, |_| ());
        let dropped = tokio::time::timeout(Duration::from_millis(delay), run).await;
        assert!(dropped.is_err(), "it was to sleep longer than {delay} ms");
    }
    eventually(engine, |left| left == 0).await;
}

/// A container whose process is gone is removed by another session, and one whose process lives is not.
pub async fn leftovers_are_swept(engine: &Engine, image: &str) {
    let here = session_of(engine);
    let dead = Session { id: format!("{}-dead", here.id), started: Some(1), ..here.clone() };
    let far = Session { id: format!("{}-far", here.id), host: format!("{}-far", here.host), ..dead.clone() };
    let (left_by_dead, left_by_far) = (engine.with_session(dead), engine.with_session(far));
    let hold = |engine: Engine| {
        let spec = spec(image, &["sleep", "60"]);
        tokio::spawn(async move { engine.run(spec, |_| ()).await })
    };
    let (foreign, own) = (hold(left_by_far.clone()), hold(engine.clone()));
    eventually(engine, |there| there == 2).await;
    // Whatever begins beside this sweeps, too, and may have been there before.
    let mut swept = 0;
    for _ in 0..10 {
        let abandoned = hold(left_by_dead.clone());
        eventually(engine, |there| there == 3 || abandoned.is_finished()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(ours(engine).await.iter().all(|container| container.name == "contract"));
        swept += engine.sweep().await.expect("an answer");
        let left: Vec<Session> = ours(engine).await.into_iter().map(|container| container.session).collect();
        assert_eq!(left.len(), 2);
        assert!(left.iter().all(|session| !session.id.ends_with("-dead")), "{left:?}");
        match abandoned.await.expect("no panic") {
            Err(EngineError::Broken { .. }) => {}
            other => panic!("{other:?}"),
        }
        if swept > 0 {
            break;
        }
    }
    assert!(swept > 0, "it sweeps nothing itself");
    own.abort();
    foreign.abort();
    eventually(engine, |left| left == 0).await;
}

/// Loading twice gives one image that is described alike; removing it makes it unknown.
pub async fn images_load_twice_alike(engine: &Engine) {
    let name = "localhost/kiln-contract/loaded:1";
    let archive = image_archive(&[("hello", 0o644, b"hello")], &["A=1"], name);
    let mut seen = Vec::new();
    for _ in 0..2 {
        engine.load(Cursor::new(archive.clone())).await.expect("a good archive");
        seen.push(engine.image(name).await.expect("an answer").expect("just loaded"));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].diff_ids, [Digest::of(&tar_of(&[("hello", 0o644, b"hello")]))]);
    assert_eq!(seen[0].config_env, ["A=1"]);
    assert_eq!(engine.image(&seen[0].id).await.expect("an answer").expect("known by id").id, seen[0].id);
    let named = engine.images(name).await.expect("an answer");
    assert!(named.iter().any(|image| image.reference.starts_with(name) && image.size > 0), "{named:?}");
    assert!(engine.images("localhost/kiln-has-none-of-this/").await.expect("an answer").is_empty());
    assert!(engine.remove_image(name).await.expect("an answer"));
    assert!(!engine.remove_image(name).await.expect("an answer"));
    assert_eq!(engine.image(name).await.expect("an answer"), None);
    match engine.load(Cursor::new(vec![7; 4096])).await {
        Err(EngineError::LoadFailed { .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// A missing image and an unpinned pull are refused by name.
pub async fn missing_things_are_named(engine: &Engine, image: &str) {
    let missing = spec("localhost/kiln-contract/no-such-image:1", &["true"]);
    match engine.run(missing, |_| ()).await {
        Err(EngineError::ImageMissing { reference }) => {
            assert_eq!(reference, "localhost/kiln-contract/no-such-image:1")
        }
        other => panic!("{other:?}"),
    }
    match engine.pull("127.0.0.1:9/kiln-contract:1", None, |_| ()).await {
        Err(EngineError::InvalidReference { .. }) => {}
        other => panic!("{other:?}"),
    }
    let pinned = format!("127.0.0.1:9/kiln-contract@{}", Digest::of(b"nothing"));
    match engine.pull(&pinned, None, |_| ()).await {
        Err(EngineError::PullFailed { reference, .. }) => assert_eq!(reference, pinned),
        other => panic!("{other:?}"),
    }
    let mut overlapping = spec(image, &["true"]);
    overlapping.scratch = ["/a", "/a/b"].map(|path| GuestPath::new(path).expect("a path")).to_vec();
    match engine.run(overlapping, |_| ()).await {
        Err(EngineError::InvalidRun { .. }) => {}
        other => panic!("{other:?}"),
    }
    none_left(engine).await;
}

/// Shutting down removes what runs, at whatever stage it is, and refuses new runs.
pub async fn shutdown_removes_and_refuses(engine: &Engine, image: &str) {
    for delay in [0, 50, 150, 800] {
        let here = session_of(engine);
        let other = engine.with_session(Session { id: format!("{}-s{delay}", here.id), ..here });
        let running = tokio::spawn({
            let (other, mut spec) = (other.clone(), spec(image, &["sleep", "60"]));
            spec.inputs = vec![tree("/in", &[("a", 0o644, b"a")])];
            async move { other.run(spec, |_| ()).await }
        });
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let removed = other.shutdown().await;
        assert!(removed <= 1, "{removed}");
        match running.await.expect("no panic") {
            Err(EngineError::Stopped) => {}
            other => panic!("after {delay} ms: {other:?}"),
        }
        match other.run(spec(image, &["true"]), |_| ()).await {
            Err(EngineError::Stopped) => {}
            other => panic!("{other:?}"),
        }
        eventually(engine, |left| left == 0).await;
    }
}

/// What a program writes that writes something.
async fn said(engine: &Engine, mut spec: RunSpec) -> String {
    spec.reports = true;
    text(&run(engine, spec).await.stdout)
}

fn run<'a>(engine: &'a Engine, spec: RunSpec) -> impl Future<Output = RunOutcome> + 'a {
    let words = spec.argv.join(" ");
    async move { engine.run(spec, |_| ()).await.unwrap_or_else(|error| panic!("{words}: {error}")) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn session_of(engine: &Engine) -> Session {
    engine.session().clone()
}

/// Containers of this suite: the engine may have others.
async fn ours(engine: &Engine) -> Vec<ContainerInfo> {
    let here = session_of(engine);
    let all = engine.containers().await.expect("an answer");
    all.into_iter().filter(|container| container.session.id.starts_with(&here.id)).collect()
}

async fn none_left(engine: &Engine) {
    assert_eq!(ours(engine).await, [], "containers are left");
}

async fn eventually(engine: &Engine, condition: impl Fn(usize) -> bool) {
    let mut there = 0;
    for _ in 0..200 {
        there = ours(engine).await.len();
        if condition(there) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{there} containers are there");
}
