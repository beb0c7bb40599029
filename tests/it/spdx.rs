//! SPDX 3 as its own project's binding reads it, which is generated from the model of the standard.

use crate::harness::signed::published;
use crate::harness::{Sandbox, python_with, runs};
use fs_err as fs;
use kiln_record::exit;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Reads a document, sees that nothing is referred to that is not there, and writes it anew, which holds every property against the
/// model: its kind, its values, and how often it may be there.
const READER: &str = r#"
import io, json, sys
import spdx_python_model

model, found = spdx_python_model.load_data(json.load(open(sys.argv[1])))
missing = sorted(one for one in found.missing_ids if not one.startswith("https://spdx.org/rdf/3.0.1/terms/"))
if missing:
    raise SystemExit(f"nothing is called {missing}")
model.JSONLDSerializer().write(found, io.BytesIO())
packages = [one for one in found.objects if isinstance(one, model.software_Package)]
print(len(packages), sorted(one.software_packageUrl for one in packages if one.software_packageUrl)[-1])
"#;

fn python() -> std::path::PathBuf {
    python_with("spdx3", "spdx_python_model", &["spdx-python-model==0.0.6"])
}

fn document(sandbox: &Sandbox) -> Value {
    sandbox
        .kiln()
        .run(["sbom", "dist/orders/record.json", "--as", "spdx-3.0"])
        .ends_with(exit::SUCCESS)
        .json()
}

fn script(sandbox: &Sandbox) -> String {
    let script = sandbox.folder().join("reader.py");
    fs::write(&script, READER).unwrap();
    script.to_str().unwrap().to_owned()
}

fn refused(sandbox: &Sandbox, document: &Value) -> String {
    let file = sandbox.folder().join("wrong.spdx3.json");
    fs::write(&file, document.to_string()).unwrap();
    let output = Command::new(python()).args([Path::new(&script(sandbox)), &file]).output().unwrap();
    assert!(!output.status.success(), "{document}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_standards_own_binding_reads_the_document() {
    let sandbox = published();
    let document = document(&sandbox);
    let file = sandbox.folder().join("orders.spdx3.json");
    fs::write(&file, document.to_string()).unwrap();
    let told = runs(python().to_str().unwrap(), &[&script(&sandbox), file.to_str().unwrap()]);
    let (count, purl) = told.trim().split_once(' ').unwrap();
    let bill: Value = serde_json::from_slice(&sandbox.read("dist/orders/orders.cdx.json")).unwrap();
    let components = bill["components"].as_array().unwrap().len() + 1;
    assert_eq!((count, purl), (components.to_string().as_str(), "pkg:pypi/alpha@1.2"));
}

/// That a reader accepts everything would prove nothing.
#[test]
fn the_binding_refuses_what_the_model_does_not_allow() {
    let sandbox = published();
    let good = document(&sandbox);
    let at =
        |kind: &str| good["@graph"].as_array().unwrap().iter().position(|one| one["type"] == kind).unwrap();
    let cases: [(&str, &str, Value, &str); 4] = [
        ("software_Package", "software_primaryPurpose", json!("decoration"), "decoration"),
        ("Relationship", "to", json!(["urn:uuid:none#nobody"]), "nobody"),
        ("Relationship", "from", json!(null), ""),
        ("CreationInfo", "created", json!("yesterday"), "yesterday"),
    ];
    for (kind, key, value, says) in cases {
        let mut wrong = good.clone();
        wrong["@graph"][at(kind)][key] = value;
        let told = refused(&sandbox, &wrong);
        assert!(told.contains(says), "{told}");
    }
}
