//! Container images: what is made, that others accept it, and that it is checked as it will run.

use crate::harness::{
    Kiln, LocalIndex, Registry, Sandbox, WheelFile, block_on, committed_base, engine, forget, limits,
    needs_image_tools, published_repository, repository, runs, wheel,
};
use crate::lacking;
use fs_err as fs;
use kiln_engine::RunSpec;
use kiln_image::BaseConfig;
use kiln_record::{CheckName, Digest, Ecosystem, ImageRecord, LayerRole, Record, exit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) const PYTHON: &str = "/usr/bin/python3.13";
const SERVER: &str = "import http.server\n\n\nclass Handler(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        \
    self.send_response(200)\n        self.end_headers()\n        self.wfile.write(b'here')\n\n\nif __name__ == '__main__':\n    \
    http.server.HTTPServer(('', 8080), Handler).serve_forever()\n";
const HEALTH: &str = "import urllib.request\n\nif __name__ == '__main__':\n    \
    assert urllib.request.urlopen('http://127.0.0.1:8080/', timeout=2).read() == b'here'\n";

/// A service of two files with a health check, and more lines for its `[image]` section.
pub(crate) fn service(sandbox: &Sandbox, name: &str, more: &str) {
    let manifest = format!(
        "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \"{name}\"\n\n\
         [image]\nentrypoint = [\"{PYTHON}\", \"server.py\"]\nports = [\"8080\"]\nhealth-check = {{ command = [\"{PYTHON}\", \
         \"health.py\"], interval = \"1 s\", timeout = \"5 s\" }}\n{more}"
    );
    sandbox.write(&format!("manifests/{name}.toml"), manifest);
    sandbox.write(&format!("manifests/{name}/server.py"), SERVER);
    sandbox.write(&format!("manifests/{name}/health.py"), HEALTH);
}

/// A function as an image, on a base, with the requirements given.
pub(crate) fn function(sandbox: &Sandbox, name: &str, base: &str, requirements: &str) {
    let mut manifest = format!(
        "kind = \"lambda-image\"\nbase = \"{base}\"\nhandler = \"app.handler\"\n\n[target]\narchitecture = \"x86_64\"\n\n\
         [source]\npath = \"{name}/src\"\n\n[[smoke]]\nname = \"it answers\"\nevent = \"{name}/event.json\"\nexpect = \
         \"{name}/expected.json\"\n"
    );
    if !requirements.is_empty() {
        manifest.push_str(&format!("\n[python]\nlock = \"{name}/requirements.txt\"\n"));
        sandbox.write(&format!("manifests/{name}/requirements.txt"), requirements);
    }
    sandbox.write(&format!("manifests/{name}.toml"), manifest);
    sandbox.write(
        &format!("manifests/{name}/src/app.py"),
        "def handler(event, context):\n    return {'hello': event['name'], 'file': __file__}\n",
    );
    sandbox.write(&format!("manifests/{name}/event.json"), "{\"name\": \"world\"}");
    sandbox.write(
        &format!("manifests/{name}/expected.json"),
        "{\"hello\": \"world\", \"file\": \"/var/task/app.py\"}",
    );
}

