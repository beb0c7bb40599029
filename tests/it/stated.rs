//! What publishers state of a wheel, held against what is in it.

use crate::binaries::extension;
use crate::harness::{LocalIndex, Sandbox, repository, shared_object_linked_to, wheel_saying};
use kiln_record::{Record, exit};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The text of MIT-0, which is MIT's without the one condition.
const MIT_0: &str = "MIT No Attribution

Copyright 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files \
(the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, \
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is \
furnished to do so.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES \
OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE \
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN \
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
";

fn properties<'a>(component: &'a Value, name: &str) -> Vec<&'a str> {
    let all = component["properties"].as_array().unwrap().iter().filter(|one| one["name"] == name);
    all.map(|one| one["value"].as_str().unwrap()).collect()
}

fn needs(bill: &Value, reference: &str) -> BTreeSet<String> {
    let edges = bill["dependencies"].as_array().unwrap();
    let edge = edges.iter().find(|edge| edge["ref"] == reference).unwrap_or_else(|| panic!("{reference}"));
    edge["dependsOn"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_text_of_another_licence_and_crates_that_no_list_names_are_told() {
    let paths = "const char *paths[] = {\"/registry/src/any.crates.io-0/itoa-1.0.9/src/lib.rs\",\n\
                 \"/registry/src/any.crates.io-0/serde-1.0.2/src/lib.rs\", \"/rust/deps/gimli-0.31.1/src/lib.rs\"};\n";
    let object = shared_object_linked_to("libc.so.6", &format!("{paths}{}", extension("(void)0")));
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [{"type": "library", "name": "serde", "version": "1.0.2", "purl": "pkg:cargo/serde@1.0.2"}],
    });
    let native = wheel_saying(
        "native",
        "1.0",
        "cp313-cp313-manylinux2014_x86_64",
        &["License-Expression: MIT", "License-File: LICENSE"],
        &[
            ("native.cpython-313-x86_64-linux-gnu.so", &object),
            ("native-1.0.dist-info/licenses/LICENSE", MIT_0.as_bytes()),
            ("native-1.0.dist-info/sboms/native.cdx.json", bill.to_string().as_bytes()),
        ],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&native));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import native\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("app", "3.13", code, &native.requirement(""));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).does_not_say("warn[");
    let shown = || sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    shown().documents("note[license-differs] native");
    shown().documents("note[sbom-contradicted] native");
    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let finding = |code: &str| record.findings.iter().find(|one| one.code.as_str() == code).unwrap();
    let detail = finding("sbom-contradicted").detail.join("\n");
    assert!(
        detail.contains("itoa 1.0.9") && !detail.contains("serde") && !detail.contains("gimli"),
        "{detail}"
    );
    assert_eq!(finding("license-differs").detail, ["native-1.0.dist-info/licenses/LICENSE is MIT-0"]);

    let bill: Value = serde_json::from_slice(&sandbox.read("dist/app/app.cdx.json")).unwrap();
    let component = |reference: &str| {
        let all = bill["components"].as_array().unwrap();
        all.iter().find(|one| one["bom-ref"] == reference).unwrap_or_else(|| panic!("{reference}"))
    };
    let native = component("python/native");
    assert_eq!(
        native["licenses"],
        json!([
            {"license": {"id": "MIT", "acknowledgement": "declared"}},
            {"license": {"id": "MIT-0", "acknowledgement": "concluded"}}
        ])
    );
    assert_eq!(native["evidence"]["licenses"], json!([{"license": {"id": "MIT-0"}}]));
    let state = |reference: &str| properties(component(reference), "kiln:state");
    assert_eq!(state("python/native/linked/pkg:cargo/itoa@1.0.9"), ["contradicted"]);
    assert_eq!(state("python/native/embedded/pkg:cargo/serde@1.0.2"), ["linked"]);
    assert_eq!(
        state("python/native/linked/pkg:cargo/gimli@0.31.1"),
        ["linked"],
        "every program of Rust has it"
    );
    // It is linked to the C library, which is where it runs.
    assert!(needs(&bill, "python/native").contains("runtime/python3.13"));
    let spdx = sandbox.kiln().run(["sbom", "app", "--as", "spdx"]).ends_with(exit::SUCCESS).json();
    let package = spdx["packages"].as_array().unwrap().iter().find(|one| one["name"] == "native").unwrap();
    assert_eq!((&package["licenseDeclared"], &package["licenseConcluded"]), (&json!("MIT"), &json!("MIT-0")));
}

