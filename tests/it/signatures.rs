//! Keys from wherever, and envelopes between kiln, openssl and another implementation of DSSE.

use crate::dockerfiles::{from_scratch, write_image};
use crate::harness::signed::{key, published, sign, sign_with_bills};
use crate::harness::{Registry, Sandbox, audit, python_with, runs};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use kiln_record::{Digest, Record, exit};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The other implementation: reads what kiln signed, and signs the same statement anew with a key of its own.
const OTHER: &str = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

envelope, public, private, out = sys.argv[1:]
line = json.load(open(envelope))
keyid = line["signatures"][0]["keyid"]
key = SSlibKey.from_crypto(load_pem_public_key(open(public, "rb").read()), keyid=keyid)
read = Envelope.from_dict(line)
assert list(read.verify([key], 1)) == [keyid]
statement = json.loads(read.payload)
assert statement["_type"] == "https://in-toto.io/Statement/v1", statement
other = json.load(open(envelope))
other["payload"] = other["payload"][:-8] + "AAAA" + other["payload"][-4:]
changed = Envelope.from_dict(other)
try:
    changed.verify([key], 1)
except Exception:
    pass
else:
    raise SystemExit("a changed payload was verified")
signer = CryptoSigner(load_pem_private_key(open(private, "rb").read(), None))
again = Envelope(read.payload, read.payload_type, {})
again.sign(signer)
open(out, "w").write(json.dumps(again.to_dict()) + "\n")
print(len(statement["subject"]))
"#;

/// A Python that has the other implementations.
fn python() -> PathBuf {
    let packages = ["securesystemslib[crypto]>=1.1,<2", "rfc8785>=0.1.4,<0.2"];
    python_with("securesystemslib", "securesystemslib, cryptography, rfc8785", &packages)
}

#[test]
fn another_implementation_reads_ours_and_we_read_its() {
    for kind in ["ed25519", "p256"] {
        let sandbox = published();
        let (private, public) = key(sandbox.folder(), "mine", kind);
        let (other, other_public) = key(sandbox.folder(), "other", kind);
        sign(&sandbox, &private);
        let statement = sandbox.path("dist/release.intoto.jsonl");
        let script = sandbox.folder().join("other.py");
        fs::write(&script, OTHER).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let out = sandbox.folder().join("again.jsonl");
        let words = [&script, &statement, &public, &other, &out].map(|one| path(one));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(runs(python().to_str().unwrap(), &words).trim(), "11", "{kind}");
        // Its envelope in the place of ours, by its key: only what else is signed is by another.
        fs::copy(&out, &statement).unwrap();
        let (public, other_public) = (path(&public), path(&other_public));
        let dist = path(&sandbox.path("dist"));
        let words = ["verify", "--key", &other_public, "--key", &public, &dist];
        audit(sandbox.folder(), &words).ends_with(exit::SUCCESS).prints(&["ok          signature"]);
        let alone = audit(sandbox.folder(), &["verify", "--key", &public, &dist]);
        alone.ends_with(exit::SIGNATURE_REFUSED).prints(&["failed      signature"]);
    }
}

/// JSF with another implementation of RFC 8785 and other cryptography: verifies a bill by the key inside, and signs it anew with its own.
const JSF: &str = r#"
import base64, json, sys
import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key

def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

def number(data):
    return int.from_bytes(data, "big")

bill, private, again = sys.argv[1:]
document = json.load(open(bill))
signature = document["signature"]
value, key = decoded(signature.pop("value")), signature["publicKey"]
message = rfc8785.dumps(document)
if signature["algorithm"] == "ES256":
    numbers = ec.EllipticCurvePublicNumbers(number(decoded(key["x"])), number(decoded(key["y"])), ec.SECP256R1())
    der = utils.encode_dss_signature(number(value[:32]), number(value[32:]))
    numbers.public_key().verify(der, message, ec.ECDSA(hashes.SHA256()))
else:
    ed25519.Ed25519PublicKey.from_public_bytes(decoded(key["x"])).verify(value, message)

