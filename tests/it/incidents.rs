//! Incidents of other packagers that no other test of ours is about, and the page that lists all of them.

use crate::harness::{LocalIndex, Sandbox, repository, wheel};
use kiln_record::{Cause, Record, exit};
use std::collections::BTreeSet;

/// A line of a hashed lock cannot be taken out without breaking the lock; kiln leaves the distribution out instead, and
/// what only it required with it.
#[test]
fn serverless_python_requirements_284_boto3_is_left_out_and_the_lock_stays_whole() {
    let boto3 = wheel("boto3", "1.40.0", "py3-none-any", &["botocore"], &[("boto3/__init__.py", b"")]);
    let botocore = wheel("botocore", "1.40.0", "py3-none-any", &[], &[("botocore/__init__.py", b"")]);
    let own = wheel("acme", "1.0", "py3-none-any", &["boto3"], &[("acme.py", b"ANSWER = 42\n")]);
    let all = [&boto3, &botocore, &own];
    let index = LocalIndex::serve(&all.map(Clone::clone));
    let lock: String = all.iter().map(|wheel| wheel.requirement("")).collect();
    let sandbox = Sandbox::new().with_index(&index);
    sandbox
        .function(
            "app",
            "3.13",
            "import acme\n\ndef handler(event, context):\n    return acme.ANSWER\n",
            &lock,
        )
        .append("manifests/app.toml", "from-runtime = [\"boto3\", \"botocore\"]\n");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let record: Record = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    assert!(record.files.iter().any(|file| file.path.as_str() == "acme.py"));
    assert!(!record.files.iter().any(|file| file.path.as_str().starts_with("boto")));
    let gaps: BTreeSet<&str> = record
        .gaps
        .iter()
        .filter(|gap| matches!(gap.cause, Cause::Runtime { .. }))
        .map(|gap| gap.distribution.as_str())
        .collect();
    assert_eq!(gaps, BTreeSet::from(["boto3", "botocore"]), "the record says why they are not there");
    assert_eq!(sandbox.read("manifests/app/requirements.txt"), lock.as_bytes());

    // What the runtime does not have cannot be left to it.
    sandbox.replace("manifests/app.toml", "\"boto3\", \"botocore\"", "\"acme\"");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(&["acme", "from-runtime"]);
}

/// Functions that are built side by side and share their dependencies neither overwrite one another's files nor fetch
/// anything twice.
#[test]
fn terraform_aws_lambda_266_functions_that_are_built_side_by_side() {
    let shared: Vec<_> = (0..6)
        .map(|number| {
            let name = format!("shared{number}");
            let content = format!("NUMBER = {number}\n").into_bytes();
            wheel(&name, "1.0", "py3-none-any", &[], &[(&format!("{name}.py"), &content)])
        })
        .collect();
    let index = LocalIndex::serve(&shared);
    let lock: String = shared.iter().map(|wheel| wheel.requirement("")).collect();
    let sandbox = Sandbox::new().with_index(&index);
    let names: Vec<String> = (0..8).map(|number| format!("f{number}")).collect();
    for name in &names {
        let code = format!("import shared0\n\ndef handler(event, context):\n    return \"{name}\"\n");
        sandbox.function(name, "3.13", &code, &lock);
    }
    let cold = sandbox.folder().join("cold");
    sandbox.kiln().with_store(&cold).run(["build", "--all", "--jobs", "8"]).ends_with(exit::SUCCESS);
    // A page of the index may be asked for by each function, but no file twice.
    assert!(index.requests() <= shared.len() * (names.len() + 1), "{} requests", index.requests());
    let zips = |sandbox: &Sandbox| -> Vec<Vec<u8>> {
        names.iter().map(|name| sandbox.read(&format!("dist/{name}/{name}.zip"))).collect()
    };
    let together = zips(&sandbox);
    sandbox.kiln().run(["build", "--all", "--force", "--jobs", "1"]).ends_with(exit::SUCCESS);
    assert_eq!(zips(&sandbox), together, "one after the other, they are the same");
}

/// Every test that `docs/incidents.md` names is there, so that no line of it outlives what holds it.
#[test]
fn the_incidents_page_names_tests_that_exist() {
    let page = fs_err::read_to_string(repository().join("docs/incidents.md")).unwrap();
    let mut named = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        for word in line.split('`').skip(1).step_by(2).filter(|word| word.contains("::")) {
            let (place, test) = word.rsplit_once("::").unwrap();
            let file = match place.split_once('/') {
                Some((name, module)) => format!("crates/{name}/tests/it/{module}.rs"),
                None => format!("tests/it/{place}.rs"),
            };
            let text = fs_err::read_to_string(repository().join(&file))
                .unwrap_or_else(|error| panic!("`{word}`: {error}"));
            let declared = format!("\nfn {test}() {{");
            let before = text.split(&declared).next().unwrap_or_default();
            assert!(text.contains(&declared), "{file} has no test `{test}`");
            let attributes = before.rsplit("\n\n").next().unwrap_or_default();
            assert!(attributes.contains("#[test]"), "`{word}` is a function, but no test");
            named += 1;
        }
    }
    assert!(named >= 40, "only {named} tests are named");
}
