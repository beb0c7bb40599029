//! `kiln init`: three ordinary projects, each from its files to a verified archive in three commands.

use crate::harness::page::{self, commands, words};
use crate::harness::{LocalIndex, LocalServer, Outcome, Reply, Sandbox, WheelFile, poetry_lock, wheel};
use crate::lock_artifact::tools;
use fs_err as fs;
use kiln_record::exit;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A project: a folder without any file of kiln's.
pub(crate) fn project(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::bare();
    fs::remove_file(sandbox.path("kiln.toml")).unwrap();
    for (path, text) in files {
        sandbox.write(path, text);
    }
    sandbox
}

pub(crate) fn text(sandbox: &Sandbox, path: &str) -> String {
    String::from_utf8(sandbox.read(path)).unwrap()
}

/// The three commands. Each artifact must be published and verified; gives what the first printed.
fn three_commands(sandbox: &Sandbox, index: Option<&LocalIndex>, artifacts: &[&str]) -> Outcome {
    let mut kiln = sandbox.kiln();
    if let Some(index) = index {
        kiln = kiln.with_variable("UV_DEFAULT_INDEX", &index.url());
    }
    let first =
        kiln.run(["init"]).ends_with(exit::SUCCESS).says(&["next: kiln lock --all, then kiln build --all"]);
    kiln.run(["lock", "--all"]).ends_with(exit::SUCCESS).prints(&["images/python-3.13.lock: written"]);
    kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).published_only(artifacts);
    for artifact in artifacts {
        let record: Value =
            serde_json::from_slice(&sandbox.read(&format!("dist/{artifact}/record.json"))).unwrap();
        let checks = record["checks"].as_array().unwrap();
        let imported = |check: &Value| {
            ["import", "import-own"].iter().any(|name| check["name"] == *name)
                && check["outcome"]["state"] == "ran"
        };
        assert!(checks.iter().any(imported), "{artifact} is verified: {checks:?}");
    }
    // What is there is left alone, and nothing of it is to be locked again.
    let again = kiln.run(["init"]).ends_with(exit::SUCCESS);
    again.prints(&["kiln.toml: there already, left as it is"]).does_not_say(": written");
    kiln.run(["lock", "--all"]).ends_with(exit::SUCCESS);
    let again = kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    again.published_only(&[]);
    first
}

const TEMPLATE: &str = "AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: python3.13
    Timeout: 12
    MemorySize: 256
    Environment:
      Variables:
        TABLE: !Ref Table
        LEVEL: info
Resources:
  Orders_Fn:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/orders/
      Handler: app.lambda_handler
      Policies: !If [Prod, a, !Sub 'b${AWS::Region}']
      Layers: [!Ref SharedLayer]
  NotifyFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/notify
      Handler: app.handler
      Role: !GetAtt Role.Arn
  SharedLayer:
    Type: AWS::Serverless::LayerVersion
    Properties:
      ContentUri: layers/shared
      CompatibleRuntimes: [python3.13]
  Table: {Type: AWS::DynamoDB::Table}
Outputs:
  Arn: {Value: !GetAtt NotifyFunction.Arn}
";

#[test]
fn a_sam_project_in_three_commands() {
    let sandbox = project(&[
        ("template.yaml", TEMPLATE),
        (
            "src/orders/app.py",
            "import idna\nimport os\nimport shared\n\nTABLE = os.environ[\"TABLE\"]\n\ndef lambda_handler(event, context):\n    return shared.NAME\n",
        ),
        ("src/orders/requirements.txt", "idna>=3\n"),
        (
            "src/notify/app.py",
            "import os\n\nLEVEL = os.environ[\"LEVEL\"]\n\ndef handler(event, context):\n    return LEVEL\n",
        ),
        ("src/notify/tests/test_app.py", "import pytest\n"),
        ("layers/shared/python/shared.py", "NAME = \"shared\"\n"),
        (".gitignore", ".venv"),
    ]);
    three_commands(&sandbox, None, &["NotifyFunction", "Orders_Fn", "SharedLayer"]);
    // What a function has of a layer is told with the way to it.
    sandbox.kiln().run(["explain", "Orders_Fn", "shared"]).ends_with(exit::INPUT_INVALID).says(&[
        "Orders_Fn does not bring `shared`: it was imported from layer SharedLayer",
        "kiln explain SharedLayer shared",
    ]);
    let manifest = text(&sandbox, "manifests/Orders_Fn.toml");
    assert!(
        manifest.contains("layers = [\"SharedLayer\"]") && manifest.contains("timeout = \"12 s\""),
        "{manifest}"
    );
    assert!(manifest.contains("env = { \"LEVEL\" = \"info\", \"TABLE\" = \"Table\" }"), "{manifest}");
    assert!(manifest.contains("# Made when it is deployed; here, as with `sam local`"), "{manifest}");
    assert_eq!(
        text(&sandbox, ".gitignore"),
        ".venv\n# kiln: what it builds and gives back, and its history on this machine\n/.kiln/\n/dist/\n/restored/\n"
    );
}

