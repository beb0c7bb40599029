//! What a user writes, and what kiln makes of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_plan::{BaseLock, PlanInputs, PlatformLock, TextFile, Workspace, WorkspaceFiles, plan};
use kiln_record::{Code, Digest, Epoch, Level, Platform};
use std::collections::BTreeMap;

const BASE: &str = r#"
kind = "debian"
platforms = ["linux/amd64"]
[debian]
suite = "bookworm"
components = ["main"]
packages = ["python3.11-minimal"]
keyring = "keys/debian.gpg"
"#;

const FUNCTION: &str = r#"
kind = "lambda-zip"
base = "python"
handler = "app.handler"
[target]
runtime = "python3.11"
architecture = "x86_64"
[source]
path = "app"
"#;

fn file(path: &str, text: &str) -> TextFile {
    TextFile { path: path.to_owned(), text: text.into() }
}

fn files(base: &str, manifests: &[(&str, &str)]) -> WorkspaceFiles {
    WorkspaceFiles {
        settings: Some(file("kiln.toml", "format = \"1\"\n")),
        definitions: vec![file("images/python.toml", base)],
        locks: Vec::new(),
        manifests: manifests.iter().map(|(path, text)| file(path, text)).collect(),
        artifact_locks: Vec::new(),
    }
}

fn locked(mut files: WorkspaceFiles) -> WorkspaceFiles {
    let workspace = Workspace::parse(&files).unwrap();
    let (definition, _) = workspace.bases.values().next().unwrap();
    let lock = BaseLock {
        format: kiln_plan::BASE_LOCK_FORMAT,
        base: definition.name.clone(),
        definition: definition.digest,
        pinned: "2026-01-02T03:04:05Z".parse().unwrap(),
        command: "kiln lock --base python".to_owned(),
        platform: BTreeMap::from([(
            "linux/amd64".parse::<Platform>().unwrap(),
            PlatformLock {
                manifest: Digest::of(b"image"),
                config: None,
                release: None,
                packages: Vec::new(),
            },
        )]),
    };
    files.locks = vec![file("images/python.lock", &lock.to_toml().unwrap())];
    files
}

/// The problems of a workspace, one line each.
fn check(files: &WorkspaceFiles, expect: &[&str]) {
    let problems: Vec<String> =
        Workspace::parse(files).err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), expect.len(), "{problems:#?}");
    for (problem, part) in problems.iter().zip(expect) {
        assert!(problem.contains(part), "{problem:?} lacks {part:?}");
    }
}

#[test]
fn a_good_workspace_has_no_problems() {
    check(&files(BASE, &[("manifests/app.toml", FUNCTION)]), &[]);
}

#[test]
fn problems_name_file_line_and_remedy() {
    let unknown_key = FUNCTION.replace("path = \"app\"", "path = \"app\"\nexlude = []");
    check(
        &files(BASE, &[("manifests/app.toml", &unknown_key)]),
        &["manifests/app.toml:10: unknown field `exlude`"],
    );
    let many = FUNCTION
        .replace("app.handler", "handler")
        .replace("python3.11", "python3.99")
        .replace("[source]", "[budget]\nzip = \"6\"\n[source]");
    check(
        &files(BASE, &[("manifests/app.toml", &many)]),
        &[
            "manifests/app.toml:6: `python3.99` is not a Lambda runtime",
            "manifests/app.toml:4: `handler` is not a handler",
            "manifests/app.toml:9: `6` is not a size",
        ],
    );
}

