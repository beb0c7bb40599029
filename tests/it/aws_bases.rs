//! Bases that kiln makes for runtimes: Debian's, and AWS's own images, which come from a mirror here. The image that stands
//! in for AWS's is laid out as theirs are; none of theirs was tried.

use crate::harness::{
    AWS_PYTHON, Kiln, Registry, Sandbox, busybox, forget, poetry_lock, push_aws_python, python_312,
};
use crate::lacking;
use kiln_record::{Record, exit};
use serde_json::Value;

/// Says where it runs.
const CODE: &str = r#"import ctypes, sqlite3, ssl, sys

assert sys.prefix == "/var/lang" and sys.version_info[:2] == (3, 12), (sys.prefix, sys.version)
assert ctypes.CDLL("libc.so.6") and sqlite3.sqlite_version and ssl.OPENSSL_VERSION

def handler(event, context):
    import os
    return {"prefix": sys.prefix, "folder": os.path.dirname(__file__)}
"#;
const PROJECT: &str = "[tool.poetry]\nname = \"app\"\nversion = \"1\"\ndescription = \"\"\nauthors = []\n\n\
                       [tool.poetry.dependencies]\npython = \"~3.12\"\n";
const SMOKE: &str =
    "\n[[smoke]]\nname = \"it answers\"\nevent = \"app/event.json\"\nexpect = \"app/expected.json\"\n";

/// A binary that brings AWS's images from this registry.
fn mirrored(sandbox: &Sandbox, registry: &Registry) -> Kiln {
    sandbox.kiln().with_variable("KILN_REGISTRY_MIRRORS", &format!("public.ecr.aws={}", registry.address()))
}

