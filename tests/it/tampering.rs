//! What somebody may do to a signed release, and what `kiln verify --key` says of it, in an empty folder without a workspace.

use crate::dockerfiles::{from_scratch, write_image};
use crate::harness::signed::{
    answering, copy, files_below, index, key, publish, published, sign, sign_with_bills, write,
};
use crate::harness::{LocalIndex, Outcome, Sandbox, audit, runs, wheel};
use crate::packaging::layer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use kiln_record::exit;
use std::path::{Path, PathBuf};

/// A release in an empty folder, with the public key beside it.
struct Given {
    folder: tempfile::TempDir,
}

impl Given {
    /// What was signed with an Ed25519 key.
    fn new() -> (Sandbox, Self) {
        let sandbox = published();
        let (private, public) = key(sandbox.folder(), "mine", "ed25519");
        sign_with_bills(&sandbox, &private);
        let given = Self::of(&sandbox.path("dist"), &public);
        (sandbox, given)
    }

    fn of(dist: &Path, public: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(dist, &folder.path().join("release"));
        fs::copy(public, folder.path().join("public.pem")).unwrap();
        Self { folder }
    }

    fn again(&self) -> Self {
        Self::of(&self.release(), &self.folder.path().join("public.pem"))
    }

    fn release(&self) -> PathBuf {
        self.folder.path().join("release")
    }

    fn verify(&self) -> Outcome {
        audit(self.folder.path(), &["verify", "--key", "public.pem", "release"])
    }

    /// Refused, and the line of the aspect that says why.
    #[track_caller]
    fn is_refused(&self, aspect: &str, says: &str) {
        let outcome = self.verify().ends_with(exit::SIGNATURE_REFUSED);
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        let at = lines.iter().position(|line| line.split_whitespace().take(2).eq(["failed", aspect]));
        let at = at.unwrap_or_else(|| panic!("{aspect} did not fail:\n{outcome}"));
        let rest = lines[at + 1..].iter().take_while(|line| line.starts_with(' '));
        let told = std::iter::once(&lines[at]).chain(rest).copied().collect::<Vec<_>>().join("\n");
        assert!(told.contains(says), "{aspect} does not say `{says}`:\n{outcome}");
    }
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{} is changed", path.display());
    fs::write(path, changed).unwrap();
}

#[test]
fn what_is_intact_holds_and_says_by_whom() {
    let (_sandbox, given) = Given::new();
    let outcome = given.verify().ends_with(exit::SUCCESS);
    for line in [
        "ok          signature   by the Ed25519 key ",
        "ok          files       11 files and 11 with signatures, each as it was signed",
        "ok          trees       8 files unpacked",
        "ok          sbom        4 components",
        "ok          provenance  8 inputs, each pinned by a digest",
        "ok          runs        2 runs stated, the last ended at 2026-11-02T10:00:00Z",
        "ok          policy      no finding is denied",
        "ok          index       2 artifacts",
        "ok          ledger      2 builds proven in the log kiln/ledger of 2 entries",
    ] {
        assert!(outcome.stdout.contains(line), "{line}\n{outcome}");
    }
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 110), "{outcome}");
    let document =
        audit(given.folder.path(), &["verify", "--key", "public.pem", "release", "--format", "json"]);
    assert_eq!(document.ends_with(exit::SUCCESS).json()["success"], true);
}

/// Changes one byte of each file of a release, and takes each away: both are refused, and name the file.
#[track_caller]
fn each_change_is_named(given: &Given) {
    given.verify().ends_with(exit::SUCCESS);
    for name in &files_below(&given.release()) {
        let path = given.release().join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        let outcome = given.verify().ends_with(exit::SIGNATURE_REFUSED);
        let short = name.rsplit('/').next().unwrap();
        assert!(outcome.stdout.contains(short), "{name} is named:\n{outcome}");
        fs::remove_file(&path).unwrap();
        let outcome = given.verify().ends_with(exit::SIGNATURE_REFUSED);
        assert!(outcome.stdout.contains(&format!("{short} is missing")), "{name}:\n{outcome}");
        fs::write(&path, bytes).unwrap();
    }
    given.verify().ends_with(exit::SUCCESS);
}

