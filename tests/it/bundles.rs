//! Bundles: all that builds need of servers, carried to a machine that reaches none; and `--offline`.

use crate::dockerfiles::write_image;
use crate::harness::{Kiln, LocalIndex, Registry, Sandbox, WheelFile, forget, self_building, wheel};
use fs_err as fs;
use kiln_record::{Digest, exit};
use std::path::{Path, PathBuf};

const CODE: &str =
    "import greeting, tool\n\ndef handler(event, context):\n    return greeting.hello(), tool.VALUE\n";
const HTTPARSE: &str = "6dbf3de79e51f3d586ab4cb9d5c3e2c14aa28ed23d180cf89b4df0454a69cc87";

/// Where there is no network at all, not even a loopback interface; the engine is spoken to through its socket.
fn without_network(kiln: &Kiln) -> Kiln {
    kiln.clone().in_shell("exec unshare --net \"$@\"")
}

fn greeting(version: &str) -> WheelFile {
    let code = format!("def hello():\n    return 'hello {version}'\n");
    wheel("greeting", version, "py3-none-any", &[], &[("greeting.py", code.as_bytes())])
}

/// A function with everything that is brought from elsewhere: a wheel, a source distribution, a crate, a layer, files of a git
/// repository, and a base that no other test has.
struct Rich {
    sandbox: Sandbox,
    image: String,
    _index: LocalIndex,
}

impl Rich {
    fn new(base: &str) -> Self {
        let tool = self_building("tool", "1.0", &[], "\"VALUE = 1\\n\"");
        let files = [greeting("1.0"), tool.clone()];
        let index = LocalIndex::serve(&files);
        let sandbox = Sandbox::new().with_index(&index);
        let image = own_base(&sandbox, base);
        let lines: String = files.iter().map(|file| file.requirement("")).collect();
        sandbox.function("app", "3.13", CODE, &lines);
        let repository = sandbox.folder().join("upstream");
        fs::create_dir_all(&repository).unwrap();
        let git = |arguments: &[&str]| {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
                .args(arguments)
                .current_dir(&repository)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        fs::write(repository.join("extra.py"), "EXTRA = 'upstream'\n").unwrap();
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "-m", "first"]);
        git(&["tag", "v1"]);
        let program =
            "import os; open('/out/crates.txt', 'w').write(' '.join(sorted(os.listdir('/vendor'))))";
        sandbox.append(
            "manifests/app.toml",
            &format!(
                "sdists = [\"tool\"]\n\n[[upstream]]\nname = \"extra\"\ngit = \"file://{}\"\nrevision = \"v1\"\n\n[[step]]\nname = \
                 \"crates\"\nargv = [\"/usr/bin/python3.13\", \"-c\", \"{program}\"]\ninputs = [{{ cargo-lock = \"app/Cargo.lock\", at \
                 = \"/vendor\" }}]\noutputs = [{{ path = \"/out\", into = \".\" }}]\n",
                repository.display()
            ),
        );
        sandbox.write(
            "manifests/app/Cargo.lock",
            format!(
                "version = 4\n\n[[package]]\nname = \"httparse\"\nversion = \"1.10.1\"\nsource = \
                 \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{HTTPARSE}\"\n"
            ),
        );
        sandbox.replace(
            "manifests/app.toml",
            "base = \"python-3.13\"",
            &format!("base = \"{base}\"\nlayers = [\"shared\"]"),
        );
        sandbox.write(
            "manifests/shared.toml",
            format!(
                "kind = \"lambda-layer\"\nbase = \"{base}\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \"x86_64\"\n\n[source]\npath = \"shared\"\n"
            ),
        );
        sandbox.write("manifests/shared/shared_words.py", "WORDS = 1\n");
        sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
        Self { sandbox, image, _index: index }
    }
}

/// A base of the workspace's own: that of Python 3.13 under another name, so that its image can be forgotten.
fn own_base(sandbox: &Sandbox, name: &str) -> String {
    fs::copy(sandbox.path("images/python-3.13.toml"), sandbox.path(&format!("images/{name}.toml"))).unwrap();
    let lock = String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap();
    sandbox.write(
        &format!("images/{name}.lock"),
        lock.replace("base = \"python-3.13\"", &format!("base = \"{name}\"")),
    );
    let lock: toml::Table = lock.parse().unwrap();
    let manifest: Digest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
    format!("localhost/kiln/{name}:{}", &manifest.hex()[..12])
}