fn record(sandbox: &Sandbox, name: &str) -> Record {
    Record::from_json(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap()
}

#[test]
fn a_poetry_project_for_python_3_12_builds_in_two_commands() {
    let Some(python) = lacking::PYTHON_312.unless(python_312()) else { return };
    let registry = Registry::start();
    let pinned = push_aws_python(&registry, &python);
    let sandbox = Sandbox::bare();
    sandbox.poetry_function("app", "3.12", CODE, PROJECT, &poetry_lock(PROJECT, &[]));
    sandbox.append("manifests/app.toml", SMOKE);
    sandbox.write("manifests/app/event.json", "{}");
    sandbox.write("manifests/app/expected.json", r#"{"prefix": "/var/lang", "folder": "/var/task"}"#);
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));

    // What is missing is said with the command that makes it.
    let command = ["lock", "--base", "python-3.12", "--runtime", "python3.12"];
    sandbox
        .kiln()
        .run(["build", "app"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["there is no base `python-3.12`", &format!("kiln {}", command.join(" "))]);
    sandbox
        .kiln()
        .run(["lock", "--base", "python-3.12"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["there is no base `python-3.12`", "kiln lock --base python-3.12 --runtime"]);

    let kiln = mirrored(&sandbox, &registry);
    kiln.run(command).ends_with(exit::SUCCESS).prints(&[
        "images/python-3.12.toml: written",
        "images/python-3.12.lock: written",
        &pinned.to_string()[..19],
    ]);
    let text = |path: &str| String::from_utf8(sandbox.read(path)).unwrap();
    let (definition, lock) = (text("images/python-3.12.toml"), text("images/python-3.12.lock"));
    assert!(definition.contains("reference = \"public.ecr.aws/lambda/python:3.12\""), "{definition}");
    assert!(!definition.contains("127.0.0.1") && !lock.contains("127.0.0.1"), "{definition}{lock}");
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);

    // An image on it: its own client answers, its packages are known, and no file says where it came from.
    let image = "kind = \"lambda-image\"\nbase = \"python-3.12\"\nhandler = \"app.handler\"\n\n[target]\narchitecture = \
                 \"x86_64\"\n\n[source]\npath = \"app/src\"\n";
    sandbox.write("manifests/served.toml", format!("{image}{SMOKE}"));
    kiln.run(["build", "served"]).ends_with(exit::SUCCESS);
    let record = record(&sandbox, "served");
    let base = &record.image.as_ref().unwrap().base;
    assert_eq!((base.reference.as_str(), base.manifest), ("public.ecr.aws/lambda/python:3.12", pinned));
    let openssl =
        record.components.iter().find(|component| component.id.as_str() == "rpm/openssl-libs").unwrap();
    assert_eq!(openssl.version.as_deref(), Some("1:3.0.8-1.amzn2023.0.12"));
    assert_eq!(openssl.metadata.license_expression.as_deref(), Some("Apache-2.0"));
    let bom = text("dist/served/served.cdx.json");
    assert!(
        bom.contains("pkg:rpm/amzn/openssl-libs@3.0.8-1.amzn2023.0.12?arch=noarch&distro=amzn-2023&epoch=1"),
        "{bom}"
    );
    for (name, content) in sandbox.dist() {
        let place = registry.address().to_string();
        assert!(
            !content.windows(place.len()).any(|window| window == place.as_bytes()),
            "{name} names the mirror"
        );
    }

    // The lock is for the definition, wherever the bytes come from: another mirror moves nothing.
    sandbox.write("kiln.toml", format!(
        "format = \"1\"\n[[registry]]\nprefix = \"public.ecr.aws/lambda\"\nmirror = \"http://{}/lambda\"\n",
        registry.address()
    ));
    sandbox.kiln().run(["lock", "--base", "python-3.12"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]);
    sandbox.replace(
        "images/python-3.12.toml",
        "[registry]\n",
        &format!("[registry]\nmirror = \"{}\"\n", registry.address()),
    );
    sandbox.write("kiln.toml", "format = \"1\"\n");
    sandbox.kiln().run(["lock", "--base", "python-3.12"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]);

    // It is for one platform, and is pinned for no other.
    kiln.run(["lock", "--base", "arm", "--runtime", "python3.12", "--platform", "linux/arm64"])
        .ends_with(exit::INPUT_INVALID)
        .says(&[
            "public.ecr.aws/lambda/python:3.12 is for linux/amd64",
            "images/arm.toml asks for linux/arm64",
        ]);
    assert!(!sandbox.path("images/arm.toml").exists() && !sandbox.path("images/arm.lock").exists());
    forget(&format!("{}/{AWS_PYTHON}@{pinned}", registry.address()));
}

#[test]
fn an_index_is_pinned_by_its_manifest_and_never_believed() {
    let registry = Registry::start();
    let manifest = registry.push("kiln/two", "amd64", &busybox(), "two");
    let entry = |architecture: &str| {
        serde_json::json!({
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "digest": manifest.to_string(),
            "size": registry.manifest_size("kiln/two", &manifest),
            "platform": {"os": "linux", "architecture": architecture},
        })
    };
    // The manifest for amd64 is said to be for arm64, too.
    let index: Value = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [entry("amd64"), entry("arm64")],
    });
    let index = registry.put_manifest(
        "kiln/two",
        "both",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        index.to_string().as_bytes(),
    );
    let sandbox = Sandbox::bare();
    let definition = |platforms: &str| {
        format!(
            "kind = \"registry\"\nplatforms = [{platforms}]\n\n[registry]\nreference = \"{}/kiln/two:both\"\n",
            registry.address()
        )
    };
    sandbox.write("images/two.toml", definition("\"linux/amd64\""));
    sandbox
        .kiln()
        .run(["lock", "--base", "two"])
        .ends_with(exit::SUCCESS)
        .prints(&[&manifest.to_string()[..19]]);
    let lock: toml::Table = String::from_utf8(sandbox.read("images/two.lock")).unwrap().parse().unwrap();
    let facts = &lock["platform"]["linux/amd64"];
    assert_eq!(facts["manifest"].as_str(), Some(manifest.to_string().as_str()));
    assert_eq!(facts["index"].as_str(), Some(index.to_string().as_str()));

    let before = sandbox.read("images/two.lock");
    sandbox.write("images/two.toml", definition("\"linux/amd64\", \"linux/arm64\""));
    sandbox.kiln().run(["lock", "--base", "two"]).ends_with(exit::INPUT_INVALID).says(&[
        "is for linux/amd64",
        "images/two.toml asks for linux/arm64",
        "nothing was pinned",
    ]);
    assert_eq!(sandbox.read("images/two.lock"), before);
}

#[test]
fn a_debian_base_is_made_with_the_keys_that_its_release_is_held_against() {
    let sandbox = Sandbox::bare();
    sandbox.kiln().run(["lock", "--base", "py", "--runtime", "python3.13"]).ends_with(exit::SUCCESS).prints(
        &[
            "images/keys/debian-archive-keyring.gpg: written",
            "images/py.toml: written",
            "images/py.lock: written",
        ],
    );
    sandbox.kiln().run(["lock", "--base", "py"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]);
    sandbox
        .kiln()
        .run(["lock", "--base", "py", "--runtime", "python3.11"])
        .ends_with(exit::SUCCESS)
        .says(&["images/py.toml is there and has Python 3.13, not that of python3.11"]);
    let refused = sandbox.kiln().run(["lock", "--base", "no", "--runtime", "python3.99"]);
    refused
        .ends_with(exit::INPUT_INVALID)
        .says(&["`python3.99` is not a runtime that kiln knows", "python3.12"]);
    assert!(!sandbox.path("images/no.toml").exists());

    // A zip for another runtime is told which bases there are, and then how one is made.
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.replace("manifests/app.toml", "base = \"python-3.13\"", "base = \"py\"");
    sandbox.replace("manifests/app.toml", "runtime = \"python3.13\"", "runtime = \"python3.12\"");
    sandbox.denied().says(&[
        "requires-python-mismatch",
        "name a base with the Python of python3.12; there is none yet, this makes one: kiln lock --base python-3.12 \
         --runtime python3.12",
    ]);
}
