//! Each kind of artifact is built again: from its record, from provenance alone, under other surroundings, and held against a file.

use crate::harness::{Outcome, Sandbox};
use kiln_record::exit;
use serde_json::Value;

const PYTHON: &str = "/usr/bin/python3.13";
const LAYER: &str = "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \
                     \"x86_64\"\n\n[source]\npath = \"words/src\"\n";
const CODE: &str = "def handler(event, context):\n    return None\n";

/// A step that writes what it was given in capitals.
fn step() -> String {
    let program = "open('/out/upper', 'w').write(open('/src/in').read().upper())";
    format!(
        "\n[[step]]\nname = \"upper\"\nargv = [\"{PYTHON}\", \"-c\", \"{program}\"]\nreproducible = \"assume\"\ninputs = [{{ path = \
         \"data\", at = \"/src\" }}]\noutputs = [{{ path = \"/out/upper\", into = \".\" }}]\n"
    )
}

/// An image of one file on a base, and more lines for its manifest. Nothing of it has to run in time, however loaded a machine is.
pub(crate) fn image(sandbox: &Sandbox, name: &str, more: &str) {
    let manifest = format!(
        "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \"{name}\"\ninclude = \
         [\"*.py\"]\n\n[image]\nentrypoint = [\"{PYTHON}\", \"-m\", \"web\"]\n{more}"
    );
    sandbox.write(&format!("manifests/{name}.toml"), manifest);
    sandbox.write(&format!("manifests/{name}/web.py"), "if __name__ == '__main__':\n    print('here')\n");
}

/// Builds all that is in a workspace, and gives the commit that it was made of.
fn built(sandbox: &Sandbox) -> String {
    sandbox.write("manifests/data/in", "words\n");
    let commit = sandbox.commit("first");
    sandbox.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::SUCCESS);
    commit
}

fn level(outcome: &Outcome) -> (String, Value) {
    let document = outcome.json();
    (document["level"].as_str().unwrap().to_owned(), document)
}

/// In an empty folder, from the record alone and from provenance alone, with a commit as their source.
#[track_caller]
fn is_made_again(sandbox: &Sandbox, commit: &str, name: &str) {
    let source = format!("git:{}@{commit}", sandbox.root().display());
    for document in ["record.json", &format!("{name}.intoto.jsonl")] {
        let elsewhere = Sandbox::bare();
        fs_err::remove_file(elsewhere.path("kiln.toml")).unwrap();
        elsewhere.write(document, sandbox.read(&format!("dist/{name}/{document}")));
        let words = ["rebuild", document, "--source", &source, "--format", "json"];
        let outcome = elsewhere.kiln().run(words).ends_with(exit::SUCCESS);
        let (found, document) = level(&outcome);
        assert_eq!(found, "E0", "{document:#}");
        assert_eq!(document["differences"], serde_json::json!([]));
    }
}

/// What varying tells of a build whose source is the workspace.
#[track_caller]
fn varied(sandbox: &Sandbox, name: &str) -> Value {
    let words = ["rebuild", name, "--vary", "--format", "json"];
    let (found, document) = level(&sandbox.kiln().run(words).ends_with(exit::SUCCESS));
    assert_eq!(found, "E0", "{document:#}");
    assert_eq!(document["varied"]["depends_on"], serde_json::json!([]), "{document:#}");
    document["varied"].clone()
}

fn not_varied(varied: &Value) -> Vec<String> {
    let all = varied["not_varied"].as_array().unwrap().iter();
    all.map(|one| format!("{}: {}", one["what"].as_str().unwrap(), one["why"].as_str().unwrap())).collect()
}

#[test]
fn a_layer_with_a_step_and_a_function_on_it() {
    let sandbox = Sandbox::new();
    sandbox.write("manifests/words.toml", format!("{LAYER}{}", step()));
    sandbox.write("manifests/words/src/words.py", "WORD = 'hello'\n");
    sandbox.function("app", "3.13", CODE, "");
    sandbox.replace("manifests/app.toml", "handler = ", "layers = [\"words\"]\nhandler = ");
    let commit = built(&sandbox);
    is_made_again(&sandbox, &commit, "words");
    is_made_again(&sandbox, &commit, "app");
    let told = varied(&sandbox, "words");
    assert!(told["varied"].as_array().unwrap().len() >= 9, "{told:#}");
    let told = varied(&sandbox, "app");
    assert!(not_varied(&told).iter().any(|line| line.contains("the artifact has no steps")), "{told:#}");
}

#[test]
fn an_image_on_a_base() {
    let sandbox = Sandbox::new();
    image(&sandbox, "web", &step());
    for (name, output) in [("layout", "oci-layout"), ("saved", "docker-archive")] {
        image(&sandbox, name, &format!("output = \"{output}\"\n{}", step()));
    }
    image(&sandbox, "other", &format!("user = \"1000:1000\"\n{}", step()));
    let commit = built(&sandbox);
    for name in ["web", "layout", "saved"] {
        is_made_again(&sandbox, &commit, name);
    }
    let told = varied(&sandbox, "web");
    assert!(told["varied"].as_array().unwrap().len() >= 8, "{told:#}");

    // A file or a layout is judged by its own bytes.
    let judged = |file: &str| {
        let words = ["rebuild", "web", "--against", file, "--format", "json"];
        let outcome = sandbox.kiln().run(words);
        let (found, document) = level(&outcome);
        (outcome.code.unwrap(), found, document)
    };
    let (code, found, document) = judged("dist/web/web.oci.tar");
    assert_eq!((code, found.as_str()), (0, "E0"), "{document:#}");
    // The same image in another form: for its name alone in the index it is no other one.
    for file in ["dist/layout/oci", "dist/saved/saved.docker.tar"] {
        let (code, found, document) = judged(file);
        assert_eq!((code, found.as_str()), (i32::from(exit::REBUILT_E1), "E1"), "{document:#}");
        let how = document["differences"][0]["how"].as_str().unwrap();
        assert!(how.starts_with("the manifest is the same"), "{document:#}");
    }
    // Another user is another image, though its files are the same.
    let (code, found, document) = judged("dist/other/other.oci.tar");
    assert_eq!((code, found.as_str()), (i32::from(exit::NOT_REPRODUCIBLE), "X"), "{document:#}");
    let differences = document["differences"].as_array().unwrap();
    assert!(differences.iter().any(|one| one["how"].as_str().unwrap().contains("1000")), "{document:#}");
}

#[test]
fn an_image_of_a_dockerfile() {
    let sandbox = Sandbox::new();
    crate::dockerfiles::two_stages(&sandbox);
    let commit = built(&sandbox);
    is_made_again(&sandbox, &commit, "app");
    let told = varied(&sandbox, "app");
    assert!(not_varied(&told).iter().any(|line| line.contains("Dockerfile")), "{told:#}");
}

#[test]
fn an_image_for_several_platforms() {
    let sandbox = crate::platforms::published().copy();
    let commit = sandbox.commit("first");
    is_made_again(&sandbox, &commit, "web.amd64");
    is_made_again(&sandbox, &commit, "web.arm64");
    for named in ["web", "dist/web", "dist/web/platforms.json", "dist/web/web.oci.tar"] {
        let words = ["rebuild", named, "--source", ".", "--format", "json"];
        let (found, document) = level(&sandbox.kiln().run(words).ends_with(exit::SUCCESS));
        assert_eq!(found, "E0", "{document:#}");
    }
}
