//! Files that an artifact takes from a git repository, at a commit that its lock names.

use crate::harness::Sandbox;
use fs_err as fs;
use kiln_record::{Record, exit};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository beside the workspace, with one commit.
struct Upstream {
    folder: PathBuf,
}

impl Upstream {
    fn new(sandbox: &Sandbox) -> Self {
        let folder = sandbox.folder().join("upstream");
        fs::create_dir_all(folder.join("functions/handlers")).unwrap();
        let upstream = Self { folder };
        upstream.git(&["init", "--quiet", "--initial-branch=main"]);
        // What a checkout would change: line ends, and the text of a keyword.
        upstream.write(".gitattributes", "*.txt text eol=crlf\n*.py export-subst ident\n");
        upstream
            .write("functions/app.py", "# $Id$\nfrom handlers import events\n\nhandler = events.handler\n");
        upstream.write("functions/handlers/__init__.py", "");
        upstream.write("functions/handlers/events.py", "def handler(event, context):\n    return 1\n");
        upstream.write("functions/handlers/words.txt", "one\ntwo\n");
        upstream.write("functions/tests/test_events.py", "assert True\n");
        std::os::unix::fs::symlink("words.txt", upstream.folder.join("functions/handlers/link.txt")).unwrap();
        upstream.commit("first");
        upstream.git(&["tag", "-a", "v1.0", "-m", "the first"]);
        upstream
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn address(&self) -> String {
        format!("file://{}", self.folder.display())
    }
}

/// A function that is all upstream's, but for nothing.
fn manifest(sandbox: &Sandbox, address: &str, revision: &str) {
    sandbox.write(
        "manifests/app.toml",
        format!(
            "kind = \"lambda-zip\"\nbase = \"python-3.13\"\nhandler = \"app.handler\"\n\n[target]\nruntime = \
             \"python3.13\"\narchitecture = \"x86_64\"\n\n[[upstream]]\nname = \"acme-functions\"\ngit = \
             \"{address}\"\nrevision = \"{revision}\"\nfolder = \"functions\"\nexclude = [\"tests/**\"]\n"
        ),
    );
}

fn record(sandbox: &Sandbox) -> Record {
    serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap()
}

/// The lock of the sources, and when they were pinned.
fn lock_and_its_time(sandbox: &Sandbox) -> (String, String) {
    let lock = String::from_utf8(sandbox.read("manifests/app.lock")).unwrap();
    let pinned =
        lock.lines().find_map(|line| line.strip_prefix("pinned = ")).unwrap().trim_matches('"').to_owned();
    (lock, pinned)
}

fn dist_of(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    sandbox.dist()
}

#[test]
fn a_tag_is_locked_to_a_commit_and_stays_there_when_it_is_moved() {
    let sandbox = Sandbox::new();
    let upstream = Upstream::new(&sandbox);
    manifest(&sandbox, &upstream.address(), "v1.0");
    sandbox.denied().says(&[
        "deny[lock-missing] app: manifests/app.lock",
        "the upstream source `acme-functions` is not locked",
        "kiln lock app",
    ]);

    let first = upstream.git(&["rev-parse", "HEAD"]);
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).prints(&[
        "manifests/app.lock: written: acme-functions v1.0",
        &first[..12],
        "6 files",
    ]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let built = record(&sandbox);
    let paths: Vec<&str> = built.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        ["app.py", "handlers/__init__.py", "handlers/events.py", "handlers/link.txt", "handlers/words.txt"]
    );
    // The repository's bytes, and not those of a checkout.
    let words = built.files.iter().find(|file| file.path.as_str() == "handlers/words.txt").unwrap();
    assert_eq!(words.entry.size(), 8);
    let component = built.components.iter().find(|c| c.name == "acme-functions").unwrap();
    assert_eq!(component.version.as_deref(), Some(first.as_str()));
    assert_eq!(component.upstream.as_ref().unwrap().revision, "v1.0");
    let bill = String::from_utf8(sandbox.read("dist/app/app.cdx.json")).unwrap();
    assert!(bill.contains("pkg:generic/acme-functions@") && bill.contains("vcs_url="), "{bill}");
    let provenance = String::from_utf8(sandbox.read("dist/app/app.intoto.jsonl")).unwrap();
    assert!(provenance.contains(&format!("\"gitCommit\":\"{first}\"")), "{provenance}");
    assert!(provenance.contains(&format!("git+{}@v1.0", upstream.address())), "{provenance}");
    sandbox.kiln().run(["explain", "app", "handlers.events"]).ends_with(exit::SUCCESS).prints(&[
        "at v1.0, commit",
        &first,
        "below functions",
    ]);
    sandbox.kiln().run(["pins"]).ends_with(exit::SUCCESS).prints(&[
        "app/acme-functions",
        &upstream.address(),
        &first,
        "kiln lock app --upgrade",
    ]);

