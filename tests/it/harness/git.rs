//! A git repository around a workspace.

use super::Sandbox;
use std::process::Command;

impl Sandbox {
    /// Runs git in the workspace, with nothing of the machine's settings, and gives what it prints.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_at(None, arguments)
    }

    /// The same, at another time than now.
    #[track_caller]
    fn git_at(&self, time: Option<&str>, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Test",
                "-c",
                "user.email=test@example.org",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs(time.map(|time| ("GIT_COMMITTER_DATE", time)))
            .current_dir(self.root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits all that is in the workspace, but for what kiln writes, and gives the commit.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) -> String {
        self.commit_at(None, message)
    }

    /// The same, at another time than now.
    #[track_caller]
    pub(crate) fn commit_at(&self, time: Option<&str>, message: &str) -> String {
        if !self.path(".git").exists() {
            self.git(&["init", "--quiet"]);
            self.write(".git/info/exclude", "/.kiln/\n/dist/\n/restored/\n");
        }
        self.git(&["add", "--all"]);
        self.git_at(time, &["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}
