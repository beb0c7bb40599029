//! The pages for CI systems: every command of kiln in them is run, in the order in which a project meets them.

use crate::harness::{Kiln, Registry, Sandbox, repository};
use kiln_record::exit;
use std::process::Command;

fn page(name: &str) -> String {
    fs_err::read_to_string(repository().join("docs/ci").join(name)).unwrap()
}

/// The blocks of a page in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Runs a script in the workspace, with `kiln` on its path.
fn run(kiln: &Kiln, script: &str) {
    let body = format!("program=$1; kiln() {{ \"$program\" \"$@\"; }}\n{script}");
    kiln.clone().in_shell(&body).run::<&str>([]).ends_with(exit::SUCCESS);
}

#[test]
fn every_command_of_the_pages_is_run() {
    let registry = Registry::start();
    let sandbox = Sandbox::new();
    sandbox.function("orders", "3.13", "def handler(event, context):\n    return 1\n", "");
    let key = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output().unwrap();
    assert!(key.status.success(), "openssl makes a key");
    let store = sandbox.folder().join("store");
    let kiln = sandbox
        .kiln()
        .with_store(&store)
        .with_variable("KILN_REGISTRY", &format!("{}/team", registry.address()))
        .with_variable("KILN_SIGNING_KEY", &String::from_utf8(key.stdout).unwrap());

    let scripts = page("README.md");
    let [check, gate, release, collect] = blocks(&scripts, "sh")[..] else {
        panic!("the page has four scripts")
    };
    run(&kiln, check);
    assert!(String::from_utf8(sandbox.read("kiln.xml")).unwrap().contains("<testsuites"));
    run(&kiln, release);
    // A change comes.
    sandbox.write("manifests/orders/src/app.py", "def handler(event, context):\n    return 22\n");
    run(&kiln, check);
    run(&kiln, gate);
    let comment = String::from_utf8(sandbox.read("kiln.md")).unwrap();
    assert!(comment.contains("orders") && comment.contains("app.py"), "{comment}");
    run(&kiln, collect);
    run(&kiln, check);

    // Jobs call the scripts, and whatever else they run of kiln works as well.
    for (name, language) in [("github.md", "yaml"), ("gitlab.md", "yaml"), ("jenkins.md", "groovy")] {
        let page = page(name);
        let [job] = blocks(&page, language)[..] else { panic!("{name} has one job") };
        for script in ["ci/check.sh", "ci/gate.sh", "ci/release.sh"] {
            assert!(job.contains(&format!("sh {script}")), "{name} runs {script}");
        }
        let start = |line: &str| {
            ["run: ", "- ", "sh '"].iter().find_map(|before| {
                let at = line.find(&format!("{before}kiln "))? + before.len();
                Some(line[at..].trim_end_matches(['\'', ' ', '}']).to_owned())
            })
        };
        for command in job.lines().filter_map(start) {
            run(&kiln, &command);
        }
    }
    let hooks = fs_err::read_to_string(repository().join(".pre-commit-hooks.yaml")).unwrap();
    let entries: Vec<&str> = hooks.lines().filter_map(|line| line.trim().strip_prefix("entry: ")).collect();
    assert_eq!(entries.len(), 2);
    entries.iter().for_each(|entry| run(&kiln, entry));
}
