//! `docs/rebuild.md`: which commit a build is of, building it again, and finding what builds hold.

use crate::harness::page::Walk;
use crate::harness::{LocalIndex, Sandbox, wheel};
use kiln_record::{Digest, exit};

#[test]
fn a_build_is_traced_made_again_and_searched() {
    let urllib3 = wheel("urllib3", "2.4.0", "py3-none-any", &[], &[("urllib3.py", b"VALUE = 1\n")]);
    let requests =
        wheel("requests", "2.32.0", "py3-none-any", &["urllib3"], &[("requests.py", b"import urllib3\n")]);
    let wheels = [requests, urllib3];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let lines: String = wheels.iter().map(|wheel| wheel.requirement("")).collect();
    let mut commit = String::new();
    for number in 1..=3 {
        let code = format!("import requests\n\ndef handler(event, context):\n    return {number}\n");
        sandbox.function("dashboard", "3.13", &code, &lines);
        commit = sandbox.commit("a change");
        sandbox.git(&["tag", &format!("v1.{number}")]);
        sandbox.kiln().run(["build", "dashboard"]).ends_with(exit::SUCCESS);
    }
    let published = Digest::of(&sandbox.read("dist/dashboard/dashboard.zip"));

    let mut walk = Walk::of("docs/rebuild.md", &[]);
    let [history, rebuilt, found] = walk.take(&sandbox.kiln());
    let short = &commit[..12];
    history.prints(&["dashboard\n", "@1 ", "@3 ", "unpacked", &format!("commit {short} (v1.3), clean")]);
    let source = format!("@{commit}");
    let published = published.to_string();
    rebuilt.prints(&[
        "dashboard@3: E0 (identical bytes)",
        &source,
        "published    ",
        "rebuilt      ",
        &published,
    ]);
    found.prints(&[
        "python      urllib3 2.4.0  @1-3 since ",
        "through dashboard > requests",
        "1 artifact, in 3 builds",
    ]);
}
