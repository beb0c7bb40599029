//! The command line.

pub(crate) mod audit;
pub(crate) mod bundle;
pub(crate) mod find;
mod format;
pub(crate) mod invoke;
pub(crate) mod pins;
pub(crate) mod rebuild;
pub(crate) mod restore;
pub(crate) mod signing;
pub(crate) mod start;
pub(crate) mod store;
mod time;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use find::Find;
pub(crate) use format::Format;
use format::Listed;
use kiln_audit::FailOn;
use kiln_build::Shard;
use kiln_record::{ArtifactName, BaseName, DistributionName, Platform};
use kiln_sbom::SpecVersion;
use rebuild::Rebuild;
use restore::Restore;
use signing::{Log, Sign, SignedBy};
use start::{Init, New, Util};
use std::path::PathBuf;

/// The version of this kiln, with the commit that it was built from where that is known (`build.rs`).
pub(crate) const VERSION: &str = env!("KILN_VERSION");

/// Builds AWS Lambda zips, layers and container images that anyone can rebuild bit for bit, says what is inside, and tells what changed.
#[derive(Debug, Parser)]
#[command(name = "kiln", version = VERSION, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Those of this process.
    pub(crate) fn of_process() -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut Self::command_line().try_get_matches()?)
    }

    /// The command line, on which each command lists the forms that it has.
    pub(crate) fn command_line() -> clap::Command {
        let all = Self::command();
        let format = all.get_arguments().find(|argument| argument.get_id() == "format").cloned();
        all.mut_subcommands(|command| {
            let listed = Listed(Format::of_command(command.get_name()));
            command.args(format.clone().map(|format| format.value_parser(listed)))
        })
    }
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
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
    /// Asks no server for anything: what is not in the store is missing, and named
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// When to use colour; NO_COLOR, CLICOLOR=0 and TERM=dumb are honoured
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
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
    /// Makes a workspace of a project: finds what it states, and writes kiln.toml, manifests and bases
    Init(Init),
    /// Writes a new file of a workspace
    New(New),
    /// Builds, verifies and publishes artifacts under dist/
    #[command(override_usage = "kiln build [OPTIONS] <ARTIFACTS>...\n       kiln build [OPTIONS] --all")]
    Build(Build),
    /// Gives one event to a function as it is published, in its base and with its layers
    Invoke(invoke::Invoke),
    /// Pins what a build uses
    #[command(
        override_usage = "kiln lock [OPTIONS] <ARTIFACTS>...\n       kiln lock [OPTIONS] --all\n       kiln lock --base <NAME>\n       kiln lock --tools\n       kiln lock --crates"
    )]
    Lock(Lock),
    /// Lists everything outside the workspace that it has pinned, who uses it, how old each pin is, and with --check what is newer
    Pins(pins::Pins),
    /// Says why a distribution or a file is in an artifact, or why it is not
    Explain(Explain),
    /// Tells what changed between two builds and why
    Diff(Diff),
    /// Accepts a build as what later ones are held against: ARTIFACT@baseline
    Approve(Approve),
    /// Lists the builds of an artifact
    History(History),
    /// Shows one build: its inputs, parts, findings and checks
    Show(Show),
    /// Writes the bill of materials of a build, as CycloneDX or SPDX
    Sbom(Sbom),
    /// Says whether what is published, or a file, is what was built
    Verify(Verify),
    /// Signs all that is published as one release, with the provenance of each artifact and the ledger's checkpoint
    Sign(Sign),
    /// Shows the ledger as a log, signs its checkpoint, and says whether it continues an older one
    Log(Log),
    /// Says which builds hold something: a distribution in some versions, a licence, a base, a file, a library
    Find(Find),
    /// Says which known vulnerabilities builds have, by an export of advisories that lies here
    #[command(override_usage = "kiln audit [OPTIONS] --osv <EXPORT> <BUILDS>...")]
    Audit(audit::Audit),
    /// Builds again what was published, and says how equal it is
    Rebuild(Rebuild),
    /// Gives the files of an earlier build back
    Restore(Restore),
    /// Makes one of what several machines built: dist/, its index, and the ledger
    Gather(Gather),
    /// Sends published artifacts to a registry, with their SBOMs, provenance and records attached
    #[command(
        override_usage = "kiln push [OPTIONS] --to <REGISTRY/PATH> <ARTIFACTS>...\n       kiln push [OPTIONS] --to <REGISTRY/PATH> --all"
    )]
    Push(Push),
    /// Brings an artifact, an image or an index, and what is attached to it, from a registry
    Pull(Pull),
    /// Makes a page for a browser of builds: what is in them, why, and what was not checked
    Report(Report),
    /// Tells deployment tools what was published: paths, hashes, keys and image digests
    Export(Export),
    /// Looks after the store, which keeps what builds use: how large it is, what of it is not needed, whether it is intact
    Store(store::StoreCommand),
    /// Carries all that builds need of servers to a machine that reaches none
    Bundle(bundle::BundleCommand),
    /// Says whether this machine has what kiln needs, and what to do where it has not
    Doctor,
    /// Completions for shells, and manual pages
    Util(Util),
}

