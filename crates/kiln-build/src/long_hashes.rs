//! SHA-512 of files, for readers who ask for a digest of this strength. Each follows from the bytes that are known by their digest, so
//! that it is worked out once and remembered by that.

use crate::BuildError;
use kiln_collect::Collection;
use kiln_guest::LONG_HASHES;
use kiln_record::{ComponentId, Entry, LongHasher, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// The SHA-512 of a file that was written.
pub(crate) fn of_written(path: &Path) -> io::Result<String> {
    let mut hasher = LongHasher::default();
    io::copy(&mut fs_err::File::open(path)?, &mut hasher)?;
    Ok(hasher.finish())
}

/// The SHA-512 of the file of each component that owns one and nothing else: the digest of that file is the component's. What came in an
/// archive has that one's.
pub(crate) fn of_single_files(
    store: &Store,
    collection: &Collection,
) -> Result<BTreeMap<ComponentId, String>, BuildError> {
    let from_archives = collection.components.iter().filter(|component| component.origin.is_some());
    let from_archives: BTreeSet<&ComponentId> = from_archives.map(|component| &component.id).collect();
    let mut owned: BTreeMap<&ComponentId, Vec<&TreePath>> = BTreeMap::new();
    for (path, owner) in &collection.owners {
        if !from_archives.contains(owner) && collection.tree.get(path).is_some() {
            owned.entry(owner).or_default().push(path);
        }
    }
    let mut hashes = BTreeMap::new();
    for (owner, paths) in owned {
        let [path] = paths.as_slice() else { continue };
        let Some(Entry::File { digest, .. }) = collection.tree.get(path) else { continue };
        let known = store.cache_get::<String>(LONG_HASHES, digest)?;
        let hash = match known {
            Some(known) => known,
            None => {
                let mut hasher = LongHasher::default();
                collection.write_to(store, path, &mut hasher)?;
                let hash = hasher.finish();
                store.cache_put(LONG_HASHES, digest, &hash)?;
                hash
            }
        };
        hashes.insert(owner.clone(), hash);
    }
    Ok(hashes)
}
