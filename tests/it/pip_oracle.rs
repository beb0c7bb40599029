//! The base's own pip as judge of how wheels are installed.
//!
//! Both install the same wheels; what differs must be explained by the rules of `docs/python.md`, each of which is one
//! function here, and nothing else may differ.

use crate::harness::{
    Kiln, LocalIndex, Sandbox, WheelFile, limits, published_repository, ran_in_engine, repository, wheel,
};
use kiln_engine::{GuestPath, InputTree, Limits, RunSpec};
use kiln_pack::{
    Limits as ArchiveLimits, PackError, TarContent, TarWriter, ZipReader, ZipWriter, compress, read_tar,
};
use kiln_record::{Digest, Ecosystem, InputRole, Mode, Record, TreePath, exit};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::time::Duration;

/// Runs the pip that Debian ships as a wheel for virtual environments.
const RUN_PIP: &str = "import glob, runpy, sys\nsys.path.insert(0, glob.glob('/usr/share/python-wheels/pip-*.whl')[0])\n\
                       sys.argv[0] = 'pip'\nrunpy.run_module('pip', run_name='__main__')\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    executable: bool,
    pub(crate) content: Vec<u8>,
}

pub(crate) type Files = BTreeMap<String, Installed>;

/// The Python files of an artifact, relative to where they are imported from, out of its zip.
pub(crate) fn kilns(sandbox: &Sandbox, artifact: &str, prefix: &str) -> (Record, Files) {
    let record = Record::from_json(&sandbox.read(&format!("dist/{artifact}/record.json"))).unwrap();
    let theirs: BTreeSet<_> = record
        .components
        .iter()
        .filter(|component| component.ecosystem != Ecosystem::Application)
        .map(|component| &component.id)
        .collect();
    let owned: BTreeSet<&str> =
        record.files.iter().filter(|f| theirs.contains(&f.component)).map(|f| f.path.as_str()).collect();
    let zip = sandbox.read(&format!("dist/{artifact}/{artifact}.zip"));
    let mut archive = ZipReader::open(Cursor::new(zip), &ArchiveLimits::default()).unwrap();
    let mut files = Files::new();
    for member in archive.members().to_vec() {
        if owned.contains(member.path.as_str()) {
            let executable = member.unix_mode.unwrap() & 0o100 != 0;
            let path = member.path.as_str().strip_prefix(prefix).unwrap().to_owned();
            files.insert(path, Installed { executable, content: archive.read(&member).unwrap() });
        }
    }
    (record, files)
}

/// What the pip of a base makes of the wheels of records, which are in the store by the digests that records name.
pub(crate) fn pips(base: &str, records: &[&Record]) -> Files {
    let store = Store::open(&Kiln::shared_store()).unwrap();
    let mut wheels: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut requirements = BTreeSet::new();
    for component in records.iter().flat_map(|record| &record.components) {
        if let Some(origin) = &component.origin {
            let (name, version) = (&component.name, component.version.as_ref().unwrap());
            requirements.insert(format!("{name}=={version} --hash=sha256:{}\n", origin.digest.hex()));
            wheels.insert(origin.file_name.clone(), store.read_blob(&origin.digest).unwrap());
        }
    }
    assert!(!wheels.is_empty());
    wheels.insert("requirements.txt".to_owned(), requirements.into_iter().collect::<String>().into_bytes());
    let mut tar = TarWriter::new(Vec::new(), 0);
    for (name, bytes) in &wheels {
        tar.add_file(&TreePath::new(name).unwrap(), Mode::Plain, bytes).unwrap();
    }
    let wheels = tar.finish().unwrap();

    let manifest = records[0].inputs.iter().find(|input| input.role == InputRole::Base).unwrap().digest;
    let image = format!("localhost/kiln/{base}:{}", &manifest.hex()[..12]);
    let python = format!("/usr/bin/{}", base.replace('-', ""));
    let arguments = [
        &python,
        "-I",
        "-c",
        RUN_PIP,
        "install",
        "--no-index",
        "--find-links",
        "/wheels",
        "--no-deps",
        "--no-compile",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--require-hashes",
        "--requirement",
        "/wheels/requirements.txt",
        "--target",
        "/out",
    ];
    let path = |text: &str| GuestPath::new(text).unwrap();
    let out = kiln_engine::contract::Kept::default();
    let limits = Limits {
        memory_bytes: 1 << 30,
        output_bytes: 512 << 20,
        output_files: 100_000,
        deadline: Duration::from_secs(600),
        ..limits()
    };
    let spec = RunSpec {
        env: BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]),
        working_dir: "/tmp".to_owned(),
        user: "1000:1000".to_owned(),
        inputs: vec![InputTree::new(path("/wheels"), Cursor::new(wheels))],
        outputs: vec![out.folder("/out")],
        scratch: vec![path("/tmp")],
        ..RunSpec::new("pip oracle", image, arguments, limits)
    };
    let outcome = ran_in_engine("pip-oracle", spec);
    assert_eq!(outcome.exit_code, 0, "{}", String::from_utf8_lossy(&outcome.stderr));
    let mut files = Files::new();
    read_tar(Cursor::new(out.tar()), &ArchiveLimits::default(), |item| {
        match item.content {
            TarContent::File(content) => {
                files
                    .insert(item.path.to_string(), Installed { executable: item.mode & 0o100 != 0, content });
            }
            TarContent::Folder => {}
            other => panic!("{} is {other:?}", item.path),
        }
        Ok::<(), PackError>(())
    })
    .unwrap();
    files
}

