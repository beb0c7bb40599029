//! One manifest for several platforms: an artifact for each, and an image index over them.

use crate::arm64::runs_arm64;
use crate::harness::signed::{copy, files_below, key, sign_with_bills};
use crate::harness::{INDEX_TYPE, LocalIndex, Registry, Sandbox, needs_image_tools, runs, schemas, wheel};
use fs_err as fs;
use kiln_record::{CheckName, CheckOutcome, Digest, IndexRecord, Record, exit};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

const CODE: &str = "import markupsafe\n\nif __name__ == '__main__':\n    print(markupsafe.escape('<'))\n";

/// A workspace whose base is locked for both platforms, from one state of the archive.
fn sandbox() -> Sandbox {
    static LOCK: OnceLock<Vec<u8>> = OnceLock::new();
    let sandbox = Sandbox::new();
    sandbox.write("images/both.toml", sandbox.read("images/python-3.13.toml"));
    let lock = LOCK.get_or_init(|| {
        sandbox.kiln().run(["lock", "--base", "both"]).ends_with(exit::SUCCESS);
        sandbox.read("images/both.lock")
    });
    sandbox.write("images/both.lock", lock);
    sandbox
}

fn service(sandbox: &Sandbox, code: &str, python: &str) {
    sandbox
        .write(
            "manifests/web.toml",
            format!(
                "kind = \"image\"\nbase = \"both\"\n\n[target]\narchitectures = [\"arm64\", \"x86_64\"]\n\n[source]\npath = \
                 \"web\"\ninclude = [\"*.py\"]\n\n[image]\nentrypoint = [\"/usr/bin/python3.13\", \"-m\", \"web\"]\n\
                 annotations = {{ \"org.opencontainers.image.title\" = \"web\" }}\n{python}"
            ),
        )
        .write("manifests/web/web.py", code);
}

/// A service with native code for each platform, from a lock for each, published. It is shared: copy it before changing it.
/// It is gone with its last user.
pub(crate) fn published() -> Arc<Sandbox> {
    static SHARED: Mutex<Weak<Sandbox>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sandbox) = shared.upgrade() {
        return sandbox;
    }
    let made = sandbox();
    service(
        &made,
        CODE,
        "\n[python]\nrequirements = \"web/requirements.in\"\nlock = \"web/requirements.txt\"\n",
    );
    made.write("manifests/web/requirements.in", "markupsafe\n");
    made.kiln().run(["lock", "web"]).ends_with(exit::SUCCESS);
    made.kiln().run(["build", "web"]).ends_with(exit::SUCCESS).prints(&[
        "web.amd64  published",
        "web.arm64  published",
        "web        published  index of linux/amd64, linux/arm64",
    ]);
    let made = Arc::new(made);
    *shared = Arc::downgrade(&made);
    made
}

