//! Folders: what an artifact or a workspace publishes, layouts of images, and what archives were unpacked to.

use crate::PublishError;
use crate::content::Content;
use crate::named_build::{NamedBuild, Operand};
use crate::operand::archives::only_archive;
use crate::operand::beside::Beside;
use crate::operand::file::{self, image, name_of};
use crate::operand::workspace::{published, records_below, workspace};
use crate::scan::{Found, ImagePlace, folder_files, record_of};
use kiln_audit::Known;
use kiln_invocation::Environment;
use kiln_record::{ArtifactKind, IndexRecord};
use kiln_store::read_regular;
use std::path::Path;

/// Whether a folder holds a build: a record, an index, a layout.
pub(super) fn is_build(folder: &Path) -> bool {
    ["record.json", "index.json", "oci-layout", IndexRecord::FILE]
        .iter()
        .any(|name| folder.join(name).is_file())
        || !records_below(folder).is_empty()
}

/// What a folder names.
pub(super) fn operand(
    environment: &Environment,
    folder: &Path,
    text: &str,
    beside: Beside<'_>,
) -> Result<Operand, PublishError> {
    if folder.join("record.json").is_file() {
        return Ok(Operand::Build(Box::new(published(folder, text)?)));
    }
    if folder.join("oci-layout").is_file() {
        let found = Found { name: name_of(folder), kind: ArtifactKind::Image, output: None };
        let build = image(ImagePlace::open(folder)?, found, text, None)?;
        return Ok(Operand::Build(Box::new(build)));
    }
    if folder.join(IndexRecord::FILE).is_file() {
        let index = IndexRecord::from_json(&read_regular(folder.join(IndexRecord::FILE))?);
        let names =
            index.map(|index| index.platforms.iter().map(|one| one.artifact.to_string()).collect::<Vec<_>>());
        return Err(PublishError::NotUsable {
            what: text.to_owned(),
            reason: format!(
                "it is an image for several platforms, each of which is published in a folder of its own: {}",
                names.unwrap_or_default().join(", ")
            ),
        });
    }
    if folder.join("index.json").is_file() || !records_below(folder).is_empty() {
        return workspace(folder, text);
    }
    if let Some(archive) = only_archive(folder, text)? {
        return file::operand(environment, &archive, &archive.display().to_string(), beside);
    }
    let files = folder_files(folder)?;
    if files.tree.is_empty() {
        return Err(PublishError::NotUsable {
            what: text.to_owned(),
            reason: "there is no build in it: no record.json, index.json or oci-layout, and no file at all"
                .to_owned(),
        });
    }
    let found = Found { name: name_of(folder), kind: ArtifactKind::LambdaZip, output: None };
    let record = record_of(found, &files, None);
    Ok(Operand::Build(Box::new(NamedBuild {
        known: Known::Content,
        attributes: files.attributes,
        content: Some(Content::Folder(folder.to_owned())),
        ..NamedBuild::recorded(record, text)
    })))
}
