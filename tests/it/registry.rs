//! Bases from a registry: pinned by digest, pulled by digest, and nothing else.

use crate::harness::{LyingProxy, Registry, Sandbox, block_on, busybox, engine, forget};
use kiln_record::{Digest, exit};
use std::net::SocketAddr;

const REPOSITORY: &str = "kiln/python";
const CODE: &str = "import sys\n\ndef handler(event, context):\n    return sys.version\n";

/// A workspace with one function on a base from a registry. No two of them have the same code, so that the import check
/// runs in each, and with it the base.
fn workspace(registry: SocketAddr) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
    let manifest = String::from_utf8(sandbox.read("manifests/app.toml")).unwrap();
    sandbox.write("manifests/app.toml", manifest.replace("base = \"python-3.13\"", "base = \"remote\""));
    let definition = format!(
        "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n\n[registry]\nreference = \"{registry}/{REPOSITORY}:3.13\"\n\n\
         [image]\npython = \"/usr/bin/python3.13\"\n"
    );
    sandbox.write("images/remote.toml", definition);
    sandbox
}

/// The Debian base as the engine has it, made by a build on it.
fn python_base() -> String {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let lock: toml::Table =
        String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap().parse().unwrap();
    let manifest: Digest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
    format!("localhost/kiln/python-3.13:{}", &manifest.hex()[..12])
}

/// Which manifest the record names as the base.
fn recorded_base(sandbox: &Sandbox) -> String {
    let record: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    let inputs = record["inputs"].as_array().unwrap();
    let base = inputs.iter().find(|input| input["role"] == "base").unwrap();
    base["digest"].as_str().unwrap().to_owned()
}

fn has_image(reference: &str) -> bool {
    block_on(async { engine("look").await.image(reference).await.unwrap().is_some() })
}

#[test]
fn tag_without_digest() {
    // Nothing listens there: the build must not get as far as asking.
    let sandbox = workspace(SocketAddr::from(([127, 0, 0, 1], 9)));
    sandbox.denied().says(&[
        "base-not-pinned",
        "remote",
        "127.0.0.1:9/kiln/python:3.13",
        "a tag can move",
        "images/remote.toml",
        "kiln lock --base remote",
    ]);
}

#[test]
fn a_base_from_a_registry_is_pinned_and_pulled_by_digest() {
    let python = python_base();
    let mut registry = Registry::start();
    let sandbox = workspace(registry.address());
    let name = format!("{}/{REPOSITORY}", registry.address());

    let first = registry.push(REPOSITORY, "3.13", &python, "first");
    sandbox
        .kiln()
        .run(["lock", "--base", "remote"])
        .ends_with(exit::SUCCESS)
        .prints(&["images/remote.lock", &first.to_string()[..19]]);
    let lock = sandbox.read("images/remote.lock");
    assert!(String::from_utf8_lossy(&lock).contains(&first.to_string()));

    // The tag moves before anything was pulled: the build asks for the digest, so it does not matter.
    let second = registry.push(REPOSITORY, "3.13", &python, "second");
    assert_ne!(first, second);
    let pinned = format!("{name}@{first}");
    assert!(!has_image(&pinned));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert!(has_image(&pinned), "it was pulled");
    assert!(!has_image(&format!("{name}:3.13")), "no tag was pulled");
    assert_eq!(recorded_base(&sandbox), first.to_string());
    assert_eq!(sandbox.read("images/remote.lock"), lock, "a build does not move pins");

    sandbox
        .kiln()
        .run(["lock", "--base", "remote"])
        .ends_with(exit::SUCCESS)
        .prints(&["written", &format!("{}… → {}…", &first.to_string()[..19], &second.to_string()[..19])]);
    sandbox.kiln().run(["lock", "--base", "remote"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(recorded_base(&sandbox), second.to_string());

    // A tag that is not there, and a registry that is not there.
    let definition = String::from_utf8(sandbox.read("images/remote.toml")).unwrap();
    sandbox.write("images/remote.toml", definition.replace(":3.13", ":3.14"));
    sandbox.kiln().run(["lock", "--base", "remote"]).ends_with(exit::FETCH_FAILED).says(&[
        "base `remote`",
        &format!("{name}:3.14"),
        "check the name and the tag",
    ]);
    sandbox.write("images/remote.toml", &definition);

    // What the engine has is used without asking the registry; what it does not have cannot be had any more.
    let published = sandbox.dist();
    registry.stop();
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}, 2\n", sandbox.root()));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    forget(&pinned);
    forget(&format!("{name}@{second}"));
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}, 3\n", sandbox.root()));
    let before = sandbox.dist();
    assert_ne!(before, published);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FETCH_FAILED).says(&[
        "base `remote`",
        &registry.address().to_string(),
        "connection refused",
        "the registry cannot be reached from the engine",
    ]);
    assert_eq!(sandbox.dist(), before, "what was published before is intact");
    sandbox.kiln().run(["lock", "--base", "remote"]).ends_with(exit::FETCH_FAILED).says(&[
        "base `remote`",
        &registry.address().to_string(),
        "connection refused",
        "the registry cannot be reached from the engine",
    ]);
}

#[test]
fn registry_serves_other_bytes() {
    let busybox = busybox();
    let registry = Registry::start();
    let proxy = LyingProxy::before(&registry);
    let good = registry.push(REPOSITORY, "3.13", &busybox, "good");
    let evil = registry.push(REPOSITORY, "evil", &busybox, "evil");
    let sandbox = workspace(proxy.address());
    sandbox
        .kiln()
        .run(["lock", "--base", "remote"])
        .ends_with(exit::SUCCESS)
        .prints(&[&good.to_string()[..19]]);
    let reference = format!("{}/{REPOSITORY}@{good}", proxy.address());

    let blob = |digest: &Digest, part: &str| {
        let manifest = registry.manifest(REPOSITORY, digest);
        let digest = manifest.pointer(part).unwrap()["digest"].as_str().unwrap().to_owned();
        format!("/v2/{REPOSITORY}/blobs/{digest}")
    };
    let manifest = |digest: &Digest| format!("/v2/{REPOSITORY}/manifests/{digest}");
    let lies = [
        (manifest(&good), manifest(&evil)),
        (blob(&good, "/config"), blob(&evil, "/config")),
        (blob(&good, "/layers/1"), blob(&evil, "/layers/1")),
    ];
    for (asked, answered) in &lies {
        proxy.lie(asked, answered);
        sandbox.kiln().run(["build", "app"]).ends_with(exit::FETCH_FAILED).says(&[
            "base `remote`",
            &reference,
            "verification failed",
            "other bytes than the digest names",
        ]);
        sandbox.assert_nothing_published();
        assert!(!has_image(&reference), "nothing is kept of {asked}");
    }
}
