//! Engines that store layers in other ways, and cold stores: neither reaches the bytes.

use crate::container_images::{PYTHON, function, runtime_client, service};
use crate::dockerfiles::two_stages;
use crate::harness::{
    LocalIndex, NEWER, NEWEST, OLDER, OtherEngine, Registry, Sandbox, WheelFile, forget, needs,
};
use crate::lacking;
use crate::packaging::layer;
use fs_err as fs;
use kiln_record::{ImageRecord, Record, exit};
use std::process::Command;

/// What is built: its name, the file or folder that others read, and where its source is.
const BUILT: [(&str, &str, &str); 6] = [
    ("app", "app.oci.tar", "manifests/app"),
    ("function", "function.oci.tar", "manifests/function/src"),
    ("on-pulled", "on-pulled.oci.tar", "manifests/on-pulled"),
    ("layout", "oci", "manifests/layout"),
    ("service", "service.oci.tar", "manifests/service"),
    ("zip", "zip.zip", "manifests/zip/src"),
];

/// Images in two forms, one with a step, one of a Dockerfile and one on a base that the engine pulls, and a function as an
/// image and as a zip.
///
/// No two of them are alike, so that the store, which outlives the tests, remembers nothing of it.
fn workspace(index: &LocalIndex) -> Sandbox {
    let sandbox = Sandbox::new().with_index(index);
    service(&sandbox, "service", &loud_step());
    service(&sandbox, "layout", "output = \"oci-layout\"\n");
    two_stages(&sandbox);
    let lock = runtime_client().requirement("");
    function(&sandbox, "function", "python-3.13", &lock);
    sandbox.function("zip", "3.13", "def handler(event, context):\n    return None\n", &lock);
    for (_, _, source) in BUILT {
        sandbox.write(&format!("{source}/nonce.py"), format!("NONCE = {:?}\n", sandbox.root()));
    }
    sandbox
}

/// A step that leaves a file for an image.
fn loud_step() -> String {
    let program = "open('/out/loud', 'w').write(open('/in/server.py').read().upper())";
    format!(
        "\n[[step]]\nname = \"loud\"\nargv = [\"{PYTHON}\", \"-c\", \"{program}\"]\ninputs = [{{ path = \"service\", at = \
         \"/in\" }}]\noutputs = [{{ path = \"/out/loud\", into = \".\" }}]\n"
    )
}

/// Adds an image on a base in the registry, which is the Debian base and one more layer.
fn with_pulled_base(sandbox: &Sandbox, registry: &Registry) {
    let lock = String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let manifest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap();
    let debian = format!("localhost/kiln/python-3.13:{}", &manifest["sha256:".len()..][..12]);
    // The engine has the Debian base from now on.
    sandbox.kiln().run(["build", "zip"]).ends_with(exit::SUCCESS);
    registry.push("base", "1", &debian, "a layer more");
    let definition = format!(
        "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n\n[registry]\nreference = \"{}/base:1\"\n\n[image]\npython = \
         \"{PYTHON}\"\n",
        registry.address()
    );
    sandbox.write("images/pulled.toml", definition);
    service(sandbox, "on-pulled", "");
    sandbox.replace("manifests/on-pulled.toml", "python-3.13\"\n\n[target]", "pulled\"\n\n[target]");
    sandbox.kiln().run(["lock", "--base", "pulled"]).ends_with(exit::SUCCESS);
}

