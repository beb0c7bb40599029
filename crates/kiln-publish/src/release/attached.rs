//! The signatures that go to a registry with an artifact.

use crate::PublishError;
use crate::release::files::{
    CHECKPOINT, RELEASE, VERDICT, manifest_signature, proof, signature_file, signed_bill, signed_provenance,
    signed_run,
};
use fs_err as fs;
use kiln_attest::{Envelope, ImageSignature, SignedNote};
use kiln_record::{ArtifactName, Digest};
use std::collections::BTreeMap;
use std::path::Path;

/// The signature files of an artifact by name: of its own folder, and of the release that it is in. `record` is the bytes of its
/// record, or of what an index has instead. A release that was signed over another build of it is left where it is: whoever pulls
/// could make nothing of it.
pub(crate) fn signatures(
    dist: &Path,
    artifact: &ArtifactName,
    record: &[u8],
) -> Result<BTreeMap<String, Vec<u8>>, PublishError> {
    let mut files = BTreeMap::new();
    let Some(release) = signature_file(&dist.join(RELEASE))? else { return Ok(files) };
    if !Envelope::from_json(&release)?.mentions(Digest::of(record).hex().as_bytes()) {
        return Ok(files);
    }
    let folder = dist.join(artifact.as_str());
    for name in [signed_provenance(artifact), signed_run(artifact), signed_bill(artifact), proof(artifact)] {
        if let Some(bytes) = signature_file(&folder.join(&name))? {
            files.insert(name, bytes);
        }
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if let Some(name) =
            path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(VERDICT))
            && let Some(bytes) = signature_file(&path)?
        {
            files.insert(name.to_owned(), bytes);
        }
    }
    if let Some(bytes) = signature_file(&dist.join(CHECKPOINT))? {
        SignedNote::parse(&String::from_utf8_lossy(&bytes))?;
        files.insert(CHECKPOINT.to_owned(), bytes);
    }
    files.insert(RELEASE.to_owned(), release);
    Ok(files)
}

/// The signature of an artifact's manifest that is in its folder, if it is of this one.
pub(crate) fn signature_of_manifest(
    dist: &Path,
    artifact: &ArtifactName,
    manifest: &Digest,
) -> Result<Option<ImageSignature>, PublishError> {
    let file = dist.join(artifact.as_str()).join(manifest_signature(artifact));
    let Some(bytes) = signature_file(&file)? else { return Ok(None) };
    let signature = ImageSignature::from_json(&bytes)?;
    Ok((signature.manifest()? == *manifest).then_some(signature))
}
