//! Artifacts of a Dockerfile: built by the engine from pinned bases, and put together again by kiln.

use crate::harness::{
    LocalIndex, OtherEngine, Outcome, Registry, Sandbox, WheelFile, block_on, busybox, engine, forget, wheel,
};
use kiln_record::{
    CheckName, CheckOutcome, Code, ComponentId, Digest, Ecosystem, Entry, LayerRole, Level, Record, TreePath,
    exit,
};
use testcontainers::bollard::Docker;
use testcontainers::bollard::query_parameters::ListImagesOptions;

const PYTHON: &str = "/usr/bin/python3.13";
const BASE: &str = "localhost/kiln/python-3.13";
/// Runs the pip that the base has as a wheel.
const PIP: &str = "import glob, runpy, sys\nsys.path.insert(0, glob.glob('/usr/share/python-wheels/pip-*.whl')[0])\n\
                   sys.argv[0] = 'pip'\nrunpy.run_module('pip', run_name='__main__')\n";

/// An image with a Dockerfile, and what its manifest says besides.
fn image(dockerfile: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    write_image(&sandbox, "app", dockerfile, more);
    sandbox
}

pub(crate) fn write_image(sandbox: &Sandbox, name: &str, dockerfile: &str, more: &str) {
    let manifest = format!(
        "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \"{name}/Dockerfile\"\n{more}"
    );
    sandbox.write(&format!("manifests/{name}.toml"), manifest);
    sandbox.write(&format!("manifests/{name}/Dockerfile"), dockerfile);
}

/// An instruction that runs a Python program.
fn run(program: &str) -> String {
    format!("RUN {}\n", serde_json::json!([PYTHON, "-c", program]))
}

fn build(sandbox: &Sandbox) -> Outcome {
    sandbox.kiln().run(["build", "--all", "--color", "never"])
}

fn record(sandbox: &Sandbox) -> Record {
    Record::from_json(&sandbox.read("dist/app/record.json")).unwrap()
}

