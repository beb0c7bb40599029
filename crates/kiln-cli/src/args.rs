//! The command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use kiln_audit::FailOn;
use kiln_record::{ArtifactName, BaseName, DistributionName, Platform};
use std::path::PathBuf;

/// The version of this kiln, with the commit that it was built from where that is known (`build.rs`).
pub(crate) const VERSION: &str = env!("KILN_VERSION");

/// Builds AWS Lambda zips, layers and container images that anyone can rebuild bit for bit, says what is inside, and tells what changed.
#[derive(Debug, Parser)]
#[command(name = "kiln", version = VERSION, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The workspace: the folder with kiln.toml [default: the nearest one at or above the current folder]
    #[arg(long, short = 'C', global = true, value_name = "FOLDER")]
    pub(crate) workspace: Option<PathBuf>,
    /// The form of the output on stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
    /// Says nothing but results and problems
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    Human,
    /// For a program: one JSON document, whose keys are only ever added to
    Json,
    /// For a review comment
    Markdown,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal
    Auto,
    /// Even into a pipe
    Always,
    /// Not at all
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds, verifies and publishes artifacts under dist/
    Build(Build),
    /// Pins what a build uses
    Lock(Lock),
    /// Lists everything outside the workspace that it has pinned, and how old each pin is
    Pins,
    /// Says why a distribution or a file is in an artifact, or why it is not
    Explain(Explain),
    /// Tells what changed between two builds and why
    Diff(Diff),
    /// Lists the builds of an artifact
    History(History),
    /// Shows one build: its inputs, parts, findings and checks
    Show(Show),
    /// Says whether what is published, or a file, is what was built
    Verify(Verify),
    /// Sends published artifacts to a registry, with their SBOMs, provenance and records attached
    Push(Push),
    /// Brings an artifact, an image or an index, and what is attached to it, from a registry
    Pull(Pull),
    /// Tells deployment tools what was published: paths, hashes, keys and image digests
    Export(Export),
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What reads it
    #[arg(value_enum)]
    pub(crate) what: ExportFormat,
    /// The artifacts [default: all that are published]
    pub(crate) artifacts: Vec<ArtifactName>,
    /// Where images are pushed to, as for kiln push --to: names them by digest
    #[arg(long, value_name = "REGISTRY/PATH")]
    pub(crate) repository: Option<String>,
    /// What the keys of archives in a bucket begin with
    #[arg(long, value_name = "PREFIX")]
    pub(crate) s3_prefix: Option<String>,
    /// The folder that artifacts are published in [default: dist in the workspace]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dist: Option<PathBuf>,
}

