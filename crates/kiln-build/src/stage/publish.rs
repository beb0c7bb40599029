//! Published and recorded: record and documents, `dist/`, and the ledger.

use super::pack::{Archive, Packed};
use super::standing::Standing;
use crate::long_hashes::of_single_files;
use crate::recording::record;
use crate::{BuildError, Expectation};
use kiln_collect::judge_whole;
use kiln_guest::Bases;
use kiln_invocation::{Ending, Event, Run, Stage, blocking};
use kiln_publish::{documents, enter_in_index, run_statement};
use kiln_record::{Defect, Digest, Epoch, Finding, Level, Record};
use kiln_store::{LedgerEntry, Publication, RUN_DETAILS_FORMAT, RunDetails, RunHost, RunTimes, SourceLink};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is remembered of a published build by its record's digest, so that an unchanged one is recognised and told about
/// without reading it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    /// The digests of all files, by name: documents and outputs.
    pub(crate) files: BTreeMap<String, Digest>,
    /// The findings worth repeating: those above notes.
    pub(crate) findings: Vec<Finding>,
    /// The code that judged it last. Where it is not known, it is not this kiln's.
    #[serde(default)]
    pub(crate) judges: Option<Digest>,
}

impl Published {
    /// The kind of cache value.
    pub(crate) const CACHE: &str = "published-files";
}

/// What came of an artifact that nothing denies.
pub(crate) struct Done {
    /// Published, or unchanged if what is published says all that there is to say.
    pub(crate) ending: Ending,
    /// What is published now.
    pub(crate) record: Record,
    /// Its findings under today's policy.
    pub(crate) findings: Vec<Finding>,
    /// Its place in the ledger.
    pub(crate) entry: LedgerEntry,
}

impl Packed {
    /// Writes record and documents, publishes everything at once and enters it in the ledger. Of what is published as it
    /// is, and is said to be what it was said to be, nothing is written.
    /// `began` is when it was begun, as the run counts; `expected` is what it must come to; `source` tells which commit it is of.
    pub(crate) async fn publish(
        self,
        bases: &Bases,
        began: Duration,
        expected: Option<Expectation>,
        source: impl FnOnce() -> SourceLink + Send + 'static,
    ) -> Result<Done, BuildError> {
        let (run, store) = (bases.run().clone(), bases.store().clone());
        let (shared, judges) = (bases.network().shared().clone(), bases.judges()?);
        let host = host(bases).await;
        blocking(move || {
            let (mut judgement, archive, outputs) = self.into_parts();
            let smoke = judgement.measured.take();
            let told = shared.told(&judgement.plan.manifest.name);
            let mut details = RunDetails {
                format: RUN_DETAILS_FORMAT,
                at: run.now(),
                times: None,
                host: Some(host),
                smoke,
                source: None,
                told,
            };
            let findings = judge_whole(&judgement.plan, &judgement.verdict.findings, run.now());
            let hashes = of_single_files(&store, &judgement.collection)?;
            let record = record(judgement, outputs, &hashes, run.kiln())?;
            // What could not be read again must not be published.
            record.check().map_err(|error| {
                Defect::new(format!("the record of {} is not one: {error}", record.artifact))
            })?;
            if let Some(expected) = expected {
                expected.meets(&record)?;
            }
            let (ending, standing) = match archive {
                Archive::Standing(standing) if standing.says(&record) => (Ending::Unchanged, *standing),
                archive => {
                    run.tell(Event::Stage { artifact: record.artifact.clone(), stage: Stage::Publish });
                    let publication = match archive {
                        Archive::Written(publication) => publication,
                        Archive::Standing(standing) => standing.keep(&run)?,
                    };
                    let link = source();
                    let published = publish(&run, publication, record, link.clone())?;
                    details.source = Some(link);
                    (Ending::Published, published)
                }
            };
            let Standing { entry, record, files } = standing;
            if details.smoke.is_some() || details.source.is_some() || !details.told.is_empty() {
                details.times = Some(times(&run, began)?);
                let ledger = run.ledger();
                ledger.put_run_details(&record.artifact, entry.number, &details)?;
                let statement = run_statement(&ledger, &record, entry.number, run.kiln(), &details)?;
                ledger.put_run_statement(&record.artifact, entry.number, &statement)?;
            }
            let loud = findings.iter().filter(|finding| finding.level > Level::Note).cloned().collect();
            let judges = Some(judges);
            store.cache_put(Published::CACHE, &entry.record, &Published { files, findings: loud, judges })?;
            Ok(Done { ending, record, findings, entry })
        })
        .await
    }
}

/// What the run builds on. An engine that does not answer any more is not named.
async fn host(bases: &Bases) -> RunHost {
    let engine = match bases.engine_in_use() {
        Some(engine) => engine.info().await.ok(),
        None => None,
    };
    RunHost {
        os: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        engine: engine.map(|info| format!("{} on {}", info.version, info.platform)),
    }
}

/// From `began`, as the run counts, until now.
fn times(run: &Run, began: Duration) -> Result<RunTimes, BuildError> {
    let ended = run.elapsed();
    let at = |since: Duration| {
        let seconds = run.now().seconds().saturating_add(since.as_secs());
        Epoch::from_seconds(seconds).map_err(|error| Defect::new(error.to_string()))
    };
    let took = ended.saturating_sub(began).as_millis();
    Ok(RunTimes {
        started: at(began)?,
        finished: at(ended)?,
        took_ms: u64::try_from(took).unwrap_or(u64::MAX),
    })
}

/// Adds the documents to the archive, and publishes and enters all of it.
fn publish(
    run: &Run,
    mut publication: Publication,
    record: Record,
    source: SourceLink,
) -> Result<Standing, BuildError> {
    let outputs = record.outputs.iter().map(|output| (output.file_name.clone(), output.digest));
    let mut files: BTreeMap<String, Digest> = outputs.collect();
    for (file_name, bytes) in documents(&record)? {
        publication.write(&file_name, &bytes)?;
        files.insert(file_name, Digest::of(&bytes));
    }
    let sealed = publication.seal()?;
    // From here on nothing stops but the end of the process, and the next command does what is then left to do.
    let _turn = run.publishing_turn()?;
    let entry = enter(run, &record, files.get("record.json"), source)?;
    sealed.place()?;
    // If the index cannot be written now, it cannot be at the end of the run either, which says so.
    let _ = enter_in_index(run.dist(), &record, entry.record);
    Ok(Standing { entry, record, files })
}

/// Enters a build in the ledger, unless it is the newest one there already: what is built again with the same result, to be
/// published where it was, is no new build.
fn enter(
    run: &Run,
    record: &Record,
    digest: Option<&Digest>,
    source: SourceLink,
) -> Result<LedgerEntry, BuildError> {
    let ledger = run.ledger();
    match ledger.latest(&record.artifact)? {
        Some(latest) if Some(&latest.record) == digest && ledger.is_here(&latest) => Ok(latest),
        _ => Ok(ledger.append(&record.artifact, record, run.now(), Some(source))?),
    }
}