#[test]
fn a_changed_byte_in_any_file_is_named_and_so_is_one_that_is_gone() {
    let (_sandbox, given) = Given::new();
    let all = files_below(&given.release());
    // Five published files and five with signatures of each artifact, the index, the checkpoint and the statement.
    assert_eq!(all.len(), 23, "{all:?}");
    each_change_is_named(&given);
}

#[test]
fn layers_and_images_of_a_dockerfile_are_held_to_the_byte() {
    let tool = wheel("tool", "1.0", "py3-none-any", &[], &[("tool.py", b"X = 1\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&tool));
    let sandbox = Sandbox::new().with_index(&index);
    layer(&sandbox, "tools", &tool.requirement(""), "");
    write_image(&sandbox, "app", &from_scratch(), "\n[image]\noutput = \"oci-layout\"\n");
    write_image(&sandbox, "archived", &from_scratch(), "");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let (private, public) = key(sandbox.folder(), "mine", "p256");
    sign_with_bills(&sandbox, &private);
    let given = Given::of(&sandbox.path("dist"), &public);
    let all = files_below(&given.release());
    for ending in
        ["tools.zip", "archived.oci.tar", "app/oci/index.json", "app.cosign.json", "app.run.intoto.jsonl"]
    {
        assert!(all.iter().any(|name| name.ends_with(ending)), "{ending}: {all:?}");
    }
    each_change_is_named(&given);
}

/// The folder of one artifact, as a registry gives it, has the files of the release that are its own.
#[test]
fn what_is_gone_from_the_folder_of_one_artifact_is_named() {
    let (_sandbox, given) = Given::new();
    let part = given.again();
    let (release, one) = (given.release(), part.release());
    fs::remove_dir_all(&one).unwrap();
    copy(&release.join("orders"), &one);
    for name in ["release.intoto.jsonl", "ledger.checkpoint"] {
        fs::copy(release.join(name), one.join(name)).unwrap();
    }
    let outcome = part.verify().ends_with(exit::SUCCESS);
    assert!(outcome.stdout.contains("5 files and 6 with signatures, each as it was signed"), "{outcome}");
    for name in
        ["orders.signed.cdx.json", "orders.run.intoto.jsonl", "orders.tlog-proof", "ledger.checkpoint"]
    {
        let bytes = fs::read(one.join(name)).unwrap();
        fs::remove_file(one.join(name)).unwrap();
        part.is_refused("files", &format!("{name} is missing"));
        fs::write(one.join(name), bytes).unwrap();
    }
    // A registry has what cosign reads under a tag of its own.
    fs::remove_file(one.join("orders.cosign.json")).unwrap();
    let outcome = part.verify().ends_with(exit::SUCCESS);
    assert!(outcome.stdout.contains("not here: orders.cosign.json"), "{outcome}");
}

/// A statement of before version 1.1 names no files with signatures, and that is said.
#[test]
fn an_older_statement_is_read_and_says_what_it_does_not_tell() {
    let (sandbox, given) = Given::new();
    let path = given.release().join("release.intoto.jsonl");
    let envelope: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let mut statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let predicate = statement["predicate"].as_object_mut().unwrap();
    assert_eq!(predicate.remove("signatures").unwrap().as_object().unwrap().len(), 11);
    predicate.insert("format".to_owned(), "1.0".into());
    fs::write(&path, signed_by_openssl(&sandbox, &statement.to_string())).unwrap();
    fs::remove_file(given.release().join("orders/orders.cosign.json")).unwrap();
    let outcome = given.verify().ends_with(exit::SUCCESS);
    assert!(outcome.stdout.contains("11 files, each as it was signed"), "{outcome}");
    assert!(outcome.stdout.contains("not known: which files with signatures there were"), "{outcome}");
}

/// An envelope that openssl makes with the key of a release.
fn signed_by_openssl(sandbox: &Sandbox, payload: &str) -> String {
    let [message, signature, private] =
        ["message", "signature", "mine.pem"].map(|name| sandbox.folder().join(name));
    let kind = "application/vnd.in-toto+json";
    fs::write(&message, format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len())).unwrap();
    let [input, out, key] = [&message, &signature, &private].map(|path| path.to_str().unwrap());
    runs("openssl", &["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", input, "-out", out]);
    let sig = STANDARD.encode(fs::read(&signature).unwrap());
    let payload = STANDARD.encode(payload);
    serde_json::json!({"payload": payload, "payloadType": kind, "signatures": [{"sig": sig}]}).to_string()
        + "\n"
}

/// What is done to a release, the aspect that fails, and what it says.
type Case = (fn(&Path), &'static str, &'static str);

const CASES: &[Case] = &[
    (|at| copy(&at.join("orders"), &at.join("refunds")), "files", "refunds/orders.zip is not in the release"),
    (
        |at| fs::write(at.join("orders/notes.txt"), "x").unwrap(),
        "files",
        "orders/notes.txt is not in the release",
    ),
    (|at| fs::remove_dir_all(at.join("payments")).unwrap(), "files", "payments/payments.zip is missing"),
    (
        swapped_archives,
        "files",
        "orders/orders.zip was changed: it is what was signed as payments/payments.zip",
    ),
    (swapped_folders, "files", "orders/orders.zip is missing"),
    (linked, "files", "is neither a file nor a folder"),
    (disguised, "files", "payments/payments.zip was changed"),
    (rehashed, "files", "orders/record.json was changed"),
    (
        |at| edit(&at.join("release.intoto.jsonl"), |text| text[..text.len() / 2].to_owned()),
        "signature",
        "not a DSSE envelope",
    ),
    (
        |at| edit(&at.join("release.intoto.jsonl"), |text| text.replacen('{', "{\"payload\":\"e30=\",", 1)),
        "signature",
        "the key `payload` comes twice",
    ),
    (
        |at| edit(&at.join("release.intoto.jsonl"), |text| format!("{text}{text}")),
        "signature",
        "it has more than one line",
    ),
    (
        |at| {
            fs::copy(at.join("orders/orders.intoto.jsonl"), at.join("release.intoto.jsonl")).unwrap();
        },
        "signature",
        "which nobody signed",
    ),
    (
        |at| {
            fs::copy(at.join("orders/orders.signed.intoto.jsonl"), at.join("release.intoto.jsonl")).unwrap();
        },
        "release",
        "its predicate type is `https://slsa.dev/provenance/v1`",
    ),
    (
        |at| {
            swap(
                &at.join("orders/orders.signed.intoto.jsonl"),
                &at.join("payments/payments.signed.intoto.jsonl"),
            )
        },
        "provenance",
        "orders.signed.intoto.jsonl is about something else than orders.intoto.jsonl",
    ),
    (
        |at| swap(&at.join("orders/orders.run.intoto.jsonl"), &at.join("payments/payments.run.intoto.jsonl")),
        "runs",
        "orders.run.intoto.jsonl: it is about another build",
    ),
    (
        |at| {
            fs::copy(at.join("orders/orders.signed.intoto.jsonl"), at.join("orders/orders.run.intoto.jsonl"))
                .unwrap();
        },
        "runs",
        "its predicate type is `https://slsa.dev/provenance/v1`",
    ),
    (
        |at| swap(&at.join("orders/orders.signed.cdx.json"), &at.join("payments/payments.signed.cdx.json")),
        "sbom",
        "orders.signed.cdx.json says something else than orders.cdx.json",
    ),
    (
        |at| edit(&at.join("orders/orders.signed.cdx.json"), |text| text.replacen("orders", "0rders", 1)),
        "sbom",
        "orders.signed.cdx.json: the signature inside it is not by",
    ),
    (
        |at| {
            let excluded =
                |text: String| text.replacen("\"algorithm\"", "\"excludes\": [\"name\"], \"algorithm\"", 1);
            edit(&at.join("orders/orders.signed.cdx.json"), excluded);
        },
        "sbom",
        "its signature has `excludes`",
    ),
    (
        |at| swap(&at.join("orders/orders.cosign.json"), &at.join("payments/payments.cosign.json")),
        "trees",
        "orders.cosign.json: it is of the manifest",
    ),
    (
        |at| swap(&at.join("orders/orders.tlog-proof"), &at.join("payments/payments.tlog-proof")),
        "ledger",
        "orders.tlog-proof: the proof does not hold",
    ),
    (
        |at| edit(&at.join("orders/orders.tlog-proof"), |text| text.replacen("index 0", "index 1", 1)),
        "ledger",
        "the proof does not hold: it leads to another root",
    ),
    (
        |at| edit(&at.join("ledger.checkpoint"), |text| text.replacen("\n2\n", "\n3\n", 1)),
        "ledger",
        "it was changed after it was signed",
    ),
];

/// Makes the whole release look like the folder of one artifact, of which nothing else is looked at.
fn disguised(at: &Path) {
    for file in fs::read_dir(at.join("orders")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), at.join(file.file_name())).unwrap();
    }
    fs::write(at.join("payments/payments.zip"), "theirs").unwrap();
}