/// A workspace without what was built in it, and a store with nothing in it.
fn elsewhere(sandbox: &Sandbox) -> (Sandbox, Kiln) {
    let copy = sandbox.copy();
    for folder in ["dist", ".kiln"] {
        fs::remove_dir_all(copy.path(folder)).unwrap();
    }
    let kiln = copy.kiln().with_store(&copy.folder().join("store")).with_variable("KILN_DEBIAN_MIRROR", "");
    (copy, kiln)
}

#[test]
fn a_bundle_builds_the_same_bytes_without_a_network() {
    let rich = Rich::new("bundled");
    let sandbox = &rich.sandbox;
    let kiln = sandbox.kiln().with_store(&sandbox.folder().join("store"));
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    let published = sandbox.dist();

    let file = sandbox.folder().join("app.bundle.tar");
    let create = |file: &Path| {
        let words = ["bundle", "create", "--all", file.to_str().unwrap(), "--format", "json"];
        kiln.run(words).ends_with(exit::SUCCESS).json()
    };
    let made = create(&file);
    let digest = made["digest"].as_str().unwrap().to_owned();
    assert_eq!(made["artifacts"], serde_json::json!(["app", "shared"]));
    assert_eq!(made["file"], Digest::of(&fs::read(&file).unwrap()).to_string());
    let again = sandbox.folder().join("again.tar");
    assert_eq!(create(&again)["digest"], digest.as_str());
    assert!(fs::read(&again).unwrap() == fs::read(&file).unwrap(), "equal content has equal bytes");
    fs::remove_file(again).unwrap();

    // On the other machine nothing is there, and what is missing is named.
    let (copy, there) = elsewhere(sandbox);
    forget(&rich.image);
    let there = without_network(&there);
    there.run(["build", "--all", "--offline"]).ends_with(exit::FETCH_FAILED).says(&[
        "packages that images/bundled.lock names",
        "is not in the store, and the network is switched off",
        "kiln bundle use FILE",
    ]);
    let used = there
        .run(["bundle", "use", file.to_str().unwrap(), "--digest", &digest, "--format", "json"])
        .ends_with(exit::SUCCESS)
        .json();
    assert_eq!((&used["new"], &used["there"]), (&made["files"], &serde_json::json!(0)));
    there.run(["build", "--all", "--offline"]).ends_with(exit::SUCCESS);
    assert_eq!(names(&copy), names(sandbox));
    assert!(copy.dist() == published, "what was built from the bundle is the same");
    // Without the option nothing is asked either.
    there.run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    assert!(copy.dist() == published);
    there
        .run(["bundle", "use", file.to_str().unwrap()])
        .ends_with(exit::SUCCESS)
        .prints(&["0 files new in the store"]);
    there.run(["verify", "--offline"]).ends_with(exit::SUCCESS);

    // From there the same bundle can be made, as a folder, too.
    let folder = copy.folder().join("layout");
    let words =
        ["bundle", "create", "--offline", "app", "--folder", folder.to_str().unwrap(), "--format", "json"];
    assert_eq!(there.run(words).ends_with(exit::SUCCESS).json()["digest"], digest.as_str());
    let empty = copy.kiln().with_store(&copy.folder().join("third"));
    empty.run(["bundle", "use", folder.to_str().unwrap()]).ends_with(exit::SUCCESS).prints(&[&digest]);
    forget(&rich.image);
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    sandbox.dist().into_iter().map(|(name, _)| name).collect()
}

/// All files of a store with their lengths, but for what says that a run is there.
fn content_of(store: &Path) -> Vec<(PathBuf, u64)> {
    let (mut files, mut open) = (Vec::new(), vec![store.join("blobs"), store.join("cache")]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path)
            } else {
                files.push((path.clone(), path.metadata().unwrap().len()))
            }
        }
    }
    files.sort();
    files
}

