//! What a program sees of its container.

use crate::filesystem::Filesystem;
use kiln_engine::backend::User;
use kiln_engine::{Limits, Stream};
use std::collections::BTreeMap;
use std::time::Duration;

/// The inside of a container, for one program.
#[derive(Debug)]
pub struct Guest {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    working_dir: String,
    pub(crate) user: User,
    pub(crate) files: Filesystem,
    pub(crate) limits: Limits,
    pub(crate) frames: Vec<(Stream, Vec<u8>)>,
    written: u64,
    pub(crate) sleeps: Duration,
    pub(crate) oom_killed: bool,
}

impl Guest {
    pub(crate) fn new(
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        working_dir: String,
        user: User,
        files: Filesystem,
        limits: Limits,
    ) -> Self {
        Self {
            argv,
            env,
            working_dir,
            user,
            files,
            limits,
            frames: Vec::new(),
            written: 0,
            sleeps: Duration::ZERO,
            oom_killed: false,
        }
    }

    /// The program's name and arguments.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// The whole environment.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The directory it was started in.
    #[must_use]
    pub fn working_dir(&self) -> &str {
        &self.working_dir
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The reason in the words of libc.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let bytes = self.files.read(path, &self.working_dir, self.user);
        bytes.map(|bytes| bytes.to_vec()).map_err(|fault| fault.to_string())
    }

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// The reason in the words of libc.
    pub fn list(&self, path: &str) -> Result<Vec<String>, String> {
        self.files.list(path, &self.working_dir).map_err(|fault| fault.to_string())
    }

    /// Writes a file, if the mount, the owner and the mode allow it.
    ///
    /// # Errors
    /// The reason in the words of libc.
    pub fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let written = self.files.write(path, &self.working_dir, self.user, bytes.into());
        written.map_err(|fault| fault.to_string())
    }

    /// Makes a folder and those above it, as `mkdir -p` does.
    ///
    /// # Errors
    /// The reason in the words of libc.
    pub fn make_folders(&mut self, path: &str) -> Result<(), String> {
        let made = self.files.make_folders(path, &self.working_dir, self.user);
        made.map_err(|fault| fault.to_string())
    }

    /// Writes to standard output.
    pub fn write_stdout(&mut self, bytes: &[u8]) {
        self.frame(Stream::Stdout, bytes);
    }

    /// Writes to standard error.
    pub fn write_stderr(&mut self, bytes: &[u8]) {
        self.frame(Stream::Stderr, bytes);
    }

    /// Takes time before the program ends; the deadline counts it.
    pub fn sleep(&mut self, time: Duration) {
        self.sleeps = self.sleeps.saturating_add(time);
    }

    /// Lets the kernel end it as it does where memory runs out, whatever it returns then.
    pub fn run_out_of_memory(&mut self) {
        self.oom_killed = true;
    }

    /// Whether more was written than may be kept: the run fails, and a program can stop here.
    #[must_use]
    pub fn is_past_limit(&self) -> bool {
        self.written > self.limits.output_bytes
    }

    fn frame(&mut self, stream: Stream, bytes: &[u8]) {
        // A program without end must not fill memory.
        if !self.is_past_limit() {
            self.frames.push((stream, bytes.to_vec()));
        }
        self.written = self.written.saturating_add(bytes.len() as u64);
    }
}
