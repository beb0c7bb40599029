//! Reading the lock that a manifest names, whatever its format.

use kiln_plan::{LockKind, PythonSection, TextFile};
use kiln_python::{InputProblem, Lock, LockFormat, NamedText, read_lock};

/// Reads a lock, beside the project that it was made from. `include` gives the text of a file that a requirements file
/// includes.
///
/// # Errors
/// Every problem of the files.
pub(crate) fn parse_lock(
    section: &PythonSection,
    lock: &TextFile,
    project: Option<&TextFile>,
    include: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Lock, Vec<InputProblem>> {
    let format = match section.lock_kind() {
        LockKind::Poetry => LockFormat::Poetry,
        LockKind::Uv => LockFormat::Uv,
        LockKind::Pipfile => LockFormat::Pipfile,
        LockKind::Pylock => LockFormat::Pylock,
        LockKind::Requirements => LockFormat::Requirements,
    };
    read_lock(format, named(lock), project.map(named), include)
}

fn named(file: &TextFile) -> NamedText<'_> {
    NamedText { path: &file.path, text: &file.text }
}