fn ran(record: &Record, name: CheckName) -> bool {
    let mut checks = record.checks.iter().filter(|check| check.name == name);
    checks.any(|check| matches!(check.outcome, CheckOutcome::Ran { .. }))
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A build in two stages that leaves behind what builds leave behind, and differs from second to second where nobody looks.
pub(crate) fn two_stages(sandbox: &Sandbox) {
    let make = "import os, py_compile, time\nos.makedirs('/made/sub/empty')\n\
                open('/made/sub/data', 'w').write(os.environ['WHAT'] + open('/src/in.txt').read())\n\
                open('/made/m.py', 'w').write('x = 1')\npy_compile.compile('/made/m.py')\n\
                os.link('/made/m.py', '/made/linked.py')\nos.symlink('sub/data', '/made/link')\n\
                os.chmod('/made/sub/data', 0o4750)\nos.chown('/made/sub', 1000, 1000)\nos.chmod('/made/sub', 0o700)\n";
    let debris = "import os, time\nos.makedirs('/var/log/apt')\nos.makedirs('/root/.cache/pip')\n\
                  open('/var/log/apt/history.log', 'w').write(str(time.time()))\n\
                  open('/root/.cache/pip/y', 'w').write(str(time.time()))\n\
                  open('/etc/passwd', 'a').write('app:x:1000:1000::/:/x\\n')\n\
                  open('/etc/shadow', 'w').write('root:*:1:0:::::\\napp:!:%d:0:::::\\n' % time.time())\n\
                  os.remove('/etc/mime.types')\n";
    let dockerfile = format!(
        "ARG TAG=none\nFROM {BASE} AS build\nARG WHAT\nENV WHAT=$WHAT\nCOPY . /src\n{}\
         FROM {BASE} AS wanted\nCOPY --from=build /made /app\n{}WORKDIR /app\nLABEL who=me\nENV A=1\nEXPOSE 80\n\
         VOLUME /data\nSTOPSIGNAL SIGINT\nUSER app\n\
         HEALTHCHECK --interval=1s CMD [\"{PYTHON}\", \"-c\", \"import m\"]\n\
         CMD [\"{PYTHON}\", \"-c\", \"import time; time.sleep(60)\"]\nFROM wanted\nRUN [\"/never\"]\n",
        run(make),
        run(debris)
    );
    let more = "target = \"wanted\"\nargs = { WHAT = \"some \" }\n";
    write_image(sandbox, "app", &dockerfile, more);
    sandbox
        .write("manifests/app/in.txt", "text")
        .write("manifests/app/secret.txt", "not seen")
        .write("manifests/app/.dockerignore", "*.txt\n!in.txt\n");
}

#[test]
fn stages_are_built_offline_and_put_together_in_one_form() {
    let sandbox = Sandbox::new();
    two_stages(&sandbox);
    let store = tempfile::tempdir().unwrap();
    let kiln = || sandbox.kiln().with_store(store.path());
    let all = ["build", "--all", "--color", "never"];
    kiln().run(all).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let image = record.image.as_ref().unwrap();

    let files: Vec<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        files,
        ["app/link", "app/linked.py", "app/m.py", "app/sub/data", "etc/passwd", "etc/shadow"],
        "caches, logs and bytecode are gone"
    );
    let shadow = record.files.iter().find(|file| file.path.as_str() == "etc/shadow").unwrap();
    let Entry::File { digest, .. } = &shadow.entry else { panic!("{shadow:?}") };
    assert_eq!(*digest, Digest::of(b"root:*::0:::::\napp:!::0:::::\n"));
    let attributes: Vec<(&str, u32, u64)> =
        image.attributes.iter().map(|(path, of)| (path.as_str(), of.mode, of.user)).collect();
    assert_eq!(attributes, [("app/sub", 0o700, 1000), ("app/sub/data", 0o4750, 0)]);
    assert_eq!(image.removed.iter().map(TreePath::as_str).collect::<Vec<_>>(), ["etc/mime.types"]);
    let rules: Vec<(&str, u64)> =
        record.transformations.iter().map(|done| (done.rule.as_str(), done.files)).collect();
    assert_eq!(rules, [("password-days", 1)]);

    let roles: Vec<LayerRole> = image.layers.iter().map(|layer| layer.role).collect();
    assert_eq!(
        roles,
        [LayerRole::Base, LayerRole::Application, LayerRole::Application],
        "one for each instruction"
    );
    let runs = &image.runs;
    assert_eq!(runs.user.as_deref(), Some("app"));
    assert_eq!(runs.working_dir.as_deref(), Some("/app"));
    assert_eq!((runs.stop_signal.as_deref(), runs.labels["who"].as_str()), (Some("SIGINT"), "me"));
    assert_eq!(runs.environment["A"], "1");
    assert!(runs.ports.contains("80/tcp") && runs.volumes.contains("/data"));
    assert_eq!(image.base.name.as_str(), "python-3.13");
    assert!(image.annotations["org.opencontainers.image.base.name"].ends_with("python-3.13"));
    assert!(ran(&record, CheckName::Health) && ran(&record, CheckName::Dockerfile), "{:?}", record.checks);
    let packages = record.components.iter().filter(|component| component.ecosystem == Ecosystem::Debian);
    assert!(packages.clone().count() > 20 && packages.clone().all(|package| package.from_base));

    let shown = kiln().run(["show", "app", "--color", "never"]).ends_with(exit::SUCCESS);
    shown.prints(&[
        "4750 of 0:0  /app/sub/data",
        "0700 of 1000:1000  /app/sub",
        "/etc/mime.types of the base",
    ]);

    // Another store, another second, everything by force: the same bytes.
    let first = sandbox.dist();
    let other = tempfile::tempdir().unwrap();
    sandbox.kiln().with_store(other.path()).run(["build", "--all", "--force"]).ends_with(exit::SUCCESS);
    assert!(sandbox.dist() == first, "a cold store gives the same");
    // Nothing is built where what was built is known.
    kiln().run(["build", "--all", "--force"]).ends_with(exit::SUCCESS).does_not_say("Step 1");
    assert!(sandbox.dist() == first);
    kiln().run(all).ends_with(exit::SUCCESS).prints(&["unchanged"]);

    // What is copied decides; what is ignored does not.
    sandbox.write("manifests/app/secret.txt", "other");
    kiln().run(all).ends_with(exit::SUCCESS).prints(&["unchanged"]);
    sandbox.write("manifests/app/in.txt", "other");
    kiln().run(all).ends_with(exit::SUCCESS);
    assert!(sandbox.dist() != first);
    let diff =
        kiln().run(["diff", "app@previous", "app@latest", "--color", "never"]).ends_with(exit::SUCCESS);
    assert!(diff.stdout.contains("app/sub/data"), "{diff}");
    // Who owns a file is part of it, and so is what is not there any more.
    sandbox.replace("manifests/app/Dockerfile", "1000, 1000", "1000, 1001").replace(
        "manifests/app/Dockerfile",
        "mime.types",
        "protocols",
    );
    kiln().run(all).ends_with(exit::SUCCESS);
    kiln().run(["diff", "app@previous", "app@latest", "--color", "never"]).ends_with(exit::SUCCESS).prints(
        &["owner and mode /app/sub", "1000:1000 0700", "1000:1001 0700", "without the base's /etc/protocols"],
    );
}

#[test]
fn both_builders_give_the_same_image() {
    let sandbox = Sandbox::new();
    two_stages(&sandbox);
    // The engine of all tests may have a storage driver with which its classic builder is not used.
    let other = OtherEngine::start("overlay2").unwrap();
    let mut all = Vec::new();
    for buildkit in ["0", "1"] {
        let store = tempfile::tempdir().unwrap();
        sandbox
            .kiln()
            .with_store(store.path())
            .with_variable("DOCKER_HOST", &other.host())
            .with_variable("DOCKER_BUILDKIT", buildkit)
            .run(["build", "--all", "--force", "--color", "never"])
            .ends_with(exit::SUCCESS);
        all.push(sandbox.dist());
    }
    assert!(all[0] == all[1], "the classic builder and BuildKit cannot be told apart");
}