fn module(name: &str) -> WheelFile {
    wheel(name, "1.0", "py3-none-any", &[], &[(&format!("{name}.py"), b"VALUE = 1\n")])
}

#[test]
fn a_poetry_monorepo_in_three_commands() {
    let pad = module("pad");
    let index = LocalIndex::serve(std::slice::from_ref(&pad));
    let ingest = "[tool.poetry]\nname = \"ingest\"\nversion = \"1\"\ndescription = \"\"\nauthors = []\n\n[tool.poetry.dependencies]\npython = \"~3.13\"\npad = \"^1\"\nacme-shared = {path = \"../../libs/shared\", develop = true}\n";
    let shared = "[build-system]\nrequires = [\"poetry-core\"]\nbuild-backend = \"poetry.core.masonry.api\"\n\n[tool.poetry]\nname = \"acme-shared\"\nversion = \"2.1\"\ndescription = \"\"\nauthors = []\npackages = [{include = \"acme_shared\"}]\n\n[tool.poetry.dependencies]\npython = \"~3.13\"\n";
    let directory = "[[package]]\nname = \"acme-shared\"\nversion = \"2.1\"\ndescription = \"\"\noptional = false\npython-versions = \"~3.13\"\ngroups = [\"main\"]\nfiles = []\ndevelop = true\n\n[package.source]\ntype = \"directory\"\nurl = \"../../libs/shared\"\n\n";
    let lock = format!("{directory}{}", poetry_lock(ingest, &[(&pad, "groups = [\"main\"]\n")]));
    let sandbox = project(&[
        ("services/ingest/pyproject.toml", ingest),
        ("services/ingest/poetry.lock", &lock),
        ("services/ingest/src/ingest/__init__.py", ""),
        (
            "services/ingest/src/ingest/main.py",
            "import acme_shared, pad\n\ndef handler(event, context):\n    return pad.VALUE\n",
        ),
        ("services/ingest/tests/test_main.py", "def handler(event, context): ...\n"),
        ("libs/shared/pyproject.toml", shared),
        ("libs/shared/acme_shared/__init__.py", "NAME = 1\n"),
    ]);
    three_commands(&sandbox, Some(&index), &["ingest"]);
    let manifest = text(&sandbox, "manifests/ingest.toml");
    for line in [
        "handler = \"ingest.main.handler\"",
        "path = \"../services/ingest/src\"",
        "lock = \"../services/ingest/poetry.lock\"",
    ] {
        assert!(manifest.contains(line), "{line}: {manifest}");
    }
}

