//! The one way to run a program in a base: what it is given, what it may use, how it ended, and what it said.

use crate::{GuestError, Log};
use kiln_engine::{Engine, EngineError, GuestPath, InputTree, Limits, OutputFolder, RunSpec};
use kiln_invocation::{Event, Events};
use kiln_record::{BaseName, Defect, Environment};
use kiln_store::{Spool, Store};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Who programs run as where nothing else is said: the owner of no file, as in Lambda.
pub const NOBODY: &str = "65534:65534";

/// The most files, folders and links that a program may leave, and have in a scratch folder.
const FILES: u64 = 500_000;

/// What an engine answers if there is no such program, as shells do.
const NOT_FOUND: i64 = 127;

/// A program to be run in an image. It has no network, a read-only file system but for its outputs and scratch folders,
/// and the environment that it is given.
#[derive(Debug)]
#[must_use = "it is run by `run`"]
pub struct Program {
    spec: RunSpec,
    outputs: Vec<(GuestPath, Spool)>,
}

impl Program {
    /// A program by its arguments. `label` says what it is for; it is in messages and on the container. It starts in `/`, as
    /// [`NOBODY`], with a scratch `/tmp`, and may use 2 GiB of memory, 256 processes, 32 MiB of output and a minute.
    pub fn new(label: impl Into<String>, image: impl Into<String>, argv: Vec<String>) -> Self {
        let limits = Limits {
            memory_bytes: 2 << 30,
            scratch_bytes: None,
            descriptors: None,
            pids: 256,
            cpus: None,
            output_bytes: 32 << 20,
            output_files: FILES,
            deadline: Duration::from_secs(60),
        };
        let spec = RunSpec {
            scratch: GuestPath::new("/tmp").into_iter().collect(),
            ..RunSpec::new(label, image, argv, limits)
        };
        Self { spec, outputs: Vec::new() }
    }

