//! Other implementations that judge what kiln makes.

use fs_err as fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes sure that tools of Debian are there, each a program and the package that has it. As root they are
/// installed on demand; otherwise the test fails.
#[track_caller]
pub(crate) fn needs(tools: &[(&str, &str)]) {
    // One test at a time, of whatever process: the package manager lets nobody else in.
    let installing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installing");
    let installing = fs_err::File::create(installing).unwrap().into_file();
    installing.lock().unwrap();
    let says = |tool: &str, version: &str| {
        Command::new(tool).arg(version).output().is_ok_and(|output| output.status.success())
    };
    let there = |tool: &str| says(tool, "--version") || says(tool, "-V");
    let missing: Vec<&str> = tools.iter().filter(|(tool, _)| !there(tool)).map(|(_, of)| *of).collect();
    if missing.is_empty() {
        return;
    }
    let packages = missing.join(" ");
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs packages that are not installed: {packages}"
    );
    let install = format!(
        "apt-get update -qq && apt-get install -o DPkg::Lock::Timeout=300 -qqy --no-install-recommends {packages}"
    );
    let output = Command::new("sh").args(["-c", &install]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs packages that cannot be installed: {packages}\n{said}");
}

/// Makes sure that the readers of images are there.
#[track_caller]
pub(crate) fn needs_image_tools() {
    needs(&[("skopeo", "skopeo"), ("umoci", "umoci")]);
}

/// What a tool prints; it must succeed.
#[track_caller]
pub(crate) fn runs(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A Python that has packages of the index, made once for all tests that ask for the same.
#[track_caller]
pub(crate) fn python_with(name: &str, modules: &str, packages: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = fs::File::create(folder.with_extension("lock")).unwrap().into_file();
    lock.lock().unwrap();
    let python = folder.join("bin/python");
    let import = format!("import {modules}");
    let has = || Command::new(&python).args(["-c", &import]).output();
    if !has().is_ok_and(|output| output.status.success()) {
        runs("python3", &["-m", "venv", folder.to_str().unwrap()]);
        let pip = [&["-m", "pip", "install", "-q"], packages].concat();
        runs(python.to_str().unwrap(), &pip);
    }
    python
}