fn record(sandbox: &Sandbox, name: &str) -> Record {
    Record::from_json(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap()
}

#[test]
fn others_read_and_unpack_what_is_made() {
    let sandbox = published_repository();
    needs_image_tools();
    for (name, file) in
        [("dashboard-image", "var/task/dashboard/main.py"), ("fleet-status", "app/fleet_status/server.py")]
    {
        let record = record(sandbox, name);
        let image = record.image.as_ref().unwrap();
        let archive =
            format!("oci-archive:{}", sandbox.path(&format!("dist/{name}/{name}.oci.tar")).display());
        let told: Value = serde_json::from_str(&runs("skopeo", &["inspect", &archive])).unwrap();
        assert_eq!(told["Digest"], image.manifest.to_string(), "{name}");
        assert_eq!(told["Architecture"], "amd64");
        assert_eq!(told["Layers"].as_array().unwrap().len(), image.layers.len());

        let folder = tempfile::tempdir().unwrap();
        let layout = format!("oci:{}", folder.path().join("layout").display());
        runs("skopeo", &["copy", "--quiet", &archive, &format!("{layout}:copy")]);
        let copied: Value =
            serde_json::from_str(&runs("skopeo", &["inspect", &format!("{layout}:copy")])).unwrap();
        assert_eq!(copied["Digest"], image.manifest.to_string(), "{name}: copied as it is");
        let bundle = folder.path().join("bundle");
        let reference = format!("{}:copy", folder.path().join("layout").display());
        runs("umoci", &["unpack", "--rootless", "--image", &reference, bundle.to_str().unwrap()]);
        let root = bundle.join("rootfs");
        for entry in &record.files {
            let mount = record.kind.mount().trim_start_matches('/');
            let path = root.join(mount).join(entry.path.as_str());
            if let kiln_record::Entry::File { digest, .. } = &entry.entry {
                assert_eq!(Digest::of(&fs::read(&path).unwrap()), *digest, "{}", path.display());
            }
        }
        assert!(root.join(file).is_file() && root.join("usr/bin/python3.13").is_file());
        assert!(fs::symlink_metadata(root.join("lib")).unwrap().is_symlink(), "the base is whole");
        let spec: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
        let words: Vec<&str> =
            spec["process"]["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let expected: Vec<&String> = image.runs.entrypoint.iter().chain(&image.runs.command).collect();
        assert_eq!(words, expected);
    }
}

/// The second digest of each file follows from the file, and not from what a store happens to have.
#[test]
fn whichever_store_builds_an_image_what_has_a_hash_has_a_sha_512() {
    let sandbox = Sandbox::new();
    let manifest = format!(
        "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \"app\"\n\n\
         [image]\nentrypoint = [\"{PYTHON}\", \"app.py\"]\n"
    );
    sandbox.write("manifests/app.toml", manifest).write("manifests/app/app.py", "X = 1\n");
    let store = sandbox.folder().join("store");
    let build = || {
        let kiln = sandbox.kiln().with_store(&store);
        kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
        (sandbox.read("dist/app/record.json"), sandbox.read("dist/app/app.cdx.json"))
    };
    let first = build();
    let sum = |path: &Path| runs("sha512sum", &[path.to_str().unwrap()])[..128].to_owned();
    let record = record(&sandbox, "app");
    let blob = |digest: &Digest| {
        let hex = digest.hex();
        store.join("blobs/sha256").join(&hex[..2]).join(&hex[2..])
    };
    let origins = record.components.iter().filter(|component| component.ecosystem == Ecosystem::Debian);
    let debs: Vec<_> = origins.filter_map(|component| component.origin.as_ref()).collect();
    assert!(debs.len() > 20, "{} packages", debs.len());
    for deb in &debs {
        assert_eq!(deb.sha512.as_ref(), Some(&sum(&blob(&deb.digest))), "{}", deb.file_name);
    }
    let own = record.components.iter().find(|one| one.ecosystem == Ecosystem::Application).unwrap();
    assert_eq!(own.file_sha512, Some(sum(&sandbox.path("manifests/app/app.py"))));
    let bill: Value = serde_json::from_slice(&first.1).unwrap();
    let listed = bill["components"].as_array().unwrap().iter().chain([&bill["metadata"]["component"]]);
    for hashes in listed.filter_map(|component| component["hashes"].as_array()) {
        assert!(hashes.iter().any(|hash| hash["alg"] == "SHA-512"), "{hashes:?}");
    }

    // A store that has the base and neither its packages nor what was remembered of them brings them again.
    for deb in &debs {
        fs::remove_file(blob(&deb.digest)).unwrap();
    }
    fs::remove_dir_all(store.join("cache/sha512")).unwrap();
    for made in ["dist", ".kiln"] {
        fs::remove_dir_all(sandbox.path(made)).unwrap();
    }
    assert!(build() == first, "record and bill are those of the first build");
    assert!(debs.iter().all(|deb| blob(&deb.digest).is_file()));
}

#[test]
fn a_record_of_an_image_says_what_is_in_it_and_how_it_starts() {
    let sandbox = published_repository();
    let record = record(sandbox, "dashboard-image");
    let image = record.image.as_ref().unwrap();
    let roles: Vec<LayerRole> = image.layers.iter().map(|layer| layer.role).collect();
    assert_eq!(roles, [LayerRole::Base, LayerRole::Dependencies, LayerRole::Application]);
    assert_eq!(image.runs.entrypoint, [PYTHON, "-m", "awslambdaric"]);
    assert_eq!(image.runs.command, ["dashboard.main.handler"]);
    assert_eq!(image.runs.working_dir.as_deref(), Some("/var/task"));
    let zip = Record::from_json(&sandbox.read("dist/dashboard/record.json")).unwrap();
    let main = |record: &Record| {
        let found = record.files.iter().find(|file| file.path.as_str() == "dashboard/main.py");
        found.unwrap().entry.clone()
    };
    assert_eq!(main(&record), main(&zip), "paths of a function are those of its zip");

    let lock: toml::Table =
        String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap().parse().unwrap();
    let packages = lock["platform"]["linux/amd64"]["package"].as_array().unwrap();
    let debian: Vec<_> = record.components.iter().filter(|c| c.ecosystem == Ecosystem::Debian).collect();
    assert_eq!(debian.len(), packages.len());
    assert!(debian.iter().all(|package| package.from_base && package.bytes > 0), "each accounts for bytes");
    let owned: u64 = debian.iter().map(|package| package.bytes).sum();
    assert_eq!(image.base.bytes, owned + image.base.unowned_bytes);
    assert_eq!(image.unpacked_size, image.base.bytes + record.unpacked_size);

    let bom: Value =
        serde_json::from_slice(&sandbox.read("dist/dashboard-image/dashboard-image.cdx.json")).unwrap();
    assert_eq!(bom["metadata"]["component"]["type"], "container");
    let libc = bom["components"].as_array().unwrap().iter().find(|c| c["bom-ref"] == "debian/libc6").unwrap();
    let version = libc["version"].as_str().unwrap();
    let purl = libc["purl"].as_str().unwrap();
    assert!(
        purl.starts_with("pkg:deb/debian/libc6@")
            && purl.ends_with("?arch=amd64&distro=debian-13&upstream=glibc"),
        "{purl} {version}"
    );
    let of = |reference: &str| {
        let edges = bom["dependencies"].as_array().unwrap();
        let found = edges.iter().find(|edge| edge["ref"] == reference).unwrap();
        let needs = found["dependsOn"].as_array().unwrap();
        needs.iter().map(|one| one.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(of("artifact/dashboard-image").contains(&"operating-system/debian-13".to_owned()));
    assert!(of("debian/libstdc++6").contains(&"debian/libc6".to_owned()), "what a package depends on");
    let licensed = debian.iter().filter(|package| package.metadata.license_expression.is_some()).count();
    assert!(
        licensed * 2 > debian.len(),
        "{licensed} of {} say their licence as machines read it",
        debian.len()
    );
    assert!(record.binaries.values().any(|binary| binary.linked.iter().any(|part| part.name == "curl")));

    let index: Value = serde_json::from_slice(&sandbox.read("dist/index.json")).unwrap();
    let entry = &index["artifacts"]["dashboard-image"];
    assert_eq!((entry["kind"].as_str(), entry["runtime"].as_str()), (Some("lambda-image"), None));
    assert_eq!(entry["image"]["manifest"], image.manifest.to_string());
    let statement =
        String::from_utf8(sandbox.read("dist/dashboard-image/dashboard-image.intoto.jsonl")).unwrap();
    assert!(statement.contains(&image.manifest.hex()), "provenance is about the image, too");
    for check in [CheckName::Smoke, CheckName::Import, CheckName::BasePaths] {
        let ran = record.checks.iter().find(|c| c.name == check).unwrap();
        assert!(matches!(ran.outcome, kiln_record::CheckOutcome::Ran { .. }), "{ran:?}");
    }
}

/// What an image is beside its digest: its tree and how it starts, whatever packages are beneath.
fn told_of(image: &ImageRecord, tree: &Digest) -> toml::Table {
    let roles: Vec<&str> = image.layers.iter().map(|layer| layer.role.as_str()).collect();
    let mut told = toml::Table::new();
    told.insert("layers".to_owned(), roles.into());
    told.insert("tree".to_owned(), tree.hex().into());
    told.insert("runs".to_owned(), toml::Value::try_from(&image.runs).unwrap());
    told
}

#[test]
fn the_golden_image() {
    let sandbox = published_repository();
    let golden: toml::Table =
        fs::read_to_string(repository().join("tests/golden/images.toml")).unwrap().parse().unwrap();
    assert_eq!(golden.keys().collect::<Vec<_>>(), ["dashboard-image", "fleet-status", "runbook-portal"]);
    let (mut manifests, mut others) = (BTreeMap::new(), toml::Table::new());
    for (name, golden) in &golden {
        let record = record(sandbox, name);
        let image = record.image.as_ref().unwrap();
        let mut golden = golden.as_table().unwrap().clone();
        manifests.insert(name, (golden.remove("manifest").unwrap(), image.manifest));
        let told = told_of(image, &record.tree);
        if told != golden {
            others.insert(name.clone(), told.into());
        }
    }
    assert!(others.is_empty(), "these are other images than the golden ones:\n{others}");
    // The base is inside. Where its packages are gone for good, there is another, made of those that are there now.
    if lacking::GOLDEN_BASE.unless(committed_base("python-3.13")).is_some() {
        for (name, (golden, found)) in manifests {
            assert_eq!(Some(found.hex().as_str()), golden.as_str(), "{name}");
        }
        return;
    }
    let other = sandbox.copy();
    fs::remove_dir_all(other.path("dist")).unwrap();
    fs::remove_dir_all(other.path(".kiln")).unwrap();
    let store = tempfile::tempdir().unwrap();
    let kiln = other.kiln().with_store(&store.path().join("store"));
    kiln.run(["build"].into_iter().chain(golden.keys().map(String::as_str))).ends_with(exit::SUCCESS);
    for (name, (_, found)) in manifests {
        assert_eq!(record(&other, name).image.unwrap().manifest, found, "{name}: two assemblies of one lock");
    }
}

#[test]
fn two_cold_stores_give_one_digest_in_every_form() {
    let digests = |kiln: &dyn Fn(&Sandbox) -> Kiln| -> BTreeMap<String, Vec<u8>> {
        let sandbox = Sandbox::new();
        service(&sandbox, "one", "");
        service(&sandbox, "layout", "output = \"oci-layout\"\n");
        service(&sandbox, "archive", "output = \"docker-archive\"\ncompression = \"none\"\n");
        service(&sandbox, "small", "compression = \"zstd\"\n");
        kiln(&sandbox).run(["build", "--all"]).ends_with(exit::SUCCESS);
        // Nothing changed: nothing is built, whatever the form.
        let again =
            kiln(&sandbox).run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).json();
        for artifact in again["artifacts"].as_array().unwrap() {
            assert_eq!(artifact["ending"], "unchanged", "{artifact}");
        }
        sandbox.dist().into_iter().collect()
    };
    let store = tempfile::tempdir().unwrap();
    let cold = digests(&|sandbox| sandbox.kiln().with_store(&store.path().join("store")));
    let warm = digests(&|sandbox| sandbox.kiln());
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&cold), names(&warm));
    for (name, bytes) in &cold {
        assert!(warm[name] == *bytes, "{name}");
    }

    // The layout is the tar's, and every blob has the digest that it is named by.
    let record = |name: &str| Record::from_json(&cold[&format!("{name}/record.json")]).unwrap();
    let (layout, one) = (record("layout"), record("one"));
    let image = layout.image.clone().unwrap();
    assert_eq!(layout.archive().unwrap().digest, image.manifest);
    assert_eq!(layout.outputs.len(), 4 + image.layers.len());
    for output in &layout.outputs {
        assert_eq!(Digest::of(&cold[&format!("layout/{}", output.file_name)]), output.digest);
    }
    let sums = String::from_utf8(cold["layout/SHA256SUMS"].clone()).unwrap();
    assert!(sums.contains(&format!("  oci/blobs/sha256/{}\n", image.manifest.hex())), "{sums}");
    let config = BaseConfig::read(&cold[&format!("layout/oci/blobs/sha256/{}", image.config.hex())]).unwrap();
    assert_eq!(config.runs, image.runs, "the config says what the record says");
    // A compressor changes blobs and not what is in them.
    let diff_ids = |record: &Record| -> Vec<Digest> {
        record.image.as_ref().unwrap().layers.iter().map(|layer| layer.diff_id).collect()
    };
    assert_eq!(diff_ids(&record("small")), diff_ids(&record("archive")));
    assert_eq!(diff_ids(&one)[0], diff_ids(&record("small"))[0], "one base");
    assert!(record("small").packed_size() < one.packed_size());
    assert!(one.packed_size() < record("archive").packed_size());

    // The archive is for engines: it loads, and runs as its config says.
    block_on(async {
        let engine = engine("archive").await;
        engine.load(std::io::Cursor::new(cold["archive/archive.docker.tar"].clone())).await.unwrap();
        let image = record("archive").image.unwrap();
        let tag = format!("archive:{}", &image.config.hex()[..12]);
        let loaded = engine.image(&tag).await.unwrap().unwrap();
        assert_eq!(loaded.diff_ids, diff_ids(&record("archive")));
        let spec = RunSpec {
            env: image.runs.environment.clone(),
            working_dir: image.runs.working_dir.clone().unwrap(),
            user: image.runs.user.clone().unwrap(),
            ..RunSpec::new(
                "loaded image",
                loaded.id,
                [PYTHON, "-c", "import os, server; print(os.getuid())"],
                limits(),
            )
        };
        let outcome = engine.run(spec, |_| ()).await.unwrap();
        assert_eq!((outcome.exit_code, outcome.stdout.as_slice()), (0, &b"65534\n"[..]), "{outcome:?}");
        engine.remove_image(&tag).await.unwrap();
    });
    needs_image_tools();
    let folder = tempfile::tempdir().unwrap();
    for (name, transport) in
        [("small/small.oci.tar", "oci-archive"), ("archive/archive.docker.tar", "docker-archive")]
    {
        let file = folder.path().join("image.tar");
        fs::write(&file, &cold[name]).unwrap();
        runs("skopeo", &["inspect", &format!("{transport}:{}", file.display())]);
    }
}

#[test]
fn a_service_that_does_not_answer_is_denied_with_what_it_said() {
    let sandbox = Sandbox::new();
    service(&sandbox, "silent", "");
    sandbox.write(
        "manifests/silent/server.py",
        "import sys, time\n\nif __name__ == '__main__':\n    print('nothing to serve', file=sys.stderr, flush=True)\n    \
         time.sleep(600)\n",
    );
    sandbox.denied().says(&["health-check-failed", "silent", "health.py", "nothing to serve", "65534:65534"]);

    let sandbox = Sandbox::new();
    service(&sandbox, "gone", "");
    sandbox.write("manifests/gone/server.py", "import sys\n\nif __name__ == '__main__':\n    sys.exit(7)\n");
    sandbox
        .denied()
        .says(&["health-check-failed", "ended with exit code 7"])
        .documents("deny[health-check-failed] gone");

    // What writes beside its volumes is told before anybody runs it.
    let sandbox = Sandbox::new();
    service(&sandbox, "writer", "volumes = [\"/data\"]\n");
    sandbox.write(
        "manifests/writer/server.py",
        SERVER.replace("__main__':\n", "__main__':\n    open('/data/there', 'w').close()\n"),
    );
    sandbox.kiln().run(["build", "writer"]).ends_with(exit::SUCCESS);
    sandbox.replace("manifests/writer/server.py", "/data/there", "/var/tmp/there");
    sandbox.kiln().run(["build", "writer", "--color", "never"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "health-check-failed",
        "Read-only file system",
        "/tmp, /data",
    ]);
}

#[test]
fn what_would_break_the_base_or_cannot_start_is_denied() {
    // Debian's /lib is a link; the loader of everything in the base is behind it.
    let sandbox = Sandbox::new();
    service(&sandbox, "breaks", "");
    sandbox.replace("manifests/breaks.toml", "path = \"breaks\"", "path = \"breaks\"\ninto = \"lib\"");
    sandbox.denied().says(&[
        "path-collision",
        "/lib",
        "a link to `usr/lib` in the base",
        "`into` under [source]",
    ]);

    let sandbox = Sandbox::new();
    service(&sandbox, "replaces", "");
    sandbox.write("manifests/replaces/os-release", "NAME=mine\n");
    sandbox.replace(
        "manifests/replaces.toml",
        "path = \"replaces\"",
        "path = \"replaces\"\ninto = \"usr/lib\"\ninclude = [\"**\"]",
    );
    let outcome = sandbox.kiln().run(["build", "--all", "--color", "never"]);
    outcome
        .ends_with(exit::SUCCESS)
        .says(&["warn[replaces-base-file]", "/usr/lib/os-release"])
        .documents("warn[replaces-base-file] replaces");

    let sandbox = Sandbox::new();
    function(&sandbox, "app", "python-3.13", "");
    sandbox
        .denied()
        .says(&[
            "runtime-client-missing",
            "python-3.13 has no Lambda runtime client",
            "add a [python] section with a lock that has `awslambdaric`",
        ])
        .documents("deny[runtime-client-missing] app");

    let sandbox = Sandbox::new();
    service(&sandbox, "large", "[budget]\nimage = \"1 MB\"\nunpacked = \"100 B\"\n");
    sandbox.denied().says(&["budget-exceeded", "all layers take", "without the base, take"]);
}

/// A client that speaks the Runtime API as AWS's does; its name and its version are made up by nobody but this test.
pub(crate) fn runtime_client() -> WheelFile {
    let files: [(&str, &[u8]); 2] =
        [("awslambdaric/__init__.py", b""), ("awslambdaric/__main__.py", CLIENT.as_bytes())];
    wheel("awslambdaric", "0.0.1", "py3-none-any", &[], &files)
}

const CLIENT: &str = r#"import importlib, json, os, sys, urllib.request

api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
sys.path.insert(0, os.getcwd())
module, name = sys.argv[-1].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)
while True:
    with urllib.request.urlopen(api + "next") as event:
        identity = event.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = json.dumps(handler(json.load(event), None)).encode()
    urllib.request.urlopen(urllib.request.Request(api + identity + "/response", answer)).read()
