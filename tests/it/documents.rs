//! The documents of this repository's own artifacts, judged by others: official schemas, digests, another zip reader.

use crate::harness::{Sandbox, published_repository};
use kiln_record::{Digest, Ecosystem, Entry, InputRole, Mode, Record, exit};
use serde_json::Value;
use std::io::{Cursor, Read as _};

macro_rules! schema {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../schema/", $name, ".SNAPSHOT.schema.json")))
            .unwrap()
    };
}

/// Every artifact's folder under `dist/` with its record.
fn records(sandbox: &Sandbox) -> Vec<(String, Record)> {
    let index: Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    let names: Vec<String> = index["artifacts"].as_object().unwrap().keys().cloned().collect();
    assert!(names.len() >= 11, "{names:?}");
    names
        .into_iter()
        .map(|name| {
            let record = Record::from_json(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap();
            (name, record)
        })
        .collect()
}

#[test]
fn bills_of_materials_are_valid_and_name_what_the_lock_names() {
    let sandbox = published_repository();
    // Formats are judged, not only noted: as annotations they would let a wrong time or URL pass.
    const BASE: &str = "http://cyclonedx.org/schema/";
    let registry = jsonschema::Registry::new()
        .add(format!("{BASE}spdx.SNAPSHOT.schema.json"), schema!("spdx"))
        .unwrap()
        .add(format!("{BASE}jsf-0.82.SNAPSHOT.schema.json"), schema!("jsf-0.82"))
        .unwrap()
        .prepare()
        .unwrap();
    let schema = schema!("bom-1.6");
    let validator =
        jsonschema::options().with_registry(&registry).should_validate_formats(true).build(&schema).unwrap();
    let mut wheels = 0;
    for (name, record) in records(&sandbox) {
        let bom: Value =
            serde_json::from_slice(&sandbox.read(&format!("dist/{name}/{name}.cdx.json"))).unwrap();
        let violations: Vec<String> =
            validator.iter_errors(&bom).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(violations, [""; 0], "{name}");
        assert_eq!(bom["specVersion"], "1.6");
        let hashes = bom["metadata"]["component"]["hashes"].to_string();
        assert!(hashes.contains(&record.archive().unwrap().digest.hex()), "{name}: {hashes}");

        let locks: String = record
            .inputs
            .iter()
            .filter(|input| input.role == InputRole::Lock)
            .map(|input| String::from_utf8(sandbox.read(&input.name)).unwrap())
            .collect();
        for component in record.components.iter().filter(|c| c.ecosystem == Ecosystem::Python) {
            // What another one carries along has no wheel of its own, and no lock names it.
            let Some(origin) = &component.origin else {
                assert!(component.within.is_some(), "{name}: {}", component.id);
                continue;
            };
            let digest = origin.digest;
            assert!(locks.contains(&digest.to_string()), "{name}: {} is in the lock", component.id);
            let told =
                bom["components"].as_array().unwrap().iter().find(|c| c["bom-ref"] == component.id.as_str());
            let told = told.unwrap_or_else(|| panic!("{name}: {} is in the bill", component.id));
            let sha256 = told["hashes"].as_array().unwrap().iter().find(|hash| hash["alg"] == "SHA-256");
            assert_eq!(sha256.unwrap()["content"], digest.hex(), "{name}: {}", component.id);
            assert_eq!(told["version"].as_str(), component.version.as_deref());
            let purl = format!("pkg:pypi/{}@{}", component.name, component.version.as_ref().unwrap());
            assert_eq!(told["purl"], purl);
            wheels += 1;
        }
    }
    assert!(wheels > 20, "{wheels}");
}

/// pydantic-core's wheel says in a bill of its own (PEP 770) which crates are linked into its extension module.
#[test]
fn what_a_real_wheel_says_to_have_inside_is_in_the_bill() {
    let sandbox = published_repository();
    let bom: Value = serde_json::from_slice(&sandbox.read("dist/dashboard/dashboard.cdx.json")).unwrap();
    let components = bom["components"].as_array().unwrap();
    let stated = |c: &&Value| c["bom-ref"].as_str().unwrap().starts_with("python/pydantic-core/embedded/");
    let stated: Vec<&Value> = components.iter().filter(stated).collect();
    let inside: Vec<&str> = stated.iter().filter_map(|c| c["purl"].as_str()).collect();
    assert!(stated.iter().all(|c| !c["licenses"].as_array().unwrap().is_empty()), "each with its licence");
    // The bytes of its extension module show some of them, and parts of Rust's library that no list of cargo's has.
    let has_state = |c: &&Value, state: &str| {
        c["properties"]
            .as_array()
            .unwrap()
            .contains(&serde_json::json!({ "name": "kiln:state", "value": state }))
    };
    assert!(stated.iter().any(|c| has_state(c, "linked")) && stated.iter().any(|c| has_state(c, "given")));
    let linked: Vec<&str> = components
        .iter()
        .filter(|c| has_state(c, "contradicted"))
        .filter_map(|c| c["purl"].as_str())
        .collect();
    assert!(linked.iter().any(|purl| purl.starts_with("pkg:cargo/gimli@")), "{linked:?}");
    assert!(inside.iter().any(|purl| purl.starts_with("pkg:cargo/pyo3@")), "{inside:?}");
    assert!(inside.iter().all(|purl| !purl.starts_with("pkg:pypi/pydantic-core")), "{inside:?}");
    let distinct: std::collections::BTreeSet<&&str> = inside.iter().collect();
    assert_eq!(distinct.len(), inside.len(), "each once");
}

#[test]
fn bills_are_written_in_each_form_that_a_reader_takes() {
    let sandbox = published_repository();
    let kiln = sandbox.kiln();
    let published = sandbox.read("dist/dashboard/dashboard.cdx.json");
    for build in ["dashboard", "dist/dashboard/dashboard.zip", "dist/dashboard/record.json"] {
        let told = kiln.run(["sbom", build]).ends_with(exit::SUCCESS);
        assert!(told.stdout.as_bytes() == published, "{build}: the same as is published");
    }
    let components = |bom: &Value| bom["components"].as_array().unwrap().len();
    let newest: Value = serde_json::from_slice(&published).unwrap();
    for version in ["1.5", "1.7"] {
        let told = kiln.run(["sbom", "dashboard", "--spec-version", version]).ends_with(exit::SUCCESS).json();
        assert_eq!((told["specVersion"].as_str(), components(&told)), (Some(version), components(&newest)));
    }
    let spdx = kiln.run(["sbom", "dashboard", "--as", "spdx"]).ends_with(exit::SUCCESS).json();
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    assert_eq!(spdx["packages"].as_array().unwrap().len(), components(&newest) + 1);
    kiln.run(["sbom", "dashboard", "--as", "spdx", "--spec-version", "1.5"])
        .ends_with(exit::USAGE)
        .says(&["a version of CycloneDX", "leave one of the two out"]);
    kiln.run(["sbom", "dashboard", "--spec-version", "1.4"])
        .ends_with(exit::USAGE)
        .says(&["1.5, 1.6 or 1.7"]);
}

#[test]
fn provenance_is_about_the_archive_and_lists_every_input() {
    let sandbox = published_repository();
    for (name, record) in records(&sandbox) {
        let line = String::from_utf8(sandbox.read(&format!("dist/{name}/{name}.intoto.jsonl"))).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{name}: one statement on one line");
        let statement: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
        let subjects = statement["subject"].as_array().unwrap();
        assert_eq!(subjects.len(), if record.image.is_some() { 2 } else { 1 }, "{name}");
        let file = &record.archive().unwrap().file_name;
        assert_eq!(subjects[0]["name"], file.as_str());
        let archive = Digest::of(&sandbox.read(&format!("dist/{name}/{file}")));
        assert_eq!(subjects[0]["digest"], serde_json::json!({ "sha256": archive.hex() }), "{name}");
        let told = statement["predicate"]["buildDefinition"]["resolvedDependencies"].to_string();
        for input in &record.inputs {
            assert!(told.contains(&input.digest.hex()), "{name}: {} {told}", input.name);
        }
    }
}

#[test]
fn records_read_back_and_describe_the_zip_that_another_reader_sees() {
    let sandbox = published_repository();
    for (name, record) in records(&sandbox) {
        let bytes = sandbox.read(&format!("dist/{name}/record.json"));
        assert_eq!(String::from_utf8(record.to_json().unwrap()), String::from_utf8(bytes), "{name}");
        assert_eq!(record.to_tree().digest(), record.tree, "{name}");
        assert_eq!(record.to_tree().size(), record.unpacked_size, "{name}");
        let own = record.components.iter().filter(|component| !component.from_base);
        let owned: u64 = own.map(|component| component.bytes).sum();
        assert_eq!(owned, record.unpacked_size, "{name}: every byte has an owner");

        if record.image.is_some() {
            continue;
        }
        let zip = sandbox.read(&format!("dist/{name}/{name}.zip"));
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        assert_eq!(archive.len(), record.files.len(), "{name}");
        for (i, file) in record.files.iter().enumerate() {
            let mut member = archive.by_index(i).unwrap();
            assert_eq!(
                member.name().unwrap(),
                file.path.as_str(),
                "{name}: members are in the order of the record"
            );
            let Entry::File { digest, size, mode } = file.entry else {
                panic!("{name}: {} is a link, which no artifact of this repository has", file.path)
            };
            let bits = if mode == Mode::Executable { 0o100_755 } else { 0o100_644 };
            assert_eq!(member.unix_mode(), Some(bits), "{name}: {}", file.path);
            // Reading to the end checks the CRC.
            let mut content = Vec::new();
            member.read_to_end(&mut content).unwrap();
            assert_eq!((Digest::of(&content), content.len() as u64), (digest, size), "{name}: {}", file.path);
        }
    }
}
