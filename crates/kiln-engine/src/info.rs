//! What an engine says about itself.

use kiln_record::Platform;

/// What an engine is and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Where it was found, and by which context.
    pub endpoint: String,
    /// Its own version, with its name if it is not Docker.
    pub version: String,
    /// The version of the API that is spoken.
    pub api_version: String,
    /// What its containers run on.
    pub platform: Platform,
    /// How it stores layers, such as `overlay2`.
    pub storage_driver: String,
    /// Whether what one instruction removed is gone from the layer that the classic builder goes on from: established for some
    /// storage drivers, and false of all others.
    pub classic_keeps_removals: bool,
    /// Whether BuildKit of this engine reads the context that it is sent. With containerd's image store it looks for a server of a
    /// name that it makes up instead (moby/moby issue 47717, mended for Docker 28): whoever answers to it says what is built.
    pub buildkit_reads_context: bool,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Whether images are kept in containerd: ids are then digests of manifests.
    pub containerd_store: bool,
    /// What it does not hold programs to, of what a run states.
    pub unkept: Vec<Unkept>,
}

/// Something that a run states and that an engine does not hold its program to. What such a program shows about it is not
/// checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unkept {
    /// How much memory there may be.
    Memory,
    /// How many processes there may be.
    Processes,
    /// How many descriptors there may be.
    Descriptors,
    /// How many files there may be in each scratch folder.
    ScratchFiles,
    /// That the root and inputs cannot be written to, and belong to another user.
    ReadOnlyRoot,
    /// That there is no `/dev/shm`.
    NoSharedMemory,
    /// That what judges runs as another user than what is judged.
    SecondUser,
}

impl Unkept {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::Processes,
        Self::Descriptors,
        Self::ScratchFiles,
        Self::ReadOnlyRoot,
        Self::NoSharedMemory,
        Self::SecondUser,
    ];

    /// What is missing, as part of a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "a limit of memory",
            Self::Processes => "a limit of processes",
            Self::Descriptors => "a limit of descriptors",
            Self::ScratchFiles => "a limit of files in scratch folders",
            Self::ReadOnlyRoot => "a root and inputs that cannot be written to",
            Self::NoSharedMemory => "a /dev/shm that is not there",
            Self::SecondUser => "a user of its own for what is judged",
        }
    }
}