    // Whoever moves the tag moves nothing here.
    upstream.write("functions/handlers/events.py", "def handler(event, context):\n    return 2\n");
    let second = upstream.commit("second");
    upstream.git(&["tag", "-d", "v1.0"]);
    upstream.git(&["tag", "v1.0"]);
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS).prints(&["nothing moved"]).says(&[
        "v1.0 means commit",
        &second[..12],
        "--upgrade moves the pin",
    ]);
    let before = dist_of(&sandbox);
    let cold = sandbox.folder().join("cold");
    sandbox.kiln().with_store(&cold).run(["build", "app", "--force"]).ends_with(exit::SUCCESS);
    assert_eq!(dist_of(&sandbox), before, "a cold store brings the locked commit, not the tag");

    sandbox.kiln().run(["lock", "app", "--upgrade", "--check"]).ends_with(exit::NOT_REPRODUCIBLE);
    sandbox.kiln().run(["lock", "app", "--upgrade"]).ends_with(exit::SUCCESS).prints(&[&format!(
        "{} → {}",
        &first[..12],
        &second[..12]
    )]);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox
        .kiln()
        .run(["diff", "app@1", "app@2"])
        .ends_with(exit::SUCCESS)
        .prints(&["acme-functions", "source changed: acme-functions"]);
}

#[test]
fn a_pin_that_is_too_old_is_of_today_once_it_is_asked_about() {
    let sandbox = Sandbox::new();
    let upstream = Upstream::new(&sandbox);
    manifest(&sandbox, &upstream.address(), "main");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    let (lock, pinned) = lock_and_its_time(&sandbox);
    // Far longer than the base has been pinned, whenever this runs.
    sandbox.write("kiln.toml", "format = \"1\"\n[trust]\nmax-age = \"3650 days\"\n");
    sandbox.replace("manifests/app.lock", &pinned, "2000-01-01T00:00:00Z");
    let told = [
        "upstream source acme-functions was pinned",
        "`trust.max-age` allows 3650 days",
        "kiln lock app --upgrade",
    ];
    sandbox.kiln().run(["build", "app"]).ends_with(exit::INPUT_INVALID).says(&told);
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::INPUT_INVALID).says(&told);
    sandbox.kiln().run(["lock", "app", "--upgrade"]).ends_with(exit::SUCCESS);
    let renewed = String::from_utf8(sandbox.read("manifests/app.lock")).unwrap();
    let without_date = |lock: &str| -> Vec<String> {
        lock.lines().filter(|line| !line.starts_with("pinned = ")).map(str::to_owned).collect()
    };
    assert_eq!(without_date(&renewed), without_date(&lock), "nothing else moved");
    assert!(!renewed.contains("2000-01-01"), "{renewed}");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
}

#[test]
fn a_build_is_of_the_lock_of_its_sources_too() {
    let sandbox = Sandbox::new();
    let upstream = Upstream::new(&sandbox);
    manifest(&sandbox, &upstream.address(), "main");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    sandbox.commit("first");
    let changed = || {
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
        let history = sandbox.kiln().run(["history", "--format", "json"]).ends_with(exit::SUCCESS).json();
        history["app"].as_array().unwrap().last().unwrap()["source"]["changed_paths"].clone()
    };
    assert_eq!(changed(), serde_json::json!([]));
    let (_, pinned) = lock_and_its_time(&sandbox);
    sandbox.replace("manifests/app.lock", &pinned, "2026-01-01T00:00:00Z");
    assert_eq!(changed(), serde_json::json!(["manifests/app.lock"]));
}

