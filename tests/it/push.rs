//! Published artifacts in a registry: Debian's `docker-registry`, which keeps no list of referrers.

use crate::harness::{
    INDEX_TYPE, LyingProxy, MANIFEST_TYPE, Registry, Sandbox, audit, block_on, engine, forget, limits,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use kiln_record::{Digest, Record, exit};
use serde_json::Value;
use std::collections::BTreeSet;

/// `user` with the password below, as `htpasswd -B` writes it.
const USERS: &str = "user:$2b$05$5AdWPGEExNgQtLHR041rteih4VQqMCJ1tgZFTx1XkteYnqyCijiX.\n";
const PASSWORD: &str = "a secret of 1 registry";

fn built(answer: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", &code(answer), "");
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox
}

fn code(answer: u32) -> String {
    format!("def handler(event, context):\n    return {answer}\n")
}

/// The digest in `registry/repository@digest`.
fn digest_of(document: &Value) -> Digest {
    document[0]["reference"].as_str().unwrap().split_once('@').unwrap().1.parse().unwrap()
}

/// The manifests that refer to one, by the list under its tag.
fn listed(registry: &Registry, subject: &Digest) -> Vec<(String, Digest)> {
    let (kind, index) = registry.document("team/app", &format!("sha256-{}", subject.hex())).unwrap();
    assert_eq!(kind, INDEX_TYPE);
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entry = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        (text("artifactType"), text("digest").parse().unwrap())
    };
    index["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn an_archive_and_its_documents_are_pushed_and_read_back() {
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let sandbox = built(1);
    let push = |arguments: &[&str]| {
        let fixed = ["push", "app", "--to", &to, "--format", "json"];
        sandbox.kiln().run(fixed.iter().chain(arguments))
    };
    let first = push(&["--tag", "v1"]).ends_with(exit::SUCCESS).json();
    let digest = digest_of(&first);
    assert_eq!(first[0]["list_under_tag"], true, "this registry has no list of its own");
    assert_eq!(first[0]["documents"].as_array().unwrap().len(), 4);

    // What the tag names is a manifest, not an index: Lambda and older clients take nothing else.
    let (kind, manifest) = registry.document("team/app", "v1").unwrap();
    assert_eq!(kind, MANIFEST_TYPE);
    assert_eq!(Digest::of(&manifest), digest);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.kiln.lambda-zip.v1");
    let zip = sandbox.read("dist/app/app.zip");
    assert_eq!(manifest["layers"][0]["digest"], Digest::of(&zip).to_string());
    let kinds: BTreeSet<String> = listed(&registry, &digest).into_iter().map(|(kind, _)| kind).collect();
    let expected = [
        "application/vnd.cyclonedx+json",
        "application/vnd.in-toto+json",
        "application/vnd.kiln.ledger-head.v1+json",
        "application/vnd.kiln.record.v1+json",
    ];
    assert_eq!(kinds, expected.map(str::to_owned).into());

    // Again: nothing is sent, and nothing changes.
    let again = push(&["--tag", "v1"]).ends_with(exit::SUCCESS).json();
    assert_eq!((&again[0]["blobs_sent"], digest_of(&again)), (&0.into(), digest));
    assert_eq!(listed(&registry, &digest).len(), 4);

    let elsewhere = Sandbox::bare();
    let reference = format!("{to}/app:v1");
    elsewhere.kiln().run(["pull", &reference, "--into", "there"]).ends_with(exit::SUCCESS);
    for file in ["app.zip", "record.json", "app.cdx.json", "app.intoto.jsonl"] {
        assert_eq!(
            elsewhere.read(&format!("there/{file}")),
            sandbox.read(&format!("dist/app/{file}")),
            "{file}"
        );
    }
    elsewhere.kiln().run(["verify", "there/app.zip"]).ends_with(exit::SUCCESS);
    elsewhere.kiln().run(["show", &reference]).ends_with(exit::SUCCESS).prints(&[
        &digest.to_string(),
        "lambda-zip",
        &Digest::of(&zip).hex(),
    ]);
    // Whoever has no workspace, no home and no program reads it all the same.
    let nowhere = tempfile::tempdir().unwrap();
    audit(nowhere.path(), &["pull", &reference, "--into", "there"]).ends_with(exit::SUCCESS);
    for other in ["there", "there/app.zip", "there/app.cdx.json"] {
        let told = audit(nowhere.path(), &["diff", &reference, other]).ends_with(exit::SUCCESS);
        assert!(
            told.stdout.contains("app: identical") || told.stdout.contains("app: the same components"),
            "{told}"
        );
    }
    audit(nowhere.path(), &["verify", "there"])
        .ends_with(exit::SUCCESS)
        .prints(&["same there: 4 files, each as its record says"]);
    elsewhere.write("other/app.zip", "another file");
    elsewhere
        .kiln()
        .run(["pull", &reference, "--into", "other"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["there is another file of this name"]);
    assert_eq!(elsewhere.read("other/app.zip"), b"another file");

    // A tag stays what it is until it is told otherwise; the other build is there under its own digest.
    sandbox.write("manifests/app/src/app.py", code(2));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    push(&["--tag", "v1"])
        .ends_with(exit::INPUT_INVALID)
        .says(&[&format!("{reference} names {digest} already"), "--move-tag"]);
    let other = digest_of(&push(&[]).ends_with(exit::SUCCESS).json());
    assert_ne!(other, digest);
    assert_eq!(Digest::of(&registry.document("team/app", "v1").unwrap().1), digest);
    push(&["--tag", "v1", "--move-tag"]).ends_with(exit::SUCCESS);
    assert_eq!(Digest::of(&registry.document("team/app", "v1").unwrap().1), other);
    sandbox
        .kiln()
        .run(["diff", &format!("{to}/app@{digest}"), &reference])
        .ends_with(exit::SUCCESS)
        .prints(&["app.py", "source changed"]);
}

/// A ledger whose newest entry was written anew, with the heads and everything that is published made to fit, passes for whole in
/// the workspace. What was stated of it when its build was pushed says otherwise.
#[test]
fn a_ledger_made_to_fit_is_held_against_what_was_pushed() {
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let reference = format!("{to}/app:v1");
    let sandbox = built(1);
    let kiln = sandbox.kiln();
    let verify = || kiln.run(["verify", "--registry", &reference]);
    kiln.run(["push", "app", "--to", &to, "--tag", "v1"]).ends_with(exit::SUCCESS);
    verify().ends_with(exit::SUCCESS).prints(&["it states build 1 of app"]);
    let pull = |into: &str| kiln.run(["pull", &reference, "--into", into, "--format", "json"]);
    let pulled = pull("before").ends_with(exit::SUCCESS).json();
    assert_eq!(
        (&pulled["departures"], pulled["files"].as_array().unwrap().len()),
        (&serde_json::json!([]), 4)
    );

    let entry = ".kiln/ledger/app/000001/entry.json";
    let mut edited: Value = serde_json::from_slice(&sandbox.read(entry)).unwrap();
    edited["at"] = "2020-01-01T00:00:00Z".into();
    sandbox.write(entry, edited.to_string());
    let digest = Digest::of(&sandbox.read(entry)).to_string();
    let mut heads: Value = serde_json::from_slice(&sandbox.read(".kiln/heads.json")).unwrap();
    heads["artifacts"]["app"]["entry"] = digest.as_str().into();
    sandbox.write(".kiln/heads.json", heads.to_string());
    kiln.run(["verify"]).ends_with(exit::SUCCESS);
    verify().ends_with(exit::NOT_REPRODUCIBLE).prints(&["000001/entry.json", &digest, "but it was"]);
    let departures = pull("after").ends_with(exit::SUCCESS).json();
    assert_eq!(departures["departures"].as_array().unwrap().len(), 1, "{departures}");
    let told = kiln.run(["pull", &reference, "--into", "after"]).ends_with(exit::SUCCESS);
    told.says(&["the ledger of this workspace is not what it was when this was pushed", &digest]);
    // A workspace that never built it has nothing to hold.
    let elsewhere = Sandbox::bare();
    let pulled = elsewhere.kiln().run(["pull", &reference, "--into", ".", "--format", "json"]);
    assert_eq!(pulled.ends_with(exit::SUCCESS).json()["departures"], serde_json::json!([]));

    // Another workspace that pushes the same archive states its own ledger beside it, and neither hides the other.
    let other = built(1);
    other.kiln().run(["push", "app", "--to", &to, "--tag", "v1"]).ends_with(exit::SUCCESS);
    other
        .kiln()
        .run(["verify", "--registry", &reference])
        .ends_with(exit::SUCCESS)
        .prints(&["it states build 1 of app", "and another, of a ledger that is not this one"]);
    verify().ends_with(exit::NOT_REPRODUCIBLE);
}

#[test]
fn two_pushes_of_the_same_bytes_keep_each_others_documents() {
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    // The same archive, from manifests that differ: two records of two plans.
    let (one, two) = (built(1), Sandbox::new());
    two.function("app", "3.13", &code(1), "").append("manifests/app.toml", "\n[budget]\nzip = \"1 MB\"\n");
    two.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(one.read("dist/app/app.zip"), two.read("dist/app/app.zip"));
    assert_ne!(one.read("dist/app/record.json"), two.read("dist/app/record.json"));
    let push = |sandbox: &Sandbox| {
        sandbox.kiln().run(["push", "app", "--to", &to, "--format", "json"]).ends_with(exit::SUCCESS).json()
    };
    let (first, second) = (push(&one), push(&two));
    assert_eq!(digest_of(&first), digest_of(&second));
    let records = |sandbox: &Sandbox| Digest::of(&sandbox.read("dist/app/record.json")).to_string();
    let pulled = Sandbox::bare();
    let reference = first[0]["reference"].as_str().unwrap();
    let files = pulled.kiln().run(["pull", reference, "--into", ".", "--format", "json"]);
    let files = files.ends_with(exit::SUCCESS).json();
    let digests: BTreeSet<&str> =
        files["files"].as_array().unwrap().iter().map(|file| file["digest"].as_str().unwrap()).collect();
    assert!(digests.contains(records(&one).as_str()) && digests.contains(records(&two).as_str()), "{files}");
    let described = files["files"].as_array().unwrap().iter().skip(1).all(|file| file["described"] == true);
    assert!(described, "each follows from one of the two records: {files}");

    // Which of the two is true is not for the registry to say, and the later one does not win.
    assert_eq!(files["contested"], serde_json::json!([reference]));
    for command in [vec!["show", reference], vec!["diff", reference, reference]] {
        pulled.kiln().run(command).ends_with(exit::NOT_REPRODUCIBLE).says(&[
            "described by 2 different records",
            &records(&one),
            &records(&two),
            "kiln pull",
        ]);
    }
}

/// An image is what registries and engines know anyway; what is attached refers to it and does not wrap it.
#[test]
fn an_image_is_pushed_pulled_by_an_engine_and_run() {
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        sandbox.write(&format!("manifests/{name}/{name}.py"), format!("print('this is {name}')\n")).write(
            &format!("manifests/{name}.toml"),
            format!(
                "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \
                 \"{name}\"\n\n[image]\nentrypoint = [\"/usr/bin/python3.13\", \"-m\", \"{name}\"]\n"
            ),
        );
    }
    sandbox.append("manifests/two.toml", "output = \"oci-layout\"\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let record: Record = serde_json::from_slice(&sandbox.read("dist/one/record.json")).unwrap();
    let digest = record.image.unwrap().manifest;
    let push = |name: &str| {
        let pushed = ["push", name, "--to", &to, "--tag", "v1", "--format", "json"];
        sandbox.kiln().run(pushed).ends_with(exit::SUCCESS).json()
    };
    let pushed = push("one");
    assert_eq!(digest_of(&pushed), digest);
    let (kind, manifest) = registry.document("team/one", "v1").unwrap();
    assert_eq!(kind, MANIFEST_TYPE, "no index");
    assert_eq!(Digest::of(&manifest), digest);
    assert_eq!(pushed[0]["documents"].as_array().unwrap().len(), 4);
    assert_eq!(push("one")[0]["blobs_sent"], 0);

    let reference = format!("{to}/one@{digest}");
    let said = block_on(async {
        let engine = engine("push").await;
        let image = engine.pull(&reference, None, |_| {}).await.unwrap();
        let spec = kiln_engine::RunSpec {
            working_dir: "/app".to_owned(),
            ..kiln_engine::RunSpec::new("pushed", image.id, ["/usr/bin/python3.13", "-m", "one"], limits())
        };
        let said = engine.run(spec, |_| {}).await.unwrap();
        // Its container may still be on its way out, and would keep the image.
        engine.shutdown().await;
        said
    });
    forget(&reference);
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "this is one\n");
    sandbox.kiln().run(["show", &reference]).ends_with(exit::SUCCESS).prints(&["image", &digest.to_string()]);
    sandbox.kiln().run(["pull", &reference, "--into", "there"]).ends_with(exit::SUCCESS);
    for (there, here) in [("one.oci.tar", "one.oci.tar"), ("record.json", "record.json")] {
        assert!(sandbox.read(&format!("there/{there}")) == sandbox.read(&format!("dist/one/{here}")));
    }
    sandbox.kiln().run(["verify", "there/one.oci.tar"]).ends_with(exit::SUCCESS);

    // From the folder of a layout, too.
    let other: Record = serde_json::from_slice(&sandbox.read("dist/two/record.json")).unwrap();
    assert_eq!(digest_of(&push("two")), other.image.unwrap().manifest);
}

#[test]
fn what_was_changed_since_it_was_built_is_not_pushed() {
    let sandbox = built(1);
    let nowhere = "127.0.0.1:9/team";
    let push = |name: &str| sandbox.kiln().run(["push", name, "--to", nowhere]);
    push("other").ends_with(exit::INPUT_INVALID).says(&["it is not published", "kiln build other"]);
    let zip = sandbox.read("dist/app/app.zip");
    fs::write(sandbox.path("dist/app/app.zip"), [&zip[..], b" "].concat()).unwrap();
    push("app").ends_with(exit::NOT_REPRODUCIBLE).says(&["dist/app/app.zip", "kiln build app"]);
    fs::write(sandbox.path("dist/app/app.zip"), zip).unwrap();
    push("app").ends_with(exit::FETCH_FAILED).says(&["127.0.0.1:9/team/app", "cannot log in"]);
    sandbox
        .kiln()
        .run(["push", "app", "--to", "127.0.0.1:9/team:v1"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["127.0.0.1:9/team:v1", "write registry and path without tag, digest or login"]);
}

/// A login on the command line is neither used nor repeated.
#[test]
fn a_login_in_a_reference_is_refused_without_telling_it() {
    let sandbox = built(1);
    for arguments in [
        ["push", "app", "--to", "me:hunter2@127.0.0.1:9/team"].as_slice(),
        &["pull", "me:hunter2@127.0.0.1:9/team/app"],
    ] {
        let outcome = sandbox.kiln().run(arguments).ends_with(exit::INPUT_INVALID);
        outcome.says(&["***@127.0.0.1:9/team", "login"]).does_not_say("hunter2");
    }
}

#[test]
fn the_login_of_docker_is_used_and_told_to_nobody() {
    let registry = Registry::with_users(USERS);
    let to = format!("{}/team", registry.address());
    let sandbox = built(1);
    let push = || sandbox.kiln().run(["push", "app", "--to", &to]);
    push().ends_with(exit::FETCH_FAILED).says(&["team/app", "it wants a login"]);
    let login = STANDARD.encode(format!("user:{PASSWORD}"));
    let config = format!("{{\"auths\": {{\"{}\": {{\"auth\": \"{login}\"}}}}}}", registry.address());
    fs::create_dir_all(sandbox.home().join(".docker")).unwrap();
    fs::write(sandbox.home().join(".docker/config.json"), config).unwrap();
    let outcome = push().ends_with(exit::SUCCESS);
    outcome.does_not_say(PASSWORD).does_not_say(&login);
}

#[test]
fn a_registry_that_gives_other_bytes_is_not_believed() {
    let registry = Registry::start();
    let to = format!("{}/team", registry.address());
    let sandbox = built(1);
    let pushed = |tag: &str| {
        let pushed = ["push", "app", "--to", &to, "--tag", tag, "--format", "json"];
        digest_of(&sandbox.kiln().run(pushed).ends_with(exit::SUCCESS).json())
    };
    let first = pushed("v1");
    let first_zip = Digest::of(&sandbox.read("dist/app/app.zip"));
    sandbox.write("manifests/app/src/app.py", code(2));
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let second = pushed("v2");
    let second_zip = Digest::of(&sandbox.read("dist/app/app.zip"));

    let proxy = LyingProxy::before(&registry);
    let pull = |reference: &str| {
        let elsewhere = Sandbox::bare();
        let outcome =
            elsewhere.kiln().run(["pull", reference, "--into", "there"]).ends_with(exit::FETCH_FAILED);
        let left: Vec<_> = fs::read_dir(elsewhere.path("there")).map(Iterator::collect).unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
        outcome
    };
    let reference = format!("{}/team/app@{first}", proxy.address());
    proxy.lie(&format!("/v2/team/app/manifests/{first}"), &format!("/v2/team/app/manifests/{second}"));
    pull(&reference).says(&[&first.to_string()]);
    proxy.lie(&format!("/v2/team/app/blobs/{first_zip}"), &format!("/v2/team/app/blobs/{second_zip}"));
    pull(&reference).says(&[&first_zip.to_string()]);
}