own = load_pem_private_key(open(private, "rb").read(), None)
document["signature"] = {"algorithm": signature["algorithm"]}
message = rfc8785.dumps(document)
if signature["algorithm"] == "ES256":
    r, s = utils.decode_dss_signature(own.sign(message, ec.ECDSA(hashes.SHA256())))
    value = r.to_bytes(32, "big") + s.to_bytes(32, "big")
else:
    value = own.sign(message)
document["signature"]["value"] = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
json.dump(document, open(again, "w"))
print(len(document["components"]))
"#;

#[test]
fn bills_with_the_signature_inside_are_read_by_others_and_theirs_by_us() {
    for kind in ["ed25519", "p256"] {
        let sandbox = published();
        let (private, public) = key(sandbox.folder(), "mine", kind);
        let (other, other_public) = key(sandbox.folder(), "other", kind);
        sign_with_bills(&sandbox, &private);
        let signed = sandbox.path("dist/orders/orders.signed.cdx.json");
        let bill: Value = serde_json::from_slice(&fs::read(&signed).unwrap()).unwrap();
        assert_eq!(bill_violations(&bill), [""; 0], "by the schema of the standard, in which JSF is");
        let mut unsigned = bill.clone();
        unsigned.as_object_mut().unwrap().remove("signature");
        let own: Value = serde_json::from_slice(&sandbox.read("dist/orders/orders.cdx.json")).unwrap();
        assert_eq!(unsigned, own, "it is the published bill and nothing else");
        let script = sandbox.folder().join("jsf.py");
        fs::write(&script, JSF).unwrap();
        let again = sandbox.folder().join("again.cdx.json");
        let words = [&script, &signed, &other, &again].map(|path| path.to_str().unwrap().to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(runs(python().to_str().unwrap(), &words).trim(), "3", "{kind}");
        // Theirs in the place of ours.
        fs::copy(&again, &signed).unwrap();
        let dist = sandbox.path("dist");
        let verify = |keys: &[&Path]| {
            let keys = keys.iter().flat_map(|key| ["--key", key.to_str().unwrap()]);
            let words: Vec<&str> =
                ["verify"].into_iter().chain(keys).chain([dist.to_str().unwrap()]).collect();
            audit(sandbox.folder(), &words)
        };
        // It is read, and the file is not the one that was there when the release was signed.
        verify(&[&public, &other_public]).ends_with(exit::SIGNATURE_REFUSED).prints(&[
            "ok          sbom ",
            "orders.signed.cdx.json was changed",
            "ok          ledger ",
        ]);
        verify(&[&public])
            .ends_with(exit::SIGNATURE_REFUSED)
            .prints(&["orders.signed.cdx.json: the signature inside it is not by"]);
        // Who signs again without it leaves no old one behind.
        sign(&sandbox, &private);
        assert!(!signed.exists());
        verify(&[&public]).ends_with(exit::SUCCESS);
    }
}

/// What the official schema of CycloneDX 1.6 has against a bill.
fn bill_violations(bill: &Value) -> Vec<String> {
    const BASE: &str = "http://cyclonedx.org/schema/";
    let schema = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let spdx = schema(include_str!("../schema/spdx.SNAPSHOT.schema.json"));
    let jsf = schema(include_str!("../schema/jsf-0.82.SNAPSHOT.schema.json"));
    let registry = jsonschema::Registry::new()
        .add(format!("{BASE}spdx.SNAPSHOT.schema.json"), spdx)
        .unwrap()
        .add(format!("{BASE}jsf-0.82.SNAPSHOT.schema.json"), jsf)
        .unwrap()
        .prepare()
        .unwrap();
    let bom = schema(include_str!("../schema/bom-1.6.SNAPSHOT.schema.json"));
    let validator =
        jsonschema::options().with_registry(&registry).should_validate_formats(true).build(&bom).unwrap();
    validator.iter_errors(bill).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Fails the test unless openssl says that a key of a kind signed a message.
#[track_caller]
fn openssl_verifies(sandbox: &Sandbox, (kind, public): (&str, &Path), message: &[u8], signature: &[u8]) {
    let (message_file, signature_file) =
        (sandbox.folder().join("message"), sandbox.folder().join("signature"));
    fs::write(&message_file, message).unwrap();
    fs::write(&signature_file, signature).unwrap();
    let mut words = vec!["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", public.to_str().unwrap()];
    words.extend(["-in", message_file.to_str().unwrap(), "-sigfile", signature_file.to_str().unwrap()]);
    if kind == "p256" {
        words.extend(["-digest", "sha256"]);
    }
    assert!(runs("openssl", &words).contains("Signature Verified Successfully"));
}

/// Where cosign looks: under a tag made of the digest, and among what refers to the manifest; each layer is a payload that names the
/// manifest, with the signature of its bytes beside it. cosign itself is not at hand here: what is held are its layout and openssl's
/// opinion.
#[test]
fn manifests_are_signed_in_the_layout_of_cosign() {
    let registry = Registry::start();
    for kind in ["ed25519", "p256"] {
        let sandbox = published();
        let (private, public) = key(sandbox.folder(), "mine", kind);
        sign(&sandbox, &private);
        let to = format!("{}/{kind}", registry.address());
        let push = || {
            let words = ["push", "orders", "--to", &to, "--tag", "v1", "--format", "json"];
            sandbox.kiln().run(words).ends_with(exit::SUCCESS).json()
        };
        let pushed = push();
        let digest = pushed[0]["reference"].as_str().unwrap().split_once('@').unwrap().1.to_owned();
        let hex = digest.strip_prefix("sha256:").unwrap();
        let repository = format!("{kind}/orders");
        let read = |reference: &str| -> Value {
            serde_json::from_slice(&registry.document(&repository, reference).unwrap().1).unwrap()
        };
        let under_tag = read(&format!("sha256-{hex}.sig"));
        assert_eq!(under_tag["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        let layers = under_tag["layers"].as_array().unwrap().clone();
        assert_eq!(layers.len(), 1);
        assert_eq!(layers[0]["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
        let line: Value = serde_json::from_slice(&sandbox.read("dist/orders/orders.cosign.json")).unwrap();
        let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let payload = decoded(&line["Payload"]);
        assert_eq!(layers[0]["digest"], Digest::of(&payload).to_string());
        let said: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(said["critical"]["type"], "cosign container image signature");
        assert_eq!(said["critical"]["image"]["docker-manifest-digest"], digest);
        let signature = &layers[0]["annotations"]["dev.cosignproject.cosign/signature"];
        openssl_verifies(&sandbox, (kind, &public), &payload, &decoded(signature));

        // The same among what refers to the manifest.
        let referrers = read(&format!("sha256-{hex}"));
        let artifact_type = "application/vnd.dev.cosign.artifact.sig.v1+json";
        let referring = referrers["manifests"].as_array().unwrap();
        let referring = referring.iter().find(|one| one["artifactType"] == artifact_type).unwrap();
        let referring = read(referring["digest"].as_str().unwrap());
        assert_eq!(referring["subject"]["digest"], digest);
        assert_eq!(&referring["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"], signature);

        // A signature is there once, and one by another key stands beside it.
        push();
        assert_eq!(read(&format!("sha256-{hex}.sig"))["layers"], Value::from(layers.clone()));
        let (other, _) = key(sandbox.folder(), "other", kind);
        sign(&sandbox, &other);
        push();
        assert_eq!(read(&format!("sha256-{hex}.sig"))["layers"].as_array().unwrap().len(), 2);

        // Who verifies the release is told of a signature that is by another, or of another manifest.
        let verify = || sandbox.kiln().run(["verify", "--key", public.to_str().unwrap(), "--", "dist"]);
        sign(&sandbox, &private);
        verify().ends_with(exit::SUCCESS);
        let own = sandbox.read("dist/orders/orders.cosign.json");
        sandbox.write("dist/orders/orders.cosign.json", sandbox.read("dist/payments/payments.cosign.json"));
        verify().ends_with(exit::SIGNATURE_REFUSED).prints(&["orders.cosign.json: it is of the manifest"]);
        let changed = String::from_utf8(own.clone()).unwrap();
        let changed = changed.replacen("Base64Signature\":\"", "Base64Signature\":\"AAAA", 1);
        sandbox.write("dist/orders/orders.cosign.json", changed);
        verify()
            .ends_with(exit::SIGNATURE_REFUSED)
            .prints(&["orders.cosign.json: the signature of its manifest is not by"]);
        sandbox.write("dist/orders/orders.cosign.json", own);
        verify().ends_with(exit::SUCCESS);
    }
}

#[test]
fn openssl_verifies_what_was_signed() {
    for kind in ["ed25519", "p256"] {
        let sandbox = published();
        let (private, public) = key(sandbox.folder(), "mine", kind);
        sign(&sandbox, &private);
        let line: serde_json::Value =
            serde_json::from_slice(&sandbox.read("dist/orders/orders.signed.intoto.jsonl")).unwrap();
        let text = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let payload = text(&line["payload"]);
        let mut message = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len()).into_bytes();
        message.extend(payload);
        openssl_verifies(&sandbox, (kind, &public), &message, &text(&line["signatures"][0]["sig"]));
        // The name of the key is what openssl and sha256sum make of it.
        let der = sandbox.folder().join("key.der");
        runs(
            "openssl",
            &[
                "pkey",
                "-pubin",
                "-in",
                public.to_str().unwrap(),
                "-outform",
                "DER",
                "-out",
                der.to_str().unwrap(),
            ],
        );
        let sum = runs("sha256sum", &[der.to_str().unwrap()]);
        assert_eq!(sum.split(' ').next(), line["signatures"][0]["keyid"].as_str());
    }
}

#[test]
fn keys_come_from_encrypted_files_variables_and_programs() {
    let sandbox = published();
    let (private, public) = key(sandbox.folder(), "mine", "p256");
    let (private, public) = (private.to_str().unwrap(), public.to_str().unwrap());
    let dist = sandbox.path("dist");
    let dist = dist.to_str().unwrap();
    let holds = || drop(audit(sandbox.folder(), &["verify", "--key", public, dist]).ends_with(exit::SUCCESS));
    // Encrypted, by a passphrase in a file and in a variable.
    let (locked, secret) = (sandbox.folder().join("locked.pem"), sandbox.folder().join("secret"));
    let (locked, secret) = (locked.to_str().unwrap(), secret.to_str().unwrap());
    runs("openssl", &["pkcs8", "-topk8", "-in", private, "-out", locked, "-passout", "pass:correct horse"]);
    fs::write(secret, "correct horse\n").unwrap();
    let kiln = sandbox.kiln();
    kiln.run(["sign", "--key-file", locked]).ends_with(exit::INPUT_INVALID).says(&["--passphrase-file"]);
    kiln.run(["sign", "--key-file", locked, "--passphrase-file", secret]).ends_with(exit::SUCCESS);
    holds();
    let wrong = sandbox.kiln().with_variable("SECRET", "wrong");
    let words = ["sign", "--key-file", locked, "--passphrase-env", "SECRET"];
    wrong.run(words).ends_with(exit::INPUT_INVALID).says(&["its passphrase is another one"]);
    sandbox.kiln().with_variable("SECRET", "correct horse").run(words).ends_with(exit::SUCCESS);
    // A variable.
    let pem = fs::read_to_string(private).unwrap();
    sandbox.kiln().with_variable("KEY", &pem).run(["sign", "--key-env", "KEY"]).ends_with(exit::SUCCESS);
    holds();
    // A program that keeps it, and answers in bytes or in base64.
    for end in ["", " | base64"] {
        let program = sandbox.folder().join("sign.sh");
        fs::write(&program, format!("#!/bin/sh\nopenssl dgst -sha256 -sign '{private}'{end}\n")).unwrap();
        fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let words = ["sign", "--key-command", program.to_str().unwrap(), "--public-key", public];
        kiln.run(words).ends_with(exit::SUCCESS);
        holds();
    }
    // One that signs something else, and one that fails.
    for program in ["true", "false"] {
        let words = ["sign", "--key-command", program, "--public-key", public];
        kiln.run(words).ends_with(exit::INPUT_INVALID).says(&["nothing was signed"]);
    }
    // Others can read it.
    fs::set_permissions(private, std::fs::Permissions::from_mode(0o644)).unwrap();
    kiln.run(["sign", "--key-file", private]).ends_with(exit::SUCCESS).says(&["warning", "chmod go="]);
}

/// A verdict over a file's digest, as `kiln rebuild --attest` writes it, signed by openssl.
fn verdict(folder: &Path, name: &str, private: &Path, digest: &str, equality: &str) {
    let statement = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "orders.zip", "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "verifier": {"id": "urn:kiln:rebuilder", "version": {"kiln": "1"}},
            "timeVerified": "2026-11-10T00:00:00Z", "resourceUri": "urn:kiln:artifact:orders",
            "policy": {"uri": "urn:kiln:rebuild:1"}, "inputAttestations": [],
            "verificationResult": if equality == "E0" { "PASSED" } else { "FAILED" },
            "verifiedLevels": [], "urn:kiln:equality": equality,
        },
    })
    .to_string();
    let message = format!("DSSEv1 28 application/vnd.in-toto+json {} {statement}", statement.len());
    let (message_file, signature) = (folder.join("message"), folder.join("signature"));
    fs::write(&message_file, message).unwrap();
    let (input, key) = (message_file.to_str().unwrap(), private.to_str().unwrap());
    let words =
        ["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", input, "-out", signature.to_str().unwrap()];
    runs("openssl", &words);
    let line = serde_json::json!({
        "payload": STANDARD.encode(&statement), "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": STANDARD.encode(fs::read(signature).unwrap())}],
    });
    fs::write(folder.join("release/orders").join(format!("{name}.vsa.intoto.jsonl")), format!("{line}\n"))
        .unwrap();
}