/// What reads an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A .tfvars.json file with the variable kiln_artifacts
    Terraform,
    /// Parameters as a JSON file
    Cloudformation,
    /// Parameters for sam deploy --parameter-overrides
    Sam,
    /// Outputs and summary of a step in GitHub Actions
    Github,
    /// Variables for a shell
    Env,
}

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The artifacts; each must be published under dist/
    #[arg(required = true)]
    pub(crate) artifacts: Vec<ArtifactName>,
    /// Registry and path: an artifact goes to REGISTRY/PATH/ARTIFACT
    #[arg(long, value_name = "REGISTRY/PATH")]
    pub(crate) to: String,
    /// The tag [default: the first twelve digits of the manifest's digest]
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// Lets the tag name another artifact than before
    #[arg(long, requires = "tag")]
    pub(crate) move_tag: bool,
    /// Connects without TLS; registries on this machine need no leave for that
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// The folder that artifacts are published in [default: dist in the workspace]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dist: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST
    pub(crate) reference: String,
    /// The one platform to take of an index, such as linux/arm64 [default: all of them]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// The folder to write to [default: the current folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) into: Option<PathBuf>,
    /// Connects without TLS; registries on this machine need no leave for that
    #[arg(long)]
    pub(crate) plain_http: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The artifacts to build, with the layers they use; an image for several platforms with all of them
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) artifacts: Vec<ArtifactName>,
    /// Builds every artifact of the workspace
    #[arg(long)]
    pub(crate) all: bool,
    /// How many artifacts are built side by side [default: the processor cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// Builds again even where nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// The folder to publish in [default: dist in the workspace]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dist: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// Makes the locks of these artifacts, from what `requirements` in their manifests names
    #[arg(required_unless_present_any = ["bases", "tools"])]
    pub(crate) artifacts: Vec<ArtifactName>,
    /// Pins a base: its packages or its image digest; may be given more than once
    #[arg(long = "base", value_name = "NAME")]
    pub(crate) bases: Vec<BaseName>,
    /// Makes the base, if there is none of its name: the one that kiln knows for this runtime of Lambda
    #[arg(long, requires = "bases", value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// The platform that a base is made for; may be given more than once [default: linux/amd64]
    #[arg(long = "platform", requires = "runtime", value_name = "PLATFORM")]
    pub(crate) platforms: Vec<Platform>,
    /// Pins the tools that kiln runs, in kiln.lock: the newest uv
    #[arg(long)]
    pub(crate) tools: bool,
    /// Pins this version instead of the newest
    #[arg(long, requires = "tools", value_name = "uv==VERSION")]
    pub(crate) tool: Option<String>,
    /// Moves everything to the newest version that fits; without it, what is locked stays where it fits
    #[arg(long, short = 'U', requires = "artifacts")]
    pub(crate) upgrade: bool,
    /// Moves this distribution only; may be given more than once
    #[arg(long, short = 'P', requires = "artifacts", value_name = "NAME", conflicts_with = "upgrade")]
    pub(crate) upgrade_package: Vec<DistributionName>,
    /// Writes nothing, and ends with exit code 11 if a lock would change
    #[arg(long, requires = "artifacts", conflicts_with_all = ["bases", "tools"])]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The artifact; it need not have been built
    pub(crate) artifact: ArtifactName,
    /// A distribution, a path in the artifact, or a module [default: an overview of all distributions]
    pub(crate) subject: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The build before: ARTIFACT@N, ARTIFACT@latest, ARTIFACT@previous, a record.json, a published file, or
    /// REGISTRY/REPOSITORY with :TAG or @DIGEST
    pub(crate) before: String,
    /// The build after, in the same forms
    pub(crate) after: String,
    /// Ends with exit code 12 if the comparison finds one of these
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = fail_on())]
    pub(crate) fail_on: Vec<FailOn>,
}

fn fail_on() -> impl TypedValueParser<Value = FailOn> {
    PossibleValuesParser::new(FailOn::ALL.map(FailOn::as_str)).try_map(|text| text.parse::<FailOn>())
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The artifacts [default: all that were ever built here]
    pub(crate) artifacts: Vec<ArtifactName>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The build: ARTIFACT, ARTIFACT@N, a record.json, a published file, or REGISTRY/REPOSITORY with :TAG or @DIGEST
    #[arg(required_unless_present = "environment")]
    pub(crate) build: Option<String>,
    /// The platform of an index in a registry, such as linux/arm64 [default: shows the index]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Lists every file with its size and owner
    #[arg(long)]
    pub(crate) files: bool,
    /// Shows what a function finds in Lambda and what a check does about it: for all runtimes, or those facts that hold for
    /// a RUNTIME or a build in the place of BUILD
    #[arg(long, conflicts_with_all = ["platform", "files"])]
    pub(crate) environment: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Published files, or files elsewhere that are said to be one [default: everything under dist/, its index, and the
    /// ledger]
    pub(crate) files: Vec<PathBuf>,
    /// Sets what is damaged right from what is left, says what it did, and looks at everything again; what cannot be had
    /// any more is recorded as lost
    #[arg(long, conflicts_with_all = ["files", "record", "cross_check"])]
    pub(crate) repair: bool,
    /// The record to hold them against [default: record.json beside the file, else the ledger by digest]
    #[arg(long, value_name = "FILE", requires = "files")]
    pub(crate) record: Option<PathBuf>,
    /// Installs the distributions of a build (ARTIFACT, ARTIFACT@latest or a published zip) with the pip of its base,
    /// too, and compares
    #[arg(long, value_name = "BUILD", conflicts_with_all = ["files", "record"])]
    pub(crate) cross_check: Option<String>,
}
