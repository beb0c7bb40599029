//! The manifest that a published artifact has in every registry: it follows from the record.

use crate::PublishError;
use crate::published::{not_as_recorded, published_file};
use crate::published_image::{Blob, Content};
use kiln_image::{ArtifactManifest, Descriptor, EMPTY_CONFIG, EMPTY_MEDIA_TYPE, TITLE};
use kiln_record::{ArtifactKind, Digest, Record};
use std::collections::BTreeMap;
use std::path::Path;

/// The digest of the manifest that a published artifact has in every registry.
pub(crate) fn manifest_of(folder: &Path, record: &Record) -> Result<Digest, PublishError> {
    Ok(match &record.image {
        Some(image) => image.manifest,
        None => Digest::of(&archive(folder, record)?.0),
    })
}

/// The manifest of a zip with its one blob, which must still be what the record says.
pub(crate) fn archive(folder: &Path, record: &Record) -> Result<(Vec<u8>, Vec<Blob>), PublishError> {
    let Some(output) = record.archive() else {
        return Err(not_as_recorded(record, &folder.join("record.json")));
    };
    let file = published_file(folder, record, output)?;
    let layer = Descriptor {
        media_type: output.media_type.clone(),
        digest: output.digest,
        size: output.size,
        annotations: BTreeMap::from([(TITLE.to_owned(), output.file_name.clone())]),
    };
    let said = [
        (TITLE, Some(record.artifact.to_string())),
        ("org.opencontainers.image.created", Some(record.epoch.to_string())),
        ("kiln.kind", Some(record.kind.to_string())),
        ("kiln.runtime", Some(record.target.runtime.clone())),
        ("kiln.architecture", Some(record.target.architecture.lambda().to_owned())),
        ("kiln.handler", record.handler.clone()),
        ("kiln.tree", Some(record.tree.to_string())),
    ];
    let manifest = ArtifactManifest {
        artifact_type: artifact_type(record.kind).to_owned(),
        layers: vec![layer],
        subject: None,
        annotations: said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect(),
    };
    let blob = Blob {
        media_type: output.media_type.clone(),
        digest: output.digest,
        size: output.size,
        content: Content::File(file, 0),
    };
    Ok((manifest.to_json()?, vec![blob, empty()]))
}

/// The config that says nothing.
pub(crate) fn empty() -> Blob {
    Blob::of(EMPTY_MEDIA_TYPE, EMPTY_CONFIG)
}

/// What a registry is told that an archive is. Images say it themselves.
fn artifact_type(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::LambdaLayer => "application/vnd.kiln.lambda-layer.v1",
        _ => "application/vnd.kiln.lambda-zip.v1",
    }
}