"#;

#[test]
fn a_function_on_a_plain_base_is_started_by_the_client_of_its_lock() {
    let client = runtime_client();
    let index = LocalIndex::serve(&[runtime_client()]);
    let sandbox = Sandbox::new().with_index(&index);
    let lock = format!("awslambdaric==0.0.1 --hash=sha256:{}\n", client.digest().hex());
    function(&sandbox, "app", "python-3.13", &lock);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let image = record(&sandbox, "app").image.unwrap();
    assert_eq!(image.runs.entrypoint, [PYTHON, "-m", "awslambdaric"]);
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS);
    shown.prints(&["lambda-image", "awslambdaric 0.0.1", "dependencies", "answered in"]);

    // A wrong answer is found, with the client that gave it.
    sandbox.replace("manifests/app/src/app.py", "'hello'", "'goodbye'");
    sandbox
        .kiln()
        .run(["build", "app", "--color", "never"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["smoke-failed", "it answers"]);
}

#[test]
fn a_function_on_a_base_made_for_lambda_keeps_that_bases_entrypoint() {
    let python = {
        let sandbox = Sandbox::new();
        service(&sandbox, "any", "");
        sandbox.kiln().run(["build", "any"]).ends_with(exit::SUCCESS);
        sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
        sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
        let manifest = record(&sandbox, "any").image.unwrap().base.manifest;
        format!("localhost/kiln/python-3.13:{}", &manifest.hex()[..12])
    };
    let registry = Registry::start();
    let recipe = format!(
        "FROM {python}\nCOPY lambda-entrypoint.sh client.py /\nENV LAMBDA_TASK_ROOT=/var/task OF_BASE=1\nENTRYPOINT \
         [\"/lambda-entrypoint.sh\"]\nWORKDIR /var/task\n"
    );
    let entrypoint = format!("#!{PYTHON}\nimport runpy\nrunpy.run_path('/client.py')\n");
    let pinned = registry.push_recipe(
        "lambda/python",
        "3.13",
        &recipe,
        &[("lambda-entrypoint.sh", 0o755, entrypoint.as_bytes()), ("client.py", 0o644, CLIENT.as_bytes())],
    );
    let sandbox = Sandbox::new();
    sandbox.write(
        "images/lambda.toml",
        format!(
            "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n\n[registry]\nreference = \
             \"{}/lambda/python:3.13\"\n\n[image]\npython = \"{PYTHON}\"\n",
            registry.address()
        ),
    );
    function(&sandbox, "app", "lambda", "");
    sandbox.kiln().run(["lock", "--base", "lambda"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let record = record(&sandbox, "app");
    let image = record.image.as_ref().unwrap();
    assert_eq!(image.runs.entrypoint, ["/lambda-entrypoint.sh"]);
    assert_eq!(image.runs.command, ["app.handler"]);
    assert_eq!(image.runs.environment["OF_BASE"], "1", "what the base says stays");
    assert_eq!(image.base.manifest, pinned);
    assert_eq!(image.annotations["org.opencontainers.image.base.digest"], pinned.to_string());
    let of_base = image.layers.iter().filter(|layer| layer.role == LayerRole::Base).count();
    assert_eq!(image.layers.len(), of_base + 1);
    assert!(
        record.components.iter().any(|c| c.id.as_str() == "debian/libc6"),
        "its packages are read from it"
    );
    forget(&format!("{}/lambda/python@{pinned}", registry.address()));
}

#[test]
fn builds_of_an_image_are_compared_by_packages_files_and_config() {
    let sandbox = Sandbox::new();
    service(&sandbox, "one", "labels = { stage = \"first\" }\n");
    sandbox.kiln().run(["build", "one"]).ends_with(exit::SUCCESS);
    let shown = sandbox.kiln().run(["show", "one"]).ends_with(exit::SUCCESS).stdout;
    let whole = shown.split(" in a registry, ").nth(1).unwrap().split_once(" unpacked").unwrap().0;
    for command in ["build", "history"] {
        let told = sandbox.kiln().run([command, "one"]).ends_with(exit::SUCCESS);
        told.prints(&[&format!(" {whole} unpacked")]);
    }
    // The config alone: the same files in another image.
    sandbox.replace("manifests/one.toml", "first", "second");
    sandbox.kiln().run(["build", "one"]).ends_with(exit::SUCCESS);
    let diff = |a: &str, b: &str| {
        sandbox.kiln().run(["diff", a, b, "--format", "json"]).ends_with(exit::SUCCESS).json()
    };
    let config = diff("one@1", "one@2");
    assert_eq!(config["verdict"], "same-content");
    let properties = config["properties"].as_array().unwrap();
    let label = properties.iter().find(|p| p["name"] == "image label stage").unwrap();
    assert_eq!((label["before"].as_str(), label["after"].as_str()), (Some("first"), Some("second")));
    assert_eq!(config["container"]["kind"], "manifest", "{config}");

    // Another base: packages differ by name and version, and the base is the reason.
    let manifest = String::from_utf8(sandbox.read("manifests/one.toml")).unwrap();
    sandbox.write("manifests/one.toml", manifest.replace("3.13", "3.11"));
    sandbox.kiln().run(["build", "one"]).ends_with(exit::SUCCESS);
    let base = diff("one@2", "one@3");
    assert_eq!(base["verdict"], "different");
    let components = base["components"].as_array().unwrap();
    let libc = components.iter().find(|c| c["id"] == "debian/libc6").unwrap();
    assert_eq!(libc["kind"], "downgraded");
    assert!(libc["before_bytes"].as_u64().unwrap() > 0 && libc["after_bytes"].as_u64().unwrap() > 0);
    assert_eq!(libc["cause"]["kind"], "base", "{libc}");
    assert_eq!(base["bytes"]["total"], 0, "the artifact's own bytes are the same");
    sandbox.kiln().run(["verify", "dist/one/one.oci.tar"]).ends_with(exit::SUCCESS);
    sandbox.write("dist/one/one.oci.tar", "something else");
    sandbox.kiln().run(["verify", "dist/one/one.oci.tar"]).ends_with(exit::NOT_REPRODUCIBLE);
}

#[test]
fn distributions_and_own_files_may_be_in_folders_of_their_own() {
    let tool = || wheel("tool", "1.0", "py3-none-any", &[], &[("tool/__init__.py", b"WORD = 'here'\n")]);
    let index = LocalIndex::serve(&[tool()]);
    let sandbox = Sandbox::new().with_index(&index);
    service(&sandbox, "apart", "[package]\nbytecode = \"unchecked-hash\"\n");
    sandbox
        .append("manifests/apart.toml", "\n[python]\nlock = \"apart.txt\"\ninto = \"opt/distributions\"\n");
    sandbox.replace("manifests/apart.toml", "path = \"apart\"", "path = \"apart\"\ninto = \"srv/service\"");
    let digest = tool().digest().hex();
    sandbox.write("manifests/apart.txt", format!("tool==1.0 --hash=sha256:{digest}\n"));
    sandbox.write(
        "manifests/apart/server.py",
        SERVER.replace("b'here'", "tool.WORD.encode()").replace("import http", "import tool\nimport http"),
    );
    sandbox.kiln().run(["build", "apart"]).ends_with(exit::SUCCESS);
    let record = record(&sandbox, "apart");
    let paths: Vec<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
    for path in [
        "opt/distributions/tool/__init__.py",
        "opt/distributions/tool/__pycache__/__init__.cpython-313.pyc",
        "srv/service/server.py",
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    let image = record.image.unwrap();
    assert_eq!(image.runs.environment["PYTHONPATH"], "/opt/distributions");
    assert_eq!(image.runs.working_dir.as_deref(), Some("/srv/service"));
    assert_eq!(image.python_folder.as_deref(), Some("opt/distributions"));
    assert_eq!(record.imports.unwrap().never_imported, [""; 0], "what is loaded from there is seen");
}
