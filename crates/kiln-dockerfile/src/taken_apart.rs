//! What an engine built, taken apart: what the image has over its base, in one form, as layers of kiln's own.

use crate::DockerfileError;
use crate::container::left_out;
use crate::normal::{Contents, normalise};
use crate::remembered::Remembered;
use kiln_guest::{BaseImage, BaseLayer, SavedImage};
use kiln_image::{BaseConfig, Change, FileSystem, NodeContent, write_changes};
use kiln_record::{Digest, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};

/// The time of every entry of a layer, as in all layers of kiln's.
const LAYER_TIME: u64 = 0;
/// As many bytes are stored at once.
const BATCH: usize = 64 << 20;
/// Files that are larger are not held in memory.
const LARGE: u64 = 16 << 20;
/// Files whose content is needed of the base, too: they say who users are.
const USERS: [&str; 3] = ["etc/passwd", "etc/group", "etc/shadow"];

/// Content in memory and in the store.
struct Kept<'a> {
    store: &'a Store,
    memory: BTreeMap<Digest, Vec<u8>>,
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

/// Reads what the image has over its base, brings it into one form, and writes its layers. `container` is a tar of what a
/// container of it has, and `own` are the names that were added to the context.
pub(crate) fn taken_apart(
    store: &Store,
    base: &BaseImage,
    saved: &SavedImage,
    container: File,
    own: &BTreeSet<String>,
) -> Result<Remembered, DockerfileError> {
    let mut kept = Kept { store, memory: BTreeMap::new() };
    let mut before = FileSystem::new();
    for layer in &base.layers {
        let tar = BufReader::with_capacity(1 << 18, store.open_blob(&layer.diff_id)?);
        before.add(tar, |path, reader| {
            let mut hasher = kiln_record::HashingWriter::new(io::sink());
            if USERS.contains(&path.as_str()) {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes)?;
                hasher.write_all(&bytes)?;
                kept.memory.insert(Digest::of(&bytes), bytes);
            } else {
                io::copy(reader, &mut hasher)?;
            }
            let (_, digest, size) = hasher.finish();
            Ok((digest, size))
        })?;
    }
    let mut state = before.clone();
    // Which layer a path had its last change in.
    let mut last: BTreeMap<TreePath, usize> = BTreeMap::new();
    let count = saved.read.diff_ids.len() - base.layers.len();
    for index in 0..count {
        let earlier = state.clone();
        let mut batch = Batch { store, contents: Vec::new(), bytes: 0 };
        state.add(saved.layer(base.layers.len() + index)?, |_, reader| batch.take(reader))?;
        batch.flush()?;
        let paths: BTreeSet<&TreePath> = state.iter().chain(earlier.iter()).map(|(path, _)| path).collect();
        for path in paths.into_iter().filter(|path| state.get(path) != earlier.get(path)) {
            last.insert(path.clone(), index);
        }
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
    let rules = normalise(&mut state, &before, own, &mut kept)?;
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
    let user = numeric_user(&saved.read, &state, &mut kept)?;
    let mut runs = saved.read.runs.clone();
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

/// Content on its way to the store.
struct Batch<'a> {
    store: &'a Store,
    contents: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch<'_> {
    fn take(&mut self, reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        (&mut *reader).take(LARGE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGE {
            let mut writer = kiln_record::HashingWriter::new(self.store.writer().map_err(io::Error::other)?);
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

    fn flush(&mut self) -> Result<(), DockerfileError> {
        let contents = std::mem::take(&mut self.contents);
        self.store.put_all(&contents.iter().collect::<Vec<_>>())?;
        self.bytes = 0;
        Ok(())
    }
}

/// The user and group that a config names, in numbers, by the image's own lists of them.
fn numeric_user(
    config: &BaseConfig,
    state: &FileSystem,
    kept: &mut Kept<'_>,
) -> Result<Option<String>, DockerfileError> {
    let stated = config.runs.user.as_deref().unwrap_or("0");
    let (user, group) = stated.split_once(':').map_or((stated, None), |(user, group)| (user, Some(group)));
    let mut list = |path: &str| -> Result<String, DockerfileError> {
        let node = TreePath::new(path).ok().and_then(|path| state.get(&path));
        match node.map(|node| &node.content) {
            Some(NodeContent::File { digest, .. }) => {
                Ok(String::from_utf8_lossy(&kept.read(digest)?).into_owned())
            }
            _ => Ok(String::new()),
        }
    };
    let (passwd, groups) = (list("etc/passwd")?, list("etc/group")?);
    let field = |list: &str, name: &str, by: usize, wanted: usize| {
        let mut lines = list.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines
            .find(|fields| fields.get(by) == Some(&name))
            .and_then(|fields| fields.get(wanted).map(|f| (*f).to_owned()))
    };
    let number = |text: &str| text.parse::<u32>().is_ok();
    let (uid, usual) = match number(user) {
        true => (Some(user.to_owned()), field(&passwd, user, 2, 3)),
        false => (field(&passwd, user, 0, 2), field(&passwd, user, 0, 3)),
    };
    let gid = match group {
        None => Some(usual.unwrap_or_else(|| "0".to_owned())),
        Some(group) if number(group) => Some(group.to_owned()),
        Some(group) => field(&groups, group, 0, 2),
    };
    Ok(uid.zip(gid).filter(|(uid, gid)| number(uid) && number(gid)).map(|(uid, gid)| format!("{uid}:{gid}")))
}
