//! `kiln init` of what a project states by other names: variables, parameters, layers. What they stand for is written with the
//! name it is from, and what no file tells is not told.

use crate::arm64::runs_arm64;
use crate::init::{project, text};
use kiln_record::exit;

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
}

const HANDLER: &str = "def handler(event, context):\n    return 1\n";

/// A module of Terraform with one function, whose architecture is this.
fn terraform(architectures: &str, rest: &str) -> String {
    format!(
        "data \"archive_file\" \"fn\" {{\n  type = \"zip\"\n  source_dir = \"${{path.module}}/${{local.code}}\"\n  output_path = \"fn.zip\"\n}}\nresource \"aws_lambda_function\" \"fn\" {{\n  filename = data.archive_file.fn.output_path\n  handler = \"app.handler\"\n  runtime = local.runtime\n  architectures = {architectures}\n}}\nlocals {{\n  code = \"src/fn\"\n  runtime = \"python${{var.version}}\"\n}}\nvariable \"version\" {{ default = \"3.13\" }}\n{rest}"
    )
}

#[test]
fn terraform_states_what_its_variables_do() {
    let sandbox = project(&[
        ("main.tf", &terraform("[var.arch]", "")),
        ("variables.tf", "variable \"arch\" {\n  default = \"arm64\"\n}\n"),
        ("src/fn/app.py", HANDLER),
    ]);
    let outcome = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    assert!(!outcome.stdout.contains("not told"), "{outcome}");
    contains(
        &text(&sandbox, "manifests/fn.toml"),
        &[
            "\narchitecture = \"arm64\"   # the default of var.arch in variables.tf\n",
            "\nruntime = \"python3.13\"   # local.runtime in main.tf, the default of var.version in main.tf\n",
            "\npath = \"../src/fn\"   # local.code in main.tf\n",
        ],
    );
    // A file of values that Terraform reads by itself wins over the default.
    sandbox.write("terraform.tfvars", "arch = \"x86_64\"\n");
    fs_err::remove_file(sandbox.path("manifests/fn.toml")).unwrap();
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let manifest = text(&sandbox, "manifests/fn.toml");
    contains(&manifest, &["\narchitecture = \"x86_64\"   # var.arch in terraform.tfvars\n"]);
    // It is read first, and what is read last holds, whatever their names are.
    sandbox.write("prod.auto.tfvars", "arch = \"arm64\"\n");
    fs_err::remove_file(sandbox.path("manifests/fn.toml")).unwrap();
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let manifest = text(&sandbox, "manifests/fn.toml");
    contains(&manifest, &["\narchitecture = \"arm64\"   # var.arch in prod.auto.tfvars\n"]);
}

