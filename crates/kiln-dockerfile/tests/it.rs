//! Dockerfiles, whose builder is written here: what it is given, and what becomes of what it gives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_collect::SourceTree;
use kiln_dockerfile::DockerfileError;
use kiln_dockerfile::{Made, collection, judge, make, read_context};
use kiln_engine::contract::tar_of;
use kiln_fixtures::{Python, Sandbox, base_layer};
use kiln_pack::{Limits, PackError, TarContent, read_tar};
use kiln_plan::{ArtifactPlan, PlanInputs};
use kiln_record::{Code, Digest, TreePath};
use kiln_store::StatCache;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const MANIFEST: &str = r#"
kind = "image"
[target]
architecture = "x86_64"
[dockerfile]
path = "portal/Dockerfile"
"#;

const DOCKERFILE: &str = "FROM localhost/kiln/python\nCOPY . /app\nUSER app\nCMD [\"/app/serve\"]\n";

/// What the base has: a user, and something that an engine replaces.
const BASE: [(&str, &[u8]); 3] = [
    ("etc/group", b"app:x:70:\n"),
    ("etc/hosts", b"127.0.0.1 localhost\n"),
    ("etc/passwd", b"app:x:71:70::/:/bin/sh\n"),
];

type Layer = Vec<(&'static str, u32, &'static [u8])>;

/// An archive as engines save images, under these names: these layers over the base.
fn image(tags: &[&str], layers: &[Layer]) -> Vec<u8> {
    let mut tars = vec![base_layer(&BASE)];
    tars.extend(layers.iter().map(|files| tar_of(files)));
    let digests: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Env": ["PATH=/usr/bin"], "User": "app", "Cmd": ["/app/serve"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": digests },
    })
    .to_string();
    let names: Vec<String> = digests.iter().map(|digest| format!("blobs/sha256/{}", digest.hex())).collect();
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": tags, "Layers": names }]).to_string();
    let mut files: Vec<(&str, u32, &[u8])> =
        vec![("config.json", 0o644, config.as_bytes()), ("manifest.json", 0o644, manifest.as_bytes())];
    files.extend(names.iter().zip(&tars).map(|(name, tar)| (name.as_str(), 0o644, tar.as_slice())));
    tar_of(&files)
}

/// The files of a tar.
fn files_of(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    read_tar(tar, &Limits::default(), |item| {
        if let TarContent::File(content) = item.content {
            files.insert(item.path.to_string(), content);
        }
        Ok::<(), PackError>(())
    })
    .unwrap();
    files
}

