//! `docs/signing.md`: a release is signed, rebuilt by others and counted, and the ledger is held as a log.

use crate::harness::page::Walk;
use crate::harness::signed::{copy, key};
use crate::harness::{Kiln, Sandbox, runs};
use crate::rebuild::statement;
use fs_err as fs;
use kiln_record::exit;

const PAGE: &str = "docs/signing.md";

/// A committed and published function, and who commits.
fn released() -> (Sandbox, Kiln, String) {
    let sandbox = Sandbox::new();
    sandbox.function("orders", "3.13", "def handler(event, context):\n    return 1\n", "");
    let commit = sandbox.commit("first");
    let kiln = ["AUTHOR", "COMMITTER"].iter().fold(sandbox.kiln(), |kiln, who| {
        kiln.with_variable(&format!("GIT_{who}_NAME"), "Test")
            .with_variable(&format!("GIT_{who}_EMAIL"), "test@example.org")
    });
    kiln.run(["build", "orders"]).ends_with(exit::SUCCESS);
    (sandbox, kiln, commit)
}

#[test]
fn a_release_is_signed_counted_and_held_against_its_log() {
    let (sandbox, kiln, commit) = released();
    let origin = sandbox.folder().join("origin.git");
    runs("git", &["init", "--quiet", "--bare", origin.to_str().unwrap()]);
    sandbox.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
    let url = sandbox.root().display().to_string();
    let stands_for =
        [("URL", url.as_str()), ("COMMIT", &commit), ("OLD", "old.checkpoint"), ("PROOF", "old.proof")];
    let mut walk = Walk::of(PAGE, &stands_for);

    let [_, public, _, verified] = walk.take(&kiln);
    assert_eq!(public.stdout, "", "it is in a file");
    assert!(sandbox.read("release.pub.pem").starts_with(b"-----BEGIN PUBLIC KEY-----"));
    for file in ["release.intoto.jsonl", "ledger.checkpoint", "orders/orders.signed.intoto.jsonl"] {
        assert!(sandbox.path("dist").join(file).is_file(), "{file}");
    }
    verified.prints(&["ok          signature", "ok          ledger"]).does_not_say("warning");

    // Two of three rebuild it, and each says so.
    for name in ["anna", "ben", "cleo"] {
        key(&sandbox.root(), name, "ed25519");
    }
    let rebuild = walk.command();
    fs::create_dir(sandbox.path("verdicts")).unwrap();
    for name in ["anna", "ben"] {
        walk.run(&kiln, &rebuild.replace("anna", name)).prints(&["orders.zip: E0 (identical bytes)"]);
        let verdict = format!("orders.{name}.vsa.intoto.jsonl");
        assert_eq!(statement(&sandbox.path(&verdict))["predicate"]["verificationResult"], "PASSED");
        fs::rename(sandbox.path(&verdict), sandbox.path("verdicts").join(verdict)).unwrap();
    }
    walk.next(&kiln).prints(&["by 2 of 3 rebuilders"]);

    walk.next(&kiln).prints(&["entries  1", "root     sha256:", "signed   all of it"]);
    // What a checkpoint is of may grow.
    fs::copy(sandbox.path(".kiln/checkpoint"), sandbox.path("old.checkpoint")).unwrap();
    sandbox.append("manifests/orders/src/app.py", "# changed\n");
    kiln.run(["build", "orders"]).ends_with(exit::SUCCESS);
    let signed = walk.next(&kiln);
    assert!(signed.stdout.as_bytes() == sandbox.read(".kiln/checkpoint"), "{signed}");
    assert!(sandbox.read(".kiln/checkpoint").starts_with(b"kiln/ledger\n2\n"));
    walk.next(&kiln).prints(&["ok       old.checkpoint of 1 entry is continued"]);
    walk.next(&kiln);
    assert!(!sandbox.read("old.proof").is_empty());
    // Who has no ledger has the release, as it is signed now, and the proof.
    kiln.run(["sign", "--key-file", "release.pem"]).ends_with(exit::SUCCESS);
    let receiver = Sandbox::bare();
    fs::remove_file(receiver.path("kiln.toml")).unwrap();
    copy(&sandbox.path("dist"), &receiver.path("dist"));
    for file in ["release.pub.pem", "old.checkpoint", "old.proof"] {
        fs::copy(sandbox.path(file), receiver.path(file)).unwrap();
    }
    walk.next(&receiver.kiln()).prints(&["ok          ledger", "continues"]);

    // Git keeps a checkpoint beside the commit, where others have it.
    walk.next(&kiln);
    runs("git", &["--git-dir", origin.to_str().unwrap(), "rev-parse", "refs/notes/kiln"]);
    fs::remove_file(sandbox.path("old.checkpoint")).unwrap();
    walk.next(&kiln).prints(&["ok       old.checkpoint of 2 entries is continued"]);
    assert!(sandbox.read("old.checkpoint") == sandbox.read(".kiln/checkpoint"), "to the byte");
}
