//! The archives of what is linked into wheels and programs: of crates by `kiln lock --crates`, of others as the workspace states them.

use crate::binaries::extension;
use crate::harness::{LocalIndex, Sandbox, repository, shared_object_linked_to, wheel, wheel_saying};
use flate2::{Compression, write::GzEncoder};
use kiln_record::{Digest, LongHasher, exit};
use serde_json::{Value, json};
use std::io::Write as _;

/// The archive of a crate with nothing but its `Cargo.toml`.
fn archive(name: &str, version: &str, license: &str) -> Vec<u8> {
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nlicense = \"{license}\"\n");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(manifest.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, format!("{name}-{version}/Cargo.toml"), manifest.as_bytes()).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&tar.into_inner().unwrap()).unwrap();
    packed.finish().unwrap()
}

/// A wheel with crates inside: its bill names four, of one with another digest than the registry has and of one that this does not
/// have, and its bytes show one more, and curl.
pub(crate) fn native() -> (LocalIndex, String, [Vec<u8>; 3]) {
    let [serde, itoa, gimli] = [
        archive("serde", "1.0.2", "MIT OR Apache-2.0"),
        archive("itoa", "1.0.9", "MIT OR Apache-2.0"),
        archive("gimli", "0.31.1", "MIT/Apache-2.0"),
    ];
    let sha256 = |digest: Digest| json!([{ "alg": "SHA-256", "content": digest.hex() }]);
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [
            {"type": "library", "name": "serde", "version": "1.0.2", "purl": "pkg:cargo/serde@1.0.2",
             "hashes": sha256(Digest::of(&serde))},
            {"type": "library", "name": "itoa", "version": "1.0.9", "purl": "pkg:cargo/itoa@1.0.9",
             "hashes": sha256(Digest::of(b"another"))},
            {"type": "library", "name": "gone", "version": "1.0.0", "purl": "pkg:cargo/gone@1.0.0",
             "hashes": sha256(Digest::of(b"gone"))},
            {"type": "library", "name": "own", "version": "1.0.0",
             "purl": "pkg:cargo/own@1.0.0?download_url=file://."},
        ],
    });
    let shown = "const char *shown[] = {\"/rust/deps/gimli-0.31.1/src/lib.rs\", \"libcurl v7.83.1\"};\n";
    let object = shared_object_linked_to("libc.so.6", &format!("{shown}{}", extension("(void)0")));
    let native = wheel_saying(
        "native",
        "1.0",
        "cp313-cp313-manylinux2014_x86_64",
        &["License-Expression: MIT"],
        &[
            ("native.cpython-313-x86_64-linux-gnu.so", &object),
            ("native-1.0.dist-info/sboms/native.cdx.json", bill.to_string().as_bytes()),
        ],
    );
    let requirement = native.requirement("");
    (LocalIndex::serve(std::slice::from_ref(&native)), requirement, [serde, itoa, gimli])
}

const CODE: &str = "import native\n\ndef handler(event, context):\n    return None\n";

fn component(sandbox: &Sandbox, purl: &str) -> Value {
    let bill: Value = serde_json::from_slice(&sandbox.read("dist/app/app.cdx.json")).unwrap();
    let all = bill["components"].as_array().unwrap();
    all.iter().find(|one| one["purl"] == purl).unwrap_or_else(|| panic!("{purl}")).clone()
}

fn hashes(component: &Value) -> Vec<&str> {
    let all = component["hashes"].as_array().into_iter().flatten();
    all.map(|hash| hash["content"].as_str().unwrap()).collect()
}

fn property<'a>(component: &'a Value, name: &str) -> Option<&'a str> {
    let mut all = component["properties"].as_array().unwrap().iter();
    all.find(|one| one["name"] == name)?["value"].as_str()
}