#[test]
fn distinct_rebuilders_are_counted_over_the_bytes_that_are_there() {
    let sandbox = published();
    let folder = sandbox.folder();
    crate::harness::signed::copy(&sandbox.path("dist/orders"), &folder.join("release/orders"));
    let keys = ["anna", "ben", "cleo"].map(|name| key(folder, name, "ed25519"));
    let digest = kiln_record::Digest::of(&sandbox.read("dist/orders/orders.zip")).hex();
    let verify = || {
        let words = ["verify", "--require", "2/3", "--keys", "anna.pub.pem", "ben.pub.pem", "cleo.pub.pem"];
        audit(folder, &[&words[..], &["--", "release"]].concat())
    };
    let refused = |says: &str| drop(verify().ends_with(exit::SIGNATURE_REFUSED).prints(&[says]));
    refused("by 0 of 3 rebuilders, and 2 are required");
    verdict(folder, "anna", &keys[0].0, &digest, "E0");
    // The same rebuilder twice is one; somebody unknown is none; another archive is nothing.
    verdict(folder, "anna-again", &keys[0].0, &digest, "E0");
    let (stranger, _) = key(folder, "stranger", "ed25519");
    verdict(folder, "stranger", &stranger, &digest, "E0");
    verdict(folder, "cleo", &keys[2].0, &"ab".repeat(32), "E0");
    refused("by 1 of 3 rebuilders, and 2 are required");
    refused("not counted: ");
    verdict(folder, "ben", &keys[1].0, &digest, "E0");
    verify().ends_with(exit::SUCCESS).prints(&["by 2 of 3 rebuilders"]);
    // Who failed counts against, also against an own pass.
    verdict(folder, "ben-again", &keys[1].0, &digest, "E1");
    refused("orders: failed by key ");
    // The bytes that are there count, and not what a record says of them.
    fs::remove_file(folder.join("release/orders/ben-again.vsa.intoto.jsonl")).unwrap();
    verify().ends_with(exit::SUCCESS);
    fs::write(folder.join("release/orders/orders.zip"), "another").unwrap();
    refused("by 0 of 3 rebuilders");
    // Another folder that says to be the same artifact is not judged in its place.
    crate::harness::signed::copy(&sandbox.path("dist/orders"), &folder.join("release/theirs"));
    let strange = verify();
    strange.ends_with(exit::INPUT_INVALID).says(&["theirs", "its record is that of orders"]);
    fs::remove_dir_all(folder.join("release/theirs")).unwrap();
    let few = ["verify", "--require", "2/3", "--keys", "anna.pub.pem", "--", "release"];
    audit(folder, &few).ends_with(exit::INPUT_INVALID).says(&["1 different keys"]);
}

