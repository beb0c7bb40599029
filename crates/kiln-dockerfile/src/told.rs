//! What another machine says that a Dockerfile made.

use crate::DockerfileError;
use crate::remembered::Remembered;
use kiln_guest::{BaseImage, BaseLayer};
use kiln_image::{Change, FileSystem};
use kiln_record::{HashingWriter, TreePath};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::io::{self, BufReader};

/// Whether the layers of a result hold what it states of them, so that a record says what the image is; else what is wrong
/// with it, as what follows "its result". That they are what building here would give cannot be told.
pub(crate) fn fits(store: &Store, base: &BaseImage, made: &Remembered) -> Result<(), String> {
    if made.layers.len() != made.tars.len() {
        return Err("has another number of layers than it states".to_owned());
    }
    let held =
        held(store, base, &made.tars).map_err(|error| format!("has a layer that cannot be read: {error}"))?;
    let mut stated: BTreeMap<&TreePath, &Change> = BTreeMap::new();
    for (path, change) in made.layers.iter().flatten() {
        if stated.insert(path, change).is_some() {
            return Err(format!("states {path} twice"));
        }
    }
    let stated = stated.into_iter().map(|(path, change)| (path.clone(), change.clone())).collect();
    if held == stated { Ok(()) } else { Err("has other files in its layers than it states".to_owned()) }
}

/// What tars have over a base.
fn held(
    store: &Store,
    base: &BaseImage,
    tars: &[BaseLayer],
) -> Result<BTreeMap<TreePath, Change>, DockerfileError> {
    let add = |state: &mut FileSystem, layer: &BaseLayer| -> Result<(), DockerfileError> {
        let tar = BufReader::with_capacity(1 << 18, store.open_blob(&layer.diff_id)?);
        state.add(tar, |_, reader| {
            let mut hasher = HashingWriter::new(io::sink());
            io::copy(reader, &mut hasher)?;
            let (_, digest, size) = hasher.finish();
            Ok((digest, size))
        })?;
        Ok(())
    };
    let mut before = FileSystem::new();
    for layer in &base.layers {
        add(&mut before, layer)?;
    }
    let mut state = before.clone();
    for layer in tars {
        add(&mut state, layer)?;
    }
    Ok(state.changes_since(&before))
}