#[test]
fn what_is_not_pinned_is_refused_and_can_be_pinned_without_editing() {
    let dockerfile = format!("FROM python:3.13-slim\nCMD [\"{PYTHON}\"]\n");
    let sandbox = image(&dockerfile, "");
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&[
        "manifests/app/Dockerfile",
        "`python:3.13-slim` is not pinned: a tag can move",
        "FROM python:3.13-slim",
        "bases = { \"python:3.13-slim\" = \"python-3.13-slim\" }",
    ]);
    sandbox.append("manifests/app.toml", "bases = { \"python:3.13-slim\" = \"python-3.13\" }\n");
    let outcome = build(&sandbox).ends_with(exit::SUCCESS);
    assert_eq!(sandbox.read("manifests/app/Dockerfile"), dockerfile.as_bytes());
    assert!(outcome.stdout.contains("app"), "{outcome}");
    // Nothing was added: the image is its base with another command.
    let record = record(&sandbox);
    assert!(
        record.files.is_empty()
            && record.image.unwrap().layers.iter().all(|layer| layer.role == LayerRole::Base)
    );

    std::fs::remove_file(sandbox.path("images/python-3.13.lock")).unwrap();
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["base-not-pinned", "kiln lock --base python-3.13"]);
}

#[test]
fn a_digest_in_the_file_pins_an_image_of_a_registry() {
    let registry = Registry::start();
    let pushed = registry.push("team/base", "1", &busybox(), "a base");
    let (name, digest) = (format!("{}/team/base", registry.address()), pushed.to_string());
    let reference = format!("{name}@{digest}");
    let dockerfile = format!(
        "FROM {name}:1@{digest} AS one\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo $0 > /said; rm /marker\", \"it\"]\n\
         FROM one\nCOPY --from={name}:1@{digest} /marker /copied\nCMD [\"/bin/busybox\", \"true\"]\n"
    );
    let sandbox = image(&dockerfile, "");
    build(&sandbox).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let image = record.image.unwrap();
    assert_eq!(image.base.manifest.to_string(), digest);
    assert_eq!(image.removed, [path("marker")].into());
    let names: Vec<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["copied", "said"]);
    assert!(record.inputs.iter().any(|input| input.digest.to_string() == digest));
    let pins = sandbox.kiln().run(["pins", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let mut pins = pins.as_array().unwrap().iter();
    let pin = pins.find(|pin| pin["file"] == "manifests/app/Dockerfile").unwrap();
    assert_eq!(pin["pinned_to"]["linux/amd64"], digest.as_str());
    forget(&reference);
    sandbox.replace("manifests/app/Dockerfile", &digest, &Digest::of(b"another").to_string());
    let outcome = build(&sandbox);
    assert_ne!(outcome.code, Some(0), "{outcome}");
}

#[test]
fn a_base_that_adds_instructions_is_refused() {
    let registry = Registry::start();
    let recipe = format!("FROM {}\nONBUILD ADD http://example.invalid/x /x\n", busybox());
    let pushed = registry.push_recipe("team/hidden", "1", &recipe, &[]);
    let reference = format!("{}/team/hidden@{pushed}", registry.address());
    let sandbox = image(&format!("FROM {reference}\nCMD [\"/bin/busybox\", \"true\"]\n"), "");
    build(&sandbox)
        .ends_with(exit::BUILD_STEP_FAILED)
        .says(&["adds instructions that nobody reads here: ONBUILD ADD http://example.invalid/x /x"]);
    forget(&reference);
}

#[test]
fn programs_have_no_network_unless_the_manifest_says_so_and_that_is_told() {
    let fetch = "import urllib.request\nurllib.request.urlopen('http://example.invalid/')\n";
    let sandbox = image(&format!("FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n", run(fetch)), "");
    let outcome = build(&sandbox).ends_with(exit::BUILD_STEP_FAILED);
    outcome.says(&[
        "manifests/app/Dockerfile:2 of app, on base `python-3.13`, cannot be built by",
        "Temporary failure in name resolution",
        "a Dockerfile has no network",
        "`wheels` under [dockerfile]",
    ]);
    sandbox.assert_nothing_published();

    let has = "import os\nopen('/interfaces', 'w').write(str(len(os.listdir('/sys/class/net')) > 1))\n";
    let network = "network = true\n";
    write_image(&sandbox, "app", &format!("FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n", run(has)), network);
    build(&sandbox)
        .ends_with(exit::SUCCESS)
        .says(&["not-hermetic", "in no lock"])
        .documents("warn[not-hermetic] app");
    let record = record(&sandbox);
    let finding = record.findings.iter().find(|finding| finding.code == Code::NotHermetic).unwrap();
    assert_eq!(finding.level, Level::Warn);
    let file = record.files.iter().find(|file| file.path.as_str() == "interfaces").unwrap();
    let Entry::File { digest, .. } = &file.entry else { panic!() };
    assert_eq!(*digest, Digest::of(b"True"));
}

#[test]
fn what_no_rule_brings_into_one_form_is_denied() {
    let random = "import os\nopen('/token', 'w').write(os.urandom(8).hex())\n";
    let sandbox = image(&format!("FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n", run(random)), "");
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["dockerfile-not-reproducible", "it was built twice, and token is not the same: line 1 is"]);
    sandbox.assert_nothing_published();
    sandbox.append("manifests/app.toml", "reproducible = \"assume\"\n");
    build(&sandbox).ends_with(exit::SUCCESS);
    assert!(!ran(&record(&sandbox), CheckName::Dockerfile));

    let pipe = "import os\nos.mkfifo('/run/pipe')\n";
    write_image(&sandbox, "app", &format!("FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n", run(pipe)), "");
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["special-file", "`/run/pipe` is a named pipe"])
        .documents("deny[special-file] app");
}

