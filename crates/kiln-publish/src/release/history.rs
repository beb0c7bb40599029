//! The ledger as a log: its leaves, its checkpoints, and whether it continues an older one.

use crate::PublishError;
use crate::release::files::signature_file;
use kiln_attest::{
    AttestError, Checkpoint, ConsistencyProof, InclusionProof, LeafHashes, PublicKey, SignedNote, Signer,
    leaf_hash,
};
use kiln_invocation::Environment;
use kiln_record::{ArtifactName, counted, excerpt};
use kiln_store::{Ledger, LogLine, WorkspaceLock, write_atomically};
use std::path::{Path, PathBuf};

/// The last checkpoint that was signed here, beside the ledger.
const LAST: &str = "checkpoint";
/// What a log is called that nobody gave a name.
const ORIGIN: &str = "kiln/ledger";

/// The ledger as a log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: Vec<LogLine>,
    leaves: LeafHashes,
}

/// What is known of the log of a workspace.
#[derive(Clone, Debug)]
pub struct LogState {
    /// Its name, size and root as they are now.
    pub now: Checkpoint,
    /// How many entries the last checkpoint that was signed here is over.
    pub signed: Option<u64>,
}

impl Log {
    fn of(lines: Vec<LogLine>) -> Self {
        let leaves = lines.iter().map(|line| leaf_hash(line.to_string().as_bytes())).collect();
        Self { lines, leaves }
    }

    fn checkpoint(&self, origin: &str) -> Checkpoint {
        Checkpoint { origin: origin.to_owned(), size: self.leaves.size(), root: self.leaves.root() }
    }

    /// Whether it continues an older checkpoint; why not.
    fn continues(&self, older: &Checkpoint) -> Result<(), String> {
        match self.leaves.root_at(older.size) {
            None => Err(format!(
                "it is over {}, and the ledger has {}: it was set back",
                counted(older.size, "entries"),
                self.leaves.size()
            )),
            Some(root) if root != older.root => Err(format!(
                "up to entry {} the root is another: these are not the entries that it was signed over",
                older.size
            )),
            Some(_) => Ok(()),
        }
    }

    /// The proof that a build is in the log; none if it is not.
    pub(crate) fn proof(
        &self,
        ledger: &Ledger,
        (artifact, number): (&ArtifactName, u64),
        checkpoint: &SignedNote,
    ) -> Result<Option<InclusionProof>, PublishError> {
        let at = self.lines.iter().position(|line| line.artifact == *artifact && line.number == number);
        let Some(index) = at.map(|at| at as u64) else { return Ok(None) };
        let Some(path) = self.leaves.inclusion(index) else { return Ok(None) };
        let extra = Some(ledger.entry_bytes(artifact, number)?);
        Ok(Some(InclusionProof { index, extra, path, checkpoint: checkpoint.clone() }))
    }
}

fn last_path(ledger: &Ledger) -> PathBuf {
    ledger.root().with_file_name(LAST)
}

fn last(ledger: &Ledger) -> Result<Option<SignedNote>, PublishError> {
    read_note(&last_path(ledger))
}

/// The note in a file; none if there is no file.
fn read_note(path: &Path) -> Result<Option<SignedNote>, PublishError> {
    let Some(bytes) = signature_file(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| AttestError::Malformed {
        expected: "a signed checkpoint",
        reason: format!("{} is not UTF-8", path.display()),
    })?;
    Ok(Some(SignedNote::parse(&text)?))
}

/// What the log of a workspace is called: as it was before, if nothing else is said.
///
/// # Errors
/// If the last checkpoint cannot be read.
pub fn origin_of(environment: &Environment, given: Option<&str>) -> Result<String, PublishError> {
    let before = last(&environment.ledger())?.map(|note| note.unverified().origin.clone());
    Ok(given.map(str::to_owned).or(before).unwrap_or_else(|| ORIGIN.to_owned()))
}

/// Enters what is new in the log and signs its size and root. A log that does not continue the last checkpoint that was signed
/// here is not signed: whoever has that one would hold two that contradict each other.
///
/// # Errors
/// [`PublishError::Forked`]; as the ledger; as [`Signer::sign`].
pub fn checkpoint_of(
    environment: &Environment,
    signer: &Signer,
    origin: &str,
    lock: &WorkspaceLock,
) -> Result<SignedNote, PublishError> {
    Ok(signed_log(environment, signer, origin, lock)?.1)
}

