//! The files that a requirements file includes: inputs of a build like the file itself.

use crate::WheelError;
use kiln_invocation::{InvocationError, text_file};
use kiln_python::parse_requirements;
use kiln_record::{Digest, digest_of_value};
use kiln_store::{StatCache, Store};
use std::collections::BTreeSet;
use std::path::Path;

/// The kind of cache value: what a requirements file looks for, by its path and digest, with the digest of each file that was
/// there. What it names is relative to it.
const CACHE: &str = "requirement-files";

/// Paths, relative to the workspace, and digests of everything that a requirements file includes, directly or not. The
/// files are read only if one of them changed, came or went since the last time.
pub fn included_files(
    root: &Path,
    store: &Store,
    stat: &StatCache,
    lock: &(String, Digest),
) -> Result<Vec<(String, Digest)>, WheelError> {
    let key = digest_of_value(lock)?;
    let digest_at = |path: &str| -> Result<Option<Digest>, WheelError> {
        let file = root.join(path);
        Ok(if file.is_file() { Some(stat.digest_of(&file)?.0) } else { None })
    };
    let known: Option<Vec<(String, Option<Digest>)>> = store.cache_get(CACHE, &key)?;
    if let Some(known) = known {
        let mut same = true;
        for (path, digest) in &known {
            same &= digest_at(path)? == *digest;
        }
        if same {
            return Ok(present(known));
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
    let mut found = Vec::new();
    for path in asked {
        let digest = digest_at(&path)?;
        found.push((path, digest));
    }
    store.cache_put(CACHE, &key, &found)?;
    Ok(present(found))
}

fn present(files: Vec<(String, Option<Digest>)>) -> Vec<(String, Digest)> {
    files.into_iter().filter_map(|(path, digest)| Some((path, digest?))).collect()
}