#[test]
fn what_is_no_whole_bundle_of_kiln_is_refused_and_the_store_is_as_it_was() {
    let index = LocalIndex::serve(&[greeting("1.0")]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "def handler(event, context):\n    return 1\n",
        &greeting("1.0").requirement(""),
    );
    let (file, store) = (sandbox.folder().join("bundle.tar"), sandbox.folder().join("store"));
    sandbox.kiln().run(["bundle", "create", "app", file.to_str().unwrap()]).ends_with(exit::SUCCESS);
    let whole = fs::read(&file).unwrap();
    let kiln = sandbox.kiln().with_store(&store);
    kiln_store::Store::open(&store).unwrap().put(b"what was there").unwrap();
    let before = content_of(&store);
    let refused = |bytes: &[u8], says: &[&str]| {
        let bad = sandbox.folder().join("bad.tar");
        fs::write(&bad, bytes).unwrap();
        let outcome = kiln.run(["bundle", "use", bad.to_str().unwrap()]).ends_with(exit::FETCH_FAILED);
        outcome.says(says).says(&["bad.tar", "nothing was taken from"]);
        assert_eq!(content_of(&store), before, "{says:?}");
    };
    // One bit of the last file, which is in the last third of the archive.
    let mut altered = whole.clone();
    let at = whole.len() * 2 / 3;
    altered[at] ^= 1;
    refused(&altered, &["in it is not sha256:", "its bytes have the digest sha256:"]);
    refused(&whole[..whole.len() / 2], &["it is not whole: it ends within blobs/sha256/"]);
    refused(&whole[..700], &["it is no"]);
    refused(b"", &["it is no bundle of kiln"]);
    refused(&[7; 4096], &["it is no bundle of kiln"]);
    let without = repacked(&whole, |name| !name.ends_with(&greeting("1.0").digest().hex()));
    refused(&without, &["it is not whole: greeting-1.0-py3-none-any.whl", "is missing"]);
    let mut more = tar::Builder::new(Vec::new());
    copy_tar(&whole, &mut more, |_| true);
    add(&mut more, "blobs/sha256/0000", b"stowaway");
    refused(&more.into_inner().unwrap(), &["nothing in it names its file blobs/sha256/0000"]);
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    link.append_link(&mut header, "oci-layout", "/etc/passwd").unwrap();
    refused(&link.into_inner().unwrap(), &["oci-layout is neither a file nor a folder of a layout"]);
    // An image in the same form.
    let image = "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:CONFIG\",\"size\":2},\"layers\":[]}"
        .replace("CONFIG", &Digest::of(b"{}").hex());
    let mut foreign = tar::Builder::new(Vec::new());
    let index_of = |bytes: &[u8]| {
        serde_json::json!({"schemaVersion": 2, "manifests": [{"mediaType": "x", "digest": Digest::of(bytes), "size": bytes.len()}]})
            .to_string()
    };
    add(&mut foreign, "oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}\n");
    add(&mut foreign, "index.json", index_of(image.as_bytes()).as_bytes());
    add(&mut foreign, &format!("blobs/sha256/{}", Digest::of(image.as_bytes()).hex()), image.as_bytes());
    refused(&foreign.into_inner().unwrap(), &["it is no bundle of kiln: it holds an image"]);
    let other = Digest::of(b"another").to_string();
    kiln.run(["bundle", "use", file.to_str().unwrap(), "--digest", &other])
        .ends_with(exit::FETCH_FAILED)
        .says(&["it is the bundle sha256:", &other]);
    assert_eq!(content_of(&store), before);
    kiln.run(["bundle", "create", file.to_str().unwrap()])
        .ends_with(exit::USAGE)
        .says(&["no artifact is named", "--all"]);
    kiln.run(["bundle", "use", file.to_str().unwrap()]).ends_with(exit::SUCCESS);
}

fn add(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
}

fn copy_tar(bytes: &[u8], into: &mut tar::Builder<Vec<u8>>, keeps: impl Fn(&str) -> bool) {
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut header = entry.header().clone();
        if keeps(&name) {
            into.append_data(&mut header, name, &mut entry).unwrap();
        }
    }
}

fn repacked(bytes: &[u8], keeps: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    copy_tar(bytes, &mut tar, keeps);
    tar.into_inner().unwrap()
}

