//! The binary under test, in an environment of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Settings of the machine that a test must not lose: how to reach registries and the engine.
const PASSED_ON: [&str; 3] = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Prefixes of such settings.
const PASSED_ON_PREFIXES: [&str; 8] =
    ["DOCKER_", "UV_", "PIP_", "HTTP_", "HTTPS_", "NO_PROXY", "http", "no_proxy"];

/// Runs the binary for one workspace.
#[derive(Clone, Debug)]
pub(crate) struct Kiln {
    workspace: PathBuf,
    home: PathBuf,
    store: PathBuf,
    variables: Vec<(String, String)>,
}

impl Kiln {
    pub(crate) fn new(workspace: &Path, home: &Path) -> Self {
        Self { workspace: workspace.to_owned(), home: home.to_owned(), store: Self::shared_store(), variables: Vec::new() }
    }

    /// The store that tests share, so that a wheel is downloaded once. It outlives a run of the tests.
    pub(crate) fn shared_store() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("store")
    }

    /// Uses another store.
    pub(crate) fn with_store(mut self, store: &Path) -> Self {
        self.store = store.to_owned();
        self
    }

    /// Sets an environment variable.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln-under-test"));
        command.env_clear();
        for (name, value) in std::env::vars_os() {
            let Some(text) = name.to_str() else { continue };
            if PASSED_ON.contains(&text) || PASSED_ON_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", &self.home)
            .env("KILN_STORE", &self.store)
            .envs(self.variables.iter().cloned())
            .current_dir(&self.workspace)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        let mut command = self.command(arguments);
        let line = format!("{command:?}");
        Outcome::new(line, command.output().expect("the binary starts"))
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn new(line: String, output: Output) -> Self {
        Self {
            line,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the run ended with this exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: u8) -> Self {
        assert_eq!(self.code, Some(i32::from(code)), "{self}");
        self
    }

    /// Fails the test unless standard error holds every part, in any order; line breaks count as spaces.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        let flat = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(flat.contains(part), "standard error lacks {part:?}\n{self}");
        }
        self
    }

    /// Fails the test if standard error holds a part.
    #[track_caller]
    pub(crate) fn does_not_say(self, part: &str) -> Self {
        assert!(!self.stderr.contains(part), "standard error holds {part:?}\n{self}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\ncode: {:?}\n--- stdout\n{}\n--- stderr\n{}", self.line, self.code, self.stdout, self.stderr)
    }
}