fn swap(one: &Path, other: &Path) {
    let (a, b) = (fs::read(one).unwrap(), fs::read(other).unwrap());
    fs::write(one, b).unwrap();
    fs::write(other, a).unwrap();
}

fn swapped_archives(at: &Path) {
    swap(&at.join("orders/orders.zip"), &at.join("payments/payments.zip"));
}

fn swapped_folders(at: &Path) {
    fs::rename(at.join("orders"), at.join("other")).unwrap();
    fs::rename(at.join("payments"), at.join("orders")).unwrap();
    fs::rename(at.join("other"), at.join("payments")).unwrap();
}

fn linked(at: &Path) {
    let path = at.join("orders/orders.zip");
    fs::rename(&path, at.join("../elsewhere.zip")).unwrap();
    std::os::unix::fs::symlink("../../elsewhere.zip", path).unwrap();
}

/// Everything made anew around another archive, so that all of it fits: zip, record, SBOM, provenance, sums and index.
fn rehashed(at: &Path) {
    let records = ["orders", "payments"]
        .map(|name| write(&at.join(name), &answering(name, if name == "orders" { "theirs" } else { name })));
    index(at, &records);
}

#[test]
fn the_table() {
    let (_sandbox, given) = Given::new();
    for (change, aspect, says) in CASES {
        let given = given.again();
        change(&given.release());
        given.is_refused(aspect, says);
    }
}

