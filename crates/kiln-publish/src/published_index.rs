//! The index over the platforms of an image, as it is published.

use crate::PublishError;
use crate::published::{digest_of, is_record, newest_record};
use kiln_image::{PlatformManifest, image_index};
use kiln_record::{ArtifactName, Digest, IndexRecord};
use kiln_store::{Ledger, read_regular};
use std::path::Path;

/// The bytes of an index, which follow from its record.
pub(crate) fn index_bytes(record: &IndexRecord) -> Result<Vec<u8>, PublishError> {
    let platforms: Vec<PlatformManifest> = record
        .platforms
        .iter()
        .map(|one| PlatformManifest {
            platform: one.platform,
            variant: one.variant.clone(),
            digest: one.manifest,
            size: one.manifest_size,
        })
        .collect();
    Ok(image_index(&platforms, &record.annotations)?)
}

/// The index that is published in a folder, if one is.
pub(crate) fn published_index(folder: &Path) -> Result<Option<IndexRecord>, PublishError> {
    let file = folder.join(IndexRecord::FILE);
    if !file.is_file() {
        return Ok(None);
    }
    let broken = |reason: String| PublishError::NotUsable { what: file.display().to_string(), reason };
    let record = IndexRecord::from_json(&read_regular(&file)?)
        .map_err(|reason| PublishError::UnreadRecord { path: file.display().to_string(), reason })?;
    if Digest::of(&index_bytes(&record)?) != record.index {
        return Err(broken("it was edited: the digest of the index does not follow from it".to_owned()));
    }
    Ok(Some(record))
}

/// The index that is published in a folder, if one is and every file is what it says. The records of its platforms must be
/// those that it was made from.
pub(crate) fn checked_index(
    ledger: &Ledger,
    dist: &Path,
    artifact: &ArtifactName,
) -> Result<Option<IndexRecord>, PublishError> {
    let folder = dist.join(artifact.as_str());
    let Some(record) = published_index(&folder)? else { return Ok(None) };
    for output in &record.outputs {
        let file = folder.join(&output.file_name);
        if !file.is_file() || digest_of(&file)? != (output.digest, output.size) {
            return Err(PublishError::not_as_recorded(artifact, &file));
        }
    }
    for one in &record.platforms {
        let (platform, _) = newest_record(ledger, &dist.join(one.artifact.as_str()), &one.artifact)?;
        if !is_record(&platform, &one.record) {
            return Err(PublishError::NotUsable {
                what: artifact.to_string(),
                reason: format!(
                    "{} was built since, so that its index is over another build; build it: kiln build {artifact}",
                    one.artifact
                ),
            });
        }
        if platform.image.as_ref().map(|image| image.manifest) != Some(one.manifest) {
            return Err(PublishError::not_as_recorded(artifact, &folder.join(IndexRecord::FILE)));
        }
    }
    Ok(Some(record))
}