fn record(sandbox: &Sandbox, name: &str) -> Record {
    Record::from_json(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap()
}

fn index(sandbox: &Sandbox) -> IndexRecord {
    let bytes = sandbox.read("dist/web/platforms.json");
    schemas::validate("platforms", &serde_json::from_slice(&bytes).unwrap());
    IndexRecord::from_json(&bytes).unwrap()
}

fn manifest_of(sandbox: &Sandbox, name: &str) -> Digest {
    record(sandbox, name).image.unwrap().manifest
}

/// Each platform is an artifact with native code of its own, judged as far as this host can.
#[test]
fn each_platform_is_resolved_checked_and_recorded() {
    let sandbox = published();
    for (name, machine) in [("web.amd64", "x86_64"), ("web.arm64", "aarch64")] {
        let record = record(&sandbox, name);
        assert_eq!(record.artifact.as_str(), name);
        let natives: Vec<&str> =
            record.files.iter().map(|file| file.path.as_str()).filter(|path| path.ends_with(".so")).collect();
        assert!(!natives.is_empty() && natives.iter().all(|path| path.contains(machine)), "{natives:?}");
        let base = &record.image.as_ref().unwrap().base;
        let lock = String::from_utf8(sandbox.read("images/both.lock")).unwrap();
        assert!(lock.contains(&base.manifest.to_string()), "the base on this platform");
        let statement = sandbox.read(&format!("dist/{name}/{name}.intoto.jsonl"));
        let manifest = record.image.as_ref().unwrap().manifest;
        assert!(String::from_utf8(statement).unwrap().contains(&manifest.hex()));
        assert!(!sandbox.read(&format!("dist/{name}/{name}.cdx.json")).is_empty());
        let import = record.checks.iter().find(|check| check.name == CheckName::Import).unwrap();
        let ran = matches!(import.outcome, CheckOutcome::Ran { .. });
        assert_eq!(ran, machine == "x86_64" || runs_arm64(), "{import:?}");
    }
    let [amd64, arm64] = ["web.amd64", "web.arm64"].map(|name| record(&sandbox, name));
    assert_eq!(amd64.epoch, arm64.epoch, "one lock of the base");
    let lock = |platform: &str| sandbox.read(&format!("manifests/web/requirements.{platform}.txt"));
    assert_ne!(lock("amd64"), lock("arm64"), "a lock of kiln's is for one target");
    sandbox.kiln().run(["lock", "web", "--check"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["diff", "web.amd64", "web.arm64"]).ends_with(exit::SUCCESS).prints(&[
        "rebuilt     23 components",
        "target changed: architecture",
        "libc6 2.41",
        "markupsafe 3.0.4",
    ]);
    sandbox.kiln().run(["explain", "web.arm64", "markupsafe"]).ends_with(exit::SUCCESS).prints(&["aarch64"]);
    for command in ["explain", "show"] {
        sandbox.kiln().run([command, "web"]).ends_with(exit::INPUT_INVALID).says(&[
            "`web` is an image for several platforms",
            "web.amd64, web.arm64",
            "name one of them",
        ]);
    }
}

#[test]
fn the_index_is_what_others_read() {
    let sandbox = published();
    let index = index(&sandbox);
    let archive = format!("oci-archive:{}", sandbox.path("dist/web/web.oci.tar").display());
    let sums = String::from_utf8(sandbox.read("dist/web/SHA256SUMS")).unwrap();
    for line in sums.lines() {
        let (digest, file) = line.split_once("  ").unwrap();
        assert_eq!(Digest::of(&sandbox.read(&format!("dist/web/{file}"))).hex(), digest, "{file}");
    }
    assert_eq!(sums.lines().count(), 2, "{sums}");
    sandbox
        .kiln()
        .run(["verify", "dist/web/web.oci.tar", "dist/web/platforms.json"])
        .ends_with(exit::SUCCESS);
    let deployers: Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    assert_eq!(deployers["indexes"]["web"]["index"], index.index.to_string());
    assert_eq!(deployers["indexes"]["web"]["platforms"]["linux/arm64"], "web.arm64");
    needs_image_tools();
    let raw = runs("skopeo", &["inspect", "--raw", &archive]);
    assert_eq!(Digest::of(raw.as_bytes()), index.index, "the digest of what skopeo reads");
    let document: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(document["mediaType"], INDEX_TYPE);
    assert_eq!(document["annotations"]["org.opencontainers.image.title"], "web");
    assert_eq!(document["annotations"]["org.opencontainers.image.created"], index.epoch.to_string());
    let entries = document["manifests"].as_array().unwrap();
    for (entry, (name, architecture)) in entries.iter().zip([("web.amd64", "amd64"), ("web.arm64", "arm64")])
    {
        assert_eq!(entry["digest"], manifest_of(&sandbox, name).to_string());
        assert_eq!(entry["platform"]["architecture"], architecture);
        assert!(entry["platform"].get("variant").is_none(), "this base's config states none");
        let told = runs("skopeo", &["--override-arch", architecture, "inspect", &archive]);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["Architecture"], architecture);
    }
    assert_eq!(entries.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:copy", folder.path().display());
    runs("skopeo", &["copy", "--quiet", "--all", "--preserve-digests", &archive, &layout]);
    assert_eq!(runs("skopeo", &["inspect", "--raw", &layout]), raw, "copied as it is");
}

#[test]
fn unchanged_it_does_nothing_and_elsewhere_it_is_the_same() {
    let sandbox = published().copy();
    // Files in a new place are read once.
    sandbox.kiln().run(["build", "web"]).ends_with(exit::SUCCESS);
    let before = sandbox.dist();
    let nowhere = LocalIndex::empty();
    let again = sandbox
        .kiln()
        .with_network_only_at(&nowhere.url())
        .with_variable("DOCKER_HOST", &nowhere.url().replace("http://", "tcp://"))
        .run(["build", "web"])
        .ends_with(exit::SUCCESS)
        .says(&["2 unchanged, 1 index unchanged"]);
    again.prints(&["web        unchanged  index of linux/amd64, linux/arm64"]);
    assert_eq!(nowhere.requests(), 0, "neither the engine nor a server was asked");
    assert!(sandbox.dist() == before, "dist/ is as it was");

    // A damaged archive is written again, from what is published of the platforms.
    let archive = sandbox.read("dist/web/web.oci.tar");
    sandbox.write("dist/web/web.oci.tar", "damaged");
    sandbox.kiln().run(["verify", "dist/web/web.oci.tar"]).ends_with(exit::NOT_REPRODUCIBLE);
    sandbox
        .kiln()
        .run(["push", "web", "--to", "127.0.0.1:9/team"])
        .ends_with(exit::NOT_REPRODUCIBLE)
        .says(&["web.oci.tar is not what its record says any more: it was changed"]);
    sandbox.kiln().run(["build", "web"]).ends_with(exit::SUCCESS).says(&["2 unchanged, 1 index published"]);
    assert!(sandbox.read("dist/web/web.oci.tar") == archive);

    // A store that has seen nothing.
    let other = sandbox.copy();
    fs::remove_dir_all(other.path("dist")).unwrap();
    fs::remove_dir_all(other.path(".kiln")).unwrap();
    let store = tempfile::tempdir().unwrap();
    other.kiln().with_store(store.path()).run(["build", "web"]).ends_with(exit::SUCCESS);
    assert!(other.dist() == before, "the same bytes");

    // The same index in the other form.
    other.replace("manifests/web.toml", "[image]", "[image]\noutput = \"oci-layout\"");
    other.kiln().run(["build", "web"]).ends_with(exit::SUCCESS);
    let (tar, layout) = (index(&sandbox), index(&other));
    assert_eq!(tar.index, layout.index);
    assert_eq!(layout.archive().unwrap().digest, layout.index, "the first file is the index");
    other
        .kiln()
        .run(["verify", &format!("dist/web/oci/blobs/sha256/{}", layout.index.hex())])
        .ends_with(exit::SUCCESS);
    needs_image_tools();
    let place = format!("oci:{}", other.path("dist/web/oci").display());
    assert_eq!(Digest::of(runs("skopeo", &["inspect", "--raw", &place]).as_bytes()), layout.index);
}

#[test]
fn an_index_is_pushed_and_read_back() {
    let sandbox = published().copy();
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let push = || {
        let arguments = ["push", "web", "--to", &to, "--tag", "v1", "--format", "json"];
        sandbox.kiln().run(arguments).ends_with(exit::SUCCESS).json()
    };
    let (index, pushed) = (index(&sandbox), push());
    assert_eq!(pushed[0]["reference"], format!("{to}/web@{}", index.index));
    let (kind, bytes) = registry.document("team/web", "v1").unwrap();
    assert_eq!((kind.as_str(), Digest::of(&bytes)), (INDEX_TYPE, index.index), "the tag names the index");
    let platforms: BTreeMap<&str, &str> = pushed[0]["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["platform"].as_str().unwrap(), row["manifest"].as_str().unwrap()))
        .collect();
    for (name, platform) in [("web.amd64", "linux/amd64"), ("web.arm64", "linux/arm64")] {
        let digest = manifest_of(&sandbox, name);
        assert_eq!(platforms[platform], digest.to_string());
        let (_, list) = registry.document("team/web", &format!("sha256-{}", digest.hex())).unwrap();
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(
            list["manifests"].as_array().unwrap().len(),
            4,
            "SBOM, provenance, record and entry of the ledger of {platform}"
        );
    }
    let layers: Vec<Digest> = ["web.amd64", "web.arm64"]
        .iter()
        .flat_map(|name| record(&sandbox, name).image.unwrap().layers)
        .map(|layer| layer.digest)
        .collect();
    let distinct: std::collections::BTreeSet<&Digest> = layers.iter().collect();
    assert!(distinct.len() < layers.len(), "the own files are one layer of both");
    // Layers, two configs, four documents for each platform and one for the index, and the empty config.
    assert_eq!(pushed[0]["blobs_sent"], distinct.len() + 2 + 9 + 1, "each blob is sent once: {pushed}");
    assert_eq!(push()[0]["blobs_sent"], 0, "nothing is sent twice");
    needs_image_tools();
    let place = format!("docker://{to}/web:v1");
    let raw = runs("skopeo", &["inspect", "--tls-verify=false", "--raw", &place]);
    assert_eq!(Digest::of(raw.as_bytes()), index.index);

    let reference = format!("{to}/web:v1");
    let arm64 = manifest_of(&sandbox, "web.arm64").to_string();
    let elsewhere = Sandbox::bare();
    let kiln = elsewhere.kiln();
    kiln.run(["show", &reference]).ends_with(exit::SUCCESS).prints(&[
        &index.index.to_string(),
        "an index over 2 platforms",
        &format!("linux/arm64      {arm64}"),
    ]);
    kiln.run(["show", &reference, "--platform", "linux/arm64"])
        .ends_with(exit::SUCCESS)
        .prints(&[&arm64, "both on arm64"]);
    kiln.run(["diff", &reference, &reference])
        .ends_with(exit::INPUT_INVALID)
        .says(&["it is an index over several platforms", &arm64]);
    let amd64 = format!("{to}/web@{}", manifest_of(&sandbox, "web.amd64"));
    kiln.run(["diff", &amd64, &format!("{to}/web@{arm64}")]).ends_with(exit::SUCCESS).prints(&["markupsafe"]);
    kiln.run(["show", &amd64, "--platform", "linux/amd64"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["it is a single manifest and no index"]);

    // All of it, and one platform alone: the bytes that were published.
    let pulled = kiln.run(["pull", &reference, "--into", "all"]).ends_with(exit::SUCCESS);
    pulled.does_not_say("warning");
    for (there, here) in [
        ("web.oci.tar", "web/web.oci.tar"),
        ("platforms.json", "web/platforms.json"),
        ("linux-arm64/record.json", "web.arm64/record.json"),
        ("linux-amd64/web.amd64.cdx.json", "web.amd64/web.amd64.cdx.json"),
    ] {
        assert!(
            elsewhere.read(&format!("all/{there}")) == sandbox.read(&format!("dist/{here}")),
            "{there} is as it was published"
        );
    }
    kiln.run(["verify", "all/web.oci.tar"]).ends_with(exit::SUCCESS);
    kiln.run(["pull", &reference, "--platform", "linux/arm64", "--into", "one"]).ends_with(exit::SUCCESS);
    kiln.run(["verify", "one/web.arm64.oci.tar"]).ends_with(exit::SUCCESS);

    // Signed, the index has the release's statement beside it, and its own digest is signed as cosign has it.
    let (private, _) = key(sandbox.folder(), "release", "ed25519");
    sandbox.kiln().run(["sign", "--key-file", private.to_str().unwrap()]).ends_with(exit::SUCCESS);
    push();
    let (_, list) = registry.document("team/web", &format!("sha256-{}", index.index.hex())).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let titles: BTreeSet<&str> = list["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["annotations"]["org.opencontainers.image.title"].as_str().unwrap())
        .collect();
    for title in ["platforms.json", "release.intoto.jsonl", "ledger.checkpoint", "web.simplesigning.json"] {
        assert!(titles.contains(title), "{titles:?}");
    }
    for digest in [index.index, manifest_of(&sandbox, "web.arm64")] {
        let (_, signatures) = registry.document("team/web", &format!("sha256-{}.sig", digest.hex())).unwrap();
        let signatures: Value = serde_json::from_slice(&signatures).unwrap();
        assert_eq!(signatures["layers"].as_array().unwrap().len(), 1);
    }

    // All that is published of the workspace, as it is under dist/.
    let all_of_it = ["pull", "--all", "--from", &to, "--tag", "v1", "--into", "main", "--format", "json"];
    let all = sandbox.kiln().run(all_of_it).ends_with(exit::SUCCESS).json();
    let names: Vec<&str> = all["artifacts"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        (names, all["missing"].as_array().unwrap().len()),
        (vec!["web.amd64", "web.arm64"], 0),
        "{all}"
    );
    assert_eq!(all["left"], serde_json::json!([]));
    assert!(sandbox.read("main/web.arm64/record.json") == sandbox.read("dist/web.arm64/record.json"));
    let same = sandbox.kiln().run(["diff", "main", "dist"]).ends_with(exit::SUCCESS);
    same.prints(&["2 artifacts: 2 unchanged"]);
    // What lies there of another time is not passed over.
    copy(&sandbox.path("main/web.arm64"), &sandbox.path("main/earlier"));
    sandbox.append("main/web.arm64/record.json", " ");
    let left = sandbox.kiln().run(all_of_it).ends_with(exit::SUCCESS);
    assert_eq!(left.json()["left"], serde_json::json!(["earlier", "web.arm64/record.json"]));
    left.says(&[
        "warning: main/earlier: it was there before, and was not brought from the tag v1",
        "warning: main/web.arm64/record.json: it was there before",
    ]);

    let exported = sandbox.kiln().run(["export", "terraform", "web", "--repository", &to]);
    let exported = &exported.ends_with(exit::SUCCESS).json()["kiln_artifacts"]["web"];
    assert_eq!(exported["image_uri"], format!("{to}/web@{}", index.index));
    assert_eq!(exported["architectures"], serde_json::json!(["x86_64", "arm64"]));
    assert_eq!(exported["platforms"]["arm64"]["image_uri"], format!("{to}/web@{arm64}"));
    let env = sandbox.kiln().run(["export", "env"]).ends_with(exit::SUCCESS);
    env.prints(&[
        &format!("KILN_WEB_IMAGE_DIGEST={}", index.index),
        &format!("KILN_WEB_ARM64_IMAGE_DIGEST={arm64}"),
    ]);
}

/// What one platform lacks, no index covers up.
/// Images, their layouts, the index over them and every signature of them: a byte that is changed in any file is found, and its file named.
#[test]
fn a_changed_byte_in_any_file_of_signed_images_is_named() {
    let sandbox = published().copy();
    let (private, public) = key(sandbox.folder(), "mine", "p256");
    sign_with_bills(&sandbox, &private);
    let release = sandbox.folder().join("release");
    copy(&sandbox.path("dist"), &release);
    let verify = || {
        let words = ["verify", "--key", public.to_str().unwrap(), release.to_str().unwrap()];
        crate::harness::audit(sandbox.folder(), &words)
    };
    verify().ends_with(exit::SUCCESS);
    let all = files_below(&release);
    for end in ["web/web.cosign.json", "web/platforms.json", "web.arm64/web.arm64.run.intoto.jsonl"] {
        assert!(all.iter().any(|name| name == end), "{end} is there: {all:?}");
    }
    for name in &all {
        let path = release.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        let outcome = verify().ends_with(exit::SIGNATURE_REFUSED);
        let short = name.rsplit('/').next().unwrap();
        assert!(outcome.stdout.contains(short), "{name} is named:\n{outcome}");
        fs::write(&path, bytes).unwrap();
    }
    verify().ends_with(exit::SUCCESS);
    // The signature of another manifest in the place of the index's.
    fs::copy(release.join("web.arm64/web.arm64.cosign.json"), release.join("web/web.cosign.json")).unwrap();
    verify().ends_with(exit::SIGNATURE_REFUSED).prints(&["web.cosign.json: it is of the manifest"]);
}

#[test]
fn a_platform_that_fails_leaves_the_index_as_it_was() {
    let native = wheel("native", "1.0", "cp313-cp313-manylinux2014_x86_64", &[], &[("native.py", b"")]);
    let pure = wheel("native", "2.0", "py3-none-any", &[], &[("native.py", b"")]);
    let index_server = LocalIndex::serve(&[native.clone(), pure.clone()]);
    let sandbox = sandbox().with_index(&index_server);
    service(&sandbox, "import native\n", "\n[python]\nlock = \"web/requirements.txt\"\n");
    sandbox.write("manifests/web/requirements.txt", native.requirement(""));
    let denied = sandbox.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::FINDINGS_DENIED);
    denied
        .says(&["deny[no-compatible-wheel] web.arm64: native", "1 index skipped for want of a platform"])
        .prints(&["web        skipped    for want of a platform"]);
    assert!(!sandbox.path("dist/web").exists() && !sandbox.path("dist/web.arm64").exists());
    sandbox
        .kiln()
        .run(["push", "web", "--to", "127.0.0.1:9/x"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["kiln build web"]);

    sandbox.write("manifests/web/requirements.txt", pure.requirement(""));
    sandbox.kiln().run(["build", "web"]).ends_with(exit::SUCCESS);
    let before = sandbox.read("dist/web/platforms.json");
    sandbox.write("manifests/web/requirements.txt", native.requirement(""));
    sandbox.kiln().run(["build", "web"]).ends_with(exit::FINDINGS_DENIED);
    assert_eq!(sandbox.read("dist/web/platforms.json"), before, "the earlier index is as it was");
    sandbox
        .kiln()
        .run(["verify", "dist/web/web.oci.tar"])
        .ends_with(exit::SUCCESS)
        .prints(&["over build 2 of a platform, which has build 3 by now"]);
    sandbox
        .kiln()
        .run(["push", "web", "--to", "127.0.0.1:9/team"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["web.amd64 was built since", "kiln build web"]);
}

#[test]
fn lambda_takes_no_index() {
    let sandbox = sandbox();
    sandbox
        .function("app", "3.13", "def handler(event, context):\n    return None\n", "")
        .replace("manifests/app.toml", "architecture = \"x86_64\"", "architectures = [\"x86_64\", \"arm64\"]")
        .replace("manifests/app.toml", "lambda-zip", "lambda-image")
        .replace("manifests/app.toml", "runtime = \"python3.13\"\n", "");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&[
        "manifests/app.toml:6",
        "`architectures` has no meaning for a lambda-image: Lambda refuses an image index",
        "a manifest for each architecture",
    ]);
}