#[test]
fn capabilities_of_files_are_compared_recorded_and_told() {
    // Version 2 of the attribute, with cap_net_bind_service permitted and effective (capabilities(7)).
    let make = "import os\nos.makedirs('/srv/d')\nopen('/srv/d/tool', 'w').close()\nos.link('/srv/d/tool', '/srv/d/linked')\n\
                os.setxattr('/srv/d/tool', 'security.capability', bytes.fromhex('0100000200040000' + '0' * 24))\n";
    let sandbox = image(&format!("FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n", run(make)), "");
    build(&sandbox).ends_with(exit::SUCCESS).says(&[
        "privileged-file",
        "`/srv/d/tool` has capabilities (0100000200040000",
        "`/srv/d/linked` has capabilities",
        "setcap -r",
    ]);
}

#[test]
fn a_build_that_fails_shows_its_log_and_leaves_what_was_there() {
    let good = format!("FROM {BASE}\nCOPY a /a\nCMD [\"{PYTHON}\"]\n");
    let sandbox = image(&good, "");
    sandbox.write("manifests/app/a", "a");
    build(&sandbox).ends_with(exit::SUCCESS);
    let before = sandbox.dist();
    // The engine of all tests may have a storage driver with which its classic builder is not used.
    let other = OtherEngine::start("overlay2").unwrap();
    for (instruction, says) in [
        (run("print('it says why')\nraise SystemExit(3)"), "it says why"),
        ("COPY missing /x\n".to_owned(), "the context is manifests/app, and has no missing"),
        ("NONSENSE x\n".to_owned(), "NONSENSE"),
    ] {
        for (buildkit, builder) in [("0", "the classic builder"), ("1", "BuildKit")] {
            sandbox.write("manifests/app/Dockerfile", format!("{good}{instruction}"));
            let outcome = sandbox
                .kiln()
                .with_variable("DOCKER_HOST", &other.host())
                .with_variable("DOCKER_BUILDKIT", buildkit)
                .run(["build", "--all", "--color", "never"]);
            let codes = [exit::BUILD_STEP_FAILED, exit::INPUT_INVALID].map(|code| Some(i32::from(code)));
            assert!(codes.contains(&outcome.code), "{instruction}: {outcome}");
            outcome.clone().says(&[says]);
            if outcome.code == Some(i32::from(exit::BUILD_STEP_FAILED)) {
                outcome.says(&[builder]);
            }
            assert!(sandbox.dist() == before, "{instruction}");
        }
    }
}

#[test]
fn a_failed_instruction_is_named_with_its_line_in_every_form() {
    let other = OtherEngine::start("overlay2").unwrap();
    let sandbox = Sandbox::new();
    let fails = run("raise SystemExit(3)");
    for (dockerfile, line, says) in [
        (
            format!("# a comment\nARG X=1\nFROM {BASE}\nENV A=1\nWORKDIR /x\n{fails}CMD [\"{PYTHON}\"]\n"),
            6,
            "",
        ),
        (format!("FROM {BASE} AS one\nCOPY a /a\nFROM one\n\n{fails}CMD [\"{PYTHON}\"]\n"), 5, ""),
        (
            "FROM scratch\nCOPY a /a\nRUN true\nCMD [\"/a\"]\n".to_owned(),
            3,
            "what the stage starts from has no /bin/sh, which a RUN in words is given to",
        ),
    ] {
        write_image(&sandbox, "app", &dockerfile, "");
        sandbox.write("manifests/app/a", "a");
        for buildkit in ["0", "1"] {
            let kiln = || {
                let kiln = sandbox.kiln().with_variable("DOCKER_HOST", &other.host());
                kiln.with_variable("DOCKER_BUILDKIT", buildkit)
            };
            let place = format!("manifests/app/Dockerfile:{line} of app, on base");
            kiln().run(["build", "app"]).ends_with(exit::BUILD_STEP_FAILED).says(&[&place, says]);
            let document = kiln().run(["build", "app", "--format", "json"]);
            let document = document.ends_with(exit::BUILD_STEP_FAILED).json();
            let found = &document["artifacts"][0]["error_place"];
            assert_eq!(*found, serde_json::json!({"file": "manifests/app/Dockerfile", "line": line}));
            let told = kiln().run(["build", "app", "--format", "github"]);
            let annotation = format!(
                "::error file=manifests/app/Dockerfile,line={line},title=build-step-failed app%3A build::"
            );
            told.ends_with(exit::BUILD_STEP_FAILED).prints(&[&annotation]);
        }
    }
}

