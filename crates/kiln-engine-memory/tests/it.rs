//! The contract of engines, and how a test writes programs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_engine::contract::{File, Kept, a_folder_is_seen_like_a_tree, image_archive, spec, suite, tar_of};
use kiln_engine::{Engine, GuestPath, InputTree, Line, RunSpec, Session, Stream};
use kiln_engine_memory::{Guest, MemoryEngine};
use std::io::Cursor;
use std::sync::Mutex;

const IMAGE: &str = "kiln-contract/base:1";

fn memory() -> MemoryEngine {
    let pid = std::process::id();
    MemoryEngine::new(Session {
        id: "contract".to_owned(),
        host: "here".to_owned(),
        pid,
        started: Session::start_of(pid),
    })
}

/// The engine with an image of these files.
async fn engine(memory: MemoryEngine, files: &[File<'_>]) -> Engine {
    let engine = Engine::new(memory);
    engine.load(Cursor::new(image_archive(files, &["PATH=/bin", "FROM_IMAGE=1"], IMAGE))).await.unwrap();
    engine
}

#[tokio::test]
async fn it_passes_the_contract() {
    let files: [File<'_>; 3] =
        [("bin/busybox", 0o755, b"stands for busybox"), ("etc/.keep", 0o644, b""), ("tmp/.keep", 0o644, b"")];
    let engine = engine(memory(), &files).await;
    let folder = tempfile::tempdir().unwrap();
    assert!(a_folder_is_seen_like_a_tree(&engine, IMAGE, folder.path()).await);
    suite(engine, IMAGE).await;
}

/// Stands for an interpreter: answers a question about itself, and compiles what it is given.
fn python(guest: &mut Guest) -> i64 {
    let argv = guest.argv().to_vec();
    match argv[1..].iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["-V"] => {
            guest.write_stdout(b"Python 3.13.0\n");
            0
        }
        ["compile", from, to] => {
            let Ok(names) = guest.list(from) else { return 2 };
            guest.make_folders(&format!("{to}/__pycache__")).unwrap();
            for name in names {
                let source = guest.read(&format!("{from}/{name}")).unwrap();
                guest.write(&format!("{to}/__pycache__/{name}c"), &source).unwrap();
                guest.write_stderr(format!("compiled {name}\n").as_bytes());
            }
            i64::from(guest.write(&format!("{from}/more.py"), b"").is_ok())
        }
        _ => 2,
    }
}

fn python_run(words: &[&str]) -> RunSpec {
    let mut spec = spec(IMAGE, &[]);
    spec.argv = std::iter::once("/usr/bin/python3").chain(words.iter().copied()).map(str::to_owned).collect();
    spec
}

#[tokio::test]
async fn a_test_says_what_a_program_prints_exits_with_and_leaves_behind() {
    let engine = engine(memory().with_program("/usr/bin/python3", python), &[]).await;
    let version = engine.run(python_run(&["-V"]), |_| ()).await.unwrap();
    assert_eq!((version.exit_code, version.stdout.as_slice()), (0, b"Python 3.13.0\n".as_slice()));
    assert_eq!(engine.run(python_run(&["-c", "?"]), |_| ()).await.unwrap().exit_code, 2);

    let mut compile = python_run(&["compile", "/in", "/out"]);
    let source = tar_of(&[("a.py", 0o644, b"A = 1\n"), ("b.py", 0o644, b"B = 2\n")]);
    compile.inputs = vec![InputTree::new(GuestPath::new("/in").unwrap(), Cursor::new(source))];
    let kept = Kept::default();
    compile.outputs = vec![kept.folder("/out")];
    let told = Mutex::new(Vec::new());
    let outcome = engine.run(compile, |line: Line| told.lock().unwrap().push(line)).await.unwrap();
    assert_eq!(outcome.exit_code, 0, "an input cannot be written");
    let told: Vec<(Stream, String)> =
        told.into_inner().unwrap().into_iter().map(|line| (line.stream, line.text)).collect();
    let compiled = |name: &str| (Stream::Stderr, format!("compiled {name}"));
    assert_eq!(told, [compiled("a.py"), compiled("b.py")]);
    let file = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
    assert_eq!(kept.files(), [file("__pycache__/a.pyc", b"A = 1\n"), file("__pycache__/b.pyc", b"B = 2\n")]);
}

/// A program is known in every image, and no other is: what a test has not written cannot run by accident.
#[tokio::test]
async fn a_program_that_nobody_wrote_is_not_found() {
    let engine = engine(memory().with_program("/usr/bin/python3", python), &[]).await;
    let mut other = python_run(&[]);
    other.argv = vec!["/usr/bin/python3.13".to_owned()];
    assert_eq!(engine.run(other, |_| ()).await.unwrap().exit_code, 127);
}

#[tokio::test]
async fn folders_are_made_only_where_the_user_may_write() {
    let made = |path: &'static str| {
        let program = move |guest: &mut Guest| i64::from(guest.make_folders(path).is_err());
        async move {
            let engine = engine(memory().with_program("/make", program), &[("etc/x", 0o644, b"")]).await;
            let mut run = spec(IMAGE, &[]);
            run.argv = vec!["/make".to_owned()];
            run.scratch = vec![GuestPath::new("/tmp").unwrap()];
            engine.run(run, |_| ()).await.unwrap().exit_code == 0
        }
    };
    assert!(made("/tmp/a/b").await);
    assert!(made("/etc").await, "it is there");
    assert!(!made("/etc/a").await);
    assert!(!made("/etc/x").await);
    assert!(!made("/a").await);
}
