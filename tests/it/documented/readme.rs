//! `README.md`: the first three commands, in a project that knows nothing of kiln.

use crate::harness::page::Walk;
use crate::init::project;
use serde_json::Value;

#[test]
fn three_commands_make_verified_archives_of_a_project() {
    let sandbox = project(&[
        (
            "serverless.yml",
            "service: shop\nprovider:\n  name: aws\n  runtime: python3.13\nfunctions:\n  orders:\n    handler: orders.handler\n",
        ),
        ("orders.py", "def handler(event, context):\n    return 1\n"),
    ]);
    let kiln = sandbox.kiln();
    let mut walk = Walk::of("README.md", &[]);
    let [init, lock, build] = walk.take(&kiln);
    init.prints(&["kiln.toml: written", "images/python-3.13.toml: written"]);
    lock.prints(&["images/python-3.13.lock: written"]);
    build.prints(&["published"]);
    let index: Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    assert_eq!(index["artifacts"].as_object().unwrap().len(), 1, "{index:#}");
    walk.leave_out("cargo install ", "compiles kiln anew");
    walk.leave_out(
        "cargo run ",
        "the tests of this workspace's own artifacts do, with the program that is there",
    );
    walk.leave_out("cargo test ", "runs this very test");
}
