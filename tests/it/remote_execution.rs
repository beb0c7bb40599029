//! Programs that run on a server of the Remote Execution API: by others, buildbox-casd with bubblewrap, and without any
//! container engine.

use crate::harness::{
    Casd, Kiln, LocalIndex, Sandbox, block_on, busybox, certificate, engine, self_building,
};
use kiln_engine::contract::{self, Difference};
use kiln_engine::{Engine, Session};
use kiln_engine_remote::RemoteEngine;
use kiln_record::exit;
use kiln_remote::{ExecutorSettings, Limits, Login, Notices};
use kiln_store::Ledger;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

const PYTHON: &str = "/usr/bin/python3.13";

/// How a worker in bubblewrap differs from a container.
const DIFFERS: [Difference; 7] = [
    Difference::Writable,
    Difference::NoMemoryLimit,
    Difference::HostName,
    Difference::WorkingFolderVariable,
    Difference::NoSys,
    Difference::LateOutput,
    Difference::NoServices,
];

#[test]
fn casd_passes_the_contract_but_for_what_is_named() {
    let casd = Casd::start_executing();
    let (folder, seen) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = ExecutorSettings {
        address: casd.address().parse().unwrap(),
        login: Login::None,
        limits: Limits::default(),
        properties: BTreeMap::new(),
        queue: Duration::from_secs(60),
        as_user: true,
        folder: folder.path().to_owned(),
    };
    let pid = std::process::id();
    let session = Session {
        id: "contract".to_owned(),
        host: "kiln-tests".to_owned(),
        pid,
        started: Session::start_of(pid),
    };
    let image = busybox();
    block_on(async {
        let mut archive = Vec::new();
        let docker = engine("remote-contract").await;
        let save = docker.export(&image, |chunk| {
            archive.extend_from_slice(chunk);
            Ok(())
        });
        save.await.unwrap();
        let engine = Engine::new(RemoteEngine::connect(&settings, session, Notices::none()).await.unwrap());
        engine.load(Cursor::new(archive)).await.unwrap();
        assert!(
            contract::a_folder_is_seen_like_a_tree_with(&engine, &image, seen.path(), &DIFFERS).await,
            "what is sent by its digest is read where it is"
        );
        contract::suite_with(engine, &image, &DIFFERS).await;
    });
}

fn without_docker(sandbox: &Sandbox, store: &Path, address: &str) -> Kiln {
    sandbox
        .kiln()
        .with_store(store)
        .with_variable("DOCKER_HOST", "unix:///nowhere.sock")
        .with_variable("KILN_EXECUTE", address)
}

/// A step, a wheel built from source, bytecode, imports and an event: everything that runs somewhere.
fn workspace() -> (Sandbox, LocalIndex) {
    let tool = self_building("tool", "1.0", &[], "\"VALUE = 1\\n\"");
    let index = LocalIndex::serve(std::slice::from_ref(&tool));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import tool\n\ndef handler(event, context):\n    return tool.VALUE\n";
    let more = format!(
        "sdists = [\"tool\"]\n\n[package]\nbytecode = \"unchecked-hash\"\n\n[[step]]\nname = \"site\"\n\
         argv = [\"{PYTHON}\", \"-c\", \"open('/out/large', 'wb').write(bytes(range(256)) * 20000)\"]\n\
         outputs = [{{ path = \"/out/large\", into = \"static\" }}]\n\n\
         [[smoke]]\nname = \"one\"\nevent = \"app/event.json\"\nexpect = \"app/answer.json\"\n"
    );
    sandbox
        .function("app", "3.13", code, &tool.requirement(""))
        .append("manifests/app.toml", &more)
        .write("manifests/app/event.json", "{}")
        .write("manifests/app/answer.json", "1");
    (sandbox, index)
}

