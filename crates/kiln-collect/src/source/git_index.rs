//! The repository around a folder, and its index, read without running git, so that nothing that the repository configures is
//! run either.

use fs_err as fs;
use kiln_plan::Tracked;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest index that is read, in bytes.
const MAX_INDEX: u64 = 256 << 20;
/// The largest other file of a repository that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A repository's working tree, and what is tracked of it.
#[derive(Clone, Debug)]
pub(super) struct WorkTree {
    /// Its root.
    pub(super) root: PathBuf,
    /// Where what is kept of it lies.
    folder: PathBuf,
}

impl WorkTree {
    /// The working tree that a folder is in, if it is in one.
    #[must_use]
    pub(super) fn around(folder: &Path) -> Option<Self> {
        folder.ancestors().find_map(|root| {
            let git = root.join(".git");
            if git.join("HEAD").is_file() {
                return Some(Self { root: root.to_owned(), folder: git });
            }
            let text = String::from_utf8(read(&git, MAX_FILE).ok()?).ok()?;
            let folder = root.join(text.strip_prefix("gitdir:")?.trim());
            folder.join("HEAD").is_file().then(|| Self { root: root.to_owned(), folder })
        })
    }

    /// What git tracks of it.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(super) fn tracked(&self) -> Result<Tracked, String> {
        let index = self.folder.join("index");
        if !index.exists() {
            return Ok(Tracked::default());
        }
        let bytes = read(&index, MAX_INDEX)?;
        // Of a working tree beside the main one, the configuration is the repository's.
        let shared = read(&self.folder.join("commondir"), MAX_FILE)
            .ok()
            .and_then(|bytes| Some(self.folder.join(String::from_utf8(bytes).ok()?.trim())));
        let config = shared.as_deref().unwrap_or(&self.folder).join("config");
        let config = read(&config, MAX_FILE).unwrap_or_default();
        let config: String = String::from_utf8_lossy(&config).to_lowercase().split_whitespace().collect();
        let hash = if config.contains("objectformat=sha256") { 32 } else { 20 };
        Tracked::of_index(&bytes, hash)
    }
}

fn read(file: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("{} is larger than {limit} bytes", file.display()));
    }
    Ok(bytes)
}
