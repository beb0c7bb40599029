//! The content of files on its way to the store, and what of a base's content is needed outside of its layers.

use crate::DockerfileError;
use crate::normal::Contents;
use kiln_guest::BaseLayer;
use kiln_image::{FileSystem, NodeContent};
use kiln_record::{Digest, HashingWriter, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Write as _};

/// As many bytes are stored at once.
const BATCH: usize = 64 << 20;
/// Files that are larger are not held in memory.
const LARGE: u64 = 16 << 20;
/// Files whose content is needed of the base, too: they say who users are.
const USERS: [&str; 3] = ["etc/passwd", "etc/group", "etc/shadow"];

/// Content in memory and in the store.
pub(crate) struct Kept<'a> {
    store: &'a Store,
    memory: BTreeMap<Digest, Vec<u8>>,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, memory: BTreeMap::new() }
    }

    /// The files of a base, of which only those that say who users are are kept.
    pub(crate) fn base(&mut self, layers: &[BaseLayer]) -> Result<FileSystem, DockerfileError> {
        Ok(self.base_with_places(layers)?.0)
    }

    /// The files of a base, and a place of each content: a layer, and the path that it has there.
    pub(crate) fn base_with_places(
        &mut self,
        layers: &[BaseLayer],
    ) -> Result<(FileSystem, Places), DockerfileError> {
        let (mut files, mut places) = (FileSystem::new(), Places::new());
        for layer in layers {
            let tar = BufReader::with_capacity(1 << 18, self.store.open_blob(&layer.diff_id)?);
            files.add(tar, |path, reader| {
                let mut hasher = HashingWriter::new(io::sink());
                if USERS.contains(&path.as_str()) {
                    let mut bytes = Vec::new();
                    reader.read_to_end(&mut bytes)?;
                    hasher.write_all(&bytes)?;
                    self.memory.insert(Digest::of(&bytes), bytes);
                } else {
                    io::copy(reader, &mut hasher)?;
                }
                let (_, digest, size) = hasher.finish();
                places.insert(digest, (layer.diff_id, path.clone()));
                Ok((digest, size))
            })?;
        }
        Ok((files, places))
    }

    /// The text of a file, empty if it is none.
    pub(crate) fn text(&mut self, files: &FileSystem, path: &str) -> Result<String, DockerfileError> {
        let node = TreePath::new(path).ok().and_then(|path| files.get(&path));
        match node.map(|node| &node.content) {
            Some(NodeContent::File { digest, .. }) => {
                Ok(String::from_utf8_lossy(&self.read(digest)?).into_owned())
            }
            _ => Ok(String::new()),
        }
    }
}

impl Contents for Kept<'_> {
    type Error = DockerfileError;

    fn read(&mut self, digest: &Digest) -> Result<Vec<u8>, DockerfileError> {
        match self.memory.get(digest) {
            Some(bytes) => Ok(bytes.clone()),
            None => Ok(self.store.read_blob(digest)?),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Digest, DockerfileError> {
        Ok(self.store.put(bytes)?)
    }
}

/// Where content of bases is: a layer, and a path in it.
pub(crate) type Places = BTreeMap<Digest, (Digest, TreePath)>;

/// Brings content that the store lacks out of the layers of bases.
pub(crate) fn bring(
    store: &Store,
    wanted: impl IntoIterator<Item = Digest>,
    places: &Places,
) -> Result<(), DockerfileError> {
    let mut by_layer: BTreeMap<Digest, BTreeSet<&TreePath>> = BTreeMap::new();
    for digest in wanted.into_iter().filter(|digest| !store.contains(digest)) {
        if let Some((layer, path)) = places.get(&digest) {
            by_layer.entry(*layer).or_default().insert(path);
        }
    }
    for (layer, paths) in by_layer {
        let mut batch = Batch::new(store);
        let tar = BufReader::with_capacity(1 << 18, store.open_blob(&layer)?);
        FileSystem::new().add(tar, |path, reader| match paths.contains(path) {
            true => batch.take(reader),
            false => Ok((layer, 0)),
        })?;
        batch.flush()?;
    }
    Ok(())
}

/// Content on its way to the store.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    contents: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, contents: Vec::new(), bytes: 0 }
    }

    pub(crate) fn take(&mut self, reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        (&mut *reader).take(LARGE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGE {
            let mut writer = HashingWriter::new(self.store.writer().map_err(io::Error::other)?);
            writer.write_all(&bytes)?;
            io::copy(reader, &mut writer)?;
            let (writer, digest, size) = writer.finish();
            writer.commit(Some(&digest)).map_err(io::Error::other)?;
            return Ok((digest, size));
        }
        let taken = (Digest::of(&bytes), bytes.len() as u64);
        self.bytes += bytes.len();
        self.contents.push(bytes);
        if self.bytes > BATCH {
            self.flush().map_err(io::Error::other)?;
        }
        Ok(taken)
    }

    pub(crate) fn flush(&mut self) -> Result<(), DockerfileError> {
        let contents = std::mem::take(&mut self.contents);
        self.store.put_all(&contents.iter().collect::<Vec<_>>())?;
        self.bytes = 0;
        Ok(())
    }
}
