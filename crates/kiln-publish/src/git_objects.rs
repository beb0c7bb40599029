//! What git has of a folder in its commits, without any filter or program that attributes name.

use kiln_fetch::GIT_REPOSITORY_VARIABLES;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The most that a list of files may have, in bytes.
const LARGEST_LIST: u64 = 64 << 20;

/// Why git did not give something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GitFailure {
    /// It could not be run, or what it said not be read.
    #[error("git cannot be {0}")]
    Broken(String),
    /// It has more than is read.
    #[error("git has more than {0} bytes of it")]
    TooLarge(u64),
    /// It has no such thing.
    #[error("git has no `{0}` here")]
    Nothing(String),
}

/// The bytes of an object.
pub(crate) fn blob(folder: &Path, object: &str, limit: u64) -> Result<Vec<u8>, GitFailure> {
    output(folder, &["cat-file", "blob", object], object, limit)
}

/// The files that a revision has below a folder, by paths relative to where git is run.
pub(crate) fn files_of(folder: &Path, revision: &str, below: &str) -> Result<Vec<String>, GitFailure> {
    let arguments = ["ls-tree", "-r", "-z", "--name-only", revision, "--", below];
    let bytes = output(folder, &arguments, revision, LARGEST_LIST)?;
    let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn output(folder: &Path, arguments: &[&str], what: &str, limit: u64) -> Result<Vec<u8>, GitFailure> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(arguments)
        // Nothing is fetched for it: what is not here is not known.
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for variable in GIT_REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command.spawn().map_err(|error| GitFailure::Broken(format!("run: {error}")))?;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        // The pipe closes when this ends, which ends a git that has more to say.
        Some(stdout) => stdout.take(limit + 1).read_to_end(&mut bytes),
        None => Ok(0),
    };
    let status = child.wait().map_err(|error| GitFailure::Broken(format!("waited for: {error}")))?;
    read.map_err(|error| GitFailure::Broken(format!("read: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(GitFailure::TooLarge(limit));
    }
    if !status.success() {
        return Err(GitFailure::Nothing(what.to_owned()));
    }
    Ok(bytes)
}
