//! Many artifacts in one workspace.

use crate::harness::{LocalIndex, Sandbox, many};
use kiln_record::exit;
use std::collections::BTreeMap;

#[test]
fn a_changed_lock_of_twenty_builds_its_artifacts_and_no_other() {
    let (artifacts, bases) = (300, 20);
    let sandbox = Sandbox::bare();
    many::write(&sandbox.root(), artifacts, bases);
    let nowhere = LocalIndex::empty();
    let kiln = sandbox
        .kiln()
        .with_network_only_at(&nowhere.url())
        .with_variable("DOCKER_HOST", &nowhere.url().replace("http://", "tcp://"));
    let endings = || {
        let mut counted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let built = kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
        for (name, ending) in built.endings() {
            counted.entry(ending).or_default().push(name);
        }
        counted
    };
    assert_eq!(endings()["published"].len(), artifacts);
    assert_eq!(endings()["unchanged"].len(), artifacts);
    many::lock(&sandbox.root(), 7, "another");
    let after = endings();
    let mut expected: Vec<String> = (7..artifacts).step_by(bases).map(|one| format!("app-{one}")).collect();
    expected.sort();
    assert_eq!((&after["published"], after["unchanged"].len()), (&expected, artifacts - expected.len()));
    assert_eq!(nowhere.requests(), 0, "neither an engine nor a server was asked");
}
