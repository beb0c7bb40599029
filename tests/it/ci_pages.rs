//! The pages for CI systems: every command in them is run, in the order in which a project meets them, and linters of others
//! judge the jobs.

use crate::harness::{Kiln, LocalServer, Registry, Reply, Sandbox, needs, python_with, repository, runs};
use fs_err as fs;
use kiln_record::exit;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// The linters, each of a version that is known to find what it finds.
const LINTERS: [&str; 6] = [
    "zizmor==1.32.0",
    "check-jsonschema==0.39.0",
    "yamllint==1.38.0",
    "tree-sitter==0.26.1",
    "tree-sitter-groovy==0.1.2",
    "PyYAML==6.0.4",
];
/// Reads YAML, and writes it as JSON.
const TO_JSON: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
/// Names the lines of a pipeline that are no Groovy.
const GROOVY: &str = "import sys, tree_sitter, tree_sitter_groovy
language = tree_sitter.Language(tree_sitter_groovy.language())
tree = tree_sitter.Parser(language).parse(sys.stdin.buffer.read())
def faults(node):
    if node.type == 'ERROR' or node.is_missing:
        yield node.start_point.row + 1
    for child in node.children:
        yield from faults(child)
sys.exit(', '.join(f'line {row}' for row in faults(tree.root_node)) or 0)";
/// What jobs have beside kiln: nothing is logged in to, comments and snapshots are kept.
const STUBS: &str = "docker() { case $1 in
  login) cat > /dev/null ;;
  create) test -n \"$4\" ;;
  cp) cp \"$program\" \"$3\" ;;
  rm) ;;
  *) exit 1 ;;
esac; }
gh() { case $1 in
  api) cat > \"snapshot-$(basename \"$PWD\")-$#.json\" ;;
  pr) test \"$3\" = 7 && test -s \"$7\" ;;
  *) exit 1 ;;
esac; }
";

/// What a server was sent: what was asked of it, and the body.
type Uploads = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

fn page(name: &str) -> String {
    fs::read_to_string(repository().join("docs/ci").join(name)).unwrap()
}

/// The blocks of a page in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The one block of a page in a language.
fn job(name: &str, language: &str) -> String {
    let page = page(name);
    let [job] = blocks(&page, language)[..] else { panic!("{name} has one job") };
    job.to_owned()
}

/// Runs a script in the workspace, with `kiln` on its path.
fn run(kiln: &Kiln, script: &str) {
    let body = format!("program=$1; kiln() {{ \"$program\" \"$@\"; }}\n{STUBS}{script}");
    kiln.clone().in_shell(&body).run::<&str>([]).ends_with(exit::SUCCESS);
}

fn linters() -> PathBuf {
    python_with("linters", "yaml, yamllint, check_jsonschema, zizmor, tree_sitter_groovy", &LINTERS)
}