#[test]
fn an_artifact_is_made_without_a_container_engine_and_is_the_same() {
    let casd = Casd::start_executing();
    let (docker, _index) = workspace();
    let stores = tempfile::tempdir().unwrap();
    let store = |name: &str| stores.path().join(name);
    let remote = docker.copy();
    docker.kiln().with_store(&store("docker")).run(["build", "app"]).ends_with(exit::SUCCESS);
    let kiln = without_docker(&remote, &store("remote"), &casd.address());
    let word = format!("by the word of {}", casd.address());
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS).says(&["app site, again", &word]);
    let archive = |sandbox: &Sandbox| fs_err::read(sandbox.path("dist/app/app.zip")).unwrap();
    assert_eq!(archive(&remote), archive(&docker));

    // What nobody held the programs to is not said to be checked, and whose word it is, is beside the record.
    kiln.run(["show", "app"]).ends_with(exit::SUCCESS).prints(&[
        "confinement   not checked",
        "a limit of memory; a limit of processes; a limit of descriptors",
        "taken on the word of others",
        "the step site",
    ]);
    let shown = docker.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    assert!(!shown.stdout.contains("confinement"), "{shown}");
    let told = Ledger::open(&remote.path(".kiln/ledger")).run_details(&"app".parse().unwrap(), 1);
    let told: Vec<String> = told.unwrap().unwrap().told.into_iter().map(|told| told.what).collect();
    assert_eq!(told, ["the bytecode", "the step site", "the wheel of tool-1.0.tar.gz"]);

    // The word of workers is no result of this machine, and what they did not keep is checked where it can be: with a container
    // engine all of it is made and judged again.
    let own = remote.copy();
    own.kiln()
        .with_store(&store("remote"))
        .run(["build", "app"])
        .ends_with(exit::SUCCESS)
        .says(&["app site, again", "tool-1.0.tar.gz, again"]);
    let shown = own.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    assert!(!shown.stdout.contains("confinement"), "{shown}");
    assert_eq!(archive(&own), archive(&docker));
}

#[test]
fn only_who_is_trusted_is_asked_and_only_who_is_known_is_answered() {
    let casd = Casd::start_executing();
    let (door, trusted) = casd.behind_door(Some("s3cret"));
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    let folder = tempfile::tempdir().unwrap();
    let token = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::write(&path, text).unwrap();
        path
    };
    let (right, wrong) = (token("right", "s3cret\n"), token("wrong", "gu3ssed\n"));
    let kiln = |certificate: &Path| {
        without_docker(&sandbox, &folder.path().join("store"), &door.address())
            .with_variable("SSL_CERT_FILE", &certificate.display().to_string())
    };
    let with =
        |kiln: Kiln, token: &Path| kiln.with_variable("KILN_REMOTE_TOKEN_FILE", &token.display().to_string());
    let refused = |kiln: Kiln, said: &[&str]| {
        let refused = kiln.run(["build", "app"]).ends_with(exit::ENGINE_UNAVAILABLE);
        refused.clone().says(said);
        assert!(!refused.stderr.contains("s3cret") && !refused.stderr.contains("gu3ssed"), "{refused}");
        assert!(sandbox.dist().is_empty(), "{:?}", sandbox.dist());
    };

    // Another vouches for the server than the one who is trusted: no token is sent.
    let (other, _) = certificate(folder.path(), "other");
    refused(with(kiln(&other), &right), &[&door.address(), "invalid peer certificate"]);
    assert_eq!(door.turned_away(), 0, "nothing was asked");

    let who = ["the token is not known", "KILN_REMOTE_TOKEN_FILE"];
    refused(with(kiln(&trusted), &wrong), &who);
    refused(kiln(&trusted), &who);
    assert_eq!(door.turned_away(), 2);

    let built = with(kiln(&trusted), &right).run(["build", "app"]).ends_with(exit::SUCCESS);
    assert!(!built.stderr.contains("s3cret"), "{built}");
    assert_eq!(door.turned_away(), 2, "each call says who asks");
    assert!(sandbox.path("dist/app/app.zip").exists());
}

/// How many processes have this text among their arguments.
fn running(text: &str) -> usize {
    let all = fs_err::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}

