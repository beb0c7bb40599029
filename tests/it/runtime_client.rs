//! kiln's loop beside the client that Lambda's own runtimes use: under both, a handler gives the same answers, errors, log lines
//! and exits, whatever its form.
//!
//! `tests/runtime_client` holds the handlers and the program that compares; the client is locked in `tests/conformance`.

use crate::harness::{Sandbox, limits, locked, ran_in_engine, repository};
use crate::pip_oracle::kilns;
use kiln_engine::{GuestPath, InputTree, Limits, RunSpec};
use kiln_pack::TarWriter;
use kiln_python::{RUNTIME_API, function_script};
use kiln_record::{InputRole, Mode, TreePath, exit};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

/// The client and what it requires.
const CLIENT: [&str; 3] = ["awslambdaric", "simplejson", "snapshot-restore-py"];

type Files = BTreeMap<String, Vec<u8>>;

/// The files below a folder of the repository.
fn files_of(folder: &Path, below: &str, files: &mut Files) {
    for entry in fs_err::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files_of(folder, &format!("{path}/"), files);
        } else {
            files.insert(path, fs_err::read(entry.path()).unwrap());
        }
    }
}

fn tree(path: &str, files: &Files) -> InputTree {
    let mut tar = TarWriter::new(Vec::new(), 0);
    for (path, content) in files {
        tar.add_file(&TreePath::new(path).unwrap(), Mode::Plain, content).unwrap();
    }
    InputTree::new(GuestPath::new(path).unwrap(), Cursor::new(tar.finish().unwrap()))
}

/// The handlers, with those whose names or content no editor should meet.
fn handlers() -> Files {
    let mut files = Files::new();
    files_of(&repository().join("tests/runtime_client/task"), "", &mut files);
    files.retain(|path, _| !path.contains("__pycache__"));
    let handler = b"def handler(event, context):\n    return __name__\n".as_slice();
    for (path, content) in [
        ("größe.py", handler),
        ("with space.py", handler),
        ("load_null.py", b"handler = 1\n\0\n"),
        ("load_not_utf8.py", b"handler = '\xff'\n"),
    ] {
        files.insert(path.to_owned(), content.to_owned());
    }
    files
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was compared is worth a line")]
fn handlers_do_the_same_under_kilns_loop_as_under_the_client_of_lambdas_runtimes() {
    let sandbox = Sandbox::new();
    sandbox.function("client", "3.13", "def handler(event, context):\n    return 1\n", &locked(&CLIENT));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let (record, client) = kilns(&sandbox, "client", "");
    let base = record.inputs.iter().find(|input| input.role == InputRole::Base).unwrap().digest;
    let mut check = Files::new();
    check.insert("server.py".to_owned(), RUNTIME_API.as_bytes().to_vec());
    check.insert("loop.py".to_owned(), function_script().into_bytes());
    let compare = repository().join("tests/runtime_client/compare.py");
    check.insert("compare.py".to_owned(), fs_err::read(compare).unwrap());
    let request = json!({"server": "/check/server.py", "loop": "/check/loop.py", "client": "/client", "task": "/var/task"});
    let argv = [
        "/usr/bin/python3.13",
        "-X",
        "pycache_prefix=/tmp/bytecode",
        "/check/compare.py",
        &request.to_string(),
    ];
    let image = format!("localhost/kiln/python-3.13:{}", &base.hex()[..12]);
    let limits = Limits {
        memory_bytes: 1 << 30,
        pids: 256,
        output_bytes: 16 << 20,
        deadline: Duration::from_secs(900),
        ..limits()
    };
    let spec = RunSpec {
        working_dir: "/var/task".to_owned(),
        inputs: vec![
            tree("/check", &check),
            tree("/client", &client.into_iter().map(|(path, file)| (path, file.content)).collect()),
            tree("/var/task", &handlers()),
        ],
        scratch: vec![GuestPath::new("/tmp").unwrap()],
        shared_memory: false,
        ..RunSpec::new("runtime client", image, argv, limits)
    };
    let outcome = ran_in_engine("runtime-client", spec);
    assert_eq!(outcome.exit_code, 0, "{}", String::from_utf8_lossy(&outcome.stderr));
    let told: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    let differences: Vec<&str> =
        told["differences"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    println!("{} handlers, {} events", told["handlers"], told["events"]);
    assert!(told["handlers"].as_u64().unwrap() >= 80 && told["events"].as_u64().unwrap() >= 400, "{told}");
}
