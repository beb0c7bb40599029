//! `docs/evidence.md`: the bill of materials of a build in each form, and the archives of crates inside wheels.

use crate::crate_archives::native;
use crate::harness::page::Walk;
use crate::harness::{Sandbox, wheel};
use kiln_record::{Digest, exit};
use serde_json::Value;

#[test]
fn bills_are_written_for_each_reader_and_crates_are_locked() {
    let (index, requirement, [serde, itoa, gimli]) = native();
    let sandbox = Sandbox::new().with_index(&index);
    for (name, bytes) in [("serde-1.0.2", &serde), ("itoa-1.0.9", &itoa), ("gimli-0.31.1", &gimli)] {
        sandbox.write(&format!("registry/{name}.crate"), bytes);
    }
    sandbox.function("web", "3.13", "def handler(event, context):\n    return None\n", "");
    let words = wheel(
        "words",
        "1.0",
        "py3-none-any",
        &[],
        &[("words.py", b"VALUE = 1\n"), ("words-1.0.dist-info/LICENSE", b"Copyright of the words\n")],
    );
    index.add(&words, &words.digest().hex(), &words.bytes);
    let requirements = requirement + &words.requirement("");
    for number in 1..=3 {
        let code = format!("import native, words\n\ndef handler(event, context):\n    return {number}\n");
        sandbox.function("dashboard", "3.13", &code, &requirements);
        sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    }
    let commit = "ab".repeat(20);
    let kiln = sandbox
        .kiln()
        .with_variable("GITHUB_WORKFLOW", "release")
        .with_variable("GITHUB_JOB", "build")
        .with_variable("GITHUB_RUN_ID", "17")
        .with_variable("GITHUB_REF", "refs/heads/main")
        .with_variable("GITHUB_SHA", &commit)
        .with_variable(
            "KILN_CRATES",
            &format!("file://{}/{{crate}}-{{version}}.crate", sandbox.path("registry").display()),
        );

    let mut walk = Walk::of("docs/evidence.md", &[]);
    let [newest, older, spdx, spdx3, gitlab, notice, github] = walk.take(&kiln);
    assert!(newest.stdout.as_bytes() == sandbox.read("dist/dashboard/dashboard.cdx.json"), "{newest}");
    let newest = newest.json();
    assert_eq!((&newest["bomFormat"], &newest["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let older = older.json();
    assert_eq!((&older["bomFormat"], &older["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(spdx.json()["spdxVersion"], "SPDX-2.3");
    let spdx3 = spdx3.json();
    assert_eq!(spdx3["@context"], "https://spdx.org/rdf/3.0.1/spdx-context.jsonld");
    let packages = spdx3["@graph"].as_array().unwrap().iter().filter(|one| one["type"] == "software_Package");
    assert!(packages.into_iter().any(|one| one["name"] == "web"), "{spdx3:#}");
    let gitlab = gitlab.json();
    assert_eq!(gitlab["specVersion"], "1.6");
    let properties = gitlab["metadata"]["properties"].as_array().unwrap();
    let lock = properties.iter().find(|one| one["name"] == "gitlab:dependency_scanning:input_file:path");
    assert_eq!(lock.unwrap()["value"], "manifests/dashboard/requirements.txt", "{gitlab:#}");
    notice.prints(&["--- words-1.0.dist-info/LICENSE", "Copyright of the words"]);
    let github = github.json();
    assert_eq!((&github["sha"], &github["job"]["id"]), (&commit.as_str().into(), &"17".into()));
    assert!(github["manifests"]["dashboard"]["resolved"].as_object().is_some_and(|all| !all.is_empty()));

    // One that the registry does not have is told, and what is locked is all that can be had.
    walk.next(&kiln).prints(&["kiln.lock: written: 3 crates"]).says(&["gone 1.0.0: "]);
    walk.next(&kiln).prints(&["kiln.lock: "]);
    let check = "kiln lock --crates --check # exit code 11";
    let lock = String::from_utf8(sandbox.read("kiln.lock")).unwrap();
    let (without, _) = lock.split_at(lock.rfind("[[crate]]").unwrap());
    sandbox.write("kiln.lock", without);
    walk.run(&kiln, check).prints(&["would change"]);

    // Bills have the digests of those archives then.
    kiln.run(["build", "dashboard"]).ends_with(exit::SUCCESS);
    let bill: Value = serde_json::from_slice(&sandbox.read("dist/dashboard/dashboard.cdx.json")).unwrap();
    assert!(bill.to_string().contains(&Digest::of(&serde).hex()));
}
