//! The page of runbooks: every command of it is run, in the situation that it is for.

use crate::harness::page::{commands, text, words};
use crate::harness::{LocalIndex, Outcome, Sandbox, WheelFile, wheel};
use crate::lock_artifact::tools;
use kiln_record::exit;
use std::collections::BTreeMap;

const CODE: &str = "import parcels\n\n\ndef handler(event, context):\n    return parcels.WEIGHT\n";

/// A release of the distribution, with as many bytes of tables.
fn parcels(version: &str, bytes: usize) -> WheelFile {
    let tables = "1".repeat(bytes);
    wheel(
        "parcels",
        version,
        "py3-none-any",
        &[],
        &[("parcels.py", format!("WEIGHT = \"{tables}\"\n").as_bytes())],
    )
}

/// The commands of each section of the page, by its heading.
fn sections() -> BTreeMap<String, Vec<Vec<String>>> {
    let page = text("docs/runbooks.md");
    let section = |text: &str| commands(text).iter().map(|line| words(line)).collect();
    page.split("\n## ").skip(1).map(|text| (text.lines().next().unwrap().to_owned(), section(text))).collect()
}

#[test]
fn every_runbook_does_what_it_says() {
    let index = LocalIndex::empty();
    let offer = |wheel: &WheelFile| index.add(wheel, &wheel.digest().hex(), &wheel.bytes);
    offer(&parcels("1.0", 100));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox
        .function("orders", "3.13", CODE, "")
        .append(
            "manifests/orders.toml",
            "\n[python]\nlock = \"orders/requirements.txt\"\nrequirements = \"orders/requirements.in\"\n",
        )
        .write("manifests/orders/requirements.in", "parcels >=1\n")
        .write("kiln.lock", tools());
    let run = |arguments: &[String]| {
        let outcome = sandbox.kiln().run(arguments);
        match arguments[0].as_str() {
            // The index of this test has no uv.
            "pins" => outcome.ends_with(exit::FETCH_FAILED).prints(&["tool uv  not asked"]),
            _ => outcome.ends_with(exit::SUCCESS),
        }
    };
    sandbox.kiln().run(["lock", "orders"]).ends_with(exit::SUCCESS);
    sandbox.commit("first");
    sandbox.kiln().run(["build", "orders"]).ends_with(exit::SUCCESS);
    let first = sandbox.read("dist/orders/orders.zip");
    let mut sections = sections();
    let mut take = |heading: &str| -> Vec<Outcome> {
        let commands = sections.remove(heading).unwrap_or_else(|| panic!("the page has: {heading}"));
        commands.iter().map(|arguments| run(arguments)).collect()
    };

    offer(&parcels("1.1", 130));
    let [pins, _, _, diff, _]: [Outcome; 5] = take("Bring a newer dependency").try_into().unwrap();
    pins.prints(&["parcels", "1.1"]);
    diff.prints(&["parcels", "1.0", "1.1"]);

    let rotated = take("Rotate a base");
    assert_eq!(rotated.len(), 4);

    let [_, restore, verify, diff]: [Outcome; 4] = take("Roll back").try_into().unwrap();
    restore.prints(&["orders@1"]);
    verify.prints(&["same restored/orders@1: 5 files, each as its record says; build 1 of the ledger"]);
    diff.prints(&["parcels"]);
    assert_eq!(sandbox.read("restored/orders@1/orders.zip"), first);

    let commands = sections.remove("A package is compromised").unwrap();
    let (before, after) = commands.split_at(2);
    run(&before[0]).prints(&["parcels 1.1", "through orders"]);
    run(&before[1]).prints(&["parcels"]);
    sandbox.write("manifests/orders/requirements.in", "parcels >=1, !=1.1\n");
    let after: Vec<Outcome> = after.iter().map(|arguments| run(arguments)).collect();
    let [_, _, gone, diff]: [Outcome; 4] = after.try_into().unwrap();
    gone.prints(&["nothing in 1 build"]);
    diff.prints(&["parcels", "1.1", "1.0"]);

    let [healthy] = &sections.remove("A file was changed after its build").unwrap()[..] else {
        panic!("one command")
    };
    run(healthy);
    sandbox.write("dist/orders/orders.cdx.json", "{}");
    sandbox.kiln().run(healthy).ends_with(exit::NOT_REPRODUCIBLE).prints(&["orders.cdx.json"]);
    sandbox.kiln().run(["verify", "--repair"]).ends_with(exit::SUCCESS).prints(&["repaired dist/orders"]);
    assert!(sections.is_empty(), "{sections:?}");
}
