//! The command that makes a lock again.

use crate::lock::{Lock, LockFormat};

/// The command that makes a lock again for a Python, given as major and minor version.
pub(crate) fn relock(lock: &Lock, (major, minor): (u32, u32)) -> String {
    match (lock.format, &lock.made_by) {
        (LockFormat::Poetry, _) => "poetry lock".to_owned(),
        (LockFormat::Uv, _) => "uv lock".to_owned(),
        (LockFormat::Pipfile, _) => format!("pipenv lock --python {major}.{minor}"),
        (LockFormat::Pylock, Some(command)) => command.clone(),
        (LockFormat::Pylock, None) => {
            format!("make {} again with the tool that made it, for Python {major}.{minor}", lock.name)
        }
        (LockFormat::Requirements, Some(command)) if command.starts_with("pip-compile") => {
            format!("{command} (run by Python {major}.{minor})")
        }
        (LockFormat::Requirements, Some(command)) if command.starts_with("uv pip compile") => {
            let rest = command.trim_start_matches("uv pip compile");
            let words: Vec<&str> = rest.split_whitespace().collect();
            let mut kept = Vec::new();
            let mut skip = false;
            for word in words {
                let is_python = matches!(word, "--python-version" | "-p" | "--python");
                if !skip && !is_python && !word.starts_with("--python-version=") {
                    kept.push(word);
                }
                skip = is_python;
            }
            format!("uv pip compile --python-version {major}.{minor} {}", kept.join(" "))
        }
        (LockFormat::Requirements, Some(command)) => command.clone(),
        (LockFormat::Requirements, None) => format!(
            "uv pip compile --generate-hashes --python-version {major}.{minor} requirements.in -o {}",
            lock.name
        ),
    }
}
