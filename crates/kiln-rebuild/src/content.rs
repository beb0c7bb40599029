//! The content of a file of a build: from its archive where that is at hand, else from the store.

use kiln_pack::{Limits, ZipReader};
use kiln_record::{Digest, Entry, TreePath};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

/// Where the files of one build can be read.
pub(crate) struct Contents<'a> {
    archive: Option<ZipReader<BufReader<fs_err::File>>>,
    /// What was read of an image.
    read: BTreeMap<TreePath, Vec<u8>>,
    store: &'a Store,
}

impl<'a> Contents<'a> {
    /// Those of a zip, and of the store. What is no zip is passed over.
    pub(crate) fn new(archive: Option<&Path>, store: &'a Store) -> Self {
        let open = |path: &Path| {
            let file = fs_err::File::open(path).ok()?;
            ZipReader::open(BufReader::new(file), &Limits::default()).ok()
        };
        Self { archive: archive.and_then(open), read: BTreeMap::new(), store }
    }

    /// Those that were read of an image, and of the store.
    pub(crate) fn of_image(read: BTreeMap<TreePath, Vec<u8>>, store: &'a Store) -> Self {
        Self { archive: None, read, store }
    }

    /// The content of a file, if it is to be had. It has the digest that the entry names.
    pub(crate) fn of(&mut self, path: &TreePath, entry: &Entry) -> Option<Vec<u8>> {
        let Entry::File { digest, .. } = entry else { return None };
        let member = |archive: &mut ZipReader<_>| {
            let member = archive.members().iter().find(|member| member.path == *path)?.clone();
            archive.read(&member).ok().filter(|content| Digest::of(content) == *digest)
        };
        let read = self.read.get(path).filter(|content| Digest::of(content) == *digest).cloned();
        let found = read.or_else(|| self.archive.as_mut().and_then(member));
        found.or_else(|| self.store.read_blob(digest).ok())
    }
}
