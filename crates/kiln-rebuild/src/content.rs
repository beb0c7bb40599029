//! The content of a file of a build: from its zip where there is one, else from the store.

use kiln_pack::{Limits, ZipReader};
use kiln_record::{Digest, Entry, TreePath};
use kiln_store::Store;
use std::io::BufReader;
use std::path::Path;

/// Where the files of one build can be read.
pub(crate) struct Contents<'a> {
    archive: Option<ZipReader<BufReader<fs_err::File>>>,
    store: &'a Store,
}

impl<'a> Contents<'a> {
    /// Those of a zip, and of the store. What is no zip is passed over.
    pub(crate) fn new(archive: Option<&Path>, store: &'a Store) -> Self {
        let open = |path: &Path| {
            let file = fs_err::File::open(path).ok()?;
            ZipReader::open(BufReader::new(file), &Limits::default()).ok()
        };
        Self { archive: archive.and_then(open), store }
    }

    /// The content of a file, if it is to be had. It has the digest that the entry names.
    pub(crate) fn of(&mut self, path: &TreePath, entry: &Entry) -> Option<Vec<u8>> {
        let Entry::File { digest, .. } = entry else { return None };
        let member = |archive: &mut ZipReader<_>| {
            let member = archive.members().iter().find(|member| member.path == *path)?.clone();
            archive.read(&member).ok().filter(|content| Digest::of(content) == *digest)
        };
        let found = self.archive.as_mut().and_then(member);
        found.or_else(|| self.store.read_blob(digest).ok())
    }
}