#[test]
fn references_between_files_are_checked() {
    let function = FUNCTION.replace("handler =", "layers = [\"nothing\", \"other\"]\nhandler =");
    let other = FUNCTION;
    check(
        &files(BASE, &[("manifests/app.toml", &function), ("manifests/other.toml", other)]),
        &["there is no artifact `nothing`", "`other` is a lambda-zip, not a lambda-layer"],
    );
    check(
        &files(BASE, &[("manifests/app.toml", &FUNCTION.replace("base = \"python\"", "base = \"node\""))]),
        &["manifests/app.toml:3: there is no base `node`; add images/node.toml, or use one of: python"],
    );
    check(
        &files(BASE, &[("manifests/app.toml", &FUNCTION.replace("x86_64", "arm64"))]),
        &["the base `python` has no linux/arm64"],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_not_said_to_be_missing() {
    let function = FUNCTION.replace("handler =", "layers = [\"layer\"]\nhandler =");
    let manifests = [("manifests/app.toml", function.as_str()), ("manifests/layer.toml", "kind = ")];
    check(&files(BASE, &manifests), &["manifests/layer.toml:1: "]);
    let mut broken = locked(files(BASE, &[("manifests/app.toml", FUNCTION)]));
    broken.definitions = vec![file("images/python.toml", "kind = ")];
    check(&broken, &["images/python.toml:1: "]);
}

#[test]
fn a_base_without_a_lock_is_denied_with_the_command() {
    let workspace = Workspace::parse(&files(BASE, &[("manifests/app.toml", FUNCTION)])).unwrap();
    let manifest = workspace.manifests.values().next().unwrap();
    let finding = plan(&workspace, manifest, &PlanInputs::default()).unwrap_err();
    assert_eq!((finding.code, finding.level), (Code::BaseNotPinned, Level::Deny));
    assert_eq!(finding.remedy, ["pin it: kiln lock --base python"]);
}

#[test]
fn a_lock_for_another_definition_is_denied_but_a_moved_mirror_is_not() {
    let mut files = locked(files(BASE, &[("manifests/app.toml", FUNCTION)]));
    let mut outcome = |definition: String| {
        files.definitions = vec![file("images/python.toml", &definition)];
        let workspace = Workspace::parse(&files).unwrap();
        let manifest = workspace.manifests.values().next().unwrap();
        plan(&workspace, manifest, &PlanInputs::default()).map(|plan| plan.digest).map_err(|f| f.cause)
    };
    let plain = outcome(BASE.to_owned()).unwrap();
    assert_eq!(outcome(format!("{BASE}mirror = \"https://mirror.example/debian\"\n")), Ok(plain));
    let error = outcome(BASE.replace("python3.11-minimal", "python3.11")).unwrap_err();
    assert!(error.contains("has changed since it was locked"), "{error}");
}

#[test]
fn the_plan_digest_follows_every_input() {
    let plan_of = |text: &str, inputs: &PlanInputs| {
        let workspace = Workspace::parse(&locked(files(BASE, &[("manifests/app.toml", text)]))).unwrap();
        plan(&workspace, workspace.manifests.values().next().unwrap(), inputs).unwrap().digest
    };
    let base = PlanInputs { source: Some(Digest::of(b"1")), ..PlanInputs::default() };
    let digests = [
        plan_of(FUNCTION, &base),
        plan_of(FUNCTION, &PlanInputs { source: Some(Digest::of(b"2")), ..base.clone() }),
        plan_of(FUNCTION, &PlanInputs { lock: Some(("l".into(), Digest::of(b"l"))), ..base.clone() }),
        plan_of(FUNCTION, &PlanInputs { epoch: Some(Epoch::from_seconds(1).unwrap()), ..base.clone() }),
        plan_of(&FUNCTION.replace("app.handler", "app.main"), &base),
        plan_of(&format!("{FUNCTION}[policy.levels]\nimport-failed = \"warn\"\n"), &base),
        plan_of(&format!("{FUNCTION}[check]\nmodules = [\"x\"]\n"), &base),
    ];
    for (i, digest) in digests.iter().enumerate() {
        assert!(digests[i + 1..].iter().all(|other| other != digest), "{i}");
    }
    assert_eq!(plan_of(&format!("# a comment\n{FUNCTION}"), &base), digests[0]);
}

#[test]
fn events_that_make_no_sense_are_problems() {
    let smoke = "[check]\ntimeout = \"20 min\"\nmemory = \"1 GB\"\n[[smoke]]\nname = \"a\"\nevent = \"../../a.json\"\n\
                 [[smoke]]\nname = \"a\"\nevent = \"a.json\"\nerror-type = \"E\"\nmatch = \"exact\"\n";
    check(
        &files(BASE, &[("manifests/app.toml", &format!("{FUNCTION}{smoke}"))]),
        &[
            "`20 min` is not a timeout that Lambda has",
            "`1 GB` is not an amount of memory that Lambda has",
            "`../../a.json` leads out of the workspace",
            "two events are named `a`",
            "an answer has no error type",
            "`match` says how to compare, but there is nothing to compare with",
        ],
    );
    let unknown = "[[smoke]]\nname = \"a\"\nevent = \"a.json\"\nexpected = \"b.json\"\n";
    check(
        &files(BASE, &[("manifests/app.toml", &format!("{FUNCTION}{unknown}"))]),
        &["unknown field `expected`"],
    );
}