impl Command {
    /// Whether what it prints for a person are words, and no document that is one for a program, too.
    pub(crate) fn prints_words(&self) -> bool {
        !matches!(self, Self::Report(_) | Self::Sbom(_) | Self::Export(_) | Self::Util(_) | Self::Invoke(_))
    }

    /// Its name, and the forms that it can give as it is called. No form is passed over in silence.
    pub(crate) fn formats(&self) -> (&'static str, &'static [Format]) {
        use Format::{Human, Json, Markdown};
        match self {
            Self::Verify(Verify { cross_check: Some(_), .. }) => ("verify --cross-check", &[Human, Json]),
            Self::Verify(verify) if verify.signed.is_asked() => ("verify --key", &[Human, Json, Markdown]),
            // What reads an export decides its form, which is JSON for some.
            Self::Export(Export { what: ExportFormat::Terraform, .. }) => {
                ("export terraform", &[Human, Json])
            }
            Self::Export(Export { what: ExportFormat::Cloudformation, .. }) => {
                ("export cloudformation", &[Human, Json])
            }
            Self::Export(_) => ("export", &[Human]),
            _ => (self.name(), Format::of_command(self.name())),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::New(_) => "new",
            Self::Build(_) => "build",
            Self::Invoke(_) => "invoke",
            Self::Lock(_) => "lock",
            Self::Pins(_) => "pins",
            Self::Explain(_) => "explain",
            Self::Diff(_) => "diff",
            Self::Approve(_) => "approve",
            Self::History(_) => "history",
            Self::Show(_) => "show",
            Self::Sbom(_) => "sbom",
            Self::Verify(_) => "verify",
            Self::Sign(_) => "sign",
            Self::Log(_) => "log",
            Self::Find(_) => "find",
            Self::Audit(_) => "audit",
            Self::Rebuild(_) => "rebuild",
            Self::Restore(_) => "restore",
            Self::Gather(_) => "gather",
            Self::Push(_) => "push",
            Self::Pull(_) => "pull",
            Self::Report(_) => "report",
            Self::Export(_) => "export",
            Self::Store(_) => "store",
            Self::Bundle(_) => "bundle",
            Self::Doctor => "doctor",
            Self::Util(_) => "util",
        }
    }
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
    /// The folder that paths are relative to, such as that of the Terraform files [default: the workspace]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) relative_to: Option<PathBuf>,
    /// Writes whole paths
    #[arg(long, conflicts_with = "relative_to")]
    pub(crate) absolute: bool,
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
    #[arg(required_unless_present = "all")]
    pub(crate) artifacts: Vec<ArtifactName>,
    /// Sends everything that is published under dist/
    #[arg(long, conflicts_with = "artifacts")]
    pub(crate) all: bool,
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
    #[arg(required_unless_present = "all")]
    pub(crate) reference: Option<String>,
    /// Brings what is published of every artifact of the workspace, and of those that it had when that was released, each into a
    /// folder of its own
    #[arg(long, requires_all = ["from", "tag", "into"], conflicts_with_all = ["reference", "platform"])]
    pub(crate) all: bool,
    /// Registry and path: an artifact is at REGISTRY/PATH/ARTIFACT
    #[arg(long, requires = "all", value_name = "REGISTRY/PATH")]
    pub(crate) from: Option<String>,
    /// The tag of all artifacts
    #[arg(long, requires = "all", value_name = "TAG")]
    pub(crate) tag: Option<String>,
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
    /// Builds one part of the workspace, such as 3/8, the third of eight; the name of an artifact decides which part it is in, so
    /// that machines need not ask each other. kiln gather makes one of all parts
    #[arg(long, requires = "all", conflicts_with = "artifacts", value_name = "NUMBER/OF")]
    pub(crate) shard: Option<Shard>,
    /// How many artifacts are built side by side [default: the processor cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// Builds again even where nothing changed
    #[arg(long)]
    pub(crate) force: bool,
    /// Runs every check again whose answer is remembered, and so builds again even where nothing changed
    #[arg(long)]
    pub(crate) check_again: bool,
    /// Publishes an artifact only if it comes to what this record.json or .intoto.jsonl says; may be given more than once
    #[arg(long, value_name = "RECORD")]
    pub(crate) expect: Vec<PathBuf>,
    /// The folder to publish in [default: dist in the workspace]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dist: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// Makes the locks of these artifacts, from what `requirements` in their manifests names
    #[arg(required_unless_present_any = ["bases", "tools", "crates", "all"])]
    pub(crate) artifacts: Vec<ArtifactName>,
    /// Pins every base that is not pinned, and makes the locks of all artifacts that have something to lock
    #[arg(long, conflicts_with_all = ["artifacts", "bases", "tools"])]
    pub(crate) all: bool,
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
    /// Brings the archives of the crates that distributions have inside, for their digests in kiln.lock, which bills of materials
    /// state
    #[arg(long)]
    pub(crate) crates: bool,
    /// Moves everything to the newest version that fits; without it, what is locked stays where it fits
    #[arg(long, short = 'U', visible_alias = "update", conflicts_with_all = ["bases", "tools"])]
    pub(crate) upgrade: bool,
    /// Moves this distribution only; may be given more than once
    #[arg(long, short = 'P', requires = "artifacts", value_name = "NAME", conflicts_with = "upgrade")]
    pub(crate) upgrade_package: Vec<DistributionName>,
    /// Writes nothing, and ends with exit code 11 if a lock would change; with --all also if a base is not pinned
    #[arg(long, conflicts_with_all = ["bases", "tools"])]
    pub(crate) check: bool,
    /// Says what would move, and how many bytes are to bring for it, and writes nothing
    #[arg(long, conflicts_with_all = ["check", "runtime", "tool"])]
    pub(crate) dry_run: bool,
}

