//! Private and named indexes: a name is asked of the one index that it is bound to, and logins stay where they belong.

use crate::harness::{Kiln, LocalIndex, Outcome, Sandbox, WheelFile, wheel};
use fs_err as fs;
use kiln_record::exit;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const USER: &str = "acme-reader";
const PASSWORD: &str = "hunter2-is-secret";
const CODE: &str =
    "import acme_lib, pad\n\ndef handler(event, context):\n    return acme_lib.VALUE, pad.VALUE\n";

fn module(name: &str, version: &str, requires: &[&str], code: &str) -> WheelFile {
    let file = format!("{}.py", name.replace('-', "_"));
    wheel(name, version, "py3-none-any", requires, &[(&file, code.as_bytes())])
}

/// An index of ours with a login, and a public one where somebody took our names.
struct Indexes {
    private: LocalIndex,
    public: LocalIndex,
    lib: WheelFile,
    core: WheelFile,
    pad: WheelFile,
}

impl Indexes {
    fn new() -> Self {
        let evil = "raise SystemExit('the public package ran')\n";
        let lib = module("acme-lib", "1.0", &["acme-core"], "import acme_core\nVALUE = acme_core.VALUE\n");
        let core = module("acme-core", "1.0", &[], "VALUE = 'ours'\n");
        let pad = module("pad", "2.0", &[], "VALUE = 'public'\n");
        let private = LocalIndex::serve(&[lib.clone(), core.clone(), module("pad", "77.0", &[], evil)])
            .with_login(USER, PASSWORD);
        let public = LocalIndex::serve(&[
            pad.clone(),
            module("acme-lib", "99.0", &[], evil),
            module("acme-core", "99.0", &[], evil),
        ]);
        Self { private, public, lib, core, pad }
    }

    /// `kiln.toml` with the public index as the default one and a table for the private one.
    fn settings(&self, keys: &str) -> String {
        format!(
            "format = \"1\"\n[python]\nindex = \"{}\"\n\n[[index]]\nname = \"acme\"\nurl-env = \"ACME_INDEX_URL\"\n{keys}",
            self.public.url()
        )
    }

    /// Fails the test unless each index was asked for its own names alone.
    #[track_caller]
    fn assert_asked_for_their_own(&self) {
        let public = self.public.log();
        assert!(!public.iter().any(|path| path.contains("acme")), "the public index was asked: {public:?}");
        let private = self.private.log();
        assert!(!private.iter().any(|path| path.contains("pad")), "the private index was asked: {private:?}");
        assert!(private.iter().any(|path| path == "/simple/acme-lib/"), "{private:?}");
    }
}

/// A function that asks for a package of each index, in a workspace with a store of its own.
fn workspace(indexes: &Indexes, keys: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "").append(
        "manifests/app.toml",
        "\n[python]\nlock = \"app/lock.txt\"\nrequirements = \"app/requirements.in\"\n",
    );
    sandbox.write("manifests/app/requirements.in", "acme-lib\npad\n");
    sandbox.kiln().with_store(&store(&sandbox)).run(["lock", "--tools"]).ends_with(exit::SUCCESS);
    sandbox.write("kiln.toml", indexes.settings(keys));
    sandbox
}

fn store(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.folder().join("store")
}

fn kiln(sandbox: &Sandbox, indexes: &Indexes) -> Kiln {
    sandbox.kiln().with_store(&store(sandbox)).with_variable("ACME_INDEX_URL", &indexes.private.url())
}

fn with_login(kiln: Kiln) -> Kiln {
    kiln.with_variable("KILN_INDEX_ACME_USERNAME", USER).with_variable("KILN_INDEX_ACME_PASSWORD", PASSWORD)
}

fn lock_of(sandbox: &Sandbox) -> String {
    String::from_utf8(sandbox.read("manifests/app/lock.txt")).unwrap()
}

/// Fails the test if a secret is in any file below a folder, packed or not, or in what was said.
#[track_caller]
fn assert_nowhere(folder: &Path, outcomes: &[&Outcome], secret: &str) {
    for outcome in outcomes {
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret), "{outcome}");
    }
    let mut pending = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            } else if path.is_file() {
                let bytes = fs::read(&path).unwrap();
                files += 1;
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds the secret", path.display());
            }
        }
    }
    assert!(files > 10, "there is something to look through in {}: {files}", folder.display());
}

