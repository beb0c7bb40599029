//! Documents of a rich and of a minimal record: valid by the official schemas, deterministic, and honest.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

mod sample;

use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::validation::Validate;
use kiln_record::{Archive, ComponentStatement, Digest, LongHasher, Record};
use kiln_sbom::{SpecVersion, concerned, contradicted, cyclonedx, provenance, spdx};
use sample::{minimal, rich};
use serde_json::Value;
use std::collections::BTreeSet;

const VERSIONS: [SpecVersion; 3] = [SpecVersion::V1_5, SpecVersion::V1_6, SpecVersion::V1_7];

macro_rules! schema {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            "../../../tests/schema/",
            $name,
            ".SNAPSHOT.schema.json"
        )))
        .unwrap()
    };
}

/// What the official schema of a version says against a document, formats included: as mere annotations they would
/// make right signatures wrong and wrong URLs right.
fn violations(document: &Value, version: SpecVersion) -> Vec<String> {
    const BASE: &str = "http://cyclonedx.org/schema/";
    let schema = match version {
        SpecVersion::V1_5 => schema!("bom-1.5"),
        SpecVersion::V1_6 => schema!("bom-1.6"),
        SpecVersion::V1_7 => schema!("bom-1.7"),
    };
    let mut registry = jsonschema::Registry::new();
    for (name, part) in [
        ("spdx", schema!("spdx")),
        ("jsf-0.82", schema!("jsf-0.82")),
        ("cryptography-defs", schema!("cryptography-defs")),
    ] {
        registry = registry.add(format!("{BASE}{name}.SNAPSHOT.schema.json"), part).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator =
        jsonschema::options().with_registry(&registry).should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn bom(record: &Record, version: SpecVersion) -> Value {
    serde_json::from_slice(&cyclonedx(record, version).unwrap()).unwrap()
}

fn component<'a>(bom: &'a Value, reference: &str) -> &'a Value {
    let all = bom["components"].as_array().unwrap();
    assert!(
        all.iter().all(|component| component.get("components").is_none()),
        "not every reader knows nesting"
    );
    all.iter().find(|c| c["bom-ref"] == reference).unwrap_or_else(|| panic!("no component {reference}"))
}

#[test]
fn every_version_is_valid_by_its_official_schema() {
    for version in VERSIONS {
        for record in [rich(), minimal()] {
            assert_eq!(violations(&bom(&record, version), version), [""; 0], "{version} {}", record.artifact);
        }
    }
}

#[test]
fn the_schema_check_itself_refuses_what_is_wrong() {
    let mut wrong = bom(&minimal(), SpecVersion::V1_6);
    wrong["serialNumber"] = "urn:uuid:not".into();
    assert!(!violations(&wrong, SpecVersion::V1_6).is_empty());
    let mut wrong = bom(&rich(), SpecVersion::V1_6);
    wrong["metadata"]["timestamp"] = "yesterday".into();
    assert!(!violations(&wrong, SpecVersion::V1_6).is_empty());
}

#[test]
fn the_standards_own_crate_reads_and_accepts_version_1_5() {
    for record in [rich(), minimal()] {
        let bytes = cyclonedx(&record, SpecVersion::V1_5).unwrap();
        let bom = Bom::parse_from_json(bytes.as_slice()).unwrap();
        let result = bom.validate_version(cyclonedx_bom::models::bom::SpecVersion::V1_5);
        assert!(result.passed(), "{:?}", result.errors().collect::<Vec<_>>());
        let names: Vec<String> = bom.components.unwrap().0.iter().map(|c| c.name.to_string()).collect();
        assert!(names.contains(&record.target.runtime));
        let embedded: usize = record.components.iter().map(|c| c.embedded.len()).sum();
        let linked: usize = record.binaries.values().map(|binary| binary.linked.len()).sum();
        // One of those that are linked is one of the parts that a bill names.
        let both = usize::from(linked > 0);
        assert_eq!(names.len(), record.components.len() + embedded + linked - both + 1);
    }
}

