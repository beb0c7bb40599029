//! The documents published beside an archive: all of them follow from the record.

use crate::PublishError;
use kiln_record::{Defect, Digest, IndexRecord, Output, Record};
use std::collections::BTreeMap;

/// The documents of a build by file name: the record itself, the SBOM, the provenance, and the checksums of all of them
/// and of the archive.
pub fn documents(record: &Record) -> Result<BTreeMap<String, Vec<u8>>, PublishError> {
    let name = &record.artifact;
    let mut documents = BTreeMap::from([
        ("record.json".to_owned(), written(record.to_json())?),
        (format!("{name}.cdx.json"), kiln_sbom::cyclonedx(record, kiln_sbom::SpecVersion::default())?),
        (format!("{name}.intoto.jsonl"), kiln_sbom::provenance(record)?),
    ]);
    let mut sums: BTreeMap<&str, Digest> =
        documents.iter().map(|(name, bytes)| (name.as_str(), Digest::of(bytes))).collect();
    sums.extend(record.outputs.iter().map(|output| (output.file_name.as_str(), output.digest)));
    let sums: String = sums.iter().map(|(name, digest)| format!("{}  {name}\n", digest.hex())).collect();
    documents.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    Ok(documents)
}

/// The documents of an image for several platforms by file name: its record, and the checksums.
///
/// # Errors
/// Only if a record has no JSON form, which the types rule out.
pub fn index_documents(record: &IndexRecord) -> Result<BTreeMap<String, Vec<u8>>, PublishError> {
    Ok(BTreeMap::from([
        (IndexRecord::FILE.to_owned(), written(record.to_json())?),
        ("SHA256SUMS".to_owned(), written(record.sums())?.into_bytes()),
    ]))
}

/// An output with its digest in both forms.
#[must_use]
pub fn described(file_name: String, media_type: &str, size: u64, digest: Digest) -> Output {
    let media_type = media_type.to_owned();
    Output { file_name, media_type, size, digest, sha256_base64: digest.base64(), sha512: None }
}

/// The JSON of something that kiln writes, which has one.
#[track_caller]
pub(crate) fn written<T>(json: Result<T, serde_json::Error>) -> Result<T, Defect> {
    json.map_err(|error| Defect::new(format!("what is written has no JSON form: {error}")))
}