#[test]
fn engines_storage_drivers_and_cold_stores_do_not_reach_the_bytes() {
    needs(&[("diffoscope", "diffoscope-minimal")]);
    let others = [("vfs", lacking::ENGINE_WITH_VFS), ("overlay2", lacking::ENGINE_WITH_OVERLAY2)];
    let mut engines: Vec<Option<OtherEngine>> = others
        .iter()
        .filter_map(|(driver, lack)| lack.unless(OtherEngine::start(driver)))
        .map(Some)
        .collect();
    if engines.is_empty() {
        // What is left is that a cold store gives the same bytes.
        engines.push(None);
    }
    let index = LocalIndex::serve(&[runtime_client()]);
    let registry = Registry::start();
    let one = workspace(&index);
    with_pulled_base(&one, &registry);
    let unbuilt = one.copy();
    fs::remove_dir_all(unbuilt.path("dist")).unwrap();
    fs::remove_dir_all(unbuilt.path(".kiln")).unwrap();

    // The engine of all tests, with the store that they share.
    one.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let pulled = format!("{}/base@{}", registry.address(), image(&one, "on-pulled").base.manifest);
    forget(&pulled);

    for engine in &engines {
        let other = unbuilt.copy();
        let store = tempfile::tempdir().unwrap();
        let mut kiln = other.kiln().with_store(&store.path().join("store"));
        let mut driver = "the same engine".to_owned();
        if let Some(engine) = engine {
            kiln = kiln.with_variable("DOCKER_HOST", &engine.host());
            // The engine of all tests uses BuildKit.
            if engine.info().storage_driver == "vfs" {
                kiln = kiln.with_variable("DOCKER_BUILDKIT", "0");
            }
            driver = engine.info().storage_driver;
            engine.give(registry.address());
        }
        kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
        assert_same(&one, &other, &format!("{driver}, cold store"));
        if let Some(engine) = engine {
            assert!(engine.has_image(&pulled), "{driver}: what was built was built there");
        }
        kiln.run(["build", "service", "--force"]).ends_with(exit::SUCCESS);
        assert_same(&one, &other, &format!("{driver}, warm store"));
        for (name, file, _) in BUILT {
            assert_eq!(compare(&one, &other, name, file), (Some(0), String::new()), "{name}: {driver}");
        }
    }

    // That it finds nothing means something: one byte of each source is another now.
    let before = one.copy();
    let changed = &BUILT[3..];
    for (_, _, source) in changed {
        one.replace(&format!("{source}/nonce.py"), "NONCE", "NONCF");
    }
    let names = changed.iter().map(|(name, ..)| *name);
    one.kiln().run(std::iter::once("build").chain(names)).ends_with(exit::SUCCESS);
    for (name, file, _) in changed {
        let (code, said) = compare(&before, &one, name, file);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(*name != "zip" || said.contains("nonce.py") && said.contains("+NONCF"), "{said}");
    }
    forget(&pulled);
}

type Start = fn() -> Result<OtherEngine, String>;

