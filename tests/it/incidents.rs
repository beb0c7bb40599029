//! Incidents of other packagers that no other test of ours is about, and the page that lists all of them.

use crate::binaries::extension;
use crate::harness::{LocalIndex, Sandbox, repository, shared_object, wheel};
use crate::lock_artifact::tools;
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

/// `pip --platform manylinux2014_x86_64` of another Python brings a wheel whose extension module nothing finds in Lambda. It is
/// told where it was copied into the source folder and where only its hash is locked; the two commands end it.
#[test]
fn pydantic_core_of_another_python_is_told_and_ends_in_two_commands() {
    let object = shared_object(&extension("(void)0").replace("PyInit_native", "PyInit__pydantic_core"));
    let package = b"from ._pydantic_core import __doc__ as VALUE\n";
    let [older, fits] = [312, 313].map(|python| {
        let module = format!("pydantic_core/_pydantic_core.cpython-{python}-x86_64-linux-gnu.so");
        let files: [(&str, &[u8]); 2] = [("pydantic_core/__init__.py", package), (&module, &object)];
        let tag = format!("cp{python}-cp{python}-manylinux2014_x86_64");
        wheel("pydantic_core", "2.33.2", &tag, &[], &files)
    });
    let code = "import pydantic_core\n\n\ndef handler(event, context):\n    return pydantic_core.VALUE\n";

    // Copied beside the code, as `pip install --target` does.
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", code, "");
    let module = "pydantic_core/_pydantic_core.cpython-312-x86_64-linux-gnu.so";
    sandbox.write("manifests/app/src/pydantic_core/__init__.py", package);
    sandbox.write(&format!("manifests/app/src/{module}"), &object);
    sandbox.denied().says(&[
        &format!("deny[wrong-python-abi] app: {module}"),
        "is compiled for Python 3.12, but python3.13 runs Python 3.13",
        "No module named 'pydantic_core._pydantic_core'",
    ]);

    // Locked by the hash of the one wheel that pip brought.
    let index = LocalIndex::serve(&[older.clone(), fits.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", code, &older.requirement("")).write("kiln.lock", tools());
    sandbox.denied().says(&[
        "deny[no-compatible-wheel] app: pydantic-core",
        "one is for cp312-cp312, python3.13 has Python 3.13",
        "name what you want with `requirements` under [python] in manifests/app.toml, then kiln lock app -P pydantic-core; then kiln build app",
    ]);
    sandbox.write("manifests/app/requirements.in", "pydantic-core\n");
    let lock = "lock = \"app/requirements.txt\"\n";
    sandbox.replace("manifests/app.toml", lock, &format!("{lock}requirements = \"app/requirements.in\"\n"));
    sandbox.kiln().run(["lock", "app", "-P", "pydantic-core"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let shipped = "pydantic_core/_pydantic_core.cpython-313-x86_64-linux-gnu.so";
    assert!(record.files.iter().any(|file| file.path.as_str() == shipped), "{record:?}");
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
