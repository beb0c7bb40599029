//! Configuration files of other tools on this host.

use fs_err as fs;
use std::path::PathBuf;

/// The paths that can be read, with their texts.
pub(crate) fn texts(paths: &[PathBuf]) -> Vec<(String, String)> {
    paths
        .iter()
        .filter_map(|path| Some((path.display().to_string(), fs::read_to_string(path).ok()?)))
        .collect()
}
