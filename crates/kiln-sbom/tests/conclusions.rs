//! What documents say beyond what is declared and listed: conclusions from texts, what native files load, what is outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

#[expect(dead_code, reason = "shared with other tests, which use the rest")]
mod sample;

use kiln_record::{Code, Epoch, Finding, Record};
use kiln_sbom::{GithubRun, SpecVersion, cyclonedx, github, spdx};
use sample::rich;
use serde_json::{Value, json};

fn bom(record: &Record, version: SpecVersion) -> Value {
    serde_json::from_slice(&cyclonedx(record, version).unwrap()).unwrap()
}

fn component<'a>(bom: &'a Value, reference: &str) -> Option<&'a Value> {
    bom["components"].as_array().unwrap().iter().find(|one| one["bom-ref"] == reference)
}

fn needs(bom: &Value, reference: &str) -> Value {
    let edges = bom["dependencies"].as_array().unwrap();
    edges.iter().find(|edge| edge["ref"] == reference).unwrap()["dependsOn"].clone()
}

#[test]
fn what_texts_bear_out_is_concluded_beside_what_is_declared() {
    let expression = "BSD-3-Clause AND MIT";
    for version in [SpecVersion::V1_5, SpecVersion::V1_6, SpecVersion::V1_7] {
        let bom = bom(&rich(), version);
        let numpy = component(&bom, "python/numpy").unwrap();
        assert_eq!(numpy["evidence"]["licenses"], json!([{"expression": expression}]), "{version}");
        // One expression stands alone before 1.7.
        let declared = match version {
            SpecVersion::V1_5 => json!({"expression": expression}),
            _ => json!({"expression": expression, "acknowledgement": "declared"}),
        };
        let concluded = json!({"expression": expression, "acknowledgement": "concluded"});
        let both =
            if version == SpecVersion::V1_7 { json!([declared, concluded]) } else { json!([declared]) };
        assert_eq!(numpy["licenses"], both, "{version}");
        // Nothing is concluded where there is no text.
        assert_eq!(component(&bom, "python/odd").unwrap()["evidence"].get("licenses"), None);
    }
    let document: Value = serde_json::from_slice(&spdx(&rich()).unwrap()).unwrap();
    let of = |name: &str| {
        let packages = document["packages"].as_array().unwrap();
        let package = packages.iter().find(|one| one["name"] == name).unwrap();
        (package["licenseDeclared"].clone(), package["licenseConcluded"].clone())
    };
    assert_eq!(of("numpy"), (json!(expression), json!(expression)));
    assert_eq!(of("odd").1, "NOASSERTION");
}

#[test]
fn a_library_that_is_loaded_is_needed_from_whoever_has_it() {
    let mut record = rich();
    let odd = kiln_record::TreePath::new("odd.so").unwrap();
    let library = "libgfortran-040039e1.so.5.0.0";
    record.binaries.get_mut(&odd).unwrap().needed.push(library.to_owned());
    let at = kiln_record::TreePath::new(&format!("numpy.libs/{library}")).unwrap();
    record.binaries.insert(at, kiln_record::Binary::default());
    let native = format!("native/numpy/{library}");
    let has = |record: &Record, reference: &str| {
        let needed = needs(&bom(record, SpecVersion::V1_6), "python/odd");
        needed.as_array().unwrap().contains(&json!(reference))
    };
    assert!(has(&record, &native));
    assert!(!has(&record, "runtime/python3.13"), "with a layer, the C library may be one of its own");
    record.layers.clear();
    assert!(has(&record, "runtime/python3.13"));
}

