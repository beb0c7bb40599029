//! Arguments of the commands of the first day.

use clap::{Args, Subcommand, ValueEnum};
use kiln_record::{Architecture, ArtifactName};

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Says what it would write, and writes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The runtime of what names none, such as python3.13
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// The architecture of what names none [default: Lambda's, x86_64]
    #[arg(long, value_enum, value_name = "ARCHITECTURE")]
    pub(crate) architecture: Option<Machine>,
}

/// An architecture, by Lambda's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Machine {
    /// 64-bit x86
    #[value(name = "x86_64")]
    X86,
    /// 64-bit Arm
    #[value(name = "arm64")]
    Arm,
}

impl From<Machine> for Architecture {
    fn from(machine: Machine) -> Self {
        match machine {
            Machine::X86 => Self::Amd64,
            Machine::Arm => Self::Arm64,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct New {
    #[command(subcommand)]
    pub(crate) what: NewWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewWhat {
    /// Writes the manifest of one artifact, with comments where something has to be said
    Artifact(NewArtifact),
}

#[derive(Debug, Args)]
pub(crate) struct NewArtifact {
    /// Its name: that of the file manifests/NAME.toml
    pub(crate) name: ArtifactName,
    /// What it is
    #[arg(long, value_enum, default_value_t = NewKind::Zip)]
    pub(crate) kind: NewKind,
    /// The runtime, such as python3.13
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// The architecture [default: Lambda's, x86_64]
    #[arg(long, value_enum, value_name = "ARCHITECTURE")]
    pub(crate) architecture: Option<Machine>,
    /// The handler, such as app.handler
    #[arg(long, value_name = "MODULE.FUNCTION")]
    pub(crate) handler: Option<String>,
    /// The folder of its code, relative to the workspace
    #[arg(long, value_name = "FOLDER")]
    pub(crate) source: Option<String>,
}

/// The kind of a new artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NewKind {
    /// A function as a zip
    Zip,
    /// A layer
    Layer,
    /// A function as a container image
    LambdaImage,
    /// Another service as a container image
    Image,
}

#[derive(Debug, Args)]
pub(crate) struct Util {
    #[command(subcommand)]
    pub(crate) what: UtilWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UtilWhat {
    /// Prints what completes kiln's commands in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Writes a manual page for kiln and for each of its commands
    Man {
        /// The folder to write them to, such as ~/.local/share/man/man1
        #[arg(value_name = "FOLDER")]
        into: std::path::PathBuf,
    },
}
