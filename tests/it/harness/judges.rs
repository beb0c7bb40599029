//! Other implementations that judge what kiln makes.

use std::process::Command;

/// Whether Debian's packages of the tools that judge are there; as root they are installed on demand.
#[expect(clippy::print_stdout, reason = "says what this machine did not let it try")]
pub(crate) fn judges() -> bool {
    let there = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success());
    if there("skopeo") && there("umoci") {
        return true;
    }
    if rustix::process::geteuid().is_root() {
        let install = "apt-get update -qq && apt-get install -qqy --no-install-recommends skopeo umoci";
        let _ = Command::new("sh").args(["-c", install]).output();
    }
    let found = there("skopeo") && there("umoci");
    if !found {
        println!("not run: skopeo and umoci are not installed, and cannot be installed here");
    }
    found
}

/// What a tool prints; it must succeed.
#[track_caller]
pub(crate) fn runs(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