#[test]
fn what_a_dockerfile_copies_is_searched_as_a_source_folder_is() {
    let dockerfile = format!(
        "FROM {BASE} AS build\nCOPY made /made\nFROM {BASE}\nCOPY src/ settings.* /app/\nCMD [\"{PYTHON}\"]\n"
    );
    let sandbox = image(&dockerfile, "");
    let key = format!("AKIA{}", "QWERTZUIOPASDFGH");
    sandbox
        .write(".gitignore", "/dist\n/.kiln\n.env\n")
        .write("manifests/app/.dockerignore", "**/*.log\n")
        .write("manifests/app/settings.py", format!("A = 1\nKEY = '{key}'\n"))
        .write("manifests/app/made/m", "m")
        .write("manifests/app/src/main.py", "pass\n");
    let root = sandbox.root();
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "all"],
    ] {
        let status = std::process::Command::new("git").args(arguments).current_dir(&root).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    }
    sandbox
        .write("manifests/app/src/.env", "DEBUG=1\n")
        .write("manifests/app/src/fresh.py", "X = 1\n")
        .write("manifests/app/src/run.log", format!("{key}\n"))
        .write("manifests/app/not-copied.py", format!("KEY = '{key}'\n"));
    let built = build(&sandbox).ends_with(exit::SUCCESS);
    built
        .says(&[
            "warn[credential-leak] app: app/settings.py line 2 holds an AWS access key id",
            ": the Dockerfile copies manifests/app/settings.py → take it out,",
            "or leave it out of the context: add `settings.py` to .dockerignore",
            "warn[credential-leak] app: app/.env the Dockerfile copies manifests/app/src/.env, which by its name",
            "leave it out of the context: add `src/.env` to .dockerignore",
            "warn[untracked-file] app: manifests/app 2 files of manifests/app are copied by the Dockerfile, and git does not track them",
            "src/fresh.py",
        ])
        .does_not_say("not-copied")
        .does_not_say("run.log")
        .does_not_say(&key);
    let record = record(&sandbox);
    assert!(ran(&record, CheckName::Tracked));
    let places = record.findings.iter().filter_map(|finding| Some(finding.place.as_ref()?.to_string()));
    assert_eq!(
        places.collect::<Vec<_>>(),
        ["manifests/app/src/.env", "manifests/app/src/.env", "manifests/app/settings.py:2"]
    );

    // What the image does not keep was given to its build.
    sandbox.write(
        "manifests/app/made/deploy.key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE\n",
    );
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["deny[credential-leak] app: made/deploy.key line 1 holds a private key"]);
    sandbox.write("manifests/app/.dockerignore", "**/*.log\nmade/*.key\n**/.env\nsrc/fresh.py\n");
    build(&sandbox)
        .ends_with(exit::SUCCESS)
        .does_not_say("deploy.key")
        .does_not_say("untracked-file")
        .does_not_say(".env");
}

#[test]
fn folders_keep_their_modes_and_owners_wherever_a_layer_is_unpacked() {
    let make = "import os\nos.mkdir('/state', 0o700)\nos.chown('/state', 1000, 1001)\nos.chmod('/var/tmp', 0o1777)\n";
    let test = "import os\nfor path, wanted in (('/state', (0o700, 1000, 1001)), ('/var/tmp', (0o1777, 0, 0))):\n    \
                found = os.stat(path)\n    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == wanted, (path, found)\n";
    let dockerfile = format!(
        "FROM {BASE}\n{}COPY a /state/a\nCOPY a /var/tmp/a\n{}HEALTHCHECK --interval=1s CMD {}\nCMD [\"{PYTHON}\", \"-c\", \
         \"import time; time.sleep(60)\"]\n",
        run(make),
        // What a later layer takes away is below a folder, too.
        run(
            "import os\nos.remove('/etc/mime.types')\nos.mkdir('/etc/mime.types')\nopen('/etc/mime.types/a', 'w').close()\n"
        ),
        serde_json::json!([PYTHON, "-c", test]),
    );
    let sandbox = image(&dockerfile, "");
    sandbox.write("manifests/app/a", "a");
    build(&sandbox).ends_with(exit::SUCCESS);
    assert!(ran(&record(&sandbox), CheckName::Health));
}