/// A zip with a layer, the layer and an image with a step.
fn three_artifacts(index: &LocalIndex, tool: &WheelFile) -> Sandbox {
    let sandbox = Sandbox::new().with_index(index);
    service(&sandbox, "service", &loud_step());
    layer(&sandbox, "tools", &tool.requirement(""), "\n[package]\nbytecode = \"unchecked-hash\"\n");
    sandbox.function("zip", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.replace("manifests/zip.toml", "handler =", "layers = [\"tools\"]\nhandler =");
    for source in ["manifests/service", "manifests/zip/src"] {
        sandbox.write(&format!("{source}/nonce.py"), format!("NONCE = {:?}\n", sandbox.root()));
    }
    sandbox
}

#[test]
fn engines_of_debian_come_to_the_same_bytes_and_say_what_they_do_not_do() {
    let tool = runtime_client();
    let index = LocalIndex::serve(std::slice::from_ref(&tool));
    let one = three_artifacts(&index, &tool);
    let unbuilt = one.copy();
    one.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let with_dockerfile = one.copy();
    two_stages_of(&with_dockerfile, &one);
    with_dockerfile.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let starts: [(&str, Start); 5] = [
        ("a newer Docker", || OtherEngine::start_docker(NEWER, "vfs")),
        ("the newest Docker", || OtherEngine::start_docker(NEWEST, "containerd")),
        ("Docker without root", || OtherEngine::start_rootless_docker(NEWER)),
        ("Podman", || OtherEngine::start_podman(OLDER)),
        ("the newest Podman without root", || OtherEngine::start_rootless_podman(NEWEST)),
    ];
    for (what, start) in starts {
        let engine = start().unwrap_or_else(|error| panic!("{what}: {error}"));
        let other = unbuilt.copy();
        let store = tempfile::tempdir().unwrap();
        let there = || {
            other.kiln().with_store(&store.path().join("store")).with_variable("DOCKER_HOST", &engine.host())
        };
        there().run(["build", "--all"]).ends_with(exit::SUCCESS);
        assert_eq!(image(&one, "service").manifest, image(&other, "service").manifest, "{what}");
        let info = engine.info();
        let mut told = vec![info.version.clone()];
        let unkept: Vec<&str> = info.unkept.iter().map(|unkept| unkept.as_str()).collect();
        match unkept.is_empty() {
            true => assert_same_files(&one, &other, what),
            // What nobody held the programs to is not said to be checked, and that is the only difference.
            false => {
                let missing = format!("none of: {}", unkept.join("; "));
                there().run(["show", "zip"]).prints(&["confinement   not checked", &missing]);
                assert_same_archives(&one, &other, what);
                // An engine that keeps all of it judges anew, and publishes what was judged by one that did.
                let here = other.kiln().with_store(&store.path().join("store"));
                here.run(["build", "zip"]).ends_with(exit::SUCCESS);
                assert_same_files_of(&one, &other, "zip", what);
                told.extend(["limits".to_owned(), missing]);
            }
        }
        two_stages_of(&other, &one);
        let built_by = |buildkit: &str| {
            let kiln = there().with_variable("DOCKER_BUILDKIT", buildkit);
            kiln.run(["build", "app", "--force"])
        };
        match info.version.starts_with("Podman") {
            false => {
                for buildkit in ["1", "0"] {
                    built_by(buildkit).ends_with(exit::SUCCESS);
                    assert_eq!(
                        image(&with_dockerfile, "app").manifest,
                        image(&other, "app").manifest,
                        "{what}"
                    );
                }
            }
            true => {
                built_by("1").ends_with(exit::BUILD_STEP_FAILED).says(&["Buildah", "DOCKER_HOST"]);
                told.push("Buildah".to_owned());
            }
        }
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        there().run(["doctor"]).ends_with(exit::SUCCESS).prints(&told);
    }
}

/// Adds the image of a Dockerfile that no other test has in the engine of all tests at the same time.
fn two_stages_of(sandbox: &Sandbox, one: &Sandbox) {
    two_stages(sandbox);
    sandbox.write("manifests/app/nonce.py", format!("NONCE = {:?}\n", one.root()));
}

fn image(sandbox: &Sandbox, name: &str) -> ImageRecord {
    Record::from_json(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap().image.unwrap()
}

/// Every published file, and every digest of an image in the records.
#[track_caller]
fn assert_same(one: &Sandbox, other: &Sandbox, how: &str) {
    for name in ["app", "function", "layout", "on-pulled", "service"] {
        assert_eq!(image(one, name).manifest, image(other, name).manifest, "{name}: {how}");
    }
    assert_same_files(one, other, how);
}

/// Every published file.
#[track_caller]
fn assert_same_files(one: &Sandbox, other: &Sandbox, how: &str) {
    assert_same_files_of(one, other, "", how);
}

/// Every published file whose path begins so.
#[track_caller]
fn assert_same_files_of(one: &Sandbox, other: &Sandbox, beginning: &str, how: &str) {
    let of = |sandbox: &Sandbox| -> Vec<(String, Vec<u8>)> {
        sandbox.dist().into_iter().filter(|(name, _)| name.starts_with(beginning)).collect()
    };
    let (one, other) = (of(one), of(other));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other), "{how}");
    for ((name, bytes), (_, others)) in one.iter().zip(&other) {
        assert!(bytes == others, "{name}: {how}");
    }
}

/// Every archive.
#[track_caller]
fn assert_same_archives(one: &Sandbox, other: &Sandbox, how: &str) {
    for file in ["service/service.oci.tar", "tools/tools.zip", "zip/zip.zip"] {
        let path = format!("dist/{file}");
        assert!(one.read(&path) == other.read(&path), "{file}: {how}");
    }
}

/// What diffoscope says of one artifact in two workspaces, with its exit code.
fn compare(one: &Sandbox, other: &Sandbox, name: &str, file: &str) -> (Option<i32>, String) {
    let path = format!("dist/{name}/{file}");
    // What a file system says of a folder is not of the build.
    let output = Command::new("diffoscope")
        .args(["--exclude-directory-metadata=recursive"])
        .args([one.path(&path), other.path(&path)])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}
