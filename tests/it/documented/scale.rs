//! `docs/scale.md`: parts of a workspace that several machines build, and a server that runs what is run.

use crate::harness::page::Walk;
use crate::harness::{Casd, Kiln, Running, Sandbox};
use fs_err as fs;
use kiln_record::exit;
use rustix::process::Signal;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

const PAGE: &str = "docs/scale.md";
const CODE: &str = "def handler(event, context):\n    return None\n";
/// Of eight parts, one is in the third, two are in the fourth, and most have none.
const FUNCTIONS: [&str; 3] = ["app", "basket", "mail"];

fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in FUNCTIONS {
        sandbox.function(name, "3.13", &format!("{CODE}# {name}\n"), "");
    }
    sandbox
}

/// Waits until a server is there, or says what it said instead.
fn wait_for(server: Running, socket: &Path) -> Running {
    let mut server = server;
    let start = Instant::now();
    while !fs::metadata(socket).is_ok_and(|file| file.file_type().is_socket()) {
        let ended = server.ends_within(Duration::from_millis(50));
        if ended || start.elapsed() > Duration::from_secs(60) {
            server.signal(Signal::TERM);
            panic!("it does not listen\n{}", server.wait());
        }
    }
    server
}

#[test]
fn shards_are_gathered_and_programs_run_without_a_container_engine() {
    let whole = workspace();
    whole.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);

    let socket = whole.folder().join("casd.sock");
    let folders: Vec<String> = (3..=8).map(|shard| format!("shard-{shard}")).collect();
    let stands_for =
        [("shard-3 …", folders.join(" ")), ("/run/user/1000/casd.sock", socket.display().to_string())];
    let stands_for = stands_for.each_ref().map(|(word, what)| (*word, what.as_str()));
    let mut walk = Walk::of(PAGE, &stands_for).with_programs_of(&Casd::folder_of_programs());

    let gathered = workspace();
    let command = walk.command();
    let mut built = Vec::new();
    for shard in 1..=8 {
        let part = workspace();
        walk.run(&part.kiln(), &command.replace("3/8", &format!("{shard}/8")));
        let is_there = |name: &&str| part.path(&format!("dist/{name}")).is_dir();
        built.extend(FUNCTIONS.into_iter().filter(is_there).map(|name| (name, shard)));
        // What each job keeps.
        for kept in ["dist", ".kiln/ledger"] {
            let (kept, place) = (part.path(kept), gathered.path(&format!("shard-{shard}/{kept}")));
            if shard == 3 || shard == 4 || kept.ends_with("dist") {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::rename(kept, place).unwrap();
            }
        }
    }
    assert_eq!(built, [("basket", 3), ("app", 4), ("mail", 4)]);
    walk.next(&gathered.kiln())
        .prints(&FUNCTIONS.map(|name| format!("published {name}")).each_ref().map(String::as_str));
    assert!(gathered.dist() == whole.dist(), "it is what one machine makes");

    // The server goes on until it is asked to end.
    let remote = workspace();
    let kiln: Kiln = remote
        .kiln()
        .with_store(&remote.folder().join("store"))
        .with_variable("DOCKER_HOST", "unix:///nowhere.sock");
    let command = format!("exec {}", walk.command());
    let server = wait_for(walk.shell(&kiln, &command).start::<&str>([]), &socket);
    let command = walk.command();
    let outcome = walk.shell(&kiln, &command).run::<&str>([]);
    server.signal(Signal::TERM);
    server.wait();
    outcome.ends_with(exit::SUCCESS).prints(&FUNCTIONS);
    for name in FUNCTIONS {
        let archive = format!("dist/{name}/{name}.zip");
        assert!(remote.read(&archive) == whole.read(&archive), "{name} has the bytes that containers make");
    }
    kiln.run(["show", "app"]).ends_with(exit::SUCCESS).prints(&["confinement   not checked"]);
}