#[test]
fn a_uv_project_in_three_commands() {
    let mangum = wheel("mangum", "1.0", "py3-none-any", &[], &[("mangum.py", b"class Mangum:\n    def __init__(self, app): self.app = app\n    def __call__(self, event, context): return 1\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&mangum));
    let hash = mangum.digest().hex();
    let lock = format!(
        "version = 1\nrequires-python = \">=3.13\"\n\n[[package]]\nname = \"forecast\"\nversion = \"0.1.0\"\nsource = {{ virtual = \".\" }}\ndependencies = [{{ name = \"mangum\" }}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"mangum\", specifier = \">=1\" }}]\n\n[[package]]\nname = \"mangum\"\nversion = \"1.0\"\nsource = {{ registry = \"{}\" }}\nwheels = [{{ url = \"{}\", hash = \"sha256:{hash}\" }}]\n",
        index.url(),
        index.file_url(&mangum)
    );
    let sandbox = project(&[
        (
            "pyproject.toml",
            "[project]\nname = \"forecast\"\nversion = \"0.1.0\"\nrequires-python = \">=3.13\"\ndependencies = [\"mangum>=1\"]\n",
        ),
        ("uv.lock", &lock),
        (".python-version", "3.13\n"),
        ("main.py", "from mangum import Mangum\n\nfrom api import app\n\nhandler = Mangum(app)\n"),
        ("api/__init__.py", "app = 1\n"),
        ("tests/test_main.py", "import pytest\n"),
        ("README.md", "# forecast\n"),
    ]);
    three_commands(&sandbox, Some(&index), &["forecast"]);
    let manifest = text(&sandbox, "manifests/forecast.toml");
    assert!(manifest.contains("include = [\"api/**\", \"main.py\"]"), "{manifest}");
}

/// A service and a module beside it: one requirements file for what is deployed from the root, one in the folder of its own.
#[test]
fn a_project_of_serverless_and_terraform_in_three_commands() {
    let (pad, tone) = (module("pad"), module("tone"));
    let index = LocalIndex::serve(&[pad, tone]);
    let service = "service: shop
provider:
  name: aws
  stage: ${opt:stage, 'dev'}
  runtime: ${self:custom.runtime}
  environment:
    STAGE: ${self:provider.stage}
    TOPIC: ${self:service}-${sls:stage}-orders
    LEVEL: info
custom:
  runtime: python3.13
functions:
  checkout: {handler: src/checkout.handler, timeout: 20}
  refund: {handler: src/refund.handler}
";
    let module_of_terraform = "variable \"level\" { default = \"debug\" }
locals { region = \"eu-central-1\" }
resource \"aws_dynamodb_table\" \"orders\" { name = \"the-orders\" }
resource \"aws_sqs_queue\" \"later\" { name_prefix = \"later\" }
data \"archive_file\" \"hook\" {
  type        = \"zip\"
  source_dir  = \"${path.module}/../functions/hook\"
  output_path = \"hook.zip\"
}
resource \"aws_lambda_function\" \"hook\" {
  function_name = \"hook\"
  runtime       = \"python3.13\"
  handler       = \"main.handler\"
  filename      = data.archive_file.hook.output_path
  environment {
    variables = {
      TABLE  = aws_dynamodb_table.orders.name
      QUEUE  = aws_sqs_queue.later.id
      ARN    = aws_sqs_queue.later.arn
      LEVEL  = \"${var.level}\"
      REGION = local.region
    }
  }
}
";
    let sandbox = project(&[
        ("serverless.yml", service),
        ("requirements.txt", "pad==1.0\n"),
        (
            "src/checkout.py",
            "import os, pad\nSTAGE = os.environ['STAGE']\nTOPIC = os.environ['TOPIC']\n\ndef handler(event, context):\n    return [STAGE, TOPIC]\n",
        ),
        ("src/refund.py", "import pad\n\ndef handler(event, context):\n    return pad.VALUE\n"),
        ("infra/main.tf", module_of_terraform),
        ("functions/hook/requirements.txt", "tone\n"),
        (
            "functions/hook/main.py",
            "import os, tone\nALL = [os.environ[name] for name in ('TABLE', 'QUEUE', 'LEVEL', 'REGION')]\n\ndef handler(event, context):\n    return ALL\n",
        ),
    ]);
    // The resolver is in the store of all tests; this index does not have it.
    sandbox.write("kiln.lock", tools());
    three_commands(&sandbox, Some(&index), &["checkout", "hook", "refund"]);
    let checkout = text(&sandbox, "manifests/checkout.toml");
    assert!(checkout.contains("include = [\"src/**\"]\n"), "the code of hook is hook's alone: {checkout}");
    let invoked = |name: &str| -> Value {
        let outcome = sandbox.kiln().run(["invoke", name, "--event", "{}"]).ends_with(exit::SUCCESS);
        // Nothing but what the function says stands there, and a report: its client is ended without a word.
        let outcome = outcome.does_not_say("Traceback");
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    for _ in 0..4 {
        assert_eq!(invoked("checkout"), json!(["dev", "shop-dev-orders"]));
    }
    assert_eq!(invoked("hook"), json!(["the-orders", "later", "debug", "eu-central-1"]));
    let hook = text(&sandbox, "manifests/hook.toml");
    assert!(
        hook.contains("in order to be imported: ARN\n"),
        "an address is nothing that a file tells: {hook}"
    );
}

/// The whole day of somebody with Poetry: a dependency is moved, and every command of the page tells of it.
#[test]
fn what_a_newer_dependency_changes_is_told_from_any_folder() {
    let (pad, newer) =
        (module("pad"), wheel("pad", "1.1", "py3-none-any", &[], &[("pad.py", b"VALUE = 11\n")]));
    let index = LocalIndex::serve(&[pad.clone(), newer.clone()]);
    let settings = |constraint: &str| {
        format!(
            "[tool.poetry]\nname = \"orders\"\nversion = \"1\"\ndescription = \"\"\nauthors = []\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = \"~3.13\"\npad = \"{constraint}\"\n"
        )
    };
    let sandbox = project(&[
        ("pyproject.toml", &settings("<1.1")),
        ("poetry.lock", &poetry_lock(&settings("<1.1"), &[(&pad, "groups = [\"main\"]\n")])),
        ("orders/__init__.py", ""),
        ("orders/app.py", "import pad\n\ndef handler(event, context):\n    return pad.VALUE\n"),
    ]);
    three_commands(&sandbox, Some(&index), &["orders"]);
    let kiln = sandbox.kiln().with_variable("UV_DEFAULT_INDEX", &index.url());
    sandbox.write("pyproject.toml", settings("^1.1"));
    kiln.run(["build", "orders"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[lock-stale] orders: poetry.lock",
        "asks for `pad = \"^1.1\"`, and the lock has 1.0",
        "poetry lock",
    ]);
    sandbox.write("poetry.lock", poetry_lock(&settings("^1.1"), &[(&newer, "groups = [\"main\"]\n")]));
    kiln.run(["build", "orders"]).ends_with(exit::SUCCESS);
    kiln.run(["diff", "orders@1", "orders"]).ends_with(exit::SUCCESS).prints(&[
        "upgraded",
        "pad 1.0 -> 1.1",
        "asked for at pyproject.toml:10 (`pad = \"^1.1\"`)",
    ]);
    kiln.run(["show", "orders"]).ends_with(exit::SUCCESS).prints(&["reconcile     ran on 1 distribution\n"]);
    let verified = kiln.run(["verify"]).ends_with(exit::SUCCESS);
    verified.prints(&["dist/index.json: 1 artifact\n", "ledger of orders: 2 builds\n"]);
    kiln.run(["doctor"]).ends_with(exit::SUCCESS).prints(&[": 1 artifact, 1 base\n"]);
    // One word may be three things.
    kiln.run(["explain", "pad"]).ends_with(exit::INPUT_INVALID).says(&["kiln explain ARTIFACT pad"]);
    kiln.run(["explain", "lock-stail"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["or did you mean the finding? kiln explain lock-stale"]);
}

/// A workspace of uv with two members, as uv locks it: one is a function, and needs the other.
#[test]
fn a_uv_workspace_of_two_members_in_three_commands() {
    let pad = module("pad");
    let index = LocalIndex::serve(std::slice::from_ref(&pad));
    let member = |name: &str, dependencies: &str, rest: &str| {
        format!(
            "[project]\nname = \"{name}\"\nversion = \"1.0\"\nrequires-python = \"==3.13.*\"\ndependencies = [{dependencies}]\n[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n{rest}"
        )
    };
    let lock = format!(
        "version = 1\nrevision = 3\nrequires-python = \"==3.13.*\"\n\n[manifest]\nmembers = [\n    \"acme-api\",\n    \"acme-shared\",\n    \"mono\",\n]\n\n[[package]]\nname = \"acme-api\"\nversion = \"1.0\"\nsource = {{ editable = \"packages/api\" }}\ndependencies = [\n    {{ name = \"acme-shared\" }},\n]\n\n[package.metadata]\nrequires-dist = [{{ name = \"acme-shared\", editable = \"packages/shared\" }}]\n\n[[package]]\nname = \"acme-shared\"\nversion = \"1.0\"\nsource = {{ editable = \"packages/shared\" }}\ndependencies = [\n    {{ name = \"pad\" }},\n]\n\n[package.metadata]\nrequires-dist = [{{ name = \"pad\", specifier = \"<2\" }}]\n\n[[package]]\nname = \"mono\"\nversion = \"0\"\nsource = {{ virtual = \".\" }}\n\n[[package]]\nname = \"pad\"\nversion = \"1.0\"\nsource = {{ registry = \"{}\" }}\nwheels = [\n    {{ url = \"{}\", hash = \"sha256:{}\" }},\n]\n",
        index.url(),
        index.file_url(&pad),
        pad.digest().hex()
    );
    let sandbox = project(&[
        (
            "pyproject.toml",
            "[project]\nname = \"mono\"\nversion = \"0\"\nrequires-python = \"==3.13.*\"\ndependencies = []\n[tool.uv.workspace]\nmembers = [\"packages/*\"]\n[tool.uv]\npackage = false\n",
        ),
        ("uv.lock", &lock),
        ("packages/shared/pyproject.toml", &member("acme-shared", "\"pad<2\"", "")),
        ("packages/shared/src/acme_shared/__init__.py", "import pad\n\nNAME = pad.VALUE\n"),
        (
            "packages/api/pyproject.toml",
            &member("acme-api", "\"acme-shared\"", "[tool.uv.sources]\nacme-shared = { workspace = true }\n"),
        ),
        ("packages/api/src/acme_api/__init__.py", ""),
        (
            "packages/api/src/acme_api/main.py",
            "import acme_shared\n\ndef lambda_handler(event, context):\n    return acme_shared.NAME\n",
        ),
    ]);
    three_commands(&sandbox, Some(&index), &["acme-api"]);
    let kiln = sandbox.kiln();
    kiln.run(["invoke", "acme-api", "--event", "{}"]).ends_with(exit::SUCCESS).prints(&["1\n"]);
    kiln.run(["explain", "acme-api", "acme-shared"])
        .ends_with(exit::SUCCESS)
        .prints(&["of this workspace: packages/shared", "packages/api/pyproject.toml:5"]);
}

/// What is planned for some files, without an engine, a network or a change.
fn planned(files: &[(&str, &str)], arguments: &[&str]) -> Value {
    let sandbox = project(files);
    let words = ["init", "--dry-run", "--format", "json"].iter().chain(arguments);
    let plan = sandbox.kiln().run(words).ends_with(exit::SUCCESS).json();
    assert!(!sandbox.path("kiln.toml").exists() && !sandbox.path("manifests").exists(), "nothing is written");
    plan
}

#[test]
fn terraform_and_serverless_are_read_and_nothing_is_guessed() {
    let terraform = r#"data "archive_file" "orders" {
  type = "zip"
  source_dir = "${path.module}/../src/orders"
  output_path = "${path.module}/orders.zip"
}
resource "aws_lambda_function" "orders_fn" {
  filename = data.archive_file.orders.output_path
  handler = "app.handler"
  runtime = "python3.12"
  architectures = ["arm64"]
  environment { variables = { TABLE = aws_dynamodb_table.t.name, LEVEL = "info" } }
}
resource "aws_lambda_function" "elsewhere" {
  s3_bucket = "b"
  handler = var.handler
  runtime = "python3.12"
}
resource "aws_lambda_function" "web" {
  runtime = "nodejs20.x"
}
"#;
    let plan = planned(
        &[("infra/main.tf", terraform), ("src/orders/app.py", "def handler(event, context): ...\n")],
        &[],
    );
    let names: Vec<&Value> =
        plan["artifacts"].as_array().unwrap().iter().map(|one| &one["artifact"]).collect();
    assert_eq!(names, ["elsewhere", "orders_fn"]);
    assert_eq!(plan["artifacts"][1]["untold"], json!([]));
    assert_eq!(plan["artifacts"][0]["untold"].as_array().unwrap().len(), 2, "{plan}");
    assert!(plan["remarks"].to_string().contains("`nodejs20.x` is no Python"), "{plan}");
    assert!(plan["files"].to_string().contains("images/python-3.12.toml"), "{plan}");

    let serverless = "service: s\nprovider:\n  name: aws\n  runtime: python3.13\nfunctions:\n  hello:\n    handler: src/hello.handler\n    environment:\n      A: ${env:A}\n  other:\n    handler: ${self:custom.h}\n";
    let plan = planned(
        &[("serverless.yml", serverless), ("src/hello.py", "def handler(event, context): ...\n")],
        &[],
    );
    assert_eq!(plan["artifacts"][0]["untold"], json!([]));
    assert_eq!(plan["artifacts"][1]["untold"].as_array().unwrap().len(), 1, "{plan}");

    // Which Python, nothing tells; an option does.
    let plain = [("fn/app.py", "def handler(event, context): ...\n")];
    let plan = planned(&plain, &[]);
    assert!(plan["artifacts"][0]["untold"].to_string().contains("runtime: no file tells it"), "{plan}");
    let plan = planned(&plain, &["--runtime", "python3.13"]);
    assert_eq!(
        (&plan["artifacts"][0]["artifact"], &plan["artifacts"][0]["untold"]),
        (&json!("fn"), &json!([]))
    );
}

#[test]
fn what_states_nothing_is_an_error_and_an_empty_workspace_is_no_green_build() {
    let sandbox = project(&[("notes.txt", "x\n"), ("template.yaml", "Resources: [\n")]);
    sandbox
        .kiln()
        .run(["init"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["states an artifact", "template.yaml"]);
    assert!(!sandbox.path("kiln.toml").exists());

    sandbox.write("kiln.toml", "format = \"1\"\n");
    for command in [["build", "--all"], ["lock", "--all"]] {
        let outcome = sandbox.kiln().run(command).ends_with(exit::INPUT_INVALID);
        outcome.says(&["there is no artifact in", "kiln init", "kiln new artifact NAME"]);
    }
    let new = ["new", "artifact", "Orders_Fn", "--runtime", "python3.13", "--handler", "app.handler"];
    sandbox.kiln().run(new).ends_with(exit::SUCCESS).prints(&["manifests/Orders_Fn.toml: written"]);
    sandbox.kiln().run(new).ends_with(exit::INPUT_INVALID).says(&["is there already"]);
    assert!(text(&sandbox, "manifests/Orders_Fn.toml").contains("# [source]\n# path = \"../src\""));
    let stray = sandbox.path("manifests/Orders_Fn.tml");
    fs::rename(sandbox.path("manifests/Orders_Fn.toml"), stray).unwrap();
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["manifests/Orders_Fn.tml reads like a manifest and is none"]);
    let push = ["push", "--all", "--to", "registry.example.org/team"];
    sandbox
        .kiln()
        .run(push)
        .ends_with(exit::INPUT_INVALID)
        .says(&["nothing is published", "kiln build --all"]);
}

#[test]
fn the_page_for_the_first_day_holds() {
    let template = "Resources:\n  HelloFunction:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      CodeUri: src/hello\n      Handler: app.handler\n";
    let code = "def handler(event, context):\n    return 1\n";
    let sandbox = project(&[("template.yaml", template), ("src/hello/app.py", code)]);
    let commands = commands(&page::text("docs/start.md"));
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        sandbox.kiln().run(words(&command)).ends_with(exit::SUCCESS);
    }
}

#[test]
fn a_doctor_without_workspace_and_engine_says_what_it_did_not_check() {
    let sandbox = project(&[]);
    let rows = |outcome: &Value, state: &str| -> Vec<String> {
        let rows = outcome["rows"].as_array().unwrap().iter().filter(|row| row["state"] == state);
        rows.map(|row| row["subject"].as_str().unwrap().to_owned()).collect()
    };
    let sick = sandbox
        .kiln()
        .with_variable("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .with_variable("SSL_CERT_FILE", "/nowhere/ca.pem")
        .with_network_only_at("http://127.0.0.1:9")
        .run(["doctor", "--format", "json"])
        .ends_with(exit::ENGINE_UNAVAILABLE)
        .json();
    let problems = rows(&sick, "problem");
    assert!(
        ["engine", "index", "mirror", "certificates"].iter().all(|one| problems.contains(&(*one).to_owned())),
        "{sick}"
    );
    let not_checked = rows(&sick, "not-checked");
    assert!(["workspace", "builder"].iter().all(|one| not_checked.contains(&(*one).to_owned())), "{sick}");
    for row in sick["rows"].as_array().unwrap() {
        assert_eq!(row["state"] == "problem", row["remedy"].is_string(), "{row}");
    }
    // What is wrong is a sentence, and its way out is told once.
    let fact = |subject: &str| {
        let rows = sick["rows"].as_array().unwrap().iter();
        rows.filter(|row| row["subject"] == subject)
            .map(|row| row["fact"].as_str().unwrap().to_owned())
            .next()
            .unwrap()
    };
    assert!(fact("engine").starts_with("cannot reach the container engine at "), "{sick}");
    assert!(!fact("engine").contains("start it"), "{sick}");
    let refused = sandbox.kiln().with_variable("DOCKER_HOST", "tcp://127.0.0.1:1").run(["doctor"]);
    let refused = refused.prints(&["at tcp://127.0.0.1:1: Connection refused"]);
    assert!(!refused.stdout.contains("hyper"), "{refused}");
    let well = sandbox.kiln().run(["doctor", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert!(rows(&well, "ok").contains(&"engine".to_owned()) && rows(&well, "problem").is_empty(), "{well}");
}

#[test]
fn a_doctor_asks_each_registry_of_the_workspace_once() {
    let refusing = LocalServer::serve(|_| {
        Reply::Verbatim(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec())
    });
    let silent = LocalServer::serve(|_| Reply::Stalling(Vec::new()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    // It has nothing of what it is asked for, which is an answer.
    let answering = LocalServer::serve(move |request| {
        seen.lock().unwrap().push(request.path.clone());
        Reply::Missing
    });
    let sandbox = Sandbox::bare();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
    sandbox.replace("manifests/app.toml", "base = \"python-3.13\"", "base = \"first\"");
    let base = |name: &str, reference: &str| {
        sandbox.write(
            &format!("images/{name}.toml"),
            format!("kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"{reference}\"\n"),
        );
    };
    base("first", &format!("{}/team/python:3.13", answering.address()));
    base("second", &format!("{}/team/other:1", answering.address()));
    // One that is mirrored is not asked itself.
    base("mirrored", "registry.example.org/team/python:3.13");
    base("secret", &format!("{}/team/python:3.13", refusing.address()));
    base("silent", &format!("{}/team/python:3.13", silent.address()));
    base("gone", "127.0.0.1:1/team/python:3.13");
    sandbox.write(
        "kiln.toml",
        format!(
            "format = \"1\"\n[[registry]]\nprefix = \"registry.example.org\"\nmirror = \"http://{}/mirrored\"\n",
            answering.address()
        ),
    );
    let outcome = sandbox.kiln().run(["doctor", "--format", "json"]).ends_with(exit::FETCH_FAILED);
    let document = outcome.json();
    let rows: Vec<&Value> =
        document["rows"].as_array().unwrap().iter().filter(|row| row["subject"] == "registry").collect();
    let row = |needle: &str| {
        let mut found = rows.iter().filter(|row| row["fact"].as_str().unwrap().contains(needle));
        let row = found.next().unwrap_or_else(|| panic!("{needle}: {outcome}"));
        assert!(found.next().is_none(), "{needle}: {outcome}");
        (
            row["state"].as_str().unwrap(),
            row["fact"].as_str().unwrap(),
            row["remedy"].as_str().unwrap_or_default(),
        )
    };
    assert_eq!(rows.len(), 4, "{outcome}");
    let (state, fact, _) = row(&answering.address().to_string());
    assert_eq!(state, "ok");
    assert!(fact.contains("(base first, base mirrored, base second) answers"), "{fact}");
    assert_eq!(*asked.lock().unwrap(), ["/v2/", "/v2/team/python/manifests/3.13"]);
    let (state, fact, remedy) = row("base secret");
    assert!(state == "problem" && fact.contains("it refuses access") && fact.contains("403"), "{fact}");
    assert!(remedy.contains(&format!("docker login {}", refusing.address())), "{remedy}");
    let (state, fact, remedy) = row("base silent");
    assert!(state == "problem" && fact.contains("no answer within 5 s"), "{fact}");
    assert!(remedy.contains("[[registry]] with prefix and mirror in kiln.toml"), "{remedy}");
    let (state, fact, _) = row("base gone");
    assert!(state == "problem" && fact.contains("127.0.0.1:1"), "{fact}");

    // What is not to be asked is not.
    let offline = sandbox.kiln().run(["doctor", "--offline", "--format", "json"]).json();
    let mut offline = offline["rows"].as_array().unwrap().iter().filter(|row| row["subject"] == "registry");
    assert!(offline.all(|row| row["state"] == "not-checked"));
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[test]
fn codes_are_explained_and_shells_are_helped_without_a_workspace() {
    let sandbox = project(&[]);
    sandbox.kiln().run(["explain", "smoke-failed"]).ends_with(exit::SUCCESS).prints(&[
        "usually deny",
        "did not handle",
        "→",
    ]);
    sandbox
        .kiln()
        .run(["explain", "12"])
        .ends_with(exit::SUCCESS)
        .prints(&["DIFFERENCE_DENIED", "--fail-on"]);
    sandbox.kiln().run(["help", "lock"]).ends_with(exit::SUCCESS).prints(&["--upgrade-package"]);
    for shell in ["bash", "zsh", "fish"] {
        sandbox
            .kiln()
            .run(["util", "completions", shell])
            .ends_with(exit::SUCCESS)
            .prints(&["doctor", "fail-on"]);
    }
    sandbox.kiln().run(["util", "man", "man1"]).ends_with(exit::SUCCESS).prints(&["pages written"]);
    assert!(text(&sandbox, "man1/kiln-build.1").contains(".TH kiln-build 1"));
    assert!(
        text(&sandbox, "man1/kiln.1").contains("reproduc")
            || text(&sandbox, "man1/kiln.1").contains("bit for bit")
    );
}

#[test]
fn a_runtime_whose_base_is_of_a_registry_is_told_before_anything_asks_it() {
    let sandbox = Sandbox::bare();
    let new = |name: &str, runtime: &str| {
        let words = ["new", "artifact", name, "--runtime", runtime];
        sandbox.kiln().run(words).ends_with(exit::SUCCESS)
    };
    new("old", "python3.9").says(&["python3.9: its base is the image", "kiln doctor asks it"]);
    new("usual", "python3.13").does_not_say("its base is the image");
    let base = "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"registry.example.org/a:1\"\n";
    sandbox.write("images/python-3.14.toml", base);
    new("own", "python3.14").does_not_say("its base is the image");
}

#[test]
fn what_is_told_afterwards_stands_in_what_nobody_changed() {
    let project_file = "[project]\nname = \"fn\"\nversion = \"1\"\nrequires-python = \">=3.12\"\n";
    let handler = "def handler(event, context): ...\n";
    let sandbox = project(&[
        ("one/pyproject.toml", project_file),
        ("one/app.py", handler),
        ("two/pyproject.toml", &project_file.replace("fn", "two")),
        ("two/app.py", handler),
    ]);
    let first = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    first.prints(&["pyproject.toml admits python3.12, python3.13, python3.14"]).says(&[
        "next: kiln init --runtime python3.13, or whichever it is, tells it for all of them;",
        "or fill in the commented lines of manifests/fn.toml, manifests/two.toml;",
    ]);
    let untold = text(&sandbox, "manifests/fn.toml");
    assert!(
        untold.contains("# base = \"python-3.13\"\n") && untold.contains("# runtime = \"python3.13\"\n"),
        "{untold}"
    );
    let own = format!("{}# by hand\n", text(&sandbox, "manifests/two.toml"));
    sandbox.write("manifests/two.toml", &own);

    let told = sandbox.kiln().run(["init", "--runtime", "python3.12"]).ends_with(exit::SUCCESS);
    told.prints(&[
        "images/python-3.12.toml: written\n",
        "manifests/fn.toml: written again\n",
        "manifests/two.toml: there already, left as it is\n",
    ])
    .says(&[
        "python3.12: its base is the image",
        "/lambda/python:3.12, whose registry must be reachable",
        "next: kiln lock --all, then kiln build --all",
    ]);
    let manifest = text(&sandbox, "manifests/fn.toml");
    assert!(
        manifest.contains("\nbase = \"python-3.12\"\n") && manifest.contains("\nruntime = \"python3.12\"\n"),
        "{manifest}"
    );
    assert_eq!(text(&sandbox, "manifests/two.toml"), own);
}
