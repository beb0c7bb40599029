//! What is published of an artifact, in its folder under `dist/`.

use crate::PublishError;
use crate::held::{Held, held};
use kiln_record::{ArtifactName, Digest, Hasher, Output, Record};
use kiln_store::{Ledger, open_regular, read_regular};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The record of what is published of an artifact, which is the one that the ledger has as the newest; and what the ledger
/// says.
pub(crate) fn newest_record(
    ledger: &Ledger,
    folder: &Path,
    artifact: &ArtifactName,
) -> Result<(Record, Held), PublishError> {
    let record = published_record(folder, artifact)?;
    let held = held(ledger, folder, artifact)?;
    Ok((record, held))
}

/// The record of what is published of an artifact, in its folder under `dist/`.
pub(crate) fn published_record(folder: &Path, artifact: &ArtifactName) -> Result<Record, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: artifact.to_string(), reason };
    let file = folder.join("record.json");
    if !file.is_file() {
        return Err(error(format!("it is not published; build it: kiln build {artifact}")));
    }
    Record::from_json(&read_regular(&file)?).map_err(|reason| error(reason.to_string()))
}

/// A published file, which must still be what the record says.
pub(crate) fn published_file(
    folder: &Path,
    record: &Record,
    output: &Output,
) -> Result<PathBuf, PublishError> {
    let file = folder.join(&output.file_name);
    if !file.is_file() || digest_of(&file)? != (output.digest, output.size) {
        return Err(not_as_recorded(record, &file));
    }
    Ok(file)
}

/// That a file is gone, or is not what was built.
pub(crate) fn not_as_recorded(record: &Record, file: &Path) -> PublishError {
    PublishError::not_as_recorded(&record.artifact, file)
}

/// The digest and length of a file.
pub(crate) fn digest_of(path: &Path) -> Result<(Digest, u64), PublishError> {
    let mut file = open_regular(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
}

/// Whether a digest is that of a record.
pub(crate) fn is_record(record: &Record, digest: &Digest) -> bool {
    record.to_json().is_ok_and(|bytes| Digest::of(&bytes) == *digest)
}
