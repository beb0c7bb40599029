//! Why something could not be built again, or given back.

use kiln_build::BuildError;
use kiln_collect::CollectError;
use kiln_fetch::FetchError;
use kiln_invocation::InvocationError;
use kiln_pack::PackError;
use kiln_publish::PublishError;
use kiln_record::{Advice, ArtifactName, Defect, Finding, RunError, exit};
use kiln_store::StoreError;

/// Why something could not be built again, or given back. That it came out otherwise is no error.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// What is to be rebuilt cannot be read as a record or as provenance.
    #[error("{what}: {reason}")]
    NotUsable {
        /// The file or reference.
        what: String,
        /// Why.
        reason: String,
    },
    /// There is no source to build from.
    #[error("{what} cannot be built again: {reason}")]
    NoSource {
        /// The build.
        what: String,
        /// Why no source is known.
        reason: String,
    },
    /// The source holds no workspace, or several.
    #[error("{source_name}: {reason}")]
    NoWorkspace {
        /// The source.
        source_name: String,
        /// What was looked for.
        reason: String,
    },
    /// Findings of today deny the build.
    #[error("{artifact} cannot be built again: {} deny it: {}", counted(.findings.len()), .findings.iter().map(|one| format!("{}[{}] {}", one.level, one.code, one.cause)).collect::<Vec<_>>().join("; "))]
    Denied {
        /// The artifact.
        artifact: ArtifactName,
        /// What was found.
        findings: Vec<Finding>,
    },
    /// A layer that it uses could not be built.
    #[error("{artifact} cannot be built again for want of its layer {layer}")]
    WithoutLayer {
        /// The artifact.
        artifact: ArtifactName,
        /// The layer.
        layer: ArtifactName,
    },
    /// An artifact is nowhere to be had.
    #[error("{what} cannot be given back:\n  {}", .reasons.join("\n  "))]
    NotToBeHad {
        /// The build.
        what: String,
        /// Each place, and why it does not have it.
        reasons: Vec<String>,
    },
    /// Something is where it was to be written.
    #[error("{folder} is there already")]
    InTheWay {
        /// The folder.
        folder: String,
    },
    /// Building.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Publishing.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Collecting.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// Archives.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Repositories.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What every part of a run shares.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// The store and the ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What cannot be.
    #[error(transparent)]
    Defect(#[from] Defect),
}

fn counted(count: usize) -> String {
    if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") }
}

/// What to do where nothing says what to build from.
const SOURCE: &str = "say what to build from: --source FOLDER (the workspace), or --source git:URL@COMMIT";

impl RunError for RebuildError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::NotUsable { .. } => Advice::exit(exit::INPUT_INVALID).hint(
                "name a record.json, its .intoto.jsonl, an artifact with its record.json, or ARTIFACT@N",
            ),
            Self::NoSource { .. } => Advice::exit(exit::INPUT_INVALID).hint(SOURCE),
            Self::NoWorkspace { .. } => Advice::exit(exit::INPUT_INVALID).hint(
                "bring the commit into a folder yourself, and name the workspace in it: --source FOLDER",
            ),
            Self::Denied { findings, .. } => Advice::exit(exit::FINDINGS_DENIED)
                .hints(findings.first().map(|finding| finding.remedy.clone()).unwrap_or_default()),
            Self::WithoutLayer { .. } => Advice::exit(exit::BUILD_STEP_FAILED)
                .hint("build the layer alone to see why: kiln rebuild LAYER@N"),
            Self::NotToBeHad { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("name a reference in a registry that has it: --registry HOST/REPOSITORY:TAG")
                .hint(SOURCE),
            Self::InTheWay { .. } => {
                Advice::exit(exit::STORE_FAILURE).hint("remove it, or name another folder with --output")
            }
            Self::Build(error) => Advice::of(error),
            Self::Publish(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
            Self::Pack(error) => Advice::of(error),
            Self::Fetch(error) => Advice::of(error),
            Self::Invocation(error) => Advice::of(error),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
        }
    }
}
