//! The statement of the run that made a build: what its `run.json` and its entry say, as in-toto has it. Nothing of it is in a document
//! that must be reproducible.

use crate::PublishError;
use crate::document::written;
use kiln_attest::{HostStatement, RunStatement, SourceStatement, Subject, ToldStatement};
use kiln_fetch::is_elsewhere;
use kiln_record::{Digest, Record};
use kiln_store::{Ledger, RunDetails, SourceCommit, SourceLink};

/// The statement of the run that made a build of the ledger, on one line. What the run printed, and the addresses of caches, stay where
/// it ran.
///
/// # Errors
/// As the ledger.
pub fn run_statement(
    ledger: &Ledger,
    record: &Record,
    number: u64,
    kiln: &str,
    run: &RunDetails,
) -> Result<Vec<u8>, PublishError> {
    let head = ledger.head_at(&record.artifact, number)?;
    let entry = head.artifacts.get(&record.artifact).map(|head| head.entry.to_string());
    let statement = RunStatement {
        format: RunStatement::FORMAT,
        invocation_id: entry.unwrap_or_default(),
        build: number,
        kiln: kiln.to_owned(),
        started_on: run.times.as_ref().map(|times| times.started),
        finished_on: run.times.as_ref().map(|times| times.finished),
        took_ms: run.times.as_ref().map(|times| times.took_ms),
        host: run.host.as_ref().map(|host| HostStatement {
            os: host.os.clone(),
            architecture: host.architecture.clone(),
            engine: host.engine.clone(),
        }),
        source: run.source.as_ref().and_then(SourceLink::commit).map(source_statement),
        told: run.told.iter().map(|told| ToldStatement { what: told.what.clone(), key: told.key }).collect(),
    };
    let json = written(record.to_json())?;
    let outputs =
        record.outputs.iter().map(|output| Subject { name: output.file_name.clone(), digest: output.digest });
    let described = Subject { name: "record.json".to_owned(), digest: Digest::of(&json) };
    let mut line = statement.statement(outputs.chain([described]).collect())?.to_json();
    line.push(b'\n');
    Ok(line)
}

/// A commit as statements name it.
pub(crate) fn source_statement(commit: &SourceCommit) -> SourceStatement {
    SourceStatement {
        // An entry of before kiln looked at that may have a path.
        repository: commit.repository.clone().filter(|address| is_elsewhere(address)),
        commit: commit.commit.clone(),
        tags: commit.tags.clone(),
        changed: commit.changed,
    }
}
