//! One build, made again in a folder of its own.

use crate::{Expected, Place, RebuildError};
use kiln_build::{BuildRequest, build};
use kiln_guest::EngineSlot;
use kiln_invocation::{Ending, Environment, Events, InvocationError, Trial, Variation};
use kiln_record::{ArtifactName, Defect, Record};
use kiln_store::Ledger;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where builds of one place are made, each in a folder of its own.
#[derive(Debug)]
pub struct Scratch {
    place: Place,
    /// What the command line hands to a run in the place's workspace.
    environment: Environment,
    /// Another engine to build with, as `DOCKER_HOST` names one.
    second_engine: Option<String>,
    runs: AtomicUsize,
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Its record.
    pub record: Record,
    /// The folder with its published files.
    pub folder: PathBuf,
}

impl Scratch {
    /// Builds in a place are given `environment`, which is that of the place's workspace.
    #[must_use]
    pub fn new(place: Place, environment: Environment) -> Self {
        Self { place, environment, second_engine: None, runs: AtomicUsize::new(0) }
    }

    /// Builds with another engine, too, where engines are varied.
    #[must_use]
    pub fn with_second_engine(self, second_engine: Option<String>) -> Self {
        Self { second_engine, ..self }
    }

    /// Whether there is another engine.
    #[must_use]
    pub fn has_second_engine(&self) -> bool {
        self.second_engine.is_some()
    }

    /// The workspace that is built.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.place.root()
    }

    /// What a run in the workspace is given.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The environment of the next build: with an empty ledger and output folder, and with nothing remembered.
    fn next(&self, epoch: kiln_record::Epoch, variations: &BTreeSet<Variation>) -> Environment {
        let number = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let folder = self.place.scratch().join(number.to_string());
        let mut engine = self.environment.engine.clone();
        if variations.contains(&Variation::Engine) {
            engine.docker_host.clone_from(&self.second_engine);
        }
        Environment {
            dist: folder.join("dist"),
            state: folder.join("state"),
            engine,
            // An exception that has ended since held when it was built.
            now: epoch,
            source_date_epoch: Some(epoch),
            trial: Trial { results: Some(folder.join("results")), variations: variations.clone() },
            ..self.environment.clone()
        }
    }
}

/// Builds an artifact again, from nothing but its inputs.
///
/// # Errors
/// If it cannot be built from this source today.
pub async fn rebuild(
    scratch: &Scratch,
    expected: &Expected,
    variations: &BTreeSet<Variation>,
    events: &Events,
    engine: EngineSlot,
) -> Result<Rebuilt, RebuildError> {
    let environment = scratch.next(expected.epoch, variations);
    let artifact = expected.artifact.clone();
    let request =
        BuildRequest { artifacts: Some(vec![artifact.clone()]), force: true, ..BuildRequest::default() };
    let report = build(&environment, &request, events, engine).await?;
    let mut own = None;
    for result in report.results {
        let is_own = result.artifact == artifact;
        match (result.ending, result.error) {
            (_, Some(error)) => return Err(error.into()),
            (Ending::Denied, None) => {
                return Err(RebuildError::Denied { artifact: result.artifact, findings: result.findings });
            }
            (Ending::Skipped, None) if is_own => {
                let layer = result.without.unwrap_or_else(|| artifact.clone());
                return Err(RebuildError::WithoutLayer { artifact, layer });
            }
            _ if is_own => own = result.entry,
            _ => {}
        }
    }
    match (own, report.error) {
        (_, Some(error)) => Err(error.into()),
        (Some(entry), None) => Ok(rebuilt(&environment, &artifact, entry.number)?),
        // An image for several platforms is built by the names of its artifacts.
        (None, None) => {
            Err(InvocationError::Unknown { kind: "artifact", name: artifact.to_string(), known: Vec::new() }
                .into())
        }
    }
}

fn rebuilt(environment: &Environment, artifact: &ArtifactName, number: u64) -> Result<Rebuilt, RebuildError> {
    let record = Ledger::open(&environment.state.join("ledger")).record(artifact, number)?;
    let folder = environment.dist.join(artifact.as_str());
    if !folder.is_dir() {
        return Err(Defect::new(format!("{artifact} was published, and is not there")).into());
    }
    Ok(Rebuilt { record, folder })
}
