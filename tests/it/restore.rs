//! An earlier artifact is given back, from wherever it is to be had.

use crate::harness::{Kiln, Registry, Sandbox};
use kiln_record::exit;
use kiln_store::Store;

const CODE: &str = "def handler(event, context):\n    return None\n";

#[test]
fn an_earlier_build_is_given_back_and_says_from_where() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.commit("first");
    let build = || sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    build();
    let first = sandbox.read("dist/app/app.zip");
    let files: Vec<String> = sandbox.dist().into_iter().map(|(name, _)| name).collect();

    // What is published is copied.
    sandbox
        .kiln()
        .run(["restore", "app@1", "--output", "copy"])
        .ends_with(exit::SUCCESS)
        .prints(&["published in"]);
    assert_eq!(sandbox.read("copy/app.zip"), first);
    let taken = sandbox.kiln().run(["restore", "app@1", "--output", "copy"]);
    taken.ends_with(exit::STORE_FAILURE).says(&["copy is there already"]);

    // What is published no more is built again, and only from what it was built from.
    // The store outlives the tests: what a run puts there is of that run.
    sandbox.append("manifests/app/src/app.py", &format!("# changed in {:?}\n", sandbox.root()));
    build();
    assert_ne!(sandbox.read("dist/app/app.zip"), first);
    let restored = sandbox.kiln().run(["restore", "app@1"]).ends_with(exit::SUCCESS);
    restored.prints(&[
        "built again from git:",
        "not from the store: it does not have app.zip",
        "a registry: none was named",
    ]);
    assert_eq!(sandbox.read("restored/app@1/app.zip"), first);
    for name in files.iter().filter_map(|name| name.strip_prefix("app/")) {
        assert!(sandbox.path(&format!("restored/app@1/{name}")).is_file(), "{name}");
    }
    let verified = ["verify", "restored/app@1/app.zip", "restored/app@1/app.cdx.json"];
    sandbox.kiln().run(verified).ends_with(exit::SUCCESS);

    let second = sandbox.read("dist/app/app.zip");
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    sandbox.kiln().run(["push", "app", "--to", &to, "--tag", "v2"]).ends_with(exit::SUCCESS);

    // The second one is of no commit: another build of the commit is not taken for it.
    sandbox.append("manifests/app/src/app.py", "# again\n");
    build();
    let refused = sandbox.kiln().run(["restore", "app@2"]).ends_with(exit::INPUT_INVALID);
    refused.says(&["app@2 cannot be given back", "built again from git:", "its app.zip has digest"]);
    assert!(!sandbox.path("restored/app@2").exists());

    // A registry that has it gives it, and one that has another build does not.
    let reference = format!("{to}/app:v2");
    let of_registry = ["restore", "app@2", "--registry", &reference];
    sandbox
        .kiln()
        .run(of_registry)
        .ends_with(exit::SUCCESS)
        .prints(&["from the registry: ", "not from the store"]);
    assert_eq!(sandbox.read("restored/app@2/app.zip"), second);
    let other = ["restore", "app@1", "--registry", &reference, "--output", "other", "--format", "json"];
    let other = sandbox.kiln().run(other).ends_with(exit::SUCCESS).json();
    assert!(other["from"].as_str().unwrap().starts_with("built again from git:"), "{other:#}");
    assert!(other["tried"][2].as_str().unwrap().contains("it does not have app.zip"), "{other:#}");
    let found = sandbox.kiln().run(["find", "app", "--registry", &reference]).ends_with(exit::SUCCESS);
    found.prints(&["application app", "1 artifact, in 1 build looked at"]);

    // So does the store, if something put it there.
    Store::open(&Kiln::shared_store()).unwrap().put(&second).unwrap();
    let stored = sandbox.kiln().run(["restore", "app@2", "--output", "stored"]).ends_with(exit::SUCCESS);
    stored.prints(&["from the store "]);
    assert_eq!(sandbox.read("stored/app.zip"), second);
}