/// A path's place in a `.dist-info` folder at the top, if that is where it is.
fn in_dist_info(path: &str) -> Option<&str> {
    path.split_once(".dist-info/").filter(|(folder, _)| !folder.contains('/')).map(|(_, rest)| rest)
}

/// Rule: what says who installed is not there.
fn is_installers_trace(path: &str) -> bool {
    matches!(in_dist_info(path), Some("INSTALLER" | "REQUESTED" | "direct_url.json"))
}

/// Rule: RECORD is written anew.
fn is_record(path: &str) -> bool {
    in_dist_info(path) == Some("RECORD")
}

/// Rule: what a wheel brings as a script can be executed, even if its archive was made where there is no such mode.
fn is_script_made_executable(path: &str, ours: &Installed) -> bool {
    path.starts_with("bin/") && ours.executable
}

/// Rule: data files below `lib/` are kept.
fn is_kept_data(path: &str) -> bool {
    path.starts_with("lib/")
}

/// Rule: pip makes a command for the running Python when it installs itself.
fn is_pips_own_command(path: &str, kilns: &Files) -> bool {
    path == "bin/pip3.13" && kilns.contains_key("pip/__main__.py")
}

/// Rule: commands start with another interpreter line.
fn without_interpreter_line<'a>(path: &str, file: &'a Installed) -> &'a [u8] {
    let content = file.content.as_slice();
    if path.starts_with("bin/") && content.starts_with(b"#!") {
        let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(content.len());
        return &content[end..];
    }
    content
}

/// Everything that the rules do not explain.
pub(crate) fn differences(kilns: &Files, pips: &Files) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, file) in pips.iter().filter(|(path, _)| !is_installers_trace(path)) {
        match kilns.get(path) {
            None if is_pips_own_command(path, kilns) => {}
            None => differences.push(format!("{path}: only pip has it")),
            Some(ours) if ours.executable != file.executable && !is_script_made_executable(path, ours) => {
                differences.push(format!("{path}: another mode"));
            }
            Some(_) if is_record(path) => {}
            Some(ours) if without_interpreter_line(path, ours) != without_interpreter_line(path, file) => {
                differences.push(format!("{path}: other content"));
            }
            Some(_) => {}
        }
    }
    let added = kilns.keys().filter(|path| !pips.contains_key(*path) && !is_kept_data(path));
    differences.extend(added.map(|path| format!("{path}: only kiln has it")));
    // RECORD differs from pip's, but it must be right: each file that it lists is there, and it lists every file.
    let mut listed = BTreeSet::new();
    for (record, file) in kilns.iter().filter(|(path, _)| is_record(path)) {
        for row in String::from_utf8(file.content.clone()).unwrap().lines() {
            let mut fields = row.rsplitn(3, ',');
            let (size, hash, path) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            let path = path.trim_matches('"');
            listed.insert(path.to_owned());
            let Some(there) = kilns.get(path) else {
                differences.push(format!("{record}: lists {path}, which is not there"));
                continue;
            };
            let base64 = Digest::of(&there.content).base64().replace('+', "-").replace('/', "_");
            let expected =
                (format!("sha256={}", base64.trim_end_matches('=')), there.content.len().to_string());
            if path != record && (hash, size) != (&expected.0, &expected.1) {
                differences.push(format!("{record}: another hash or size of {path}"));
            }
        }
    }
    differences.extend(
        kilns.keys().filter(|path| !listed.contains(*path)).map(|path| format!("{path}: in no RECORD")),
    );
    differences
}