/// What a program of Python makes of a text; it must succeed.
#[track_caller]
fn python(program: &str, text: &str) -> String {
    let mut child = Command::new(linters())
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The scripts of a job of YAML, in order, below any of these keys.
fn scripts(job: &Value, keys: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    match job {
        Value::Object(map) => {
            for key in keys {
                match map.get(*key) {
                    Some(Value::String(text)) => found.push(text.clone()),
                    Some(Value::Array(lines)) => {
                        found.extend(lines.iter().map(|line| line.as_str().unwrap().to_owned()));
                    }
                    _ => {}
                }
            }
            found.extend(map.values().flat_map(|value| scripts(value, keys)));
        }
        Value::Array(values) => found.extend(values.iter().flat_map(|value| scripts(value, keys))),
        _ => {}
    }
    found
}

#[test]
fn every_command_of_the_pages_is_run() {
    needs(&[("curl", "curl")]);
    let registry = Registry::start();
    let sandbox = Sandbox::new();
    for name in ["orders", "parcels"] {
        sandbox.function(name, "3.13", "def handler(event, context):\n    return 1\n", "");
    }
    let key = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output().unwrap();
    assert!(key.status.success(), "openssl makes a key");
    let store = sandbox.folder().join("store");
    let sent = Uploads::default();
    let server = {
        let sent = Arc::clone(&sent);
        LocalServer::serve(move |request| {
            sent.lock().unwrap().push((format!("{} {}", request.method, request.path), request.body.clone()));
            Reply::Found(Arc::from(b"{}".as_slice()))
        })
    };
    let registry = format!("{}/team", registry.address());
    let variables = [
        ("KILN_REGISTRY", registry.as_str()),
        ("KILN_SIGNING_KEY", &String::from_utf8(key.stdout).unwrap()),
        ("KILN_IMAGE", "registry.example.org/kiln@sha256:0"),
        ("DEPENDENCY_TRACK", &format!("http://{}", server.address())),
        ("DEPENDENCY_TRACK_KEY", "a-key"),
        ("REVISION", "1.0"),
        ("GIT_COMMIT", "1.1"),
        ("GITHUB_ACTOR", "somebody"),
        ("GITHUB_REPOSITORY", "team/project"),
        ("GITHUB_WORKFLOW", "kiln"),
        ("GITHUB_JOB", "release"),
        ("GITHUB_RUN_ID", "17"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_SHA", &"ab".repeat(20)),
        ("NUMBER", "7"),
        ("TOKEN", "a-token"),
        ("CI_REGISTRY", "registry.example.org"),
        ("CI_REGISTRY_USER", "somebody"),
        ("CI_REGISTRY_PASSWORD", "a-password"),
        ("CI_MERGE_REQUEST_IID", "7"),
        ("CI_PROJECT_ID", "3"),
        ("CI_API_V4_URL", &format!("http://{}/api/v4", server.address())),
        ("KILN_COMMENT_TOKEN", "a-token"),
    ];
    let kiln = variables
        .iter()
        .fold(sandbox.kiln().with_store(&store), |kiln, (name, value)| kiln.with_variable(name, value));
    let comment = || String::from_utf8(sandbox.read("kiln.md")).unwrap();

    let text = page("README.md");
    let [check, gate, release, bills, bring, collect] = blocks(&text, "sh")[..] else {
        panic!("the page has six scripts")
    };
    run(&kiln, check);
    assert!(String::from_utf8(sandbox.read("kiln.xml")).unwrap().contains("<testsuites"));
    // Nothing was released yet.
    run(&kiln, gate);
    assert!(comment().contains("2 artifacts: 2 new"), "{}", comment());
    run(&kiln, release);
    // A change comes: of one function, a second one goes, and a third is new.
    sandbox.write("manifests/orders/src/app.py", "def handler(event, context):\n    return 22\n");
    fs::remove_file(sandbox.path("manifests/parcels.toml")).unwrap();
    fs::remove_dir_all(sandbox.path("dist/parcels")).unwrap();
    sandbox.function("stock", "3.13", "def handler(event, context):\n    return 3\n", "");
    run(&kiln, check);
    run(&kiln, gate);
    let told = comment();
    assert!(told.contains("1 new, 1 gone, 1 changed"), "{told}");
    assert!(told.contains("app.py") && told.contains("| parcels | gone |"), "{told}");
    run(&kiln, bills);
    let bill = sandbox.read("dist/orders/orders.cdx.json");
    let uploads = |what: &str| sent.lock().unwrap().iter().filter(|(asked, _)| asked == what).count();
    assert_eq!(uploads("POST /api/v1/bom"), 2);
    let has = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let version = b"name=\"projectVersion\"\r\n\r\n1.0\r\n";
    let is_upload = |body: &[u8]| has(body, &bill) && has(body, version) && !has(body, b"a-key");
    assert!(
        sent.lock().unwrap().iter().any(|(_, body)| is_upload(body)),
        "a bill with its version, and no key"
    );
    run(&kiln, collect);
    run(&kiln, &format!("{bring}./kiln --version"));
    let image: toml::Table =
        fs::read_to_string(repository().join("manifests/kiln-image.toml")).unwrap().parse().unwrap();
    let program = image["image"]["entrypoint"][0].as_str().unwrap();
    assert!(bring.contains(&format!("kiln:{program} ")), "{bring}");

    // The jobs call the scripts, and whatever else they run works as well.
    for (name, script) in [("check", check), ("gate", gate), ("release", release), ("bills", bills)] {
        sandbox.write(&format!("ci/{name}.sh"), format!("kiln() {{ \"$program\" \"$@\"; }}\n{script}"));
    }
    let json = |text: &str| serde_json::from_str::<Value>(&python(TO_JSON, text)).unwrap();
    let of_github = scripts(&json(&job("github.md", "yaml")), &["run"]);
    let of_gitlab = scripts(&json(&job("gitlab.md", "yaml")), &["before_script", "script", "after_script"]);
    let pipeline = job("jenkins.md", "groovy");
    let of_jenkins =
        pipeline.lines().filter_map(|line| Some(line.split_once("sh '")?.1.rsplit_once('\'')?.0.to_owned()));
    let of_jenkins: Vec<String> = of_jenkins.collect();
    for (scripts, least) in [(of_github, 8), (of_gitlab, 7), (of_jenkins, 5)] {
        assert!(scripts.len() >= least, "{scripts:?}");
        for script in ["ci/check.sh", "ci/gate.sh", "ci/release.sh"] {
            assert!(
                scripts.iter().any(|line| line.contains(&format!("sh {script}"))),
                "{script}: {scripts:?}"
            );
        }
        for script in scripts {
            run(&kiln, &format!("export program\n{script}"));
        }
    }
    assert_eq!(uploads("POST /api/v4/projects/3/merge_requests/7/notes"), 1);
    let posted =
        sent.lock().unwrap().iter().any(|(asked, body)| asked.ends_with("/notes") && has(body, b"orders"));
    assert!(posted, "the comment says what changed");
    for name in ["gl-sbom-orders.cdx.json", "gl-sbom-stock.cdx.json"] {
        let bill: Value = serde_json::from_slice(&sandbox.read(name)).unwrap();
        assert_eq!(bill["specVersion"], "1.6");
    }
    let hooks = fs::read_to_string(repository().join(".pre-commit-hooks.yaml")).unwrap();
    let entries: Vec<&str> = hooks.lines().filter_map(|line| line.trim().strip_prefix("entry: ")).collect();
    assert_eq!(entries.len(), 2);
    entries.iter().for_each(|entry| run(&kiln, entry));
}

#[test]
fn linters_of_others_find_nothing() {
    needs(&[("shellcheck", "shellcheck")]);
    let python_program = linters();
    let bin = python_program.parent().unwrap();
    let sandbox = Sandbox::bare();
    let at = |path: &str| sandbox.path(path).to_str().unwrap().to_owned();
    let workflow = ".github/workflows/kiln.yml";
    sandbox.write(workflow, job("github.md", "yaml"));
    sandbox.write(".gitlab-ci.yml", job("gitlab.md", "yaml"));
    fs::copy(repository().join(".pre-commit-hooks.yaml"), sandbox.path("hooks.yaml")).unwrap();
    let tool = |name: &str, arguments: &[&str]| runs(bin.join(name).to_str().unwrap(), arguments);

    tool("check-jsonschema", &["--builtin-schema", "vendor.github-workflows", &at(workflow)]);
    let of_gitlab = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"];
    tool("check-jsonschema", &[&of_gitlab[..], &[&at(".gitlab-ci.yml")]].concat());
    // `on` is a key there, and lines are as long as commands are.
    let rules = "{extends: default, rules: {document-start: disable, line-length: disable, truthy: {check-keys: false}}}";
    for file in [workflow, ".gitlab-ci.yml", "hooks.yaml"] {
        tool("yamllint", &["--strict", "-d", rules, &at(file)]);
    }
    tool("zizmor", &["--offline", "--no-progress", "--no-config", &at(workflow)]);
    python(GROOVY, &job("jenkins.md", "groovy"));

    let text = page("README.md");
    for (number, script) in blocks(&text, "sh").into_iter().enumerate() {
        let path = at(&format!("script-{number}.sh"));
        fs::write(Path::new(&path), format!("#!/bin/sh\n{script}")).unwrap();
        runs("shellcheck", &[&path]);
    }
}
