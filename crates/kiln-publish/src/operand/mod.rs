//! What stands on a command line for a build: files, folders, references, revisions of git. None of it needs a workspace, but for
//! what only the ledger of one knows.

mod archives;
mod beside;
mod file;
mod folder;
mod revision;
mod workspace;

pub use archives::has_name_of_archive;
pub use beside::{Ahead, Beside};
pub(crate) use file::image;
pub(crate) use workspace::records_below;

use crate::PublishError;
use crate::named_build::{NamedBuild, Operand};
use crate::reference::{ledger_of, record_beside};
use crate::tagged::is_registry_repository;
use kiln_invocation::Environment;
use kiln_record::{ArtifactName, Record, counted};
use kiln_store::read_regular;
use std::path::Path;

/// Finds what a text names, other than in a registry ([`crate::is_registry_reference`]).
///
/// # Errors
/// [`PublishError::Reference`] that says which forms were tried; [`PublishError::NotUsable`] if what is there cannot be read.
pub fn operand(environment: &Environment, text: &str) -> Result<Operand, PublishError> {
    operand_beside(environment, text, Beside::default())
}

/// The same of what is read beside something else.
///
/// # Errors
/// As [`operand`].
pub fn operand_beside(
    environment: &Environment,
    text: &str,
    beside: Beside<'_>,
) -> Result<Operand, PublishError> {
    if let Some(revision) = text.strip_prefix("git:") {
        return revision::operand(environment, revision, text);
    }
    let path = Path::new(text);
    if path.is_file() {
        return file::operand(environment, path, text, beside).map_err(|error| of_operand(error, text));
    }
    if let Some(reason) = no_operand(path, text) {
        return Err(PublishError::Reference { text: text.to_owned(), reason: reason.to_owned() });
    }
    // In a workspace, a folder with the name of an artifact may be its source: what the ledger knows comes first, and a folder without
    // a build in it is not meant.
    let name = text.parse::<ArtifactName>().ok().filter(|_| environment.has_workspace());
    let is_built = || {
        name.as_ref().is_some_and(|name| ledger_of(environment).newest(name).is_ok_and(|one| one.is_some()))
    };
    if path.is_dir() && !is_built() && (name.is_none() || folder::is_build(path)) {
        return folder::operand(environment, path, text, beside).map_err(|error| of_operand(error, text));
    }
    crate::reference::build_of_ledger(environment, text).map(|build| Operand::Build(Box::new(build)))
}

/// Why a text is nothing that could be read, where it looks like something.
fn no_operand(path: &Path, text: &str) -> Option<&'static str> {
    if text == "-" {
        return Some(
            "standard input is not read, as an archive is read more than once: write it to a file, and name that",
        );
    }
    if path.is_dir() {
        return None;
    }
    if path.exists() {
        return Some("it is neither a regular file nor a folder");
    }
    if path.is_symlink() {
        return Some("it is a link that leads to nothing");
    }
    let host = text.split_once('/').map_or("", |(host, _)| host);
    let is_host = host == "localhost" || host.trim_matches('.').contains(['.', ':']);
    (is_host && is_registry_repository(text))
        .then_some("there is no such file, and a repository of a registry is no build: add :TAG or @sha256:…")
}

/// What cannot be read is a wrong operand, and not a defect of the store; whichever it is, the operand is named.
fn of_operand(error: PublishError, text: &str) -> PublishError {
    let not_usable = |reason: String| PublishError::NotUsable { what: text.to_owned(), reason };
    match error {
        PublishError::Io(error) => not_usable(error.to_string()),
        PublishError::Image(error) => not_usable(error.to_string()),
        other => other,
    }
}

/// The build that a file is said to be by the record beside it, whether or not that describes these bytes; of all else the one that the
/// text names. For who holds a file against what it should be.
///
/// # Errors
/// As [`resolve`].
pub fn claimed(environment: &Environment, text: &str) -> Result<NamedBuild, PublishError> {
    let beside = record_beside(Path::new(text));
    if !Path::new(text).is_file() || !beside.is_file() {
        return resolve(environment, text);
    }
    let record = Record::from_json(&read_regular(&beside)?)
        .map_err(|reason| PublishError::UnreadRecord { path: beside.display().to_string(), reason })?;
    Ok(NamedBuild::recorded(record, text))
}

/// The one build that a text names: `artifact`, `artifact@n`, `artifact@latest`, `artifact@previous`, `artifact@baseline`, a record,
/// an archive, a folder, a list of components, a revision of git.
///
/// # Errors
/// As [`operand`], and if it names a whole workspace.
pub fn resolve(environment: &Environment, text: &str) -> Result<NamedBuild, PublishError> {
    match operand(environment, text)? {
        Operand::Build(build) => Ok(*build),
        Operand::Workspace(workspace) => {
            let names = workspace.operands();
            let count = counted(names.len() + workspace.unread.len(), "artifacts");
            let mut reason = format!("it has {count}, and one is asked for");
            if !names.is_empty() {
                reason.push_str(&format!("; name one: {}", names.join(", ")));
            }
            for (name, why) in &workspace.unread {
                reason.push_str(&format!("; {name} cannot be read: {why}"));
            }
            Err(PublishError::Reference { text: text.to_owned(), reason })
        }
    }
}