impl Lock {
    /// Whether locks stay as they are.
    pub(crate) fn writes_nothing(&self) -> bool {
        self.check || self.dry_run
    }
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The artifact, which need not have been built; a build in one of the forms of kiln show; or the code of a finding or
    /// an exit code. Neither of the last two needs a workspace
    pub(crate) artifact: String,
    /// A distribution, a path in the artifact, or a module [default: an overview of all distributions]
    pub(crate) subject: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The build before: ARTIFACT@N, ARTIFACT@latest, ARTIFACT@previous or ARTIFACT@baseline; a record.json; an archive of
    /// whichever tool, or a folder that one was unpacked to; dist/ARTIFACT, or dist for all of them; an OCI layout; an SBOM;
    /// REGISTRY/REPOSITORY with :TAG or @DIGEST; git:REVISION or git:REVISION:ARTIFACT. Both in one word: ARTIFACT@1..@2
    pub(crate) before: String,
    /// The build after, in the same forms
    pub(crate) after: Option<String>,
    /// Ends with exit code 12 if the comparison finds one of these: removed, added, downgrade, unexplained, size, rebuilt,
    /// relicensed, rehomed, privileged, check, removed-artifact, new-artifact, any; or a size that grew by more than is
    /// allowed, such as size:+10% or size:+5MB
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) fail_on: Vec<FailOn>,
    /// Lets a change pass that nothing explains, which is denied otherwise
    #[arg(long, value_name = "WHAT")]
    pub(crate) allow: Vec<Allowed>,
    /// What sizes are held against: a folder of records, or builds in the forms above, oldest first; may be given more than
    /// once [default: the ledger]
    #[arg(long, value_name = "FOLDER|BUILD")]
    pub(crate) history: Vec<String>,
    /// Of whole workspaces, shows the table of artifacts and no more
    #[arg(long)]
    pub(crate) summary: bool,
    /// Writes the difference of two builds to this file, too, as an in-toto statement that can be signed
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
}

