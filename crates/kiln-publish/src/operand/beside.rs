//! What is known, or begun with, when something is read.

use crate::PublishError;
use crate::named_build::Operand;
use crate::published::digest_of;
use kiln_record::Digest;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// What something is read beside.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// What it is compared with, and was read before: what archives have in common is not unpacked again.
    pub before: Option<&'a Operand>,
    /// Its digest, if that was begun with.
    pub ahead: Option<Ahead>,
}

/// The digest of a file that is going to be read, computed while other things are done.
#[derive(Debug)]
pub struct Ahead(JoinHandle<Result<(Digest, u64), PublishError>>);

impl Ahead {
    /// Begins with the file that a text names; nothing where it names none whose digest is going to be asked for.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let path = PathBuf::from(text);
        let is_hashed = path.is_file() && !is_document(&path);
        is_hashed.then(|| Self(std::thread::spawn(move || digest_of(&path))))
    }

    pub(super) fn finish(self) -> Result<(Digest, u64), PublishError> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Whether a file is a document by its name: a record, an index, a list of components.
pub(super) fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json" || extension == "spdx")
}