#[test]
fn crates_inside_wheels_are_locked_by_the_digests_of_their_archives() {
    let (index, requirement, [serde, itoa, gimli]) = native();
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &requirement);
    for (name, bytes) in [("serde-1.0.2", &serde), ("itoa-1.0.9", &itoa), ("gimli-0.31.1", &gimli)] {
        sandbox.write(&format!("registry/{name}.crate"), bytes);
    }
    let registry = format!("file://{}/{{crate}}-{{version}}.crate", sandbox.path("registry").display());
    let kiln = || sandbox.kiln().with_variable("KILN_CRATES", &registry);
    let without = || sandbox.kiln().with_variable("CARGO_HOME", "/nonexistent");

    // Without the lock, the bill says what the wheel's says.
    without().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(hashes(&component(&sandbox, "pkg:cargo/serde@1.0.2")), [Digest::of(&serde).hex()]);
    assert_eq!(property(&component(&sandbox, "pkg:cargo/gimli@0.31.1"), "kiln:unknown"), Some("hash"));
    kiln().run(["lock", "--crates", "--check"]).ends_with(exit::NOT_REPRODUCIBLE).prints(&["would change"]);

    let another = format!("itoa 1.0.9: the registry has {}", Digest::of(&itoa));
    let outcome = kiln().run(["lock", "--crates"]).ends_with(exit::SUCCESS);
    outcome
        .prints(&["kiln.lock: written: 3 crates", "3 new, 0 no longer there"])
        .says(&["gone 1.0.0: ", &another]);
    let lock = String::from_utf8(sandbox.read("kiln.lock")).unwrap();
    assert!(lock.starts_with("# Written by `kiln lock --crates`."), "{lock}");
    assert!(lock.contains("license = \"MIT OR Apache-2.0\"") && !lock.contains("own"), "{lock}");

    // What is locked is not asked for again, and what cannot be had is told and changes nothing. Where nobody can be asked, nothing
    // was checked.
    let outcome = without().run(["lock", "--crates"]).ends_with(exit::SUCCESS);
    outcome
        .prints(&["kiln.lock: nothing moved: 3 crates"])
        .says(&["1 crate cannot be had: no registry of crates is configured"]);
    kiln().run(["lock", "--crates", "--check"]).ends_with(exit::SUCCESS).says(&["gone 1.0.0: "]);
    let unasked = without().run(["lock", "--crates", "--check"]);
    unasked.ends_with(exit::FETCH_FAILED).says(&["no registry of crates is configured"]);

    // The lock alone is needed from here on.
    without().run(["build", "app"]).ends_with(exit::SUCCESS);
    let told = component(&sandbox, "pkg:cargo/serde@1.0.2");
    assert_eq!(hashes(&told), [Digest::of(&serde).hex(), LongHasher::of(&serde)]);
    assert_eq!(told["externalReferences"][0]["type"], "distribution");
    assert_eq!(told["externalReferences"][0]["url"], "serde-1.0.2.crate");
    assert_eq!(property(&told, "kiln:hash-of"), None, "its publisher states the same");
    assert_eq!(told["licenses"][0]["expression"], "MIT OR Apache-2.0");
    let told = component(&sandbox, "pkg:cargo/gimli@0.31.1");
    assert_eq!(hashes(&told), [Digest::of(&gimli).hex(), LongHasher::of(&gimli)]);
    assert_eq!(property(&told, "kiln:hash-of"), Some("gimli-0.31.1.crate"));
    let told = component(&sandbox, "pkg:cargo/itoa@1.0.9");
    assert_eq!(hashes(&told), [Digest::of(b"another").hex()], "another archive is not the one that is meant");
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    shown.prints(&[
        "note[sbom-contradicted] native: the bill of materials of native states another digest of a crate",
    ]);
    let record = String::from_utf8(sandbox.read("dist/app/record.json")).unwrap();
    assert!(record.contains("the bill of materials of native states another digest of a crate"), "{record}");
    assert!(record.contains("itoa 1.0.9: native-1.0.dist-info/sboms/native.cdx.json states"), "{record}");

    // Who states another SHA-512 than the registry's archive has means another file.
    let settings = String::from_utf8(sandbox.read("kiln.toml")).unwrap();
    let stated = |name: &str, digest: Digest| {
        format!(
            "\n[[component]]\npurl = \"pkg:cargo/{}\"\narchive = \"{name}.crate\"\ndigest = \"{digest}\"\nsha512 = \"{}\"\nreason = \"a guess\"\n",
            name.replace('-', "@"),
            LongHasher::of(b"another")
        )
    };
    let wrong = stated("gimli-0.31.1", Digest::of(&gimli)) + &stated("serde-1.0.2", Digest::of(b"another"));
    sandbox.write("kiln.toml", format!("{settings}{wrong}"));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "`component` states an archive of `pkg:cargo/gimli@0.31.1` with another digest than gimli has",
        &format!("sha512:{}", LongHasher::of(&gimli)),
        "`component` states an archive of `pkg:cargo/serde@1.0.2` with another digest than serde has",
    ]);
    sandbox.write("kiln.toml", settings);

    // A crate that is in no wheel any more goes.
    sandbox.replace("kiln.lock", "name = \"gimli\"", "name = \"gimlet\"");
    let outcome = kiln().run(["lock", "--crates"]).ends_with(exit::SUCCESS);
    outcome.prints(&["1 new, 1 no longer there"]);
    assert_eq!(String::from_utf8(sandbox.read("kiln.lock")).unwrap(), lock);
}