pub(crate) fn signed_log(
    environment: &Environment,
    signer: &Signer,
    origin: &str,
    _lock: &WorkspaceLock,
) -> Result<(Log, SignedNote), PublishError> {
    let ledger = environment.ledger();
    let last_path = last_path(&ledger);
    let log = Log::of(ledger.log()?);
    if let Some(note) = last(&ledger)? {
        let forked = |reason| PublishError::Forked { checkpoint: last_path.display().to_string(), reason };
        log.continues(note.unverified()).map_err(forked)?;
    }
    let note = log.checkpoint(origin).sign(signer)?;
    ledger.extend_log()?;
    write_atomically(&last_path, note.to_text().as_bytes())?;
    Ok((log, note))
}

/// What the log of a workspace is now, with every entry of its ledger.
///
/// # Errors
/// As the ledger.
pub fn log_state(environment: &Environment) -> Result<LogState, PublishError> {
    let ledger = environment.ledger();
    let origin = origin_of(environment, None)?;
    let signed = last(&ledger)?.map(|note| note.unverified().size);
    Ok(LogState { now: Log::of(ledger.log()?).checkpoint(&origin), signed })
}

/// Holds the log against an older checkpoint of it that is kept elsewhere.
///
/// # Errors
/// [`PublishError::Forked`] if it does not continue it, or is called otherwise by now, or by `origin`; [`AttestError::NotSigned`] if none of the keys signed it. Where no key
/// is given, what it says is held against the log, whoever says so.
pub fn hold_log(
    environment: &Environment,
    path: &Path,
    origin: Option<&str>,
    keys: &[PublicKey],
) -> Result<Checkpoint, PublishError> {
    let older = kept(path)?;
    let older = if keys.is_empty() { older.unverified() } else { older.verify(keys)?.0 };
    let forked = |reason| PublishError::Forked { checkpoint: path.display().to_string(), reason };
    let ledger = environment.ledger();
    // Where nothing was signed yet, the log has no name that another could contradict.
    let named = last(&ledger)?.map(|note| note.unverified().origin.clone());
    if let Some(name) = origin.or(named.as_deref()) {
        is_called(older, name).map_err(forked)?;
    }
    Log::of(ledger.log()?).continues(older).map_err(forked)?;
    Ok(older.clone())
}

/// Whether a checkpoint is of the log of this name, which is part of what was signed: no proof leads from one name to another
/// ([`ConsistencyProof::verify`]).
fn is_called(older: &Checkpoint, name: &str) -> Result<(), String> {
    if older.origin == name {
        return Ok(());
    }
    Err(format!(
        "it is of the log {}, and this one is called {}: nothing that was signed under another name is proven to be continued",
        excerpt(&older.origin),
        excerpt(name)
    ))
}

/// The proof, for whoever has an older checkpoint and no ledger, that the last checkpoint that was signed here continues it.
///
/// # Errors
/// [`PublishError::Forked`] if it does not; [`PublishError::NotUsable`] if nothing was signed here yet.
pub fn consistency_proof(environment: &Environment, older: &Path) -> Result<ConsistencyProof, PublishError> {
    let ledger = environment.ledger();
    let note = last(&ledger)?.ok_or_else(|| PublishError::NotUsable {
        what: last_path(&ledger).display().to_string(),
        reason: "it is not there: the log is signed by kiln sign or kiln log --key-file".to_owned(),
    })?;
    let (kept, now) = (kept(older)?, note.unverified());
    let forked = |reason| PublishError::Forked { checkpoint: older.display().to_string(), reason };
    is_called(kept.unverified(), &now.origin).map_err(forked)?;
    let lines = ledger.log()?;
    let whole = Log::of(lines.clone());
    whole.continues(kept.unverified()).map_err(forked)?;
    whole.continues(now).map_err(|reason| PublishError::Forked {
        checkpoint: last_path(&ledger).display().to_string(),
        reason,
    })?;
    let signed = Log::of(lines.into_iter().take(usize::try_from(now.size).unwrap_or(usize::MAX)).collect());
    let old = kept.unverified().size;
    let path = signed.leaves.consistency(old).ok_or_else(|| {
        forked(format!(
            "it is over {}, and the last checkpoint here over {}",
            counted(old, "entries"),
            now.size
        ))
    })?;
    Ok(ConsistencyProof { old, path, checkpoint: note })
}

/// A checkpoint that is kept somewhere.
fn kept(path: &Path) -> Result<SignedNote, PublishError> {
    read_note(path)?.ok_or_else(|| PublishError::NotUsable {
        what: path.display().to_string(),
        reason: "there is no such file".to_owned(),
    })
}
