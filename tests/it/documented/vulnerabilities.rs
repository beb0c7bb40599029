//! `docs/vulnerabilities.md`: known vulnerabilities of what is published, one of which a statement silences.

use crate::harness::page::{Walk, blocks, text};
use crate::harness::signed::publish;
use crate::harness::{Release, Sandbox};
use kiln_record::{Digest, exit};
use serde_json::json;

const PAGE: &str = "docs/vulnerabilities.md";

#[test]
fn builds_are_held_against_an_export_and_statements() {
    let sandbox = Sandbox::bare();
    let mut orders = Release::new("orders");
    orders.distribution("alpha", "1.2", "alpha.py", b"1").distribution("beta", "0.9", "beta.py", b"2");
    publish(&sandbox, &orders, "2026-11-02T10:00:00Z");
    for (id, name, fixed) in [("CVE-2026-1", "alpha", "1.3"), ("CVE-2026-2", "beta", "1.0")] {
        let advisory = json!({
            "id": id, "modified": "2026-01-02T03:04:05Z", "summary": format!("{name} can be had by others"),
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [{"package": {"ecosystem": "PyPI", "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}]}],
        });
        sandbox.write(&format!("osv/{id}.json"), advisory.to_string());
    }
    // The statements are those of the page, about the archive that is here.
    let page = text(PAGE);
    let [("toml", statements)] =
        blocks(&page).into_iter().filter(|(language, _)| *language == "toml").collect::<Vec<_>>()[..]
    else {
        panic!("the page shows one file of statements")
    };
    let digest = Digest::of(&sandbox.read("dist/orders/orders.zip")).to_string();
    sandbox.write("vex.toml", statements.replace("sha256:…", &digest));

    let mut walk = Walk::of(PAGE, &[]);
    walk.next(&sandbox.kiln()).prints(&[
        "dist/orders: 1 vulnerability, 1 silenced; ",
        "critical 9.8  CVE-2026-1          alpha 1.2, fixed in 1.3",
        "alpha can be had by others",
        "built without the parser",
    ]);

    // An export of which nothing can be read says nothing of anybody.
    sandbox.write("none/a.json", "{\"hello\": 1}");
    let audit = sandbox.kiln().run(["audit", "dist", "--osv", "none"]);
    audit
        .ends_with(exit::INPUT_INVALID)
        .says(&["none of its documents is an advisory that can be read; a.json: "]);
}
