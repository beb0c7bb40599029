//! Folders of archives that no record lies beside. They are not what an archive was unpacked to: an archive in them is no file of an artifact.

use crate::PublishError;
use crate::operand::beside::is_document;
use fs_err as fs;
use std::path::{Path, PathBuf};

/// How many archives are named.
const NAMED: usize = 8;

/// The archive of a folder with one and documents alone; none of a folder that an archive was unpacked to.
///
/// # Errors
/// [`PublishError::NotUsable`] if a folder has archives, and nothing says which of them is meant.
pub(super) fn only_archive(folder: &Path, text: &str) -> Result<Option<PathBuf>, PublishError> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    let (archives, others): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.into_iter().partition(|path| has_name_of_archive(path) && path.is_file());
    if archives.is_empty() || others.iter().any(|path| is_unpacked(path)) {
        return Ok(None);
    }
    if let [archive] = &archives[..]
        && others.iter().all(|path| lies_beside(path))
    {
        return Ok(Some(archive.clone()));
    }
    let named: Vec<String> =
        archives.iter().take(NAMED).map(|path| format!("`{}`", path.display())).collect();
    let more = match archives.len().saturating_sub(NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Err(PublishError::NotUsable {
        what: text.to_owned(),
        reason: format!("it has archives and no record beside them; name one: {}{more}", named.join(", ")),
    })
}

/// Whether something is called as the archives of artifacts are, whatever it is.
#[must_use]
pub fn has_name_of_archive(path: &Path) -> bool {
    ends_in(path, &["zip", "tar"])
}

/// Whether a file is a document about an archive.
fn lies_beside(path: &Path) -> bool {
    is_document(path)
        || ends_in(path, &["jsonl"])
        || path.file_name().is_some_and(|name| name == "SHA256SUMS")
}

/// Whether something at the top of a folder is of an artifact that was unpacked to it: a module, a package, a distribution.
fn is_unpacked(path: &Path) -> bool {
    if !path.is_dir() {
        return ends_in(path, &["py", "so"]) || path.file_name().is_some_and(|name| name == "bootstrap");
    }
    ends_in(path, &["dist-info"])
        || path.file_name().is_some_and(|name| name == "python")
        || path.join("__init__.py").is_file()
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .is_some_and(|extension| endings.iter().any(|ending| extension.eq_ignore_ascii_case(ending)))
}
