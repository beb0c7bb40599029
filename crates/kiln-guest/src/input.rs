//! What a program is given, as tars: the one writer of them.

use crate::{GuestError, guest};
use kiln_collect::Collection;
use kiln_engine::InputTree;
use kiln_invocation::{InvocationError, blocking};
use kiln_pack::TarWriter;
use kiln_record::{Entry, TreePath};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, IntoInnerError, Seek as _, SeekFrom};
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

/// Collected trees at `path` as one, later ones over earlier ones, as Lambda unpacks layers. Of a tree that begins at the
/// root of the file system only what is below `path` is given: `from_root` says that it does.
///
/// # Errors
/// If a file cannot be read any more.
pub async fn collections(
    store: &Store,
    path: &str,
    trees: Vec<Arc<Collection>>,
    from_root: bool,
    time: u64,
) -> Result<InputTree, GuestError> {
    let folder = if from_root { path.trim_start_matches('/').to_owned() } else { String::new() };
    let reading = store.clone();
    input_tree(store, path, time, move |tar| {
        let inside = |path: &TreePath| match folder.as_str() {
            "" => Some(path.clone()),
            folder => TreePath::new(path.as_str().strip_prefix(folder)?.strip_prefix('/')?).ok(),
        };
        let mut merged: BTreeMap<&TreePath, (&Entry, &Collection)> = BTreeMap::new();
        for collection in &trees {
            merged.extend(collection.tree.iter().map(|(path, entry)| (path, (entry, collection.as_ref()))));
        }
        for (path, (entry, collection)) in merged {
            let Some(place) = inside(path) else { continue };
            match entry {
                Entry::File { .. } => collection.add_to(tar, &reading, path, &place)?,
                Entry::Symlink { target } => tar.add_symlink(&place, target)?,
            }
        }
        Ok(())
    })
    .await
}