#[test]
fn what_is_stated_of_a_library_that_is_linked_in_identifies_it() {
    let (index, requirement, [serde, ..]) = native();
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &requirement);
    let (digest, sha512) = (Digest::of(b"curl"), LongHasher::of(b"curl"));
    let cpe = "cpe:2.3:a:haxx:curl:7.83.1:*:*:*:*:*:*:*";
    let curl = format!(
        "\n[[component]]\npurl = \"pkg:generic/curl@7.83.1\"\ncpe = \"{cpe}\"\narchive = \"curl-7.83.1.tar.gz\"\n\
         digest = \"{digest}\"\nsha512 = \"{sha512}\"\nreason = \"looked up\"\n"
    );
    let settings = String::from_utf8(sandbox.read("kiln.toml")).unwrap();
    sandbox.write("kiln.toml", format!("{settings}{curl}"));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let told = component(&sandbox, "pkg:generic/curl@7.83.1");
    assert_eq!((hashes(&told), &told["cpe"]), (vec![digest.hex().as_str(), &sha512], &json!(cpe)));
    assert_eq!(property(&told, "kiln:stated"), Some("cpe, archive: looked up"));
    assert_eq!(property(&told, "kiln:hash-of"), Some("curl-7.83.1.tar.gz"));
    let spdx = sandbox.kiln().run(["sbom", "app", "--as", "spdx"]).ends_with(exit::SUCCESS).json();
    let package = spdx["packages"].as_array().unwrap().iter().find(|one| one["name"] == "curl").unwrap();
    let security =
        json!({"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": cpe});
    assert!(package["externalRefs"].as_array().unwrap().contains(&security), "{package:#}");
    let three = sandbox.kiln().run(["sbom", "app", "--as", "spdx-3.0"]).ends_with(exit::SUCCESS);
    three.prints(&["\"externalIdentifierType\": \"cpe23\""]);

    // One digest is enough to find that another file is meant.
    let wrong = format!(
        "\n[[component]]\npurl = \"pkg:cargo/serde@1.0.2\"\narchive = \"serde-1.0.2.crate\"\ndigest = \"{digest}\"\nreason = \"a guess\"\n"
    );
    sandbox.write("kiln.toml", format!("{settings}{wrong}"));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "kiln.toml: `component` states an archive of `pkg:cargo/serde@1.0.2` with another digest than serde has",
        &Digest::of(&serde).to_string(),
    ]);
}

/// Without the crates of the lock it would be another artifact.
#[test]
fn a_lock_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let sandbox = Sandbox::new();
    let code = "def handler(event, context):\n    return None\n";
    let greeting = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"")]);
    sandbox.function("app", "3.13", code, &greeting.requirement(""));
    sandbox.write("kiln.lock", "<<<<<<< ours\n");
    for words in [["build", "app"], ["build", "--all"]] {
        sandbox.kiln().run(words).ends_with(exit::INPUT_INVALID).says(&["kiln.lock"]);
    }
    sandbox.assert_nothing_published();
}

/// The committed lock is one of crates, too. Whether it has every one of a wheel, `documents::` looks at.
#[test]
fn this_repository_knows_the_archives_of_its_crates() {
    let text = fs_err::read_to_string(repository().join("kiln.lock")).unwrap();
    let lock = kiln_plan::ToolsLock::parse("kiln.lock", &text.into()).unwrap();
    assert!(lock.crates.len() > 100, "{}", lock.crates.len());
    assert!(lock.crates.is_sorted(), "{:?}", lock.crates);
}