/// What is let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allowed {
    /// A change that no changed input accounts for
    Unexplained,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The build of the ledger: ARTIFACT, ARTIFACT@N or ARTIFACT@previous
    pub(crate) build: String,
    /// Why its size and content are accepted
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Gather {
    /// What each shard built: a copy of this workspace after its build, or the dist of one
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// Lets artifacts be missing that come later
    #[arg(long)]
    pub(crate) partial: bool,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The artifacts [default: all that were ever built here]; or records, folders of them, references to registries and
    /// whole repositories of them, oldest first, of which no workspace is needed
    pub(crate) artifacts: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The builds, in the forms of kiln show; the page goes to stdout
    #[arg(required_unless_present = "site", conflicts_with = "site")]
    pub(crate) builds: Vec<String>,
    /// Writes a page for each artifact that is published, and a first page over them, to this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) site: Option<PathBuf>,
    /// The folder that artifacts are published in [default: dist in the workspace]
    #[arg(long, value_name = "FOLDER", requires = "site")]
    pub(crate) dist: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The build, in one of the forms of kiln diff
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
    /// Writes what was checked and what was not to this file, too, as an in-toto statement that can be signed
    #[arg(long, value_name = "FILE", conflicts_with = "environment")]
    pub(crate) statement: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sbom {
    /// The build: ARTIFACT, ARTIFACT@N, a record.json, a published file, or REGISTRY/REPOSITORY with :TAG or @DIGEST
    pub(crate) build: String,
    /// The standard that it follows
    #[arg(long = "as", value_enum, default_value_t = BillFormat::Cyclonedx, value_name = "STANDARD")]
    pub(crate) form: BillFormat,
    /// The version of CycloneDX: 1.5, 1.6 or 1.7 [default: 1.6, which most readers take]
    #[arg(long, value_name = "VERSION")]
    pub(crate) spec_version: Option<SpecVersion>,
}

/// A standard for bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BillFormat {
    /// CycloneDX, as under dist/
    Cyclonedx,
    /// SPDX 2.3
    Spdx,
    /// SPDX 3.0.1 as JSON-LD
    #[value(name = "spdx-3.0")]
    Spdx3,
    /// CycloneDX 1.6 with the properties that GitLab reads
    Gitlab,
    /// A snapshot for GitHub's dependency graph, of the commit and job that GitHub Actions names
    Github,
    /// The texts that licences ask to be passed on, as the parts bring them; needs the published archive
    Notice,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Published files, folders of an artifact or of a workspace, or files elsewhere that are said to be one [default:
    /// everything under dist/, its index, and the ledger]; with --key the folder of a release or a reference to a registry
    pub(crate) files: Vec<PathBuf>,
    /// Tells of each file of a folder, and not only of those that are not as they should be
    #[arg(long, short, requires = "files")]
    pub(crate) verbose: bool,
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
    /// Holds the ledger against a copy of .kiln/heads.json that is kept elsewhere, too; may be given more than once
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "record", "cross_check"])]
    pub(crate) heads: Vec<PathBuf>,
    /// Holds the ledger against what was stated of it when this was pushed, too: REGISTRY/REPOSITORY:TAG or @DIGEST; may be
    /// given more than once
    #[arg(long, value_name = "REFERENCE", conflicts_with_all = ["files", "record", "cross_check"])]
    pub(crate) registry: Vec<String>,
    /// Connects without TLS; registries on this machine need no leave for that
    #[arg(long)]
    pub(crate) plain_http: bool,
    #[command(flatten)]
    pub(crate) signed: SignedBy,
}