#[test]
fn a_lock_that_does_not_fit_the_manifest_or_the_repository_is_refused() {
    let sandbox = Sandbox::new();
    let upstream = Upstream::new(&sandbox);
    let address = upstream.address();
    manifest(&sandbox, &address, "main");
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let before = dist_of(&sandbox);
    let lock = String::from_utf8(sandbox.read("manifests/app.lock")).unwrap();

    manifest(&sandbox, &address, "v1.0");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "lock-stale",
        "revision is v1.0, locked was main",
        "kiln lock app",
    ]);
    manifest(&sandbox, &address, "main");

    // The tree that somebody wrote into the lock is not what the commit holds.
    let tree = lock.lines().find_map(|line| line.strip_prefix("tree = \"")).unwrap().trim_end_matches('"');
    let forged = format!("sha256:{}", "0".repeat(64));
    sandbox.write("manifests/app.lock", lock.replace(tree, &forged));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::FETCH_FAILED).says(&[
        "upstream source `acme-functions`",
        tree,
        &forged,
        "manifests/app.lock was edited",
    ]);

    // A commit that is gone with its branch.
    sandbox.write("manifests/app.lock", &lock);
    upstream.git(&["tag", "-d", "v1.0"]);
    upstream.git(&["checkout", "--quiet", "--orphan", "anew"]);
    upstream.commit("anew");
    upstream.git(&["branch", "-D", "main"]);
    upstream.git(&["reflog", "expire", "--expire=now", "--all"]);
    upstream.git(&["gc", "--quiet", "--prune=now"]);
    let cold = sandbox.folder().join("cold");
    sandbox
        .kiln()
        .with_store(&cold)
        .run(["build", "app", "--force"])
        .ends_with(exit::FETCH_FAILED)
        .says(&["it has no commit", "history was rewritten"]);
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::INPUT_INVALID).says(&["no tag or branch `main`"]);
    assert_eq!(dist_of(&sandbox), before, "what was published stays");
    assert_eq!(sandbox.read("manifests/app.lock"), lock.as_bytes(), "and so does the lock");
}

#[test]
fn what_has_no_place_in_an_artifact_is_refused() {
    let sandbox = Sandbox::new();
    let upstream = Upstream::new(&sandbox);
    let refused = |revision: &str, says: &[&str]| {
        manifest(&sandbox, &upstream.address(), revision);
        sandbox.kiln().run(["lock", "app"]).ends_with(exit::INPUT_INVALID).says(says);
        assert!(!Path::new(&sandbox.path("manifests/app.lock")).exists());
    };
    refused(
        "v9",
        &["manifests/app.toml: upstream source `acme-functions`", "no tag or branch `v9`", "all 40 digits"],
    );
    upstream.git(&["branch", "v1.0"]);
    refused("v1.0", &["`v1.0` is a tag and a branch"]);

    upstream.git(&["checkout", "--quiet", "-b", "large"]);
    upstream.write(
        "functions/model.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 1\n",
    );
    upstream.commit("a pointer");
    refused("large", &["`model.bin` is a pointer to a file that Git LFS keeps elsewhere"]);

    upstream.git(&["checkout", "--quiet", "-b", "links", "main"]);
    std::os::unix::fs::symlink("/etc/passwd", upstream.folder.join("functions/passwd")).unwrap();
    upstream.commit("a link");
    refused("links", &["the link passwd points to the absolute path /etc/passwd"]);

    upstream.git(&["checkout", "--quiet", "-b", "modules", "main"]);
    upstream.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{},functions/other", "a".repeat(40)),
    ]);
    upstream.git(&["commit", "--quiet", "-m", "a submodule"]);
    refused("modules", &["`other` is a submodule"]);

    sandbox.write("manifests/app.toml", "");
    manifest(&sandbox, "https://me:secret@example.org/a.git", "main");
    let outcome = sandbox.kiln().run(["lock", "app"]).ends_with(exit::INPUT_INVALID);
    outcome.says(&["it holds a login", "credential helper"]);
}
