//! What to run in a container, under which limits, and what came of it.

use crate::{EngineError, GuestPath};
use kiln_record::excerpt;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// One program to run once, in a fresh container, without a network and on a read-only root.
///
/// The values are those of a Remote Execution API command (argv, environment, input root, output paths, working
/// directory, timeout), so that another executor than a container engine can take them unchanged.
#[derive(Debug)]
pub struct RunSpec {
    /// A short label for people: artifact and purpose. It ends up in error messages and in a container label.
    pub name: String,
    /// The image, best by id (`sha256:…`); it must be in the engine already.
    pub image: String,
    /// The program and its arguments. The image's own entrypoint is not used.
    pub argv: Vec<String>,
    /// The whole environment. Nothing of the image's environment is added, and no `PATH` or `HOSTNAME`; only `HOME`
    /// is `/` if it is not given, because every container runtime sets one.
    pub env: BTreeMap<String, String>,
    /// The directory to start in.
    pub working_dir: String,
    /// Numeric `user:group`, such as `65534:65534`.
    pub user: String,
    /// Whether the program is one that runs others as that user: it starts as root, and of root's capabilities has those to
    /// become another user and group (`CAP_SETUID`, `CAP_SETGID`). Outputs and scratch folders are the user's all the same.
    pub supervised: bool,
    /// Whether the program writes to stdout whenever it ends well. Where nothing came of that, the engine lost it.
    pub reports: bool,
    /// Trees to unpack before the start. They belong to root and are not writable for other users, but for one at the
    /// path of an output: that folder begins with this content, and both belong to the user.
    pub inputs: Vec<InputTree>,
    /// Folders that belong to the user and are collected after the end. They are empty at the start unless an input has
    /// the same path. They are collected however the program ended by itself.
    pub outputs: Vec<OutputFolder>,
    /// Folders in memory, empty at the start, that the user can write and that are gone at the end, such as `/tmp`.
    pub scratch: Vec<GuestPath>,
    /// Whether there is a `/dev/shm`, which semaphores and shared memory of POSIX need.
    pub shared_memory: bool,
    /// What the program may use.
    pub limits: Limits,
    /// What it can see of the machine, and should not depend on.
    pub surroundings: Surroundings,
}

/// What a program can see of its container, and what no result should depend on: a build that is made again under other
/// surroundings shows whether one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The container's host name.
    pub host_name: String,
    /// The processors that it may run on, in the notation of cpuset(7); all of them if absent.
    pub processors: Option<String>,
    /// The time of every input, in seconds.
    pub input_time: u64,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { host_name: "kiln".to_owned(), processors: None, input_time: 0 }
    }
}

/// A tree for a container.
pub struct InputTree {
    /// Where it is in the container. It hides what the image has there.
    pub path: GuestPath,
    /// What is there.
    pub content: InputContent,
}

/// Where the content of a tree comes from.
pub enum InputContent {
    /// An uncompressed tar of files, folders and links relative to the place. Owners and times in it are ignored; modes
    /// lose write permission for group and others.
    Tar(Box<dyn Read + Send>),
    /// A folder of this machine with files, folders and links that nobody writes to meanwhile, everything of the beginning of
    /// 1970. It is bound, read-only, where the engine was seen to read it ([`crate::Engine::reads_folder`]) and inputs
    /// have that time; else it is sent like a tar. Bound files belong to whom they belong to here.
    Folder(PathBuf),
}

impl InputTree {
    /// A tree from any reader of tar bytes.
    pub fn new(path: GuestPath, tar: impl Read + Send + 'static) -> Self {
        Self { path, content: InputContent::Tar(Box::new(tar)) }
    }

    /// A tree that is a folder of this machine.
    pub fn folder(path: GuestPath, folder: impl Into<PathBuf>) -> Self {
        Self { path, content: InputContent::Folder(folder.into()) }
    }
}

impl fmt::Debug for InputTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputTree").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A folder that is collected.
pub struct OutputFolder {
    /// Where it is.
    pub path: GuestPath,
    /// Takes a tar whose entries are relative to it (`./a/b`), in pieces. It comes from an untrusted program: owners, times,
    /// kinds and links in it are whatever the program made. It is whole only once the run has given an outcome.
    pub to: Box<dyn Write + Send>,
}

impl OutputFolder {
    /// A folder that goes to any writer.
    pub fn new(path: GuestPath, to: impl Write + Send + 'static) -> Self {
        Self { path, to: Box::new(to) }
    }
}

impl fmt::Debug for OutputFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputFolder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a program may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Memory in bytes, scratch folders included; there is no swap beyond it.
    pub memory_bytes: u64,
    /// The most bytes in each scratch folder; they count as memory in any case.
    pub scratch_bytes: Option<u64>,
    /// Descriptors that a process may have open; what the engine gives if nothing is said.
    pub descriptors: Option<u32>,
    /// Processes and threads at one time.
    pub pids: u32,
    /// Processors' worth of time, such as `1.5`; `None` for all of them.
    pub cpus: Option<f64>,
    /// The most bytes kept of stdout and stderr together, and again of all outputs together.
    pub output_bytes: u64,
    /// The most files, folders and links in all outputs together, and in each scratch folder.
    pub output_files: u64,
    /// Time from start to exit, after which the program is killed.
    pub deadline: Duration,
}