#[test]
fn what_the_runtime_has_is_a_component_where_the_format_can_say_that_it_is_outside() {
    let mut record = rich();
    record.findings = vec![Finding::new(Code::ProvidedByRuntime, "boto3", "it is not shipped")];
    let newest = bom(&record, SpecVersion::V1_7);
    let boto3 = component(&newest, "runtime/python3.13/boto3").unwrap();
    assert_eq!((&boto3["isExternal"], &boto3["purl"]), (&json!(true), &json!("pkg:pypi/boto3")));
    for holder in ["runtime/python3.13", "application/sample"] {
        assert!(needs(&newest, holder).as_array().unwrap().contains(&boto3["bom-ref"]), "{holder}");
    }
    let older = bom(&record, SpecVersion::V1_6);
    assert_eq!(component(&older, "runtime/python3.13/boto3"), None);
    let told = json!({"name": "kiln:provides", "value": "boto3"});
    let runtime = component(&older, "runtime/python3.13").unwrap();
    assert!(runtime["properties"].as_array().unwrap().contains(&told), "{runtime}");
}

/// What GitHub's documentation says of the body of "Create a snapshot of dependencies for a repository", and nothing besides.
fn snapshot_schema() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let object = |required: &[&str], properties: Value| json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false});
    let dependency = object(
        &[],
        json!({
            "package_url": {"type": "string", "pattern": "^pkg:"},
            "relationship": {"enum": ["direct", "indirect"]},
            "scope": {"enum": ["runtime", "development"]},
            "dependencies": {"type": "array", "items": text},
        }),
    );
    let manifest = object(
        &["name"],
        json!({
            "name": text,
            "file": object(&[], json!({"source_location": text})),
            "resolved": {"type": "object", "additionalProperties": dependency},
        }),
    );
    object(
        &["version", "job", "sha", "ref", "detector", "scanned"],
        json!({
            "version": {"type": "integer"},
            "job": object(&["id", "correlator"], json!({"id": text, "correlator": text})),
            "sha": {"type": "string", "minLength": 40, "maxLength": 40},
            "ref": {"type": "string", "pattern": "^refs/"},
            "detector": object(
                &["name", "version", "url"],
                json!({"name": text, "version": text, "url": text}),
            ),
            "scanned": {"type": "string", "format": "date-time"},
            "manifests": {"type": "object", "additionalProperties": manifest},
        }),
    )
}

#[test]
fn a_snapshot_for_github_is_what_its_documentation_says() {
    let commit = "ab".repeat(20);
    let run = GithubRun {
        commit: &commit,
        reference: "refs/heads/main",
        run: "17",
        job: "release build",
        time: "2026-11-29T00:00:00Z".parse::<Epoch>().unwrap(),
    };
    let snapshot: Value = serde_json::from_slice(&github(&rich(), &run).unwrap()).unwrap();
    let schema = snapshot_schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&snapshot).map(|error| error.to_string()).collect();
    assert_eq!(wrong, [""; 0]);
    let mut broken = snapshot.clone();
    broken["scanned"] = json!("today");
    assert!(!validator.is_valid(&broken), "the schema refuses what is wrong");

    assert_eq!(snapshot["job"]["correlator"], "release build sample");
    let manifest = &snapshot["manifests"]["sample"];
    assert_eq!(manifest["file"]["source_location"], "requirements.txt");
    let resolved = manifest["resolved"].as_object().unwrap();
    assert!(resolved.keys().all(|url| !url.starts_with("pkg:generic/")), "{resolved:?}");
    let numpy = &resolved["pkg:pypi/numpy@2.2.6"];
    assert_eq!((&numpy["relationship"], &numpy["scope"]), (&json!("direct"), &json!("runtime")));
    let aes = &resolved["pkg:cargo/aes@0.8.4"];
    assert_eq!((&aes["relationship"], &aes["scope"]), (&json!("indirect"), &json!("development")));
    for package in resolved.values() {
        for needed in package["dependencies"].as_array().unwrap() {
            assert!(resolved.contains_key(needed.as_str().unwrap()), "{needed}");
        }
    }
    assert_eq!(aes["dependencies"], json!(["pkg:cargo/cipher@0.4.4"]));
}