#[test]
fn equal_records_give_equal_bytes_and_one_changed_byte_another_serial() {
    for version in VERSIONS {
        assert_eq!(cyclonedx(&rich(), version).unwrap(), cyclonedx(&rich(), version).unwrap());
        let before = bom(&rich(), version);
        let after = bom(&sample::with_one_changed_byte(), version);
        assert_ne!(before["serialNumber"], after["serialNumber"]);
        let changed: Vec<&str> = before["components"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| !after["components"].as_array().unwrap().contains(c))
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(changed, ["libgfortran-040039e1.so.5.0.0"], "the changed file is this library");
    }
    let serials: BTreeSet<String> =
        VERSIONS.iter().map(|v| bom(&rich(), *v)["serialNumber"].to_string()).collect();
    assert_eq!(serials.len(), 3);
}

#[test]
fn components_carry_identity_hashes_supplier_licence_and_size() {
    let bom = bom(&rich(), SpecVersion::V1_6);
    let numpy = component(&bom, "python/numpy");
    assert_eq!(numpy["purl"], "pkg:pypi/numpy@2.2.6");
    let algorithms: Vec<&str> =
        numpy["hashes"].as_array().unwrap().iter().map(|h| h["alg"].as_str().unwrap()).collect();
    assert_eq!(algorithms, ["SHA-256", "SHA-512"]);
    assert_eq!(numpy["supplier"]["contact"][0]["email"], "numpy@example.org");
    assert_eq!(numpy["manufacturer"], numpy["supplier"]);
    assert_eq!(numpy["licenses"][0]["expression"], "BSD-3-Clause AND MIT");
    assert_eq!(numpy["licenses"][0]["acknowledgement"], "declared");
    assert_eq!(numpy["evidence"]["occurrences"][0]["location"], "numpy-2.2.6.dist-info");
    assert!(
        numpy["properties"]
            .as_array()
            .unwrap()
            .contains(&serde_json::json!({"name": "kiln:bytes", "value": "40"}))
    );
    let native = component(&bom, "native/numpy/libgfortran-040039e1.so.5.0.0");
    assert_eq!(native["hashes"][0]["content"], kiln_record::Digest::of(b"fortran").hex());
    // Of a record that does not have the other one, or has none, nothing is said.
    assert_eq!(native["hashes"].as_array().unwrap().len(), 1);
    for (stated, written) in [("cd".repeat(64), 2), ("not hexadecimal".to_owned(), 1)] {
        let mut record = rich();
        for component in &mut record.components {
            component.file_sha512 = Some(stated.clone());
        }
        let bom = self::bom(&record, SpecVersion::V1_6);
        let hashes = &component(&bom, "native/numpy/libgfortran-040039e1.so.5.0.0")["hashes"];
        assert_eq!(hashes.as_array().unwrap().len(), written);
        assert_eq!(hashes[1]["content"].as_str(), (written == 2).then_some(stated.as_str()));
        // What came in an archive has that one's.
        assert_eq!(component(&bom, "python/numpy")["hashes"], numpy["hashes"]);
    }
    let purl = native["purl"].as_str().unwrap();
    assert!(purl.starts_with("pkg:generic/libgfortran-040039e1.so.5.0.0?checksum=sha256"), "{purl}");
    assert_eq!(native["supplier"], numpy["supplier"], "it comes inside numpy");
    assert_eq!(native.get("manufacturer"), None, "who made it is not known");
    assert_eq!(native["version"], "NOASSERTION");
}

