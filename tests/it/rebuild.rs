//! Building again what was published, from its commit or a folder, and saying how equal it is.

use crate::harness::signed::key;
use crate::harness::{OtherEngine, Outcome, Sandbox, with_packages};
use crate::lacking;
use kiln_pack::{Limits, ZipReader};
use kiln_record::exit;
use serde_json::Value;
use std::io::{Cursor, Write as _};

const CODE: &str = "def handler(event, context):\n    return None\n";
const PYTHON: &str = "/usr/bin/python3.13";
const MANIFEST: &str = "manifests/app.toml";

/// A step of a Python program that runs once.
fn step(name: &str, program: &str, rest: &str) -> String {
    let program = program.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!(
        "\n[[step]]\nname = \"{name}\"\nargv = [\"{PYTHON}\", \"-c\", \"{program}\"]\nreproducible = \"assume\"\n{rest}\n"
    )
}

/// A committed and built function with a step, and a bill of materials among its files.
fn built() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    let upper = "open('/out/upper', 'w').write(open('/src/words').read().upper())\n";
    let rest = "inputs = [{ path = \"app/data\", at = \"/src\" }]\noutputs = [{ path = \"/out/upper\", into = \".\" }]";
    sandbox.append(MANIFEST, &step("upper", upper, rest)).write("manifests/app/data/words", "words\n");
    sandbox.write("manifests/app/src/bom.json", "{\"serialNumber\": \"1\", \"name\": \"app\"}\n");
    let commit = sandbox.commit("first");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    (sandbox, commit)
}

