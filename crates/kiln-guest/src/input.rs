//! What a program is given: tars, of which this is the one writer, and folders of the store.

use crate::{Bases, GuestError, guest};
use kiln_collect::Collection;
use kiln_engine::InputTree;
use kiln_invocation::{InvocationError, blocking};
use kiln_pack::TarWriter;
use kiln_record::{Defect, Digest, Entry, Tree, TreePath};
use kiln_store::{Store, has_room};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, IntoInnerError, Seek as _, SeekFrom, Write};
use std::sync::Arc;

/// Tars are written and read in pieces of this many bytes.
const BUFFER: usize = 1 << 18;

/// Writes a tar. Entries must be added in the order of their paths.
pub type InputTar<'a> = TarWriter<BufWriter<&'a mut File>>;

/// A tar on the store's disk, from its start. It has no name: it is gone when it is closed, however this process ends.
/// `time` is that of every entry, in seconds.
///
/// # Errors
/// If it cannot be written, or `write` says so.
pub fn tar_file<E: From<GuestError>>(
    store: &Store,
    time: u64,
    write: impl FnOnce(&mut InputTar<'_>) -> Result<(), E>,
) -> Result<File, E> {
    let mut file = tempfile::tempfile_in(store.root()).map_err(GuestError::from)?;
    let mut tar = TarWriter::new(BufWriter::with_capacity(BUFFER, &mut file), time);
    write(&mut tar)?;
    let ended = tar.finish().map_err(GuestError::from)?;
    ended.into_inner().map_err(IntoInnerError::into_error).map_err(GuestError::from)?;
    file.seek(SeekFrom::Start(0)).map_err(GuestError::from)?;
    Ok(file)
}

/// A tree for a container at `path`, written on a thread that may block.
///
/// # Errors
/// See [`tar_file`].
pub async fn input_tree<E: From<GuestError> + From<InvocationError> + Send + 'static>(
    store: &Store,
    path: &str,
    time: u64,
    write: impl FnOnce(&mut InputTar<'_>) -> Result<(), E> + Send + 'static,
) -> Result<InputTree, E> {
    let (store, path) = (store.clone(), guest(path)?);
    blocking(move || {
        let file = tar_file(&store, time, write)?;
        Ok(InputTree::new(path, BufReader::with_capacity(BUFFER, file)))
    })
    .await
}

/// Collected trees at a place of a container as one. They are known before they are brought there.
#[derive(Debug)]
pub struct Given {
    path: String,
    merged: Merged,
    tree: Option<Tree>,
}

impl Given {
    /// Trees at `path`, later ones over earlier ones, as Lambda unpacks layers. Of a tree that begins at the root of the
    /// file system only what is below `path` is given: `from_root` says that it does.
    #[must_use]
    pub fn new(path: impl Into<String>, trees: Vec<Arc<Collection>>, from_root: bool) -> Self {
        let path = path.into();
        let merged = Merged::new(trees, if from_root { path.trim_start_matches('/') } else { "" });
        Self { path, tree: merged.tree(), merged }
    }

    /// The same without some paths, as the container would have them.
    #[must_use]
    pub fn without(mut self, is_left_out: impl Fn(&Collection, &TreePath) -> bool) -> Self {
        let Merged { trees, places } = &mut self.merged;
        places.retain(|_, (number, path)| trees.get(*number).is_some_and(|tree| !is_left_out(tree, path)));
        self.tree = self.merged.tree();
        self
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.path
    }

    /// What it is; none if it is none that a file system can hold.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.tree.as_ref().map(Tree::digest)
    }

    /// Brings it to a container of an image of the engine. Where that reads this machine's disk it is unpacked in the store,
    /// once, and sent to nobody.
    ///
    /// # Errors
    /// If a file cannot be read any more, or the engine cannot be asked.
    pub async fn bring(self, bases: &Bases, image: &str) -> Result<InputTree, GuestError> {
        let Self { path, merged, tree } = self;
        let merged = Arc::new(merged);
        if let Some(tree) = tree {
            let unpack = || {
                let (store, merged) = (bases.store().clone(), Arc::clone(&merged));
                blocking::<_, GuestError>(move || {
                    store.unpack(&tree, |path, to| merged.write(&store, path, to))
                })
            };
            // Where it was so before, nobody waits for the answer.
            let folder = if bases.engine_read_store()? {
                let (reads, folder) = tokio::try_join!(bases.engine_reads_store(image), unpack())?;
                reads.then_some(folder)
            } else if bases.engine_reads_store(image).await? {
                Some(unpack().await?)
            } else {
                None
            };
            if let Some(folder) = folder {
                return Ok(InputTree::folder(guest(&path)?, folder));
            }
        }
        let store = bases.store().clone();
        let size = merged.entries().map(|(.., entry)| entry.size()).fold(0, u64::saturating_add);
        has_room(store.root(), &format!("what a container has at {path}"), size)?;
        input_tree(bases.store(), &path, 0, move |tar| merged.add_to(tar, &store)).await
    }
}

/// Trees over each other.
#[derive(Debug)]
struct Merged {
    trees: Vec<Arc<Collection>>,
    /// For each path the tree that it is of, and its path there.
    places: BTreeMap<TreePath, (usize, TreePath)>,
}

impl Merged {
    fn new(trees: Vec<Arc<Collection>>, folder: &str) -> Self {
        let inside = |path: &TreePath| match folder {
            "" => Some(path.clone()),
            folder => TreePath::new(path.as_str().strip_prefix(folder)?.strip_prefix('/')?).ok(),
        };
        let mut places = BTreeMap::new();
        for (number, collection) in trees.iter().enumerate() {
            for (path, _) in collection.tree.iter() {
                if let Some(place) = inside(path) {
                    places.insert(place, (number, path.clone()));
                }
            }
        }
        Self { trees, places }
    }

    fn entries(&self) -> impl Iterator<Item = (&TreePath, &Collection, &TreePath, &Entry)> {
        self.places.iter().filter_map(|(place, (number, path))| {
            let collection = self.trees.get(*number)?.as_ref();
            Some((place, collection, path, collection.tree.get(path)?))
        })
    }

    /// All as one; none if a file of one tree is a folder of another, which no folder can have.
    fn tree(&self) -> Option<Tree> {
        let mut tree = Tree::new();
        for (place, _, _, entry) in self.entries() {
            tree.insert(place.clone(), entry.clone()).ok()?;
        }
        tree.check_folders().is_ok().then_some(tree)
    }

    /// Writes the file at a path.
    fn write(&self, store: &Store, place: &TreePath, to: &mut dyn Write) -> Result<(), GuestError> {
        let of = self.places.get(place).and_then(|(number, path)| Some((self.trees.get(*number)?, path)));
        let (collection, path) =
            of.ok_or_else(|| Defect::new(format!("`{place}` is in no tree that is unpacked")))?;
        Ok(collection.write_to(store, path, to)?)
    }

    fn add_to(&self, tar: &mut InputTar<'_>, store: &Store) -> Result<(), GuestError> {
        for (place, collection, path, entry) in self.entries() {
            match entry {
                Entry::File { .. } => collection.add_to(tar, store, path, place)?,
                Entry::Symlink { target } => tar.add_symlink(place, target)?,
            }
        }
        Ok(())
    }
}
