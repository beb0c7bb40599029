//! What was built, taken apart: what the image has over its base, in one form, as layers of kiln's own.

use crate::DockerfileError;
use crate::container::left_out;
use crate::content::{Batch, Kept};
use crate::normal::normalise;
use crate::remembered::Remembered;
use crate::users::Users;
use kiln_guest::{BaseImage, BaseLayer, SavedImage};
use kiln_image::{Change, FileSystem, write_changes};
use kiln_record::{ImageRuns, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};

/// The time of every entry of a layer, as in all layers of kiln's.
const LAYER_TIME: u64 = 0;

/// An image as it was built, before it is brought into one form.
pub(crate) struct Taken {
    /// What its base holds.
    pub(crate) before: FileSystem,
    /// What it holds.
    pub(crate) state: FileSystem,
    /// Which of its own layers each path had its last change in.
    pub(crate) last: BTreeMap<TreePath, usize>,
    /// How many of them there are.
    pub(crate) count: usize,
    /// How it is started.
    pub(crate) runs: ImageRuns,
}

impl Taken {
    /// Notes that a layer made this of what was there.
    pub(crate) fn note(
        last: &mut BTreeMap<TreePath, usize>,
        index: usize,
        now: &FileSystem,
        earlier: &FileSystem,
    ) {
        let paths: BTreeSet<&TreePath> = now.iter().chain(earlier.iter()).map(|(path, _)| path).collect();
        for path in paths.into_iter().filter(|path| now.get(path) != earlier.get(path)) {
            last.insert(path.clone(), index);
        }
    }
}

/// Reads what the image has over its base, brings it into one form, and writes its layers. `container` is a tar of what a
/// container of it has, and `own` are the names that were added to the context.
pub(crate) fn taken_apart(
    store: &Store,
    base: &BaseImage,
    saved: &SavedImage,
    container: File,
    own: &BTreeSet<String>,
) -> Result<Remembered, DockerfileError> {
    let mut kept = Kept::new(store);
    let before = kept.base(&base.layers)?;
    let mut state = before.clone();
    // Which layer a path had its last change in.
    let mut last: BTreeMap<TreePath, usize> = BTreeMap::new();
    let count = saved.read.diff_ids.len() - base.layers.len();
    for index in 0..count {
        let earlier = state.clone();
        let mut batch = Batch::new(store);
        state.add(saved.layer(base.layers.len() + index)?, |_, reader| batch.take(reader))?;
        batch.flush()?;
        Taken::note(&mut last, index, &state, &earlier);
    }
    let mut found = FileSystem::new();
    found.add(BufReader::with_capacity(1 << 18, container), |_, reader| {
        let mut hasher = kiln_record::HashingWriter::new(io::sink());
        io::copy(reader, &mut hasher)?;
        let (_, digest, size) = hasher.finish();
        Ok((digest, size))
    })?;
    let left = left_out(&state, &found, &saved.read.runs.volumes);
    for path in left.map_err(|why| DockerfileError::Unlike { why })? {
        state.remove(path.as_str(), true);
    }
    let taken = Taken { before, state, last, count, runs: saved.read.runs.clone() };
    in_form(taken, store, own, &mut kept)
}

/// Brings an image into one form, and writes its layers. All content that its base has not is in the store.
pub(crate) fn in_form(
    taken: Taken,
    store: &Store,
    own: &BTreeSet<String>,
    kept: &mut Kept<'_>,
) -> Result<Remembered, DockerfileError> {
    let Taken { before, mut state, last, count, mut runs } = taken;
    let rules = normalise(&mut state, &before, own, kept)?;
    let layers = in_layers(state.changes_since(&before), &last, count);
    let mut tars = Vec::new();
    for layer in &layers {
        let writer = kiln_record::HashingWriter::new(store.writer()?);
        let writer = write_changes(writer, &with_folders(layer, &state), LAYER_TIME, |digest| {
            let blob = store.open_blob(digest).map_err(io::Error::other)?;
            Ok(Box::new(BufReader::with_capacity(1 << 16, blob)) as Box<dyn Read>)
        })?;
        let (writer, diff_id, size) = writer.finish();
        writer.commit(Some(&diff_id))?;
        tars.push(BaseLayer { diff_id, size });
    }
    let users = Users::of(&state, kept)?;
    let user = users.named(runs.user.as_deref().unwrap_or("0")).map(|(uid, gid)| format!("{uid}:{gid}"));
    // What one builder writes where nothing is stated, and the other does not.
    runs.working_dir = runs.working_dir.filter(|folder| folder != "/");
    Ok(Remembered { runs, user, layers, tars, rules, difference: None })
}

/// Changes by the layers that they are in. What the base has and the image has not is gone from the first on: engines do not
/// agree in which layer something is removed, and say it nowhere in some cases.
fn in_layers(
    changes: BTreeMap<TreePath, Change>,
    last: &BTreeMap<TreePath, usize>,
    count: usize,
) -> Vec<BTreeMap<TreePath, Change>> {
    let (gone, put): (BTreeMap<_, _>, BTreeMap<_, _>) =
        changes.into_iter().partition(|(_, change)| *change == Change::Remove);
    let mut layers = vec![BTreeMap::new(); count];
    for (path, change) in put {
        let index = last.get(&path).copied().unwrap_or_default();
        match layers.get_mut(index) {
            Some(layer) => layer.insert(path, change),
            None => continue,
        };
    }
    layers.retain(|layer| !layer.is_empty());
    match layers.first_mut() {
        Some(first) => first.extend(gone),
        None if gone.is_empty() => {}
        None => layers.push(gone),
    }
    layers
}

/// What a layer changes, with the folders on the way to it as they are in the end. An engine that unpacks each layer into a
/// folder of its own would make those that are missing, with a mode and an owner of its choice.
fn with_folders(layer: &BTreeMap<TreePath, Change>, state: &FileSystem) -> BTreeMap<TreePath, Change> {
    let ends = |path: &TreePath| path.as_str().match_indices('/').map(|(end, _)| end).collect::<Vec<_>>();
    let folders: BTreeSet<TreePath> = layer
        .keys()
        .flat_map(|path| ends(path).into_iter().filter_map(|end| TreePath::new(&path.as_str()[..end]).ok()))
        .collect();
    let mut whole = layer.clone();
    for folder in folders {
        if let Some(node) = state.get(&folder) {
            whole.entry(folder).or_insert_with(|| Change::Put(node.clone()));
        }
    }
    whole
}
