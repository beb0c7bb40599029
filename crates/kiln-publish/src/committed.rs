//! What git has of the ledger's heads: a statement outside of the state folder, where that is committed.
//!
//! Whoever writes to `.kiln/` can make an entry, its record and `heads.json` fit each other. A commit that has `heads.json`
//! says what the newest entries were then, and those must still be in the ledger.

use kiln_fetch::GIT_REPOSITORY_VARIABLES;
use kiln_store::Heads;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The largest `heads.json` of a commit that is read, in bytes.
const MAX_HEADS: u64 = 16 << 20;

/// What the newest commit says of the heads.
pub(crate) enum Committed {
    /// There is no repository around the state folder.
    NoRepository,
    /// It does not have the file, or git did not give it, for this reason.
    Unknown(String),
    /// What it has.
    Heads(Heads),
}

/// Reads `heads.json` of a state folder as the commit that is checked out has it.
pub(crate) fn committed_heads(state: &Path) -> Committed {
    if !state.ancestors().any(|folder| folder.join(".git").exists()) {
        return Committed::NoRepository;
    }
    let object = format!("HEAD:./{}", Heads::FILE);
    let bytes = match blob(state, &object) {
        Ok(bytes) => bytes,
        Err(reason) => return Committed::Unknown(reason),
    };
    Heads::from_json(&bytes, &state.join(Heads::FILE))
        .map_or_else(|error| Committed::Unknown(format!("in HEAD: {error}")), Committed::Heads)
}

/// The bytes of an object, without any filter or program that attributes name.
fn blob(folder: &Path, object: &str) -> Result<Vec<u8>, String> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(["cat-file", "blob", object])
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
    let mut child = command.spawn().map_err(|error| format!("git cannot be run: {error}"))?;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        // The pipe closes when this ends, which ends a git that has more to say.
        Some(stdout) => stdout.take(MAX_HEADS + 1).read_to_end(&mut bytes),
        None => Ok(0),
    };
    let status = child.wait().map_err(|error| format!("git cannot be waited for: {error}"))?;
    read.map_err(|error| format!("what git says cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_HEADS {
        return Err(format!("it has more than {MAX_HEADS} bytes in HEAD"));
    }
    if !status.success() {
        return Err("git has no such file in HEAD".to_owned());
    }
    Ok(bytes)
}
