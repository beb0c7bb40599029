//! Published and recorded: record and documents, `dist/`, and the ledger.

use super::pack::Packed;
use crate::BuildError;
use crate::recording::record;
use kiln_collect::judge;
use kiln_guest::Bases;
use kiln_invocation::{Event, Run, Stage, blocking};
use kiln_publish::documents;
use kiln_record::{Defect, Digest, Finding, Level, Record};
use kiln_store::{LedgerEntry, RUN_DETAILS_FORMAT, RunDetails};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is remembered of a published build by its record's digest, so that an unchanged one is recognised and told about
/// without reading it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    /// The digests of all files, by name: documents and outputs.
    pub(crate) files: BTreeMap<String, Digest>,
    /// The findings worth repeating: those above notes.
    pub(crate) findings: Vec<Finding>,
}

impl Published {
    /// The kind of cache value.
    pub(crate) const CACHE: &str = "published-files";
}

impl Packed {
    /// Writes record and documents, publishes everything at once and enters it in the ledger. The findings returned are
    /// those of today's policy.
    pub(crate) async fn publish(
        self,
        bases: &Bases,
    ) -> Result<(Record, Vec<Finding>, LedgerEntry), BuildError> {
        let (run, store) = (bases.run().clone(), bases.store().clone());
        let artifact = self.artifact().clone();
        run.tell(Event::Stage { artifact, stage: Stage::Publish });
        blocking(move || {
            let (mut judgement, mut publication, outputs) = self.into_parts();
            let measured = judgement.measured.take();
            let shown = judge(&judgement.plan, &judgement.verdict.findings, run.now());
            let record = record(judgement, outputs, run.kiln())?;
            // What could not be read again must not be published.
            record.check().map_err(|error| {
                Defect::new(format!("the record of {} is not one: {error}", record.artifact))
            })?;
            let mut digests: BTreeMap<String, Digest> =
                record.outputs.iter().map(|output| (output.file_name.clone(), output.digest)).collect();
            for (file_name, bytes) in documents(&record)? {
                publication.write(&file_name, &bytes)?;
                digests.insert(file_name, Digest::of(&bytes));
            }
            // From here on nothing stops between publication and ledger but the end of the process.
            run.go_on()?;
            publication.commit()?;
            let entry = enter(&run, &record, digests.get("record.json"))?;
            if measured.is_some() {
                let details = RunDetails { format: RUN_DETAILS_FORMAT, at: run.now(), smoke: measured };
                run.ledger().put_run_details(&record.artifact, entry.number, &details)?;
            }
            let loud = shown.iter().filter(|finding| finding.level > Level::Note).cloned().collect();
            store.cache_put(
                Published::CACHE,
                &entry.record,
                &Published { files: digests, findings: loud },
            )?;
            Ok((record, shown, entry))
        })
        .await
    }
}

/// Enters a build in the ledger, unless it is the newest one there already: what is built again with the same result is
/// no new build.
fn enter(run: &Run, record: &Record, digest: Option<&Digest>) -> Result<LedgerEntry, BuildError> {
    let ledger = run.ledger();
    match ledger.latest(&record.artifact)? {
        Some(latest) if Some(&latest.record) == digest => Ok(latest),
        _ => Ok(ledger.append(&record.artifact, record, run.now())?),
    }
}