#[test]
fn own_code_is_identified_by_its_files() {
    let bom = bom(&minimal(), SpecVersion::V1_6);
    let own = component(&bom, "application/tiny");
    let version = own["version"].as_str().unwrap();
    assert!(version.starts_with("sha256:") && version.len() == 71, "{version}");
    assert_eq!(own["purl"], format!("pkg:generic/tiny@{version}"));
    let mut several = minimal();
    let mut other = several.files[0].clone();
    other.path = kiln_record::TreePath::new("other.py").unwrap();
    several.files.push(other);
    let bom = self::bom(&several, SpecVersion::V1_6);
    let own = component(&bom, "application/tiny");
    let lengths: Vec<usize> = own["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| hash["content"].as_str().unwrap().len())
        .collect();
    assert_eq!(lengths, [64, 128], "of the list of files, by both algorithms");
    assert_eq!(own["version"], format!("sha256:{}", own["hashes"][0]["content"].as_str().unwrap()));
}

#[test]
fn what_is_not_known_is_said_to_be_unknown() {
    for version in VERSIONS {
        let bom = bom(&minimal(), version);
        assert_eq!(bom["metadata"]["licenses"][0]["license"]["id"], "CC0-1.0");
        let own = component(&bom, "application/tiny");
        assert_eq!(own["supplier"]["name"], "NOASSERTION");
        assert_eq!(own["licenses"], serde_json::json!([{ "license": { "name": "NOASSERTION" } }]));
        let runtime = component(&bom, "runtime/python3.13");
        assert_eq!(
            (&runtime["version"], &runtime["purl"], &runtime["supplier"]["name"]),
            (&"3.13".into(), &"pkg:generic/aws-lambda-python@3.13".into(), &"Amazon Web Services".into())
        );
        let unknown = serde_json::json!({ "name": "kiln:unknown", "value": "hash" });
        assert!(runtime["properties"].as_array().unwrap().contains(&unknown));
    }
    // Who reads a bill of kiln's does not take the word for a name.
    let listed = kiln_sbom::read_listed(&bom(&minimal(), SpecVersion::V1_6)).unwrap().unwrap();
    assert!(listed.components.iter().all(|one| one.metadata.license.as_deref() != Some("NOASSERTION")));
    let spdx: Value = serde_json::from_slice(&kiln_sbom::spdx(&minimal()).unwrap()).unwrap();
    let packages = spdx["packages"].as_array().unwrap();
    assert!(packages.iter().all(|package| package["versionInfo"] != "NOASSERTION"));
    assert!(packages.iter().all(|package| package["supplier"] != "Organization: NOASSERTION"));
}

#[test]
fn what_a_workspace_states_of_others_fills_gaps_and_is_marked() {
    let statement = |purl: &str, license: Option<&str>, supplier: Option<&str>| ComponentStatement {
        purl: purl.to_owned(),
        supplier: supplier.map(str::to_owned),
        license: license.map(str::to_owned),
        cpe: None,
        archive: None,
        digest: None,
        sha512: None,
        reason: "looked up".to_owned(),
    };
    let all = vec![
        statement("pkg:generic/aws-lambda-python", Some("LicenseRef-service-terms"), None),
        // What it declares itself stays.
        statement("pkg:pypi/numpy@2.2.6", Some("GPL-3.0-only"), Some("Somebody")),
        statement("pkg:pypi/numpy@1.0", Some("MIT"), None),
        statement("pkg:deb/debian/absent", Some("MIT"), None),
    ];
    let record = Record { stated: all.clone(), ..rich() };
    let about: Vec<String> = concerned(&record).unwrap().into_iter().map(|one| one.purl).collect();
    assert_eq!(about, ["pkg:generic/aws-lambda-python", "pkg:pypi/numpy@2.2.6"]);
    for version in VERSIONS {
        let (before, after) = (bom(&rich(), version), bom(&record, version));
        assert_eq!(violations(&after, version), [""; 0], "{version}");
        assert_eq!(component(&before, "python/numpy"), component(&after, "python/numpy"));
        let runtime = component(&after, "runtime/python3.13");
        assert_eq!(runtime["licenses"][0]["expression"], "LicenseRef-service-terms", "{runtime:#}");
        let marked = serde_json::json!({"name": "kiln:stated", "value": "license: looked up"});
        assert!(runtime["properties"].as_array().unwrap().contains(&marked), "{runtime:#}");
    }
    let runtime = component(&bom(&record, SpecVersion::V1_6), "runtime/python3.13").clone();
    assert_eq!(runtime["licenses"][0]["acknowledgement"], "concluded");
    let spdx = String::from_utf8(spdx(&record).unwrap()).unwrap();
    assert!(spdx.contains("LicenseRef-service-terms"));
}

/// The digests of an archive are those of the part that is distributed as it, unless somebody states others of that.
#[test]
fn what_is_linked_in_has_the_digests_of_the_archive_that_it_is_distributed_as() {
    let archive = |name: &str, member: Option<&str>| Archive {
        file_name: name.to_owned(),
        digest: Digest::of(name.as_bytes()),
        sha512: LongHasher::of(name.as_bytes()),
        license: Some("MIT OR Apache-2.0".to_owned()),
        member: member.map(str::to_owned),
    };
    let mut record = rich();
    for binary in record.binaries.values_mut() {
        for part in binary.linked.iter_mut().filter(|part| part.name == "gimli") {
            part.archive = Some(archive("libstd-rust-dev_1.85.1_amd64.deb", Some("usr/lib/libgimli-0.rlib")));
        }
    }
    for version in VERSIONS {
        let bom = bom(&record, version);
        assert_eq!(violations(&bom, version), [""; 0], "{version}");
        let part = component(&bom, "python/odd/linked/pkg:cargo/gimli@0.31.1");
        let contents: Vec<&str> =
            part["hashes"].as_array().unwrap().iter().map(|hash| hash["content"].as_str().unwrap()).collect();
        let deb = b"libstd-rust-dev_1.85.1_amd64.deb";
        assert_eq!(contents, [Digest::of(deb).hex(), LongHasher::of(deb)]);
        let of = "libstd-rust-dev_1.85.1_amd64.deb, which has usr/lib/libgimli-0.rlib";
        for (name, value) in [("kiln:hash-of", of), ("kiln:license-from", "its archive")] {
            let marked = serde_json::json!({"name": name, "value": value});
            assert!(part["properties"].as_array().unwrap().contains(&marked), "{part:#}");
        }
        assert_eq!(part["externalReferences"][0]["hashes"], part["hashes"]);
    }
    let statement = ComponentStatement {
        purl: "pkg:cargo/gimli@0.31.1".to_owned(),
        supplier: None,
        license: None,
        cpe: None,
        archive: Some("gimli-0.31.1.crate".to_owned()),
        digest: Some(Digest::of(b"another")),
        sha512: None,
        reason: "looked up".to_owned(),
    };
    let stated = Record { stated: vec![statement], ..record };
    let known = Digest::of(b"libstd-rust-dev_1.85.1_amd64.deb").to_string();
    let told = [("pkg:cargo/gimli@0.31.1".to_owned(), "gimli".to_owned(), known)];
    assert_eq!(contradicted(&stated).unwrap(), told);
}

#[test]
fn who_makes_it_is_stated_for_the_document_the_artifact_and_its_own_code() {
    for version in VERSIONS {
        let bom = bom(&rich(), version);
        assert_eq!(bom["metadata"]["supplier"]["name"], "Example Observatory");
        assert_eq!(bom["metadata"]["authors"][0]["email"], "builds@example.org");
        assert_eq!(
            bom["metadata"]["tools"]["components"][0]["name"], "kiln",
            "readers call the first the generator"
        );
        let own = component(&bom, "application/sample");
        for one in [&bom["metadata"]["component"], own] {
            assert_eq!(one["supplier"]["url"][0], "https://example.org");
            assert_eq!(one["licenses"][0]["expression"], "Apache-2.0 OR MIT");
        }
        let purl = bom["metadata"]["component"]["purl"].as_str().unwrap();
        assert!(purl.starts_with("pkg:generic/sample@sha256:"), "{purl}");
    }
    let silent = bom(&minimal(), SpecVersion::V1_6);
    assert!(silent["metadata"].get("supplier").is_none(), "nothing is guessed");
}

#[test]
fn hostile_metadata_stays_text() {
    let bom = bom(&rich(), SpecVersion::V1_6);
    let odd = component(&bom, "python/odd");
    assert_eq!(odd["supplier"], serde_json::json!({"name": "not <a> mail address"}));
    assert!(odd["externalReferences"].as_array().unwrap().iter().all(|r| r["type"] == "distribution"));
    assert_eq!(odd["licenses"][0]["license"]["name"], "Odd License");
    assert!(odd["licenses"][0]["license"]["text"]["content"].as_str().unwrap().contains("may be odd"));
    assert_eq!(odd["description"], "two lines");
}

#[test]
fn dependencies_list_leaves_and_only_known_components() {
    let bom = bom(&rich(), SpecVersion::V1_6);
    let edges = bom["dependencies"].as_array().unwrap();
    let of = |reference: &str| {
        edges.iter().find(|d| d["ref"] == reference).map(|d| d["dependsOn"].clone()).unwrap_or_default()
    };
    assert_eq!(of("artifact/sample"), serde_json::json!(["application/sample", "runtime/python3.13"]));
    assert_eq!(of("application/sample"), serde_json::json!(["python/numpy", "python/odd"]));
    assert_eq!(of("python/numpy"), serde_json::json!(["native/numpy/libgfortran-040039e1.so.5.0.0"]));
    assert_eq!(
        of("python/odd"),
        serde_json::json!([
            "python/odd/embedded/pkg:cargo/aes@0.8.4",
            "python/odd/linked/pkg:cargo/gimli@0.31.1"
        ])
    );
    assert_eq!(
        of("python/odd/embedded/pkg:cargo/aes@0.8.4"),
        serde_json::json!(["python/odd/embedded/pkg:cargo/cipher@0.4.4"]),
        "what the bill says that a part needs"
    );
    assert_eq!(of("python/odd/linked/pkg:cargo/gimli@0.31.1"), serde_json::json!([]));
    assert_eq!(edges.len(), 9);
}

#[test]
fn completeness_is_not_claimed_over_an_unidentified_library() {
    let aggregate_of = |bom: &Value, reference: &str| {
        bom["compositions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["assemblies"].as_array().is_some_and(|a| a.contains(&reference.into())))
            .map(|c| c["aggregate"].as_str().unwrap().to_owned())
    };
    let rich = bom(&rich(), SpecVersion::V1_6);
    assert_eq!(aggregate_of(&rich, "python/numpy").as_deref(), Some("incomplete"));
    assert_eq!(aggregate_of(&rich, "artifact/sample").as_deref(), Some("incomplete"));
    assert_eq!(
        aggregate_of(&rich, "python/odd").as_deref(),
        Some("incomplete"),
        "one of its bills was not read"
    );
    let mut read = sample::rich();
    for component in &mut read.components {
        component.unread_sboms.clear();
    }
    let read = bom(&read, SpecVersion::V1_6);
    assert_eq!(aggregate_of(&read, "python/odd").as_deref(), Some("incomplete_third_party_only"));
    assert_eq!(aggregate_of(&rich, "runtime/python3.13").as_deref(), Some("unknown"));
    let minimal = bom(&minimal(), SpecVersion::V1_6);
    assert_eq!(aggregate_of(&minimal, "artifact/tiny").as_deref(), Some("complete"));
}

#[test]
fn what_a_wheels_own_bill_names_is_inside_the_wheel_and_marked_as_its_word() {
    for version in VERSIONS {
        let bom = bom(&rich(), version);
        let odd = component(&bom, "python/odd");
        let aes = component(&bom, "python/odd/embedded/pkg:cargo/aes@0.8.4");
        assert_eq!(aes["purl"], "pkg:cargo/aes@0.8.4");
        assert_eq!(aes["hashes"][0]["content"], kiln_record::Digest::of(b"aes").hex());
        assert_eq!(
            aes["properties"],
            serde_json::json!([
                { "name": "kiln:state", "value": "linked" },
                { "name": "kiln:stated-in", "value": "odd-1.0.dist-info/sboms/odd.cdx.json" }
            ])
        );
        assert_eq!(aes["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(aes["supplier"]["name"], "The odd people");
        assert_eq!(aes["scope"], "excluded");
        let cipher = component(&bom, "python/odd/embedded/pkg:cargo/cipher@0.4.4");
        assert_eq!(
            cipher["properties"][0]["value"], "given",
            "its publisher says so, and the bytes do not tell"
        );
        let gimli = component(&bom, "python/odd/linked/pkg:cargo/gimli@0.31.1");
        assert_eq!(
            gimli["properties"][3],
            serde_json::json!({ "name": "kiln:state", "value": "contradicted" })
        );
        let unread = serde_json::json!({
            "name": "kiln:sbom-not-read",
            "value": "odd-1.0.dist-info/sboms/odd.spdx.json: it is not a CycloneDX document",
        });
        assert!(odd["properties"].as_array().unwrap().contains(&unread), "{version}");
        let unknown = bom["compositions"].as_array().unwrap().iter().find(|c| c["aggregate"] == "unknown");
        assert!(unknown.unwrap()["assemblies"].as_array().unwrap().contains(&aes["bom-ref"]), "{version}");
    }
}

#[test]
fn what_is_left_out_and_what_went_in_is_stated() {
    let bom = bom(&rich(), SpecVersion::V1_7);
    let omitted = &bom["metadata"]["properties"][0];
    assert_eq!(omitted["name"], "kiln:omitted:tomli");
    assert_eq!(
        omitted["value"],
        "2.2.1: marker `python_version < \"3.11\"` is false (python_version = \"3.13\")"
    );
    let inputs = bom["formulation"][0]["components"].as_array().unwrap();
    let base = inputs.iter().find(|c| c["type"] == "container").unwrap();
    assert_eq!(base["hashes"][0]["content"], kiln_record::Digest::of(b"base").hex());
    assert!(inputs.iter().any(|c| c["name"] == "requirements.txt"));
    assert_eq!(component(&bom, "runtime/python3.13")["isExternal"], true);
}

#[test]
fn provenance_is_one_deterministic_line_that_names_subject_and_inputs() {
    let line = provenance(&rich()).unwrap();
    assert_eq!(line, provenance(&rich()).unwrap());
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    assert_eq!(line.last(), Some(&b'\n'));
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(value["_type"], kiln_sbom::STATEMENT_TYPE);
    assert_eq!(value["predicateType"], kiln_sbom::PREDICATE_TYPE);
    assert_eq!(value["subject"][0]["name"], "sample.zip");
    assert_eq!(value["subject"][0]["digest"]["sha256"], rich().outputs[0].digest.hex());
    let definition = &value["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["runtime"], "python3.13");
    let inputs = definition["resolvedDependencies"].as_array().unwrap();
    assert_eq!(inputs.len(), rich().inputs.len());
    let source = inputs.iter().find(|d| d["annotations"]["role"] == "source").unwrap();
    assert!(source["digest"].get("sha256").is_none(), "a tree digest is no sha256 of bytes");
    let wheel = inputs.iter().find(|d| d["annotations"]["role"] == "distribution").unwrap();
    assert_eq!(wheel["uri"], "pkg:pypi/odd@1.0%2Blocal.1?file_name=odd-1.0%2Blocal.1-py3-none-any.whl");
    assert!(inputs.iter().all(|one| one["uri"].is_string()), "each says where it is to be had: {inputs:?}");
    assert!(source["uri"].as_str().unwrap().starts_with("urn:kiln:workspace:"), "{source}");
    assert_eq!(definition["externalParameters"]["source"][0], source["name"]);
    assert!(value["predicate"]["runDetails"].get("metadata").is_none());
}

#[test]
fn spdx_has_every_component_with_its_package_url_licence_and_needs() {
    let bytes = kiln_sbom::spdx(&rich()).unwrap();
    assert_eq!(bytes, kiln_sbom::spdx(&rich()).unwrap());
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    let packages = document["packages"].as_array().unwrap();
    let cyclonedx = bom(&rich(), SpecVersion::V1_6);
    assert_eq!(packages.len(), cyclonedx["components"].as_array().unwrap().len() + 1);
    let named = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();
    assert_eq!(named("numpy")["externalRefs"][0]["referenceLocator"], "pkg:pypi/numpy@2.2.6");
    assert_eq!(named("numpy")["licenseDeclared"], "BSD-3-Clause AND MIT");
    assert_eq!(named("numpy")["checksums"][0]["algorithm"], "SHA256");
    let own_words = named("odd")["licenseDeclared"].as_str().unwrap();
    let extracted = document["hasExtractedLicensingInfos"].as_array().unwrap();
    let words = extracted.iter().find(|one| one["licenseId"] == own_words).unwrap();
    assert!(words["extractedText"].as_str().unwrap().contains("may be odd"));
    let (numpy, library) = (&named("numpy")["SPDXID"], &named("libgfortran-040039e1.so.5.0.0")["SPDXID"]);
    assert!(
        document["relationships"]
            .as_array()
            .unwrap()
            .iter()
            .any(|edge| { edge["spdxElementId"] == *numpy && edge["relatedSpdxElement"] == *library })
    );
    let ids: BTreeSet<&str> = packages.iter().map(|package| package["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), packages.len(), "ids are unique");
}

#[test]
fn spdx3_has_every_component_with_its_needs_licences_and_suppliers() {
    let bytes = kiln_sbom::spdx3(&rich()).unwrap();
    assert_eq!(bytes, kiln_sbom::spdx3(&rich()).unwrap());
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["@context"], "https://spdx.org/rdf/3.0.1/spdx-context.jsonld");
    let graph = document["@graph"].as_array().unwrap();
    let of_type = |kind: &str| graph.iter().filter(|one| one["type"] == kind).collect::<Vec<_>>();
    let ids: BTreeSet<&str> = graph.iter().filter_map(|one| one["spdxId"].as_str()).collect();
    assert_eq!(ids.len() + 1, graph.len(), "ids are unique, and only the creation has none");
    // Whatever is referred to is there, or is one of the standard's own.
    for one in graph {
        for key in ["to", "element", "rootElement", "originatedBy", "createdBy", "createdUsing"] {
            for to in one[key].as_array().into_iter().flatten() {
                let to = to.as_str().unwrap();
                assert!(ids.contains(to) || to.starts_with("https://spdx.org/rdf/3.0.1/terms/"), "{to}");
            }
        }
    }
    let packages = of_type("software_Package");
    let cyclonedx = bom(&rich(), SpecVersion::V1_6);
    assert_eq!(packages.len(), cyclonedx["components"].as_array().unwrap().len() + 1);
    let named = |name: &str| *packages.iter().find(|package| package["name"] == name).unwrap();
    let by_id = |id: &Value| graph.iter().find(|one| one["spdxId"] == *id).unwrap();
    let numpy = named("numpy");
    assert_eq!(numpy["software_packageUrl"], "pkg:pypi/numpy@2.2.6");
    assert_eq!(numpy["verifiedUsing"][0]["algorithm"], "sha256");
    let supplier = by_id(&numpy["suppliedBy"]);
    assert_eq!(supplier["externalIdentifier"][0]["identifier"], "numpy@example.org");
    let related = |from: &Value, kind: &str| {
        let all = of_type("Relationship");
        let one =
            *all.iter().find(|one| one["from"] == from["spdxId"] && one["relationshipType"] == kind).unwrap();
        (one["to"].clone(), one["completeness"].clone())
    };
    let (declared, _) = related(numpy, "hasDeclaredLicense");
    assert_eq!(by_id(&declared[0])["simplelicensing_licenseExpression"], "BSD-3-Clause AND MIT");
    // Words of its own are a text that the expression names.
    let (own_words, _) = related(named("odd"), "hasDeclaredLicense");
    let own_words = by_id(&own_words[0]);
    let entry = &own_words["simplelicensing_customIdToUri"][0];
    assert_eq!(entry["key"], own_words["simplelicensing_licenseExpression"]);
    let text = by_id(&entry["value"])["simplelicensing_licenseText"].as_str().unwrap();
    assert!(text.contains("may be odd"), "{text}");
    // What is needed, and whether that is all.
    let library = named("libgfortran-040039e1.so.5.0.0");
    let (needed, complete) = related(numpy, "dependsOn");
    assert_eq!((&needed[0], complete), (&library["spdxId"], "complete".into()));
    let none = "https://spdx.org/rdf/3.0.1/terms/Core/NoAssertionElement";
    assert_eq!(related(library, "dependsOn"), (serde_json::json!([none]), "noAssertion".into()));
    // Who nobody names makes no statement, and a document without organization is by the program.
    let minimal: Value = serde_json::from_slice(&kiln_sbom::spdx3(&minimal()).unwrap()).unwrap();
    let graph = minimal["@graph"].as_array().unwrap();
    let creation = graph.iter().find(|one| one["type"] == "CreationInfo").unwrap();
    let by = graph.iter().find(|one| one["spdxId"] == creation["createdBy"][0]).unwrap();
    assert_eq!((&by["type"], &by["name"]), (&"SoftwareAgent".into(), &"kiln".into()));
}

#[test]
fn what_is_linked_has_the_licence_of_its_project_where_that_is_known() {
    let bom = bom(&rich(), SpecVersion::V1_6);
    let gimli = component(&bom, "python/odd/linked/pkg:cargo/gimli@0.31.1");
    // A path of sources does not say that it is Rust's own.
    assert_eq!(gimli["licenses"], serde_json::json!([{ "license": { "name": "NOASSERTION" } }]));
    let mut of_rust = rich();
    for binary in of_rust.binaries.values_mut() {
        for part in &mut binary.linked {
            part.evidence = kiln_record::LinkEvidence::RustSource;
        }
    }
    let bom = self::bom(&of_rust, SpecVersion::V1_6);
    let gimli = component(&bom, "python/odd/linked/pkg:cargo/gimli@0.31.1");
    assert_eq!(gimli["licenses"][0]["expression"], "MIT OR Apache-2.0");
    let from = serde_json::json!({ "name": "kiln:license-from", "value": "its project" });
    assert!(gimli["properties"].as_array().unwrap().contains(&from));
}

#[test]
fn tools_are_named_by_what_they_are_and_their_version() {
    let mut record = rich();
    record
        .tools
        .insert("compressor".to_owned(), "gzip of libdeflate 1.26.1 level 6, 4 MiB members".to_owned());
    let bom = bom(&record, SpecVersion::V1_6);
    let tools = bom["metadata"]["tools"]["components"].as_array().unwrap();
    assert_eq!(tools[0]["name"], "kiln");
    let compressor = tools.iter().find(|tool| tool["description"].is_string()).unwrap();
    assert_eq!((&compressor["name"], &compressor["version"]), (&"libdeflate".into(), &"1.26.1".into()));
    assert_eq!(compressor["description"], "compressor: gzip of libdeflate 1.26.1 level 6, 4 MiB members");
}

#[test]
fn a_record_without_archive_is_refused() {
    let mut record = minimal();
    record.outputs.clear();
    assert!(cyclonedx(&record, SpecVersion::V1_6).unwrap_err().to_string().contains("`tiny`"));
    assert!(provenance(&record).is_err());
}

#[test]
fn gitlab_is_told_where_components_are_from() {
    let document: Value = serde_json::from_slice(&kiln_sbom::gitlab(&rich()).unwrap()).unwrap();
    assert_eq!(violations(&document, SpecVersion::V1_6), [""; 0]);
    let properties = document["metadata"]["properties"].as_array().unwrap();
    for (name, value) in [
        ("gitlab:meta:schema_version", "1"),
        ("gitlab:dependency_scanning:input_file:path", "requirements.txt"),
        ("gitlab:dependency_scanning:language:name", "Python"),
        ("gitlab:dependency_scanning:package_manager:name", "pip"),
    ] {
        let property = serde_json::json!({ "name": name, "value": value });
        assert!(properties.contains(&property), "{name}: {properties:?}");
    }
    let published = bom(&rich(), SpecVersion::V1_6).to_string();
    assert!(!published.contains("gitlab:"), "what is published is for everybody");
}