/// What has the name of a signature and belongs to nothing is not signed by anybody, and is told as that.
#[test]
fn what_is_called_a_signature_and_was_not_looked_at_is_named() {
    let (_sandbox, given) = Given::new();
    let names = ["orders/payments.cosign.json", "orders/anna.vsa.intoto.jsonl", "other.tlog-proof"];
    for name in names {
        fs::write(given.release().join(name), "{}").unwrap();
    }
    let outcome = given.verify().ends_with(exit::SUCCESS);
    let line = outcome.stdout.lines().find(|line| line.contains("not looked at: ")).unwrap();
    assert!(names.iter().all(|name| line.contains(name)), "{line}");
}

#[test]
fn a_release_that_is_made_anew_and_signed_by_another_is_refused() {
    let (_sandbox, given) = Given::new();
    // The whole of it, the ledger too, by somebody with a key of their own.
    let theirs = crate::harness::Sandbox::bare();
    let records = ["orders", "payments"]
        .map(|name| publish(&theirs, &answering(name, "theirs"), "2026-11-02T10:00:00Z"));
    index(&theirs.path("dist"), &records);
    let (private, _) = key(theirs.folder(), "theirs", "ed25519");
    sign(&theirs, &private);
    let mine = given.folder.path().join("public.pem");
    Given::of(&theirs.path("dist"), &mine).is_refused("signature", "no signature is by");
    // And in the name of the key that is believed.
    let forged = Given::of(&theirs.path("dist"), &mine);
    let named = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text).unwrap()["signatures"][0]["keyid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let id = named(&fs::read_to_string(given.release().join("release.intoto.jsonl")).unwrap());
    edit(&forged.release().join("release.intoto.jsonl"), |text| text.replace(&named(&text), &id));
    forged.is_refused("signature", "whose signature it is not");
    // Their signatures around what was signed.
    let mixed = given.again();
    let signed = "orders/orders.signed.intoto.jsonl";
    fs::copy(theirs.path("dist").join(signed), mixed.release().join(signed)).unwrap();
    mixed.is_refused("provenance", "no signature is by");
}

