//! Bases from Debian packages: what is accepted from a mirror, what is refused, and how the refusal is told.

use crate::harness::{Kiln, LocalMirror, Outcome, Sandbox, debian_base, forget, repository};
use fs_err as fs;
use kiln_record::{Digest, exit};
use kiln_store::Store;
use std::path::PathBuf;

const KEYRING: &str = "images/keys/debian-archive-keyring.gpg";
/// Exercises what needs shared libraries, and checks where it runs.
const PYTHON_CODE: &str = r#"
import ctypes, errno, os, sqlite3, ssl, sys

def handler(event, context):
    return None

assert os.getuid() == 65534 and os.getgid() == 65534, (os.getuid(), os.getgid())
assert ctypes.CDLL("libc.so.6").getpid() == os.getpid()
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
assert len(ssl.create_default_context().get_ca_certs()) > 100
for folder in ("/", "/etc", "/var/task"):
    try:
        open(os.path.join(folder, "new"), "w")
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EACCES), error
    else:
        raise AssertionError(folder + " can be written")
"#;

/// How a mirror spoils a file.
type Fault = fn(&mut Vec<u8>);

/// A workspace with a function on a base of its own, a local mirror, and stores that have nothing yet.
struct World {
    sandbox: Sandbox,
    mirror: LocalMirror,
    base: String,
}

impl World {
    /// The name of the base is this test's alone: an image that the engine has from another test would be used.
    fn new(base: &str, packages: &[&str]) -> Self {
        let sandbox = Sandbox::bare();
        sandbox.write(KEYRING, fs::read(repository().join(KEYRING)).unwrap());
        sandbox.write(&format!("images/{base}.toml"), debian_base(packages, &[], "/bin/busybox"));
        let manifest = format!(
            "kind = \"lambda-zip\"\nbase = \"{base}\"\nhandler = \"app.handler\"\n[target]\nruntime = \
             \"python3.11\"\narchitecture = \"x86_64\"\n[source]\npath = \"app\"\n"
        );
        sandbox.write("manifests/app.toml", manifest);
        sandbox.write("manifests/app/app.py", "def handler(event, context):\n    return None\n");
        Self { sandbox, mirror: LocalMirror::serve(), base: base.to_owned() }
    }

    fn kiln(&self, store: &str) -> Kiln {
        self.sandbox
            .kiln()
            .with_store(&self.store(store))
            .with_variable("KILN_DEBIAN_MIRROR", &self.mirror.url())
    }

    fn store(&self, name: &str) -> PathBuf {
        self.sandbox.home().join(name)
    }

    fn definition(&self) -> String {
        format!("images/{}.toml", self.base)
    }

    fn lock_file(&self) -> String {
        format!("images/{}.lock", self.base)
    }

    fn lock(&self, store: &str) -> Outcome {
        self.kiln(store).run(["lock", "--base", &self.base])
    }

    /// Builds, which cannot succeed: there is no Python in this base.
    fn build(&self, store: &str) -> Outcome {
        let outcome = self.kiln(store).run(["build", "app"]);
        self.sandbox.assert_nothing_published();
        outcome
    }
}