/// What a verdict is about names the manifest of an image, and whoever loads its layout begins at the index.
#[test]
fn a_layout_that_was_mended_is_another_image() {
    let sandbox = Sandbox::new();
    write_image(&sandbox, "orders", &from_scratch(), "\n[image]\noutput = \"oci-layout\"\n");
    sandbox.kiln().run(["build", "orders"]).ends_with(exit::SUCCESS);
    let folder = sandbox.folder();
    let record = Record::from_json(&sandbox.read("dist/orders/record.json")).unwrap();
    let image = record.image.as_ref().unwrap();
    let layout = folder.join("release/orders/oci");
    let blob = |digest: &Digest| layout.join("blobs/sha256").join(digest.hex());
    let (manifest, layer) = (image.manifest, image.layers[0].digest);
    let keys = ["anna", "ben", "cleo"].map(|name| key(folder, name, "ed25519"));
    let words = [
        "verify",
        "--require",
        "2/3",
        "--keys",
        "anna.pub.pem",
        "ben.pub.pem",
        "cleo.pub.pem",
        "--",
        "release",
    ];
    let intact = || {
        let _ = fs::remove_dir_all(folder.join("release"));
        crate::harness::signed::copy(&sandbox.path("dist/orders"), &folder.join("release/orders"));
        for (name, (private, _)) in ["anna", "ben"].iter().zip(&keys) {
            verdict(folder, name, private, &manifest.hex(), "E0");
        }
        audit(folder, &words).ends_with(exit::SUCCESS).prints(&["by 2 of 3 rebuilders"]);
    };
    let refused = |says: &[&str]| drop(audit(folder, &words).ends_with(exit::SIGNATURE_REFUSED).prints(says));

    intact();
    let mut theirs = fs::read(blob(&layer)).unwrap();
    theirs.push(0);
    fs::write(blob(&layer), &theirs).unwrap();
    refused(&[&layer.hex(), "is not what its name says"]);

    intact();
    fs::remove_file(blob(&layer)).unwrap();
    refused(&[&layer.hex(), "is missing"]);

    // Another layer, named by a manifest of its own, to which the index leads: each blob is what its name says, and what was built is
    // still there.
    intact();
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    let other = text(&blob(&manifest)).replace(&layer.hex(), &Digest::of(&theirs).hex());
    let other_manifest = Digest::of(other.as_bytes());
    fs::write(blob(&Digest::of(&theirs)), &theirs).unwrap();
    fs::write(blob(&other_manifest), &other).unwrap();
    let index = text(&layout.join("index.json")).replace(&manifest.hex(), &other_manifest.hex());
    fs::write(layout.join("index.json"), index).unwrap();
    refused(&["index.json leads to another image", &manifest.hex()]);

    // The record mended, too: then nobody rebuilt that.
    let path = folder.join("release/orders/record.json");
    let mended = text(&path).replace(&manifest.hex(), &other_manifest.hex());
    fs::write(&path, mended.replace(&manifest.base64(), &other_manifest.base64())).unwrap();
    refused(&["by 0 of 3 rebuilders"]);
}
