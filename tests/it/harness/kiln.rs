//! The binary under test, in an environment of its own.

use super::kept::keep;
use super::sandbox::copy_folder;
use super::{LocalMirror, Running, Sandbox, schemas};
use kiln_record::{Exit, exit};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Settings of the machine that a test must not lose: how to reach registries and the engine.
const PASSED_ON: [&str; 4] = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "KILN_DEBIAN_MIRROR"];
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
    program: PathBuf,
    shell: Option<String>,
    user: Option<(u32, u32)>,
}

impl Kiln {
    pub(crate) fn new(workspace: &Path, home: &Path) -> Self {
        Self {
            workspace: workspace.to_owned(),
            home: home.to_owned(),
            store: Self::shared_store(),
            variables: Vec::new(),
            program: Self::program(),
            shell: None,
            user: None,
        }
    }

    /// The binary under test.
    pub(crate) fn program() -> PathBuf {
        PathBuf::from(env!("CARGO_BIN_EXE_kiln-under-test"))
    }

    /// The store that tests share, so that a wheel is downloaded once. It outlives a run of the tests.
    pub(crate) fn shared_store() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("store")
    }

    /// Uses another store. Packages of the committed bases come from the one that tests share, as a mirror
    /// does not have them for ever.
    pub(crate) fn with_store(mut self, store: &Path) -> Self {
        self.store = store.to_owned();
        self.with_variable("KILN_DEBIAN_MIRROR", &LocalMirror::of_all_tests().url())
    }

    /// Uses another store, which has the base of Python 3.13 and nothing that was made on it.
    pub(crate) fn with_store_of_base(self, store: &Path) -> Self {
        static PREPARED: OnceLock<PathBuf> = OnceLock::new();
        let prepared = PREPARED.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap().keep();
            keep(&folder);
            let sandbox = Sandbox::new();
            sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
            sandbox.kiln().with_store(&folder).run(["build", "app"]).ends_with(exit::SUCCESS);
            // What was unpacked belongs to one place, and is unpacked again.
            fs_err::remove_dir_all(folder.join("unpacked")).unwrap();
            folder
        });
        copy_folder(prepared, store);
        self.with_store(store)
    }

    /// Sets an environment variable.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses another copy of the binary.
    pub(crate) fn with_program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Lets a POSIX shell start the binary: `"$@"` in the script is the whole command.
    pub(crate) fn in_shell(mut self, script: &str) -> Self {
        self.shell = Some(script.to_owned());
        self
    }

    /// Runs as another user, with one group and no others.
    pub(crate) fn with_user(mut self, user: u32, group: u32) -> Self {
        self.user = Some((user, group));
        self
    }

    /// Sends every request to an address, whatever it is for, and names it as index and mirror, too.
    pub(crate) fn with_network_only_at(mut self, url: &str) -> Self {
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            self = self.with_variable(name, url);
        }
        for name in ["UV_DEFAULT_INDEX", "PIP_INDEX_URL", "KILN_DEBIAN_MIRROR"] {
            self = self.with_variable(name, url);
        }
        self.with_variable("no_proxy", "").with_variable("NO_PROXY", "")
    }

    /// The command, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = match &self.shell {
            Some(script) => {
                let mut command = Command::new("sh");
                command.args(["-c", script, "sh"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
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
            .env("CARGO_HOME", cargo_home())
            .envs(self.variables.iter().cloned())
            .current_dir(&self.workspace)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        let arguments: Vec<S> = arguments.into_iter().collect();
        let words: Vec<String> =
            arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
        let mut command = self.command(arguments);
        let line = format!("{command:?}");
        let outcome = Outcome::new(line, command.output().expect("the binary starts"));
        if !outcome.stdout.is_empty()
            && let Some(schema) = schemas::of_output(&words, &outcome.stdout)
        {
            schemas::validate(&schema, &outcome.json());
        }
        outcome
    }

    /// Starts it, to be looked at or stopped on the way.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(arguments))
    }
}

/// Copies what cargo knows of the registry of crates, for a user who cannot read where that is.
pub(crate) fn copy_cargo_home(to: &Path) {
    let index = Path::new("registry/index");
    let known = fs_err::read_dir(cargo_home().join(index)).into_iter().flatten();
    let indexes = known.map(|entry| index.join(entry.unwrap().file_name()).join("config.json"));
    for file in indexes.chain(["config.toml".into(), "config".into()]) {
        let from = cargo_home().join(&file);
        if from.is_file() {
            fs_err::create_dir_all(to.join(&file).parent().unwrap()).unwrap();
            fs_err::copy(from, to.join(&file)).unwrap();
        }
    }
}

/// Where cargo keeps what it knows of the registry of crates: that of whoever runs the tests.
fn cargo_home() -> PathBuf {
    let stated = std::env::vars_os().find(|(name, _)| name == "CARGO_HOME").map(|(_, folder)| folder.into());
    stated.unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cargo"))
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    line: String,
    pub(crate) code: Option<i32>,
    /// The signal that ended it, if one did.
    signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn new(line: String, output: Output) -> Self {
        Self {
            line,
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the run ended with this exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, exit: Exit) -> Self {
        assert_eq!(self.code, Some(i32::from(exit)), "{self}");
        self
    }

    /// Fails the test unless standard error holds every part, in any order; line breaks count as spaces,
    /// and so do the rules at the left of a frame.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        let words = self.stderr.split_whitespace().filter(|word| *word != "│");
        let flat = words.collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(flat.contains(part), "standard error lacks {part:?}\n{self}");
        }
        self
    }

    /// Fails the test unless standard output holds every part.
    #[track_caller]
    pub(crate) fn prints(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stdout.contains(part), "standard output lacks {part:?}\n{self}");
        }
        self
    }

    /// Fails the test if standard error holds a part.
    #[track_caller]
    pub(crate) fn does_not_say(self, part: &str) -> Self {
        assert!(!self.stderr.contains(part), "standard error holds {part:?}\n{self}");
        self
    }

    /// How each artifact of a `build --format json` ended.
    #[track_caller]
    pub(crate) fn endings(&self) -> BTreeMap<String, String> {
        let document = self.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let artifacts = document["artifacts"].as_array().unwrap();
        artifacts.iter().map(|row| (text(&row["artifact"]), text(&row["ending"]))).collect()
    }

    /// Fails the test unless a `build --format json` published exactly these artifacts and left all others
    /// unchanged.
    #[track_caller]
    pub(crate) fn published_only(self, names: &[&str]) -> Self {
        for (name, ending) in self.endings() {
            let expected = if names.contains(&name.as_str()) { "published" } else { "unchanged" };
            assert_eq!(ending, expected, "{name}\n{self}");
        }
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
        write!(f, "{}\ncode: {:?}", self.line, self.code)?;
        if let Some(signal) = self.signal {
            write!(f, ", ended by signal {signal}")?;
        }
        write!(f, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}