#[test]
fn ctrl_c_ends_what_runs_elsewhere() {
    let casd = Casd::start_executing();
    let sandbox = Sandbox::new();
    let mark = format!("step of {}", casd.pid());
    let step = format!(
        "\n[[step]]\nname = \"slow\"\nargv = [\"{PYTHON}\", \"-c\", \"import time; time.sleep(240) # {mark}\"]\n\
         outputs = [{{ path = \"/out/made\", into = \"static\" }}]\n"
    );
    sandbox
        .function("app", "3.13", "def handler(event, context):\n    return None\n", "")
        .append("manifests/app.toml", &step);
    let stores = tempfile::tempdir().unwrap();
    let kiln = without_docker(&sandbox, &stores.path().join("store"), &casd.address());
    let mut run = kiln.start(["build", "app"]);
    let start = Instant::now();
    while running(&mark) == 0 && !run.ends_within(Duration::from_millis(50)) {
        assert!(start.elapsed() < Duration::from_secs(180), "the step never ran");
    }
    let signalled = Instant::now();
    run.signal(Signal::INT);
    let stopped = run.wait().ends_with(exit::INTERRUPTED).says(&["stopped before it was done"]);
    assert!(signalled.elapsed() < Duration::from_secs(120), "it ends long before the step does\n{stopped}");
    // The server was told, and its worker ends the program long before its time.
    while running(&mark) > 0 {
        assert!(signalled.elapsed() < Duration::from_secs(180), "the program goes on\n{stopped}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(sandbox.dist().is_empty(), "{:?}", sandbox.dist());
}

#[test]
fn what_a_machine_loses_under_programs_is_no_word_of_theirs() {
    let casd = Casd::start_executing();
    let sandbox = Sandbox::new();
    // What is imported after the root is gone cannot be, and an output that is written then is nowhere.
    let (mark, late) = (format!("step of {}", casd.pid()), format!("late_{}", casd.pid()));
    let code = format!(
        "import time\ntime.sleep(6)\nimport {late}\n\ndef handler(event, context):\n    return None\n"
    );
    let step = format!(
        "\n[[step]]\nname = \"slow\"\nreproducible = \"assume\"\nargv = [\"{PYTHON}\", \"-c\", \"import time; time.sleep(6); \
         open('/out/made', 'w').write('made') # {mark}\"]\noutputs = [{{ path = \"/out/made\", into = \"static\" }}]\n"
    );
    sandbox
        .function("app", "3.13", &code, "")
        .write(&format!("manifests/app/src/{late}.py"), "VALUE = 1\n")
        .append("manifests/app.toml", &step);
    let docker = sandbox.copy();
    let stores = tempfile::tempdir().unwrap();
    let kiln = without_docker(&sandbox, &stores.path().join("store"), &casd.address());
    let mut run = kiln.start(["build", "app"]);
    for program in [&mark, &late] {
        let start = Instant::now();
        while running(program) == 0 && !run.ends_within(Duration::from_millis(50)) {
            assert!(start.elapsed() < Duration::from_secs(180), "{program} never ran");
        }
        std::thread::sleep(Duration::from_secs(2));
        assert!(casd.loses_roots() > 0, "{program}");
    }
    let built = run.wait().ends_with(exit::SUCCESS);
    let begun_again = built.stderr.matches("it is begun again (1 of ").count();
    assert_eq!(begun_again, 2, "{built}");
    built.says(&["again app step slow", "again app import"]);

    docker.kiln().with_store(&stores.path().join("docker")).run(["build", "app"]).ends_with(exit::SUCCESS);
    let archive = |sandbox: &Sandbox| fs_err::read(sandbox.path("dist/app/app.zip")).unwrap();
    assert_eq!(archive(&sandbox), archive(&docker));
}

#[test]
fn a_server_is_named_as_it_can_be_used() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
    let build = |address: &str| sandbox.kiln().with_variable("KILN_EXECUTE", address).run(["build", "app"]);
    build("https://example.org")
        .ends_with(exit::INPUT_INVALID)
        .says(&["KILN_EXECUTE: `https://example.org` is not the address of a server"]);
    build("unix:/nowhere/casd.sock")
        .ends_with(exit::ENGINE_UNAVAILABLE)
        .says(&["unix:/nowhere/casd.sock", "KILN_EXECUTE"]);
    sandbox.append("kiln.toml", "\n[engine]\nkind = \"remote\"\n");
    sandbox
        .kiln()
        .run(["build", "app"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["no server is named", "execute = "]);
    assert!(sandbox.dist().is_empty(), "{:?}", sandbox.dist());
}
