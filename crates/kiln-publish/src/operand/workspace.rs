//! What a workspace publishes: an artifact in each folder, and the index over them.

use crate::PublishError;
use crate::content::{Beside, beside};
use crate::deployment::indexed;
use crate::named_build::{NamedBuild, NamedWorkspace, Operand};
use fs_err as fs;
use kiln_record::{ArtifactName, IndexRecord, Record, RunError as _};
use kiln_store::read_regular;
use std::collections::BTreeMap;
use std::path::Path;

/// What is published of one artifact.
pub(super) fn published(folder: &Path, label: &str) -> Result<NamedBuild, PublishError> {
    let path = folder.join("record.json");
    let record = Record::from_json(&read_regular(&path)?)
        .map_err(|reason| PublishError::UnreadRecord { path: path.display().to_string(), reason })?;
    let beside = beside(folder, &record);
    let absent = beside.absent();
    let content = match beside {
        Beside::Archive(content) => Some(content),
        Beside::Gone(_) | Beside::Nothing => None,
        // What the record says of the archive is not true of the file that lies there.
        Beside::Another(archive) => {
            return Err(PublishError::NotUsable {
                what: archive.display().to_string(),
                reason: "it is not what the record.json beside it says: compare it where no record lies beside it, or see what differs: kiln verify".to_owned(),
            });
        }
    };
    Ok(NamedBuild { content, absent, ..NamedBuild::recorded(record, label) })
}

/// The artifacts that have a record in a folder of their own.
pub(crate) fn records_below(folder: &Path) -> Vec<ArtifactName> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().filter(|entry| entry.path().join("record.json").is_file());
    let names = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    names.collect()
}

/// All artifacts of a folder that a workspace publishes in.
pub(super) fn workspace(folder: &Path, text: &str) -> Result<Operand, PublishError> {
    let mut workspace = NamedWorkspace::empty(text);
    for name in records_below(folder) {
        let place = folder.join(name.as_str());
        match published(&place, &place.display().to_string()) {
            Ok(build) => drop(workspace.artifacts.insert(name, build)),
            Err(error) => {
                workspace.places.extend(error.place().map(|place| (name.clone(), place)));
                workspace.unread.insert(name, error.to_string());
            }
        }
    }
    let named =
        indexed(folder).map_err(|reason| PublishError::NotUsable { what: text.to_owned(), reason })?;
    // An index that names nothing is of a place where nothing was published yet.
    let is_of_nothing = named.as_ref().is_some_and(BTreeMap::is_empty);
    for name in named.unwrap_or_default().into_keys() {
        // An image for several platforms has no record of its own: its platforms have.
        let is_index = folder.join(name.as_str()).join(IndexRecord::FILE).is_file();
        if !workspace.artifacts.contains_key(&name) && !workspace.unread.contains_key(&name) && !is_index {
            let reason = format!("index.json names it, and there is no {name}/record.json beside that");
            workspace.unread.insert(name, reason);
        }
    }
    if workspace.artifacts.is_empty() && workspace.unread.is_empty() && !is_of_nothing {
        return Err(PublishError::NotUsable {
            what: text.to_owned(),
            reason: "it names no artifact, and no folder in it holds a record.json".to_owned(),
        });
    }
    Ok(Operand::Workspace(workspace))
}
