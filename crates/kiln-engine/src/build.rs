//! Building from a Dockerfile: what an engine is given.

use kiln_record::Platform;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::time::Duration;

/// A Dockerfile with its context. Every image that it names must be in the engine under that name.
///
/// What the builder says of its work is held against the description: an image that is not among those of it, something
/// fetched without a network, or other instructions than those end the build with [`EngineError::Unaccounted`].
///
/// [`EngineError::Unaccounted`]: crate::EngineError::Unaccounted
pub struct BuildSpec {
    /// What is built, for messages.
    pub name: String,
    /// The context, as a tar that holds the Dockerfile, too.
    pub context: Box<dyn Read + Send>,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// Its instructions, a line each: the last stage is built, and the builder is held to them.
    pub instructions: Vec<String>,
    /// The images that it may start from or copy from, by the names that it has for them. Others end the build.
    pub images: BTreeSet<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Whether its programs have a network.
    pub network: bool,
    /// What it is built for.
    pub platform: Platform,
    /// Who builds it.
    pub builder: Builder,
    /// The name that the image has in the engine afterwards.
    pub tag: String,
    /// How long it may take.
    pub deadline: Duration,
    /// How many bytes of memory each of its programs may have, where the builder takes that: the classic one, up to 2 GiB.
    pub memory_bytes: u64,
    /// By how many bytes the disk of an engine on this host may fill meanwhile; that of another cannot be seen.
    pub disk_bytes: u64,
    /// How many bytes it may write to its log.
    pub output_bytes: u64,
}

impl fmt::Debug for BuildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildSpec")
            .field("name", &self.name)
            .field("dockerfile", &self.dockerfile)
            .field("builder", &self.builder)
            .finish_non_exhaustive()
    }
}

/// The program of an engine that builds from Dockerfiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Builder {
    /// The first one, which runs one container for each instruction.
    Classic,
    /// BuildKit, which every Docker has that kiln works with, and uses by default since Docker 23.
    BuildKit,
    /// Buildah, which is Podman's. It is not asked for anything: its log tells less of what it did than the others' do.
    Buildah,
}

impl fmt::Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "the classic builder",
            Self::BuildKit => "BuildKit",
            Self::Buildah => "Buildah",
        })
    }
}