/// Every file of the workspace but what git keeps, with its content.
fn everything(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut pending = vec![sandbox.root()];
    while let Some(folder) = pending.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with(".git") => {}
                true => pending.push(path),
                false => files.push((path.display().to_string(), fs_err::read(&path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

/// The published zip with other fields around its files, and with one file changed if that is asked for.
fn rezipped(sandbox: &Sandbox, changed: Option<(&str, &str)>) -> String {
    let zip = sandbox.read("dist/app/app.zip");
    let mut archive = ZipReader::open(Cursor::new(zip), &Limits::default()).unwrap();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for member in archive.members().to_vec() {
        let options =
            zip::write::SimpleFileOptions::default().unix_permissions(member.unix_mode.unwrap() & 0o777);
        writer.start_file(member.path.as_str(), options).unwrap();
        let content = match changed {
            Some((path, content)) if path == member.path.as_str() => content.as_bytes().to_vec(),
            _ => archive.read(&member).unwrap(),
        };
        writer.write_all(&content).unwrap();
    }
    let file = sandbox.folder().join("released.zip");
    fs_err::write(&file, writer.finish().unwrap().into_inner()).unwrap();
    file.display().to_string()
}

fn level(outcome: Outcome) -> (String, Value) {
    let document = outcome.json();
    (document["level"].as_str().unwrap().to_owned(), document)
}

#[test]
fn a_build_is_made_again_from_its_commit_and_compared() {
    let (sandbox, commit) = built();
    let before = everything(&sandbox);

    // What the ledger knows will do, and the step runs again.
    let again = sandbox.kiln().run(["rebuild", "app@1", "--format", "json"]).ends_with(exit::SUCCESS);
    let (found, document) = level(again.says(&["app upper"]));
    assert_eq!((found.as_str(), &document["record_keys"]), ("E0", &serde_json::json!([])), "{document:#}");
    assert!(document["source"].as_str().unwrap().ends_with(&format!("@{commit}")));
    assert_eq!(everything(&sandbox), before, "nothing of the workspace is written");

    // What is in the folder now is not what was built: the commit is.
    sandbox.append("manifests/app/src/app.py", "# changed\n");
    let text = sandbox.kiln().run(["rebuild", "dist/app/record.json"]).ends_with(exit::SUCCESS);
    text.prints(&["E0 (identical bytes)", "published    sha256:"]);
    let (found, document) = level(
        sandbox
            .kiln()
            .run(["rebuild", "dist/app/app.zip", "--source", ".", "--format", "json"])
            .ends_with(exit::NOT_REPRODUCIBLE),
    );
    assert_eq!((found.as_str(), document["differences"].as_array().unwrap().len()), ("X", 1));
    assert_eq!(document["differences"][0]["path"], "app.py");
    assert_eq!(document["differences"][0]["component"], "application/app");
    assert_eq!(document["differences"][0]["how"], "line 3 is the end and then `# changed`");

    // Releases of others: the same files in another zip, another serial number in a bill of materials, other code.
    let judge = |file: &str| {
        let words = ["rebuild", "app@1", "--against", file, "--format", "json"];
        let outcome = sandbox.kiln().run(words);
        (outcome.code, level(outcome))
    };
    let file = rezipped(&sandbox, None);
    let (code, (found, document)) = judge(&file);
    assert_eq!((code, found.as_str()), (Some(i32::from(exit::REBUILT_E1)), "E1"), "{document:#}");
    let file = rezipped(&sandbox, Some(("bom.json", "{\"serialNumber\": \"2\", \"name\": \"app\"}\n")));
    let (code, (found, document)) = judge(&file);
    assert_eq!((code, found.as_str()), (Some(i32::from(exit::REBUILT_E2)), "E2"), "{document:#}");
    assert_eq!(document["stabilised"], serde_json::json!([{ "rule": "sbom-identity", "files": 1 }]));
    let file = rezipped(&sandbox, Some(("upper", "lower\n")));
    let (code, (found, document)) = judge(&file);
    assert_eq!((code, found.as_str()), (Some(i32::from(exit::NOT_REPRODUCIBLE)), "X"));
    assert_eq!(document["differences"][0]["how"], "line 1 is `lower` and then `WORDS`");
    let markdown = ["rebuild", "app@1", "--against", &file, "--format", "markdown"];
    sandbox.kiln().run(markdown).prints(&["### Rebuild of `app@1`: X", "- `upper of application/upper: "]);
}

#[test]
fn provenance_alone_and_a_commit_are_enough_in_an_empty_folder() {
    let (sandbox, commit) = built();
    let elsewhere = Sandbox::bare();
    fs_err::remove_file(elsewhere.path("kiln.toml")).unwrap();
    elsewhere.write("app.intoto.jsonl", sandbox.read("dist/app/app.intoto.jsonl"));
    elsewhere.write("record.json", sandbox.read("dist/app/record.json"));
    let source = format!("git:{}@{commit}", sandbox.root().display());
    let words = ["rebuild", "app.intoto.jsonl", "--source", &source, "--format", "json"];
    let (found, document) = level(elsewhere.kiln().run(words).ends_with(exit::SUCCESS));
    assert_eq!(found, "E0", "{document:#}");
    assert_eq!(document["not_compared"], serde_json::json!(["the record: provenance does not have it"]));

    // The same statement in the envelope that a release has.
    let (private, _) = key(sandbox.folder(), "release", "ed25519");
    sandbox.kiln().run(["sign", "--key-file", private.to_str().unwrap()]).ends_with(exit::SUCCESS);
    elsewhere.write("signed.intoto.jsonl", sandbox.read("dist/app/app.signed.intoto.jsonl"));
    let words = ["rebuild", "signed.intoto.jsonl", "--source", &source, "--format", "json"];
    let (found, document) = level(elsewhere.kiln().run(words).ends_with(exit::SUCCESS));
    assert_eq!(found, "E0", "{document:#}");

    // Without a source nothing is guessed.
    let nothing = elsewhere.kiln().run(["rebuild", "record.json"]).ends_with(exit::INPUT_INVALID);
    nothing.says(&["record.json cannot be built again", "--source git:URL@COMMIT"]);
    let other =
        elsewhere.kiln().run(["rebuild", "record.json", "--source", "."]).ends_with(exit::INPUT_INVALID);
    other.says(&["it holds no kiln.toml"]);
    let gone = format!("git:{}@{}", sandbox.root().display(), "0".repeat(40));
    elsewhere.kiln().run(["rebuild", "record.json", "--source", &gone]).ends_with(exit::FETCH_FAILED);
    elsewhere.kiln().run(["rebuild", "record.json", "--source", "git:x"]).ends_with(exit::USAGE);
}

#[test]
fn a_build_that_is_not_what_was_expected_is_not_published() {
    let (sandbox, _) = built();
    let record = sandbox.folder().join("expected.json").display().to_string();
    fs_err::write(&record, sandbox.read("dist/app/record.json")).unwrap();
    let build = ["build", "app", "--expect", &record, "--color", "never"];
    sandbox.kiln().run(build).ends_with(exit::SUCCESS);
    sandbox.write("manifests/app/data/words", "other words\n");
    let before = sandbox.dist();
    let refused = sandbox.kiln().run(build).ends_with(exit::NOT_REPRODUCIBLE);
    refused.says(&["app is not what", "upper of application/upper is another", "nothing was published"]);
    assert_eq!(sandbox.dist(), before);
    sandbox.kiln().run(["history", "--format", "json"]).prints(&["\"number\": 1"]);
    // What is unchanged is held against it, too.
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(build).ends_with(exit::NOT_REPRODUCIBLE);
    let other = ["build", "other", "--expect", &record];
    sandbox.kiln().run(other).ends_with(exit::USAGE).says(&["is of app, which is not to be built"]);
}

/// A program that writes a file for each thing that it can see of its surroundings.
const NOSY: &str = "
import os, socket, stat, time
def told(name, value):
    open('/out/' + name, 'w').write(str(value))
open('/out/probe', 'w').close()
told('cores', len(os.sched_getaffinity(0)))
told('file-order', os.listdir('/src'))
told('home', os.environ['HOME'])
told('host-name', socket.gethostname())
told('input-times', os.stat('/src/a').st_mtime)
told('locale', os.environ['LC_ALL'])
told('path', os.environ['PATH'])
told('time', time.time_ns())
told('umask', stat.S_IMODE(os.stat('/out/probe').st_mode))
told('user', (os.getuid(), os.getgid()))
told('zone', time.tzname)
";

#[test]
fn each_thing_that_a_step_depends_on_is_named() {
    let sandbox = Sandbox::new();
    // A layer, as nothing else is run for it.
    let layer = "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\n\
                 architecture = \"x86_64\"\n";
    let rest = "inputs = [{ path = \"app/data\", at = \"/src\" }]\noutputs = [{ path = \"/out\", into = \"lib/seen\" }]";
    sandbox.write(MANIFEST, format!("{layer}{}", step("nosy", NOSY, rest)));
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        sandbox.write(&format!("manifests/app/data/{name}"), name);
    }
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let words = ["rebuild", "app", "--source", ".", "--vary", "--format", "json"];
    // What it was is lost: a rebuild has another time, and that is no matter here.
    let document = sandbox.kiln().run(words).ends_with(exit::NOT_REPRODUCIBLE).json();
    let varied = &document["varied"];
    let guilty: Vec<(String, String)> = varied["depends_on"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_eq!(one["variations"].as_array().unwrap().len(), 1, "{one:#}");
            assert_eq!(one["entries"], 1, "{one:#}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            assert!(text(&one["first"]["how"]).starts_with("line 1 is `"), "{one:#}");
            (text(&one["variations"][0]), text(&one["first"]["path"]))
        })
        .collect();
    let mut expected = vec![("time-or-chance".to_owned(), "lib/seen/time".to_owned())];
    for name in varied["varied"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        expected.push((name.to_owned(), format!("lib/seen/{name}")));
    }
    assert_eq!(guilty, expected);
    assert!(expected.len() >= 10, "{expected:?}");
    let not_varied = varied["not_varied"].as_array().unwrap();
    assert!(not_varied.iter().any(|one| one["what"] == "wall-clock"), "{not_varied:?}");
}

/// A date is the same for two builds of one day: only another date shows it.
#[test]
fn a_date_that_a_step_depends_on_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("images/dated.toml", with_packages("python-3.13", &["libfaketime"]));
    sandbox.kiln().run(["lock", "--base", "dated"]).ends_with(exit::SUCCESS);
    let layer = "kind = \"lambda-layer\"\nbase = \"dated\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \"x86_64\"\n";
    let program = "import datetime\nopen('/out/year', 'w').write(str(datetime.date.today().year))\n";
    let rest = "outputs = [{ path = \"/out\", into = \"lib/seen\" }]";
    sandbox.write(MANIFEST, format!("{layer}{}", step("dated", program, rest)));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let words = ["rebuild", "app", "--source", ".", "--vary", "--format", "json"];
    let document = sandbox.kiln().run(words).ends_with(exit::NOT_REPRODUCIBLE).json();
    let guilty = document["varied"]["depends_on"].as_array().unwrap();
    assert_eq!(guilty.len(), 1, "{guilty:#?}");
    assert_eq!(guilty[0]["variations"], serde_json::json!(["wall-clock"]));
    assert_eq!(guilty[0]["first"]["path"], "lib/seen/year");
}

#[test]
fn what_depends_on_nothing_is_told_after_two_builds() {
    let (sandbox, _) = built();
    // The same engine by its address stands for a second one.
    let stated = std::env::vars().find(|(name, _)| name == "DOCKER_HOST").map(|(_, host)| host);
    let host = stated.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let words = ["rebuild", "app", "--vary", "--second-engine", &host];
    let again = sandbox.kiln().run(words).ends_with(exit::SUCCESS);
    again.clone().prints(&["host-name, engine\n"]);
    again.prints(&[
        "E0 (identical bytes)",
        "none of these, and not on the time that passed",
        "not varied   wall-clock",
    ]);
}

#[test]
fn an_engine_that_a_step_depends_on_is_named() {
    let sandbox = Sandbox::new();
    let layer = "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\n\
                 architecture = \"x86_64\"\n";
    // What the root file system is differs between storage drivers.
    let program = "root = [line.split() for line in open('/proc/mounts') if line.split()[1] == '/'][-1]\n\
                   open('/out/root', 'w').write(root[2])\nopen('/out/other', 'w').write('x')\n";
    let rest = "outputs = [{ path = \"/out\", into = \"lib/seen\" }]";
    sandbox.write(MANIFEST, format!("{layer}{}", step("nosy", program, rest)));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let words = ["rebuild", "app", "--source", ".", "--vary", "--format", "json"];
    let document = sandbox.kiln().run(words).ends_with(exit::SUCCESS).json();
    let not_varied = document["varied"]["not_varied"].as_array().unwrap();
    assert!(not_varied.iter().any(|one| one["what"] == "engine and storage driver"), "{document:#}");
    // All else is the same on every machine, and where there is one engine it stays with that.
    let Some(second) = lacking::ENGINE_TO_VARY.unless(OtherEngine::start("vfs")) else { return };
    let host = second.host();
    let words = [&words[..], &["--second-engine", &host]].concat();
    let document = sandbox.kiln().run(words).ends_with(exit::NOT_REPRODUCIBLE).json();
    let guilty = document["varied"]["depends_on"].as_array().unwrap();
    assert_eq!(guilty.len(), 1, "{document:#}");
    assert_eq!(guilty[0]["variations"], serde_json::json!(["engine"]), "{document:#}");
    assert_eq!((&guilty[0]["first"]["path"], &guilty[0]["entries"]), (&"lib/seen/root".into(), &1.into()));
    assert!(guilty[0]["first"]["how"].as_str().unwrap().starts_with("line 1 is `"), "{document:#}");
}

#[test]
fn an_exception_with_a_reason_excuses_what_it_names() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    let clock = "import time\nopen('/out/now', 'w').write(str(time.time_ns()))\n";
    let rest = "outputs = [{ path = \"/out/now\", into = \".\" }]";
    let checked = step("clock", clock, rest).replace("reproducible = \"assume\"\n", "");
    sandbox.append(MANIFEST, &checked).append(
        MANIFEST,
        "\n[[policy.exception]]\ncode = \"step-not-reproducible\"\nsubject = \"clock\"\nreason = \"a build number\"\n\
         until = \"2999-12-31\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let words = ["rebuild", "app", "--source", ".", "--format", "json"];
    let (found, document) = level(sandbox.kiln().run(words).ends_with(exit::REBUILT_E3));
    assert_eq!(found, "E3");
    assert!(
        document["differences"][0]["excused"].as_str().unwrap().contains("a build number"),
        "{document:#}"
    );
}

/// The statement in an envelope.
pub(crate) fn statement(path: &std::path::Path) -> Value {
    use base64::Engine as _;
    let envelope: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn a_verdict_is_signed_and_counted() {
    let (sandbox, _) = built();
    let (private, public) = key(sandbox.folder(), "anna", "ed25519");
    let private = private.to_str().unwrap();
    let verdict = sandbox.path("dist/app/app.anna.vsa.intoto.jsonl");
    let file = verdict.to_str().unwrap();
    let kiln = sandbox.kiln();
    // Without a key nothing is built.
    kiln.run(["rebuild", "app@1", "--attest", file]).ends_with(exit::USAGE);
    kiln.run(["rebuild", "app@1", "--attest", file, "--key-file", private]).ends_with(exit::SUCCESS);
    let said = statement(&verdict);
    assert_eq!(said["predicate"]["verificationResult"], "PASSED");
    assert_eq!(said["predicate"]["urn:kiln:equality"], "E0");
    let archive = kiln_record::Digest::of(&sandbox.read("dist/app/app.zip")).hex();
    assert_eq!(said["subject"][0]["digest"]["sha256"], archive.as_str());
    let record = kiln_record::Digest::of(&sandbox.read("dist/app/record.json")).hex();
    assert_eq!(said["predicate"]["inputAttestations"][0]["digest"]["sha256"], record.as_str());
    let verify = ["verify", "--require", "1/1", "--keys", public.to_str().unwrap(), "--", "dist"];
    kiln.run(verify).ends_with(exit::SUCCESS).prints(&["by 1 of 1 rebuilders"]);
    // Another container around the same files is judged by its own bytes, and fails.
    let other = rezipped(&sandbox, None);
    let failed = sandbox.folder().join("failed.vsa.intoto.jsonl");
    let words = [
        "rebuild",
        "app@1",
        "--against",
        &other,
        "--attest",
        failed.to_str().unwrap(),
        "--key-file",
        private,
    ];
    kiln.run(words).ends_with(exit::REBUILT_E1);
    let said = statement(&failed);
    assert_eq!(said["predicate"]["verificationResult"], "FAILED");
    assert_eq!(said["predicate"]["urn:kiln:equality"], "E1");
    let judged = kiln_record::Digest::of(&fs_err::read(&other).unwrap()).hex();
    assert_eq!(said["subject"][0]["digest"]["sha256"], judged.as_str());
}