/// A workspace with a Dockerfile and some files, and an engine that gives an image for each build, from 0.
async fn sandbox(
    more: &str,
    build: impl Fn(usize, &str, BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> + Send + Sync + 'static,
) -> Sandbox {
    let builds = AtomicUsize::new(0);
    let engine = Python::new().into_engine().with_builder(move |spec, context| {
        build(builds.fetch_add(1, Ordering::SeqCst), &spec.tag, files_of(context))
    });
    let sandbox = Sandbox::new(engine, &BASE).await;
    sandbox.write("manifests/app.toml", format!("{MANIFEST}{more}"));
    sandbox.write("manifests/portal/Dockerfile", DOCKERFILE);
    sandbox.write("manifests/portal/serve", "#!/usr/bin/python3\n");
    sandbox.write("manifests/portal/secret.key", "secret");
    sandbox.write("manifests/portal/.dockerignore", "*.key\n");
    sandbox
}

/// The plan with the files that the Dockerfile sees.
fn planned(sandbox: &Sandbox) -> (ArtifactPlan, SourceTree) {
    let workspace = sandbox.workspace();
    let manifest = &workspace.manifests[&"app".parse().unwrap()];
    let stat = StatCache::load(&sandbox.root().join("stat"));
    let source = read_context(sandbox.root(), manifest, &stat).unwrap();
    let context = Some(source.tree.digest());
    (sandbox.plan("app", &PlanInputs { context, ..PlanInputs::default() }), source)
}

async fn made(sandbox: &Sandbox) -> Result<(ArtifactPlan, Arc<Made>), DockerfileError> {
    let (plan, source) = planned(sandbox);
    let made = make(&sandbox.bases().await, &plan, &source, &[]).await?;
    Ok((plan, made.unwrap()))
}

fn paths(made: &Made) -> Vec<&str> {
    made.tree.iter().map(|(path, _)| path.as_str()).collect()
}

#[tokio::test]
async fn the_builder_sees_the_context_without_what_is_ignored() {
    let sandbox = sandbox("", |_, _, _| Err("no".to_owned())).await;
    let seen = |sandbox: &Sandbox| -> Vec<String> {
        planned(sandbox).1.tree.iter().map(|(path, _)| path.to_string()).collect()
    };
    assert_eq!(seen(&sandbox), [".dockerignore", "Dockerfile", "serve"]);
    sandbox.write("manifests/portal/Dockerfile.dockerignore", "*\n!serve\n");
    assert_eq!(seen(&sandbox), ["serve"], "the Dockerfile's own patterns come first");
    sandbox.write("manifests/portal/Dockerfile.dockerignore", "ok\n[\n");
    let workspace = sandbox.workspace();
    let manifest = &workspace.manifests[&"app".parse().unwrap()];
    let stat = StatCache::load(&sandbox.root().join("stat"));
    let error = read_context(sandbox.root(), manifest, &stat).unwrap_err().to_string();
    assert!(error.contains("line 2: `[` is not a pattern"), "{error}");
}

#[tokio::test]
async fn what_was_built_is_taken_apart_and_remembered() {
    let given = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&given);
    let sandbox = sandbox("", move |build, tag, context| {
        kept.lock().unwrap().push(context);
        // What differs from build to build is what builds leave behind.
        let log: &[u8] = if build == 0 { b"first" } else { b"second" };
        let first = vec![("app/serve", 0o755, b"#!x".as_slice()), ("app/old", 0o644, b"old")];
        let second = vec![
            ("app/.wh.old", 0o644, b"".as_slice()),
            ("etc/hosts", 0o644, log),
            ("var/log/dpkg.log", 0o644, log),
        ];
        Ok(image(&[tag], &[first, second]))
    })
    .await;
    let (plan, first) = made(&sandbox).await.unwrap();
    assert_eq!(paths(&first), ["app/serve"]);
    assert_eq!((first.user.as_deref(), first.own_layers), (Some("71:70"), 2), "the folder of a log stays");
    assert_eq!(first.whole.config.runs.command, ["/app/serve"]);
    assert!(first.whole.contents.has_file("/etc/hosts") && !first.whole.contents.has_file("/app/old"));
    let runtime =
        kiln_guest::target_runtime(&sandbox.bases().await, &plan.manifest, &plan.base).await.unwrap();
    assert_eq!(judge(&plan, &runtime, &first).findings, []);
    let given_now = given.lock().unwrap().clone();
    assert_eq!(given_now.len(), 2, "built twice");
    let context: Vec<&str> = given_now[0].keys().map(String::as_str).collect();
    assert!(context[1].starts_with(".kiln-") && context[1].ends_with(".dockerfile"), "{context:?}");
    assert_eq!(context[2..], ["Dockerfile", "serve"]);
    let own = String::from_utf8(given_now[0][context[1]].clone()).unwrap();
    assert!(
        own.starts_with("FROM localhost/kiln/python:"),
        "what the engine was told to call the base: {own}"
    );

    let store = kiln_store::Store::open(&sandbox.environment().store).unwrap();
    let collected = collection(&store, &plan, &first, &[]).unwrap();
    let serve = TreePath::new("app/serve").unwrap();
    assert_eq!(collected.read(&store, &serve).unwrap(), b"#!x");
    assert!(collected.owners.contains_key(&serve));

    let again = made(&sandbox).await.unwrap().1;
    assert_eq!((paths(&again), given.lock().unwrap().len()), (paths(&first), 2), "remembered");
    sandbox.write("manifests/portal/serve", "changed");
    made(&sandbox).await.unwrap();
    assert_eq!(given.lock().unwrap().len(), 4);
    let engine = sandbox.engine();
    let left = engine.get().unwrap().image("localhost/kiln-build/app:fixtures-0").await.unwrap();
    assert!(left.is_none(), "the engine keeps nothing");
}

#[tokio::test]
async fn what_differs_between_two_builds_is_found() {
    let sandbox = sandbox("", |build, tag, _| {
        let stamp: &[u8] = if build == 0 { b"one" } else { b"two" };
        Ok(image(&[tag], &[vec![("app/stamp", 0o644, stamp)]]))
    })
    .await;
    let (plan, made) = made(&sandbox).await.unwrap();
    let runtime =
        kiln_guest::target_runtime(&sandbox.bases().await, &plan.manifest, &plan.base).await.unwrap();
    let verdict = judge(&plan, &runtime, &made);
    let found =
        verdict.findings.iter().find(|finding| finding.code == Code::DockerfileNotReproducible).unwrap();
    assert!(found.cause.contains("app/stamp") && found.cause.contains("`one`"), "{found:?}");
}