#[test]
fn an_older_release_says_when_it_was_signed_and_is_refused_after_a_newer_checkpoint() {
    let (sandbox, old) = Given::new();
    let (private, _) = (sandbox.folder().join("mine.pem"), ());
    let first = fs::read_to_string(old.release().join("ledger.checkpoint")).unwrap();
    let orders = publish(&sandbox, &answering("orders", "newer"), "2026-11-09T10:00:00Z");
    let payments = kiln_record::Record::from_json(&sandbox.read("dist/payments/record.json")).unwrap();
    index(&sandbox.path("dist"), &[orders, payments]);
    sign(&sandbox, &private);
    let new = Given::of(&sandbox.path("dist"), &sandbox.folder().join("mine.pub.pem"));
    // Alone, the older one is what it was: it says when, and which builds.
    let outcome = old.verify().ends_with(exit::SUCCESS);
    assert!(outcome.stdout.contains("signed at 20") && outcome.stdout.contains("of 2 entries"), "{outcome}");
    // Who has the newer checkpoint knows better.
    fs::copy(new.release().join("ledger.checkpoint"), old.folder.path().join("known")).unwrap();
    let outcome = audit(old.folder.path(), &["verify", "--key", "public.pem", "--since", "known", "release"]);
    outcome.ends_with(exit::SIGNATURE_REFUSED).prints(&["this is an older release"]);
    // And the newer one continues the older, which takes a proof.
    fs::write(new.folder.path().join("known"), &first).unwrap();
    let words = ["verify", "--key", "public.pem", "--since", "known", "release"];
    audit(new.folder.path(), &words).ends_with(exit::SIGNATURE_REFUSED).prints(&["needs a proof"]);
    let known = new.folder.path().join("known");
    let proof = sandbox.kiln().run(["log", "--since", known.to_str().unwrap()]).ends_with(exit::SUCCESS);
    fs::write(new.folder.path().join("proof"), &proof.stdout).unwrap();
    let words = ["verify", "--key", "public.pem", "--since", "known", "--proof", "proof", "release"];
    audit(new.folder.path(), &words).ends_with(exit::SUCCESS).prints(&["which continues the one of 2"]);
}

#[test]
fn what_is_not_as_it_was_built_is_not_signed() {
    let sandbox = published();
    let (private, _) = key(sandbox.folder(), "mine", "p256");
    rehashed(&sandbox.path("dist"));
    let outcome = sandbox.kiln().run(["sign", "--key-file", private.to_str().unwrap()]);
    outcome.ends_with(exit::NOT_REPRODUCIBLE).says(&["nothing was signed", "orders"]);
    assert!(!sandbox.path("dist/release.intoto.jsonl").exists());
}