#[test]
fn debian_packages_that_are_installed_over_the_base_own_their_files() {
    let install = "open('/var/lib/dpkg/status', 'a').write('\\nPackage: hello\\nStatus: install ok installed\\n\
                   Architecture: amd64\\nVersion: 2.10\\nDescription: x\\n')\n\
                   open('/var/lib/dpkg/info/hello.list', 'w').write('/.\\n/usr\\n/usr/bin\\n/usr/bin/hello\\n')\n\
                   open('/var/lib/dpkg/info/hello.md5sums', 'w').write('x')\nopen('/usr/bin/hello', 'w').write('hi')\n";
    let sandbox = image(&format!("FROM {BASE}\n{}CMD [\"{PYTHON}\"]\n", run(install)), "");
    build(&sandbox).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let id = ComponentId::new(Ecosystem::Debian, "hello");
    let package = record.components.iter().find(|component| component.id == id).unwrap();
    assert_eq!((package.version.as_deref(), package.files, package.from_base), (Some("2.10"), 3, false));
    sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).prints(&["debian/hello"]);
    sandbox
        .kiln()
        .run(["explain", "app", "usr/bin/hello"])
        .prints(&["a package that manifests/app/Dockerfile installed"]);
}

/// A base of Debian has the pip that virtual environments are made with as a wheel, which no package database calls a distribution.
#[test]
fn distributions_that_a_base_carries_and_wheels_that_are_left_are_listed() {
    let left = wheel("left", "1.5", "py3-none-any", &[], &[("left.py", b"")]);
    let dockerfile = format!("FROM {BASE}\nCOPY *.whl /srv/\nCMD [\"{PYTHON}\"]\n");
    let sandbox = image(&dockerfile, "");
    sandbox.write(&format!("manifests/app/{}", left.file_name), &left.bytes);
    // The same base beneath a tree of files.
    sandbox.write(
        "manifests/plain.toml",
        "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \"plain\"\n\n[image]\n\
         entrypoint = [\"/usr/bin/python3.13\", \"main.py\"]\n",
    );
    sandbox.write("manifests/plain/main.py", "print(1)\n");
    build(&sandbox).ends_with(exit::SUCCESS);
    for name in ["app", "plain"] {
        let record = Record::from_json(&sandbox.read(&format!("dist/{name}/record.json"))).unwrap();
        let pip = record.components.iter().find(|one| one.name == "pip" && one.from_base).unwrap();
        let place = pip.id.name().strip_prefix("pip/").unwrap().to_owned();
        let version = pip.version.clone().unwrap();
        assert_eq!(
            place, "usr/share/python-wheels",
            "another version in its place is not another distribution"
        );
        assert_eq!((pip.files, pip.bytes), (0, 0), "its file is that of a package of Debian");
        let bill: serde_json::Value =
            serde_json::from_slice(&sandbox.read(&format!("dist/{name}/{name}.cdx.json"))).unwrap();
        let listed = bill["components"].as_array().unwrap();
        let pip = listed.iter().find(|one| one["bom-ref"] == format!("python/pip/{place}")).unwrap();
        assert_eq!(pip["purl"], format!("pkg:pypi/pip@{version}"));
        let wheel = format!("{place}/pip-{version}-py3-none-any.whl");
        assert_eq!(pip["evidence"]["occurrences"][0]["location"], wheel);
        assert_eq!(pip["supplier"]["name"], "Debian");
        assert_eq!(pip["hashes"][0]["alg"], "SHA-256");
        // It hangs from the system, and what is in it is not said to be known.
        let system = listed.iter().find(|one| one["type"] == "operating-system").unwrap();
        let edges = bill["dependencies"].as_array().unwrap();
        let edge = edges.iter().find(|edge| edge["ref"] == system["bom-ref"]).unwrap();
        assert!(edge["dependsOn"].as_array().unwrap().contains(&pip["bom-ref"]), "{edge}");
        for composition in bill["compositions"].as_array().unwrap() {
            let has =
                |key: &str| composition[key].as_array().is_some_and(|all| all.contains(&pip["bom-ref"]));
            assert!(!(has("assemblies") || has("dependencies")) || composition["aggregate"] == "unknown");
        }
    }
    let digest = left.digest();
    let left = record(&sandbox).components.into_iter().find(|one| one.name == "left").unwrap();
    assert_eq!((left.version.as_deref(), left.from_base), (Some("1.5"), false));
    assert_eq!(left.id.name(), "left/srv");
    assert_eq!(left.origin.unwrap().digest, digest);
    assert!(left.within.is_some_and(|holder| holder.ecosystem() == Ecosystem::Application));
}

#[test]
fn an_image_that_runs_as_nobody_knows_whom_is_denied() {
    let sandbox = image(&format!("FROM {BASE}\nUSER nosuch\n"), "");
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["user-unknown", "is to run as `nosuch`"])
        .documents("deny[user-unknown] app");
    sandbox.replace("manifests/app/Dockerfile", "nosuch", "nobody");
    build(&sandbox).ends_with(exit::SUCCESS);
    assert!(!ran(&record(&sandbox), CheckName::Start), "it has no program, and that is told");
}

/// A Dockerfile of an image that has one file.
pub(crate) fn from_scratch() -> String {
    let make = "import os\nopen('/program', 'w').write('#!')\nos.chmod('/program', 0o755)\n";
    format!(
        "FROM {BASE} AS build\n{}FROM scratch\nCOPY --from=build /program /bin/program\nENTRYPOINT [\"/bin/program\"]\n",
        run(make)
    )
}

