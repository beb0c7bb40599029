//! Why something cannot be published, found again, pushed or pulled.

use kiln_attest::AttestError;
use kiln_collect::CollectError;
use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_image::ImageError;
use kiln_invocation::InvocationError;
use kiln_record::{Advice, ArtifactName, Defect, Digest, Place, RecordError, RunError, exit};
use kiln_sbom::SbomError;
use kiln_store::StoreError;
use std::path::Path;

/// Why something cannot be published, found again, pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A text does not say where to push to, or what to pull.
    #[error("`{text}` names nothing in a registry: {reason}")]
    Repository {
        /// The text, without a login.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A registry has nothing under a tag or a digest.
    #[error("`{text}` names nothing in a registry: the registry has no such tag or digest")]
    NotInRegistry {
        /// The reference, without a login.
        text: String,
    },
    /// A published file is not what was built.
    #[error("{path} is not what its record says any more: it was changed after it was built")]
    NotAsRecorded {
        /// The artifact.
        artifact: ArtifactName,
        /// The file.
        path: String,
    },
    /// A published file is not there any more.
    #[error("{path} is gone")]
    Gone {
        /// The artifact.
        artifact: ArtifactName,
        /// The file.
        path: String,
    },
    /// What is published is not what the ledger has as the newest build.
    #[error(
        "{path} has digest {found}, but build {number} of {artifact}, the newest of the ledger, has {expected}: it was changed after it was built, or comes from elsewhere"
    )]
    NotInLedger {
        /// The artifact.
        artifact: ArtifactName,
        /// The record that is published.
        path: String,
        /// Its digest.
        found: Digest,
        /// The newest build's number.
        number: u64,
        /// The digest of its record.
        expected: Digest,
    },
    /// Something is published that the ledger has no build of.
    #[error(
        "{path} has digest {found}, and the ledger of this workspace has no build of {artifact}: it comes from elsewhere"
    )]
    NeverBuilt {
        /// The artifact.
        artifact: ArtifactName,
        /// The record that is published.
        path: String,
        /// Its digest.
        found: Digest,
    },
    /// What several machines built does not come to one.
    #[error("what is to be gathered does not fit, and nothing was changed:\n  {}", problems.join("\n  "))]
    Gathering {
        /// What is wrong, with folders.
        problems: Vec<String>,
    },
    /// A tag of a registry names something else.
    #[error("{reference} names {there} already, not {ours}")]
    TagTaken {
        /// The tag.
        reference: String,
        /// What it names.
        there: Digest,
        /// What it should name.
        ours: Digest,
    },
    /// Different records describe one thing of a registry. Whoever may push may attach one, so none is believed.
    #[error(
        "{reference} is described by {} different records, and nothing says which of them is true: {}",
        records.len(),
        records.join("; ")
    )]
    SeveralRecords {
        /// `registry/repository@digest`.
        reference: String,
        /// Each record by its digest, and by what it says of itself.
        records: Vec<String>,
    },
    /// The disk has no room for what a registry says it has.
    #[error("{what} needs {needed} bytes in {folder}, where {free} are free")]
    NoSpace {
        /// What was to be written.
        what: String,
        /// Where to.
        folder: String,
        /// How much it needs, in bytes.
        needed: u64,
        /// How much is free, in bytes.
        free: u64,
    },
    /// The list of what refers to a manifest could not be written: others write it all the time.
    #[error("{repository}: the list of referrers was written by others each time it was written here")]
    ReferrersNotListed {
        /// The repository and the tag that holds the list.
        repository: String,
    },
    /// A reference to a build that cannot be resolved.
    #[error("`{text}` does not name a build: {reason}")]
    Reference {
        /// What was given.
        text: String,
        /// Why.
        reason: String,
    },
    /// What was named is there, or is of the kind asked for, but cannot be used for this.
    #[error("{what}: {reason}")]
    NotUsable {
        /// A build, a file or a reference, as it was given.
        what: String,
        /// Why.
        reason: String,
    },
    /// A record that is there cannot be read.
    #[error("{path}: {reason}")]
    UnreadRecord {
        /// Its file.
        path: String,
        /// Why not.
        reason: RecordError,
    },
    /// What every part of a run shares.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Collecting.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The engine.
    #[error("failed to {0}")]
    Engine(#[from] EngineError),
    /// Images and packages.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What a registry gave is not what it should be.
    #[error("{place}: {source}")]
    InRegistry {
        /// The reference, as it was given or with the digest.
        place: String,
        /// What is wrong with it.
        source: ImageError,
    },
    /// Documents.
    #[error(transparent)]
    Sbom(#[from] SbomError),
    /// What is published is not to be signed.
    #[error("nothing was signed, as what is published is not what was built: {}", reasons.join("; "))]
    NotSignable {
        /// What is wrong, one thing each.
        reasons: Vec<String>,
    },
    /// The ledger is not what it was when a checkpoint of it was signed.
    #[error("{checkpoint} is of another ledger than this: {reason}")]
    Forked {
        /// Where the checkpoint is from.
        checkpoint: String,
        /// What does not fit.
        reason: String,
    },
    /// Keys, signatures, proofs.
    #[error(transparent)]
    Attest(#[from] AttestError),
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

impl PublishError {
    /// That a published file is not what was built: whether it was changed or is gone, the disk says.
    #[must_use]
    pub fn not_as_recorded(artifact: &ArtifactName, file: &Path) -> Self {
        let (artifact, path) = (artifact.clone(), file.display().to_string());
        match file.exists() {
            true => Self::NotAsRecorded { artifact, path },
            false => Self::Gone { artifact, path },
        }
    }
}

impl RunError for PublishError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Repository { .. }
            | Self::NotInRegistry { .. }
            | Self::Reference { .. }
            | Self::NotUsable { .. } => Advice::exit(exit::INPUT_INVALID),
            Self::UnreadRecord { path, reason } => {
                let place = reason.line().map_or_else(|| Place::file(path), |line| Place::line(path, line));
                Advice::exit(exit::INPUT_INVALID).at(Some(place))
            }
            Self::NotAsRecorded { artifact, path } => Advice::exit(exit::NOT_REPRODUCIBLE)
                .hint(format!("what differs: kiln verify {path}"))
                .hint(format!("build it again: kiln build {artifact}")),
            Self::Gone { artifact, .. } => Advice::exit(exit::NOT_REPRODUCIBLE)
                .hint("what else is not as it was built: kiln verify")
                .hint(format!("build it again: kiln build {artifact}")),
            Self::NotInLedger { artifact, .. } | Self::NeverBuilt { artifact, .. } => {
                Advice::exit(exit::NOT_REPRODUCIBLE)
                    .hint("what else is not as it was built: kiln verify")
                    .hint(format!("build it again: kiln build {artifact}"))
            }
            Self::Gathering { .. } => Advice::exit(exit::NOT_REPRODUCIBLE)
                .hint("build what does not fit again where it was built, and gather once more"),
            Self::TagTaken { .. } => Advice::exit(exit::INPUT_INVALID)
                .hint("nothing was sent: whoever uses the tag would get something else")
                .hint("push under another tag with --tag, or move this one with --move-tag"),
            Self::SeveralRecords { reference, .. } => Advice::exit(exit::NOT_REPRODUCIBLE)
                .hint(format!(
                    "bring all of them and compare: kiln pull {reference} --into FOLDER, kiln diff"
                ))
                .hint("the ledger of the workspace that built it has the true one: kiln history"),
            Self::NoSpace { .. } => Advice::exit(exit::STORE_FAILURE)
                .hint("nothing was written; name a folder on a larger disk with --into"),
            Self::ReferrersNotListed { .. } => Advice::exit(exit::FETCH_FAILED),
            Self::NotSignable { .. } => {
                Advice::exit(exit::NOT_REPRODUCIBLE).hint("all that is wrong: kiln verify")
            }
            Self::Forked { .. } => Advice::exit(exit::SIGNATURE_REFUSED)
                .hint("entries of the ledger were changed, removed or put in another order since, or it is another one")
                .hint("the ledger as it was is where it was copied to; nothing was signed"),
            Self::Attest(AttestError::Key { .. } | AttestError::Passphrase { .. } | AttestError::Signing { .. }) => {
                Advice::exit(exit::INPUT_INVALID)
            }
            Self::Attest(_) => Advice::exit(exit::SIGNATURE_REFUSED),
            Self::Invocation(error) => Advice::of(error),
            Self::Collect(error) => Advice::of(error),
            Self::Fetch(error) => Advice::of(error),
            Self::Engine(error) => Advice::of(error),
            Self::Image(error) | Self::InRegistry { source: error, .. } => Advice::of(error),
            Self::Sbom(error) => Advice::of(error),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(PublishError, kiln_record::Exit, usize)> = vec![
            (
                PublishError::Repository { text: "x".to_owned(), reason: "x".to_owned() },
                exit::INPUT_INVALID,
                0,
            ),
            (
                PublishError::Reference { text: "x".to_owned(), reason: "x".to_owned() },
                exit::INPUT_INVALID,
                0,
            ),
            (PublishError::NotInRegistry { text: "x".to_owned() }, exit::INPUT_INVALID, 0),
            (
                PublishError::NotUsable { what: "x".to_owned(), reason: "x".to_owned() },
                exit::INPUT_INVALID,
                0,
            ),
            (
                PublishError::UnreadRecord {
                    path: "x".to_owned(),
                    reason: RecordError::Contradiction("x".to_owned()),
                },
                exit::INPUT_INVALID,
                0,
            ),
            (PublishError::Gathering { problems: vec!["x".to_owned()] }, exit::NOT_REPRODUCIBLE, 1),
            (
                PublishError::NotAsRecorded { artifact: "app".parse().unwrap(), path: "x".to_owned() },
                exit::NOT_REPRODUCIBLE,
                2,
            ),
            (
                PublishError::Gone { artifact: "app".parse().unwrap(), path: "x".to_owned() },
                exit::NOT_REPRODUCIBLE,
                2,
            ),
            (
                PublishError::NotInLedger {
                    artifact: "app".parse().unwrap(),
                    path: "x".to_owned(),
                    found: Digest::of(b""),
                    number: 1,
                    expected: Digest::of(b""),
                },
                exit::NOT_REPRODUCIBLE,
                2,
            ),
            (
                PublishError::NeverBuilt {
                    artifact: "app".parse().unwrap(),
                    path: "x".to_owned(),
                    found: Digest::of(b""),
                },
                exit::NOT_REPRODUCIBLE,
                2,
            ),
            (
                PublishError::TagTaken {
                    reference: "x".to_owned(),
                    there: Digest::of(b""),
                    ours: kiln_record::Digest::of(b""),
                },
                exit::INPUT_INVALID,
                2,
            ),
            (
                PublishError::SeveralRecords { reference: "x".to_owned(), records: vec![] },
                exit::NOT_REPRODUCIBLE,
                2,
            ),
            (
                PublishError::NoSpace { what: "x".to_owned(), folder: "x".to_owned(), needed: 2, free: 1 },
                exit::STORE_FAILURE,
                1,
            ),
            (PublishError::NotSignable { reasons: vec![] }, exit::NOT_REPRODUCIBLE, 1),
            (
                PublishError::Forked { checkpoint: "x".to_owned(), reason: "x".to_owned() },
                exit::SIGNATURE_REFUSED,
                2,
            ),
            (AttestError::Signing { reason: "x".to_owned() }.into(), exit::INPUT_INVALID, 0),
            (AttestError::Unproven { reason: "x".to_owned() }.into(), exit::SIGNATURE_REFUSED, 0),
            (PublishError::ReferrersNotListed { repository: "x".to_owned() }, exit::FETCH_FAILED, 0),
            (Defect::new("x").into(), exit::UNEXPECTED, 1),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