#[test]
fn installs_what_pip_installs() {
    let sandbox = published_repository();
    let (record, ours) = kilns(sandbox, "dashboard", "");
    assert!(ours.keys().any(|path| path.starts_with("pydantic_core/") && path.ends_with(".so")));
    assert_eq!(differences(&ours, &pips("python-3.13", &[&record])), [""; 0], "dashboard");

    let (record, ours) = kilns(sandbox, "powertools-layer", "python/");
    assert_eq!(differences(&ours, &pips("python-3.11", &[&record])), [""; 0], "powertools-layer");

    // Two functions take different parts of one set of requirements.
    let (ingestion, mut ours) = kilns(sandbox, "ingestion", "");
    let (analysis, rest) = kilns(sandbox, "analysis", "");
    ours.extend(rest);
    assert_eq!(differences(&ours, &pips("python-3.13", &[&ingestion, &analysis])), [""; 0], "telemetry");
}

/// Gives members of a wheel execute bits.
fn with_executables(mut file: WheelFile, paths: &[&str]) -> WheelFile {
    let mut archive = ZipReader::open(Cursor::new(&file.bytes), &ArchiveLimits::default()).unwrap();
    let mut zip = ZipWriter::new(Vec::new());
    for member in archive.members().to_vec() {
        let mode = if paths.contains(&member.path.as_str()) { Mode::Executable } else { Mode::Plain };
        zip.add_file(&member.path, mode, &compress(&archive.read(&member).unwrap())).unwrap();
    }
    file.bytes = zip.finish().unwrap();
    file
}