#[test]
fn a_base_of_a_registry_comes_out_of_a_bundle() {
    let python = {
        let sandbox = Sandbox::new();
        sandbox.function("app", "3.13", "def handler(event, context):\n    return 1\n", "");
        sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
        let lock: toml::Table =
            String::from_utf8(sandbox.read("images/python-3.13.lock")).unwrap().parse().unwrap();
        let manifest: Digest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
        format!("localhost/kiln/python-3.13:{}", &manifest.hex()[..12])
    };
    let mut registry = Registry::start();
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return 2\n", "");
    sandbox.replace("manifests/app.toml", "base = \"python-3.13\"", "base = \"remote-bundled\"");
    let reference = format!("{}/kiln/python", registry.address());
    sandbox.write(
        "images/remote-bundled.toml",
        format!(
            "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n\n[registry]\nreference = \"{reference}:3.13\"\n\n[image]\npython = \
             \"/usr/bin/python3.13\"\n"
        ),
    );
    let manifest = registry.push("kiln/python", "3.13", &python, "bundled");
    // A Dockerfile starts from it, too.
    let text = "FROM remote\nCOPY Dockerfile /srv/\nUSER 1000\nCMD [\"/usr/bin/python3.13\", \"-V\"]\n";
    write_image(&sandbox, "web", text, "bases = { remote = \"remote-bundled\" }\n");
    let kiln = sandbox.kiln().with_store(&sandbox.folder().join("store"));
    kiln.run(["lock", "--base", "remote-bundled"]).ends_with(exit::SUCCESS);
    kiln.run(["build", "app", "web"]).ends_with(exit::SUCCESS);
    let published = sandbox.dist();
    let file = sandbox.folder().join("bundle.tar");
    kiln.run(["bundle", "create", "app", "web", file.to_str().unwrap()]).ends_with(exit::SUCCESS);

    registry.stop();
    forget(&format!("{reference}@{manifest}"));
    let (copy, there) = elsewhere(&sandbox);
    let there = without_network(&there);
    there.run(["build", "app", "--offline"]).ends_with(exit::FETCH_FAILED).says(&[
        "base remote-bundled",
        &manifest.to_string(),
        "is not in the store, and the network is switched off",
    ]);
    there.run(["bundle", "use", file.to_str().unwrap()]).ends_with(exit::SUCCESS);
    there.run(["build", "app", "web", "--offline"]).ends_with(exit::SUCCESS);
    // Cleaning the store leaves what the locks need, and the engine may forget what it has.
    there.run(["store", "gc", "--builds", "1"]).ends_with(exit::SUCCESS);
    forget(&format!("localhost/kiln/remote-bundled:{}", &manifest.hex()[..12]));
    there.run(["build", "app", "web", "--offline", "--force", "--check-again"]).ends_with(exit::SUCCESS);
    assert!(copy.dist() == published);
    forget(&format!("localhost/kiln/remote-bundled:{}", &manifest.hex()[..12]));
}

#[test]
fn offline_names_what_is_missing_and_asks_nobody() {
    let index = LocalIndex::serve(&[greeting("1.0")]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "import greeting\n\ndef handler(event, context):\n    return 1\n",
        &greeting("1.0").requirement(""),
    );
    let kiln = sandbox.kiln().with_store(&sandbox.folder().join("store"));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    fs::remove_dir_all(sandbox.path("dist")).unwrap();
    fs::remove_dir_all(sandbox.path(".kiln")).unwrap();
    kiln.run(["build", "app", "--offline"]).ends_with(exit::FETCH_FAILED).says(&[
        "greeting 1.0, which manifests/app/requirements.txt:1 names, is not in the store, and the network is switched off",
        "or run the same command without --offline where servers can be reached",
    ]);
    let document = kiln.run(["build", "app", "--offline", "--format", "json"]);
    assert!(document.stdout.contains("greeting 1.0"), "{document}");
    kiln.run(["lock", "--base", "python-3.13", "--offline"])
        .ends_with(exit::FETCH_FAILED)
        .says(&["the network is switched off"]);
    kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    kiln.run(["build", "app", "--offline", "--force"]).ends_with(exit::SUCCESS);
    kiln.run(["push", "app", "--to", "127.0.0.1:9/team", "--offline"])
        .ends_with(exit::FETCH_FAILED)
        .says(&["the network is switched off"]);
    kiln.run(["pins", "--check", "--offline"]).ends_with(exit::FETCH_FAILED).prints(&["not asked"]);
}
