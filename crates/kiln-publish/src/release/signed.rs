//! What a look at a signed release is made of: what is asked, what was signed, and what was found.

use crate::row::State;
use kiln_attest::{
    AttestError, Checkpoint, ConsistencyProof, Envelope, IN_TOTO_PAYLOAD, PublicKey, Release, Statement,
};
use kiln_record::{ArtifactName, Digest, IndexRecord, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What to look at, and by whom it has to be signed.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// A release, or the folder of one artifact with the statement of its release.
    pub folder: PathBuf,
    /// The keys that are believed: one of them must have signed.
    pub keys: Vec<PublicKey>,
    /// The version of this kiln, as records name it.
    pub kiln: String,
    /// A checkpoint of the ledger that is known from before, and the proof that the release's ledger continues it.
    pub since: Option<(Checkpoint, Option<ConsistencyProof>)>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspect {
    /// What: `signature`, `files` and so on.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found, or what is wrong.
    pub lines: Vec<String>,
}

impl Aspect {
    pub(crate) fn new(name: &'static str, state: State, line: impl Into<String>) -> Self {
        Self { name, state, lines: vec![line.into()] }
    }

    /// As it should be, or everything that is wrong.
    pub(crate) fn of(name: &'static str, wrong: Vec<String>, right: impl FnOnce() -> String) -> Self {
        if wrong.is_empty() {
            Self::new(name, State::Same, right())
        } else {
            Self { name, state: State::Differs, lines: wrong }
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct CheckedRelease {
    /// What the statement says, if it is signed by a key that is believed.
    pub release: Option<Release>,
    /// The keys that signed.
    pub keys: BTreeSet<String>,
    /// What was looked at, in order.
    pub aspects: Vec<Aspect>,
}

impl CheckedRelease {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.aspects.iter().all(|aspect| aspect.state != State::Differs)
    }
}

/// A release whose statement is signed, and whose files were read.
pub(crate) struct Signed<'a> {
    pub(crate) request: &'a CheckRequest,
    pub(crate) release: Release,
    /// What was signed, by the name in the statement.
    pub(crate) subjects: BTreeMap<String, Digest>,
    /// Where the artifacts are that are here.
    pub(crate) here: BTreeMap<ArtifactName, PathBuf>,
    /// The records of those that are what was signed.
    pub(crate) records: BTreeMap<ArtifactName, Record>,
    /// Artifacts of the release that are not in the folder.
    pub(crate) elsewhere: Vec<ArtifactName>,
    /// Whether the folder is that of one artifact.
    pub(crate) is_part: bool,
}

impl Signed<'_> {
    /// The folders of indexes over the platforms of images, which have no record of their own.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = (ArtifactName, PathBuf)> {
        let names =
            self.subjects.keys().filter_map(|path| path.strip_suffix(IndexRecord::FILE)?.strip_suffix('/'));
        let names = names.filter(|_| !self.is_part).filter_map(|name| name.parse::<ArtifactName>().ok());
        names.map(|name| {
            let folder = self.request.folder.join(name.as_str());
            (name, folder)
        })
    }
}

/// The statement of a file that holds one envelope on one line.
pub(crate) fn verified_line(
    bytes: &[u8],
    keys: &[PublicKey],
) -> Result<(Statement, BTreeSet<String>), AttestError> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if line.contains(&b'\n') {
        let reason = "it has more than one line".to_owned();
        return Err(AttestError::Malformed { expected: "one DSSE envelope", reason });
    }
    let verified = Envelope::from_json(line)?.verify(IN_TOTO_PAYLOAD, keys)?;
    let statement = Statement::from_json(&verified.payload)?;
    Ok((statement, verified.keys.iter().map(ToString::to_string).collect()))
}