/// Path and digest of a package in a lock.
fn package(sandbox: &Sandbox, lock: &str, name: &str) -> (String, Digest) {
    let lock: toml::Table = String::from_utf8(sandbox.read(lock)).unwrap().parse().unwrap();
    let packages = lock["platform"]["linux/amd64"]["package"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"].as_str() == Some(name)).unwrap();
    (package["path"].as_str().unwrap().to_owned(), package["digest"].as_str().unwrap().parse().unwrap())
}

#[test]
fn a_package_that_is_gone_is_named_with_the_command_that_pins_again() {
    let world = World::new("gone", &["busybox-static"]);
    world.lock("a").ends_with(exit::SUCCESS);
    let (path, digest) = package(&world.sandbox, &world.lock_file(), "busybox-static");
    world.mirror.remove(&path);
    let file = path.rsplit('/').next().unwrap();
    world.build("b").ends_with(exit::FETCH_FAILED).says(&[
        file,
        "base `gone`",
        &world.lock_file(),
        &world.mirror.url(),
        "kiln lock --base gone",
        "snapshot",
    ]);
    assert!(!Store::open(&world.store("b")).unwrap().contains(&digest));
}

#[test]
fn a_package_that_is_gone_comes_from_the_snapshot() {
    let snapshot = LocalMirror::serve();
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.write("manifests/app/src/nonce.py", format!("NONCE = {:?}\n", sandbox.root()));
    let lock = "images/python-3.13.lock";
    let (path, digest) = package(&sandbox, lock, "media-types");
    let mirror = LocalMirror::serve();
    mirror.remove(&path);

    // A base of another name is not in the engine yet, so it has to be assembled.
    let rename = |file: &str, from: &str, to: &str| {
        let text = String::from_utf8(sandbox.read(file)).unwrap();
        assert!(text.contains(from), "{file} has {from:?}");
        text.replace(from, to)
    };
    sandbox.write("images/aged.lock", rename(lock, "\"python-3.13\"", "\"aged\""));
    let addresses = format!("[debian]\nmirror = {:?}\nsnapshot = {:?}", mirror.url(), snapshot.url());
    sandbox.write("images/aged.toml", rename("images/python-3.13.toml", "[debian]", &addresses));
    sandbox.write("manifests/app.toml", rename("manifests/app.toml", "\"python-3.13\"", "\"aged\""));

    // Everything else is there from earlier.
    let (known, store) =
        (Store::open(&Kiln::shared_store()).unwrap(), Store::open(&sandbox.home().join("store")).unwrap());
    let locked: toml::Table = String::from_utf8(sandbox.read(lock)).unwrap().parse().unwrap();
    let manifest: Digest = locked["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
    for package in locked["platform"]["linux/amd64"]["package"].as_array().unwrap() {
        let other: Digest = package["digest"].as_str().unwrap().parse().unwrap();
        if other != digest && known.contains(&other) {
            store.put(&known.read_blob(&other).unwrap()).unwrap();
        }
    }
    let image = format!("localhost/kiln/aged:{}", &manifest.hex()[..12]);
    forget(&image);
    let outcome = sandbox.kiln().with_store(&sandbox.home().join("store")).run(["build", "app"]);
    forget(&image);
    outcome.ends_with(exit::SUCCESS);
    assert!(store.contains(&digest));
    assert!(mirror.asked().contains(&path), "the mirror is asked first");
    assert_eq!(snapshot.asked(), [path], "the snapshot is asked for nothing else");
}

#[test]
fn a_mirror_that_serves_other_bytes_is_refused() {
    let world = World::new("other-bytes", &["busybox-static"]);
    world.lock("a").ends_with(exit::SUCCESS);
    let (path, digest) = package(&world.sandbox, &world.lock_file(), "busybox-static");
    let file = path.rsplit('/').next().unwrap();
    let last = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let more = |bytes: &mut Vec<u8>| bytes.push(b'\n');
    let faults: [(Fault, &str); 2] = [(last, &digest.to_string()), (more, "bytes, not")];
    for (change, told) in faults {
        world.mirror.replace(&path, change);
        world.build("b").ends_with(exit::FETCH_FAILED).says(&[
            file,
            &world.mirror.url(),
            told,
            "other bytes than the lock names",
            "nothing was kept",
        ]);
        assert!(!Store::open(&world.store("b")).unwrap().contains(&digest));
    }
    let before = world.sandbox.read(&world.lock_file());
    world.lock("c").ends_with(exit::FETCH_FAILED).says(&[file, &world.mirror.url()]);
    assert_eq!(world.sandbox.read(&world.lock_file()), before, "the lock is as it was");
}

#[test]
fn a_release_that_was_tampered_with_is_refused() {
    let world = World::new("tampered", &["busybox-static"]);
    let release = "dists/bookworm/InRelease";
    // A changed line, no signature at all, and a line in front of what is signed.
    let changed = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(7).position(|window| window == b"\nSuite:").unwrap();
        bytes.insert(at + 7, b' ');
    };
    let unsigned = |bytes: &mut Vec<u8>| *bytes = b"Origin: Debian\nCodename: bookworm\n".to_vec();
    let in_front = |bytes: &mut Vec<u8>| {
        bytes.splice(0..0, *b"Codename: bookworm\n");
    };
    let faults: [(Fault, &str); 3] = [
        (changed, "no good signature"),
        (unsigned, "not a cleartext-signed document"),
        (in_front, "not a cleartext-signed document"),
    ];
    for (change, told) in faults {
        world.mirror.replace(release, change);
        world.lock("a").ends_with(exit::FETCH_FAILED).says(&[
            release,
            &world.mirror.url(),
            told,
            "keys/debian-archive-keyring.gpg",
        ]);
        assert!(!world.sandbox.path(&world.lock_file()).exists(), "nothing is pinned");
    }
    // The signed text vouches for the index of packages.
    world.mirror.replace(release, |_| ());
    let asked = world.mirror.asked();
    assert!(asked.iter().all(|path| path == release), "nothing else was asked for: {asked:?}");
    world.lock("a").ends_with(exit::SUCCESS);
    let asked = world.mirror.asked();
    let index =
        asked.iter().find(|path| path.contains("/by-hash/")).expect("an index is asked for by its digest");
    world.mirror.replace(index, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let before = world.sandbox.read(&world.lock_file());
    world.lock("a").ends_with(exit::FETCH_FAILED).says(&[index, "has the digest"]);
    assert_eq!(world.sandbox.read(&world.lock_file()), before);
}

#[test]
fn a_package_that_the_suite_does_not_have_is_named() {
    let world = World::new("unknown", &["busybox-statik"]);
    world.lock("a").ends_with(exit::INPUT_INVALID).says(&[
        "images/unknown.toml",
        "suite `bookworm`",
        "cannot resolve busybox-statik",
        "no package of this name",
        "correct `packages`",
    ]);
    assert!(!world.sandbox.path(&world.lock_file()).exists());
}

#[test]
fn a_base_that_changed_after_its_lock_is_not_pinned() {
    let world = World::new("changed", &["busybox-static"]);
    world
        .build("a")
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["base-not-pinned", "its packages are not locked", "kiln lock --base changed"])
        .documents("deny[base-not-pinned] app");
    world.lock("a").ends_with(exit::SUCCESS);
    let definition = String::from_utf8(world.sandbox.read("images/changed.toml")).unwrap();
    let changed =
        definition.replace("packages = [\"busybox-static\"", "packages = [\"busybox-static\", \"netbase\"");
    assert_ne!(changed, definition);
    world.sandbox.write("images/changed.toml", &changed);
    world.mirror.asked();
    world.build("a").ends_with(exit::FINDINGS_DENIED).says(&[
        "base-not-pinned",
        "images/changed.toml has changed since it was locked",
        "kiln lock --base changed",
    ]);
    assert_eq!(world.mirror.asked(), Vec::<String>::new(), "nothing was downloaded");

    // Comments, layout and addresses change nothing that is locked.
    let elsewhere = definition.replace("[debian]", "[debian]\nsnapshot = \"http://127.0.0.1:9/\"");
    let lock = world.sandbox.read(&world.lock_file());
    world.sandbox.write(&world.definition(), format!("# a comment\n{elsewhere}"));
    world.lock("a").ends_with(exit::SUCCESS).prints(&["nothing moved"]);
    assert_eq!(world.sandbox.read(&world.lock_file()), lock);

    world.sandbox.write(&world.definition(), changed);
    world.lock("a").ends_with(exit::SUCCESS).prints(&["netbase", "image"]);
}

#[test]
fn assembled_twice_is_the_same_image() {
    let packages = ["busybox-static", "ca-certificates", "libpython3.11-minimal"];
    let locks: Vec<Vec<u8>> = [("umask 022", "UTC", "C"), ("umask 077", "Pacific/Kiritimati", "tr_TR.UTF-8")]
        .into_iter()
        .map(|(umask, zone, locale)| {
            let world = World::new("twice", &packages);
            let kiln = world
                .kiln("a")
                .with_variable("TZ", zone)
                .with_variable("LC_ALL", locale)
                .with_variable("SOURCE_DATE_EPOCH", "1700000000")
                .in_shell(&format!("{umask}; exec \"$@\""));
            kiln.run(["lock", "--base", "twice"]).ends_with(exit::SUCCESS);
            world.sandbox.read(&world.lock_file())
        })
        .collect();
    assert!(String::from_utf8_lossy(&locks[0]).contains("name = \"libc6\""), "dependencies come along");
    assert_eq!(String::from_utf8_lossy(&locks[0]), String::from_utf8_lossy(&locks[1]));
}

#[test]
fn python_runs_with_its_libraries_in_both_bases() {
    let sandbox = Sandbox::new();
    for python in ["3.11", "3.13"] {
        let name = format!("on-{}", python.replace('.', "-"));
        let check = format!(
            "{PYTHON_CODE}assert sys.version_info[:2] == ({}), sys.version\n",
            python.replace('.', ", ")
        );
        sandbox.function(&name, python, &check, "");
        // The import check of code that was seen before would not be run again.
        sandbox.write(&format!("manifests/{name}/src/nonce.py"), format!("NONCE = {:?}\n", sandbox.root()));
    }
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    // It was this code that ran: with one wrong assertion it is denied.
    sandbox.write(
        "manifests/on-3-13/src/app.py",
        format!("{PYTHON_CODE}assert os.getuid() == 0, 'an ordinary user'\n"),
    );
    sandbox
        .kiln()
        .run(["build", "on-3-13"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["import-failed", "an ordinary user"]);
}

#[test]
fn a_base_with_another_python_than_the_runtime_is_denied() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.replace("manifests/app.toml", "runtime = \"python3.13\"", "runtime = \"python3.11\"");
    sandbox.denied().says(&[
        "requires-python-mismatch",
        "manifests/app.toml",
        "name a base with the Python of python3.11",
    ]);
}

#[test]
fn a_base_without_python_is_told_from_a_handler_that_fails() {
    let world = World::new("no-python", &["busybox-static"]);
    world.lock("a").ends_with(exit::SUCCESS);
    let lock: toml::Table =
        String::from_utf8(world.sandbox.read(&world.lock_file())).unwrap().parse().unwrap();
    let manifest: Digest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
    let outcome = world.build("a");
    forget(&format!("localhost/kiln/no-python:{}", &manifest.hex()[..12]));
    outcome.ends_with(exit::BUILD_STEP_FAILED).says(&[
        "the probe failed in base `no-python`",
        "applet not found",
        "images/no-python.toml",
        "image.python",
    ]);
}
