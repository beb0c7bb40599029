//! The tags of a repository as a history of what was released, and as a place to look in.

use crate::harness::{Registry, Sandbox, audit};
use kiln_record::exit;

#[test]
fn the_tags_of_a_repository_are_a_history_and_a_place_to_find_in() {
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let sandbox = Sandbox::new();
    // The tags in the order in which they are pushed, which is not that of releases, nor that of their letters.
    for (tag, answer) in [("v10", 10), ("v9", 9), ("v1", 1)] {
        let code = format!("def handler(event, context):\n    return {answer}\n");
        sandbox.function("app", "3.13", &code, "");
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
        sandbox.kiln().run(["push", "app", "--to", &to, "--tag", tag]).ends_with(exit::SUCCESS);
    }
    sandbox.kiln().run(["push", "app", "--to", &to, "--tag", "stable"]).ends_with(exit::SUCCESS);
    // Something that no record refers to.
    let (kind, manifest) = registry.document("team/app", "v10").unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    manifest["annotations"]["org.example.by"] = "somebody else".into();
    registry.put_manifest("team/app", "foreign", &kind, manifest.to_string().as_bytes());

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let repository = format!("{to}/app");
    let told = audit(at, &["history", &repository, "--format", "json"]).ends_with(exit::INPUT_INVALID);
    told.clone().says(&["not read: ", "app:foreign: "]);
    let json = told.json();
    let tags: Vec<&serde_json::Value> = json.as_array().unwrap().iter().map(|build| &build["tags"]).collect();
    assert_eq!(
        tags,
        [&serde_json::json!(["stable", "v1"]), &serde_json::json!(["v9"]), &serde_json::json!(["v10"])]
    );
    audit(at, &["history", &repository])
        .ends_with(exit::INPUT_INVALID)
        .prints(&["stable, v1\n", "v10  +1 B unpacked"]);

    // What was not looked at may hold it as well.
    let found = audit(at, &["find", "base:python-3.13", "--registry", &repository]);
    found.ends_with(exit::INPUT_INVALID).prints(&[
        "(stable, v1)",
        "(v10)",
        "in 3 builds looked at",
        "not looked at: ",
        "app:foreign",
    ]);

    let (one, nine) = (format!("{repository}:v1"), format!("{repository}:v9"));
    let diff = ["diff", &one, &nine, "--history", &repository, "--allow", "unexplained"];
    audit(at, &diff).ends_with(exit::SUCCESS).prints(&[&format!(
        "Size against history, from 3 records of {repository}; without what could not be read: 1"
    )]);

    audit(at, &["history", &format!("{to}/nothing")]).says(&["the registry has no such repository"]);
}
