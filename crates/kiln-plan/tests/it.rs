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
        dockerfiles: Vec::new(),
        settings: Some(file("kiln.toml", "format = \"1\"\n")),
        definitions: vec![file("images/python.toml", base)],
        locks: Vec::new(),
        manifests: manifests.iter().map(|(path, text)| file(path, text)).collect(),
        artifact_locks: Vec::new(),
        tools_lock: None,
        unreadable: Vec::new(),
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
                index: None,
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
        assert!(problem.contains(part), "{problem:?} lacks {part:?}: {problems:#?}");
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
    // All keys that are unknown are told, wherever they are; what seems to be missing then is not.
    let unknown_keys = unknown_key.replace("[target]", "surprise = { a = 1 }\n[taget]")
        + "[[smoke]]\nname = \"one\"\nevnt = {}\n[[smoke]]\nname = \"two\"\nevnt = {}\n";
    check(
        &files(BASE, &[("manifests/app.toml", &unknown_keys)]),
        &[
            "manifests/app.toml:5: unknown field `surprise`",
            "manifests/app.toml:6: unknown field `taget`",
            "manifests/app.toml:11: unknown field `exlude`",
            "manifests/app.toml:14: unknown field `evnt`",
            "manifests/app.toml:17: unknown field `evnt`",
        ],
    );
    // Values as well, and what comes of neither.
    let values = unknown_key
        .replace("path = \"app\"", "path = 7")
        .replace("exlude = []", "exlude = 8")
        .replace("[target]", "layers = [\"one\", 9, \"two\"]\n[target]")
        + "[[smoke]]\nname = \"one\"\nevnt = 1\ntimeout = true\n";
    check(
        &files(BASE, &[("manifests/app.toml", &values)]),
        &[
            "manifests/app.toml:5: invalid type: integer `9`, expected a string",
            "manifests/app.toml:10: invalid type: integer `7`, expected a string",
            "manifests/app.toml:11: unknown field `exlude`",
            "manifests/app.toml:14: unknown field `evnt`",
            "manifests/app.toml:15: unknown field `timeout`",
        ],
    );
    let steps = FUNCTION.to_owned() + "[[step]]\nname = \"one\"\n[[step]]\nnmae = \"two\"\nargv = [1]\n";
    check(
        &files(BASE, &[("manifests/app.toml", &steps)]),
        &["app.toml:10: missing field `argv`", "app.toml:13: unknown field `nmae`", "app.toml:14: "],
    );
    let settings = "format = \"1\"\nrewiev = 1\n[python]\nindex = 3\n[trust]\nmax-age = 5\nregistry = []\n";
    let mut wrong = files(BASE, &[("manifests/app.toml", FUNCTION)]);
    wrong.settings = Some(file("kiln.toml", settings));
    check(
        &wrong,
        &[
            "kiln.toml:2: unknown field `rewiev`",
            "kiln.toml:4: invalid type: integer `3`",
            "kiln.toml:6: ",
            "kiln.toml:7: unknown field `registry`",
        ],
    );
    let base = BASE.replace("suite = \"bookworm\"", "suite = 12").replace("packages", "pakages");
    check(
        &files(&base, &[("manifests/app.toml", FUNCTION)]),
        &[
            "images/python.toml:5: invalid type: integer `12`",
            "images/python.toml:7: unknown field `pakages`",
        ],
    );
    let many = FUNCTION
        .replace("app.handler", "app. handler")
        .replace("python3.11", "python3.99")
        .replace("[source]", "[budget]\nzip = \"6\"\n[source]");
    check(
        &files(BASE, &[("manifests/app.toml", &many)]),
        &[
            "manifests/app.toml:6: `python3.99` is not a Lambda runtime",
            "manifests/app.toml:4: `app. handler` is not a handler",
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
        &[
            "manifests/app.toml:3: there is no base `node`; use one of: python, or make and pin it: kiln lock --base node --runtime python3.11",
        ],
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
    let base = PlanInputs { sources: vec![Digest::of(b"1")], ..PlanInputs::default() };
    let digests = [
        plan_of(FUNCTION, &base),
        plan_of(FUNCTION, &PlanInputs { sources: vec![Digest::of(b"2")], ..base.clone() }),
        plan_of(FUNCTION, &PlanInputs { ruled: Some(Digest::of(b"r")), ..base.clone() }),
        plan_of(FUNCTION, &PlanInputs { lock: Some(("l".into(), Digest::of(b"l"))), ..base.clone() }),
        plan_of(FUNCTION, &PlanInputs { epoch: Some(Epoch::from_seconds(1).unwrap()), ..base.clone() }),
        plan_of(&FUNCTION.replace("app.handler", "app.main"), &base),
        plan_of(&format!("{FUNCTION}[policy.levels]\nimport-failed = \"warn\"\n"), &base),
        plan_of(&format!("{}[[source]]\npath = \"b\"\n", FUNCTION.replace("[source]", "[[source]]")), &base),
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
    // An event that is written where its file is to be named, in any way.
    for inline in ["{}", "{ id = 1, lines = [{ n = 2 }] }", "[]", "'{\"id\": 1}'", "' [1]'"] {
        let smoke = format!("[[smoke]]\nname = \"a\"\nevent = {inline}\nexpect = {inline}\n");
        check(
            &files(BASE, &[("manifests/app.toml", &format!("{FUNCTION}{smoke}"))]),
            &["event = \"app/event.json\"", "expect = \"app/expect.json\""],
        );
    }
    let number = "[[smoke]]\nname = \"a\"\nevent = 1\n";
    check(
        &files(BASE, &[("manifests/app.toml", &format!("{FUNCTION}{number}"))]),
        &["expected the path of a file with JSON"],
    );
}

const SERVICE: &str = r#"
kind = "image"
base = "python"
[target]
architecture = "x86_64"
[source]
path = "service"
[image]
entrypoint = ["python3", "server.py"]
ports = ["8080", "53/udp"]
volumes = ["/data"]
stop-signal = "SIGINT"
health-check = { command = ["python3", "health.py"], interval = "5 s", timeout = "1 min" }
"#;

const LAMBDA_IMAGE: &str = r#"
kind = "lambda-image"
base = "python"
handler = "app.handler"
[target]
architecture = "x86_64"
[source]
path = "app"
"#;

#[test]
fn images_are_read() {
    let files = files(BASE, &[("manifests/fn.toml", LAMBDA_IMAGE), ("manifests/service.toml", SERVICE)]);
    let workspace = Workspace::parse(&files).unwrap();
    let [function, service] = ["fn", "service"].map(|name| &workspace.manifests[&name.parse().unwrap()]);

    let image = service.image.as_ref().unwrap();
    assert_eq!(image.user.as_deref(), Some("65534:65534"), "nobody unless it is said");
    assert_eq!(image.ports.iter().collect::<Vec<_>>(), ["53/udp", "8080/tcp"]);
    assert_eq!(image.output, kiln_plan::ImageOutput::OciTar);
    let health = image.health_check.as_ref().unwrap();
    assert_eq!((health.interval, health.timeout, health.retries), (5, 60, 3));
    assert_eq!((service.python_folder(), service.source_folder()), (Some("app"), Some("app")));
    assert_eq!(service.target.runtime, None, "its system is that of its base");

    assert_eq!(function.image.as_ref().unwrap().user, None, "Lambda decides that");
    assert_eq!((function.python_folder(), function.source_folder()), (None, None));

    let before = plan(&Workspace::parse(&locked(files.clone())).unwrap(), service, &PlanInputs::default());
    let mut other = files;
    other.manifests[1].text = SERVICE.replace("\"8080\"", "\"8081\"").into();
    let other = Workspace::parse(&locked(other)).unwrap();
    let after = plan(&other, &other.manifests[&service.name], &PlanInputs::default());
    let before = before.unwrap();
    assert_eq!(before.target.runtime, "python");
    assert_ne!(before.digest, after.unwrap().digest, "a plan covers what an image says");
}

#[test]
fn mistakes_in_images_are_shown_in_the_file() {
    let service = |from: &str, to: &str, expect: &[&str]| {
        assert!(SERVICE.contains(from), "{from}");
        check(&files(BASE, &[("manifests/x.toml", &SERVICE.replace(from, to))]), expect);
    };
    service("entrypoint", "#", &["x.toml:8: an image needs an `entrypoint` or a `command`"]);
    service("[\"python3\", \"server.py\"]", "[]", &["x.toml:9: `entrypoint` names no program"]);
    service("\"53/udp\"", "\"0\"", &["x.toml:10: `0` is not a port"]);
    service("\"/data\"", "\"data/\"", &["x.toml:11: `data/` under `volumes` is not an absolute path"]);
    service("SIGINT", "INT", &["x.toml:12: `INT` is not a signal"]);
    service("\"5 s\"", "\"5\"", &["x.toml:13: `5` is not a time"]);
    service("[image]", "[image]\nuser = \"www\"", &["x.toml:9: `www` is not a numeric user and group"]);
    service(
        "[image]",
        "[image]\nannotations = { \"org.opencontainers.image.created\" = \"now\" }",
        &["x.toml:9: the annotation `org.opencontainers.image.created` is kiln's own"],
    );
    service(
        "[image]",
        "[image]\nenvironment = { \"A=B\" = \"\" }",
        &["x.toml:9: `environment` has the variable `A=B`"],
    );
    service(
        "[image]",
        "[image]\ncompression = \"zstd\"\noutput = \"docker-archive\"",
        &["x.toml:9: a docker-archive is for engines that do not read zstd"],
    );
    service("[image]", "[image]\nusr = \"1:1\"", &["x.toml:9: unknown field `usr`"]);
    service(
        "[target]",
        "[target]\nruntime = \"python3.11\"",
        &["x.toml:5: `target.runtime` has no meaning for an image"],
    );
    service("base =", "handler = \"a.b\"\nbase =", &["x.toml:3: an image has no handler"]);
    service("[source]", "[budget]\nzip = \"1 MB\"\n[source]", &["x.toml:7: an image has no such size"]);
    service(
        "[image]",
        "[[smoke]]\nname = \"x\"\nevent = \"e.json\"\n[image]",
        &["x.toml:9: an image handles no events"],
    );

    let lambda = |more: &str, expect: &[&str]| {
        check(&files(BASE, &[("manifests/x.toml", &format!("{LAMBDA_IMAGE}{more}"))]), expect);
    };
    lambda("[image]\nuser = \"0:0\"\n", &["x.toml:10: `user` has no use in a lambda-image"]);
    lambda("[image]\nentrypoint = [\"x\"]\n", &["x.toml:10: `entrypoint` has no use in a lambda-image"]);
    lambda(
        "[image]\ncompression = \"zstd\"\n",
        &["x.toml:10: Lambda takes images of the OCI specification 1.0"],
    );
    lambda("[python]\nlock = \"r.txt\"\ninto = \"x\"\n", &["`python.into` is given, but Lambda says"]);
    check(
        &files(BASE, &[("manifests/x.toml", &LAMBDA_IMAGE.replace("handler", "# handler"))]),
        &["x.toml:1: a lambda-image needs a handler"],
    );
    check(
        &files(BASE, &[("manifests/x.toml", &LAMBDA_IMAGE.replace("base =", "layers = [\"l\"]\nbase ="))]),
        &["x.toml:3: a lambda-image cannot use layers"],
    );
    check(
        &files(BASE, &[("manifests/x.toml", &format!("{FUNCTION}[image]\noutput = \"oci-tar\"\n"))]),
        &["x.toml:10: a lambda-zip has no [image] section"],
    );
    check(
        &files(BASE, &[("manifests/x.toml", &FUNCTION.replace("runtime", "# runtime"))]),
        &["`target.runtime` is missing: a lambda-zip is for a Lambda runtime"],
    );
}

#[test]
fn a_base_that_is_not_there_is_answered_with_others_or_with_how_one_is_made() {
    let manifest = "kind = \"image\"\ndockerfile = \"app/Dockerfile\"\n[target]\narchitecture = \"x86_64\"\n";
    let mut files = files(BASE, &[("manifests/app.toml", manifest)]);
    let text = "FROM scratch AS none\nFROM localhost/kiln/python-3.12\nRUN true\n";
    files.dockerfiles = vec![file("manifests/app/Dockerfile", text)];
    check(
        &files,
        &[
            "Dockerfile:2: there is no base `python-3.12`, which `localhost/kiln/python-3.12` means; add images/python-3.12.toml, or use one of: python",
        ],
    );
    files.definitions = Vec::new();
    check(
        &files,
        &[
            "there is no base that can be used yet; make one of a runtime of Lambda: kiln lock --base python-3.12 --runtime python3.12; or describe any image in images/python-3.12.toml",
        ],
    );
}

#[test]
fn the_base_of_an_image_is_what_its_dockerfile_stands_on() {
    let manifest = "kind = \"image\"\ndockerfile = \"app/Dockerfile\"\n[target]\narchitecture = \"x86_64\"\n";
    let mut files = files(BASE, &[("manifests/app.toml", manifest)]);
    check(&files, &["`dockerfile` names manifests/app/Dockerfile, which does not exist"]);

    files.dockerfiles = vec![file("manifests/app/Dockerfile", "FROM localhost/kiln/python\nRUN true\n")];
    let workspace = Workspace::parse(&locked(files.clone())).unwrap();
    let manifest = &workspace.manifests[&"app".parse().unwrap()];
    assert_eq!(manifest.dockerfile().unwrap().context, "manifests/app");
    assert_eq!(workspace.base_of(manifest).as_str(), "python");
    let planned = plan(&workspace, manifest, &PlanInputs::default()).unwrap();
    assert_eq!(
        (planned.base.definition.name.as_str(), planned.target.runtime.as_str()),
        ("python", "python")
    );
    assert_eq!(planned.recipe.unwrap().bases.len(), 1);

    files.dockerfiles[0].text = "FROM scratch\nCOPY --from=localhost/kiln/python / /\n".into();
    let workspace = Workspace::parse(&files).unwrap();
    let manifest = &workspace.manifests[&"app".parse().unwrap()];
    assert_eq!(workspace.base_of(manifest).as_str(), "scratch");
}

/// A service for both platforms, on a base that has both.
fn for_two(more: &str) -> WorkspaceFiles {
    let base = BASE.replace("\"linux/amd64\"", "\"linux/amd64\", \"linux/arm64\"");
    let service = SERVICE.replace("architecture = \"x86_64\"", "architectures = [\"arm64\", \"x86_64\"]");
    files(&base, &[("manifests/web.toml", &format!("{service}{more}"))])
}

#[test]
fn a_manifest_for_several_platforms_is_an_artifact_for_each() {
    let python = "[python]\nlock = \"web/requirements.txt\"\n";
    let workspace = Workspace::parse(&for_two(python)).unwrap();
    let set = &workspace.platform_sets[&"web".parse().unwrap()];
    let names: Vec<&str> = set.artifacts.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["web.amd64", "web.arm64"], "sorted, whatever the manifest's order");
    assert_eq!(workspace.manifests.keys().map(|name| name.as_str()).collect::<Vec<_>>(), names);
    for manifest in workspace.manifests.values() {
        assert!(manifest.name.as_str().ends_with(manifest.target.architecture.oci()));
        assert_eq!((manifest.stated_name().as_str(), manifest.file.as_str()), ("web", "manifests/web.toml"));
        let lock = &manifest.python.as_ref().unwrap().lock;
        assert_eq!(lock, "manifests/web/requirements.txt", "a lock of another tool is for all of them");
    }

    let ours = format!("{python}requirements = \"web/requirements.in\"\n");
    let workspace = Workspace::parse(&for_two(&ours)).unwrap();
    let locks = workspace.manifests.values().map(|manifest| manifest.python.as_ref().unwrap().lock.as_str());
    assert_eq!(
        locks.collect::<Vec<_>>(),
        ["manifests/web/requirements.amd64.txt", "manifests/web/requirements.arm64.txt"],
        "a lock of kiln's is for one target"
    );
}

#[test]
fn platforms_that_cannot_be_are_problems() {
    let service = |to: &str, expect: &[&str]| {
        let text = SERVICE.replace("architecture = \"x86_64\"", to);
        check(&files(BASE, &[("manifests/x.toml", &text)]), expect);
    };
    service("", &["`target.architecture` is missing"]);
    service("architectures = []", &["x.toml:5: `architectures` is empty"]);
    service("architectures = [\"arm64\", \"aarch64\"]", &["x.toml:5: `architectures` names one twice"]);
    service(
        "architecture = \"arm64\"\narchitectures = [\"arm64\"]",
        &["x.toml:6: both `architecture` and `architectures` are given"],
    );
    service("architectures = [\"riscv64\"]", &["x.toml:5: `riscv64` is not supported"]);
    service(
        "architectures = [\"x86_64\", \"arm64\"]",
        &["x.toml:3: the base `python` has no linux/arm64, which the target asks for"],
    );
    let lambda = |manifest: &str, expect: &[&str]| {
        let text = manifest.replace("architecture = \"x86_64\"", "architectures = [\"x86_64\", \"arm64\"]");
        check(&files(BASE, &[("manifests/x.toml", &text)]), expect);
    };
    lambda(
        LAMBDA_IMAGE,
        &["x.toml:6: `architectures` has no meaning for a lambda-image: Lambda refuses an image index"],
    );
    lambda(
        FUNCTION,
        &["x.toml:7: `architectures` has no meaning for a lambda-zip: Lambda takes one archive"],
    );

    let mut archive = for_two("");
    archive.manifests[0].text =
        archive.manifests[0].text.replace("[image]", "[image]\noutput = \"docker-archive\"").into();
    check(&archive, &["web.toml:5: a docker-archive holds one platform and no index"]);
    let mut taken = for_two("");
    taken.manifests.push(file("manifests/web.amd64.toml", SERVICE));
    check(
        &taken,
        &["manifests/web.amd64.toml: `web.amd64` is what manifests/web.toml is called on one platform"],
    );
    let mut long = for_two("");
    long.manifests[0].path = format!("manifests/{}.toml", "w".repeat(60));
    check(&long, &["each platform is an artifact of its own: `www"]);
}

#[test]
fn upstream_sources_are_locked_once_for_all_platforms() {
    let digest = Digest::of(b"tree");
    let commit = "0123456789012345678901234567890123456789";
    let mut files =
        for_two("[[upstream]]\nname = \"acme\"\ngit = \"https://git.example/acme\"\nrevision = \"v1\"\n");
    let unlocked = Workspace::parse(&locked(files.clone())).unwrap();
    let amd64 = &"web.amd64".parse().unwrap();
    let denied = plan(&unlocked, &unlocked.manifests[amd64], &PlanInputs::default()).unwrap_err();
    assert_eq!(denied.subject, "manifests/web.lock");
    assert_eq!(denied.remedy, ["lock it: kiln lock web"]);

    let lock = format!(
        "format = \"1.0\"\nartifact = \"web\"\n[[upstream]]\nname = \"acme\"\ngit = \"https://git.example/acme\"\nrevision = \
         \"v1\"\ncommit = \"{commit}\"\ntree = \"{digest}\"\npinned = \"2026-01-02T03:04:05Z\"\n"
    );
    files.artifact_locks = vec![file("manifests/web.lock", &lock)];
    let workspace = Workspace::parse(&locked(files)).unwrap();
    let plan = plan(&workspace, &workspace.manifests[amd64], &PlanInputs::default()).unwrap();
    assert_eq!(plan.upstreams[0].commit, commit);
}

#[test]
fn what_is_broken_is_kept_by_its_name_and_the_rest_can_be_used() {
    let broken = FUNCTION.replace("path = \"app\"", "path = \"app\"\nexlude = []");
    let layer =
        |text: &str| text.replace("lambda-zip", "lambda-layer").replace("handler = \"app.handler\"\n", "");
    let reader = FUNCTION.replace("handler =", "layers = [\"shared\"]\nhandler =");
    let mut files = files(
        BASE,
        &[
            ("manifests/broken.toml", &broken),
            ("manifests/good.toml", FUNCTION),
            ("manifests/reader.toml", &reader),
            ("manifests/shared.toml", &layer(&broken)),
            ("manifests/No Name.toml", FUNCTION),
        ],
    );
    files.definitions.push(file("images/unused.toml", "nothing = 1\n"));
    let names = |names: std::collections::BTreeSet<&kiln_record::ArtifactName>| {
        names.into_iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let usable = Workspace::parse_usable(&files).unwrap();
    assert_eq!(
        names(usable.manifests.keys().collect()),
        ["good", "reader"],
        "a layer's problem is the layer's"
    );
    assert_eq!(names(usable.broken.keys().collect()), ["broken", "shared"]);
    let alone: Vec<&str> = usable.problems.iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(alone, ["manifests/No Name.toml", "images/unused.toml"]);
    assert_eq!(Workspace::parse(&files).unwrap_err().len(), 4);

    // A broken base is told with each artifact on it, and once where everything is told.
    files.definitions[0].text = "nothing = 1\n".into();
    let unusable = Workspace::parse_usable(&files).unwrap();
    assert_eq!(names(unusable.broken.keys().collect()), ["broken", "good", "reader", "shared"]);
    assert_eq!(unusable.broken[&"good".parse().unwrap()], unusable.broken[&"reader".parse().unwrap()]);
    assert_eq!(Workspace::parse(&files).unwrap_err().len(), 5);

    files.settings = Some(file("kiln.toml", "nothing = 1\n"));
    assert_eq!(
        Workspace::parse_usable(&files).unwrap_err().len(),
        6,
        "what holds for everything stops everything"
    );
}

#[test]
fn what_is_stated_of_components_is_held_against_what_documents_can_say() {
    let stated = |table: &str| {
        let mut files = files(BASE, &[("manifests/app.toml", FUNCTION)]);
        files.settings = Some(file("kiln.toml", &format!("format = \"1\"\n\n[[component]]\n{table}")));
        Workspace::parse(&files)
    };
    let good = "purl = \"pkg:deb/debian/libgcc-s1\"\nlicense = \"MIT\"\nreason = \"read\"\n";
    assert_eq!(stated(good).unwrap().settings.components.len(), 1);
    let curl = "purl = \"pkg:generic/curl@7.83.1\"\narchive = \"curl-7.83.1.tar.gz\"\nreason = \"read\"\n";
    let whole = format!(
        "{curl}cpe = \"cpe:2.3:a:haxx:curl:7.83.1:*:*:*:*:*:*:*\"\ndigest = \"{}\"\nsha512 = \"{}\"\n",
        Digest::of(b"curl"),
        "0a".repeat(64)
    );
    assert_eq!(stated(&whole).unwrap().settings.components[0].archive.as_deref(), Some("curl-7.83.1.tar.gz"));
    let of_any = format!("{good}cpe = \"cpe:2.3:a:gnu:gcc:*:*:*:*:*:*:*:*\"\n");
    assert_eq!(stated(&of_any).unwrap().settings.components.len(), 1);
    for (table, says) in [
        ("purl = \"libgcc\"\nlicense = \"MIT\"\nreason = \"read\"\n", "`libgcc`, which is no package URL"),
        (
            "purl = \"pkg:deb/debian/x?arch=amd64\"\nlicense = \"MIT\"\nreason = \"read\"\n",
            "leave out what follows `?`",
        ),
        ("purl = \"pkg:pypi/x\"\nreason = \"read\"\n", "state its `license`, `supplier`, `cpe` or `archive`"),
        ("purl = \"pkg:pypi/x\"\nlicense = \"MIT\"\nreason = \" \"\n", "`component.reason` is empty"),
        (
            "purl = \"pkg:pypi/x\"\nlicense = \"Mine\"\nreason = \"read\"\n",
            "`Mine`, which is no SPDX expression",
        ),
        ("purl = \"pkg:pypi/x\"\nlicense = \"MIT\"\n", "missing field `reason`"),
        (&format!("{good}[[component]]\n{good}"), "is stated twice"),
        (&format!("{good}archive = \"x.tar.gz\"\n"), "an archive of `pkg:deb/debian/libgcc-s1` and no hash"),
        (&format!("{good}sha512 = \"{}\"\n", "0".repeat(128)), "or a hash and not of what"),
        (&format!("{curl}sha512 = \"00\"\n"), "`component.sha512` is `00`"),
        (&format!("{curl}digest = \"sha256:00\"\n"), "not a sha256 digest"),
        (&format!("{good}archive = \"x.tar.gz\"\ndigest = \"{}\"\n", Digest::of(b"x")), "is of one version"),
        (
            &format!("{good}cpe = \"cpe:2.3:a:gnu:gcc:14:*:*:*:*:*:*:*\"\n"),
            "`component.cpe` is of one version",
        ),
        (&format!("{good}cpe = \"cpe:2.3:a:gnu\"\n"), "no name in CPE 2.3"),
    ] {
        let problems = stated(table).unwrap_err();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let told = problem.to_string();
        assert!(told.contains(says) && told.starts_with("kiln.toml:"), "{told}");
    }
}
