//! What is published of an artifact that is judged again: whether it would be made again to the byte, and its files.

use super::verify::Judgement;
use crate::BuildError;
use kiln_collect::CollectError;
use kiln_invocation::Run;
use kiln_record::{Digest, HashingWriter, Record};
use kiln_store::{LedgerEntry, Publication};
use std::collections::BTreeMap;
use std::io;

/// A published build whose plan is still the artifact's, while its judgement is in question.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The build in the ledger.
    pub(crate) entry: LedgerEntry,
    /// Its record.
    pub(crate) record: Record,
    /// The digests of all its files, by name.
    pub(crate) files: BTreeMap<String, Digest>,
}

impl Standing {
    /// Whether packing what was judged would give the bytes that are published: they follow from the plan, which is the
    /// same, so this says no only where something in kiln was taken for a judge and makes after all.
    pub(super) fn is_what_was_judged(&self, judgement: &Judgement) -> bool {
        let image = judgement.assembled.as_ref().map(|assembled| assembled.record.manifest);
        self.record.tree == judgement.collection.tree.digest()
            && self.record.image.as_ref().map(|image| image.manifest) == image
    }

    /// Whether a record says what the published one says. Which kiln said it makes no difference.
    pub(super) fn says(&self, record: &Record) -> bool {
        Record { tools: self.record.tools.clone(), ..record.clone() } == self.record
    }

    /// Begins a publication with the files that are published, which are read and held against the record.
    pub(super) fn keep(&self, run: &Run) -> Result<Publication, BuildError> {
        let artifact = &self.record.artifact;
        let mut publication = Publication::begin(run.dist(), artifact)?;
        for output in &self.record.outputs {
            let path = run.dist().join(artifact.as_str()).join(&output.file_name);
            let mut writer = HashingWriter::new(publication.create(&output.file_name)?);
            io::copy(&mut fs_err::File::open(&path)?, &mut writer)?;
            let (_, digest, _) = writer.finish();
            if digest != output.digest {
                return Err(CollectError::SourceChanged { path: path.display().to_string() }.into());
            }
        }
        Ok(publication)
    }
}