#[test]
fn a_static_program_alone_is_an_image_from_scratch() {
    let sandbox = image(&from_scratch(), "");
    build(&sandbox).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let image = record.image.unwrap();
    assert_eq!((image.layers.len(), image.base.files), (1, 0));
    assert!(!image.annotations.keys().any(|key| key.contains("image.base")));
    assert!(record.components.iter().all(|component| component.ecosystem != Ecosystem::Debian));
    assert!(image.attributes.is_empty() && image.removed.is_empty(), "{:?}", image.attributes);

    // A lock that could be held against nothing is not passed over.
    sandbox
        .append("manifests/app.toml", "\n[python]\nlock = \"app/lock.txt\"\n")
        .write("manifests/app/lock.txt", "");
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&["has no Python to choose for"]);
}

/// Two wheels and their lock, installed in a Dockerfile by the base's own pip.
fn with_lock(marker: &str) -> Sandbox {
    let site = format!(
        "RUN [\"{PYTHON}\", \"/src/pip.py\", \"install\", \"--no-index\", \"--find-links\", \"/src/wheels\", \"--require-hashes\", \
         \"--target\", \"/site\", \"-r\", \"/src/lock.txt\"]\n"
    );
    installed(marker, &site, "COPY --from=build /site /srv/site\nENV PYTHONPATH=/srv/site\n", PYTHON)
}

/// The same, installed and taken over as it is said.
fn installed(marker: &str, install: &str, take: &str, python: &str) -> Sandbox {
    let wheels: [WheelFile; 2] = [
        wheel("alpha", "1.0", "py3-none-any", &["beta"], &[("alpha/__init__.py", b"import beta\n")]),
        wheel("beta", "2.0", "py3-none-any", &[], &[("beta.py", b"")]),
    ];
    let index = LocalIndex::serve(&wheels);
    let lock: String = wheels.iter().map(|wheel| wheel.requirement(marker) + "\n").collect();
    let dockerfile = format!(
        "FROM {BASE} AS build\nCOPY . /src\n{install}FROM {BASE}\n{take}COPY main.py /srv/app/\nWORKDIR /srv/app\n\
         USER 65534:65534\nCMD [\"{python}\", \"main.py\"]\n"
    );
    let sandbox =
        image(&dockerfile, "wheels = \"wheels\"\n\n[python]\nlock = \"app/lock.txt\"\n").with_index(&index);
    sandbox
        .write("manifests/app/lock.txt", lock)
        .write("manifests/app/pip.py", PIP)
        .write("manifests/app/main.py", "import alpha\n");
    // The index has to be there as long as the sandbox is.
    std::mem::forget(index);
    sandbox
}

#[test]
fn locked_wheels_are_installed_offline_and_held_against_the_lock() {
    let sandbox = with_lock("");
    build(&sandbox).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let component = |name: &str| {
        let id = ComponentId::new(Ecosystem::Python, name);
        record.components.iter().find(|component| component.id == id).unwrap().clone()
    };
    let alpha = component("alpha");
    assert_eq!(alpha.version.as_deref(), Some("1.0"));
    assert!(alpha.origin.is_some(), "it came from the wheel that the lock names");
    assert!(alpha.requires.contains(&component("beta").id));
    let owner =
        |at: &str| record.files.iter().find(|file| file.path == path(at)).unwrap().component.to_string();
    assert_eq!(owner("srv/site/alpha/__init__.py"), "python/alpha");
    assert_eq!(owner("srv/app/main.py"), "application/app");
    assert!(!record.files.iter().any(|file| file.path.as_str().ends_with(".pyc")));
    assert!(ran(&record, CheckName::Import), "{:?}", record.checks);
}

#[test]
fn distributions_in_a_virtual_environment_are_imported_by_its_python() {
    let install = format!(
        "RUN [\"{PYTHON}\", \"-m\", \"venv\", \"--without-pip\", \"/venv\"]\nRUN [\"/venv/bin/python\", \"/src/pip.py\", \
         \"install\", \"--no-index\", \"--find-links\", \"/src/wheels\", \"--require-hashes\", \"-r\", \"/src/lock.txt\"]\n"
    );
    let take = "COPY --from=build /venv /venv\nENV PATH=/venv/bin:$PATH\n";
    let sandbox = installed("", &install, take, "python");
    build(&sandbox).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    assert!(ran(&record, CheckName::Import), "{:?}", record.checks);
    let file =
        record.files.iter().find(|file| file.path.as_str().ends_with("site-packages/beta.py")).unwrap();
    assert_eq!(file.component.to_string(), "python/beta");
}