    /// Gives it its whole environment.
    pub fn environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.spec.env = environment;
        self
    }

    /// Where it starts.
    pub fn working_dir(mut self, folder: impl Into<String>) -> Self {
        self.spec.working_dir = folder.into();
        self
    }

    /// Who it runs as: a numeric `user:group`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.spec.user = user.into();
        self
    }

    /// Says that the program runs others as that user, and is itself out of their reach.
    pub fn supervised(mut self) -> Self {
        self.spec.supervised = true;
        self
    }

    /// Says that it writes to stdout whenever it ends well.
    pub fn reports(mut self) -> Self {
        self.spec.reports = true;
        self
    }

    /// Gives it trees.
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = InputTree>) -> Self {
        self.spec.inputs.extend(inputs);
        self
    }

    /// Lets the files of its trees be younger than they are otherwise, by seconds.
    pub fn inputs_later_by(mut self, seconds: u64) -> Self {
        self.spec.surroundings.input_time = self.spec.surroundings.input_time.saturating_add(seconds);
        self
    }

    /// Folders that are collected after its end, into files beside the store.
    ///
    /// # Errors
    /// If there can be no such file.
    pub fn outputs(
        mut self,
        store: &Store,
        folders: impl IntoIterator<Item = GuestPath>,
    ) -> Result<Self, GuestError> {
        for path in folders {
            let spool = store.spool()?;
            self.spec.outputs.push(OutputFolder::new(path.clone(), spool.writer()?));
            self.outputs.push((path, spool));
        }
        Ok(self)
    }

    /// The folders in memory that it may write to, instead of `/tmp` alone.
    pub fn scratch(mut self, folders: Vec<GuestPath>) -> Self {
        self.spec.scratch = folders;
        self
    }

    /// What it finds where Lambda runs functions: no `/dev/shm`, and the limits of that environment. `memory` is in bytes,
    /// without what is written to `/tmp`: that is memory in a container, and none of the function's in Lambda.
    pub fn as_in_lambda(mut self, environment: &Environment, memory: u64) -> Self {
        self.spec.shared_memory = false;
        self.spec.limits.memory_bytes = memory.saturating_add(environment.tmp_bytes());
        self.spec.limits.scratch_bytes = Some(environment.tmp_bytes());
        self.spec.limits.descriptors = Some(environment.descriptors());
        self.spec.limits.pids = environment.processes();
        self
    }

    /// How much memory it may use, in bytes.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.spec.limits.memory_bytes = bytes;
        self
    }

    /// How many processes and threads it may have.
    pub fn processes(mut self, count: u32) -> Self {
        self.spec.limits.pids = count;
        self
    }

    /// How much it may write to stdout, stderr and each output, in bytes.
    pub fn output_bytes(mut self, bytes: u64) -> Self {
        self.spec.limits.output_bytes = bytes;
        self
    }

    /// How long it may take.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.spec.limits.deadline = deadline;
        self
    }

    /// Changes what it is run with, for a trial of what its results depend on.
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut RunSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// The description as it is so far.
    pub(crate) fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// The description for an engine that is asked to watch it rather than to wait for its end.
    #[must_use]
    pub fn into_spec(self) -> RunSpec {
        self.spec
    }

    /// Runs it and waits for its end. Its lines are told as they come, as those of `subject`.
    ///
    /// # Errors
    /// What the engine cannot do. However the program ends is no error here.
    pub async fn run(self, engine: &Engine, events: &Events, subject: &str) -> Result<Ran, GuestError> {
        let log = Log::default();
        let (kept, events, subject) = (log.clone(), events.clone(), subject.to_owned());
        let told = move |line: kiln_engine::Line| {
            kept.push(&line.text);
            events.send(Event::Line { subject: subject.clone(), stream: line.stream, text: line.text });
        };
        let ran = |ending| Ran {
            ending,
            stdout: Vec::new(),
            stderr: Vec::new(),
            outputs: Vec::new(),
            log: log.clone(),
        };
        match engine.run(self.spec, told).await {
            Ok(outcome) => {
                let ending = match outcome.exit_code {
                    0 => Ending::Exit(0),
                    _ if outcome.oom_killed => Ending::OutOfMemory,
                    NOT_FOUND => Ending::NoSuchProgram,
                    code => Ending::Exit(code),
                };
                let (stdout, stderr) = (outcome.stdout, outcome.stderr);
                Ok(Ran { stdout, stderr, outputs: self.outputs, ..ran(ending) })
            }
            Err(EngineError::Deadline { seconds, .. }) => Ok(ran(Ending::TimedOut { seconds })),
            Err(EngineError::OutputTooLarge { what, limit, .. }) => {
                Ok(ran(Ending::OutputTooLarge { what: what.to_string(), limit }))
            }
            Err(EngineError::TooManyFiles { limit, .. }) => Ok(ran(Ending::TooManyFiles { limit })),
            Err(error) => Err(error.into()),
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code; 128 + n if signal n ended it.
    Exit(i64),
    /// The kernel ended it because its memory ran out.
    OutOfMemory,
    /// The base has no such program, or a shell in it found none.
    NoSuchProgram,
    /// It was ended because it took too long.
    TimedOut {
        /// How long it was allowed to take.
        seconds: u64,
    },
    /// It was ended because it wrote too much.
    OutputTooLarge {
        /// Where to.
        what: String,
        /// The most that it may write there, in bytes.
        limit: u64,
    },
    /// It was ended because its outputs hold too much.
    TooManyFiles {
        /// How many files, folders and links it may leave.
        limit: u64,
    },
}

impl fmt::Display for Ending {
    /// As a clause after what failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "with exit code {code}"),
            Self::OutOfMemory => f.write_str("as it ran out of memory"),
            Self::NoSuchProgram => write!(f, "with exit code {NOT_FOUND}"),
            Self::TimedOut { seconds } => write!(f, "as it was not done after {seconds} s, and was ended"),
            Self::OutputTooLarge { what, limit } => {
                write!(f, "as it wrote more than {limit} bytes of {what}")
            }
            Self::TooManyFiles { limit } => {
                write!(f, "as it left more than {limit} files, folders and links")
            }
        }
    }
}

impl Ending {
    /// Whether it did what it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Exit(0)
    }

    /// Its exit code, where it ended by itself.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Exit(code) => Some(*code),
            Self::OutOfMemory => Some(137),
            Self::NoSuchProgram => Some(NOT_FOUND),
            Self::TimedOut { .. } | Self::OutputTooLarge { .. } | Self::TooManyFiles { .. } => None,
        }
    }
}

/// What came of a program.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub ending: Ending,
    /// Everything that it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything that it wrote to stderr.
    pub stderr: Vec<u8>,
    /// For each output, in the order of the request, a tar whose entries are relative to it.
    pub outputs: Vec<(GuestPath, Spool)>,
    /// The last lines of both streams, as they came.
    pub log: Log,
}

impl Ran {
    /// That the program failed, with the end of what it said. `what` is the program, for people.
    #[must_use]
    pub fn failed(&self, what: &'static str, base: &BaseName) -> GuestError {
        let lines = self.log.lines();
        GuestError::Program { what, base: base.clone(), how: self.ending.to_string(), lines }
    }
}

/// A path inside a container that is known to be one.
///
/// # Errors
/// If it is not absolute, or names a parent.
pub fn guest(path: &str) -> Result<GuestPath, GuestError> {
    GuestPath::new(path).map_err(|error| Defect::new(error.to_string()).into())
}