#[test]
fn what_terraform_only_looks_up_is_no_artifact() {
    let others = "data \"aws_lambda_layer_version\" \"powertools\" { layer_name = \"powertools\" }\ndata \"aws_lambda_function\" \"other\" { function_name = \"other\" }\n";
    let sandbox = project(&[("main.tf", &terraform("[\"x86_64\"]", others)), ("src/fn/app.py", HANDLER)]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let mut written: Vec<String> = fs_err::read_dir(sandbox.path("manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    assert_eq!(written, ["fn.toml"]);
}

#[test]
fn an_architecture_that_no_file_tells_is_not_told() {
    let check = |files: &[(&str, &str)], why: &str| {
        let sandbox = project(files);
        let outcome = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
        outcome.prints(&[&format!("not told: architecture: {why}")]).says(&[
            "next: kiln init --architecture arm64, or whichever it is, tells it for all of them;",
            "or fill in the commented lines of manifests/fn.toml",
        ]);
        let manifest = text(&sandbox, "manifests/fn.toml");
        contains(&manifest, &[&format!("\n# {why}:\n# architecture = \"x86_64\"   # or \"arm64\"\n")]);
        assert!(!manifest.contains("\narchitecture"), "{manifest}");
        // Either can be built on what is locked.
        let base = text(&sandbox, "images/python-3.13.toml");
        contains(&base, &["platforms = [\"linux/amd64\", \"linux/arm64\"]"]);
        sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID);
        let told = sandbox.kiln().run(["init", "--architecture", "arm64"]).ends_with(exit::SUCCESS);
        told.prints(&["manifests/fn.toml: written again"]);
        contains(&text(&sandbox, "manifests/fn.toml"), &["\narchitecture = \"arm64\"\n"]);
    };
    let code = ("src/fn/app.py", HANDLER);
    let later = |architectures: &str, rest: &str| {
        let main = terraform(architectures, rest);
        check(&[("main.tf", &main), code], "architectures in main.tf is made when it is deployed");
    };
    later("[var.arch]", "variable \"arch\" { type = string }\n");
    later("[var.arch]", "variable \"arch\" { default = null }\n");
    later("var.prod ? [\"arm64\"] : [\"x86_64\"]", "");
    later("[local.a]", "locals {\n  a = local.b\n  b = local.a\n}\n");
    // Values as JSON win, and are not read here.
    let default = terraform("[var.arch]", "variable \"arch\" { default = \"x86_64\" }\n");
    check(
        &[("main.tf", &default), ("prod.auto.tfvars.json", "{\"arch\": \"arm64\"}"), code],
        "architectures in main.tf is made when it is deployed",
    );
    // Whoever uses a module gives another than the default.
    let module = terraform("[var.arch]", "variable \"arch\" { default = \"x86_64\" }\n");
    check(
        &[
            ("fn/main.tf", &module),
            ("fn/src/fn/app.py", HANDLER),
            ("main.tf", "module \"fn\" {\n  source = \"./fn\"\n  arch = var.arch\n}\n"),
        ],
        "architectures in fn/main.tf is made when it is deployed",
    );
    let template = |architectures: &str, rest: &str| {
        format!(
            "{rest}Resources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      Handler: app.handler\n      CodeUri: src/fn\n      Architectures: {architectures}\n"
        )
    };
    let later = |architectures: &str, rest: &str| {
        let template = template(architectures, rest);
        check(
            &[("template.yaml", &template), code],
            "Architectures in template.yaml is made when it is deployed",
        );
    };
    later("[!Ref Arch]", "Parameters:\n  Arch: {Type: String}\n");
    later("[!FindInMap [Stage, dev, Arch]]", "Mappings:\n  Stage: {dev: {Arch: arm64}}\n");
    later(
        "[!Ref Arch]",
        "Parameters:\n  Arch: {Type: 'AWS::SSM::Parameter::Value<String>', Default: arm64}\n",
    );
    let given = template("[!Ref Arch]", "Parameters:\n  Arch: {Type: String, Default: x86_64}\n");
    check(
        &[
            ("template.yaml", &given),
            ("samconfig.toml", "[prod.deploy.parameters]\nparameter_overrides = \"Arch=arm64\"\n"),
            code,
        ],
        "Architectures in template.yaml is made when it is deployed",
    );
    for variable in ["${env:ARCH}", "${param:arch}"] {
        let service = format!(
            "service: s\nprovider: {{name: aws, runtime: python3.13, architecture: '{variable}'}}\nfunctions:\n  fn: {{handler: app.handler}}\n"
        );
        check(
            &[("serverless.yml", &service), ("app.py", HANDLER)],
            "architecture in serverless.yml is made when it is deployed",
        );
    }
    // The architectures of a layer are a list, whoever states it.
    let service = "service: s\nprovider: {name: aws, runtime: python3.13}\nlayers:\n  fn: {path: layers/fn, compatibleRuntimes: [python3.13], compatibleArchitectures: '${self:custom.archs}'}\nfunctions: {other: {handler: app.handler}}\ncustom: {archs: [arm64]}\n";
    check(
        &[("serverless.yml", service), ("layers/fn/python/shared.py", "NAME = 1\n"), ("app.py", HANDLER)],
        "compatibleArchitectures in serverless.yml is made when it is deployed",
    );
}

#[test]
fn parameters_and_variables_of_templates_stand_for_their_defaults() {
    let template = "Parameters:\n  Arch: {Type: String, Default: arm64}\n  Python: {Type: String, Default: python3.13}\n  Code: {Type: String, Default: fn}\n  Seconds: {Type: Number, Default: 20}\nGlobals:\n  Function:\n    Architectures: [!Ref Arch]\nResources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: !Ref Python\n      Handler: app.handler\n      CodeUri: !Sub 'src/${Code}'\n      Timeout: {Ref: Seconds}\n      Environment: {Variables: {ORDERS: !Ref Orders, OTHERS: !Ref Others}}\n  Orders:\n    Type: AWS::DynamoDB::Table\n    Properties: {TableName: !Sub 'orders-${Code}'}\n  Others: {Type: AWS::DynamoDB::Table}\n";
    let sandbox = project(&[("template.yaml", template), ("src/fn/app.py", HANDLER)]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    contains(
        &text(&sandbox, "manifests/fn.toml"),
        &[
            "\narchitecture = \"arm64\"   # the Default of Arch in template.yaml\n",
            "\nruntime = \"python3.13\"   # the Default of Python in template.yaml\n",
            "\npath = \"../src/fn\"   # the Default of Code in template.yaml\n",
            "\ntimeout = \"20 s\"   # the Default of Seconds in template.yaml\nmemory = \"128 MB\"   # Lambda's default\n",
            "\"ORDERS\" = \"orders-fn\"",
            "\"OTHERS\" = \"Others\"",
        ],
    );
    let service = "service: s\nprovider:\n  name: aws\n  runtime: python3.13\n  architecture: ${self:custom.arch}\ncustom: {arch: arm64}\nfunctions:\n  fn: {handler: app.handler, timeout: \"${env:SECONDS}\"}\n";
    let sandbox = project(&[("serverless.yml", service), ("app.py", HANDLER)]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let manifest = text(&sandbox, "manifests/fn.toml");
    contains(
        &manifest,
        &[
            "\narchitecture = \"arm64\"   # ${self:custom.arch} in serverless.yml\n",
            "\nmemory = \"1024 MB\"   # Serverless's default\n",
        ],
    );
    assert!(!manifest.contains("timeout"), "what is stated and not told has no default: {manifest}");
}

/// Values that are looked up, given otherwise or not to be seen are none that a manifest has; a text that would have no end is not
/// put together.
#[test]
fn a_default_that_is_not_the_value_is_not_copied() {
    let long = "x".repeat(3_000);
    let variables = format!(
        "{{TABLE: !Ref Table, STAGE: !Ref Stage, TOKEN: !Ref Token, LONG: !Sub '{}', NAME: !Ref Name}}",
        "${Long}".repeat(90)
    );
    let template = format!(
        "Parameters:\n  Table: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /app/table}}\n  Stage: {{Type: String, Default: dev}}\n  \
         Token: {{Type: String, NoEcho: true, Default: hunter2}}\n  Long: {{Type: String, Default: {long}}}\n  Name: {{Type: String, Default: orders}}\n\
         Globals:\n  Function:\n    Layers: [!Ref common]\nResources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      \
         Runtime: python3.13\n      Handler: app.handler\n      CodeUri: fn\n      Layers: [!Ref own]\n      Environment: {{Variables: {variables}}}\n  \
         common: {{Type: 'AWS::Serverless::LayerVersion', Properties: {{ContentUri: ., CompatibleRuntimes: [python3.13]}}}}\n  \
         own: {{Type: 'AWS::Serverless::LayerVersion', Properties: {{ContentUri: own, CompatibleRuntimes: [python3.13]}}}}\n"
    );
    let sandbox = project(&[
        ("template.yaml", &template),
        (
            "samconfig.toml",
            "version = 0.1\n[default.deploy.parameters]\nparameter_overrides = \"Stage=prod\"\n",
        ),
        ("fn/app.py", HANDLER),
        ("python/shared.py", "NAME = 1\n"),
        ("own/python/mine.py", "NAME = 1\n"),
    ]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let manifest = text(&sandbox, "manifests/fn.toml");
    contains(&manifest, &["\nlayers = [\"common\", \"own\"]", "\"NAME\" = \"orders\""]);
    for value in ["/app/table", "\"dev\"", "hunter2", "xxx"] {
        assert!(!manifest.contains(value), "{value}: {manifest}");
    }
    contains(&text(&sandbox, "manifests/common.toml"), &["\npath = \"../python\""]);
}

#[test]
fn what_states_no_architecture_has_the_default_of_its_kind() {
    let sandbox = project(&[
        ("web/Dockerfile", "FROM python:3.13-slim\n"),
        ("fn/Dockerfile", "FROM public.ecr.aws/lambda/python:3.13\n"),
    ]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    contains(&text(&sandbox, "manifests/web.toml"), &["\narchitecture = \"x86_64\"   # or \"arm64\"\n"]);
    let function = text(&sandbox, "manifests/fn.toml");
    contains(&function, &["\narchitecture = \"x86_64\"   # Lambda's default; or \"arm64\"\n"]);
}

#[test]
fn layers_of_terraform_and_serverless_are_artifacts_or_told() {
    let module = "data \"archive_file\" \"shared\" {
  type = \"zip\"
  source_dir = \"${path.module}/layers/shared\"
  output_path = \"${path.module}/shared.zip\"
}
data \"archive_file\" \"fn\" {
  type = \"zip\"
  source_dir = \"src/fn\"
  output_path = \"fn.zip\"
}
resource \"aws_lambda_layer_version\" \"fn\" {
  layer_name = \"shared\"
  filename   = \"${path.module}/shared.zip\"
}
resource \"aws_lambda_function\" \"fn\" {
  filename = data.archive_file.fn.output_path
  handler  = \"app.handler\"
  runtime  = \"python3.13\"
  layers   = [
    aws_lambda_layer_version.fn.arn,
    \"arn:aws:lambda:eu-central-1:123456789012:layer:vendored:3\",
  ]
}
";
    let of_layer = ("layers/shared/python/shared.py", "NAME = 'shared'\n");
    let user = "import shared\n\ndef handler(event, context):\n    return shared.NAME\n";
    let sandbox = project(&[("main.tf", module), of_layer, ("src/fn/app.py", user)]);
    let outcome = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let untold = "its layer \"arn:aws:lambda:eu-central-1:123456789012:layer:vendored:3\" in main.tf:21 has no code here; what it brings is not known";
    outcome
        .prints(&[&format!("not told: layers: {untold}\n")])
        .says(&["fill in the commented lines of manifests/fn.toml"]);
    contains(
        &text(&sandbox, "manifests/fn.toml"),
        &[
            &format!("\nlayers = [\"fn-layer\"]\n# {untold}.\n# To have it here, too, make an artifact"),
            "Until then the\n# function is built and checked without it, and kiln export does not list it:\n# layers = [\"fn-layer\", \"NAME\"]\n",
        ],
    );
    contains(
        &text(&sandbox, "manifests/fn-layer.toml"),
        &["kind = \"lambda-layer\"", "runtime = \"python3.13\"\n", "path = \"../layers/shared/python\"\n"],
    );

    let service = "service: s
provider:
  name: aws
  runtime: python3.13
  architecture: arm64
layers:
  common:
    path: layers/common
functions:
  one:
    handler: app.handler
    layers:
      - !Ref CommonLambdaLayer
      - ${cf:other.Layer}
  two:
    handler: app.handler
    layers: [{Ref: CommonLambdaLayer}]
";
    let sandbox = project(&[
        ("serverless.yml", service),
        ("layers/common/python/shared.py", "NAME = 'shared'\n"),
        ("lib/more.py", "X = 1\n"),
        ("app.py", user),
    ]);
    let outcome = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    outcome.prints(&["not told: layers: its layer ${cf:other.Layer} in serverless.yml:14 has no code here"]);
    let two = text(&sandbox, "manifests/two.toml");
    contains(&two, &["\nlayers = [\"common\"]\n", "include = [\"app.py\", \"lib/**\"]\n"]);
    contains(&text(&sandbox, "manifests/common.toml"), &["architecture = \"arm64\"\n"]);
}

#[test]
fn a_layer_that_an_expression_chooses_is_told_with_its_line() {
    let template = "Resources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      Handler: app.handler\n      CodeUri: src/fn\n      Layers:\n        - !If [IsProd, !Ref One, !Ref Two]\n";
    let sandbox = project(&[("template.yaml", template), ("src/fn/app.py", HANDLER)]);
    let outcome = sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let untold = "its layer !If … in template.yaml:9 has no code here; what it brings is not known";
    outcome
        .prints(&[&format!("not told: layers: {untold}\n")])
        .says(&["fill in the commented lines of manifests/fn.toml"]);
    let manifest = text(&sandbox, "manifests/fn.toml");
    contains(&manifest, &[&format!("\n# {untold}.\n"), "\n# layers = [\"NAME\"]\n"]);
}

#[test]
fn a_value_of_a_deployment_is_told_where_it_is_and_not_copied() {
    let module = terraform(
        "[\"x86_64\"]",
        "variable \"token\" { type = string }\nvariable \"later\" { type = string }\n",
    );
    let environment =
        "  environment {\n    variables = { TOKEN = var.token, LATER = var.later }\n  }\n  handler = ";
    let sandbox = project(&[
        ("main.tf", &module.replacen("  handler = ", environment, 1)),
        ("terraform.tfvars", "token = \"hunter2\"\n"),
        ("src/fn/app.py", HANDLER),
    ]);
    sandbox.kiln().run(["init"]).ends_with(exit::SUCCESS);
    let manifest = text(&sandbox, "manifests/fn.toml");
    contains(
        &manifest,
        &[
            "# var.token in terraform.tfvars: it may be a secret, and is not copied; the code may need a value in order to be imported: TOKEN\n",
            "# Made or given when it is deployed; the code may need a value in order to be imported: LATER\n",
            "# env = { \"TOKEN\" = \"…\" }\n",
        ],
    );
    assert!(!manifest.contains("hunter2"), "{manifest}");
}

#[test]
fn functions_for_arm64_in_three_commands() {
    let template = "Resources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.13\n      Handler: app.handler\n      CodeUri: src/fn\n      Architectures: [arm64]\n";
    let sandbox = project(&[("template.yaml", template), ("src/fn/app.py", HANDLER)]);
    let kiln = sandbox.kiln();
    kiln.run(["init"]).ends_with(exit::SUCCESS).says(&["next: kiln lock --all, then kiln build --all"]);
    contains(
        &text(&sandbox, "images/python-3.13.toml"),
        &["# arm64; see docs/python.md.\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n"],
    );
    kiln.run(["lock", "--all"]).ends_with(exit::SUCCESS);
    let built = kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    if !runs_arm64() {
        built.says(&["there is no arm64 engine here"]);
    }
    kiln.run(["lock", "--all"]).ends_with(exit::SUCCESS);
    kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).published_only(&[]);
}

#[test]
fn options_and_folders_that_are_not_taken_are_told() {
    let template = "Resources:\n  fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: python3.11\n      Handler: app.handler\n      CodeUri: src/nothere\n      Architectures: [x86_64]\n";
    let sandbox = project(&[("template.yaml", template)]);
    let words = ["init", "--runtime", "python3.13", "--architecture", "arm64"];
    let outcome = sandbox.kiln().run(words).ends_with(exit::SUCCESS);
    let because = "is for what names none, and was not taken where the project says otherwise: fn is for";
    outcome.prints(&["not told: source: `src/nothere`, which template.yaml names, is not there\n"]).says(&[
        &format!("--runtime python3.13 {because} python3.11"),
        &format!("--architecture arm64 {because} x86_64"),
    ]);
    contains(
        &text(&sandbox, "manifests/fn.toml"),
        &[
            "\n# `src/nothere`, which template.yaml names, is not there:\n# [source]\n# path = \"../src/nothere\"\n",
        ],
    );
}
