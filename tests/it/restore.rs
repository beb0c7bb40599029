//! An earlier artifact is given back, from wherever it is to be had.

use crate::harness::Sandbox;
use kiln_record::exit;

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
    sandbox.append("manifests/app/src/app.py", "# changed\n");
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

    // The second one is of no commit: another build of the commit is not taken for it.
    sandbox.append("manifests/app/src/app.py", "# again\n");
    build();
    let refused = sandbox.kiln().run(["restore", "app@2"]).ends_with(exit::INPUT_INVALID);
    refused.says(&["app@2 cannot be given back", "built again from git:", "its app.zip has digest"]);
    assert!(!sandbox.path("restored/app@2").exists());
}