#[test]
fn installs_odd_wheels_as_pip_does() {
    let commands = b"[console_scripts]\nodd = odd.cli:main\nodd-more = odd.cli:App.run [extra]\n\n[gui_scripts]\nodd-gui=odd.cli:main\n\
                     [other]\nodd = odd.cli:plugin\n";
    let schemes = wheel(
        "odd",
        "1.0",
        "py3-none-any",
        &[],
        &[
            ("odd/__init__.py", b"VALUE = 1\n"),
            ("odd/cli.py", b"def main():\n    pass\n\nclass App:\n    run = main\n"),
            ("odd/data/with space.txt", b"text\r\nwith both\nline ends"),
            ("odd/data/naïve.txt", b"\xff\xfe\x00"),
            ("odd/tool.sh", b"#!/bin/sh\n"),
            ("odd/empty.txt", b""),
            ("odd-1.0.data/purelib/odd_pure.py", b"PURE = 1\n"),
            ("odd-1.0.data/platlib/odd_plat/__init__.py", b"PLAT = 1\n"),
            ("odd-1.0.data/scripts/odd-script", b"#!python\nprint('hello')\n"),
            ("odd-1.0.data/scripts/odd-window", b"#!pythonw -E\nprint('hello')\n"),
            ("odd-1.0.data/scripts/odd.sh", b"#!/bin/sh\necho hello\n"),
            ("odd-1.0.data/headers/odd.h", b"#define ODD 1\n"),
            ("odd-1.0.data/data/share/odd/notes.txt", b"notes\n"),
            ("odd-1.0.data/data/etc/odd.conf", b"a = 1\n"),
            ("odd-1.0.data/data/lib/odd.dat", b"kept\n"),
            ("odd-1.0.dist-info/entry_points.txt", commands),
            ("odd-1.0.dist-info/INSTALLER", b"someone"),
            ("odd-1.0.dist-info/licenses/LICENSE", b"free\n"),
            ("odd-1.0.dist-info/top_level.txt", b"odd\n"),
        ],
    );
    let schemes = with_executables(schemes, &["odd/tool.sh"]);
    // Two that share a namespace, one with an old spelling of its name and a local version.
    let first =
        wheel("space-first", "2.0.post1", "py2.py3-none-any", &[], &[("space/first.py", b"FIRST = 1\n")]);
    let second = wheel(
        "Space.Second",
        "3.1+local.7",
        "py3-none-any",
        &["space-first ; python_version < '4'"],
        &[("space/second/__init__.py", b"SECOND = 2\n"), ("space_second.pth", b"# nothing\n")],
    );
    let wheels = [schemes, first, second];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import odd.cli, odd_plat, odd_pure, space.first, space.second\n\ndef handler(event, context):\n    return odd.VALUE\n";
    let requirements: String = wheels.iter().map(|file| file.requirement("")).collect();
    for (name, python) in [("new", "3.13"), ("old", "3.11")] {
        sandbox.function(name, python, code, &requirements);
    }
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    for (name, base) in [("new", "python-3.13"), ("old", "python-3.11")] {
        let (record, ours) = kilns(&sandbox, name, "");
        let scripts: Vec<&str> = ours.keys().filter_map(|path| path.strip_prefix("bin/")).collect();
        assert_eq!(scripts, ["odd", "odd-gui", "odd-more", "odd-script", "odd-window", "odd.sh"]);
        let pips = pips(base, &[&record]);
        assert_eq!(differences(&ours, &pips), [""; 0], "{name}");
        assert!(ours.contains_key("lib/odd.dat") && !pips.contains_key("lib/odd.dat"));
        // The judge does judge: it has what the rules leave out, and sees a change of one byte.
        assert!(pips.contains_key("odd-1.0.dist-info/INSTALLER"));
        let mut changed = ours.clone();
        changed.get_mut("odd/tool.sh").unwrap().content.push(b'\n');
        assert_eq!(differences(&changed, &pips).len(), 2, "{name}");
    }
}

/// Distributions of every kind, by the hundred: see the head of the list.
#[test]
fn a_hundred_popular_distributions_are_installed_as_pip_does() {
    let sandbox = Sandbox::new();
    let lock = fs_err::read_to_string(repository().join("tests/conformance/python-3.13.txt")).unwrap();
    let code = "import aiohttp, boto3, bs4, cryptography.fernet, dateutil, fastapi, flask, google.cloud.storage, grpc\n\
                import jwt, lxml.etree, numpy, opentelemetry.sdk, PIL.Image, psycopg2, pydantic, regex, ruamel.yaml\n\
                import sqlalchemy, yaml, zope.interface\n\ndef handler(event, context):\n    return None\n";
    sandbox.function("app", "3.13", code, &lock);
    sandbox.append(
        "manifests/app.toml",
        "\n[policy.levels]\nzip-too-large = \"note\"\nstartup-code = \"note\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).does_not_say("warn[");
    let (record, ours) = kilns(&sandbox, "app", "");
    let installed = record.components.iter().filter(|c| c.ecosystem == Ecosystem::Python).count();
    assert!(installed >= 100 && ours.len() > 9_000, "{installed} with {} files", ours.len());
    assert_eq!(differences(&ours, &pips("python-3.13", &[&record])), [""; 0]);
    // What users can ask is another judge with the same rules, and comes to the same.
    sandbox
        .kiln()
        .run(["verify", "--cross-check", "app"])
        .ends_with(exit::SUCCESS)
        .prints(&["differences explained, 0 not"]);
}