#[test]
fn an_image_without_its_dependencies_is_denied_as_a_zip_is() {
    // Every requirement is for another Python: pip installs nothing, and says that all is well.
    let sandbox = with_lock("python_version == \"3.12\"");
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&["3.12", "3.13"]);
    sandbox.assert_nothing_published();

    // The lock is right, and the Dockerfile forgets to copy what was installed.
    let sandbox = with_lock("");
    sandbox.replace("manifests/app/Dockerfile", "COPY --from=build /site /srv/site\n", "");
    build(&sandbox)
        .ends_with(exit::FINDINGS_DENIED)
        .says(&[
            "locked-not-installed",
            "alpha",
            "→ install it from the wheels of the lock in a RUN of manifests/app/Dockerfile, such as: pip install",
        ])
        .does_not_say("exclusion")
        .documents("deny[locked-not-installed] app");
    sandbox.assert_nothing_published();
}

#[test]
fn what_the_code_of_an_image_imports_is_to_be_installed_by_its_dockerfile() {
    let sandbox = with_lock("");
    sandbox.write("manifests/app/main.py", "import alpha\n\ndef later():\n    import nowhere\n");
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[import-unresolved] app: nowhere",
        "→ install the distribution that has it in a RUN of manifests/app/Dockerfile, from the wheels of the lock",
        "→ add the distribution that has it to the project's dependencies and lock again",
    ]);
}

#[test]
fn a_function_is_an_image_of_a_dockerfile() {
    let code = "def handler(event, context):\n    return {'hello': event['name']}\n";
    let sandbox = Sandbox::new();
    let dockerfile = format!(
        "FROM {BASE}\nWORKDIR /var/task\nCOPY app.py ./\nENTRYPOINT [\"{PYTHON}\", \"-m\", \"awslambdaric\"]\nCMD [\"app.other\"]\n"
    );
    sandbox.write(
        "manifests/app.toml",
        "kind = \"lambda-image\"\nhandler = \"app.handler\"\ndockerfile = \"app/Dockerfile\"\n\n[target]\narchitecture = \"x86_64\"\n",
    );
    sandbox.write("manifests/app/Dockerfile", dockerfile).write("manifests/app/app.py", code);
    build(&sandbox).ends_with(exit::FINDINGS_DENIED).says(&[
        "runtime-client-missing",
        "handler-missing",
        "the image's CMD is `app.other`, and the manifest's handler is `app.handler`",
    ]);
}

#[test]
fn manifests_that_say_things_twice_are_refused() {
    let dockerfile = format!("FROM {BASE}\n");
    for (more, says) in [
        ("[image]\nentrypoint = [\"/x\"]\n", "`entrypoint` is what the Dockerfile says"),
        ("[source]\npath = \"app\"\n", "there is a [source] section"),
        ("[package]\n", "there is a [package] section"),
        ("wheels = \"w\"\n", "has no meaning without a [python] section"),
        ("context = \".\"\n", "would be manifests/, with other artifacts' files"),
        ("timeout = \"1 h\"\n", "is not a time"),
        ("nonsense = 1\n", "unknown field"),
    ] {
        let sandbox = image(&dockerfile, more);
        build(&sandbox).ends_with(exit::INPUT_INVALID).says(&[says]);
    }
    let sandbox = image(&dockerfile, "");
    sandbox.replace("manifests/app.toml", "kind = \"image\"", "kind = \"image\"\nbase = \"python-3.13\"");
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&["the Dockerfile says what it starts from"]);
    sandbox.replace(
        "manifests/app.toml",
        "kind = \"image\"\nbase = \"python-3.13\"",
        "kind = \"lambda-zip\"\nhandler = \"a.b\"",
    );
    build(&sandbox).ends_with(exit::INPUT_INVALID).says(&["a Dockerfile makes an image"]);
}

#[test]
fn the_context_takes_what_steps_make() {
    let sandbox = Sandbox::new();
    let manifest = format!(
        "kind = \"image\"\ndockerfile = \"app/Dockerfile\"\n\n[target]\narchitecture = \"x86_64\"\n\n[[step]]\nname = \"generate\"\n\
         argv = [\"{PYTHON}\", \"-c\", \"open('/out/made', 'w').write('generated')\"]\noutputs = [{{ path = \"/out/made\", into = \"gen\" }}]\n"
    );
    sandbox
        .write("manifests/app.toml", manifest)
        .write("manifests/app/Dockerfile", format!("FROM {BASE}\nCOPY gen/made /made\nCMD [\"{PYTHON}\"]\n"));
    build(&sandbox).ends_with(exit::SUCCESS);
    let record = record(&sandbox);
    let names: Vec<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["made"]);
    // The engine keeps nothing of it: neither what it built nor what was put together of that.
    let id = record.image.unwrap().config.to_string();
    assert!(block_on(async { engine("look").await.image(&id).await }).unwrap().is_none());
    write_image(&sandbox, "left-nowhere", &format!("FROM {BASE}\nLABEL a=b\nCMD [\"{PYTHON}\"]\n"), "");
    build(&sandbox).ends_with(exit::SUCCESS);
    let images = block_on(async {
        Docker::connect_with_defaults().unwrap().list_images(None::<ListImagesOptions>).await.unwrap()
    });
    let mut names = images.iter().flat_map(|image| &image.repo_tags);
    assert!(!names.any(|name| name.contains("left-nowhere")), "no name of it is left");
}
