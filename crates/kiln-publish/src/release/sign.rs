//! `kiln sign`: one statement over all that is published, the provenance of each artifact in an envelope, and the ledger's
//! checkpoint with a proof for each build.

use crate::PublishError;
use crate::anchors::Anchors;
use crate::archive_manifest::manifest_of;
use crate::published::published_record;
use crate::published_index::published_index;
use crate::release::files::{
    CHECKPOINT, RELEASE, digests, files_below, manifest_signature, proof, signed_bill, signed_provenance,
    signed_run,
};
use crate::release::history::signed_log;
use crate::row::State;
use crate::run_statement::source_statement;
use crate::whole::verify_workspace;
use fs_err as fs;
use kiln_attest::{
    Envelope, FindingCounts, IN_TOTO_PAYLOAD, ImageSignature, LedgerStatement, LogStatement, Release,
    ReleasedArtifact, RunStatement, Signer, Statement, Subject, sign_inside,
};
use kiln_invocation::Environment;
use kiln_record::{ArtifactName, Digest, IndexRecord, Level, Record};
use kiln_store::{Ledger, LedgerEntry, SourceLink, WorkspaceLock, read_regular, write_atomically};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How to sign.
#[derive(Clone, Debug)]
pub struct SignRequest {
    /// What the ledger's log is called.
    pub origin: String,
    /// What [`require_signable`] could not hold against anything.
    pub not_checked: Vec<String>,
    /// Whether to write bills of materials with the signature inside, too.
    pub bills: bool,
}

/// What was signed.
#[derive(Clone, Debug)]
pub struct SignedRelease {
    /// What was stated.
    pub release: Release,
    /// How many files it is about.
    pub files: usize,
    /// What was written, in order.
    pub written: Vec<PathBuf>,
    /// What was not looked at before signing, and why.
    pub not_checked: Vec<String>,
}

/// Looks at everything that is to be signed, as `kiln verify` does. Gives back what could not be held against anything.
///
/// # Errors
/// [`PublishError::NotSignable`] if something is not what was built.
pub async fn require_signable(environment: &Environment) -> Result<Vec<String>, PublishError> {
    let rows = verify_workspace(environment, &Anchors::default()).await?;
    let told = |state: State| {
        let rows = rows.iter().filter(move |row| row.state == state);
        rows.map(|row| format!("{}: {}", row.subject, row.lines.join("; "))).collect::<Vec<_>>()
    };
    let reasons = told(State::Differs);
    if !reasons.is_empty() {
        return Err(PublishError::NotSignable { reasons });
    }
    Ok(told(State::NotChecked))
}

/// Signs all that is published. The caller holds the workspace's lock, and asked [`require_signable`] under it.
///
/// # Errors
/// [`PublishError::NotUsable`] if nothing is published; as the ledger; as [`Signer::sign`].
pub fn sign_release(
    environment: &Environment,
    signer: &Signer,
    request: SignRequest,
    lock: &WorkspaceLock,
) -> Result<SignedRelease, PublishError> {
    let (dist, ledger) = (&environment.dist, environment.ledger());
    let records = records(dist)?;
    if records.is_empty() {
        return Err(PublishError::NotUsable {
            what: dist.display().to_string(),
            reason: "nothing is published there; build it: kiln build --all".to_owned(),
        });
    }
    let (mut written, mut signatures) = (Vec::new(), BTreeMap::new());
    let mut write = |path: PathBuf, bytes: &[u8]| {
        write_atomically(&path, bytes)?;
        let name = path.strip_prefix(dist).ok().and_then(Path::to_str).map(str::to_owned);
        signatures.extend(name.map(|name| (name, Digest::of(bytes))));
        written.push(path);
        Ok::<_, PublishError>(())
    };
    let has_ledger = !ledger.artifacts()?.is_empty();
    let signed =
        if has_ledger { Some(signed_log(environment, signer, &request.origin, lock)?) } else { None };
    let mut artifacts = BTreeMap::new();
    for (name, (record, bytes)) in &records {
        let folder = dist.join(name.as_str());
        let entry = if has_ledger { ledger.published(name)? } else { None };
        artifacts.insert(name.clone(), released(record, bytes, entry.as_ref())?);
        let provenance = read_regular(folder.join(format!("{name}.intoto.jsonl")))?;
        // Whatever is signed as a statement must be read as one.
        Statement::from_json(&provenance)?;
        let line = provenance.strip_suffix(b"\n").unwrap_or(&provenance);
        let envelope = Envelope::sign(IN_TOTO_PAYLOAD, line, signer)?;
        write(folder.join(signed_provenance(name)), envelope.to_line().as_bytes())?;
        // What an earlier signing left there is of another key or run.
        remove(&folder.join(signed_run(name)))?;
        remove(&folder.join(signed_bill(name)))?;
        if let Some(entry) = &entry
            && let Some(statement) = run_of(&ledger, name, entry, archive_of(record)?)?
        {
            let envelope = Envelope::sign(IN_TOTO_PAYLOAD, &statement, signer)?;
            write(folder.join(signed_run(name)), envelope.to_line().as_bytes())?;
        }
        if request.bills {
            let bill = read_regular(folder.join(format!("{name}.cdx.json")))?;
            write(folder.join(signed_bill(name)), &sign_inside(&bill, signer)?)?;
        }
        let signature = ImageSignature::sign(&manifest_of(&folder, record)?, signer)?;
        write(folder.join(manifest_signature(name)), signature.to_line().as_bytes())?;
        if let (Some((log, note)), Some(entry)) = (&signed, &entry)
            && let Some(shown) = log.proof(&ledger, (name, entry.number), note)?
        {
            write(folder.join(proof(name)), shown.to_text().as_bytes())?;
        }
    }
    for (name, index) in indexes(dist)? {
        let signature = ImageSignature::sign(&index.index, signer)?;
        write(dist.join(name.as_str()).join(manifest_signature(&name)), signature.to_line().as_bytes())?;
    }
    let ledger = match &signed {
        Some((_, note)) => {
            write(dist.join(CHECKPOINT), note.to_text().as_bytes())?;
            let (origin, size, root) = {
                let checkpoint = note.unverified();
                (checkpoint.origin.clone(), checkpoint.size, checkpoint.root)
            };
            Some(LedgerStatement { heads: heads(&ledger)?, log: LogStatement { origin, size, root } })
        }
        None => None,
    };
    let release = Release {
        format: Release::FORMAT,
        signed_at: environment.now,
        kiln: environment.kiln.clone(),
        artifacts,
        signatures: Some(signatures),
        ledger,
    };
    let subjects = subjects(dist)?;
    let files = subjects.len();
    let statement = release.statement(subjects)?.to_json();
    let envelope = Envelope::sign(IN_TOTO_PAYLOAD, &statement, signer)?;
    // It cannot name itself: that it is missing is told by its name.
    let path = dist.join(RELEASE);
    write_atomically(&path, envelope.to_line().as_bytes())?;
    written.push(path);
    Ok(SignedRelease { release, files, written, not_checked: request.not_checked })
}