/// How a program ended, and what it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// The exit code; 128 + n if signal n ended the program, 127 if the program was not found.
    pub exit_code: i64,
    /// Everything written to stdout.
    pub stdout: Vec<u8>,
    /// Everything written to stderr.
    pub stderr: Vec<u8>,
    /// Whether the kernel killed a process of the container because memory ran out. Known only for runs that failed.
    pub oom_killed: bool,
}

/// A numeric user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl RunSpec {
    /// A program that is given nothing: no variables and no folders. It starts in `/`, as a user who owns no file.
    pub fn new(
        name: impl Into<String>,
        image: impl Into<String>,
        argv: impl IntoIterator<Item = impl Into<String>>,
        limits: Limits,
    ) -> Self {
        Self {
            name: name.into(),
            image: image.into(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            working_dir: "/".to_owned(),
            user: "65534:65534".to_owned(),
            supervised: false,
            reports: false,
            inputs: Vec::new(),
            outputs: Vec::new(),
            scratch: Vec::new(),
            shared_memory: true,
            limits,
            surroundings: Surroundings::default(),
        }
    }

    /// Refuses a description that engines would understand differently, or not at all.
    ///
    /// # Errors
    /// [`EngineError::InvalidRun`] with what is wrong.
    pub fn check(&self) -> Result<User, EngineError> {
        let error = |why: String| Err(EngineError::InvalidRun { name: self.name.clone(), why });
        if self.argv.first().is_none_or(String::is_empty) {
            return error("there is no program to run".to_owned());
        }
        if self.argv.iter().any(|text| text.contains('\0')) {
            return error("an argument holds a NUL byte".to_owned());
        }
        for (key, value) in &self.env {
            if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
                return error(format!("environment variable `{}` cannot be set", excerpt(key)));
            }
        }
        if self.working_dir != "/" && GuestPath::new(&self.working_dir).is_err() {
            return error(format!(
                "working directory `{}` is not an absolute path",
                excerpt(&self.working_dir)
            ));
        }
        // An input at the path of an output is that output's first content.
        let outputs: Vec<&GuestPath> = self.outputs.iter().map(|output| &output.path).collect();
        let apart = self.inputs.iter().map(|input| &input.path).filter(|path| !outputs.contains(path));
        let mounts = apart.chain(outputs.iter().copied()).chain(&self.scratch);
        let mut seen: Vec<&GuestPath> = Vec::new();
        for path in mounts {
            // Nested mounts would be unpacked in an order that no engine promises.
            if let Some(other) = seen.iter().find(|other| path.is_within(other) || other.is_within(path)) {
                return error(format!(
                    "{path} and {other} overlap: give inputs, outputs and scratch separate folders"
                ));
            }
            seen.push(path);
        }
        if self.limits.memory_bytes < 6 << 20 || i64::try_from(self.limits.memory_bytes).is_err() {
            return error(format!(
                "{} bytes of memory: engines need 6 MiB at least",
                self.limits.memory_bytes
            ));
        }
        if self.limits.pids == 0 {
            return error("no process is allowed".to_owned());
        }
        if self.limits.cpus.is_some_and(|cpus| !(0.01..=4096.0).contains(&cpus)) {
            return error("processor limit outside 0.01 to 4096".to_owned());
        }
        let user = self.user.split_once(':').and_then(|(uid, gid)| {
            let number =
                |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
            Some(User { uid: number(uid)?, gid: number(gid)? })
        });
        user.map_or_else(|| error(format!("user `{}` is not numeric `user:group`", excerpt(&self.user))), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RunSpec {
        let limits = Limits {
            memory_bytes: 64 << 20,
            scratch_bytes: None,
            descriptors: None,
            pids: 16,
            cpus: None,
            output_bytes: 1 << 20,
            output_files: 100,
            deadline: Duration::from_secs(1),
        };
        RunSpec::new("test", "sha256:00", ["/bin/true"], limits)
    }

    fn refused(change: impl FnOnce(&mut RunSpec)) -> String {
        let mut spec = spec();
        change(&mut spec);
        spec.check().unwrap_err().to_string()
    }

    #[test]
    fn sensible_runs_pass() {
        assert_eq!(spec().check().unwrap(), User { uid: 65534, gid: 65534 });
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let path = |text| GuestPath::new(text).unwrap();
        assert!(refused(|s| s.argv.clear()).contains("no program"));
        assert!(refused(|s| s.user = "root".to_owned()).contains("`root`"));
        assert!(refused(|s| s.user = "+1:1".to_owned()).contains("numeric"));
        assert!(refused(|s| s.working_dir = "tmp".to_owned()).contains("absolute"));
        assert!(refused(|s| s.limits.memory_bytes = 1).contains("6 MiB"));
        assert!(refused(|s| s.limits.pids = 0).contains("no process"));
        assert!(refused(|s| s.limits.cpus = Some(f64::NAN)).contains("processor"));
        assert!(refused(|s| drop(s.env.insert("A=B".to_owned(), String::new()))).contains("A=B"));
        let overlap = refused(|s| {
            s.outputs = vec![OutputFolder::new(path("/a/out"), Vec::new())];
            s.scratch = vec![path("/a")];
        });
        assert!(overlap.contains("/a and /a/out overlap"), "{overlap}");
    }
}
