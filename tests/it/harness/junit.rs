//! JUnit XML, held against the schema that Jenkins reads such reports with. It comes from a source distribution that brings
//! it for its own tests, and is validated by libxml2.

use super::{needs, runs};
use fs_err as fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SDIST: &str =
    "pytest==8.3.4 --hash=sha256:965370d062bce11e73868e0335abac31b4d3de0e82f4007408d242b4f8610761\n";
const FILE: &str = "pytest-8.3.4.tar.gz";
const MEMBER: &str = "pytest-8.3.4/testing/example_scripts/junit-10.xsd";

/// Fails the test unless a text is a document of that schema.
#[track_caller]
pub(crate) fn validate_junit(text: &str) {
    let schema = schema();
    let mut validator = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    validator.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let judged = validator.wait_with_output().unwrap();
    assert!(judged.status.success(), "{}\n{text}", String::from_utf8_lossy(&judged.stderr));
}

/// The schema, brought once for all tests.
fn schema() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("junit");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap().into_file();
    lock.lock().unwrap();
    needs(&[("xmllint", "libxml2-utils")]);
    let schema = folder.join("junit-10.xsd");
    if schema.is_file() {
        return schema;
    }
    needs(&[("pip", "python3-pip")]);
    fs::write(folder.join("requirements.txt"), SDIST).unwrap();
    let brought = Command::new("pip")
        .args(["download", "-q", "--no-deps", "--no-binary=pytest", "--require-hashes"])
        .args(["-r", "requirements.txt", "-d", "."])
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&brought.stderr);
    assert!(brought.status.success(), "this test needs a file that cannot be had: {SDIST}\n{said}");
    let unpacked = runs("tar", &["-xzOf", folder.join(FILE).to_str().unwrap(), MEMBER]);
    fs::write(folder.join("unfinished"), unpacked).unwrap();
    fs::rename(folder.join("unfinished"), &schema).unwrap();
    schema
}