#[test]
fn dependency_confusion_a_public_package_never_takes_the_place_of_a_private_one() {
    let indexes = Indexes::new();
    let sandbox = workspace(&indexes, "packages = [\"acme-*\"]\n");
    let kiln = with_login(kiln(&sandbox, &indexes));

    let locked = kiln.run(["lock", "app"]).ends_with(exit::SUCCESS);
    let lock = lock_of(&sandbox);
    for (wheel, index) in
        [(&indexes.lib, "    # index: acme\n"), (&indexes.core, "    # index: acme\n"), (&indexes.pad, "")]
    {
        let entry = format!("{}{index}    # via", wheel.requirement(""));
        assert!(lock.contains(&entry), "{lock} has {entry}");
    }
    indexes.assert_asked_for_their_own();
    let again = kiln.run(["lock", "app", "--check"]).ends_with(exit::SUCCESS);

    let built = kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    indexes.assert_asked_for_their_own();
    let record: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    let source = |name: &str| {
        let components = record["components"].as_array().unwrap();
        let found = components.iter().find(|component| component["name"] == name).unwrap();
        found["origin"]["source"].clone()
    };
    assert_eq!(source("acme-lib"), serde_json::json!({ "kind": "index", "name": "acme" }));
    assert_eq!(source("acme-core"), source("acme-lib"));
    assert_eq!(source("pad"), serde_json::Value::Null);

    // Neither the login nor where the index is gets into anything.
    let unchanged = kiln.run(["build", "app"]).ends_with(exit::SUCCESS);
    let said = [&locked, &again, &built, &unchanged];
    assert_nowhere(sandbox.folder(), &said, PASSWORD);
    assert_nowhere(sandbox.folder(), &said, USER);
    let address = indexes.private.url();
    let host = address.trim_start_matches("http://").trim_end_matches("/simple/");
    assert_nowhere(&sandbox.root(), &said, host);
}

