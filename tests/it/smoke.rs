//! The shortest way through everything.

use crate::harness::{LocalIndex, Sandbox, wheel};
use kiln_record::exit;

const CODE: &str = "import greeting\n\ndef handler(event, context):\n    return greeting.hello()\n";

#[test]
fn a_function_with_one_distribution_is_built_and_is_not_built_again() {
    let greeting = wheel(
        "greeting",
        "1.0",
        "py3-none-any",
        &[],
        &[("greeting.py", b"def hello():\n    return 'hello'\n")],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &greeting.requirement(""));
    let first = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    assert_eq!(first.json()["artifacts"][0]["ending"], "published");
    let names: Vec<String> = sandbox.dist().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "app/SHA256SUMS",
            "app/app.cdx.json",
            "app/app.intoto.jsonl",
            "app/app.zip",
            "app/record.json",
            "index.json"
        ]
    );
    let asked = index.requests();
    let second = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    assert_eq!(second.json()["artifacts"][0]["ending"], "unchanged");
    assert_eq!(index.requests(), asked, "nothing was asked of the index");
}
