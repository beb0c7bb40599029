//! The files that a requirements file includes: inputs of a build like the file itself.

use crate::WheelError;
use kiln_invocation::{InvocationError, text_file};
use kiln_python::parse_requirements;
use kiln_record::{Digest, digest_of_value};
use kiln_store::{StatCache, Store};
use std::collections::BTreeSet;
use std::path::Path;

/// The kind of cache value: what a requirements file includes, by its path and digest. What it names is relative to it.
const CACHE: &str = "requirement-includes";

/// Paths, relative to the workspace, and digests of everything that a requirements file includes, directly or not. The
/// files are read only if one of them changed since the last time.
pub fn included_files(
    root: &Path,
    store: &Store,
    stat: &StatCache,
    lock: &(String, Digest),
) -> Result<Vec<(String, Digest)>, WheelError> {
    let key = digest_of_value(lock)?;
    let known: Option<Vec<(String, Digest)>> = store.cache_get(CACHE, &key)?;
    if let Some(known) = known {
        let mut same = true;
        for (path, digest) in &known {
            let file = root.join(path);
            same &= file.is_file() && stat.digest_of(&file)?.0 == *digest;
        }
        if same {
            return Ok(known);
        }
    }
    let text = match text_file(root, &lock.0) {
        // Problems are told when the lock is read for the build.
        Err(InvocationError::Input(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let mut asked = BTreeSet::new();
    // Here only the names matter.
    let _ = parse_requirements(&text.path, &text.text, &mut |path| {
        asked.insert(path.to_owned());
        text_file(root, path).ok().map(|file| file.text.to_string())
    });
    let mut included = Vec::new();
    for path in asked {
        let file = root.join(&path);
        if file.is_file() {
            included.push((path, stat.digest_of(&file)?.0));
        }
    }
    store.cache_put(CACHE, &key, &included)?;
    Ok(included)
}
