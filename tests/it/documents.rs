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
    for (name, record) in records(sandbox) {
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
        let own = record.components.iter().filter(|component| !component.from_base);
        for component in own.filter(|c| c.ecosystem == Ecosystem::Python) {
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
    assert_eq!(linked, [""; 0], "what Rust's library is made of contradicts no list of cargo's");
    let of_rust = components.iter().filter(|c| has_state(c, "linked")).filter_map(|c| c["purl"].as_str());
    let of_rust: Vec<&str> = of_rust.collect();
    assert!(of_rust.iter().any(|purl| purl.starts_with("pkg:cargo/gimli@")), "{of_rust:?}");
    assert!(inside.iter().any(|purl| purl.starts_with("pkg:cargo/pyo3@")), "{inside:?}");
    assert!(inside.iter().all(|purl| !purl.starts_with("pkg:pypi/pydantic-core")), "{inside:?}");
    // `kiln.lock` has the archive of each, and of those that no list names.
    let is_crate = |c: &&Value| c["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"));
    for part in components.iter().filter(is_crate) {
        let hashes = part["hashes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let algorithms: Vec<&str> = hashes.iter().filter_map(|hash| hash["alg"].as_str()).collect();
        assert_eq!(algorithms, ["SHA-256", "SHA-512"], "{part:#}");
    }
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
        // boto3, which the runtime has, is a component where the format says that one is outside.
        let outside = told["components"].as_array().unwrap().iter().filter(|one| one["isExternal"] == true);
        let outside: Vec<&str> = outside.map(|one| one["bom-ref"].as_str().unwrap()).collect();
        let provided = usize::from(version == "1.7");
        assert_eq!(
            (told["specVersion"].as_str(), components(&told)),
            (Some(version), components(&newest) + provided),
            "{outside:?}"
        );
        assert_eq!(outside.contains(&"runtime/python3.13/boto3"), version == "1.7", "{outside:?}");
    }
    let spdx = kiln.run(["sbom", "dashboard", "--as", "spdx"]).ends_with(exit::SUCCESS).json();
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    assert_eq!(spdx["packages"].as_array().unwrap().len(), components(&newest) + 1);
    let spdx3 = kiln.run(["sbom", "dashboard", "--as", "spdx-3.0"]).ends_with(exit::SUCCESS).json();
    let packages = spdx3["@graph"].as_array().unwrap().iter().filter(|one| one["type"] == "software_Package");
    assert_eq!(packages.count(), components(&newest) + 1);
    kiln.run(["sbom", "dashboard", "--as", "github"]).ends_with(exit::USAGE).says(&[
        "by a job of GitHub Actions, and `GITHUB_WORKFLOW` is not set",
        "run it in a job of GitHub Actions",
    ]);
    let commit = "ab".repeat(20);
    let of_job = [
        ("GITHUB_WORKFLOW", "release"),
        ("GITHUB_JOB", "build"),
        ("GITHUB_RUN_ID", "17"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_SHA", &commit),
    ];
    let in_job = of_job.iter().fold(sandbox.kiln(), |kiln, (name, value)| kiln.with_variable(name, value));
    let snapshot = in_job.run(["sbom", "dashboard", "--as", "github"]).ends_with(exit::SUCCESS).json();
    let manifest = &snapshot["manifests"]["dashboard"];
    assert!(manifest["resolved"].as_object().unwrap().len() > 50, "{manifest}");
    assert_eq!(
        (&snapshot["sha"], &snapshot["job"]["id"]),
        (&Value::from(commit.as_str()), &Value::from("17"))
    );
    let notice = kiln.run(["sbom", "dashboard", "--as", "notice"]).ends_with(exit::SUCCESS).stdout;
    let texts: Vec<&str> = notice.lines().filter(|line| line.starts_with("--- ")).collect();
    assert!(texts.iter().any(|line| line.contains("pydantic-") && line.ends_with("/LICENSE")), "{texts:?}");
    let zip = std::fs::File::open(sandbox.path("dist/dashboard/dashboard.zip")).unwrap();
    let mut zip = zip::ZipArchive::new(zip).unwrap();
    for path in texts.iter().map(|line| line.trim_start_matches("--- ")) {
        let mut text = String::new();
        zip.by_name(path).unwrap().read_to_string(&mut text).unwrap();
        assert!(notice.contains(text.trim_end()), "{path} is there as the artifact has it");
    }
    let record = sandbox.folder().join("record.json");
    fs_err::write(&record, sandbox.read("dist/dashboard/record.json")).unwrap();
    kiln.run(["sbom", record.to_str().unwrap(), "--as", "notice"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["its archive is not at hand; name the published file"]);
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
    for (name, record) in records(sandbox) {
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
        // Where a base of Debian begins: its definition, what its lock states, and the release that was signed.
        let of = |role| record.inputs.iter().filter(move |input| input.role == role);
        for definition in of(InputRole::BaseDefinition) {
            let lock = definition.name.replace(".toml", ".lock");
            let stated = String::from_utf8(sandbox.read(&lock)).unwrap();
            assert!(stated.contains(&definition.digest.to_string()), "{name}: {lock}");
            assert_eq!(of(InputRole::BaseLock).filter(|input| input.name == lock).count(), 1, "{name}");
            let base = lock["images/".len()..lock.len() - ".lock".len()].to_owned();
            let release =
                of(InputRole::BaseRelease).find(|input| input.name.starts_with(&format!("{base} ")));
            assert!(stated.contains(&release.unwrap().digest.to_string()), "{name}: {base}");
        }
        assert!(of(InputRole::BaseDefinition).count() >= 1, "{name}");
    }
}

#[test]
fn records_read_back_and_describe_the_zip_that_another_reader_sees() {
    let sandbox = published_repository();
    for (name, record) in records(sandbox) {
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