/// The record of each artifact that is published, with its bytes.
fn records(dist: &Path) -> Result<BTreeMap<ArtifactName, (Record, Vec<u8>)>, PublishError> {
    let mut records = BTreeMap::new();
    if !dist.is_dir() {
        return Ok(records);
    }
    for entry in fs::read_dir(dist)? {
        let entry = entry?;
        let name = entry.file_name().to_str().and_then(|name| name.parse::<ArtifactName>().ok());
        let path = entry.path().join("record.json");
        if let Some(name) = name.filter(|_| path.is_file()) {
            records.insert(name.clone(), (published_record(&entry.path(), &name)?, read_regular(path)?));
        }
    }
    Ok(records)
}

/// What is published of images for several platforms.
fn indexes(dist: &Path) -> Result<BTreeMap<ArtifactName, IndexRecord>, PublishError> {
    let mut indexes = BTreeMap::new();
    for entry in fs::read_dir(dist)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<ArtifactName>().ok()) {
            indexes.extend(published_index(&entry.path())?.map(|index| (name, index)));
        }
    }
    Ok(indexes)
}

/// All files of what is published, but for what is nothing that kiln publishes.
fn subjects(dist: &Path) -> Result<Vec<Subject>, PublishError> {
    let mut files = files_below(dist)?;
    files.retain(|name, _| {
        let first = name.split_once('/').map(|(folder, _)| folder);
        first.map_or(name == "index.json", |folder| folder.parse::<ArtifactName>().is_ok())
    });
    Ok(digests(&files)?.into_iter().map(|(name, digest)| Subject { name, digest }).collect())
}

fn released(
    record: &Record,
    bytes: &[u8],
    entry: Option<&LedgerEntry>,
) -> Result<ReleasedArtifact, PublishError> {
    let count = |level: Level| record.findings.iter().filter(|one| one.level == level).count() as u64;
    let archive = archive_of(record)?;
    let source = entry.and_then(|entry| entry.source.as_ref()).and_then(SourceLink::commit);
    Ok(ReleasedArtifact {
        kind: record.kind,
        record: Digest::of(bytes),
        archive,
        tree: record.tree,
        build: entry.map(|entry| entry.number),
        source: source.map(source_statement),
        findings: FindingCounts {
            deny: count(Level::Deny),
            warn: count(Level::Warn),
            note: count(Level::Note),
        },
    })
}

fn archive_of(record: &Record) -> Result<Digest, PublishError> {
    record.archive().map(|archive| archive.digest).ok_or_else(|| PublishError::NotUsable {
        what: record.artifact.to_string(),
        reason: "its record lists no output".to_owned(),
    })
}

/// The statement of the run that made a build, if it is kept and about that. No digest covers what lies beside an entry, so that
/// whatever is about something else counts as not there.
fn run_of(
    ledger: &Ledger,
    name: &ArtifactName,
    entry: &LedgerEntry,
    archive: Digest,
) -> Result<Option<Vec<u8>>, PublishError> {
    let Some(bytes) = ledger.run_statement(name, entry.number)? else { return Ok(None) };
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let Ok(statement) = Statement::from_json(line) else { return Ok(None) };
    let is_about_it = |digest: Digest| statement.subjects.iter().any(|subject| subject.digest == digest);
    let is_its = is_about_it(archive)
        && is_about_it(entry.record)
        && RunStatement::of(&statement).is_ok_and(|run| run.build == entry.number);
    Ok(is_its.then(|| line.to_owned()))
}

fn remove(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn heads(ledger: &Ledger) -> Result<BTreeMap<ArtifactName, (u64, Digest)>, PublishError> {
    let mut heads = BTreeMap::new();
    for artifact in ledger.artifacts()? {
        if let Some(number) = ledger.newest(&artifact)? {
            let head = ledger.head_at(&artifact, number)?;
            heads.extend(head.artifacts.into_iter().map(|(name, head)| (name, (head.number, head.entry))));
        }
    }
    Ok(heads)
}