#[tokio::test]
async fn why_there_is_no_image_is_told() {
    let check = async |build: fn(&str) -> Result<Vec<u8>, String>, expect: &str, hint: &str| {
        let sandbox = sandbox("reproducible = \"assume\"\n", move |_, tag, _| build(tag)).await;
        let error = made(&sandbox).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        let hints = match &error {
            DockerfileError::Failed(failed) => failed.hints.join("\n"),
            _ => String::new(),
        };
        assert!(hints.contains(hint), "{hints}");
    };
    let offline = |_: &str| Err("RUN pip: Temporary failure in name resolution".to_owned());
    check(offline, "cannot be built by the classic builder: RUN pip", "a Dockerfile has no network").await;
    let newer = |_: &str| Err("the --mount option requires BuildKit".to_owned());
    check(newer, "requires BuildKit", "only BuildKit knows that").await;
    // An image that stands on something else than the pinned base is not believed.
    let other = |tag: &str| {
        let layer = tar_of(&[("x", 0o644, b"x")]);
        let digest = Digest::of(&layer);
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [digest] },
        })
        .to_string();
        let manifest =
            serde_json::json!([{ "Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"] }])
                .to_string();
        Ok(tar_of(&[
            ("config.json", 0o644, config.as_bytes()),
            ("layer.tar", 0o644, &layer),
            ("manifest.json", 0o644, manifest.as_bytes()),
        ]))
    };
    check(other, "is not the one that was loaded", "").await;
}

#[tokio::test]
async fn what_the_context_lacks_is_told_with_what_brings_it() {
    let manifest =
        "kind = \"image\"\n[target]\narchitecture = \"x86_64\"\n[dockerfile]\npath = \"../Dockerfile\"\n";
    let buildkit = |path: &str| format!("\"/{path}\" not found: not found");
    let classic = |path: &str| {
        format!(
            "COPY failed: file not found in build context or excluded by .dockerignore: stat {path}: file does not exist"
        )
    };
    for (copied, hint) in [
        (
            "manifests/lock.txt",
            "manifests/lock.txt is there, but kiln leaves manifests out of the context: keep it",
        ),
        ("./secret.key", "secret.key is there, but not in the context: look at its .dockerignore"),
        (
            "wheels",
            "to have the wheels of the lock in wheels: wheels = \"wheels\" under [dockerfile] in manifests/app.toml",
        ),
        ("manifests/other.txt", "the context is ., and has no manifests/other.txt"),
    ] {
        let path = copied.trim_start_matches("./");
        for words in [buildkit(path), classic(path)] {
            let sandbox = sandbox("", move |_, _, _| Err(words.clone())).await;
            sandbox.write("manifests/app.toml", manifest);
            sandbox.write("manifests/lock.txt", "");
            sandbox.write("secret.key", "");
            sandbox.write(".dockerignore", "*\n!manifests\n!Dockerfile\n");
            let dockerfile = format!("FROM localhost/kiln/python\nCOPY Dockerfile {copied} /app/\n");
            sandbox.write("Dockerfile", dockerfile);
            let error = made(&sandbox).await.map(|_| ()).unwrap_err();
            let DockerfileError::Failed(failed) = &error else { panic!("{error}") };
            assert!(failed.hints.iter().any(|told| told.starts_with(hint)), "{copied}: {:?}", failed.hints);
        }
    }
}

#[tokio::test]
async fn what_was_built_while_a_base_became_another_is_not_believed() {
    let sandbox = sandbox("reproducible = \"assume\"\n", |build, tag, context| {
        let own =
            context.iter().find(|(path, _)| path.starts_with(".kiln-") && path.ends_with(".dockerfile"));
        let text = String::from_utf8(own.unwrap().1.clone()).unwrap();
        let base = text.lines().next().unwrap().strip_prefix("FROM ").unwrap();
        let serve = [vec![("app/serve", 0o755, b"#!x".as_slice())]];
        // Somebody gives the name of the base to something else during the first build.
        Ok(if build == 0 { image(&[tag, base], &serve) } else { image(&[tag], &serve) })
    })
    .await;
    let error = made(&sandbox).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("became the name of another image meanwhile"), "{error}");
    // The next build gives it back, and nothing of the first one was remembered.
    assert_eq!(paths(&made(&sandbox).await.unwrap().1), ["app/serve"]);
}
