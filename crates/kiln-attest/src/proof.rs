//! Proofs as texts: that an entry is in a log (C2SP `tlog-proof`), and that a log continues an older one (the body of
//! `add-checkpoint` of C2SP `tlog-witness`).

use crate::checkpoint::{hash, number};
use crate::{AttestError, Checkpoint, PublicKey, SignedNote, verify_consistency, verify_inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_record::{Digest, counted};

/// The first line of a proof of inclusion.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The most hashes of a path: a log has fewer than 2^63 entries.
const MAX_PATH: usize = 63;
/// The longest proof that is read, in bytes.
const MAX_PROOF: usize = 256 << 10;

/// That an entry is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Its place, from 0.
    pub index: u64,
    /// What its leaf was made of, or more: nothing vouches for it but a leaf that fits.
    pub extra: Option<Vec<u8>>,
    /// The hashes from its sibling up.
    pub path: Vec<Digest>,
    /// The log.
    pub checkpoint: SignedNote,
}

/// That a log continues an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// How many entries the older one had.
    pub old: u64,
    /// The hashes.
    pub path: Vec<Digest>,
    /// The newer one.
    pub checkpoint: SignedNote,
}

fn lines(path: &[Digest]) -> String {
    path.iter().map(|hash| format!("{}\n", hash.base64())).collect()
}

/// The hashes of a path, line by line.
fn path_of<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Digest>, &'static str> {
    let mut path = Vec::new();
    for line in lines {
        path.push(hash(line).ok_or("a line is no hash")?);
        if path.len() > MAX_PATH {
            return Err("it has more hashes than any log needs");
        }
    }
    Ok(path)
}

impl InclusionProof {
    /// The proof as a `.tlog-proof` file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let extra = self.extra.as_ref().map(|bytes| format!("extra {}\n", STANDARD.encode(bytes)));
        let (extra, path) = (extra.unwrap_or_default(), lines(&self.path));
        format!("{HEADER}\n{extra}index {}\n{path}\n{}", self.index, self.checkpoint.to_text())
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, AttestError> {
        let malformed = |reason: &str| AttestError::malformed("a proof of inclusion", reason);
        if text.len() > MAX_PROOF {
            return Err(malformed("it is too long"));
        }
        let (above, note) = text.split_once("\n\n").ok_or_else(|| malformed("it has no checkpoint"))?;
        let mut lines = above.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(malformed("its first line is another one"));
        }
        let mut line = lines.next().unwrap_or_default();
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(STANDARD.decode(encoded).map_err(|_| malformed("what it carries is not base64"))?);
            line = lines.next().unwrap_or_default();
        }
        let index = line.strip_prefix("index ").and_then(number);
        let index = index.ok_or_else(|| malformed("it does not say the place of the entry"))?;
        let path = path_of(lines).map_err(malformed)?;
        Ok(Self { index, extra, path, checkpoint: SignedNote::parse(note)? })
    }

    /// The checkpoint of a log that one of the keys signed and that this entry is in.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`]; [`AttestError::Unproven`].
    pub fn verify(&self, leaf: &Digest, keys: &[PublicKey]) -> Result<&Checkpoint, AttestError> {
        let (checkpoint, _) = self.checkpoint.verify(keys)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl ConsistencyProof {
    /// The proof as a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("old {}\n{}\n{}", self.old, lines(&self.path), self.checkpoint.to_text())
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, AttestError> {
        let malformed = |reason: &str| AttestError::malformed("a proof of consistency", reason);
        if text.len() > MAX_PROOF {
            return Err(malformed("it is too long"));
        }
        let (above, note) = text.split_once("\n\n").ok_or_else(|| malformed("it has no checkpoint"))?;
        let mut lines = above.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(number);
        let old = old.ok_or_else(|| malformed("it does not say the size of the older log"))?;
        let path = path_of(lines).map_err(malformed)?;
        Ok(Self { old, path, checkpoint: SignedNote::parse(note)? })
    }

    /// The newer log, if one of the keys signed it and it continues the older one.
    ///
    /// # Errors
    /// [`AttestError::NotSigned`]; [`AttestError::Unproven`].
    pub fn verify(&self, older: &Checkpoint, keys: &[PublicKey]) -> Result<&Checkpoint, AttestError> {
        let (newer, _) = self.checkpoint.verify(keys)?;
        let unproven = |reason: String| AttestError::Unproven { reason };
        if older.origin != newer.origin {
            let (older, newer) = (&older.origin, &newer.origin);
            return Err(unproven(format!("it is of the log {newer}, and the older one is {older}")));
        }
        if older.size != self.old {
            let (proof, older) = (self.old, older.size);
            return Err(unproven(format!(
                "it is about a log of {}, and the older checkpoint has {older}",
                counted(proof, "entries")
            )));
        }
        verify_consistency((older.size, &older.root), (newer.size, &newer.root), &self.path)?;
        Ok(newer)
    }
}
