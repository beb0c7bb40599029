//! `kiln init` in a workspace that it made before: what the project states otherwise since is told, and nothing is changed.

use crate::init::project;
use fs_err as fs;
use kiln_record::exit;
use serde_json::json;

const CODE: &str = "def handler(event, context):\n    return 1\n";

/// A template with one function: its runtime and what else it has.
fn template(runtime: &str, rest: &str) -> String {
    format!(
        "Resources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: {runtime}\n      Handler: app.handler\n      CodeUri: src/fn\n{rest}"
    )
}

#[test]
fn what_a_template_states_otherwise_since_is_told_with_its_line() {
    let environment =
        "      Environment:\n        Variables:\n          LEVEL: info\n          TABLE: !Ref Table\n";
    let sandbox = project(&[
        (
            "template.yaml",
            &format!("{}  Table: {{Type: AWS::DynamoDB::Table}}\n", template("python3.11", environment)),
        ),
        ("src/fn/app.py", CODE),
    ]);
    let kiln = sandbox.kiln();
    kiln.run(["init"]).ends_with(exit::SUCCESS);
    kiln.run(["init"]).ends_with(exit::SUCCESS).does_not_say("differs");
    // What stands for a name that a deployment makes, and what is written otherwise, is no difference.
    sandbox.replace("manifests/fn.toml", "\"TABLE\" = \"Table\"", "\"TABLE\" = \"orders\"");
    sandbox.replace("manifests/fn.toml", "timeout = \"3 s\"", "timeout = \"3s\"");
    kiln.run(["init"]).ends_with(exit::SUCCESS).does_not_say("differs");

    let manifest = sandbox.read("manifests/fn.toml");
    let environment = environment.replace("info", "debug");
    sandbox.write(
        "template.yaml",
        format!(
            "{}      Timeout: 20\n  Table: {{Type: AWS::DynamoDB::Table}}\n",
            template("python3.13", &environment)
        ),
    );
    kiln.run(["init"])
        .ends_with(exit::SUCCESS)
        .prints(&[
            "manifests/fn.toml: there already, left as it is\n  differs: ",
            "differs: target.runtime is \"python3.11\" there, and \"python3.13\" by template.yaml:5\n",
            "differs: check.timeout is \"3s\" there, and \"20 s\" by template.yaml:12\n",
            "differs: check.env.LEVEL is \"info\" there, and \"debug\" by template.yaml:10\n",
        ])
        .says(&["what differs is for you to change in the file"]);
    assert_eq!(sandbox.read("manifests/fn.toml"), manifest, "nothing is changed");
    let document = kiln.run(["init", "--dry-run", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(
        document["differences"][0],
        json!({
            "path": "manifests/fn.toml",
            "key": "target.runtime",
            "there": "\"python3.11\"",
            "project": "\"python3.13\"",
            "stated_by": "template.yaml:5",
        })
    );
}

#[test]
fn what_a_file_of_values_gives_otherwise_since_is_told_with_its_name() {
    let module = "data \"archive_file\" \"fn\" {\n  type = \"zip\"\n  source_dir = \"src/fn\"\n  output_path = \"fn.zip\"\n}\nresource \"aws_lambda_function\" \"fn\" {\n  filename = data.archive_file.fn.output_path\n  handler = \"app.handler\"\n  runtime = \"python3.13\"\n  architectures = [var.arch]\n}\nvariable \"arch\" {}\n";
    let sandbox =
        project(&[("main.tf", module), ("terraform.tfvars", "arch = \"x86_64\"\n"), ("src/fn/app.py", CODE)]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    sandbox.write("terraform.tfvars", "arch = \"arm64\"\n");
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS).prints(&[
        "differs: target.architecture is \"x86_64\" there, and \"arm64\" by main.tf:10, var.arch in terraform.tfvars\n",
    ]);
}

#[test]
fn a_manifest_that_was_renamed_is_known_by_its_code() {
    let layer = "      Layers: [!Ref shared]\n  shared:\n    Type: AWS::Serverless::LayerVersion\n    Properties:\n      ContentUri: layers/shared\n      CompatibleRuntimes: [python3.13]\n";
    let sandbox = project(&[
        ("template.yaml", &template("python3.13", layer)),
        ("src/fn/app.py", CODE),
        ("layers/shared/python/shared.py", "NAME = 1\n"),
    ]);
    let kiln = sandbox.kiln();
    kiln.run(["init"]).ends_with(exit::SUCCESS);
    for (old, new) in [("fn", "orders"), ("shared", "common")] {
        let path = |name: &str| sandbox.path(&format!("manifests/{name}.toml"));
        fs::rename(path(old), path(new)).unwrap();
    }
    sandbox.replace("manifests/orders.toml", "layers = [\"shared\"]", "layers = [\"common\"]");
    kiln.run(["init"])
        .ends_with(exit::SUCCESS)
        .prints(&["orders  lambda-zip", "manifests/orders.toml: there already, left as it is\n"])
        .says(&[
            "manifests/orders.toml has the code of fn in template.yaml, and was taken for its manifest: manifests/fn.toml is not written",
            "manifests/common.toml has the code of shared in template.yaml",
        ])
        .does_not_say("differs");
    assert!(!sandbox.path("manifests/fn.toml").exists() && !sandbox.path("manifests/shared.toml").exists());
    // Another function of other code is new all the same.
    sandbox.write("src/other/app.py", CODE);
    let other = "  other:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      Handler: app.handler\n      CodeUri: src/other\n";
    sandbox.append("template.yaml", other);
    kiln.run(["init"]).ends_with(exit::SUCCESS).prints(&["manifests/other.toml: written\n"]);
}

#[test]
fn what_a_manifest_states_by_now_is_not_asked_for_again() {
    let sandbox = project(&[
        ("pyproject.toml", "[project]\nname = \"pay\"\nversion = \"1\"\nrequires-python = \">=3.12\"\n"),
        ("app.py", CODE),
    ]);
    let kiln = sandbox.kiln();
    kiln.run(["init"]).ends_with(exit::SUCCESS).prints(&["not told: runtime: pyproject.toml admits"]);
    kiln.run(["init", "--runtime", "python3.13"]).ends_with(exit::SUCCESS);
    let again =
        kiln.run(["init"]).ends_with(exit::SUCCESS).says(&["next: kiln lock --all, then kiln build --all"]);
    assert!(!again.stdout.contains("not told"), "{again}");
}

/// A base is of what is built on it, also of what came later.
#[test]
fn a_base_that_is_not_for_a_new_platform_is_told() {
    let function = |name: &str, architecture: &str| {
        format!(
            "  {name}: {{Type: AWS::Serverless::Function, Properties: {{Runtime: python3.13, Handler: app.handler, CodeUri: {name}, \
             Architectures: [{architecture}]}}}}\n"
        )
    };
    let template = format!("Resources:\n{}", function("one", "x86_64"));
    let code = "def handler(event, context):\n    return 1\n";
    let sandbox =
        project(&[("template.yaml", template.as_str()), ("one/app.py", code), ("two/app.py", code)]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    sandbox.write("template.yaml", template + &function("two", "arm64"));
    sandbox
        .kiln()
        .run(["init"])
        .ends_with(exit::SUCCESS)
        .prints(&["images/python-3.13.toml: there already", "differs: platforms is [\"linux/amd64\"] there"]);
}

/// What a link leads to is not the project's.
#[test]
fn nothing_is_written_through_a_link() {
    let sandbox = project(&[("app.py", "def handler(event, context):\n    return 1\n")]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), sandbox.path("manifests")).unwrap();
    let refused = sandbox.kiln().run(["init", "--runtime", "python3.13"]).ends_with(exit::INPUT_INVALID);
    refused.says(&["manifests is a link, and manifests/", "nothing was written"]);
    assert_eq!(elsewhere.path().read_dir().unwrap().count(), 0);
    assert!(!sandbox.path("kiln.toml").exists());
}