#[test]
fn a_rewritten_ledger_is_not_signed_again_and_is_found_by_an_older_checkpoint() {
    let (sandbox, given) = Given::new();
    let private = sandbox.folder().join("mine.pem");
    let checkpoint = given.release().join("ledger.checkpoint");
    let log = ["log", "--checkpoint", checkpoint.to_str().unwrap()];
    sandbox.kiln().run(log).ends_with(exit::SUCCESS).prints(&["of 2 entries is continued"]);
    // Both builds entered anew, with other times: chain, heads and dist fit, and so would a log that is made anew.
    for gone in [".kiln/ledger", ".kiln/heads.json", ".kiln/log"] {
        let path = sandbox.path(gone);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let records =
        ["orders", "payments"].map(|name| publish(&sandbox, &answering(name, name), "2026-11-03T10:00:00Z"));
    index(&sandbox.path("dist"), &records);
    let says = ["these are not the entries that it was signed over"];
    sandbox.kiln().run(log).ends_with(exit::SIGNATURE_REFUSED).says(&says);
    sandbox
        .kiln()
        .run(["sign", "--key-file", private.to_str().unwrap()])
        .ends_with(exit::SIGNATURE_REFUSED)
        .says(&says);
}

#[test]
fn a_checkpoint_of_before_a_rename_of_the_log_is_refused_by_whoever_is_asked() {
    let (sandbox, given) = Given::new();
    let private = sandbox.folder().join("mine.pem");
    let old = given.folder.path().join("old");
    fs::copy(given.release().join("ledger.checkpoint"), &old).unwrap();
    let old = old.to_str().unwrap();
    let log = |arguments: &[&str]| sandbox.kiln().run([&["log"], arguments].concat());
    log(&["--checkpoint", old]).ends_with(exit::SUCCESS);
    let proof = log(&["--since", old]).ends_with(exit::SUCCESS).stdout;
    let sign = ["sign", "--key-file", private.to_str().unwrap(), "--origin", "example.org/team"];
    sandbox.kiln().run(sign).ends_with(exit::SUCCESS);
    let says = ["it is of the log kiln/ledger, and this one is called example.org/team"];
    log(&["--checkpoint", old]).ends_with(exit::SIGNATURE_REFUSED).says(&says);
    log(&["--since", old]).ends_with(exit::SIGNATURE_REFUSED).says(&says);
    // As for who has the release and no ledger.
    let renamed = Given::of(&sandbox.path("dist"), &sandbox.folder().join("mine.pub.pem"));
    fs::write(renamed.folder.path().join("proof"), proof).unwrap();
    let words = ["verify", "--key", "public.pem", "--since", old, "--proof", "proof", "release"];
    audit(renamed.folder.path(), &words)
        .ends_with(exit::SIGNATURE_REFUSED)
        .prints(&["the proof is of the log kiln/ledger, and the release's is called example.org/team"]);
    // One that is of the new name is continued, and a workspace that never signed has none to contradict.
    let new = sandbox.path("dist/ledger.checkpoint");
    log(&["--checkpoint", new.to_str().unwrap()]).ends_with(exit::SUCCESS).prints(&["is continued"]);
    fs::remove_file(sandbox.path(".kiln/checkpoint")).unwrap();
    log(&["--checkpoint", old]).ends_with(exit::SUCCESS).prints(&["is continued"]);
}

/// What a record says of an archive is not told of another file that lies under its name, and what is not there is named.
#[test]
fn an_archive_that_is_another_is_not_told_of_by_the_record_beside_it() {
    let sandbox = published();
    copy(&sandbox.path("dist"), &sandbox.path("other"));
    let zip = [sandbox.read("other/orders/orders.zip"), b"more".to_vec()].concat();
    sandbox.write("other/orders/orders.zip", zip);
    let another = "other/orders/orders.zip: it is not what the record.json beside it says";
    let commands: [&[&str]; 4] = [
        &["show", "other/orders"],
        &["sbom", "other/orders"],
        &["report", "other/orders"],
        &["diff", "dist/orders", "other/orders"],
    ];
    for words in commands {
        sandbox.kiln().run(words).ends_with(exit::INPUT_INVALID).says(&[another]);
    }
    let all = sandbox.kiln().run(["diff", "dist", "other", "--fail-on", "any"]);
    let all =
        all.ends_with(exit::DIFFERENCE_DENIED).says(&["orders: the artifact could not be read", another]);
    let unread = all.stdout.lines().find(|line| line.contains("orders") && line.contains("not read"));
    assert!(unread.is_some_and(|line| !line.contains("0 B")), "what was not read has no size: {all}");

    fs::remove_dir_all(sandbox.path("dist/orders")).unwrap();
    sandbox.write("dist/index.json", sandbox.read("other/index.json"));
    sandbox.kiln().run(["verify", "--repair"]);
    let verified = sandbox.kiln().run(["verify"]).ends_with(exit::SUCCESS);
    verified.prints(&["not-checked ledger of orders", "not published now"]);
}