#[test]
fn another_tools_lock_is_asked_of_the_bound_index_with_a_login_from_netrc_or_keyring() {
    let indexes = Indexes::new();
    let sandbox = workspace(&indexes, "packages = [\"acme-*\"]\n");
    sandbox.replace("manifests/app.toml", "requirements = \"app/requirements.in\"\n", "");
    let lock: String =
        [&indexes.lib, &indexes.core, &indexes.pad].iter().map(|wheel| wheel.requirement("")).collect();
    sandbox.write("manifests/app/lock.txt", &lock);

    // Without a login the index refuses, and its files are looked for nowhere else.
    let refused = kiln(&sandbox, &indexes).run(["build", "app"]).ends_with(exit::FETCH_FAILED);
    refused.says(&["the index set by ACME_INDEX_URL", "401"]);
    indexes.assert_asked_for_their_own();

    let netrc = sandbox.home().join(".netrc");
    fs::write(&netrc, format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n")).unwrap();
    kiln(&sandbox, &indexes).run(["build", "app"]).ends_with(exit::SUCCESS);
    indexes.assert_asked_for_their_own();
    fs::remove_file(&netrc).unwrap();

    // A keyring is asked only where the workspace says so, and must be told for whom.
    fs::remove_dir_all(store(&sandbox).join("blobs")).unwrap();
    let programs = sandbox.folder().join("bin");
    fs::create_dir(&programs).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2 $3\" = \"get {} {USER}\" ] || exit 1\ncat \"{}\"\n",
        indexes.private.url(),
        programs.join("password").display()
    );
    fs::write(programs.join("keyring"), script).unwrap();
    fs::set_permissions(programs.join("keyring"), std::fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(programs.join("password"), format!("{PASSWORD}\n")).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let with_keyring = || kiln(&sandbox, &indexes).with_variable("PATH", &path);
    with_keyring().run(["build", "app", "--force"]).ends_with(exit::FETCH_FAILED).says(&["401"]);
    sandbox.write("kiln.toml", indexes.settings("packages = [\"acme-*\"]\nkeyring = true\n"));
    let unknown = with_keyring().run(["build", "app", "--force"]).ends_with(exit::INPUT_INVALID);
    unknown.says(&["the index `acme` of kiln.toml cannot be used", "set KILN_INDEX_ACME_USERNAME"]);
    let user = with_keyring().with_variable("UV_INDEX_ACME_USERNAME", "somebody-else");
    let refused = user.run(["build", "app", "--force"]).ends_with(exit::FETCH_FAILED);
    refused.says(&["the index `acme` of kiln.toml cannot be used"]);
    let user = with_keyring().with_variable("UV_INDEX_ACME_USERNAME", USER);
    let built = user.run(["build", "app", "--force"]).ends_with(exit::SUCCESS);
    fs::remove_dir_all(&programs).unwrap();
    assert_nowhere(sandbox.folder(), &[&built], PASSWORD);
}

#[test]
fn a_lock_and_settings_that_disagree_are_denied_before_an_index_is_asked() {
    let indexes = Indexes::new();
    let sandbox = workspace(&indexes, "packages = [\"acme-*\"]\n");
    let kiln = with_login(kiln(&sandbox, &indexes));
    kiln.run(["lock", "app"]).ends_with(exit::SUCCESS);
    let asked = (indexes.public.requests(), indexes.private.requests());
    let denied = |settings: &str, parts: &[&str]| {
        sandbox.write("kiln.toml", settings);
        let outcome = kiln.run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(parts);
        assert_eq!(asked, (indexes.public.requests(), indexes.private.requests()), "nothing was asked");
        outcome
    };
    denied(
        &format!("format = \"1\"\n[python]\nindex = \"{}\"\n", indexes.public.url()),
        &[
            "deny[index-not-bound] app: acme-core",
            "the index `acme`, which kiln.toml does not name",
            "→ name it in kiln.toml: [[index]]",
        ],
    );
    denied(
        &indexes.settings("packages = [\"acme-lib\"]\n"),
        &[
            "acme-core 1.0 (manifests/app/lock.txt:",
            "locked from the index `acme`, but kiln.toml does not bind the name to it",
        ],
    );
    denied(
        &indexes.settings("packages = [\"acme-*\", \"pad\"]\n"),
        &[
            "pad 2.0",
            "is locked from the default index, but kiln.toml binds the name to `acme`",
            "→ lock it from `acme`: kiln lock app",
        ],
    )
    .documents("deny[index-not-bound] app: pad");
    // What was not made by kiln lock cannot be made to bind a name to two indexes, either.
    let two = indexes.settings(
        "packages = [\"acme-*\"]\n[[index]]\nname = \"b\"\nurl-env = \"B\"\npackages = [\"*-lib\"]\n",
    );
    denied(&two, &["kiln.toml binds acme-lib to more than one index: acme, b"]);
    let locking = kiln.run(["lock", "app"]).ends_with(exit::FINDINGS_DENIED);
    locking.says(&["kiln.toml binds acme-lib to more than one index: acme, b"]);
}

#[test]
fn further_indexes_of_pip_and_uv_are_not_asked_and_locking_says_so() {
    let indexes = Indexes::new();
    let sandbox = workspace(&indexes, "packages = [\"acme-*\"]\n");
    let extra = LocalIndex::serve(&[module("pad", "50.0", &[], "VALUE = 'extra'\n")]);
    let kiln = with_login(kiln(&sandbox, &indexes))
        .with_variable("PIP_EXTRA_INDEX_URL", &extra.url())
        .with_variable("UV_INDEX", &extra.url());
    kiln.run(["lock", "app"]).ends_with(exit::SUCCESS).says(&[
        "PIP_EXTRA_INDEX_URL names a further index, which is not asked",
        "UV_INDEX names a further index, which is not asked",
        "[[index]]",
    ]);
    assert!(lock_of(&sandbox).contains("pad==2.0"), "{}", lock_of(&sandbox));
    assert_eq!(extra.log(), [""; 0]);
    // A private index that is down or refuses is an error, and no reason to look elsewhere.
    fs::remove_file(sandbox.path("manifests/app/lock.txt")).unwrap();
    let wrong = kiln.with_variable("KILN_INDEX_ACME_PASSWORD", "wrong-password");
    let outcome = wrong.run(["lock", "app"]).ends_with(exit::FETCH_FAILED);
    outcome.does_not_say("wrong-password").says(&["the index set by ACME_INDEX_URL", "401"]);
    assert!(!sandbox.path("manifests/app/lock.txt").exists());
    indexes.assert_asked_for_their_own();
}