/// The hashed requirements of some of the conformance test's distributions.
fn locked(names: &[&str]) -> String {
    let all = fs_err::read_to_string(repository().join("tests/conformance/python-3.13.txt")).unwrap();
    let mut taken = String::new();
    let mut is_taken = false;
    for line in all.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if !line.starts_with(' ') {
            is_taken = line.split("==").next().is_some_and(|name| names.contains(&name));
        }
        if is_taken {
            taken.push_str(line);
            taken.push('\n');
        }
    }
    taken
}

/// Six real distributions with native libraries and copies of others in them. What syft 1.18.1 and Trivy 0.59.1 find in the
/// unpacked zip, each without versions as the lock has those, must be in kiln's bill, and what neither of them finds.
#[test]
fn what_scanners_find_in_distributions_with_native_and_vendored_parts_is_in_the_bill() {
    let sandbox = Sandbox::new();
    let locks = ["cffi", "cryptography", "pillow", "psycopg2-binary", "pycparser", "setuptools"];
    let code = "import PIL.Image, cffi, cryptography.fernet, psycopg2\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("app", "3.13", code, &locked(&locks));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let bill: Value = serde_json::from_slice(&sandbox.read("dist/app/app.cdx.json")).unwrap();
    let components = bill["components"].as_array().unwrap();
    let purls: BTreeSet<&str> = components.iter().filter_map(|one| one["purl"].as_str()).collect();
    let of_setuptools = [
        "autocommand",
        "backports-tarfile",
        "importlib-metadata",
        "jaraco-context",
        "jaraco-functools",
        "jaraco-text",
        "more-itertools",
        "packaging",
        "platformdirs",
        "tomli",
        "wheel",
        "zipp",
    ];
    for name in locks.iter().chain(&of_setuptools) {
        let url = format!("pkg:pypi/{name}@");
        assert_eq!(purls.iter().filter(|purl| purl.starts_with(&url)).count(), 1, "{name}: {purls:?}");
    }
    // Each bundled library, and every file of a folder for such.
    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let libraries = record.files.iter().filter(|file| file.path.as_str().contains(".libs/"));
    let owners: BTreeSet<&str> = libraries.map(|file| file.component.as_str()).collect();
    assert!(owners.len() > 25 && owners.iter().all(|owner| owner.starts_with("native/")), "{owners:?}");
    let references: BTreeSet<&str> = components.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    assert!(owners.iter().all(|owner| references.contains(owner)), "{owners:?}");

    let linked = |holder: &str, part: &str| {
        let is_it = |one: &&Value| {
            let reference = one["bom-ref"].as_str().unwrap();
            reference.starts_with(holder) && one["purl"].as_str().is_some_and(|purl| purl.starts_with(part))
        };
        let found = components.iter().find(is_it).unwrap_or_else(|| panic!("{holder}: {part}"));
        properties(found, "kiln:state") == ["linked"]
    };
    assert!(linked("python/cffi/", "pkg:generic/libffi"), "static, and its wheel says nothing of it");
    assert!(linked("python/cryptography/", "pkg:generic/openssl@"), "the wheel's bill and its bytes say so");
    assert!(linked("native/psycopg2-binary/libcrypto-", "pkg:generic/openssl@"));
    assert!(linked("native/pillow/libpng16-", "pkg:generic/libpng@"));
    // What the loader will look for: libssl beside libcrypto, and the C library where the function runs.
    let named =
        |beginning: &str| references.iter().find(|one| one.starts_with(beginning)).unwrap().to_string();
    let ssl = needs(&bill, &named("native/psycopg2-binary/libssl-"));
    assert_eq!(
        ssl,
        BTreeSet::from([named("native/psycopg2-binary/libcrypto-"), "runtime/python3.13".to_owned()])
    );
    // Licences that their texts bear out.
    for name in ["pycparser", "setuptools"] {
        let component = components.iter().find(|one| one["bom-ref"] == format!("python/{name}")).unwrap();
        assert!(component["evidence"]["licenses"].is_array(), "{name}: {}", component["licenses"]);
    }
    assert!(
        !record.findings.iter().any(|one| one.code.as_str() == "license-differs"),
        "{:?}",
        record.findings
    );
}
