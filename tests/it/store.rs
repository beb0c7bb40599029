//! `kiln store`: how large the store is, what of it is needed, and whether it is intact.

use crate::harness::{Kiln, LocalIndex, Sandbox, WheelFile, wheel};
use kiln_record::{Digest, exit};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CODE: &str = "import greeting\n\ndef handler(event, context):\n    return greeting.hello()\n";

fn greeting(version: &str) -> WheelFile {
    let code = format!("def hello():\n    return 'hello {version}'\n");
    wheel("greeting", version, "py3-none-any", &[], &[("greeting.py", code.as_bytes())])
}

/// A workspace with a store of its own, in which a function was built with each of some wheels, one after the other.
fn built(wheels: &[WheelFile]) -> (Sandbox, Kiln, PathBuf) {
    let index = LocalIndex::serve(wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let store = sandbox.folder().join("store");
    let kiln = sandbox.kiln().with_store(&store);
    for wheel in wheels {
        sandbox.function("app", "3.13", CODE, &wheel.requirement(""));
        kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    }
    (sandbox, kiln, store)
}

fn blob(store: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    store.join("blobs/sha256").join(&hex[..2]).join(&hex[2..])
}

#[test]
fn what_locks_and_the_newest_builds_need_stays_and_a_build_gives_the_same_after() {
    let wheels = [greeting("1.0"), greeting("2.0"), greeting("3.0")];
    let (sandbox, kiln, store) = built(&wheels);
    let [first, second, third] = wheels.each_ref().map(|wheel| blob(&store, &wheel.digest()));
    let stray = kiln_store::Store::open(&store).unwrap().put(b"nobody names this").unwrap();

    let du = kiln.run(["store", "du", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let root = fs_err::canonicalize(sandbox.root()).unwrap().display().to_string();
    assert!(du["workspaces"][&root]["builds"].as_u64() > Some(0), "{du:#}");
    assert!(du["workspaces"][&root]["locks"].as_u64() > Some(0), "{du:#}");
    assert!(du["results"]["wheel"]["files"].as_u64() >= Some(3), "{du:#}");
    assert!(du["unnamed"]["bytes"].as_u64() >= Some(17), "{du:#}");
    kiln.run(["store", "du"]).ends_with(exit::SUCCESS).prints(&[
        "blobs that are named by",
        &root,
        "unpacked trees",
    ]);

    // Two builds are kept, and no result: the clock that tells their age has whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let gc = ["store", "gc", "--builds", "2", "--unused", "0h", "--format", "json"];
    let told = kiln.run(gc.iter().chain(&["--dry-run"])).ends_with(exit::SUCCESS).json();
    assert!(first.is_file() && blob(&store, &stray).is_file(), "nothing was removed");
    let removed = kiln.run(gc).ends_with(exit::SUCCESS).json();
    assert_eq!((&removed["blobs"], &removed["left"]), (&told["blobs"], &told["left"]));
    assert!(!first.exists() && !blob(&store, &stray).exists());
    assert!(second.is_file() && third.is_file());
    assert_eq!(removed["needed"]["files"], 0);

    // Which wheel an index offered was remembered, too, so that it is asked again.
    let index = LocalIndex::serve(&wheels);
    sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    let before = sandbox.read("dist/app/app.zip");
    kiln.run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    assert!(sandbox.read("dist/app/app.zip") == before, "what is made of what is left is the same");
}

#[test]
fn a_limit_is_kept_by_giving_up_what_is_needed_least_first() {
    let wheels = [greeting("1.0"), greeting("2.0")];
    let (_sandbox, kiln, store) = built(&wheels);
    let of_old_build = blob(&store, &wheels[0].digest());
    let locked = blob(&store, &wheels[1].digest());
    let all = kiln.run(["store", "gc", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert!(of_old_build.is_file() && locked.is_file(), "the last three builds are kept");
    let left = all["left"].as_u64().unwrap();
    let unpacked =
        kiln.run(["store", "du", "--format", "json"]).json()["unpacked"]["bytes"].as_u64().unwrap();
    // As much as makes one more blob go than all trees that can be unpacked again.
    let most = format!("{}B", left - unpacked - 1);
    let less =
        kiln.run(["store", "gc", "--max-size", &most, "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!((less["fits"].as_bool(), less["unpacked"]["bytes"].as_u64()), (Some(true), Some(unpacked)));
    assert!(less["needed"]["files"].as_u64() >= Some(1), "{less:#}");
    assert!(less["left"].as_u64().unwrap() < left - unpacked);
    assert!(locked.is_file(), "locks are followed longest");
    let nothing = kiln.run(["store", "gc", "--max-size", "1B"]).ends_with(exit::SUCCESS);
    nothing.prints(&["needed, for want of room"]);
    assert!(!locked.exists());
    kiln.run(["store", "gc", "--unused", "soon"])
        .ends_with(exit::USAGE)
        .says(&["`soon` is not a time such as 30d or 12h"]);
}

#[test]
fn a_running_build_is_waited_for_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let store = sandbox.folder().join("store");
    let kiln = sandbox.kiln().with_store(&store);
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    let program = "import time; time.sleep(6); open('/out/made.txt', 'w').write('x')";
    sandbox.append(
        "manifests/app.toml",
        &format!(
            "\n[[step]]\nname = \"slow\"\nargv = [\"/usr/bin/python3.13\", \"-c\", \"{program}\"]\nreproducible = \
             \"assume\"\noutputs = [{{ path = \"/out\", into = \".\" }}]\n"
        ),
    );
    let mut running = kiln.start(["build", "--all"]);
    running.wait_for_container();
    kiln.clone()
        .with_variable("KILN_LOCK_WAIT", "0")
        .run(["store", "gc", "--builds", "1", "--unused", "0h"])
        .ends_with(exit::STORE_FAILURE)
        .says(&["in-use is held by another kiln", "KILN_LOCK_WAIT says how many seconds to wait for it"]);
    // One that waits begins when the build has ended.
    let waiting = kiln.start(["store", "gc", "--builds", "1", "--unused", "0h"]);
    running.wait().ends_with(exit::SUCCESS);
    waiting.wait().ends_with(exit::SUCCESS);
    kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
}

#[test]
fn damage_is_named_by_what_it_concerns_and_the_next_build_heals_it() {
    let wheels = [greeting("1.0")];
    let (sandbox, kiln, store) = built(&wheels);
    kiln.run(["store", "check"]).ends_with(exit::SUCCESS).prints(&["each what its name says"]);
    let damaged = blob(&store, &wheels[0].digest());
    fs_err::remove_file(&damaged).unwrap();
    fs_err::write(&damaged, b"rot").unwrap();
    let told = kiln.run(["store", "check", "--format", "json"]).ends_with(exit::STORE_FAILURE).json();
    let by = told["damaged"][0]["named_by"].to_string();
    assert!(by.contains("app@1 of ") && by.contains("manifests/app/requirements.txt"), "{told:#}");
    assert!(!damaged.exists());
    kiln.run(["store", "check"]).ends_with(exit::SUCCESS);
    let index = LocalIndex::serve(&wheels);
    sandbox.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    kiln.run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    assert!(damaged.is_file(), "it was brought again");
}

#[test]
fn images_of_bases_that_nothing_needs_are_named() {
    let sandbox = Sandbox::new();
    let kiln = sandbox.kiln().with_store(&sandbox.folder().join("store"));
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    let lock: toml::Table =
        String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap().parse().unwrap();
    let manifest: Digest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
    let image = format!("localhost/kiln/python-3.13:{}", &manifest.hex()[..12]);
    // The engine is everybody's here, so that nothing is removed.
    let gc = ["store", "gc", "--images", "--dry-run", "--format", "json"];
    let swept = |kiln: &Kiln| {
        let told = kiln.run(gc).ends_with(exit::SUCCESS).json();
        told["images"].as_array().unwrap().iter().any(|one| one["reference"] == image.as_str())
    };
    assert!(!swept(&kiln), "a lock names it");
    let other = Sandbox::bare();
    assert!(
        swept(&other.kiln().with_store(&other.folder().join("store"))),
        "no workspace of that store needs it"
    );
    let without = kiln.run(["store", "gc", "--dry-run", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(without["images"], serde_json::Value::Null);
}
