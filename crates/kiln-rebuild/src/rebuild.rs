//! One build, made again in a folder of its own.

use crate::{Expected, Place, RebuildError};
use kiln_build::{BuildReport, BuildRequest, build};
use kiln_guest::EngineSlot;
use kiln_invocation::{Ending, Environment, Events, InvocationError, Trial, Variation};
use kiln_record::{ArtifactName, Defect, Epoch, IndexRecord, Record};
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

/// An image for several platforms that was built.
#[derive(Clone, Debug)]
pub struct RebuiltIndex {
    /// What it is over.
    pub record: IndexRecord,
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

    /// The environment of the next build: with an empty ledger and output folder, and with nothing remembered. `stated` is the time that
    /// stands for the build, where it does not follow from pins.
    fn next(&self, now: Epoch, stated: Option<Epoch>, variations: &BTreeSet<Variation>) -> Environment {
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
            now,
            source_date_epoch: stated,
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
    let environment = scratch.next(expected.epoch, Some(expected.epoch), variations);
    let artifact = &expected.artifact;
    let report = built(&environment, artifact, events, engine).await?;
    let own = report.results.into_iter().find(|result| result.artifact == *artifact);
    let entry = own.and_then(|own| own.entry).ok_or_else(|| unknown(artifact))?;
    rebuilt(&environment, artifact, entry.number)
}

/// Builds an image for several platforms again: each of them, and the index.
///
/// # Errors
/// As [`rebuild`].
pub async fn rebuild_index(
    scratch: &Scratch,
    expected: &IndexRecord,
    events: &Events,
    engine: EngineSlot,
) -> Result<RebuiltIndex, RebuildError> {
    // The time of each platform follows from its pins, unless one was stated for all.
    let again = index_at(scratch, expected, None, events, EngineSlot::clone(&engine)).await?;
    if again.record.epoch == expected.epoch {
        return Ok(again);
    }
    index_at(scratch, expected, Some(expected.epoch), events, engine).await
}

async fn index_at(
    scratch: &Scratch,
    expected: &IndexRecord,
    stated: Option<Epoch>,
    events: &Events,
    engine: EngineSlot,
) -> Result<RebuiltIndex, RebuildError> {
    let environment = scratch.next(expected.epoch, stated, &BTreeSet::new());
    let artifact = &expected.artifact;
    let report = built(&environment, artifact, events, engine).await?;
    let own = report.indexes.into_iter().find(|result| result.artifact == *artifact);
    let own = own.ok_or_else(|| unknown(artifact))?;
    match (own.record, own.error) {
        (_, Some(error)) => Err(error.into()),
        (Some(record), None) => Ok(RebuiltIndex { record, folder: environment.dist.join(artifact.as_str()) }),
        (None, None) => Err(unknown(artifact)),
    }
}

/// Builds what an artifact is made of. It ends with an error where anything of that was not published.
async fn built(
    environment: &Environment,
    artifact: &ArtifactName,
    events: &Events,
    engine: EngineSlot,
) -> Result<BuildReport, RebuildError> {
    let request =
        BuildRequest { artifacts: Some(vec![artifact.clone()]), force: true, ..BuildRequest::default() };
    let mut report = build(environment, &request, events, engine).await?;
    for result in &mut report.results {
        if let Some(error) = result.error.take() {
            return Err(error.into());
        }
        match result.ending {
            Ending::Denied => {
                return Err(RebuildError::Denied {
                    artifact: result.artifact.clone(),
                    findings: std::mem::take(&mut result.findings),
                });
            }
            Ending::Skipped => {
                let artifact = result.artifact.clone();
                let layer = result.without.clone().unwrap_or_else(|| artifact.clone());
                return Err(RebuildError::WithoutLayer { artifact, layer });
            }
            _ => {}
        }
    }
    match report.error.take() {
        Some(error) => Err(error.into()),
        None => Ok(report),
    }
}

/// What the source does not have by this name.
fn unknown(artifact: &ArtifactName) -> RebuildError {
    InvocationError::Unknown { kind: "artifact", name: artifact.to_string(), known: Vec::new() }.into()
}

fn rebuilt(environment: &Environment, artifact: &ArtifactName, number: u64) -> Result<Rebuilt, RebuildError> {
    let record = Ledger::open(&environment.state.join("ledger")).record(artifact, number)?;
    let folder = environment.dist.join(artifact.as_str());
    if !folder.is_dir() {
        return Err(Defect::new(format!("{artifact} was published, and is not there")).into());
    }
    Ok(Rebuilt { record, folder })
}
