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

/// The files of a folder, each with its content.
fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(below) = pending.pop() {
        for entry in fs_err::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => pending.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    files.push((name, fs_err::read(&path).unwrap()));
                }
            }
        }
    }
    files.sort();
    files
}

#[test]
fn each_kind_is_given_back_from_a_registry_and_by_rebuilding() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.write(
        "manifests/words.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \"x86_64\"\n\n[source]\npath = \
         \"words\"\n",
    );
    sandbox.write("manifests/words/words.py", "WORD = 1\n");
    crate::rebuild_kinds::image(&sandbox, "tar", "");
    crate::rebuild_kinds::image(&sandbox, "layout", "output = \"oci-layout\"\n");
    crate::rebuild_kinds::image(&sandbox, "saved", "output = \"docker-archive\"\n");
    sandbox.commit("first");
    sandbox.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::SUCCESS);
    let names = ["app", "words", "tar", "layout", "saved"];
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let published: Vec<_> = names.iter().map(|name| files(&sandbox.path(&format!("dist/{name}")))).collect();
    for name in names {
        sandbox.kiln().run(["push", name, "--to", &to, "--tag", "v1"]).ends_with(exit::SUCCESS);
    }
    fs_err::remove_dir_all(sandbox.path("dist")).unwrap();
    for (name, published) in names.iter().zip(&published) {
        let (build, reference) = (format!("{name}@1"), format!("{to}/{name}:v1"));
        let of_registry =
            ["restore", &build, "--registry", &reference, "--output", &format!("{name}-pulled")];
        sandbox.kiln().run(of_registry).ends_with(exit::SUCCESS).prints(&["from the registry: "]);
        assert!(files(&sandbox.path(&format!("{name}-pulled"))) == *published, "{name}");
        let again = ["restore", &build, "--output", &format!("{name}-again")];
        sandbox.kiln().run(again).ends_with(exit::SUCCESS).prints(&["built again from git:"]);
        assert!(files(&sandbox.path(&format!("{name}-again"))) == *published, "{name}");
        // A pull gives the form that was published, and its documents.
        let pulled = sandbox.path(&format!("{name}-plain"));
        sandbox.kiln().run(["pull", &reference, "--into", pulled.to_str().unwrap()]).ends_with(exit::SUCCESS);
        let pulled = files(&pulled);
        for file in published.iter().filter(|(file, _)| file != "SHA256SUMS") {
            assert!(pulled.contains(file), "{name}: {}", file.0);
        }
    }
}

#[test]
fn an_image_for_several_platforms_is_given_back() {
    let sandbox = crate::platforms::published().copy();
    let index = sandbox.folder().join("platforms.json");
    fs_err::write(&index, sandbox.read("dist/web/platforms.json")).unwrap();
    let index = index.to_str().unwrap();
    let published = files(&sandbox.path("dist/web"));
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    sandbox.kiln().run(["push", "web", "--to", &to, "--tag", "v1"]).ends_with(exit::SUCCESS);
    let given = |words: &[&str], from: &str| {
        let output = format!("given-{}", from.split(' ').next().unwrap());
        let all = [&["restore"], words, &["--output", &output]].concat();
        sandbox.kiln().run(all).ends_with(exit::SUCCESS).prints(&[from]);
        assert!(files(&sandbox.path(&output)) == published, "{from}");
    };
    given(&["web"], "published in ");
    fs_err::remove_dir_all(sandbox.path("dist")).unwrap();
    given(&[index, "--registry", &format!("{to}/web:v1")], "the registry: ");
    given(&[index, "--source", "."], "built again from ");
}
