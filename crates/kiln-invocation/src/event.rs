//! What happens during a build, told as it happens.

use kiln_engine::Stream;
use kiln_record::{ArtifactName, BaseName};
use std::fmt;
use std::sync::Arc;

/// A stage of one artifact's build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Reading and hashing what it is made of.
    Plan,
    /// Waiting for its turn, or for the layers that it is checked with.
    Wait,
    /// Looking whether it is published already.
    Compare,
    /// Deciding which distributions the target needs.
    Select,
    /// Running the artifact's own steps.
    Steps,
    /// Bringing wheels into the store.
    Fetch,
    /// Building the artifact's Dockerfile.
    Dockerfile,
    /// Merging wheels and source into a tree.
    Collect,
    /// Judging the tree.
    Verify,
    /// Putting an image together, to be checked as it will run.
    Assemble,
    /// Writing the archive.
    Pack,
    /// Writing records and documents, and publishing.
    Publish,
}

impl Stage {
    /// One word for a progress line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Wait => "wait",
            Self::Compare => "compare",
            Self::Select => "select",
            Self::Steps => "steps",
            Self::Fetch => "fetch",
            Self::Dockerfile => "dockerfile",
            Self::Collect => "collect",
            Self::Verify => "verify",
            Self::Assemble => "assemble",
            Self::Pack => "pack",
            Self::Publish => "publish",
        }
    }
}

/// How an artifact ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing had changed: what is published is what would be built.
    Unchanged,
    /// Built and published.
    Published,
    /// At least one finding denies it; nothing was published.
    Denied,
    /// The run broke.
    Failed,
    /// It needs a layer that was not built.
    Skipped,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Work begins on this many artifacts.
    Started {
        /// How many.
        artifacts: usize,
    },
    /// Another kiln works in this workspace; waiting for it.
    WaitingForLock {
        /// Its process, if it could be told.
        holder: Option<u32>,
    },
    /// A base is being prepared.
    Base {
        /// Which.
        base: BaseName,
        /// What is done, such as `assemble`.
        activity: &'static str,
    },
    /// A lock is being made.
    Locking {
        /// Of what.
        subject: String,
        /// What is done, such as `resolve`.
        activity: &'static str,
    },
    /// A lock is about to be written in which something moves.
    Moving {
        /// The lock.
        file: String,
        /// What moves, a line for each.
        moves: Vec<String>,
        /// Bytes that are to be brought for it, where that is known.
        bytes: Option<u64>,
    },
    /// A download began.
    DownloadStarted {
        /// File name.
        file: String,
        /// Its length in bytes, if known.
        size: Option<u64>,
    },
    /// Something is being sent; it goes on and ends as downloads do.
    UploadStarted {
        /// File name.
        file: String,
        /// Its length in bytes.
        size: u64,
    },
    /// Bytes of a download arrived.
    Downloaded {
        /// File name.
        file: String,
        /// Bytes since the last event; negative never, a restart is not told.
        bytes: u64,
    },
    /// A download ended, well or not.
    DownloadEnded {
        /// File name.
        file: String,
    },
    /// An artifact reached a stage.
    Stage {
        /// Which artifact.
        artifact: ArtifactName,
        /// Which stage.
        stage: Stage,
    },
    /// A source distribution is being built.
    SdistBuild {
        /// Its file name.
        file: String,
        /// Whether for the second time, to see that it gives the same.
        again: bool,
    },
    /// A step of an artifact is run.
    Step {
        /// The artifact.
        artifact: ArtifactName,
        /// The step.
        step: String,
        /// Whether for the second time, to see that it makes the same.
        again: bool,
    },
    /// A program in a container wrote a line.
    Line {
        /// For which artifact or base.
        subject: String,
        /// Where to.
        stream: Stream,
        /// The line without its end.
        text: String,
    },
    /// A check measured something that is worth a word, and that no record holds.
    Measured {
        /// The artifact.
        artifact: ArtifactName,
        /// What, as a sentence without its end.
        note: String,
    },
    /// A result was not made here, but taken on the word of a shared cache.
    Told {
        /// The artifact.
        artifact: ArtifactName,
        /// What it is of, in words: `the step site`.
        what: String,
        /// The address of the cache.
        from: String,
    },
    /// A shared cache is not used in the rest of the run, or not written to. Everything is made here then.
    CacheLost {
        /// Why.
        why: String,
        /// Whether it is still read.
        still_read: bool,
    },
    /// A server does not answer, and is asked again.
    AskedAgain {
        /// Its address.
        address: String,
        /// Why it did not answer.
        why: String,
        /// How often it was asked again, with this.
        again: u32,
        /// How often that is done at most.
        of: u32,
    },
    /// What a program came to elsewhere may be what a lost machine came to: it is begun again.
    BegunAgain {
        /// The program, in words: `app step site`.
        program: String,
        /// What it came to, as a clause after that.
        why: String,
        /// How often it was begun again, with this.
        again: u32,
        /// How often that is done at most.
        of: u32,
    },
    /// An artifact is done.
    Ended {
        /// Which artifact.
        artifact: ArtifactName,
        /// How.
        ending: Ending,
    },
}

/// Takes events; cheap to clone and shared by everything that works side by side.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Sends every event to a function.
    pub fn new(receive: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    /// Drops every event.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Tells an event.
    pub fn send(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
