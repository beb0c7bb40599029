//! `kiln init` of projects with Dockerfiles: a base stands for each image that they start from.

use crate::harness::{Registry, Sandbox, forget};
use crate::init::{project, text};
use fs_err as fs;
use kiln_record::exit;
use serde_json::Value;

/// What a Dockerfile starts from has no registry, as a rule, and everybody knows whose it is.
#[test]
fn a_dockerfile_of_a_usual_name_has_a_base() {
    let sandbox = project(&[
        ("web/Dockerfile", "FROM python:3.13-slim\nCOPY app.py /srv/\nCMD [\"python\", \"/srv/app.py\"]\n"),
        ("web/app.py", "print('here')\n"),
    ]);
    sandbox
        .kiln()
        .run(["init"])
        .ends_with(exit::SUCCESS)
        .says(&["next: kiln lock --all, then kiln build --all"]);
    let base = text(&sandbox, "images/python-3.13-slim.toml");
    assert!(
        base.contains("# It says python:3.13-slim there, for which builders take this one.\n")
            && base.contains("reference = \"docker.io/library/python:3.13-slim\"\n"),
        "{base}"
    );
    let manifest = text(&sandbox, "manifests/web.toml");
    assert!(manifest.contains("bases = { \"python:3.13-slim\" = \"python-3.13-slim\" }"), "{manifest}");
    // It is a workspace that can be read; what it is pinned to, a registry says.
    sandbox.kiln().run(["pins"]).ends_with(exit::SUCCESS).prints(&["docker.io/library/python:3.13-slim"]);
    let bare = project(&[("Dockerfile", "FROM python\n")]);
    bare.kiln()
        .run(["init"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`python` names no tag, so that it cannot be pinned"]);
}

/// What is written for a function that is an image is a manifest that can be read.
#[test]
fn a_function_of_a_dockerfile_has_the_handler_of_its_command() {
    let from = "FROM registry.example.org/lambda/python:3.13\nCOPY app.py /var/task/\n";
    let template = "Resources:\n  billing:\n    Type: AWS::Serverless::Function\n    Properties: {PackageType: Image, ImageConfig: {Command: [bill.run]}}\n    \
                    Metadata: {DockerContext: billing, Dockerfile: Dockerfile}\n";
    let sandbox = project(&[
        ("api/Dockerfile", &format!("{from}CMD [\"app.handler\"]\n")),
        ("api/app.py", "NAME = 1\n"),
        ("billing/Dockerfile", &format!("{from}CMD [\"app.handler\"]\n")),
        ("template.yaml", template),
    ]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS).does_not_say("not told");
    assert!(text(&sandbox, "manifests/api.toml").contains("\nhandler = \"app.handler\""));
    assert!(text(&sandbox, "manifests/billing.toml").contains("\nhandler = \"bill.run\""));
    sandbox.kiln().run(["pins"]).ends_with(exit::SUCCESS);
    let told = project(&[("api/Dockerfile", from)]);
    told.kiln()
        .run(["init"])
        .ends_with(exit::SUCCESS)
        .prints(&["not told: handler: the CMD of api/Dockerfile is no list of one handler"]);
    assert!(text(&told, "manifests/api.toml").contains("\n# handler = \"app.handler\"\n"));
}

/// One name is of one image: neither that of a runtime, nor what is there, nor another image of the same name and tag.
#[test]
fn images_of_one_name_have_bases_of_their_own() {
    let lambda = "registry.example.org/lambda/python:3.13";
    let two = format!(
        "FROM python:3.13 AS Build\nCOPY <<EOF /x\nfrom flask import Flask\nEOF\nFROM {lambda}\nCOPY --from=build /x /x\n"
    );
    let template = "Resources:\n  worker: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.13, Handler: app.handler, CodeUri: worker, Architectures: [x86_64]}}\n";
    let sandbox = project(&[
        ("api/Dockerfile", &two),
        ("other/Dockerfile", &format!("FROM {lambda}\n")),
        ("template.yaml", template),
        ("worker/app.py", "def handler(event: dict[str, int], context: object, /) -> dict:\n    return {}\n"),
        (
            "images/python-3.13-image.toml",
            "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"registry.example.org/own:1\"\n",
        ),
    ]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let base = |name: &str| text(&sandbox, &format!("images/{name}.toml"));
    assert!(base("python-3.13").contains("kind = \"debian\""), "of the function's runtime");
    assert!(base("python-3.13-image").contains("registry.example.org/own:1"), "as it was");
    assert!(base("python-3.13-image-2").contains("docker.io/library/python:3.13"));
    assert!(base("python-3.13-image-3").contains(lambda));
    let manifest = text(&sandbox, "manifests/api.toml");
    assert!(manifest.contains("\"python:3.13\" = \"python-3.13-image-2\""), "{manifest}");
    let named = format!("\"{lambda}\" = \"python-3.13-image-3\"");
    for manifest in [manifest, text(&sandbox, "manifests/other.toml")] {
        assert!(manifest.contains(&named), "{manifest}");
    }
    // What was written is what is planned when it is run again.
    let again = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    again.does_not_say("differs");
    assert!(!sandbox.path("images/python-3.13-image-4.toml").exists());
}

/// The image that a plain name means, from a registry: a mirror here of Docker's own.
#[test]
fn a_dockerfile_of_a_usual_name_in_three_commands() {
    let registry = Registry::start();
    let python = {
        let sandbox = Sandbox::new();
        sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
        sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
        let record: Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
        let mut inputs = record["inputs"].as_array().unwrap().iter();
        let base = inputs.find(|input| input["role"] == "base").unwrap()["digest"].as_str().unwrap();
        format!("localhost/kiln/python-3.13:{}", &base.trim_start_matches("sha256:")[..12])
    };
    let recipe = format!("FROM {python}\nENV OF_BASE=1\n");
    let pinned = registry.push_recipe("library/python", "3.13-slim", &recipe, &[]);
    let sandbox = project(&[
        (
            "web/Dockerfile",
            "FROM python:3.13-slim\nCOPY app.py /srv/\nUSER 1000\nCMD [\"/usr/bin/python3.13\", \"/srv/app.py\"]\n",
        ),
        ("web/app.py", "print('here')\n"),
    ]);
    let kiln =
        sandbox.kiln().with_variable("KILN_REGISTRY_MIRRORS", &format!("docker.io={}", registry.address()));
    kiln.run(["init"]).ends_with(exit::SUCCESS).says(&["next: kiln lock --all, then kiln build --all"]);
    kiln.run(["lock", "--all"])
        .ends_with(exit::SUCCESS)
        .prints(&["images/python-3.13-slim.lock: written", &pinned.to_string()[..19]]);
    kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).published_only(&["web"]);
    let record: Value = serde_json::from_slice(&sandbox.read("dist/web/record.json")).unwrap();
    let base = &record["image"]["base"];
    assert_eq!(base["reference"], "docker.io/library/python:3.13-slim");
    assert_eq!(base["manifest"], pinned.to_string());
    let files = record["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "srv/app.py"), "{files:?}");
    let place = registry.address().to_string();
    for (name, content) in sandbox.dist() {
        let named = content.windows(place.len()).any(|window| window == place.as_bytes());
        assert!(!named, "{name} names the mirror");
    }
    let again = kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    again.published_only(&[]);
    forget(&format!("{place}/library/python@{pinned}"));
}

/// Most projects have their Dockerfile at their root, and copy all of it.
#[test]
fn a_dockerfile_at_the_root_is_built_without_what_is_kilns() {
    let sandbox = project(&[
        (
            "Dockerfile",
            "FROM localhost/kiln/python-3.13\nCOPY . /srv/\nUSER 1000\nCMD [\"/usr/bin/python3.13\", \"/srv/app.py\"]\n",
        ),
        ("app.py", "print('here')\n"),
        (".dockerignore", "tests\n"),
        ("tests/test_app.py", "import pytest\n"),
    ]);
    let images = Sandbox::new();
    for file in ["python-3.13.toml", "python-3.13.lock", "keys/debian-archive-keyring.gpg"] {
        let path = format!("images/{file}");
        sandbox.write(&path, images.read(&path));
    }
    let kiln = sandbox.kiln();
    kiln.run(["init"]).ends_with(exit::SUCCESS);
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    let manifests = fs::read_dir(sandbox.path("manifests")).unwrap();
    let names: Vec<String> =
        manifests.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let [manifest] = &names[..] else { panic!("{names:?}") };
    let name = manifest.strip_suffix(".toml").unwrap();
    let record: Value = serde_json::from_slice(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap();
    let files = record["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
    let files: Vec<&str> = files.filter(|path| path.starts_with("srv/")).collect();
    assert_eq!(files, ["srv/.dockerignore", "srv/.gitignore", "srv/Dockerfile", "srv/app.py"]);
    // Another artifact's manifest changes nothing.
    sandbox.append("kiln.toml", "# looked at\n");
    sandbox.append(&format!("manifests/{manifest}"), "# looked at\n");
    let again = kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    again.published_only(&[]);
}
